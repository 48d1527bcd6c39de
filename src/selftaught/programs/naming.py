"""Name the techniques of a run's improvements as they come, within a small share of its time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from selftaught.errors import SelftaughtError
from selftaught.programs.opponents import constant_fitness
from selftaught.programs.program import Program
from selftaught.programs.result import Improvement
from selftaught.programs.tasksets import TaskSet
from selftaught.writing import write_atomically

__all__ = ["Naming"]

SHARE = 0.03  # of the time since the start
LEARNED = 0.04  # of the way from one answer to everything to a fitness of 1: with less a program has learned nothing
AT_ONCE = 1.0  # seconds of naming that a run may always spend, so that the first seconds have names
Key = tuple[int, int, int]


class Naming:
    """The techniques of improvements, by `explain.name_techniques` on the search tasks.

    A program that is no better than one answer to everything may well take gradient steps, on a prediction that has
    nothing to learn: its techniques are not named.

    Args:
        tasks: the search tasks.
    """

    def __init__(self, tasks: TaskSet) -> None:
        self._tasks = tasks
        constant = float(constant_fitness(tasks).mean())
        self._floor = constant + LEARNED * (1.0 - constant)
        self._names: dict[Key, tuple[str, ...]] = {}
        self._spent = 0.0
        self._best = -np.inf

    def watch(self, found: Improvement, *, elapsed: float) -> tuple[str, ...] | None:
        """Return the techniques of an improvement over all before; None when it is none, or when time is short."""
        if found.fitness <= self._best:
            return None
        self._best = found.fitness
        if self._spent > max(AT_ONCE, SHARE * elapsed):
            return None
        return self._name(found)

    def finish(self, history: Sequence[Improvement], *, seconds: float) -> None:
        """Name what was passed over until the seconds are over; the best is always named.

        The best of their time come first, the latest before the others, then the improvements of single islands, which
        the line of descent leads through.
        """
        stop = time.perf_counter() + seconds
        best = best_so_far(history)[::-1]
        kept = {_key(found) for found in best}
        others = [found for found in reversed(history) if _key(found) not in kept]
        for number, found in enumerate([*best, *others]):
            if number and time.perf_counter() >= stop:
                return
            self._name(found)

    def save(self, path: Path, history: Sequence[Improvement]) -> None:
        """Write a list with the techniques of every named improvement, in the order they were found."""
        moments = [
            {
                "programs": found.programs,
                "elapsed": found.elapsed,
                "fitness": found.fitness,
                "techniques": list(self._names[_key(found)]),
                "island": found.island,
            }
            for found in sorted(history, key=lambda one: one.elapsed)
            if _key(found) in self._names
        ]
        write_atomically(path, (json.dumps(moments, indent=1) + "\n").encode())

    def of(self, program: Program, fitness: float) -> tuple[str, ...]:
        """Return the techniques of a program of this mean fitness, on these tasks or on others of their kind."""
        if fitness < self._floor:
            return ()
        from selftaught.programs.explain.techniques import name_techniques

        try:
            return tuple(one.name for one in name_techniques(program, self._tasks))
        except (SelftaughtError, ArithmeticError, np.linalg.LinAlgError):
            return ()  # experiments on a wild program may fail; that names nothing and must not end a search

    def _name(self, found: Improvement) -> tuple[str, ...]:
        key = _key(found)
        if key not in self._names:
            began = time.perf_counter()
            self._names[key] = self.of(found.program, found.fitness)
            self._spent += time.perf_counter() - began
        return self._names[key]


def best_so_far(history: Sequence[Improvement]) -> list[Improvement]:
    """Return the improvements over all islands, in the order they were found."""
    best, kept = -np.inf, []
    for found in sorted(history, key=lambda one: one.elapsed):
        if found.fitness > best:
            best = found.fitness
            kept.append(found)
    return kept


def _key(found: Improvement) -> Key:
    return found.island, found.programs, found.parent
