"""Slices that were planted are found, and none where there is nothing but noise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import fisher_exact

from selftaught.audit import find_slices
from selftaught.audit.slices import _first_half, _raised
from selftaught.errors import InputError
from selftaught.seeds import rng_for

N = 1200


def features(seed: int, n: int = N) -> dict[str, np.ndarray]:
    rng = rng_for(seed, "features")
    return {
        "age": rng.integers(18, 80, n), "income": np.where(rng.random(n) < 0.1, np.nan, rng.normal(0, 1, n)),
        "region": rng.choice(["north", "south", "west"], n), "member": rng.random(n) < 0.4,
        "noise": rng.normal(0, 1, n), "job": rng.choice(["a", "b", "c", "d", ""], n),
    }  # fmt: skip


def clouds(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Four clouds, and which of them each example is in."""
    rng = rng_for(seed, "clouds")
    number = rng.integers(0, 4, n)
    return rng.normal(0, 1, (n, 6)) + 8 * np.eye(6)[number], number


def test_a_planted_rule_is_found_and_its_size_is_told_truly() -> None:
    given = features(1)
    planted = (given["region"] == "south") & given["member"]
    wrong = rng_for(1, "wrong").random(N) < np.where(planted, 0.5, 0.1)
    found = find_slices(wrong, features=given, ids=[f"e{k}" for k in range(N)], seed=1)
    assert found[0].name in ("region = south and member = 1", "member = 1 and region = south")
    assert np.array_equal(found[0].members, planted)
    assert found[0].finding.verdict == "change"
    low, high = found[0].finding.interval
    assert low < 0.4 < high
    assert found[0].p < found[0].adjusted < 0.05, "adjusted for everything that was proposed"
    assert len(found[0].typical) == 9
    assert all(planted[int(one[1:])] for one in found[0].typical)
    json.dumps([one.to_dict() for one in found], allow_nan=False)


def test_a_planted_cluster_is_found_without_any_feature() -> None:
    embedding, number = clouds(2)
    change = rng_for(2, "change").normal(0, 1, N) + 0.8 * (number == 3)
    found = find_slices(change, embedding=embedding, seed=2)
    assert found
    inside = np.mean([number[one.members] == 3 for one in found[:1]])
    assert inside > 0.95
    for one in found:
        for other in found:
            shared = (one.members & other.members).sum() / min(one.members.sum(), other.members.sum())
            assert one is other or shared <= 0.5


def test_noise_has_slices_no_more_often_than_the_rate_allows() -> None:
    listed = 0
    for seed in range(40):
        rng = rng_for(seed, "null outcome")
        outcome = rng.random(300) < 0.3 if seed % 2 else rng.normal(0, 1, 300)
        listed += bool(find_slices(outcome, features=features(seed, 300), embedding=clouds(seed, 300)[0], seed=seed))
    # Under the null, a false discovery rate of 5 % is a chance of at most 5 % to list anything: 2 expected of 40, and
    # more than 6 with a chance of 0.003.
    assert listed <= 6


def test_the_tests_of_the_second_half_are_fishers_and_unbiased() -> None:
    rng = rng_for(0, "sets")
    members, values = rng.random((5, 60)) < 0.4, (rng.random(60) < 0.3).astype(float)
    for rows, p in zip(members, _raised(members, values), strict=True):
        table = [[int(values[rows].sum()), int((1 - values[rows]).sum())],
                 [int(values[~rows].sum()), int((1 - values[~rows]).sum())]]  # fmt: skip
        assert p == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    numbers = rng.normal(0, 1, 60)
    drawn = np.array([rng.permutation(numbers)[: members[0].sum()].sum() for _ in range(4000)])
    share = float((drawn >= numbers[members[0]].sum()).mean())
    assert _raised(members, numbers)[0] == pytest.approx(share, abs=0.03)


def test_halves_hold_the_outcome_in_proportion() -> None:
    values = (np.arange(200) % 5 == 0).astype(float)
    first = _first_half(values, 3)
    assert first.sum() == 100
    assert values[first].sum() == 20
    assert not np.array_equal(first, _first_half(values, 4))


def test_the_same_seed_gives_the_same_slices_and_small_ones_are_never_listed() -> None:
    given = features(5)
    tiny = np.zeros(N, bool)
    tiny[:40] = True  # 20 in each half
    outcome = tiny | (rng_for(5, "o").random(N) < 0.05)
    found = find_slices(outcome, features={**given, "tiny": np.where(tiny, "yes", "no")}, seed=5)
    again = find_slices(outcome, features={**given, "tiny": np.where(tiny, "yes", "no")}, seed=5)
    assert [one.name for one in found] == [one.name for one in again]
    assert not any(one.name == "tiny = yes" for one in found)
    assert all(one.finding.n >= 30 for one in found)
    larger = find_slices(outcome, features={"tiny": np.where(tiny, "yes", "no")}, seed=5, least=15)
    assert [one.name for one in larger] == ["tiny = yes"]


def test_wrong_use_is_one_line() -> None:
    ones = np.ones(200)
    for given, wanted in (
        ({}, "features or an embedding"),
        ({"features": {"a": np.ones(3)}}, "a must have as many entries"),
        ({"embedding": np.ones(200)}, "must be finite numbers of shape"),
        ({"features": {"a": ones}, "q": 1.0}, "q must be"),
        ({"features": {"a": ones}, "least": 60}, "at least 240 examples"),
        ({"features": {"a": ones}, "least": 1}, "least must be"),
    ):
        with pytest.raises(InputError, match=wanted):
            find_slices(ones, **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="finite number"):
        find_slices(np.full(200, np.nan), features={"a": ones})
    assert find_slices(ones, features={"a": ones}) == ()


@pytest.mark.parametrize("level", [0.1, 0.3, 1 / 3, 0.7])
def test_an_outcome_that_is_the_same_everywhere_has_no_slice(level: float) -> None:
    rows = rng_for(0, "rounding").normal(0, 1e-17, 601)
    table = {"x": rng_for(0, "x").normal(size=601), "half": np.arange(601) % 2}
    assert find_slices(np.full(601, level) + rows, features=table) == ()


def test_a_slice_leaves_somebody_to_compare_with() -> None:
    for seed in range(40):
        outcome = rng_for(seed, "one outside").normal(size=200)
        one = np.where(np.arange(200) == outcome.argmin(), "rare", "usual")
        for found in find_slices(outcome, features={"one": one}, seed=seed):
            assert np.isfinite([found.outside, found.finding.value, *found.finding.interval]).all()
