"""Accuracy and latency in one number, and the set of trials that no other one beats in everything."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from selftaught.errors import InputError, require_one_of
from selftaught.search.searcher import value_of
from selftaught.trial import Trial

__all__ = ["Direction", "LatencyReward", "RewardForm", "as_told", "pareto_front", "values_of"]

RewardForm = Literal["hard", "soft", "absolute"]
Direction = Literal["maximise", "minimise"]


@dataclass(frozen=True)
class LatencyReward:
    """Make one reward of accuracy and latency.

    - "hard" and "soft": ``ACC (LAT / T)^w``, w = alpha where LAT is at most T, else beta (MnasNet, arXiv 1807.11626).
      Hard: alpha = 0, beta = -1; under the target only accuracy counts. Soft: alpha = beta = -0.07, from "twice the
      latency is worth 5 % of accuracy".
    - "absolute": ``ACC + beta |LAT / T - 1|``, beta below 0 (TuNAS, arXiv 2008.06120); beta in units of accuracy.

    **With alpha = beta the target has no effect on which candidate wins**: T only multiplies all rewards alike. To
    aim at a target use the hard form, the absolute one, or exponents that differ; a target beside equal exponents
    is warned of.

    Two goals need no formula: a searcher for several objectives ("nsga2", "tpe") gives the whole Pareto front.

    Args:
        target: T, in ms; None only where both exponents are equal.
        form: "hard", "soft" or "absolute".
        alpha: exponent under the target; the form's own where None.
        beta: exponent above it, or the slope of the absolute form (-10 where None).
        floor: latencies below this share of the target count as it, so that cells that do nothing do not win.

    Raises:
        InputError: an unknown form, a target that is missing or not above 0, an exponent that is not finite, a slope
            that is not below 0.

    >>> reward = LatencyReward(10.0)
    >>> reward(90.0, 5.0), reward(90.0, 20.0)
    (90.0, 45.0)
    """

    target: float | None = None
    form: RewardForm = "hard"
    alpha: float | None = None
    beta: float | None = None
    floor: float = 0.01

    def __post_init__(self) -> None:
        require_one_of("form", self.form, get_args(RewardForm))
        if self.target is not None and not (math.isfinite(self.target) and self.target > 0):
            raise InputError(f"the target must be a latency above 0 ms, got {self.target}")
        if not 0 <= self.floor < 1:
            raise InputError(f"floor must be in [0, 1), got {self.floor}")
        alpha, beta = self.exponents
        if not (math.isfinite(alpha) and math.isfinite(beta)):
            raise InputError(f"alpha and beta must be finite, got {alpha} and {beta}")
        if self.form == "absolute" and not beta < 0:
            raise InputError(f"the absolute form needs a beta below 0, got {beta}: it is what being off target costs")
        equal = self.form != "absolute" and alpha == beta
        if self.target is None and not equal:
            raise InputError(f"the {self.form} form needs a target in ms: LatencyReward(target, ...)")
        if self.target is not None and equal:
            warnings.warn(
                f"alpha = beta = {alpha:g}: the target of {self.target:g} ms has no effect on which candidate wins, "
                "since it multiplies all rewards alike; use the hard form (alpha 0, beta -1) or different exponents",
                UserWarning,
                stacklevel=3,
            )

    @property
    def exponents(self) -> tuple[float, float]:
        """Alpha and beta."""
        usual = {"hard": (0.0, -1.0), "soft": (-0.07, -0.07), "absolute": (0.0, -10.0)}[self.form]
        return usual[0] if self.alpha is None else self.alpha, usual[1] if self.beta is None else self.beta

    def __call__(self, accuracy: float, latency: float) -> float:
        """Return the reward of an accuracy, in per cent, and a latency in ms.

        Raises:
            InputError: the latency is missing, or not above 0: not supported on the device, so never a reward.
        """
        if latency is None or not (math.isfinite(latency) and latency > 0):
            raise InputError(f"the candidate is infeasible: its latency is {latency}")
        alpha, beta = self.exponents
        relative = max(latency / (self.target or 1.0), self.floor if self.target is not None else 0.0)
        if self.form == "absolute":
            return accuracy + beta * abs(relative - 1)
        return float(accuracy * relative ** (alpha if relative <= 1 else beta))


def values_of(trial: Trial, objectives: Mapping[str, Direction]) -> list[float] | None:
    """Return what a trial reached in each objective, larger being better, or None where it failed or one is missing.

    Args:
        trial: it has each objective among its score's metrics; "score" is the score itself.
        objectives: name -> "maximise" or "minimise".
    """
    score = value_of(trial)
    if score is None or trial.score is None:
        return None
    measured = {"score": score, **trial.score.metrics}
    found = [measured.get(name, math.nan) * (-1 if way == "minimise" else 1) for name, way in objectives.items()]
    return found if all(math.isfinite(value) for value in found) else None


def as_told(objectives: Mapping[str, Direction], direction: Direction) -> dict[str, Direction]:
    """Return the objectives as they are on trials, whose score was negated on its way in where it is minimised.

    >>> as_told({"score": "minimise", "ms": "minimise"}, "minimise")
    {'score': 'maximise', 'ms': 'minimise'}
    """
    found = dict(objectives)
    if direction == "minimise" and "score" in found:
        found["score"] = "maximise" if found["score"] == "minimise" else "minimise"
    return found


def pareto_front(trials: Sequence[Trial], objectives: Mapping[str, Direction]) -> list[Trial]:
    """Return the trials that no other one beats: at least as good in every objective and better in one.

    Args:
        trials: in any order; failed ones never belong.
        objectives: name of a metric, or "score" -> "maximise" or "minimise".

    Returns:
        Trials in the order given.

    >>> from selftaught.trial import Score
    >>> trials = [Trial(k, {}, score=Score(a, {"ms": ms})) for k, (a, ms) in enumerate([(90, 5), (92, 9), (89, 6)])]
    >>> [trial.number for trial in pareto_front(trials, {"score": "maximise", "ms": "minimise"})]
    [0, 1]
    """
    judged = [(trial, values) for trial in trials if (values := values_of(trial, objectives)) is not None]
    if not judged:
        return []
    table = np.array([values for _, values in judged])
    return [
        trial
        for (trial, _), row in zip(judged, table, strict=True)
        if not ((table >= row).all(axis=1) & (table > row).any(axis=1)).any()
    ]
