"""Which pixels go: controls that know no model, ranks, and what stands in the place of what is removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

__all__ = ["Per", "box_blur", "channel_means", "pixels_of", "random_scores", "replaced", "sobel_scores", "top_units"]

#: What is ranked and removed: pixels with all their channels, or each channel of a pixel by itself.
Per = Literal["pixel", "channel"]
Scores = NDArray[np.float32]


def pixels_of(examples: Examples) -> NDArray[np.float32]:
    """Return images as (n, height, width, channels) in the units that models take: uint8 divided by 255.

    Raises:
        DataError: they are no images.
    """
    inputs = examples.inputs
    if inputs.ndim not in (3, 4):
        raise DataError(f"{examples.name!r} has inputs of shape {inputs.shape[1:]}; only images have pixels to remove")
    pixels = np.asarray(inputs, np.float32) / (255 if inputs.dtype == np.uint8 else 1)
    return np.asarray(pixels[..., None] if pixels.ndim == 3 else pixels, np.float32)


def channel_means(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each channel over images and places, (channels,)."""
    return np.asarray(pixels.mean(axis=(0, 1, 2), dtype=np.float64), np.float32)


def random_scores(examples: Examples, *, per: Per = "pixel", seed: int = 0) -> Scores:
    """Return scores that know nothing, drawn once for each image, (n, height, width) or (n, height, width, channels).

    They depend on the example's id and the seed, so a mask stays with its image.
    """
    shape = _shape(examples, per)
    found = np.empty(shape, np.float32)
    for place, one in enumerate(examples.ids):
        found[place] = rng_for(seed, "audit", "random mask", str(one)).random(shape[1:], np.float32)
    return found


def sobel_scores(pixels: NDArray[np.float32], *, per: Per = "pixel") -> Scores:
    """Return the magnitude of the gradient by Sobel's filter, which no model has a part in.

    Args:
        pixels: (n, height, width, channels).
        per: sum the squares over channels, or not.
    """
    from scipy.ndimage import correlate1d

    def across(along: int, other: int) -> NDArray[np.float32]:
        return np.asarray(correlate1d(correlate1d(pixels, (-1, 0, 1), axis=along), (1, 2, 1), axis=other))

    squares = np.square(across(1, 2)) + np.square(across(2, 1))
    return np.asarray(np.sqrt(squares.sum(axis=3) if per == "pixel" else squares), np.float32)


def box_blur(scores: Scores, *, size: int = 5) -> Scores:
    """Return each score's mean over the size x size box around it, mirrored at the border.

    Args:
        scores: (n, height, width) or (n, height, width, channels).
        size: of the box, odd.

    >>> round(float(box_blur(np.eye(5, dtype=np.float32)[None], size=5)[0, 2, 2]), 3)
    0.2
    """
    from scipy.ndimage import uniform_filter

    if size < 1 or size % 2 == 0:
        raise InputError(f"the box of a blur must be odd and at least 1, got {size}")
    filtered = uniform_filter(np.asarray(scores, np.float64), size=(1, size, size, *(1,) * (scores.ndim - 3)))
    return np.asarray(filtered, np.float32)


def top_units(scores: Scores, fraction: float, ties: Scores) -> NDArray[np.bool_]:
    """Mark the top fraction of each image's units by score.

    Args:
        scores: (n, ...) high where it matters.
        fraction: to be marked, rounded to whole units.
        ties: (n, ...) that order units of the same score, such as `random_scores`; their place must not.

    Raises:
        InputError: the fraction is not between 0 and 1, or a score is not a number.

    >>> top_units(np.array([[3.0, 1.0, 2.0, 0.0]]), 0.5, np.zeros((1, 4))).tolist()
    [[True, False, True, False]]
    """
    if not 0 < fraction < 1:
        raise InputError(f"a fraction must be between 0 and 1, got {fraction}")
    if not np.isfinite(scores).all():
        raise InputError("scores of pixels must be finite; the model or its explanation gave one that is not")
    flat, other = scores.reshape(len(scores), -1), ties.reshape(len(scores), -1)
    first = np.argsort(-other, axis=1, kind="stable")
    order = np.take_along_axis(
        first, np.argsort(-np.take_along_axis(flat, first, axis=1), axis=1, kind="stable"), axis=1
    )
    count = round(fraction * flat.shape[1])
    marked = np.zeros(flat.shape, np.bool_)
    np.put_along_axis(marked, order[:, :count], True, axis=1)
    return marked.reshape(scores.shape)


def replaced(
    examples: Examples, marked: NDArray[np.bool_], means: NDArray[np.float32], *, keep: bool = False
) -> Examples:
    """Return the examples with every marked unit, or with `keep` every other one, at its channel's mean.

    Args:
        examples: images.
        marked: (n, height, width), or (n, height, width, channels) where channels are removed by themselves.
        means: (channels,) in the units of `pixels_of`.
        keep: replace the rest instead.

    Returns:
        Examples with float32 inputs in the units of `pixels_of` and the shape that they had.
    """
    pixels = pixels_of(examples)
    gone = ~marked if keep else marked
    found = np.where(gone[..., None] if gone.ndim == 3 else gone, means, pixels)
    return replace(examples, inputs=np.asarray(found, np.float32).reshape(examples.inputs.shape))


def _shape(examples: Examples, per: Per) -> tuple[int, ...]:
    shape = pixels_of(examples.take(np.arange(0))).shape
    return (len(examples), *(shape[1:3] if per == "pixel" else shape[1:]))
