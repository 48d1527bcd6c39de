"""Pairs of classes: which are for the search, which are held out for the final test, and their rows."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.set_apart import strata
from selftaught.errors import DataError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

__all__ = ["HELD_OUT_OF_TEN", "NUM_PROJECTIONS", "allowed_pairs", "check_classes", "default_sizes", "pair_rows"]

Role = Literal["search", "selection", "final"]
Pair = tuple[int, int]
Rows = NDArray[np.int64]

HELD_OUT_OF_TEN: tuple[Pair, ...] = ((0, 5), (0, 9), (1, 8), (2, 9), (3, 5), (3, 6), (3, 8), (4, 6), (8, 9))
NUM_PROJECTIONS = 100
MIN_CLASS = 20


def allowed_pairs(num_classes: int, *, role: Role, seed: int) -> list[Pair]:
    """Return the class pairs (i, j), i < j, that the tasks of a role may use.

    Final tasks use held-out pairs that no search or selection task uses: for 10 classes those of AutoML-Zero
    (arXiv 2003.03384), otherwise a fifth of the pairs (at least one) drawn by the seed. Two classes have one
    pair only, which then serves every role.

    >>> allowed_pairs(10, role="final", seed=0)[:2]
    [(0, 5), (0, 9)]
    """
    pairs = list(combinations(range(num_classes), 2))
    if len(pairs) == 1:
        return pairs
    if num_classes == 10:
        held_out = set(HELD_OUT_OF_TEN)
    else:
        size = max(1, round(0.2 * len(pairs)))
        chosen = rng_for(seed, "tasks", "held-out pairs").choice(len(pairs), size, replace=False)
        held_out = {pairs[i] for i in chosen}
    return [pair for pair in pairs if (pair in held_out) == (role == "final")]


def default_sizes(examples: Examples, free: Rows, test: Rows) -> tuple[int, int]:
    """Return (num_train, num_valid) that every pair of classes can give, at most 8,000 and 1,000.

    With m free rows in the smallest class, 22 % of 2 m validate and the rest trains, rounded down
    to tens and fifties (to even numbers where small): 200 and 60 for the digits, 8,000 and 1,000 for CIFAR-10.

    Raises:
        DataError: a class has fewer than 20 examples.
    """
    classes = strata(examples)
    counts = np.bincount(classes, minlength=examples.num_classes)
    if counts.min() < MIN_CLASS:
        smallest = int(np.argmin(counts))
        raise DataError(
            f"class {examples.class_names[smallest]!r} of {examples.name!r} has {counts[smallest]} "
            "examples; pairs need at least "
            f"{MIN_CLASS} of every class: drop the class, give num_train and num_valid, or learn all classes at once "
            "(kind='classes', --task classes)"
        )
    available = 2 * int(np.bincount(classes[free], minlength=examples.num_classes).min())
    tested = 2 * int(np.bincount(classes[test], minlength=examples.num_classes).min())
    num_valid = min(1000, _round_down(int(0.22 * available), 10), tested)
    num_train = min(8000, _round_down(available - num_valid, 50))
    return num_train, num_valid


def _round_down(value: int, step: int) -> int:
    return value // step * step if value >= step else value // 2 * 2


def check_classes(examples: Examples, free: Rows, test: Rows, *, num_train: int, num_valid: int) -> None:
    """Check that any pair can give its rows in every role.

    Raises:
        DataError: a class is too small; the text names the class and the count.
    """
    classes = strata(examples)
    in_free = np.bincount(classes[free], minlength=examples.num_classes)
    in_test = np.bincount(classes[test], minlength=examples.num_classes)
    free_needed = (num_train + 1) // 2 + (num_valid + 1) // 2
    test_needed = (num_valid + 1) // 2
    for k, name in enumerate(examples.class_names):
        if in_free[k] < free_needed or in_test[k] < test_needed:
            raise DataError(
                f"class {name!r} of {examples.name!r} has {in_free[k] + in_test[k]} examples, "
                f"{in_test[k]} of them set apart for the "
                f"final test; num_train={num_train} and num_valid={num_valid} need {free_needed} others "
                f"and {test_needed} set apart: "
                "ask for fewer"
            )


def pair_rows(rng: np.random.Generator, rows: Rows, classes: Rows, pair: Pair, sizes: list[int]) -> list[Rows]:
    """Draw disjoint, shuffled sets of rows, each half of the first class and half of the second.

    Args:
        rng: the generator.
        rows: (m,) row numbers to draw from.
        classes: (n,) class number of every row of the data set.
        pair: the two classes.
        sizes: how many rows each set has.
    """
    first, second = (rng.permutation(rows[classes[rows] == k]) for k in pair)
    sets, used_first, used_second = [], 0, 0
    for size in sizes:
        of_first = (size + 1) // 2
        of_second = size - of_first
        drawn = (first[used_first : used_first + of_first], second[used_second : used_second + of_second])
        sets.append(rng.permutation(np.concatenate(drawn)))
        used_first += of_first
        used_second += of_second
    return sets
