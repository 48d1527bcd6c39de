"""Searches as a benchmark runs them: the engine's loops on bare arrays, with nothing around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.programs import layout as at
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.classic import ACTIONS
from selftaught.programs.evaluate import Evaluator, shape_of
from selftaught.programs.loop import run_classic, run_live
from selftaught.programs.memo import new_memo
from selftaught.programs.operators import BY_NAME, OPERATOR_SETS
from selftaught.programs.people import COUNTERS, NUM_BEST, NUM_COUNTERS, NUM_EVENTS
from selftaught.programs.program import FUNCTIONS, Program
from selftaught.programs.settings import FORGET_AFTER, LIVE_DEFAULTS, Bias
from selftaught.programs.settings import Search as Kind
from selftaught.programs.streams import start_stream
from selftaught.programs.tasksets import TaskSet

__all__ = ["SET_UPS", "Bias", "Kind", "Search", "SetUp", "live_numbers"]

Operators = Mapping[str, tuple[int, ...]]


def _named(**names: str) -> Operators:
    return {part: tuple(BY_NAME[name].id for name in names.get(part, "").split()) for part in FUNCTIONS}


@dataclass(frozen=True)
class SetUp:
    """What a search is about.

    Args:
        kind: the built-in task.
        operators: operator ids a function.
        sizes: the most instructions of setup, predict and learn.
        slots: scalars, vectors, matrices.
        features: F.
        tasks: D, the search tasks.
        train: training examples a task.
        valid: validation examples a task.
        population: members; the classic search keeps so many.
        tournament: members drawn for a parent.
        mutate: chance of a mutation in the classic search.
        actions: the classic search's actions.
        start: a program to start from; None is nothing.
        fixed: True when the classic search has programs of exactly `sizes`, drawn at random at the start.
        least: the fewest instructions, with `fixed` off.
    """

    kind: str
    operators: Operators
    sizes: tuple[int, int, int]
    slots: tuple[int, int, int]
    features: int = 4
    tasks: int = 10
    train: int = 100
    valid: int = 100
    population: int = 1000
    tournament: int = 10
    mutate: float = 0.9
    actions: tuple[str, ...] = ("alter_parameter", "redraw_instruction", "redraw_function")
    start: Program | None = None
    fixed: bool = True
    least: tuple[int, int, int] = (0, 0, 0)


_LINEAR = _named(
    setup="scalar_constant vector_constant",
    predict="vector_dot",
    learn="scalar_subtract scalar_multiply vector_scale vector_add",
)
_AFFINE = _named(
    setup="scalar_constant vector_constant",
    predict="scalar_add vector_dot",
    learn="scalar_add scalar_subtract scalar_multiply vector_scale vector_add",
)
_GROW = ("alter_parameter", "redraw_function", "insert_instruction", "remove_instruction")
_NET = two_layer_network()
_FULL: dict[str, Any] = dict(
    operators=OPERATOR_SETS["full"],
    sizes=(21, 21, 45),
    slots=(8, 14, 3),
    tasks=16,
    train=1000,
    population=100,
    actions=_GROW,
    fixed=False,
)

SET_UPS: Mapping[str, SetUp] = {
    # whole searches
    "demo": SetUp("linear_regression", OPERATOR_SETS["demo"], (10, 2, 8), (4, 3, 1)),
    "linear": SetUp("linear_regression", OPERATOR_SETS["linear"], (5, 1, 4), (4, 3, 1)),
    "nonlinear": SetUp(
        "two_layer_teacher",
        _named(setup="vector_gaussian matrix_gaussian"),
        (6, 5, 11),
        (5, 9, 2),
        tasks=1,
        train=1000,
        mutate=1.0,
        actions=("alter_parameter", "insert_instruction", "remove_instruction", "trade_instruction"),
        start=Program(_NET.setup[2:], _NET.predict, _NET.learn),
        fixed=False,
        least=(1, 5, 11),
    ),
    # time to a solution
    "linear 5/1/4": SetUp("linear_regression", _LINEAR, (5, 1, 4), (4, 3, 1), train=1000),
    "affine 6/2/6": SetUp("affine_regression", _AFFINE, (6, 2, 6), (5, 3, 1), train=1000),
    # populations to time the kernel on
    "demo, 1000 examples": SetUp(
        "linear_regression", OPERATOR_SETS["demo"], (10, 2, 8), (4, 3, 1), tasks=16, train=1000, population=100
    ),
    "full operators, linear tasks": SetUp("linear_regression", **_FULL),
    "full operators, teacher tasks": SetUp("two_layer_teacher", features=8, **_FULL),
    "from the linear learner": SetUp("linear_regression", features=8, start=linear_learner(), **_FULL),
    "from the network": SetUp("two_layer_teacher", features=8, start=_NET, **_FULL),
}


def live_numbers(bias: Bias = "free") -> dict[str, Any]:
    """Return the live search's numbers by name, as `evolve` uses them."""
    numbers: dict[str, Any] = {"forget_after": FORGET_AFTER, **LIVE_DEFAULTS}
    if bias == "learner":
        numbers.update(screen=1, tries=numbers["tries_learner"])
    return numbers


_OPTIONS = {
    "population",
    "tournament",
    "prints",
    "screen",
    "paper",
    "tries",
    "forget_after",
    "lexicase",
    "niches",
}


class Search:
    """A search on bare arrays, as the engine's loops take it.

    Args:
        set_up: what it is about.
        kind: "live", "classic" or "random".
        bias: rules of the live search.
        seed: seed of tasks and search.
        target: fitness that ends the search; above 1 never.
        memory: places of the table of scored programs.
        tasks: other search tasks than the set-up's.
        changes: options of the live search by name, for experiments.
    """

    def __init__(
        self,
        set_up: SetUp,
        kind: Kind = "live",
        *,
        bias: Bias = "free",
        seed: int = 0,
        target: float = 2.0,
        memory: int = 1 << 18,
        tasks: TaskSet | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self.set_up, self.kind, self.seed = set_up, kind, seed
        self.tasks = tasks if tasks is not None else self.task_set("search", set_up.tasks)
        self.evaluator = Evaluator(self.tasks)
        numbers = {"population": set_up.population, "tournament": set_up.tournament}
        if kind == "live":
            numbers |= live_numbers(bias) | dict(changes or {})
        self.population = int(numbers["population"])
        spread = self.population + NUM_BEST + NUM_EVENTS
        longest = max(sum(set_up.sizes), len(set_up.start or ()))
        self.rows = np.zeros((spread, at.ROW_SIZE + self.tasks.count), np.int64)
        self.codes = np.zeros((spread, longest, 4), np.int32)
        self.numbers = self._numbers(numbers, target)
        self.rules = self._rules(numbers)
        self.counts = np.zeros(NUM_COUNTERS, np.int64)
        self.scratch = self.evaluator.scratch(set_up.slots, longest + 70)
        self.start = np.zeros((longest + 1, 4), np.int32)
        if set_up.start is not None:
            code, sizes = set_up.start.encode()
            self.start[0, :3], self.start[1 : len(code) + 1] = sizes, code
        self._state = (start_stream(seed, "island", 0), new_memo(memory), new_memo(16))

    def task_set(self, role: str, count: int, *, train: int = 0, valid: int = 0) -> TaskSet:
        """Return tasks of the set-up's kind for another role, of the set-up's sizes unless given."""
        return builtin_tasks(
            self.set_up.kind,
            count=count,
            features=self.set_up.features,
            num_train=train or self.set_up.train,
            num_valid=valid or self.set_up.valid,
            seed=self.seed,
            role=role,
        )

    def _rules(self, numbers: Mapping[str, Any]) -> NDArray[np.int64]:
        set_up, rules = self.set_up, np.zeros((at.RULE_ROWS, at.RULE_WIDTH), np.int64)
        for part, name in enumerate(FUNCTIONS):
            ids = list(set_up.operators[name])
            rules[at.OPS + part, : len(ids)], rules[at.NUM_OPS, part] = ids, len(ids)
        classic_fixed = set_up.fixed and self.kind != "live"
        rules[at.LEAST, :3] = set_up.sizes if classic_fixed else set_up.least
        rules[at.MOST, :3] = set_up.sizes
        rules[at.SHAPE, :6] = shape_of(set_up.slots, self.tasks)
        rules[at.FIRST, :4] = (0, 1, 1, 0)
        rules[at.SLOTS, :4] = (0, *set_up.slots)
        rules[at.ACTIONS, : len(set_up.actions)] = [ACTIONS.index(name) for name in set_up.actions]
        options = rules[at.OPTIONS]
        options[at.FORGET_AFTER] = FORGET_AFTER
        for name in sorted(_OPTIONS & numbers.keys()):
            options[getattr(at, name.upper())] = int(numbers[name])
        options[at.RESTART] = int(numbers.get("restart_populations", 0)) * self.population
        options[at.MODE] = {"classic": at.CLASSIC, "live": at.LIVE, "random": at.RANDOM}[self.kind]
        options[at.NUM_ACTIONS] = len(set_up.actions)
        options[at.START] = int(set_up.start is not None or (self.kind == "classic" and not set_up.fixed))
        return rules

    def _numbers(self, numbers: Mapping[str, Any], target: float) -> NDArray[np.float64]:
        found = np.zeros(at.NUMBERS_SIZE)
        found[at.MUTATE], found[at.TARGET] = self.set_up.mutate, target
        for name in ("splice", "more", "fresh"):
            found[getattr(at, name.upper())] = numbers.get(name, 0.0)
        moves = numbers.get("moves", ())
        found[at.MOVES_AT : at.MOVES_AT + len(moves)] = moves
        return found

    def run(self, until: int, max_steps: int = 1 << 60) -> int:
        """Go on until so many programs in all; return 0 at the limit, 1 at the target, 2 when nothing is left."""
        loop = run_live if self.kind == "live" else run_classic
        work = self.scratch
        return int(
            loop(
                self.rows,
                self.codes,
                self.counts,
                *self._state,
                self.rules,
                self.numbers,
                self.start,
                work.work,
                work.pad,
                work.marks,
                until,
                max_steps,
            )
        )

    def counters(self) -> dict[str, int]:
        """Return the counters by name."""
        return dict(zip(COUNTERS, self.counts.tolist(), strict=False))

    def aim(self, target: float) -> None:
        """Change the fitness that ends the search."""
        self.numbers[at.TARGET] = target

    def best(self) -> list[Program]:
        """Return the best programs ever seen, best first."""
        first = self.population
        return [self._program(first + i) for i in range(self.counters()["best"])]

    def best_fitness(self) -> float:
        """Return the best fitness on the search tasks, 0 before the first program."""
        return float(self.rows[self.population, at.R_FITNESS].view(np.float64)) if self.counters()["best"] else 0.0

    def members(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the population's code (n, m, 4) and sizes (n, 3)."""
        filled = self.counters()["filled"]
        sizes = self.rows[:filled, at.R_SIZES : at.R_SIZES + 3]
        return self.codes[:filled].copy(), np.ascontiguousarray(sizes)

    def _program(self, i: int) -> Program:
        return Program.decode(self.codes[i], self.rows[i, at.R_SIZES : at.R_SIZES + 3])
