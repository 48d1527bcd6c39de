"""What pruning changes beyond seeds: a planted share of changed answers is found, and none where none was planted."""

from __future__ import annotations

import math

import numpy as np
import pytest

import selftaught
from benchmarks import forgotten_reference
from selftaught.audit import Population


def answers(seed: int, flipped: float) -> Population:
    """Return six models that are right nine times in ten, and never on a planted share of the examples."""
    iris = selftaught.load("iris")
    rng = np.random.default_rng(seed)
    labels = np.asarray(iris.labels)
    given = np.where(rng.random((6, len(labels))) < 0.9, labels, (labels + 1) % 3)
    wrong = np.random.default_rng(9).permutation(len(labels))[: round(flipped * len(labels))]
    given[:, wrong] = (labels[wrong] + 2) % 3
    return Population.from_labels(given, iris.ids, classes=3)


def test_every_split_is_there_once() -> None:
    found = forgotten_reference.splits(6)
    assert len(found) == len(set(found)) == math.comb(6, 3) // 2
    assert all(sorted(first + second) == list(range(6)) for first, second in found)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_planted_share_is_found(share: float) -> None:
    iris = selftaught.load("iris")
    dense, sparse = answers(1, 0.0), answers(2, share)
    found = forgotten_reference.forgotten(0.9, dense, sparse, iris)
    value, low, high = found.beyond
    assert found.changed - found.null == pytest.approx(value, abs=2e-5)
    assert low <= value <= high
    assert found.null < 0.12
    if share:
        assert low > 0.1
        assert found.sparse_on < 0.1 < 0.8 < found.dense_on
        assert found.sparse_off > 0.6
    else:
        assert low < 0 < high or abs(value) < 0.01
