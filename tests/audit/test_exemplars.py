"""Which examples changed: definitions, planted harm, and a null that is a null."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from selftaught.audit import Population, accuracy_on, cie, modal_labels, pie, rank_examples, taxicab
from selftaught.errors import InputError
from selftaught.seeds import rng_for
from tests.audit.populations import planted

LABELS = np.arange(600) % 3


def test_rates_are_means_over_all_halves() -> None:
    before = planted(4, LABELS, seed=0, name="before")
    after = planted(4, LABELS, seed=1, name="after", harm=1.0)
    pairs = list(itertools.combinations(range(4), 2))

    def mode(population: Population, subset: tuple[int, ...]) -> np.ndarray:
        return modal_labels(population.probabilities[list(subset)])[0]

    found = pie(before, after)
    between = [np.mean(mode(before, a) != mode(after, b)) for a in pairs for b in pairs]
    within = [np.mean(mode(before, a) != mode(before, b)) for a, b in [(pairs[0], pairs[5]), (pairs[1], pairs[4]),
                                                                     (pairs[2], pairs[3])]]  # fmt: skip
    assert found.rate == pytest.approx(np.mean(between))
    assert found.churn == pytest.approx(np.mean(within))
    assert found.finding.value == pytest.approx(np.mean(between) - np.mean(within))
    assert found.finding.null == pytest.approx((min(within) - np.mean(within), max(within) - np.mean(within)))
    assert found.size == 2
    changed = mode(before, (0, 1, 2, 3)) != mode(after, (0, 1, 2, 3))
    assert np.array_equal(found.changed, changed)
    assert set(found.finding.rows) == set(before.ids[changed])


def test_planted_harm_is_found_and_the_examples_too() -> None:
    harmed = rng_for(0, "harmed").random(600) < 0.1
    before = planted(6, LABELS, seed=0, name="before", noise=0.5)
    after = planted(6, LABELS, seed=1, name="after", noise=0.5, harm=np.where(harmed, 4.0, 0.0))
    for found in (pie(before, after), cie(before, after)):
        assert found.finding.verdict == "change"
        assert found.rate > found.churn
        assert np.mean(harmed[found.changed]) > 0.2  # of a base rate of 0.1, with seed churn on the list too
    ranked = np.isin(rank_examples(before, after)[:60], before.ids[harmed])
    assert ranked.mean() > 0.8
    sides = accuracy_on(harmed, before, after, LABELS)
    assert sides.before_on - sides.after_on > 0.5
    assert abs(sides.before_off - sides.after_off) < 0.02


@pytest.mark.parametrize("models", [4, 6])
def test_seeds_alone_are_seed_churn(models: int) -> None:
    claims = {"pie": 0, "cie": 0}
    for seed in range(30):
        before = planted(models, LABELS, seed=2 * seed, name="before")
        after = planted(models, LABELS, seed=2 * seed + 1, name="after")
        claims["pie"] += pie(before, after).finding.verdict == "change"
        claims["cie"] += cie(before, after).finding.verdict == "change"
    assert max(claims.values()) <= 3, claims


def test_by_chance_the_listed_share_exceeds_the_threshold() -> None:
    found = cie(planted(6, LABELS, seed=0, name="before"), planted(6, LABELS, seed=1, name="after"), top=0.1)
    assert found.churn == pytest.approx(0.1, abs=1e-3)
    assert found.rate == pytest.approx(0.1, abs=0.03)
    assert found.changed.sum() == 60


def test_taxicab_is_the_sum_of_absolute_changes() -> None:
    before = planted(3, LABELS, seed=0, name="before")
    after = planted(5, LABELS, seed=1, name="after")
    i = 17
    expected = sum(
        abs(before.probabilities[:, i, c].mean() - after.probabilities[:, i, c].mean()) for c in range(3)
    )
    assert taxicab(before, after)[i] == pytest.approx(expected)


def test_no_difference_is_none() -> None:
    ids = np.array([str(k) for k in range(50)])
    same = Population.from_labels(np.zeros((4, 50), int), ids, classes=2)
    found = pie(same, same)
    assert (found.rate, found.churn, found.finding.value, found.finding.rows) == (0, 0, 0, ())
    assert found.finding.verdict == "seed churn"


@pytest.mark.parametrize("models", [1, 2, 3])
def test_few_models_claim_nothing(models: int) -> None:
    before = planted(models, LABELS, seed=0, name="before")
    after = planted(models, LABELS, seed=1, name="after", harm=5.0)
    found = pie(before, after)
    assert found.finding.verdict == "no null"
    assert np.isnan(found.churn) == (models == 1)
    assert found.rate > 0.3
    moved = cie(before, after)
    assert np.isnan([moved.rate, moved.finding.value]).all() == (models == 1), "one model has no threshold"
    assert moved.changed.sum() == 60
    assert moved.finding.verdict == "no null"


def children_of(parents: Population, *, seed: int, noise: float) -> Population:
    """Models that resemble their parents: the same scores, with a little noise."""
    scores = np.log(np.maximum(parents.probabilities, 1e-12))
    scores += rng_for(seed, "children").normal(0, noise, scores.shape)
    return Population.from_logits(scores, parents.ids, "children")


@pytest.mark.parametrize("find", [pie, cie])
def test_children_are_compared_with_other_models_parents_only(find: Any) -> None:
    before = planted(6, LABELS, seed=0, name="before", noise=0.7)
    alone = find(before, before)
    assert alone.finding.value < -0.3 * alone.churn, "subsets share models: fewer change than by seeds alone"
    same = find(before, before, paired=True)
    assert (same.rate, same.finding.value) == pytest.approx((same.churn, 0.0))
    assert same.finding.verdict == "seed churn"
    strangers, kin = [], []
    for seed in range(6):
        other = planted(6, LABELS, seed=seed + 10, name="other", noise=0.7)
        strangers.append(find(before, children_of(other, seed=seed, noise=0.5)).finding.value)
        kin.append(find(before, children_of(before, seed=seed, noise=0.5), paired=True).finding.value)
    assert np.mean(kin) == pytest.approx(np.mean(strangers), abs=0.02)


def test_paired_subsets_are_the_splits_of_the_null_both_ways() -> None:
    before = planted(4, LABELS, seed=0, name="before")
    after = planted(4, LABELS, seed=1, name="after", harm=1.0)
    pairs = [(a, tuple(k for k in range(4) if k not in a)) for a in itertools.combinations(range(4), 2)]

    def mode(population: Population, subset: tuple[int, ...]) -> np.ndarray:
        return modal_labels(population.probabilities[list(subset)])[0]

    expected = [np.mean(mode(before, a) != mode(after, b)) for a, b in pairs]
    assert pie(before, after, paired=True).rate == pytest.approx(np.mean(expected))
    with pytest.raises(InputError, match="got 4 and 5"):
        pie(before, planted(5, LABELS, seed=1, name="after"), paired=True)


def uneven(models: int, *, seed: int) -> Population:
    """Models of which some are much worse than others, as short trainings leave them."""
    rng = rng_for(seed, "uneven models")
    ease = rng_for(0, "ease").normal(1.0, 1.5, 3000)
    logits = rng.normal(0, 1, (models, 3000, 3)) * np.exp(rng.normal(0, 0.5, (models, 1, 1)))
    logits[:, np.arange(3000), np.arange(3000) % 3] += ease
    return Population.from_logits(logits, np.arange(3000))


@pytest.mark.parametrize("find", [pie, cie])
def test_models_that_differ_much_are_seed_churn_too(find: Any) -> None:
    claims, misses, draws = 0, 0, 30
    for seed in range(draws):
        found = find(uneven(4, seed=2 * seed), uneven(4, seed=2 * seed + 1)).finding
        claims += found.verdict == "change"
        misses += not found.interval[0] <= 0 <= found.interval[1]
    assert claims <= 1
    assert misses <= 4, "a 95 % interval"


def test_other_examples_are_refused() -> None:
    before = planted(4, LABELS, seed=0, name="before")
    with pytest.raises(InputError, match="have other examples"):
        pie(before, before.take(np.arange(600)[::-1]))
    with pytest.raises(InputError, match="top must be"):
        cie(before, before, top=1.0)
