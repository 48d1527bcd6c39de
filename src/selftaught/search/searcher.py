"""Who proposes: the contract of a searcher, and what most searchers share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np

from selftaught.errors import InputError
from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Space
from selftaught.trial import Trial

__all__ = ["BaseSearcher", "Searcher", "choices_of", "value_of"]


@runtime_checkable
class Searcher(Protocol):
    """What proposes candidates; it never evaluates them and touches neither a store nor a runner.

    `ask(number)` returns a trial without a score: its candidate, and the number of the trial it came from, if any.
    Several trials may be asked for before one is told. `tell(trial)` takes a finished trial, once a number, in the
    order in which trials end; trials that were never asked for (a user's own candidates) are welcome. A trial
    without a finite score has failed: it is remembered as done and otherwise ignored.

    **Replay law.** A fresh searcher of the same settings, told the same trials in the same order, asks the same
    next candidate. So random numbers come from `rng_for(seed, number)`, and nothing else is remembered but what
    follows from what was told; what was asked and not yet told may be kept in mind only to spare double work.
    """

    @property
    def space(self) -> Space: ...
    def ask(self, number: int) -> Trial: ...
    def tell(self, trial: Trial) -> None: ...


def value_of(trial: Trial) -> float | None:
    """Return the finite score of a trial, or None where it failed.

    >>> value_of(Trial(0, {}, error="out of memory")) is None
    True
    """
    if trial.error is not None or trial.score is None or not math.isfinite(trial.score.value):
        return None
    return float(trial.score.value)


def choices_of(space: Space, who: str) -> ChoiceSpace:
    """Return the space as one of choices.

    Raises:
        InputError: it is of another kind, which the searcher named cannot do with.
    """
    if not isinstance(space, ChoiceSpace):
        raise InputError(f"{who} needs a ChoiceSpace, got {type(space).__name__}; random search takes any space")
    return space


class BaseSearcher(ABC):
    """Checks what is asked and told, and leaves two things to do: propose, and learn.

    Args:
        space: what may be proposed.
        seed: of all random numbers; those of a trial come from `rng_for(seed, number)`.

    Raises:
        InputError: a number is negative, asked after it was told, or told twice; or a candidate is not of the space.
    """

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        self.space = space
        self.seed = seed
        self._told: set[int] = set()

    def ask(self, number: int) -> Trial:
        """Return the trial of a number, to be evaluated and told."""
        if number < 0:
            raise InputError(f"trials are numbered from 0, got {number}")
        if number in self._told:
            raise InputError(f"trial {number} was told already; ask for a new number")
        candidate, parent = self._propose(number, rng_for(self.seed, number))
        return Trial(number, candidate, parent)

    def tell(self, trial: Trial) -> None:
        """Learn from a finished trial."""
        if trial.number in self._told:
            raise InputError(f"trial {trial.number} was told already; each is told once")
        self.space.validate(trial.candidate)
        self._told.add(trial.number)
        value = value_of(trial)
        if value is None:
            self._note_failure(trial)
        else:
            self._learn(trial, value)

    @abstractmethod
    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        """Return a candidate and the number of its parent, or None."""

    def _learn(self, trial: Trial, value: float) -> None:  # noqa: B027
        """Take in a trial with a finite score."""

    def _note_failure(self, trial: Trial) -> None:  # noqa: B027
        """Take in a trial without one; it is in no population, baseline or batch."""
