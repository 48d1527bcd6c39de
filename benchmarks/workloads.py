"""Programs to time: written by hand, drawn at random, evolved; each with ways to run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.searches import Search, SetUp
from selftaught.programs import layout as at
from selftaught.programs.classic import random_program
from selftaught.programs.evaluate import Evaluator, evaluate_batch, shape_of
from selftaught.programs.program import Program
from selftaught.programs.reference import evaluate_reference
from selftaught.programs.streams import start_stream
from selftaught.programs.tasksets import TaskSet

__all__ = [
    "Batch",
    "batch_of",
    "evaluate_with_kernel",
    "evaluate_with_reference",
    "evolved_batch",
    "mean_fitness",
    "random_batch",
]

#: Every operator but the draws of one scalar and the Gaussians: what Predict and Learn of random programs hold.
BODY = (*range(59), 60, 61)
FILLS = (60, 61)
SETUP = tuple(range(56, 65))
SLOTS = (10, 14, 4)

Pass = Callable[[], dict[str, float]]


@dataclass(frozen=True, eq=False)
class Batch:
    """Encoded programs: codes (n, m, 4), sizes (n, 3), and the slot counts they share."""

    codes: NDArray[np.int32]
    sizes: NDArray[np.int64]
    slots: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.codes)

    def program(self, i: int) -> Program:
        """Return one program of the batch."""
        return Program.decode(self.codes[i], self.sizes[i])


def batch_of(program: Program, copies: int = 1) -> Batch:
    """Return copies of one program with the slots it needs."""
    code, sizes = program.encode()
    scalars, vectors, matrices = program.slots()
    return Batch(
        np.repeat(code[None], copies, axis=0), np.repeat(sizes[None], copies, axis=0), (scalars, vectors, matrices)
    )


def random_batch(count: int, sizes: tuple[int, int, int], *, fills: bool = True, seed: int = 0) -> Batch:
    """Return programs whose instructions are drawn uniformly: operator, operands and constants.

    Args:
        count: n.
        sizes: instructions of setup, predict and learn.
        fills: whether Predict and Learn may fill vectors and matrices with random numbers.
        seed: seed of the draw.
    """
    rules = np.zeros((at.RULE_ROWS, at.RULE_WIDTH), np.int64)
    body = BODY if fills else tuple(number for number in BODY if number not in FILLS)
    for part, ids in enumerate((SETUP, body, body)):
        rules[at.OPS + part, : len(ids)], rules[at.NUM_OPS, part] = ids, len(ids)
    rules[at.FIRST, :4] = (0, 1, 1, 0)
    rules[at.SLOTS, :4] = (0, *SLOTS)
    state = start_stream(seed, "benchmark", "random programs", *sizes, int(fills))
    codes = np.zeros((count, sum(sizes), 4), np.int32)
    wanted, drawn = np.array(sizes, np.int64), np.zeros((count, 3), np.int64)
    for i in range(count):
        random_program(state, rules, wanted, codes[i], drawn[i])
    return Batch(codes, drawn, SLOTS)


def evaluate_with_kernel(batch: Batch, tasks: TaskSet, lanes: int, *, live: bool) -> Pass:
    """Return a pass of the compiled kernel over a batch; `live` drops dead instructions first, within the pass."""
    evaluator = Evaluator(tasks, lanes=lanes)
    scratch = evaluator.scratch(batch.slots, batch.codes.shape[1] + 1)
    shape = shape_of(batch.slots, tasks)
    out, combined = np.zeros((len(batch), tasks.count)), np.zeros(len(batch))
    share = tasks.count / (-(-tasks.count // lanes) * lanes)  # of the lanes, those that are no padding

    def one_pass() -> dict[str, float]:
        codes, sizes = (batch.codes.copy(), batch.sizes.copy()) if live else (batch.codes, batch.sizes)
        steps = evaluate_batch(scratch.work, codes, sizes, shape, scratch.marks, scratch.pad, live, out, combined)
        return {"programs": len(batch), "task_steps": steps * share}

    return one_pass


def mean_fitness(batch: Batch, tasks: TaskSet, lanes: int) -> float:
    """Return the mean fitness of a batch over programs and tasks."""
    found = Evaluator(tasks, lanes=lanes).score_codes(batch.codes, batch.sizes, batch.slots, live=False)
    return float(found.mean())


def evaluate_with_reference(programs: Sequence[Program], tasks: TaskSet) -> Pass:
    """Return a pass of the reference interpreter, which runs NumPy operations over all tasks at once."""
    packed = tasks.packed(1)
    seeds = packed.seeds.ravel()[: tasks.count]

    def one_pass() -> dict[str, float]:
        with np.errstate(all="ignore"):
            for program in programs:
                evaluate_reference(
                    program,
                    tasks.train_x,
                    tasks.train_y,
                    tasks.valid_x,
                    tasks.valid_y,
                    metric=tasks.metric,
                    seeds=seeds,
                )
        steps = len(programs) * tasks.count * tasks.train_x.shape[1]
        return {"programs": len(programs), "task_steps": steps}

    return one_pass


def evolved_batch(set_up: SetUp, programs: int, *, seed: int = 0) -> tuple[Batch, TaskSet, float]:
    """Return the population of a classic search after so many programs, its tasks and its best fitness."""
    search = Search(set_up, "classic", seed=seed)
    search.run(programs)
    codes, sizes = search.members()
    return Batch(codes, sizes, set_up.slots), search.tasks, search.best_fitness()
