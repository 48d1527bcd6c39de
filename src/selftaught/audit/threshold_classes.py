"""How low a margin must be to call a label wrong: examples with a fake class tell (arXiv 2001.10528, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.seeds import rng_for

__all__ = ["AumThreshold", "aum_threshold"]


@dataclass(frozen=True, eq=False)
class AumThreshold:
    """Which examples the threshold says were never learned.

    Args:
        flagged: (n,) whether an example is harder than the easiest one per cent of the fake class.
        column: (n,) the AUM column, high where it is hard, of the training in which the example kept its label.
        thresholds: of the two trainings, in the units of the column.
        fake: (2, n) which examples had the fake class in each.
    """

    flagged: NDArray[np.bool_]
    column: NDArray[np.float64]
    thresholds: tuple[float, float]
    fake: NDArray[np.bool_]


def aum_threshold(
    learn: Callable[[NDArray[np.int64], int], NDArray[np.floating]],
    labels: NDArray[np.int64],
    *,
    classes: int | None = None,
    percentile: float = 99.0,
    seed: int = 0,
) -> AumThreshold:
    """Flag mislabelled examples by the margin of examples whose label is known to be wrong.

    n / (C + 1) random examples get a class C of their own, which nothing in them supports, and the models learn. An
    example is flagged where its margin is below the 99th percentile of theirs. Two trainings with other fake examples
    judge everything: an example is judged by the one in which it kept its label, by the first if it kept it in both.

    Args:
        learn: takes (n,) labels of C + 1 classes and the training's number, 0 or 1, and gives the `aum` column, (n,).
        labels: (n,) class numbers.
        classes: C; by default one more than the largest label.
        percentile: of the fake examples' margins.
        seed: of the draw.

    Raises:
        InputError: a label is no class, there are too few examples, or `learn` gives something else.
    """
    labels = np.asarray(labels, np.int64)
    n = len(labels)
    count = int(labels.max(initial=-1)) + 1 if classes is None else classes
    size = n // (count + 1)
    if count < 1 or labels.min(initial=0) < 0 or labels.max(initial=0) >= count:
        raise InputError(f"labels must be class numbers from 0 to {count - 1}")
    if size < 1 or 2 * size > n:
        raise InputError(f"{n} examples are too few for a fake class beside {count} others")
    if not 0 < percentile < 100:
        raise InputError(f"percentile must be between 0 and 100, got {percentile}")
    order = rng_for(seed, "audit", "fake class").permutation(n)
    fake = np.zeros((2, n), np.bool_)
    fake[0, order[:size]] = fake[1, order[size : 2 * size]] = True
    columns, thresholds = [], []
    for number, rows in enumerate(fake):
        column = np.asarray(learn(np.where(rows, count, labels), number), np.float64)
        if column.shape != (n,) or not np.isfinite(column).all():
            raise InputError(f"learn must give {n} finite numbers, one an example, got shape {column.shape}")
        columns.append(column)
        # The column is minus the margin: the 99th percentile of margins is the first of the column.
        thresholds.append(float(np.percentile(column[rows], 100 - percentile)))
    second = fake[0]
    found = np.where(second, columns[1], columns[0])
    limit = np.where(second, thresholds[1], thresholds[0])
    return AumThreshold(found > limit, found, (thresholds[0], thresholds[1]), fake)
