"""What a search may train on, what it is judged by, and what only the end sees."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from selftaught.datasets import load
from selftaught.datasets.set_apart import draw_rows, set_apart, strata
from selftaught.errors import InputError
from selftaught.examples import Examples, Task
from selftaught.seeds import rng_for

__all__ = ["search_task"]

_OWN_TEST = ("cifar10", "fashion-mnist")
_VALID_SHARE = 0.2


def search_task(
    data: str | os.PathLike[str] | Examples | Any,
    target: str | None = None,
    *,
    seed: int = 0,
    examples: int | None = None,
    **reading: Any,
) -> Task:
    """Return a data set as training, validation and test examples, every class in proportion.

    The test examples are those that the data set comes with, else a fifth of all; a fifth of the others is for
    validation.

    Args:
        data: whatever `selftaught.load` takes.
        target: the column to predict.
        seed: of the split.
        examples: train on so many only; validation and test stay whole.
        reading: how the data are read, such as `missing` and `drop`, as `selftaught.load` takes it.

    Raises:
        DataError: the data cannot be read, have no labels, or are too few.
        InputError: `examples` is below 2 classes' worth, or more than there are.

    >>> task = search_task("digits")
    >>> len(task.train), len(task.valid), len(task.test)
    (1151, 287, 359)
    """
    whole = load(data, target, **reading)
    if data in _OWN_TEST if isinstance(data, str) else False:
        free, test = np.arange(len(whole)), load(data, split="test", **reading)
    else:
        free, kept = set_apart(whole, seed=seed)
        test = whole.take(kept)
    classes = strata(whole)
    rng = rng_for(seed, "search", "valid")
    valid = np.sort(draw_rows(rng, free, classes, max(1, int(_VALID_SHARE * len(free)))))
    train = np.setdiff1d(free, valid, assume_unique=True)
    if examples is not None:
        if not 2 <= examples <= len(train):
            raise InputError(f"examples must be from 2 to {len(train)}, what there is to train on, got {examples}")
        train = np.sort(draw_rows(rng_for(seed, "search", "train"), train, classes, examples))
    metric: Any = "accuracy" if whole.num_classes else "rmse"
    return Task(whole.take(train), whole.take(valid), test, metric, name=whole.name)
