"""Policies and their gradients beside finite differences; REINFORCE and PPO beside their formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from selftaught.errors import InputError
from selftaught.search import PolicyGradient
from selftaught.search.adam import Adam
from selftaught.search.policies import POLICIES, IndependentPolicy, Policy, RecurrentPolicy, draw, follow
from selftaught.search.policy_gradient import MovingBaseline
from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Parameter, macro_stack
from selftaught.trial import Score, Trial
from tests.search.landscapes import MIXED, PLAIN, hill, run

SMALL = {"independent": IndependentPolicy(MIXED), "autoregressive": RecurrentPolicy(MIXED, 5)}


@pytest.mark.parametrize("name", POLICIES)
def test_gradients_are_finite_differences(name: str) -> None:
    policy: Policy = SMALL[name]
    rng = rng_for(0)
    weights = {k: rng.normal(size=value.shape) for k, value in policy.initial(rng).items()}
    candidate = MIXED.sample(rng_for(3))

    def objective(at: dict[str, Any]) -> float:
        walk = follow(policy, at, candidate)
        entropy = -sum(float(p @ np.log(p)) for p in walk.probabilities)
        return 0.7 * walk.log_probability + 0.3 * entropy

    walk = follow(policy, weights, candidate)
    found = policy.gradient(weights, walk, walk.slopes(0.7, 0.3))
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in weights.items()}
    for key, value in weights.items():
        for place in list(np.ndindex(value.shape))[:: max(1, value.size // 15)]:
            ends = []
            for step in (1e-5, -1e-5):
                moved = {k: v.copy() for k, v in weights.items()}
                moved[key][place] += step
                ends.append(objective(moved))
            assert found[key][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6), (key, place)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_draws_with_the_probabilities_it_says(name: str) -> None:
    space = ChoiceSpace("two", (Parameter("a", (0, 1)), Parameter("b", (0, 1, 2), when={"a": (1,)})))
    policy: Policy = POLICIES[name](space)
    weights = {k: 20 * v for k, v in policy.initial(rng_for(1)).items()} if name == "autoregressive" else {
        "a": np.array([0.0, 0.5]), "b": np.array([0.3, 0.0, -0.5])
    }  # fmt: skip
    drawn = [draw(policy, weights, rng_for(0, k)) for k in range(3000)]
    every = [{"a": 0}, *({"a": 1, "b": b} for b in range(3))]
    chances = [math.exp(follow(policy, weights, candidate).log_probability) for candidate in every]
    assert sum(chances) == pytest.approx(1.0)
    for candidate, chance in zip(every, chances, strict=True):
        assert sum(walk.candidate == candidate for walk in drawn) / 3000 == pytest.approx(chance, abs=0.03)


def test_the_baseline_is_not_drawn_to_zero() -> None:
    baseline = MovingBaseline(0.9)
    assert [round(baseline.update(reward), 6) for reward in (80.0, 80.0, 90.0)] == [80.0, 80.0, 83.690037]


def test_adam_is_the_published_formula() -> None:
    adam = Adam(0.1)
    weights = {"x": np.array([1.0])}
    first, second = 0.0, 0.0
    expected = 1.0
    for t, slope in enumerate((0.5, -2.0, 3.0), 1):
        weights = adam.ascend(weights, {"x": np.array([slope])})
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        expected += 0.1 * (first / (1 - 0.9**t)) / (math.sqrt(second / (1 - 0.999**t)) + 1e-8)
        assert weights["x"][0] == pytest.approx(expected, rel=1e-12)


def test_reinforce_updates_the_baseline_before_the_advantage() -> None:
    """The first reward is its own baseline, so it moves nothing."""
    searcher = PolicyGradient(PLAIN, seed=1)
    before = {k: v.copy() for k, v in searcher._weights.items()}
    run(searcher, 1, lambda c: 84.0)
    assert all(np.array_equal(before[k], v) for k, v in searcher._weights.items())
    run(searcher, 1, lambda c: 90.0, first=1)
    assert not np.array_equal(before["p0"], searcher._weights["p0"])


@pytest.mark.parametrize(
    "options",
    [{}, {"algorithm": "ppo", "batch": 5}, {"policy": "autoregressive", "rate": 0.02, "units": 16}],
    ids=["reinforce", "ppo", "autoregressive"],
)
def test_it_learns_a_hill(options: dict[str, Any]) -> None:
    told = run(PolicyGradient(PLAIN, seed=2, **options), 250, lambda c: 20 * hill(c))
    early, late = (np.mean([hill(t.candidate) for t in part]) for part in (told[:25], told[-25:]))
    assert late > early + 1.0, (early, late)


def test_only_the_autoregressive_policy_can_let_one_choice_follow_another() -> None:
    """Both are fitted to two candidates whose second choice equals the first."""
    space = ChoiceSpace("equal", (Parameter("a", (0, 1)), Parameter("b", (0, 1))))
    likely = {}
    for name, make in POLICIES.items():
        policy: Policy = make(space)
        weights, adam = policy.initial(rng_for(0)), Adam(0.05)
        for step in range(300):
            walk = follow(policy, weights, {"a": step % 2, "b": step % 2})
            weights = adam.ascend(weights, policy.gradient(weights, walk, walk.slopes(1.0, 0.0)))
        likely[name] = [math.exp(follow(policy, weights, {"a": a, "b": a}).log_probability) for a in (0, 1)]
    assert likely["independent"] == pytest.approx([0.25, 0.25], abs=0.1)
    assert likely["autoregressive"] == pytest.approx([0.5, 0.5], abs=0.1)


def test_a_batch_of_ppo_waits_for_all_its_trials_and_drops_what_failed() -> None:
    searcher = PolicyGradient(PLAIN, seed=0, algorithm="ppo", batch=3)
    trials = [searcher.ask(number) for number in range(6)]
    before = searcher._weights
    for number in (4, 0):
        searcher.tell(Trial(number, trials[number].candidate, score=Score(50.0 + number)))
    assert searcher._weights is before
    searcher.tell(Trial(1, trials[1].candidate, error="it failed"))
    assert searcher._weights is not before
    alone = PolicyGradient(PLAIN, seed=0, algorithm="ppo", batch=2)
    for number in (0, 4):
        alone.tell(Trial(number, trials[number].candidate, score=Score(50.0 + number)))
    assert all(np.array_equal(alone._weights[k], v) for k, v in searcher._weights.items()), "in order of number"


def test_ppo_goes_on_where_numbers_are_missing() -> None:
    """A study of Optuna's may hold trials that never end, or that are none of the space."""
    searcher = PolicyGradient(PLAIN, seed=0, algorithm="ppo", batch=3)
    before = searcher._weights
    for number in (2, 5, 11):
        searcher.tell(Trial(number, PLAIN.sample(rng_for(0, number)), score=Score(float(number))))
    assert searcher._weights is not before


def test_ppo_stops_where_the_ratio_is_beyond_the_clip() -> None:
    """With a huge rate the first pass leaves the clip; the others are then flat for all but those that went wrong."""
    space = ChoiceSpace("one", (Parameter("a", (0, 1)),))
    moved = []
    for passes in (1, 2):
        searcher = PolicyGradient(space, seed=0, algorithm="ppo", batch=2, passes=passes, rate=2.0)
        for number, score in enumerate((1.0, 0.0)):
            searcher.tell(Trial(number, {"a": number}, score=Score(score)))
        moved.append(searcher._weights["a"])
    slopes = searcher._adam._first["a"]
    assert np.all(np.abs(slopes) < 0.1), "the second pass adds no slope of its own"
    assert moved[0][0] > moved[0][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "a2c"}, "algorithm must be one of"),
        ({"policy": "lstm"}, "policy must be one of"),
        ({"rate": 0.0}, "rate is out of its range"),
        ({"baseline": 1.0}, "baseline is out of its range"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"clip": -1.0}, "clip is out"),
        ({"entropy": float("nan")}, "entropy is out"),
        ({"units": 0}, "units must be"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PolicyGradient(macro_stack(), **options)
