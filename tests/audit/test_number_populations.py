"""Populations that predict numbers: planted shifts, seeds alone, and units."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught.audit import NumberPopulation, moved
from selftaught.errors import DataError, InputError
from selftaught.seeds import rng_for

IDS = np.arange(300).astype(str)


def drawn(seed: int, *, shift: np.ndarray | float = 0.0, models: int = 6, scale: float = 1.0) -> NumberPopulation:
    truth = rng_for(0, "truth").normal(0, 3, 300)
    noise = rng_for(seed, "noise").normal(0, 0.5, (models, 300))
    return NumberPopulation(scale * (truth + noise + shift), IDS, f"seed {seed}")


def test_a_planted_shift_is_found_in_units_of_the_null() -> None:
    shift = np.where(np.arange(300) < 30, 2.0, 0.0)
    found = moved(drawn(1), drawn(2, shift=shift))
    assert found.changed.sum() == 30
    assert found.changed[:30].mean() > 0.95
    assert found.churn == pytest.approx(1)
    unit = 0.5**2 * 2 / 3  # the variance of the difference of two means of three
    assert found.rate == pytest.approx(1 + 0.1 * 4 / unit, rel=0.15)
    assert found.score[:30].mean() == pytest.approx(2 / unit**0.5, rel=0.1)
    assert found.finding.verdict == "change"
    assert found.finding.rows[0] in IDS[:30]


def test_other_units_of_the_target_change_nothing() -> None:
    one, other = moved(drawn(1), drawn(2, shift=1.0)), moved(drawn(1, scale=40), drawn(2, shift=1.0, scale=40))
    assert other.rate == pytest.approx(one.rate)
    assert other.score == pytest.approx(one.score)


def test_seeds_alone_are_seed_churn() -> None:
    verdicts = [moved(drawn(2 * k), drawn(2 * k + 1)).finding.verdict for k in range(40)]
    assert verdicts.count("change") <= 2


def test_single_models_are_compared_without_a_claim_and_equal_ones_have_not_moved() -> None:
    found = moved(drawn(1, models=1), drawn(2, models=1))
    assert found.finding.verdict == "no null"
    same = NumberPopulation(np.ones((4, 300)), IDS)
    assert moved(same, same).rate == 0
    with pytest.raises(InputError, match="other examples"):
        moved(same, NumberPopulation(np.ones((4, 300)), IDS[::-1]))
    with pytest.raises(InputError, match="top must be"):
        moved(same, same, top=0)
    with pytest.raises(InputError, match="must have shape"):
        NumberPopulation(np.ones(300), IDS)
    with pytest.raises(InputError, match="stands twice"):
        NumberPopulation(np.ones((2, 2)), np.array(["a", "a"]))
    with pytest.raises(DataError, match="model 1 has no finite number for 1"):
        NumberPopulation(np.array([[0.0, 1.0], [np.nan, 1.0]]), np.array(["a", "b"]))
