"""Successive halving, rewards with a latency in them, and the Pareto front."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught.errors import InputError
from selftaught.search import LatencyReward, PairwiseThompson, SuccessiveHalving, pareto_front
from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Parameter
from selftaught.trial import Score, Trial
from tests.search.landscapes import PLAIN, hill, run


def noisy(candidate: dict[str, Any]) -> float:
    """The hill, seen better with a larger budget."""
    rng = rng_for(0, str(candidate))
    return hill({k: v for k, v in candidate.items() if k != "budget"}) + float(rng.normal()) / candidate["budget"]


def test_one_in_eta_is_raised_and_it_is_the_best() -> None:
    searcher = SuccessiveHalving(PLAIN, seed=0, budgets=(1, 3, 9), eta=3)
    told = run(searcher, 80, noisy)
    counts = Counter(trial.candidate["budget"] for trial in told)
    # Without waiting for rounds a few more are raised: those that were among the best before better ones came.
    assert counts[1] // 3 <= counts[3] <= counts[1] // 3 + 4
    assert counts[3] // 3 <= counts[9] <= counts[3] // 3 + 2
    by_number = {trial.number: trial for trial in told}
    for trial in told:
        if trial.parent is not None:
            parent = by_number[trial.parent].candidate
            assert {**parent, "budget": 0} == {**trial.candidate, "budget": 0}
            assert (1, 3, 9).index(trial.candidate["budget"]) == (1, 3, 9).index(parent["budget"]) + 1
            earlier = told[: trial.number]
            peers = [t.score.value for t in earlier if t.candidate["budget"] == parent["budget"]]
            assert sum(value > by_number[trial.parent].score.value for value in peers) < len(peers) / 3


def test_no_trial_is_raised_twice_also_with_several_at_work() -> None:
    searcher = SuccessiveHalving(PLAIN, seed=0, budgets=(1, 3), eta=2)
    for number in range(8):
        searcher.tell(Trial(number, {**PLAIN.sample(rng_for(number)), "budget": 1}, score=Score(float(number))))
    at_work = [searcher.ask(number) for number in range(8, 14)]
    parents = [trial.parent for trial in at_work if trial.parent is not None]
    assert parents == [7, 6, 5, 4]


def test_any_searcher_may_propose_the_new_ones() -> None:
    inner = PairwiseThompson(PLAIN, seed=0, initial=5)
    searcher = SuccessiveHalving(PLAIN, seed=0, budgets=(1, 3), eta=3, searcher=inner)
    told = run(searcher, 60, noisy)
    assert len(inner._values) == sum(trial.candidate["budget"] == 1 for trial in told)
    assert max(hill(trial.candidate) - (trial.candidate["budget"] == 3) for trial in told) >= 4


def test_halving_that_makes_no_sense_is_refused() -> None:
    budget = ChoiceSpace("b", (Parameter("budget", (1, 2)),))
    for make, message in (
        (lambda: SuccessiveHalving(PLAIN, budgets=(1,)), "at least two"),
        (lambda: SuccessiveHalving(PLAIN, budgets=(3, 1)), "small to large"),
        (lambda: SuccessiveHalving(PLAIN, eta=1), "eta"),
        (lambda: SuccessiveHalving(budget), "'budget' twice"),
    ):
        with pytest.raises(InputError, match=message):
            make()


@pytest.mark.parametrize(
    ("form", "options", "latency", "expected"),
    [
        ("hard", {}, 5.0, 90.0),
        ("hard", {}, 20.0, 45.0),
        ("hard", {"beta": -0.5}, 40.0, 45.0),
        ("absolute", {"beta": -20.0}, 15.0, 80.0),
        ("absolute", {"beta": -20.0}, 5.0, 80.0),
    ],
)
def test_rewards_are_their_formulas(form: Any, options: dict[str, float], latency: float, expected: float) -> None:
    assert LatencyReward(10.0, form=form, **options)(90.0, latency) == pytest.approx(expected)


def test_twice_the_latency_costs_five_per_cent_in_the_soft_form() -> None:
    soft = LatencyReward(form="soft")
    assert soft(90.0 * 1.05, 20.0) == pytest.approx(soft(90.0, 10.0), rel=1e-3)


def test_a_target_beside_equal_exponents_is_warned_of_and_explained() -> None:
    with pytest.warns(UserWarning, match="the target of 10 ms has no effect on which candidate wins"):
        LatencyReward(10.0, form="soft")
    with pytest.warns(UserWarning, match="no effect"):
        LatencyReward(10.0, alpha=-1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LatencyReward(10.0)
        LatencyReward(form="soft")
        LatencyReward(10.0, form="absolute")


@given(st.lists(st.tuples(st.floats(10, 95), st.floats(1.0, 50.0)), min_size=2, max_size=20), st.floats(2.0, 40.0))
@settings(deadline=None)
def test_with_equal_exponents_every_target_ranks_alike(found: list[tuple[float, float]], target: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, two = LatencyReward(target, form="soft", floor=0.0), LatencyReward(1.0, form="soft", floor=0.0)
    assert [one(*pair) / two(*pair) for pair in found] == pytest.approx([target**0.07] * len(found))


def test_tiny_latencies_do_not_win_by_their_size() -> None:
    with pytest.warns(UserWarning, match="no effect"):
        soft = LatencyReward(10.0, form="soft")
    assert soft(50.0, 1e-6) == soft(50.0, 0.1)


@pytest.mark.parametrize("latency", [-1.0, 0.0, float("nan"), float("inf"), None])
def test_no_latency_is_no_reward(latency: Any) -> None:
    with pytest.raises(InputError, match="infeasible"):
        LatencyReward(10.0)(90.0, latency)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0.0}, "above 0 ms"),
        ({"target": -5.0}, "above 0 ms"),
        ({"target": math.nan}, "above 0 ms"),
        ({}, "needs a target"),
        ({"target": 1.0, "form": "sof"}, "did you mean 'soft'"),
        ({"target": 1.0, "form": "absolute", "beta": 1.0}, "below 0"),
        ({"target": 1.0, "floor": 1.0}, "floor"),
        ({"target": 1.0, "beta": math.nan}, "must be finite"),
    ],
)
def test_rewards_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LatencyReward(**options)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=20))
@settings(deadline=None)
def test_the_pareto_front_is_what_no_one_beats(points: list[tuple[int, int]]) -> None:
    trials = [Trial(k, {}, score=Score(a, {"ms": b})) for k, (a, b) in enumerate(points)]
    front = {trial.number for trial in pareto_front(trials, {"score": "maximise", "ms": "minimise"})}
    for k, (a, b) in enumerate(points):
        beaten = any((c >= a and d <= b) and (c > a or d < b) for c, d in points)
        assert (k in front) == (not beaten)


def test_failed_trials_and_missing_metrics_are_on_no_front() -> None:
    trials = [
        Trial(0, {}, score=Score(1.0, {"ms": 1.0})),
        Trial(1, {}, score=Score(9.0)),
        Trial(2, {}, score=Score(9.0, {"ms": np.nan})),
        Trial(3, {}, score=Score(9.0, {"ms": 0.1}), error="it failed"),
    ]
    assert [t.number for t in pareto_front(trials, {"score": "maximise", "ms": "minimise"})] == [0]
    assert pareto_front([], {"score": "maximise"}) == []
