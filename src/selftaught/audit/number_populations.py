"""Populations that predict numbers: whose prediction moved, in units of what seeds alone move it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.exemplars import Exemplars, beyond_churn
from selftaught.audit.population import halves
from selftaught.errors import DataError, InputError

__all__ = ["NumberPopulation", "moved"]


@dataclass(frozen=True, eq=False)
class NumberPopulation:
    """Predicted numbers of K models for n examples.

    Args:
        values: (K, n) float64.
        ids: (n,) ids of the examples, each once.
        name: what the population is called.

    Raises:
        InputError: the shapes do not fit, or an id stands twice.
        DataError: a value is not a number.
    """

    values: NDArray[np.float64]
    ids: NDArray[np.str_]
    name: str = "population"

    def __post_init__(self) -> None:
        shape = np.shape(self.values)
        if len(shape) != 2 or not all(shape) or np.shape(self.ids) != shape[1:]:
            raise InputError(
                f"{self.name}: values must have shape (models, examples) with an id for each example, got {shape} and "
                f"{np.shape(self.ids)}"
            )
        if len(np.unique(self.ids)) < len(self.ids):
            raise InputError(f"{self.name}: an id stands twice; every example needs its own")
        bad = np.count_nonzero(~np.isfinite(self.values), axis=1)
        if bad.any():
            first = int(np.argmax(bad > 0))
            raise DataError(f"{self.name}: model {first} has no finite number for {bad[first]} examples; leave it out")

    @property
    def models(self) -> int:
        """How many models, K."""
        return len(self.values)


def moved(
    before: NumberPopulation, after: NumberPopulation, *, top: float = 0.1, paired: bool = False, seed: int = 0
) -> Exemplars:
    """Find the examples whose predicted number moved furthest, beside seed churn: what `pie` and `cie` are for classes.

    Distances are squared differences of the mean predictions of as many models on either side, over the mean square of
    that between halves of the models before: the null's variance. So `churn` is 1, `rate` says how many times as far
    predictions moved, and the finding is `rate` - 1. `score` is the standardised mean difference: that of all models
    over the null's standard deviation, without its sign. With a single model before there is no null, and distances
    are in units of the predictions' own variance.

    Args:
        before, after: over the same examples in the same order.
        top: share of the examples on the list.
        paired: as for `pie`.
        seed: of the draw of subsets, where there are too many to take all.

    Raises:
        InputError: the examples differ, `top` is no share, or populations of other sizes are called paired.

    >>> rng = np.random.default_rng(0)
    >>> ids = np.arange(200).astype(str)
    >>> old, new, far = (NumberPopulation(rng.normal(0, 1, (6, 200)) + by, ids) for by in (0, 0, 2))
    >>> moved(old, new).finding.verdict, moved(old, far).finding.verdict
    ('seed churn', 'change')
    """
    if before.values.shape[1] != after.values.shape[1] or not np.array_equal(before.ids, after.ids):
        raise InputError(f"{before.name} and {after.name} have other examples; bring them to the same, in one order")
    if not 0 < top < 1:
        raise InputError(f"top must be between 0 and 1, got {top}")

    def means(population: NumberPopulation, subset: tuple[int, ...]) -> NDArray[np.float64]:
        return np.asarray(population.values[list(subset)].mean(axis=0))

    size = max(1, min(before.models // 2, after.models))
    apart = [means(before, one) - means(before, other) for one, other in halves(before.models, size, seed=seed)]
    unit = float(np.mean(np.square(apart))) if apart else float(before.values.var())
    unit = unit or 1.0  # the models agree everywhere
    score = np.abs(after.values.mean(axis=0) - before.values.mean(axis=0)) / unit**0.5
    listed = np.zeros(len(score), np.bool_)
    listed[np.argsort(-score, kind="stable")[: max(1, round(top * len(score)))]] = True
    return beyond_churn(
        "predictions moved", before, after, means, lambda one, other: np.square(one - other) / unit, listed, score,
        (0.0, 0.0), seed, paired=paired,
    )  # fmt: skip
