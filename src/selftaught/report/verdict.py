"""What a result means in words: who won on unseen tasks, what fitness is, why the search ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from selftaught.report.numbers import fitness

__all__ = ["BASELINE_NAMES", "FITNESS_MEANS", "REASONS", "HasInterval", "described", "known_as", "verdict"]

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


_COUNTED = ("bias", "non-linearity", "learning rate", "multiplicative update")  # these take an article


def known_as(techniques: Sequence[str]) -> str:
    """Return what a program is in the words of a textbook; empty where it takes no gradient steps.

    >>> known_as(["linear model", "gradient step", "learning rate", "clipping"])
    'gradient descent on a linear model, with a learning rate and clipping'
    >>> known_as(["linear model", "bilinear interaction", "gradient step"])
    'gradient descent on a bilinear model'
    """
    if "gradient step" not in techniques:
        return ""
    models = ("two-layer network", "bilinear interaction", "linear model")  # the richest first
    richest = next((name for name in models if name in techniques), "")
    model = "bilinear model" if richest == "bilinear interaction" else richest
    hidden = {"gradient step", "linear model", "bilinear interaction", "two-layer network"}
    hidden |= {"non-linearity"} if "two-layer network" in techniques else set()
    others = [f"a {one}" if one in _COUNTED else one for one in techniques if one not in hidden]
    parts = ", ".join(others[:-1]) + (" and " if len(others) > 1 else "") + "".join(others[-1:])
    return "gradient descent" + (f" on a {model}" if model else "") + (f", with {parts}" if parts else "")


def described(techniques: Sequence[str]) -> str:
    """Say in a sentence what a program is, from the techniques named in it; empty where none was.

    >>> described(["linear model", "gradient step", "learning rate"])
    'It is gradient descent on a linear model, with a learning rate.'
    >>> described(["linear model", "weight averaging"])
    'Techniques in it: linear model, weight averaging.'
    """
    if known := known_as(techniques):
        return f"It is {known}."
    return f"Techniques in it: {', '.join(techniques)}." if techniques else ""
