"""Programs for tests of the exports, and their fitness as an export computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.live_form import live_form
from selftaught.programs.operators import OPERATORS
from selftaught.programs.program import Instruction, Program
from selftaught.programs.search import Island
from selftaught.programs.settings import resolve_settings
from selftaught.programs.tasksets import TaskSet
from tests.programs.oracles import leave_label_alone
from tests.programs.strategies import DEFAULT_SLOTS, random_program

FEATURES = 4
NUM_CLASSES = 3
ROWS = (12, 6)  # training and validation examples


def small_tasks(kind: str) -> TaskSet:
    """Eight small tasks at F = 4 of a kind of task: "regression", "binary" or "classes 3"."""
    name = "linear_regression" if kind == "regression" else "linear_classification"
    tasks = builtin_tasks(name, count=8, features=FEATURES, num_train=ROWS[0], num_valid=ROWS[1])
    if not kind.startswith("classes"):
        return tasks
    train, valid = (np.abs(np.rint(3 * x[..., 0])) % NUM_CLASSES for x in (tasks.train_x, tasks.valid_x))
    return TaskSet(
        tasks.train_x, train.astype(np.float32), tasks.valid_x, valid.astype(np.float32), "cross_entropy", NUM_CLASSES
    )


def every_operator() -> list[Program]:
    """For each operator a program in which it is live in Learn, with its output also an operand where that can be."""
    programs = []
    for operator in OPERATORS[1:]:
        out = {"s": 2, "v": 3, "m": 1}[operator.out]
        tested = [
            Instruction(operator.id, out, out, out, 0.3, 0.8, -0.5),
            Instruction(operator.id, out, 1, 1, 0.3, 0.8),
        ]
        carry = {  # from the output to s1
            "s": [Instruction(1, 1, 1, 2)],
            "v": [Instruction(27, 3, 3, 0), Instruction(1, 1, 1, 3)],
            "m": [Instruction(31, 2, 1, 0), Instruction(27, 3, 2, 0), Instruction(1, 1, 1, 3)],
        }[operator.out]
        setup = [Instruction(62, 2, c0=0.5, c1=0.1), Instruction(63, 3, c1=0.5), Instruction(64, 1, c1=0.5)]
        setup += [Instruction(63, 1, c1=0.5), Instruction(64, 0, c1=0.5)]
        predict = [Instruction(27, 1, 0, 1), *carry]
        learn = [*tested, Instruction(2, 4, 0, 1), Instruction(18, 4, 4, 0), Instruction(23, 1, 1, 4)]
        programs.append(Program(tuple(setup), tuple(predict), tuple(learn)))
    return programs


def random_programs(count: int, kind: str, seed: int) -> list[Program]:
    """Random programs over all operators that get past their first example on some task."""
    rng = np.random.default_rng(seed)
    evaluator = Evaluator(small_tasks(kind))
    found: list[Program] = []
    while len(found) < count:
        drawn = [random_program(rng, DEFAULT_SLOTS, (4, 5, 6)) for _ in range(400)]
        if kind.startswith("classes"):
            drawn = [leave_label_alone(program) for program in drawn]
        scores = evaluator.score_many(drawn)
        # Without s0 or v0 in it a program says nothing about the export: ask for different fitness on the tasks.
        found += [p for p, score in zip(drawn, scores, strict=True) if len(np.unique(score)) > 4]
    return found[:count]


def evolved_programs(count: int, kind: str, seed: int) -> list[Program]:
    """Members of the population of a short search over all operators, the best of them included."""
    tasks = small_tasks(kind)
    settings = resolve_settings(
        "linear_regression", "", {"operators": "all", "sizes": "5/6/8", "slots": "5/4/2", "population": 400,
                                  "seed": seed, "target_fitness": 1.0},
    )  # fmt: skip
    island = Island(settings, tasks, 0, Evaluator(tasks))
    found: dict[Program, None] = {}
    until = 0
    while len(found) < 2 * count and until < 60_000:
        until += 3000
        island.run(until)
        found.update(dict.fromkeys(event.program for event in island.drain()))
        rows = np.random.default_rng(until).permutation(settings.population)
        found.update(dict.fromkeys(member(island, row) for row in rows[:60]))
    lively = [p for p in found if len(live_form(p, task=kind)) >= 3]
    return list({live_form(p, task=kind): p for p in lively}.values())[:count]


def member(island: Island, row: int) -> Program:
    """The program in one place of an island's population."""
    from selftaught.programs.people import take

    code, sizes = np.zeros((64, 4), np.int32), np.zeros(3, np.int64)
    take(island.rows, island.codes, row, code, sizes)
    return Program.decode(code, sizes)


def python_fitness(module: Any, tasks: TaskSet, number: int) -> float:
    """One task's fitness by the functions of an exported Python file."""
    kind = "classes" if tasks.num_classes else ("regression" if tasks.metric == "rmse" else "binary")
    arguments = (tasks.features, tasks.num_classes) if tasks.num_classes else (tasks.features,)
    memory = module["Memory"](*arguments, seed=int(tasks.stream_seeds[number]))
    losses = np.zeros(len(tasks.valid_y[number]), np.float32)
    with np.errstate(all="ignore"):
        module["setup"](memory)
        for x, y in zip(tasks.train_x[number], tasks.train_y[number], strict=True):
            memory.v0 = x
            module["predict"](memory)
            if not _fine(memory, y, kind, tasks.num_classes):
                return 0.0
            _teach(module, memory, y, kind)
        for row, (x, y) in enumerate(zip(tasks.valid_x[number], tasks.valid_y[number], strict=True)):
            memory.v0 = x
            module["predict"](memory)
            if not _fine(memory, y, kind, tasks.num_classes):
                return 0.0
            losses[row] = _loss(memory, y, kind)
    return fitness_of(kind, losses)


def fitness_of(kind: str, losses: np.ndarray) -> float:
    """Fitness of validation losses, as the language defines it."""
    mean = float(np.mean(losses, dtype=np.float64))
    if kind == "binary":
        return 1 - mean
    return 1 - 2 / np.pi * float(np.arctan(np.sqrt(mean) if kind == "regression" else mean))


def _fine(memory: Any, y: float, kind: str, classes: int) -> bool:
    if kind == "classes":
        return bool(np.isfinite(memory.v2[:classes]).all())
    return bool(abs(y - memory.s1) <= 100)


def _teach(module: Any, memory: Any, y: float, kind: str) -> None:
    if kind == "classes":
        memory.v1 = np.zeros_like(memory.v0)
        memory.v1[int(y)] = 1
    else:
        memory.s0 = y
    module["learn"](memory)
    if kind == "classes":
        memory.v1 = np.zeros_like(memory.v0)
    memory.s0 = np.float32(0)


def _loss(memory: Any, y: float, kind: str) -> float:
    if kind == "binary":
        return float((y > 0.5) != (memory.s1 > 0.5))
    if kind == "regression":
        return float((y - memory.s1) ** 2)
    return -float(np.log(max(memory.v2[int(y)], 1e-7)))


def differing(found: Sequence[float], wanted: Sequence[float], *, tolerance: float) -> list[int]:
    """Places where two lists of fitness differ by more than a tolerance."""
    return [int(i) for i in np.flatnonzero(~(np.abs(np.asarray(found) - np.asarray(wanted)) <= tolerance))]
