"""Policy gradient: a distribution over candidates, moved towards those that score above the usual."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np

from selftaught.errors import InputError, require_one_of
from selftaught.search.adam import Adam
from selftaught.search.policies import (
    POLICIES,
    IndependentPolicy,
    Policy,
    PolicyName,
    RecurrentPolicy,
    Walk,
    Weights,
    draw,
    follow,
)
from selftaught.search.searcher import BaseSearcher, choices_of
from selftaught.seeds import rng_for
from selftaught.spaces import Space
from selftaught.trial import Trial

__all__ = ["Algorithm", "MovingBaseline", "PolicyGradient"]

Algorithm = Literal["reinforce", "ppo"]


class MovingBaseline:
    """A moving average of rewards without the pull of its start at zero.

    Args:
        weight: of the past, at each reward.

    >>> MovingBaseline(0.9).update(84.0)
    84.0
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._sum = self._mass = 0.0

    def update(self, reward: float) -> float:
        """Take in a reward; return the average with it."""
        self._sum = self.weight * self._sum + (1 - self.weight) * reward
        self._mass = self.weight * self._mass + (1 - self.weight)
        return self._sum / self._mass


class PolicyGradient(BaseSearcher):
    """Learn a distribution over candidates from their scores, by REINFORCE or PPO.

    REINFORCE (Williams, 1992; on independent logits as in the NATS-Bench protocol): every trial told moves the
    weights by Adam along ``(r - b) grad log p(candidate)``, where b is a moving average of the rewards that already
    holds r. PPO (arXiv 1707.06347): a batch is drawn from one policy; when all of it is told, the advantages r - b are
    divided by their standard deviation and the weights take `passes` steps along the clipped objective, in which the
    ratio is that of the whole candidate's probabilities. A batch is the next B trials told, in the order of their
    numbers; those that failed count and drop out. (With several workers some of a batch were drawn before the last
    step; the ratio is to the policy that the step starts from.)

    Scores are best given in per cent: REINFORCE steps do not depend on the unit but for Adam's 1e-8.

    Args:
        space: what may be proposed; a `ChoiceSpace`.
        seed: of all random numbers.
        algorithm: "reinforce" or "ppo".
        policy: "independent" logits, or "autoregressive", an LSTM that reads its own choices.
        rate: Adam's step; by default 0.1 up to 200 trials of budget, 0.01 from 1,000, between them in proportion
            (for the LSTM a tenth of that).
        baseline: weight of the past in the moving average of rewards.
        batch: B, trials of a PPO batch.
        passes: PPO steps a batch.
        clip: the ratio counts within [1 - clip, 1 + clip].
        entropy: weight of the policy's entropy beside the reward.
        units: of the LSTM.
        budget: trials that the search will have, where that is known; used for the default rate only.

    Raises:
        InputError: no ChoiceSpace, an unknown algorithm or policy, or a number out of its range.

    >>> from selftaught.spaces import macro_stack
    >>> PolicyGradient(macro_stack(), budget=100).rate
    0.1
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        algorithm: Algorithm = "reinforce",
        policy: PolicyName = "independent",
        rate: float | None = None,
        baseline: float = 0.9,
        batch: int = 10,
        passes: int = 4,
        clip: float = 0.2,
        entropy: float = 0.0,
        units: int = 32,
        budget: int | None = None,
    ) -> None:
        super().__init__(space, seed=seed)
        choices = choices_of(space, "policy-gradient")
        require_one_of("algorithm", algorithm, get_args(Algorithm))
        require_one_of("policy", policy, tuple(POLICIES))
        recurrent = policy == "autoregressive"
        self.algorithm = algorithm
        self.rate = rate if rate is not None else usual_rate(budget) * (0.1 if recurrent else 1.0)
        self.batch, self.passes, self.clip, self.entropy = batch, passes, clip, entropy
        self._check(baseline, units)
        self._policy: Policy = RecurrentPolicy(choices, units) if recurrent else IndependentPolicy(choices)
        self._weights = self._policy.initial(rng_for(seed, "policy"))
        self._adam = Adam(self.rate)
        self._baseline = MovingBaseline(baseline)
        self._waiting: list[tuple[Trial, float | None]] = []  # PPO: told, of a batch that is not yet whole

    def _check(self, baseline: float, units: int) -> None:
        for name, number, least in (("batch", self.batch, 1), ("passes", self.passes, 1), ("units", units, 1)):
            if number < least:
                raise InputError(f"{name} must be at least {least}, got {number}")
        for name, value, fits in (
            ("rate", self.rate, self.rate > 0),
            ("baseline", baseline, 0 <= baseline < 1),
            ("clip", self.clip, self.clip > 0),
            ("entropy", self.entropy, self.entropy >= 0),
        ):
            if not (math.isfinite(value) and fits):
                raise InputError(f"{name} is out of its range, got {value}")

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        return draw(self._policy, self._weights, rng).candidate, None

    def _learn(self, trial: Trial, value: float) -> None:
        if self.algorithm == "ppo":
            self._wait(trial, value)
            return
        advantage = value - self._baseline.update(value)
        walk = follow(self._policy, self._weights, trial.candidate)
        self._ascend([(walk, advantage)], self.entropy)

    def _note_failure(self, trial: Trial) -> None:
        if self.algorithm == "ppo":
            self._wait(trial, None)

    def _wait(self, trial: Trial, value: float | None) -> None:
        """Keep a trial until its batch is whole; then learn from the batch."""
        self._waiting.append((trial, value))
        if len(self._waiting) == self.batch:
            told, self._waiting = sorted(self._waiting, key=lambda entry: entry[0].number), []
            self._learn_batch([(each, found) for each, found in told if found is not None])

    def _learn_batch(self, told: list[tuple[Trial, float]]) -> None:
        if not told:
            return
        raw = np.array([value - self._baseline.update(value) for _, value in told])
        advantages = raw / (raw.std() + 1e-8)
        old = [follow(self._policy, self._weights, trial.candidate).log_probability for trial, _ in told]
        for _ in range(self.passes):
            steps = []
            for (trial, _), before, advantage in zip(told, old, advantages, strict=True):
                walk = follow(self._policy, self._weights, trial.candidate)
                ratio = math.exp(min(walk.log_probability - before, 50.0))
                # The minimum of both forms is flat where the ratio has gone beyond the clip the good way.
                beyond = ratio > 1 + self.clip if advantage > 0 else ratio < 1 - self.clip
                steps.append((walk, 0.0 if beyond else ratio * float(advantage)))
            self._ascend(steps, self.entropy)

    def _ascend(self, steps: list[tuple[Walk, float]], entropy: float) -> None:
        """Take one step along the mean of ``factor * log p + entropy * H`` over walks."""
        total: Weights = {}
        for walk, factor in steps:
            slopes = walk.slopes(factor / len(steps), entropy / len(steps))
            for name, slope in self._policy.gradient(self._weights, walk, slopes).items():
                total[name] = total[name] + slope if name in total else slope
        self._weights = self._adam.ascend(self._weights, total)


def usual_rate(budget: int | None) -> float:
    """Return Adam's step for independent logits: 0.1 up to 200 trials, 0.01 from 1,000, as measured on NAS-Bench-201.

    >>> [round(usual_rate(budget), 3) for budget in (None, 200, 500, 1000)]
    [0.1, 0.1, 0.027, 0.01]
    """
    if budget is None:
        return 0.1
    share = (math.log(min(max(budget, 200), 1000)) - math.log(200)) / (math.log(1000) - math.log(200))
    return float(0.1 ** (1 + share))
