"""A space that anyone can evaluate in milliseconds: banks of random filters with a ridge read-out, on digits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.seeds import rng_for
from selftaught.spaces import Candidate, ChoiceSpace, Parameter

__all__ = ["random_filters", "score_filters"]

Floats = NDArray[np.float64]
_TRAIN, _VALID, _TEST = 100, 600, 1000
_BANKS, _FILTERS = 4, 8
_ACTIVATIONS: dict[str, Any] = {
    "relu": lambda z: np.maximum(z, 0), "abs": np.abs, "tanh": np.tanh, "sign": np.sign,
}  # fmt: skip


def random_filters() -> ChoiceSpace:
    """Return the space of networks of four banks of filters side by side, drawn and not trained.

    >>> random_filters().size() == (4 * 4 * 4 * 3) ** 4 * 6
    True
    """
    banks = (
        Parameter(f"bank {k} {what}", choices, group=f"bank {k}")
        for k in range(1, _BANKS + 1)
        for what, choices in (
            ("size", (2, 3, 4, 5)),
            ("activation", tuple(_ACTIVATIONS)),
            ("pooling", tuple(_POOLINGS)),
            ("bias", (0.0, 0.5, 1.0)),
        )
    )
    return ChoiceSpace("random filters", (*banks, Parameter("ridge", (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0))))


def score_filters(candidate: Candidate) -> tuple[float, float]:
    """Return validation and test accuracy in per cent, of a ridge regression on what all banks see together.

    The filters follow from the candidate alone, so it scores the same each time.
    """
    alike = np.zeros((_TRAIN + _VALID + _TEST, _TRAIN))
    for k in range(1, _BANKS + 1):
        alike += _bank(*(candidate[f"bank {k} {what}"] for what in ("size", "activation", "pooling", "bias")))
    labels = _digits()[1]
    wanted = np.eye(10)[labels[:_TRAIN]] - 0.1
    # The dual form: there are fewer images than features.
    weights = np.linalg.solve(alike[:_TRAIN] / _BANKS + float(candidate["ridge"] or 0) * np.eye(_TRAIN), wanted)
    right = (alike @ weights).argmax(axis=1) == labels
    return 100 * float(right[_TRAIN : _TRAIN + _VALID].mean()), 100 * float(right[_TRAIN + _VALID :].mean())


@cache
def _digits() -> tuple[Floats, NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = rng_for(0, "random filters", "split").permutation(len(labels))[: _TRAIN + _VALID + _TEST]
    return np.asarray(images, np.float64).reshape(-1, 8, 8)[order] / 16, np.asarray(labels)[order]


@cache
def _bank(size: int, activation: str, pooling: str, bias: float) -> NDArray[np.float32]:
    """Return how alike one bank finds all images (n) and the training images (m): (n, m), with mean diagonal 1."""
    images = _digits()[0]
    rng = rng_for(0, "random filters", size)
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = windows.reshape(*windows.shape[:3], size * size)
    drawn = rng.standard_normal((size * size, _FILTERS)) / size
    maps = _POOLINGS[pooling](_ACTIVATIONS[activation](patches @ drawn + bias * rng.standard_normal(_FILTERS)))
    seen = maps.reshape(len(images), -1)
    seen = seen - seen[:_TRAIN].mean(axis=0)
    alike = seen @ seen[:_TRAIN].T
    return np.asarray(alike / max(float(np.trace(alike[:_TRAIN])) / _TRAIN, 1e-9), np.float32)


def _blocks(maps: Floats) -> Floats:
    """Return windows of two by two, side by side, on the last axis."""
    n, height, width, count = maps.shape
    even = maps[:, : height // 2 * 2, : width // 2 * 2]
    blocks = even.reshape(n, height // 2, 2, width // 2, 2, count)
    return np.moveaxis(blocks, (2, 4), (-2, -1)).reshape(n, height // 2, width // 2, count, 4)


_POOLINGS: dict[str, Any] = {
    "none": lambda maps: maps,
    "mean": lambda maps: _blocks(maps).mean(axis=-1),
    "max": lambda maps: _blocks(maps).max(axis=-1),
    "all": lambda maps: maps.mean(axis=(1, 2)),
}
