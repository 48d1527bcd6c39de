"""Which places of a model's tensors stand or fall together, when channels are removed.

Every place along every axis of a parameter gets a number. The exported graph is walked once, and operations join the
numbers of places that belong together: the outputs of a layer, the normalisation behind it, the inputs of the next. An
operation that is not known fixes the places it sees: they can never be removed, and the reason is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIXED", "Coupling", "Labels", "Places", "reshaped"]

FIXED = 0  # the number of places that no layer owns: the input's, pixels, time

#: (size,): the number of each place along one axis.
Places = NDArray[np.int64]
#: One `Places` an axis.
Labels = list[Places]


class Coupling:
    """Sets of places that are removed together or not at all.

    >>> held = Coupling()
    >>> one, two = held.fresh(3), held.fresh(3)
    >>> held.join(one, two, "test")
    >>> held.fix(two[:1], "seen outside")
    >>> held.roots(one).tolist() == held.roots(two).tolist(), held.reason(int(one[0])), held.reason(int(one[1]))
    (True, 'seen outside', '')
    """

    def __init__(self) -> None:
        self._parents = [FIXED]
        self._reasons: dict[int, str] = {FIXED: "no layer owns it"}

    def fresh(self, size: int) -> Places:
        """Return new numbers, each a set of its own."""
        first = len(self._parents)
        self._parents.extend(range(first, first + size))
        return np.arange(first, first + size, dtype=np.int64)

    def fixed(self, size: int) -> Places:
        """Return places that no layer owns."""
        return np.full(size, FIXED, dtype=np.int64)

    def root(self, place: int) -> int:
        """Return the number that stands for the whole set."""
        root = place
        while self._parents[root] != root:
            root = self._parents[root]
        while self._parents[place] != root:
            self._parents[place], place = root, self._parents[place]
        return root

    def roots(self, places: Iterable[int]) -> Places:
        """Return the root of each place."""
        return np.array([self.root(int(one)) for one in places], dtype=np.int64)

    def join(self, one: Sequence[int] | Places, two: Sequence[int] | Places, reason: str) -> None:
        """Put places together pair by pair; `reason` is why one is fixed that meets a fixed one."""
        for first, second in zip(one, two, strict=True):
            left, right = self.root(int(first)), self.root(int(second))
            if left == right:
                continue
            if FIXED in (left, right):
                self._reasons.setdefault(max(left, right), reason)
                continue
            self._parents[right] = left
            if right in self._reasons:
                self._reasons.setdefault(left, self._reasons.pop(right))

    def fix(self, places: Iterable[int], reason: str) -> None:
        """Say that places cannot be removed."""
        for one in places:
            self._reasons.setdefault(self.root(int(one)), reason)

    def reason(self, place: int) -> str:
        """Return why a place cannot be removed, or ""."""
        return self._reasons.get(self.root(place), "")

    def owned(self, places: Places) -> bool:
        """Whether any of the places belongs to a layer and is not fixed."""
        return any(one != FIXED and not self.reason(int(one)) for one in np.unique(places))


def reshaped(held: Coupling, labels: Labels, shape: Sequence[int], reason: str) -> Labels:
    """Follow a reshape: axes that are merged keep their numbers, axes that are split become fixed.

    Args:
        held: where sets are kept.
        labels: of the old shape.
        shape: the new one.
        reason: given where something is fixed.

    >>> held = Coupling()
    >>> merged = reshaped(held, [held.fixed(2), held.fresh(3), held.fixed(2)], (2, 6), "view")
    >>> merged[1].tolist()
    [1, 1, 2, 2, 3, 3]
    """
    found: Labels = []
    old = 0
    while len(found) < len(shape):
        taken, given = labels[old : old + 1], list(shape[len(found) : len(found) + 1])
        old += 1
        while (left := _product(len(one) for one in taken)) != (right := _product(given)):
            if left < right:
                taken.append(labels[old])
                old += 1
            else:
                given.append(shape[len(found) + len(given)])
        found += _group(held, taken, given, reason)
    return found


def _product(sizes: Iterable[int]) -> int:
    return int(np.prod(list(sizes), dtype=np.int64))


def _group(held: Coupling, taken: Labels, given: Sequence[int], reason: str) -> Labels:
    """Follow old axes that become new axes with as many places together."""
    long = [one for one in taken if len(one) > 1]
    targets = [size for size in given if size > 1]
    if len(targets) > 1:
        for one in long:
            held.fix(one[one != FIXED], f"{reason} splits its axis")
        return [held.fixed(size) for size in given]
    owned = [place for place, one in enumerate(long) if held.owned(one)]
    if len(owned) > 1:
        for one in long:
            held.fix(one[one != FIXED], f"{reason} merges it with another layer's axis")
        owned = []
    if not targets:
        return [taken[0] if place == 0 and len(taken) == 1 else held.fixed(1) for place, _ in enumerate(given)]
    merged = held.fixed(targets[0])
    if owned or len(long) == 1:
        place = owned[0] if owned else 0
        axes = [len(one) if number == place else 1 for number, one in enumerate(long)]
        merged = np.broadcast_to(long[place].reshape(axes), [len(one) for one in long]).reshape(-1)
    return [merged if size > 1 else held.fixed(1) for size in given]
