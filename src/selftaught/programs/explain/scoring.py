"""Fitness of variants of a program on unseen tasks under several evaluation seeds, and what chance alone moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.programs.evaluate import Evaluator, kind_of
from selftaught.programs.kernel import load_kernel
from selftaught.programs.program import Program
from selftaught.programs.tasksets import TaskSet
from selftaught.seeds import rng_for, seed_for

__all__ = ["LEAST_FLOOR", "Scorer", "spread_of"]

LEAST_FLOOR = 1e-4  # a fitness is shown with four digits; a smaller loss is none to a reader
RESAMPLES = 1000


class Scorer:
    """Scores programs on one set of tasks under several evaluation seeds.

    An evaluation seed sets the random streams inside programs and the order of the training examples: seed 0
    keeps the stored order, every other one permutes it.

    Args:
        tasks: the tasks.
        seeds: how many evaluation seeds.
        seed: the seed of all of them.

    Raises:
        InputError: fewer than 1 evaluation seed.
    """

    def __init__(self, tasks: TaskSet, *, seeds: int = 3, seed: int = 0) -> None:
        if seeds < 1:
            raise InputError(f"at least 1 evaluation seed is needed, got {seeds}")
        self.tasks = tasks
        self.kind = kind_of(tasks)
        self._seeds, self._seed = seeds, seed
        self._evaluators: dict[int, Evaluator] = {}
        # 8 and 16 lanes are what a search compiles; asking for 32 would cost half a minute the first time.
        self._kernel = load_kernel(tasks.features, 8 if tasks.count <= 8 else 16, quiet=True)

    def _evaluator(self, number: int) -> Evaluator:
        if number not in self._evaluators:
            self._evaluators[number] = Evaluator(self._shuffled(number), kernel=self._kernel)
        return self._evaluators[number]

    def _shuffled(self, number: int) -> TaskSet:
        tasks = self.tasks
        seed = seed_for(self._seed, "explain", "evaluation", number) >> 1
        if number == 0:
            return replace(tasks, seed=seed)
        order = rng_for(self._seed, "explain", "order", number).permutation(tasks.train_x.shape[1])
        return replace(tasks, train_x=tasks.train_x[:, order], train_y=tasks.train_y[:, order], seed=seed)

    def score_each(self, programs: Sequence[Program]) -> NDArray[np.float64]:
        """Return the fitness (seeds, n, D) of programs, all of a seed in one batch."""
        return np.stack([self._evaluator(number).score_many(programs) for number in range(self._seeds)])

    def score(self, programs: Sequence[Program]) -> NDArray[np.float64]:
        """Return the fitness (n, D) of programs on every task, the mean over the evaluation seeds."""
        mean: NDArray[np.float64] = self.score_each(programs).mean(axis=0)
        return mean

    def floor(self, program: Program, *, repeats: int = 8) -> float:
        """Return the noise floor: the loss of mean fitness that chance alone explains.

        The null is the same program on the same tasks under evaluation seeds that nothing else uses (other random
        streams, other orders of the training examples). Two such means over `seeds` evaluations differ by 1.96
        times the deviation below in 5 % of the cases. A floor is at least 1e-4.
        """
        means = [self._evaluator(number).score_many([program]).mean() for number in range(1000, 1000 + max(repeats, 2))]
        deviation = float(np.std(means, ddof=1))
        return max(LEAST_FLOOR, 1.96 * deviation * float(np.sqrt(2 / self._seeds)))


def spread_of(differences: NDArray[np.float64], *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of 95 % percentile bootstrap intervals over tasks (Efron, 1979) of means.

    Args:
        differences: (n, D), the same tasks in every row, so that all rows are resampled alike.
        seed: of the draws.

    Returns:
        (low, high), each (n,).
    """
    count = differences.shape[1]
    drawn = rng_for(seed, "explain", "bootstrap", count).integers(count, size=(RESAMPLES, count))
    weights = np.zeros((count, RESAMPLES))
    for number, row in enumerate(drawn):
        weights[:, number] = np.bincount(row, minlength=count) / count
    low, high = np.percentile(differences @ weights, [2.5, 97.5], axis=1)
    return low, high
