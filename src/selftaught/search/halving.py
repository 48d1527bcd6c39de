"""Successive halving: many candidates on a small budget, the best of them on larger ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from selftaught.errors import InputError
from selftaught.search.random_search import RandomSearch
from selftaught.search.searcher import BaseSearcher, Searcher, choices_of
from selftaught.spaces import ChoiceSpace, Parameter, Space
from selftaught.trial import Trial

__all__ = ["BUDGET", "SuccessiveHalving"]

#: the parameter that tells the objective how much to spend
BUDGET = "budget"


class SuccessiveHalving(BaseSearcher):
    """Raise the budget of the best 1/eta of those tried below it (arXiv 1502.07943; asynchronous: 1810.05934).

    Candidates carry one parameter more, "budget", which the objective reads: epochs, examples, whatever grows. Trials
    on the smallest budget come from a searcher of any kind, which learns from those trials only. Whenever some
    candidate is among the best 1/eta told at its budget and was not raised yet, it is raised next, highest budgets
    first; nothing waits for a round to be complete. Its trial names the one on the lower budget as its parent. The best
    of a study is the best of those tried on the largest budget.

    Args:
        space: of the candidates without a budget; a `ChoiceSpace`.
        seed: of all random numbers.
        budgets: from small to large.
        eta: one in eta is raised.
        searcher: proposes new candidates of `space`; random by default.

    Raises:
        InputError: fewer than two budgets, not increasing, eta below 2, or a space that has a budget already.

    >>> from selftaught.spaces import mlp
    >>> SuccessiveHalving(mlp(), budgets=(1, 3, 9)).ask(0).candidate["budget"]
    1
    """

    #: tells a study where the budget is, so that it picks among the trials that had most of it
    budget_parameter = BUDGET

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        budgets: Sequence[int] = (1, 3, 9, 27),
        eta: int = 3,
        searcher: Searcher | None = None,
    ) -> None:
        choices = choices_of(space, "successive halving")
        if len(budgets) < 2 or list(budgets) != sorted(set(budgets)):
            raise InputError(f"budgets must be at least two, from small to large, got {list(budgets)}")
        if eta < 2:
            raise InputError(f"eta must be at least 2, got {eta}")
        self.budgets = tuple(budgets)
        self.eta = eta
        self._inner = searcher if searcher is not None else RandomSearch(space, seed=seed)
        spent = Parameter(BUDGET, self.budgets, weight=0.0, ordered=True)
        super().__init__(ChoiceSpace(f"{space.name} by budget", (*choices.parameters, spent)), seed=seed)
        self._rungs: list[list[tuple[float, int, Any]]] = [[] for _ in self.budgets]  # (score, number, candidate)
        self._raised: set[int] = set()  # trials whose candidate was told on a larger budget
        self._asked: dict[int, int] = {}  # trial -> the trial that it raises, while it is being evaluated

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        self._asked.pop(number, None)
        for rung in reversed(range(len(self.budgets) - 1)):
            found = self._promotable(rung)
            if found is not None:
                _, parent, candidate = found
                self._asked[number] = parent
                return {**candidate, BUDGET: self.budgets[rung + 1]}, parent
        new = self._inner.ask(number)
        return {**new.candidate, BUDGET: self.budgets[0]}, new.parent

    def _promotable(self, rung: int) -> tuple[float, int, Any] | None:
        told = self._rungs[rung]
        best = sorted(told, key=lambda entry: (-entry[0], entry[1]))[: len(told) // self.eta]
        busy = {*self._raised, *self._asked.values()}
        return next((entry for entry in best if entry[1] not in busy), None)

    def _learn(self, trial: Trial, value: float) -> None:
        self._end(trial, value)

    def _note_failure(self, trial: Trial) -> None:
        self._end(trial, None)

    def _end(self, trial: Trial, value: float | None) -> None:
        self._asked.pop(trial.number, None)
        candidate = dict(trial.candidate)
        rung = self.budgets.index(candidate.pop(BUDGET))
        if rung == 0:
            self._inner.tell(replace(trial, candidate=candidate))
        elif trial.parent is not None:
            self._raised.add(trial.parent)
        if value is not None:
            self._rungs[rung].append((value, trial.number, candidate))
