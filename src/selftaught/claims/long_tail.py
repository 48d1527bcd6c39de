"""Long-tailed images: ever fewer of each class, drawn from a set that has as many of all; and flipped labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from selftaught.examples import Examples
from selftaught.seeds import rng_for

__all__ = ["LongTail", "images", "long_tail", "network", "recalls", "with_flips"]


@cache
def images(data: str) -> Examples:
    """Return a set of images, loaded once."""
    import selftaught

    return selftaught.load(data)


@dataclass(frozen=True)
class LongTail:
    """Images of which some classes are rare, and as many of each class to test on.

    Args:
        train: class k, in a random order of the classes, has largest * ratio ** (k / (classes - 1)) examples.
        test: balanced.
        head, tail: the three most common and the four rarest classes.
    """

    train: Examples
    test: Examples
    head: tuple[int, ...]
    tail: tuple[int, ...]


def long_tail(data: Examples, *, largest: int, ratio: float, test: int, seed: int) -> LongTail:
    """Draw a long-tailed training set, as Cui et al. (arXiv 1901.05555) do, and a balanced test set beside it.

    Args:
        data: with classes.
        largest: examples of the most common class.
        ratio: of the rarest class to the most common one.
        test: examples a class to test on.
        seed: of the classes' order and of the examples.
    """
    rng = rng_for(seed, "claims", "long tail")
    order = rng.permutation(data.num_classes)
    labels = np.asarray(data.labels)
    kept: list[np.ndarray] = []
    tested: list[np.ndarray] = []
    for place, label in enumerate(order):
        rows = rng.permutation(np.flatnonzero(labels == label))
        count = max(2, round(largest * ratio ** (place / (len(order) - 1))))
        tested.append(rows[:test])
        kept.append(rows[test : test + count])
    return LongTail(
        train=data.take(np.sort(np.concatenate(kept))), test=data.take(np.sort(np.concatenate(tested))),
        head=tuple(int(one) for one in order[:3]), tail=tuple(int(one) for one in order[-4:]),
    )  # fmt: skip


def with_flips(data: Examples, share: float, *, seed: int) -> Examples:
    """Return the examples with a share of the labels moved to another class, drawn evenly; ids stay."""
    rng = rng_for(seed, "claims", "flipped labels")
    labels = np.asarray(data.labels).copy()
    rows = rng.permutation(len(labels))[: round(share * len(labels))]
    labels[rows] = (labels[rows] + rng.integers(1, data.num_classes, len(rows))) % data.num_classes
    return Examples(data.inputs, labels, data.ids, class_names=data.class_names, name=data.name)


def recalls(correct: np.ndarray, labels: np.ndarray, classes: tuple[int, ...]) -> float:
    """Return the mean over classes of the share of their examples that are right."""
    return float(np.mean([correct[labels == one].mean() for one in classes]))


def network(train: Examples, widths: tuple[int, ...], *, seed: int) -> Any:
    """Return a small convolutional network for colour images, and a multi-layer perceptron for others."""
    from selftaught.training import mlp, small_cnn

    if train.inputs.ndim == 4:
        return small_cnn(train, widths=widths, seed=seed)
    return mlp(train, hidden=widths, seed=seed)
