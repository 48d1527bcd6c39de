"""What a result means in words: who won on unseen tasks, what fitness is, why the search ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from selftaught.report.numbers import fitness

__all__ = ["BASELINE_NAMES", "FITNESS_MEANS", "REASONS", "HasInterval", "verdict"]

_OF = {
    "linear": "the linear learner", "net": "the two-layer net", "reference": "scikit-learn",
    "constant": "always giving the same answer",
}  # fmt: skip
BASELINE_NAMES = {
    "linear": "linear learner", "net": "two-layer net", "reference": "scikit-learn", "constant": "constant answer",
}  # fmt: skip
FITNESS_MEANS = {
    "accuracy": "fitness is accuracy, on examples that were not trained on",
    "rmse": "fitness is 1 - 2/pi atan(error), error the root mean square on examples that were not trained on",
    "cross_entropy": "fitness is 1 - 2/pi atan(loss), loss the cross entropy on examples that were not trained on",
}
REASONS = {
    "seconds": "the time is up",
    "programs": "all programs are proposed",
    "target": "the target is reached",
    "stopped": "stopped by you",
    "exhausted": "nothing new was found any more",
    "workers": "all workers are gone",
}


class HasInterval(Protocol):
    """A mean fitness with the ends of its interval."""

    @property
    def mean(self) -> float: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def verdict(evolved: HasInterval, baselines: Mapping[str, HasInterval], bias: str) -> str:
    """Say in one sentence whether the evolved program won on the final tasks.

    Args:
        evolved: the evolved program's fitness.
        baselines: that of each baseline, by its name.
        bias: the level of bias, which every result names.

    >>> from selftaught.report import Interval
    >>> verdict(Interval(0.9, 0.88, 0.92, 64), {"linear": Interval(0.8, 0.78, 0.82, 64)}, "free")
    'The evolved program (bias free) beats every baseline on unseen tasks: 0.9000 against 0.8000 of the linear learner.'
    """
    who = f"The evolved program (bias {bias})"
    if not baselines:
        return f"{who} scores {fitness(evolved.mean)} on unseen tasks; there is no baseline to compare with."
    name = max(baselines, key=lambda one: baselines[one].mean)
    best = baselines[name]
    against = f"{fitness(evolved.mean)} against {fitness(best.mean)} of {_OF.get(name, name)}"
    if fitness(evolved.mean) == fitness(best.mean):
        return f"{who} draws level with the best baseline on unseen tasks: {against}."
    if evolved.mean > best.mean:
        if evolved.low > best.high:
            return f"{who} beats every baseline on unseen tasks: {against}."
        return f"{who} is ahead on unseen tasks, but within the uncertainty: {against}; call it a tie."
    if evolved.high >= best.low:
        return f"{who} does not beat the best baseline on unseen tasks: {against}; the intervals overlap."
    return f"{who} does not beat the best baseline on unseen tasks: {against}."
