"""Changes of means over models and examples: both are drawn, so both make the interval wide."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MeanChange", "benjamini_hochberg", "change_of_means", "welch"]


@dataclass(frozen=True)
class MeanChange:
    """How a mean moved.

    Args:
        before, after: the means.
        change: after minus before, less the change of the reference where one was given.
        interval: its 95 % interval over models and examples.
        p: Welch's two-sided p over the models.
    """

    before: float
    after: float
    change: float
    interval: tuple[float, float]
    p: float


def change_of_means(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    rows: NDArray[np.bool_],
    *,
    reference: NDArray[np.bool_] | None = None,
) -> MeanChange:
    """Measure how the mean over some examples moved between two populations.

    The variance is linearised: that of the models' means on either side, divided by their number, plus that of the
    examples' mean changes, divided by theirs; the noise of a single answer is in both, so the interval is a little too
    wide. Student's t has the degrees of freedom of Welch and Satterthwaite (Biometrics Bulletin 2, 1946).

    Args:
        before: (K, n) outcomes, such as 1 for a right answer.
        after: (K', n).
        rows: (n,) the examples in question, at least one.
        reference: (n,) examples whose own change is taken off, such as all.

    >>> found = change_of_means(np.ones((3, 4)), np.zeros((3, 4)), np.ones(4, bool))
    >>> found.change, found.interval, found.p
    (-1.0, (-1.0, -1.0), 0.0)
    """
    from scipy.stats import t as student

    weights = rows / rows.sum() if reference is None else rows / rows.sum() - reference / reference.sum()
    old, new = before @ weights, after @ weights
    change = float(new.mean() - old.mean())
    each = after.mean(axis=0) - before.mean(axis=0)  # (n,) of the examples
    pull = (each - each[rows].mean()) * (rows / rows.sum())
    if reference is not None:
        pull = pull - (each - each[reference].mean()) * (reference / reference.sum())
    m = int(rows.sum())
    parts = [(float(np.square(pull).sum()) * m / (m - 1), m - 1)] if m > 1 else []
    parts += [(float(one.var(ddof=1)) / len(one), len(one) - 1) for one in (old, new) if len(one) > 1]
    variance = sum(one for one, _ in parts)
    margin = 0.0 if parts else float("nan")
    if variance > 1e-20:  # what is left of rounding
        freedom = variance**2 / sum(one**2 / count for one, count in parts)
        margin = float(student.ppf(0.975, freedom)) * variance**0.5
    return MeanChange(
        float(before[:, rows].mean()), float(after[:, rows].mean()), change, (change - margin, change + margin),
        welch(old, new),
    )  # fmt: skip


def welch(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return Welch's two-sided p (Biometrika 34, 1947) of equal means; NaN with a single model on a side.

    Where no side varies at all, p is 1 for equal means and 0 for others.

    >>> round(welch(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])), 4)
    0.2209
    """
    from scipy.stats import ttest_ind

    if min(len(before), len(after)) < 2:
        return float("nan")
    if max(np.ptp(before), np.ptp(after)) < 1e-12:
        return float(abs(before.mean() - after.mean()) < 1e-12)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)  # one side is constant: it has no variance
        return float(ttest_ind(before, after, equal_var=False).pvalue)


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p adjusted for how many tests there are (Benjamini and Hochberg, JRSS B 57, 1995); NaN stays NaN.

    >>> benjamini_hochberg(np.array([0.01, np.nan, 0.04])).tolist()
    [0.02, nan, 0.04]
    """
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p), np.nan)
    there = ~np.isnan(p)
    if there.any():
        adjusted[there] = false_discovery_control(p[there])
    return adjusted
