"""Evolution over several scores at once: a parent is a random member of the front of a tournament."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from selftaught.errors import InputError, require_one_of
from selftaught.search.rewards import Direction, pareto_front, values_of
from selftaught.search.searcher import BaseSearcher
from selftaught.spaces import Space
from selftaught.trial import Trial

__all__ = ["Fill", "ParetoEvolution", "Winner"]

Winner = Literal["front", "mean"]
Fill = Literal["random", "mutants"]


class ParetoEvolution(BaseSearcher):
    """Mutate a random member of a tournament's Pareto front ("Evolving Normalization-Activation Layers", 2004.02967).

    A population of the last trials told; the oldest leaves. With one score the winner is the best of the tournament.
    A winner by the mean of all scores can ride on the easiest of them; a random member of the front cannot.

    Args:
        space: what may be proposed.
        seed: of all random numbers.
        objectives: metric or "score" -> direction; the score alone where None.
        population: P, members.
        tournament: members drawn for a parent, with replacement; 5 % of P, at least 3, where None.
        winner: "front", or "mean": the member with the largest mean, negated where an objective is minimised.
        fill: who comes before the population is full: "random" candidates, or "mutants" of those told, as soon as
            there is one.

    Raises:
        InputError: P below 2, a tournament below 1, or an unknown word.

    >>> from selftaught.spaces import macro_stack
    >>> ParetoEvolution(macro_stack(), objectives={"score": "maximise"}, population=50).tournament
    3
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        objectives: Mapping[str, Direction] | None = None,
        population: int = 50,
        tournament: int | None = None,
        winner: Winner = "front",
        fill: Fill = "random",
    ) -> None:
        super().__init__(space, seed=seed)
        self.objectives: dict[str, Direction] = dict(objectives or {"score": "maximise"})
        self.population = population
        self.tournament = tournament if tournament is not None else max(3, population // 20)
        self.winner, self.fill = winner, fill
        self._members: list[Trial] = []
        if population < 2:
            raise InputError(f"population must be at least 2, got {population}")
        if self.tournament < 1:
            raise InputError(f"tournament must be at least 1, got {tournament}")
        require_one_of("winner", winner, get_args(Winner))
        require_one_of("fill", fill, get_args(Fill))

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        full = len(self._members) == self.population
        if not self._members or not (full or self.fill == "mutants"):
            return self.space.sample(rng), None
        drawn = [self._members[place] for place in rng.integers(len(self._members), size=self.tournament)]
        parent = self._best(drawn, rng)
        return self.space.mutate(parent.candidate, rng), parent.number

    def _best(self, drawn: list[Trial], rng: np.random.Generator) -> Trial:
        if self.winner == "mean":
            return max(drawn, key=lambda trial: sum(values_of(trial, self.objectives) or [-np.inf]))
        front = pareto_front(list({trial.number: trial for trial in drawn}.values()), self.objectives)
        return front[int(rng.integers(len(front)))]

    def _learn(self, trial: Trial, value: float) -> None:
        if values_of(trial, self.objectives) is not None:
            self._members = [*self._members, trial][-self.population :]
