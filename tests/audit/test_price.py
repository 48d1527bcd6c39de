"""Prices of mitigations: what truly helps is seen, what only looks so by choice is not, thresholds do what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from selftaught.audit import Population, found_change, group_offsets, price, shift_groups
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from tests.audit.populations import planted

N = 600
LABELS = np.arange(N) % 3
IDS = np.array([f"e{k}" for k in range(N)])
DATA = Examples(np.zeros((N, 2), np.float32), LABELS, IDS, class_names=("a", "b", "c"))
HURT = np.arange(N) % 7 == 0


def made(seed: int, harm: float) -> Population:
    return planted(8, LABELS, seed=seed, name=f"p{seed}", harm=harm * HURT, noise=0.7)


def test_a_mitigation_that_helps_holds_and_one_that_does_nothing_does_not() -> None:
    dense, before = made(0, 0.0), made(1, 2.5)
    helped = price("mended", dense, before, made(2, 0.5), DATA)
    assert helped.holds
    assert helped.found.value > 0.2
    idle = price("nothing", dense, before, made(3, 2.5), DATA)
    assert not idle.holds
    assert idle.found.verdict == "seed churn"
    json.dumps([helped.to_dict(), idle.to_dict()], allow_nan=False)
    assert "nobody is shown to lose" in str(helped)


def test_a_mitigation_that_hurts_a_class_does_not_hold() -> None:
    dense, before = made(0, 0.0), made(1, 2.5)
    after = planted(8, LABELS, seed=4, name="p4", harm=0.5 * HURT + 3.0 * ((LABELS == 1) & ~HURT), noise=0.7)
    found = price("robbing b", dense, before, after, DATA)
    assert [one.where for one in found.losers] == ["class b"]
    assert not found.holds
    assert "it hurts class b" in str(found)


def test_choosing_and_judging_by_the_same_models_would_see_a_gain_that_is_none() -> None:
    """The control for the halves: without them a fresh population of the same kind looks better."""
    gains, naive = [], []
    for seed in range(30):
        dense, before, after = (
            planted(4, LABELS, seed=10 * seed + k, name="x", noise=2.5, harm=1.0 * (k > 0)) for k in range(3)
        )
        gains.append(found_change(dense, before, after, LABELS)[0].value)
        moved = np.abs(dense.probabilities.mean(axis=0) - before.probabilities.mean(axis=0)).sum(axis=1)
        listed = np.argsort(-moved)[: N // 10]
        right = [(one.predicted == LABELS)[:, listed].mean() for one in (before, after)]
        naive.append(right[1] - right[0])
    assert abs(float(np.mean(gains))) < 0.03
    assert float(np.mean(naive)) > 0.1


def test_thresholds_make_mean_probabilities_equal_shares() -> None:
    rng = rng_for(0, "thresholds")
    groups = np.where(np.arange(N) % 2, "x", "y")
    labels = (rng.random(N) < np.where(groups == "x", 0.2, 0.6)).astype(np.int64)
    logits = np.stack([np.zeros((4, N)), rng.normal(0, 1, (4, N)) + 1.5 * labels + 1.0], axis=2)
    population = Population.from_logits(logits, IDS)
    offsets = group_offsets(population, labels, groups)
    for value in ("x", "y"):
        rows = groups == value
        mean = np.clip(population.probabilities.mean(axis=0), 1e-7, 1)
        shifted = np.exp(np.log(mean) + offsets[value])
        shares = shifted / shifted.sum(axis=1, keepdims=True)
        assert shares[rows, 1].mean() == pytest.approx(labels[rows].mean(), abs=2e-3)
    even = group_offsets(population, labels, groups, even=True)
    assert even["x"][1] - even["x"][0] > offsets["x"][1] - offsets["x"][0], "a rare class gets a lower threshold"
    shifted_population = shift_groups(population, groups, {"x": np.array([0.0, 50.0])})
    assert (shifted_population.predicted[:, groups == "x"] == 1).all()
    assert np.array_equal(shifted_population.predicted[:, groups == "y"], population.predicted[:, groups == "y"])
    assert list(group_offsets(population, labels, np.where(np.arange(N) < 10, "few", "many"))) == ["many"]


def test_what_cannot_be_priced_is_refused() -> None:
    one = made(0, 0.0)
    with pytest.raises(DataError, match="has no labels"):
        price("x", one, one, one, Examples(DATA.inputs, None, IDS))
    with pytest.raises(InputError, match="not over these examples"):
        price("x", one, one, one.take(np.arange(10)), DATA)
    with pytest.raises(InputError, match="two compressed models or more"):
        found_change(one, Population(one.probabilities[:1], one.ids), one, LABELS)
