"""What pruning changes beyond seeds: a planted share of changed answers is found, and none where none was planted."""

from __future__ import annotations

import json

import numpy as np
import pytest

import selftaught
from benchmarks import forgotten_reference
from selftaught.audit import Population, sweep


def answers(seed: int, flipped: float) -> Population:
    """Return six models that are right nine times in ten, and never on a planted share of the examples."""
    iris = selftaught.load("iris")
    rng = np.random.default_rng(seed)
    labels = np.asarray(iris.labels)
    given = np.where(rng.random((6, len(labels))) < 0.9, labels, (labels + 1) % 3)
    wrong = np.random.default_rng(9).permutation(len(labels))[: round(flipped * len(labels))]
    given[:, wrong] = (labels[wrong] + 2) % 3
    return Population.from_labels(given, iris.ids, classes=3)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_planted_share_is_told(share: float) -> None:
    found = sweep({0.0: answers(1, 0.0), 0.9: answers(2, share)}, selftaught.load("iris"), paired=True)
    (row,) = forgotten_reference.rows_of(found)
    low, high = row["interval"]
    assert row["pie"] - row["null"] == pytest.approx(row["beyond"])
    assert low <= row["beyond"] <= high
    assert row["null"] < 0.12
    assert json.loads(json.dumps(row)) == row
    if share:
        assert low > 0.05
        assert row["verdict"] == "change"
        assert row["after_on"] < 0.2 < 0.8 < row["before_on"]
        assert row["worse"]
    else:
        assert row["verdict"] != "change"
        assert not row["worse"]
    assert f"{row['beyond']:+.4f}" in forgotten_reference.tell(row)
