"""The end of a search: choose among the best, score the winner once on final tasks, beside tuned opponents."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.evaluate import Evaluator
from selftaught.programs.islands import Found
from selftaught.programs.opponents import (
    CHEAP_RATES,
    MAX_TUNING,
    OPPONENTS,
    constant_fitness,
    linear_for,
    network_for,
    reference_fitness,
    tune,
)
from selftaught.programs.problems import Problem
from selftaught.programs.result import FitnessInterval, bootstrap
from selftaught.programs.tasksets import TaskSet

__all__ = ["Chosen", "Judge", "constant_beside"]

TUNING_SHARE = 0.1  # of the seconds given
SELECTION_SHARE = 0.1
NO_TIME = math.inf
NEAR = 0.01  # of fitness


@dataclass(frozen=True, eq=False)
class Chosen:
    """The winner of the selection.

    Args:
        found: the program.
        fitness: on every selection task.
        scored: how many candidates were scored.
        left: how many were not, for want of time.
    """

    found: Found
    fitness: NDArray[np.float64]
    scored: int
    left: int


class Judge:
    """Scores programs on the three sets of tasks, and knows what the end of a search will cost.

    Args:
        problem: the task sets.
        evaluator: of the search tasks.
        seconds: the budget of the whole run, or None.
    """

    def __init__(self, problem: Problem, evaluator: Evaluator, seconds: float | None) -> None:
        self.problem, self.evaluator = problem, evaluator
        self._seconds = seconds
        self._costs = {"linear": 0.0, "net": 0.0}
        self._reference: NDArray[np.float64] | None = None
        self._known: dict[object, NDArray[np.float64]] = {}

    @cached_property
    def selection(self) -> Evaluator:
        """Scores on the selection tasks."""
        return Evaluator(self.problem.selection, lanes=self.evaluator.lanes)

    @cached_property
    def final(self) -> Evaluator:
        """Scores on the final tasks."""
        return Evaluator(self.problem.final, lanes=self.evaluator.lanes)

    def warm_up(self) -> dict[str, float]:
        """Load what scoring needs and measure it; return what untuned opponents score on the search tasks."""
        classes = self.evaluator.tasks.num_classes
        scores: dict[str, float] = {}
        for name, programs in (
            ("linear", [linear_for(classes, rate) for rate in CHEAP_RATES]),
            ("net", [network_for(classes, rate, 0.1) for rate in CHEAP_RATES]),
        ):
            if not scores:
                self.evaluator.score_many(programs)  # loads the kernel and the engine
            began = time.perf_counter()
            scores[name] = float(self.evaluator.score_many(programs).mean(axis=1).max())
            self._costs[name] = (time.perf_counter() - began) / len(programs)
        return scores

    def prepare(self, seconds: float) -> None:
        """Do what the end needs and the search does not change: task sets, the reference on the final tasks.

        Args:
            seconds: for the reference, about; it is scored on one task at least.
        """
        _ = self.selection
        self._reference = reference_fitness(self.final.tasks, seconds=seconds)

    def _ratio(self, tasks: TaskSet) -> float:
        """Return how many times longer an evaluation is than one on the search tasks."""
        mine = self.evaluator.tasks
        return _work(tasks, self.evaluator.lanes) / _work(mine, self.evaluator.lanes)

    def tuning_seconds(self, programs: int) -> float:
        """Return what tuning both opponents may take."""
        wanted = min(programs, MAX_TUNING) * sum(self._costs.values()) * 1.1 + 0.01
        return wanted if self._seconds is None else min(wanted, TUNING_SHARE * self._seconds)

    def reserve(self, programs: int, candidates: int, seconds_each: float) -> float:
        """Return the seconds that the end of the search will take.

        Args:
            programs: proposed so far.
            candidates: programs to score on the selection tasks.
            seconds_each: what one of them takes on the search tasks.
        """
        selection = candidates * seconds_each * self._ratio(self.problem.selection)
        if self._seconds is not None:
            selection = min(selection, SELECTION_SHARE * self._seconds)
        final = (seconds_each + sum(self._costs.values())) * self._ratio(self.problem.final)
        return float(selection + self.tuning_seconds(programs) + 1.3 * final)

    def best_seconds(self, found: Found) -> float:
        """Measure what a program takes on the search tasks."""
        began = time.perf_counter()
        self.evaluator.score_many([found.program])
        return time.perf_counter() - began

    def choose(self, candidates: Sequence[Found], seconds: float = NO_TIME) -> Chosen:
        """Score candidates on the selection tasks, best first, until `seconds` are over; at least one is scored."""
        stop = time.perf_counter() + seconds
        ordered = sorted(candidates, key=lambda found: -found.fitness)
        best: tuple[tuple[float, float, int], Found, NDArray[np.float64]] | None = None
        scored = 0
        for found in ordered:
            if scored and time.perf_counter() >= stop:
                break
            fitness = self._known.get(found.program)
            if fitness is None:
                fitness = self._known[found.program] = self.selection.score(found.program)
            scored += 1
            rank = (float(fitness.mean()), found.fitness, -len(found.program))
            if best is None or rank > best[0]:
                best = (rank, found, fitness)
        if best is None:
            raise ValueError("no candidate to choose from")
        return Chosen(best[1], best[2], scored, len(ordered) - scored)

    def baselines(
        self, programs: int, deadline: float, *, seed: int, alive: Callable[[str], None]
    ) -> dict[str, FitnessInterval]:
        """Tune the opponents on the search tasks and score all on the final tasks.

        Args:
            programs: what the search was given; the opponents get as many evaluations, at most 2,000.
            deadline: `time.perf_counter()` by which all should be done.
            seed: seed of the tuning and of the intervals.
            alive: told a line now and then.
        """
        found: dict[str, FitnessInterval] = {}
        if self._reference is None:
            alive("scikit-learn on the final tasks")
            self._reference = reference_fitness(self.problem.final)
        final_cost = sum(self._costs.values()) * self._ratio(self.problem.final)
        total = min(deadline - time.perf_counter() - 1.3 * final_cost, self.tuning_seconds(programs))
        each = sum(self._costs.values())
        for name in OPPONENTS:
            alive(f"tuning the opponent {name!r}")
            share = self._costs[name] / each if each else 0.5
            left = min(max(0.0, total * share), max(0.0, deadline - time.perf_counter() - 1.3 * final_cost))
            tuned = tune(name, self.evaluator, evaluations=min(max(programs, 1), MAX_TUNING), seconds=left, seed=seed)
            found[name] = bootstrap(self.final.score(tuned.program), seed)
        found["reference"] = bootstrap(self._reference, seed)
        return found


def constant_beside(
    baselines: Mapping[str, FitnessInterval], winner: FitnessInterval, tasks: TaskSet, seed: int
) -> dict[str, FitnessInterval]:
    """Return the fitness of one answer to everything, where it is a contestant: near, or above, any of the others.

    The answer is the most frequent class, or the mean, of a task's training labels. With a rare class it can be hard
    to beat, and a program that only gives it has learned nothing.
    """
    constant = bootstrap(constant_fitness(tasks), seed)
    worst = min([winner.mean, *(one.mean for one in baselines.values())])
    return {"constant": constant} if constant.mean >= worst - NEAR else {}


def _work(tasks: TaskSet, lanes: int) -> float:
    rows = tasks.train_x.shape[1] * tasks.num_epochs + tasks.valid_x.shape[1] * tasks.num_epochs
    return float(-(-tasks.count // lanes) * rows)
