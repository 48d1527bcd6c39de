"""A data set of images as one small task to search layers on: small images, and a split for the report alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.set_apart import draw_rows, set_apart, strata
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples, Task
from selftaught.seeds import rng_for

__all__ = ["SIDE", "image_task", "shrink"]

SIDE = 16
_LEAST = 60


def image_task(
    examples: Examples, *, seed: int = 0, num_train: int = 8000, num_valid: int = 2000, num_test: int = 2000
) -> Task:
    """Return a task of images of at most 16 x 16 pixels.

    The test rows are set apart once for the data and the seed; train and valid are drawn from the rest, every class in
    proportion. Where the data have fewer rows, four fifths of what is left are trained on.

    Args:
        examples: images (n, H, W) or (n, H, W, channels) with classes.
        seed: of the split.
        num_train: most training images.
        num_valid: most validation images, which a search scores by.
        num_test: most test images, which the final report alone may touch.

    Raises:
        InputError: a size is below 1.
        DataError: the examples are no images, have no classes, or are fewer than 60.

    >>> from selftaught import load
    >>> image_task(load("digits")).train
    Examples('digits', n=1151, shape=(8, 8), 10 classes)
    """
    for name, value in (("num_train", num_train), ("num_valid", num_valid), ("num_test", num_test)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    if examples.inputs.ndim not in (3, 4):
        shape = "x".join(map(str, examples.inputs.shape[1:]))
        raise DataError(f"a layer search wants images, but the inputs of {examples.name!r} are {shape}; try cifar10")
    if not examples.num_classes:
        raise DataError(f"a layer search wants images with classes; {examples.name!r} has none")
    if len(examples) < _LEAST:
        raise DataError(f"{examples.name!r} has {len(examples)} images; a layer search wants at least {_LEAST}")
    free, test = set_apart(examples, seed=seed)
    classes, rng = strata(examples), rng_for(seed, "image task")
    valid = draw_rows(rng, free, classes, min(num_valid, len(free) // 5))
    rest = np.setdiff1d(free, valid)
    train = draw_rows(rng, rest, classes, min(num_train, len(rest)))
    test = draw_rows(rng, test, classes, min(num_test, len(test)))
    parts = [replace(part, inputs=shrink(part.inputs)) for part in (examples.take(r) for r in (train, valid, test))]
    return Task(parts[0], parts[1], parts[2], "accuracy", examples.name)


def shrink(images: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return images of at most 16 pixels a side, each pixel the mean of those it covers; small ones as they are.

    Args:
        images: (n, H, W) or (n, H, W, channels).

    >>> shrink(np.arange(32.0)[None, :, None] + np.zeros((1, 32, 32)))[0, :2, 0]
    array([0.5, 2.5])
    """
    for axis in (1, 2):
        length = images.shape[axis]
        if length > SIDE:
            edges = np.linspace(0, length, SIDE + 1).round().astype(int)
            parts = [images.take(range(a, b), axis).mean(axis) for a, b in pairwise(edges)]
            means = np.stack(parts, axis)
            images = means.round().astype(images.dtype) if images.dtype.kind == "u" else means.astype(images.dtype)
    return images
