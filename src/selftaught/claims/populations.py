"""Populations to time the kernel on: drawn at random, or bred by the classic search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from selftaught.claims.searching import problem_of
from selftaught.claims.timing import Batch
from selftaught.programs import layout as at
from selftaught.programs.program import Program
from selftaught.programs.search import Island
from selftaught.programs.tasksets import TaskSet

__all__ = ["KINDS", "batch_of", "population"]

_FULL: Mapping[str, Any] = {
    "operators": "full", "sizes": "21/21/45", "slots": "8/14/3", "num_tasks": 16, "population": 100,
}  # fmt: skip
#: name -> (built-in task, options of `evolve`)
KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bred with six operators": ("linear_regression", {"preset": "linear_test", "num_tasks": 16, "population": 100}),
    "bred with all operators, linear tasks": ("linear_regression", {**_FULL, "start": "empty"}),
    "bred with all operators, teacher tasks": ("two_layer_teacher", {**_FULL, "start": "empty"}),
    "bred from the network": ("two_layer_teacher", {**_FULL, "start": "network"}),
    "random, all operators": ("linear_regression", {**_FULL, "search": "random"}),
}


def batch_of(program: Program, copies: int) -> Batch:
    """Return copies of one program with the slots it needs."""
    code, sizes = program.encode()
    scalars, vectors, matrices = program.slots()
    return np.repeat(code[None], copies, 0), np.repeat(sizes[None], copies, 0), (scalars, vectors, matrices)


def population(kind: str, *, programs: int, features: int, seed: int, rows: int = 1000) -> tuple[Batch, TaskSet, float]:
    """Return the members of a classic search after so many programs, its tasks and the best fitness.

    Args:
        kind: a name of `KINDS`.
        programs: proposed before the population is looked at.
        features: F.
        seed: of tasks and search.
        rows: training examples a task.
    """
    data, options = KINDS[kind]
    chosen = {"search": "classic", **options, "features": features, "seed": seed, "num_train": rows}
    problem = problem_of(data, chosen)
    island = Island(problem.settings, problem.search)
    island.target = 2.0
    while island.programs < programs:
        island.run(programs, 1_000_000)
    filled = island.counts()["filled"]
    sizes = island.rows[:filled, at.R_SIZES : at.R_SIZES + 3]
    batch = (island.codes[:filled].copy(), np.ascontiguousarray(sizes), problem.settings.slots)
    return batch, problem.search, island.best_fitness()
