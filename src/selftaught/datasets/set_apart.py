"""Which rows are kept for the final test, and stratified draws from the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

__all__ = ["draw_rows", "set_apart", "strata"]

TEST_SHARE = 0.2
MAX_TEST_ROWS = 5000
MIN_EXAMPLES = 20

Rows = NDArray[np.int64]


def strata(examples: Examples) -> Rows:
    """Return the class number of every row, or zeros for a regression target: shape (n,)."""
    if examples.num_classes and examples.labels is not None:
        return examples.labels.astype(np.int64)
    return np.zeros(len(examples), np.int64)


def set_apart(examples: Examples, *, seed: int) -> tuple[Rows, Rows]:
    """Split row numbers once for all tasks of a data set: rows to use freely and rows for the final test.

    A fifth of the rows, at most 5,000, is set apart, every class in proportion; a class keeps at least one
    row on the free side. The split depends on the data and the seed only.

    Returns:
        (free rows, test rows), ascending and disjoint, together all rows.

    Raises:
        DataError: fewer than 20 examples.
    """
    count = len(examples)
    if count < MIN_EXAMPLES:
        raise DataError(f"{examples.name!r} has {count} examples; at least {MIN_EXAMPLES} are needed to make tasks")
    classes = strata(examples)
    rng = rng_for(seed, "tasks", "set apart")
    size = int(min(TEST_SHARE * count, MAX_TEST_ROWS))
    counts = np.bincount(classes)
    quota = _quota(counts, size, limits=np.maximum(counts - 1, 0))
    test = np.sort(
        np.concatenate([rng.permutation(np.flatnonzero(classes == k))[: quota[k]] for k in range(len(counts))])
    )
    free = np.setdiff1d(np.arange(count), test, assume_unique=True)
    return free, test


def draw_rows(rng: np.random.Generator, rows: Rows, classes: Rows, size: int) -> Rows:
    """Draw `size` of these rows without replacement, every class in proportion, in random order.

    A class with rows is in the draw when the draw has room for all classes.

    Args:
        rng: the generator.
        rows: (m,) row numbers.
        classes: (n,) class number of every row of the data set.
        size: how many, at most m.
    """
    members = classes[rows]
    counts = np.bincount(members)
    quota = _quota(counts, size, limits=counts)
    parts = [rng.permutation(rows[members == k])[: quota[k]] for k in range(len(counts)) if quota[k]]
    return rng.permutation(np.concatenate(parts))


def _quota(counts: NDArray[Any], size: int, *, limits: NDArray[Any]) -> Rows:
    """Share `size` in proportion to `counts` by largest remainders, within 0..limits, at least 1 a class if it fits."""
    exact: NDArray[np.float64] = counts * (size / counts.sum())
    least = np.minimum(limits, 1) if size >= np.count_nonzero(counts) else np.zeros_like(counts)
    quota: Rows = np.clip(np.floor(exact).astype(np.int64), least, limits)
    while quota.sum() < size and (quota < limits).any():
        quota[np.argmax(np.where(quota < limits, exact - quota, -np.inf))] += 1
    while quota.sum() > size:
        quota[np.argmax(np.where(quota > least, quota - exact, -np.inf))] -= 1
    return quota
