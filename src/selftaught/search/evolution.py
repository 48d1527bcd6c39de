"""Evolution with tournaments, in which members leave by age or by score."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from selftaught.errors import InputError, require_one_of
from selftaught.search.searcher import BaseSearcher, choices_of
from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Space
from selftaught.trial import Trial

__all__ = ["Mutation", "RegularizedEvolution", "Removal"]

Removal = Literal["oldest", "worst", "worst-of-sample"]
Mutation = Literal["uniform", "group-first"]
_LONG = 100  # trials from which the larger population pays, measured on NAS-Bench-201


class RegularizedEvolution(BaseSearcher):
    """Mutate the best of a random sample of the population ("Regularized Evolution ...", arXiv 1802.01548).

    The first `population` trials are random. Then each draws `sample` members with replacement and changes one
    choice of the best of them (the first drawn, on ties). The child enters when it is told, and one member leaves.

    Args:
        space: what may be proposed.
        seed: of all random numbers.
        population: P, members; 64 where the budget is at least 100 trials or unknown, else 10.
        sample: S, members drawn for a parent; 16, or 3 where the population is 10.
        removal: who leaves. "oldest" is ageing evolution: the population is the last P told. "worst" keeps the best
            P ever told. "worst-of-sample" removes the worst of the sample that the parent was drawn from.
        mutation: "uniform" over the parameters by their weights, or "group-first": a group, then one of its
            parameters (a node, then one of its edges, for cells).
        no_change: probability that a child is its parent again, to be scored anew where scores are noisy.
        budget: trials that the search will have, where that is known; used for the defaults only.

    Raises:
        InputError: P below 2, S below 1, a probability out of range, or a space with nothing to mutate.

    >>> from selftaught.spaces import macro_stack
    >>> RegularizedEvolution(macro_stack(), budget=50).population
    10
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        population: int | None = None,
        sample: int | None = None,
        removal: Removal = "oldest",
        mutation: Mutation = "uniform",
        no_change: float = 0.0,
        budget: int | None = None,
    ) -> None:
        super().__init__(space, seed=seed)
        few = budget is not None and budget < _LONG
        self.population = population if population is not None else 10 if few else 64
        self.sample = sample if sample is not None else 3 if self.population <= 10 else 16
        self.removal = removal
        self.no_change = no_change
        self._mutator = _mutator(space, mutation)
        self._members: list[tuple[float, Trial]] = []
        self._check()

    def _check(self) -> None:
        if self.population < 2:
            raise InputError(f"population must be at least 2, got {self.population}")
        if self.sample < 1:
            raise InputError(f"sample must be at least 1, got {self.sample}")
        if not 0 <= self.no_change < 1:
            raise InputError(f"no_change must be in [0, 1), got {self.no_change}")
        require_one_of("removal", self.removal, get_args(Removal))

    def remarks(self, trials: int) -> list[str]:
        """Say what is worth knowing of a search with so many trials."""
        if trials > self.population:
            return []
        return [f"{trials} trials do not exceed the population of {self.population}: this was random search"]

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        if len(self._members) < self.population:
            return self.space.sample(rng), None
        drawn = self._drawn(rng)
        parent = self._members[max(drawn, key=lambda place: self._members[place][0])][1]
        if self.no_change and rng.random() < self.no_change:
            return parent.candidate, parent.number
        return self._mutator.mutate(parent.candidate, rng), parent.number

    def _drawn(self, rng: np.random.Generator) -> list[int]:
        return [int(place) for place in rng.integers(len(self._members), size=self.sample)]

    def _learn(self, trial: Trial, value: float) -> None:
        full = len(self._members) == self.population
        leaver = self._leaver(trial, value) if full else None
        self._members.append((value, trial))
        if leaver is not None:
            del self._members[leaver]

    def _leaver(self, trial: Trial, value: float) -> int:
        """Return the place of the member that leaves; the place after the last is the child itself."""
        if self.removal == "oldest":
            return 0
        if self.removal == "worst":
            values = [member for member, _ in self._members]
            worst = min(range(len(values)), key=values.__getitem__)
            return worst if values[worst] <= value else len(values)
        # The sample is drawn again as it was asked: it follows from the trial's number alone.
        drawn = self._drawn(rng_for(self.seed, trial.number))
        return min(drawn, key=lambda place: self._members[place][0])


def _mutator(space: Space, mutation: Mutation) -> Space:
    """Return the space that mutates as asked, or raise where nothing can be mutated."""
    require_one_of("mutation", mutation, get_args(Mutation))
    if mutation == "uniform" and not isinstance(space, ChoiceSpace):
        return space
    space = choices_of(space, "group-first mutation")
    if not any(parameter.mutable for parameter in space.parameters):
        raise InputError(f"space {space.name!r} has no parameter with two choices, so evolution cannot mutate")
    return space.weighted_by_group() if mutation == "group-first" else space
