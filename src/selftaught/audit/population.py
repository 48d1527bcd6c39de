"""Populations: what K models that differ by their seed alone say about the same examples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selftaught.errors import DataError, InputError
from selftaught.seeds import rng_for

__all__ = ["Joined", "Population", "halves", "join", "modal_labels"]

MOST_SPLITS = 200


@dataclass(frozen=True, eq=False)
class Population:
    """Class probabilities of K models for n examples.

    Args:
        probabilities: (K, n, C) float64, each row summing to one.
        ids: (n,) ids of the examples, each once.
        name: what the population is called.

    Raises:
        InputError: the shapes do not fit, or an id stands twice.
        DataError: a value is not a number, or a row is no distribution.
    """

    probabilities: NDArray[np.float64]
    ids: NDArray[np.str_]
    name: str = "population"

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        if len(shape) != 3 or not shape[0] or not shape[1] or shape[2] < 2:
            raise InputError(f"{self.name}: probabilities must have shape (models, examples, classes), got {shape}")
        if self.ids.shape != shape[1:2]:
            raise InputError(f"{self.name}: ids must have shape ({shape[1]},), got {self.ids.shape}")
        if len(np.unique(self.ids)) < len(self.ids):
            raise InputError(f"{self.name}: an id stands twice; every example needs its own")
        _require_numbers(self.probabilities, self.name)
        if self.probabilities.min() < 0 or np.abs(self.probabilities.sum(axis=2) - 1).max() > 1e-3:
            raise DataError(f"{self.name}: probabilities must be from 0 and sum to 1; take from_logits for scores")

    @classmethod
    def from_logits(cls, logits: ArrayLike, ids: ArrayLike, name: str = "population") -> Population:
        """Return the population of these scores before the softmax, (K, n, C) or (n, C) for one model.

        >>> Population.from_logits([[[0.0, 0.0]]], ["a"]).probabilities
        array([[[0.5, 0.5]]])
        """
        scores = _three_axes(np.asarray(logits, np.float64), name)
        _require_numbers(scores, name)
        shares = np.exp(scores - scores.max(axis=2, keepdims=True))
        return cls(shares / shares.sum(axis=2, keepdims=True), np.asarray(ids, np.str_), name)

    @classmethod
    def from_probabilities(cls, probabilities: ArrayLike, ids: ArrayLike, name: str = "population") -> Population:
        """Return the population of these probabilities, (K, n, C) or (n, C) for one model."""
        return cls(_three_axes(np.asarray(probabilities, np.float64), name), np.asarray(ids, np.str_), name)

    @classmethod
    def from_labels(
        cls, predicted: ArrayLike, ids: ArrayLike, *, classes: int, name: str = "population"
    ) -> Population:
        """Return the population of predicted class numbers, (K, n) or (n,), each taken with certainty.

        Raises:
            InputError: a number is no class.
        """
        labels = np.atleast_2d(np.asarray(predicted))
        if labels.dtype.kind not in "iu" or labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
            raise InputError(f"{name}: predicted labels must be whole numbers from 0 to {classes - 1}")
        return cls(np.eye(classes)[labels], np.asarray(ids, np.str_), name)

    @property
    def models(self) -> int:
        """How many models, K."""
        return len(self.probabilities)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The class that each model takes for each example, (K, n)."""
        return np.asarray(self.probabilities.argmax(axis=2))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Population:
        """Return the population over these examples, by row number or mask."""
        return Population(self.probabilities[:, rows], self.ids[rows], self.name)


def _three_axes(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    if values.ndim not in (2, 3):
        raise InputError(f"{name}: scores must have shape (models, examples, classes), got {values.shape}")
    return values[None] if values.ndim == 2 else values


def _require_numbers(values: NDArray[np.float64], name: str) -> None:
    bad = np.count_nonzero(~np.isfinite(values).all(axis=2), axis=1)
    if bad.any():
        first = int(np.argmax(bad > 0))
        raise DataError(f"{name}: model {first} has no finite scores for {bad[first]} examples; leave the model out")


@dataclass(frozen=True, eq=False)
class Joined:
    """Two populations over the same examples, in the same order, and how many examples only one of them has."""

    before: Population
    after: Population
    only_before: int
    only_after: int


def join(before: Population, after: Population) -> Joined:
    """Bring two populations to the examples that both have, in the order of the first.

    Raises:
        InputError: the numbers of classes differ, or no example is in both.

    >>> one = Population.from_labels([0, 1, 1], ["a", "b", "c"], classes=2)
    >>> other = Population.from_labels([1, 1], ["c", "a"], classes=2)
    >>> joined = join(one, other)
    >>> joined.after.ids.tolist(), joined.only_before
    (['a', 'c'], 1)
    """
    classes = before.probabilities.shape[2], after.probabilities.shape[2]
    if classes[0] != classes[1]:
        raise InputError(f"{before.name} has {classes[0]} classes and {after.name} {classes[1]}; they must be the same")
    place = {one: k for k, one in enumerate(after.ids.tolist())}
    kept = np.array([k for k, one in enumerate(before.ids.tolist()) if one in place], np.int64)
    if not len(kept):
        raise InputError(f"{before.name} and {after.name} have no id in common; give both the ids of the same examples")
    there = np.array([place[one] for one in before.ids[kept].tolist()], np.int64)
    lost = len(before.ids) - len(kept), len(after.ids) - len(kept)
    return Joined(before.take(kept), after.take(there), *lost)


def modal_labels(probabilities: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the most frequent class over the models, ties to the highest mean probability, and where there was a tie.

    Args:
        probabilities: (K, n, C).

    Returns:
        (n,) classes, and (n,) whether another class was as frequent.

    >>> modal_labels(np.array([[[0.9, 0.1]], [[0.4, 0.6]]]))
    (array([0]), array([ True]))
    """
    classes = probabilities.shape[2]
    votes = probabilities.argmax(axis=2)
    counts = np.stack([(votes == c).sum(axis=0) for c in range(classes)], axis=1)
    ties = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return (2 * counts + probabilities.mean(axis=0)).argmax(axis=1), ties


def halves(
    models: int, size: int | None = None, *, seed: int = 0
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return every way to take two disjoint sets of so many models, or 200 drawn ones where there are more.

    Args:
        models: K.
        size: of either set; by default the half of K, rounded down, so that an odd one is left out in turn.
        seed: of the draw.

    >>> len(halves(6)), len(halves(5)), halves(2)
    (10, 15, [((0,), (1,))])
    """
    size = models // 2 if size is None else size
    if not 1 <= size <= models // 2:
        return []
    total = math.comb(models, size) * math.comb(models - size, size) // 2
    if total <= MOST_SPLITS:
        return list(_every_pair(models, size))
    rng = rng_for(seed, "audit", "halves", models, size)
    drawn = [rng.permutation(models)[: 2 * size] for _ in range(MOST_SPLITS)]
    return [(_ordered(one[:size]), _ordered(one[size:])) for one in drawn]


def _every_pair(models: int, size: int) -> itertools.chain[tuple[tuple[int, ...], tuple[int, ...]]]:
    def pairs(first: Sequence[int]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        left = [k for k in range(models) if k not in first]
        return [(tuple(first), other) for other in itertools.combinations(left, size) if tuple(first) < other]

    return itertools.chain.from_iterable(map(pairs, itertools.combinations(range(models), size)))


def _ordered(rows: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(sorted(int(k) for k in rows))
