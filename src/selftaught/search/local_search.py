"""Local search: move to the first better neighbour, start again where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from selftaught.errors import InputError
from selftaught.search.searcher import BaseSearcher
from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Space
from selftaught.trial import Trial

__all__ = ["LocalSearch"]

_LOST = 100  # numbers after which a trial that was asked for and never told counts as lost


class LocalSearch(BaseSearcher):
    """Try all neighbours of a candidate in random order and move to the first strictly better one.

    A random candidate starts; where no neighbour is better, another random one does. Every evaluation counts,
    repeats included. Side by side, workers take the next neighbours of the list, but the move goes to the first
    better one *in the order of the list*, so that the path does not depend on the number of workers.

    Args:
        space: what may be proposed.
        seed: of all random numbers.

    Raises:
        InputError: no parameter has a second choice.

    >>> from selftaught.spaces import macro_stack
    >>> LocalSearch(macro_stack(), seed=2).ask(0).parent is None
    True
    """

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        super().__init__(space, seed=seed)
        if isinstance(space, ChoiceSpace) and all(len(p.choices) == 1 for p in space.parameters):
            raise InputError(f"space {space.name!r} has no parameter with two choices, so there are no neighbours")
        self._steps = 0  # lists begun; names the random numbers of the next one
        self._asked: dict[int, str] = {}  # what is being evaluated, so that it is not asked for twice
        self._restart()

    def _restart(self) -> None:
        """Begin at a random candidate, which is itself the first of the list."""
        start = self.space.sample(rng_for(self.seed, "start", self._steps))
        self._list = [start, *self._shuffled(start)]
        self._centre: tuple[float, int] | None = None
        self._begin()

    def _move(self, candidate: Any, value: float, number: int) -> None:
        self._list = self._shuffled(candidate)
        self._centre = (value, number)
        self._begin()

    def _shuffled(self, candidate: Any) -> list[Any]:
        found = list(self.space.neighbours(candidate))
        order = rng_for(self.seed, "neighbours", self._steps).permutation(len(found))
        return [found[place] for place in order]

    def _begin(self) -> None:
        self._steps += 1
        self._texts = [self.space.encode(candidate) for candidate in self._list]
        self._known: dict[str, tuple[float | None, int]] = {}
        self._next = 0  # the first place of the list that is not known

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        taken = {text for other, text in self._asked.items() if other != number and other > number - _LOST}
        for place in range(self._next, len(self._list)):
            text = self._texts[place]
            if text not in self._known and text not in taken:
                self._asked[number] = text
                return self._list[place], self._centre[1] if self._centre else None
        return self.space.sample(rng), None  # the rest of the list is being evaluated: the worker looks elsewhere

    def _learn(self, trial: Trial, value: float) -> None:
        self._note(trial, value)

    def _note_failure(self, trial: Trial) -> None:
        self._note(trial, None)

    def _note(self, trial: Trial, value: float | None) -> None:
        self._asked.pop(trial.number, None)
        self._known.setdefault(self.space.encode(trial.candidate), (value, trial.number))
        self._advance()

    def _advance(self) -> None:
        """Go through the list as far as it is known."""
        while self._next < len(self._list) and self._texts[self._next] in self._known:
            value, number = self._known[self._texts[self._next]]
            candidate = self._list[self._next]
            self._next += 1
            if self._centre is None:
                if value is None:  # a start that failed leads nowhere
                    self._restart()
                    return
                self._centre = (value, number)
            elif value is not None and value > self._centre[0]:
                self._move(candidate, value, number)
                return
        if self._next == len(self._list):
            self._restart()
