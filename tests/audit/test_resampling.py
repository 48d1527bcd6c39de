"""The linearised intervals of changes beside what resampling models and examples gives, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught.audit import Population, change_of_means, impacts
from selftaught.seeds import rng_for

MODELS, N = 16, 240


def drawn(seed: int, *, models: int, n: int, harm: float, fall: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Right answers of two populations: examples differ in ease, models in skill, and pruning hurts hard ones more."""
    rng = rng_for(seed, "two-way")
    ease = rng.normal(1.0, 1.2, n)
    sides = []
    for hurt in (0.0, harm):
        skill = rng.normal(0, 0.35, (models, 1))
        chance = 1 / (1 + np.exp(-(ease - hurt * (ease < 1) - fall * (hurt > 0) + skill)))
        sides.append((rng.random((models, n)) < chance).astype(np.float64))
    return sides[0], sides[1]


def resampled(old: np.ndarray, new: np.ndarray, weights: np.ndarray, *, draws: int = 1500) -> np.ndarray:
    """Changes of the weighted means over models of either side and examples, all drawn with replacement."""
    rng = rng_for(0, "bootstrap", len(weights))
    found = []
    for _ in range(draws):
        rows = rng.integers(len(weights), size=len(weights))
        share = weights[rows] / weights[rows].sum()
        sides = [one[rng.integers(len(one), size=len(one))][:, rows].mean(axis=0) @ share for one in (old, new)]
        found.append(sides[1] - sides[0])
    return np.array(found)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_the_interval_is_that_of_resampling(seed: int, share: float) -> None:
    old, new = drawn(seed, models=MODELS, n=N, harm=1.2)
    rows = rng_for(seed, "rows").random(N) < share
    found = change_of_means(old, new, rows)
    again = resampled(old[:, rows], new[:, rows], np.ones(int(rows.sum())))
    low, high = np.quantile(again, [0.025, 0.975])
    width = found.interval[1] - found.interval[0]
    # Resampling counts the noise of single answers in three terms, and Student's t is wider than a bootstrap of few.
    assert 0.85 < width / (high - low) < 1.2
    assert found.change == pytest.approx(again.mean(), abs=0.01)
    assert np.mean(found.interval) == pytest.approx((low + high) / 2, abs=0.02)


def test_an_impact_has_that_interval() -> None:
    old, new = drawn(3, models=MODELS, n=N, harm=1.2)
    labels = np.zeros(N, np.int64)
    ids = np.arange(N)
    before, after = (Population.from_labels((1 - one).astype(np.int64), ids, classes=2) for one in (old, new))
    line = next(one for one in impacts(before, after, labels) if one.where == "class 0")
    low, high = np.quantile(resampled(old, new, np.ones(N)), [0.025, 0.975])
    assert line.finding.interval == pytest.approx((low, high), abs=0.02)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    large = [drawn(k, models=60, n=2000, harm=1.2) for k in range(900, 910)]
    truth = np.mean([new.mean() - old.mean() for old, new in large])
    held, models_alone = [], []
    for seed in range(250):
        old, new = drawn(seed, models=6, n=60, harm=1.2)
        low, high = change_of_means(old, new, np.ones(60, bool)).interval
        held.append(low <= truth <= high)
        change = new.mean(axis=1).mean() - old.mean(axis=1).mean()
        margin = 2.23 * (old.mean(axis=1).var(ddof=1) / 6 + new.mean(axis=1).var(ddof=1) / 6) ** 0.5
        models_alone.append(abs(change - truth) <= margin)
    assert 0.92 <= np.mean(held) <= 0.99
    assert np.mean(models_alone) < np.mean(held), "the control: models alone, without the noise of examples"
