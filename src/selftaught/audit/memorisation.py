"""Memorisation: how much an example's own presence in training is what makes it right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.seeds import rng_for

__all__ = ["Memorised", "draw_subsets", "measure_memorisation", "memorisation"]


@dataclass(frozen=True, eq=False)
class Memorised:
    """Memorisation of each example, with its error.

    Args:
        value: (n,) share of right answers with the example in training, less the share without; NaN where a side is
            empty.
        error: (n,) standard error, at most: that of shares of one half.
        with_it, without_it: (n,) numbers of models.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]
    with_it: NDArray[np.int64]
    without_it: NDArray[np.int64]


def memorisation(correct: NDArray[np.bool_], included: NDArray[np.bool_]) -> Memorised:
    """Estimate memorisation from models that learned from random subsets (arXiv 2008.03703).

    Args:
        correct: (M, n) whether each model is right on each example.
        included: (M, n) whether the example was in its training.

    Raises:
        InputError: the shapes differ.

    >>> found = memorisation(np.array([[1], [1], [0], [1]], bool), np.array([[1], [1], [0], [0]], bool))
    >>> found.value.tolist(), found.error.round(3).tolist()
    ([0.5], [0.5])
    """
    if correct.shape != included.shape or correct.ndim != 2:
        raise InputError(f"correct and included must have one shape (models, examples), got {correct.shape} and "
                         f"{included.shape}")  # fmt: skip
    inside, right = np.asarray(included, bool), np.asarray(correct, bool)
    m, k = inside.sum(axis=0), (~inside).sum(axis=0)
    known = (m > 0) & (k > 0)
    m_safe, k_safe = np.maximum(m, 1), np.maximum(k, 1)
    value = (right & inside).sum(axis=0) / m_safe - (right & ~inside).sum(axis=0) / k_safe
    error = np.sqrt(0.25 / m_safe + 0.25 / k_safe)
    return Memorised(np.where(known, value, np.nan), np.where(known, error, np.nan), m, k)


def draw_subsets(n: int, *, models: int = 60, share: float = 0.7, seed: int = 0) -> NDArray[np.bool_]:
    """Return which examples each model learns from, (models, n); every model from as many.

    Raises:
        InputError: `share` leaves no example in or none out, or there are fewer than two models.

    >>> draw_subsets(10, models=3).sum(axis=1).tolist()
    [7, 7, 7]
    """
    size = round(share * n)
    if not 0 < size < n:
        raise InputError(f"share must leave some of {n} examples in and some out, got {share}")
    if models < 2:
        raise InputError(f"memorisation needs at least 2 models, got {models}; 60 give a standard error of 0.14")
    found = np.zeros((models, n), np.bool_)
    for k in range(models):
        found[k, rng_for(seed, "audit", "subset", k).permutation(n)[:size]] = True
    return found


def measure_memorisation(
    learn: Callable[[NDArray[np.int64], int], NDArray[np.int64]],
    labels: NDArray[np.int64],
    *,
    models: int = 60,
    share: float = 0.7,
    seed: int = 0,
) -> Memorised:
    """Train models on random subsets and measure how much each example was memorised.

    Args:
        learn: takes (m,) row numbers to learn from and the model's number; gives (n,) predicted classes of all.
        labels: (n,) class numbers.
        models: how many to train; the standard error falls with their root.
        share: of the examples that each learns from.
        seed: of the subsets.

    Raises:
        InputError: as `draw_subsets`, or `learn` gives another number of predictions.
    """
    included = draw_subsets(len(labels), models=models, share=share, seed=seed)
    right = np.zeros_like(included)
    for k, rows in enumerate(included):
        said = np.asarray(learn(np.flatnonzero(rows), k))
        if said.shape != labels.shape:
            raise InputError(f"learn must give {len(labels)} classes, one an example, got {said.shape}")
        right[k] = said == labels
    return memorisation(right, included)
