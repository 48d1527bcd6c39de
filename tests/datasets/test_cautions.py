"""What is said about a target before anything learns it."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught import load
from selftaught.datasets import cautions

X = np.arange(400.0)[:, None]


@pytest.mark.parametrize(("rare", "said"), [(0.5, False), (0.21, False), (0.19, True), (0.01, True)])
def test_a_common_class_is_told_with_what_it_would_score(rare: float, said: bool) -> None:
    labels = np.where(np.arange(400) < 400 * rare, "yes", "no")
    found = cautions(load((X, labels)))
    assert bool(found) == said
    if said:
        assert f"has an accuracy of {1 - rare:.3f}" in found[0]
        assert "'no'" in found[0]


def test_far_targets_are_told_and_those_of_a_normal_distribution_are_not() -> None:
    targets = np.random.default_rng(0).normal(size=400)
    assert cautions(load((X, targets))) == []
    low, high = np.percentile(targets, [25, 75])
    targets[7] = np.median(targets) + 15.5 * (high - low)
    assert cautions(load((X, targets)))[0].startswith("1 row has a target far from the rest")
    targets[9] = -1000.0
    assert cautions(load((X, targets)))[0].startswith("2 rows have targets far from the rest (the farthest is -1000")


def test_what_has_no_target_or_no_spread_has_no_caution() -> None:
    mostly_zero = np.zeros(400)
    mostly_zero[:5] = [1.5, 2.5, 3.5, 4.5, 5.5]
    assert cautions(load((X, mostly_zero))) == []
    assert cautions(load("digits")) == []
