"""One island of a search: its arrays, the compiled loop over them, and what comes in and goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError, ResumeError
from selftaught.programs import layout as at
from selftaught.programs import people
from selftaught.programs.additions import ADDITION
from selftaught.programs.classic import ACTIONS
from selftaught.programs.evaluate import Evaluator, shape_of
from selftaught.programs.grow import MOVES
from selftaught.programs.loop import run_classic, run_live
from selftaught.programs.memo import new_memo
from selftaught.programs.operators import BY_NAME, OPERATORS
from selftaught.programs.opponents import linear_for, network_for
from selftaught.programs.parse import parse_program
from selftaught.programs.program import FUNCTIONS, Program
from selftaught.programs.settings import FORGET_AFTER, EvolveSettings
from selftaught.programs.streams import start_stream
from selftaught.programs.tasksets import TaskSet
from selftaught.seeds import rng_for

__all__ = ["DONE", "EXHAUSTED", "LIMIT", "STATE", "Event", "Island", "Migrants", "operator_costs", "program_cost"]

LIMIT, DONE, EXHAUSTED = 0, 1, 2  # what a call of the loop says
#: Arrays that hold the state of an island: saved and loaded, a search goes on bit for bit.
STATE = ("rows", "codes", "counters", "state", "memo", "prints", "numbers")
NO_LIMIT = 1 << 62
PROBED = 20  # examples the fingerprint looks at
WORTH_A_PRINT = 15  # how many times longer than a fingerprint an evaluation must be


@dataclass(frozen=True)
class Event:
    """An improvement on an island: a program better than all before it."""

    island: int
    number: int
    programs: int
    fitness: float
    parent: int
    move: int
    program: Program


@dataclass(frozen=True, eq=False)
class Migrants:
    """Individuals on their way between islands: rows (n, .), codes (n, ., 4)."""

    rows: NDArray[np.int64]
    codes: NDArray[np.int32]


def operator_costs(features: int) -> NDArray[np.float64]:
    """Return ns of 16 lanes for each operator at F features, interpolated by elements between F = 4 and 16."""
    costs = np.zeros(len(OPERATORS))
    for operator in OPERATORS:
        kinds = {operator.out, operator.in1, operator.in2}
        power = 2 if "m" in kinds else 1 if "v" in kinds else 0
        low, high = operator.cost
        if power == 0:
            costs[operator.id] = low
        else:
            share = (features**power - 4**power) / (16**power - 4**power)
            costs[operator.id] = max(low + share * (high - low), 0.25 * low)
    return costs


def program_cost(program: Program, costs: NDArray[np.float64], num_train: int) -> float:
    """Return setup + n_train (predict + learn) in ns of 16 lanes, over live and dead instructions."""
    setup, predict, learn = (sum(float(costs[i.op]) for i in function) for _, function in program.functions())
    return setup + num_train * (predict + learn)


def start_program(settings: EvolveSettings, *, num_classes: int = 0) -> Program | None:
    """Return the program a population starts from, or None where it starts from random or grown ones.

    Args:
        settings: of the search.
        num_classes: K of tasks of several classes, where label and prediction lie in other slots; else 0.

    Raises:
        InputError, ProgramError: the program does not fit the sizes or slots, or its file cannot be read.
    """
    if settings.start == "random" or (settings.start == "empty" and settings.search == "live"):
        return None
    if settings.start == "empty":
        program = Program()
    elif settings.start == "linear":
        program = linear_for(num_classes, 0.01)
    elif settings.start == "network":
        program = network_for(num_classes, 0.01, 0.1)
    elif settings.start == "network_without_weights":
        network = network_for(num_classes, 0.01, 0.1)
        fills = (BY_NAME["vector_gaussian"].id, BY_NAME["matrix_gaussian"].id)
        program = Program(tuple(i for i in network.setup if i.op not in fills), network.predict, network.learn)
    else:
        from pathlib import Path

        from selftaught.programs.program_file import read_program_bytes

        try:
            text = read_program_bytes(Path(settings.start).expanduser())
        except OSError as error:
            raise InputError(f"start {settings.start!r} cannot be read: {error.strerror}") from None
        program = parse_program(text, settings.start).program
    for (name, function), most in zip(program.functions(), settings.most, strict=True):
        if len(function) > most:
            raise InputError(f"the start program has {len(function)} instructions in {name}, more than {most} of sizes")
    for name, need, have in zip(("scalars", "vectors", "matrices"), program.slots(), settings.slots, strict=True):
        if need > have:
            raise InputError(f"the start program needs {need} {name}, the slots have {have}; use more slots")
    return program


def make_rules(settings: EvolveSettings, tasks: TaskSet) -> NDArray[np.int64]:
    """Return the whole numbers that compiled code reads: operators, sizes, slots and options."""
    rules = np.zeros((at.RULE_ROWS, at.RULE_WIDTH), np.int64)
    for part, name in enumerate(FUNCTIONS):
        ids = [BY_NAME[word].id for word in settings.operators[name]]
        rules[at.OPS + part, : len(ids)] = ids
        rules[at.NUM_OPS, part] = len(ids)
    rules[at.LEAST, :3], rules[at.MOST, :3] = settings.least, settings.most
    rules[at.SHAPE, :6] = shape_of(settings.slots, tasks)
    rules[at.FIRST, :4] = [0, 1, 2 if tasks.num_classes else 1, 0]
    rules[at.SLOTS, :4] = [0, *settings.slots]
    actions = [ACTIONS.index(name) for name in settings.actions]
    rules[at.ACTIONS, : len(actions)] = actions
    live = settings.live
    learner = settings.bias == "learner"
    has_start = start_program(settings, num_classes=tasks.num_classes) is not None
    options = {
        at.MODE: {"classic": at.CLASSIC, "live": at.LIVE, "random": at.RANDOM}[settings.search],
        at.POPULATION: settings.population,
        at.TOURNAMENT: settings.tournament,
        at.PRINTS: _prints(settings, tasks),
        at.SCREEN: learner,
        at.PAPER: settings.mutation_style == "paper",
        at.TRIES: live.get("tries_learner" if learner else "tries", 1),
        at.START: has_start,
        at.NUM_ACTIONS: len(actions),
        at.HURDLE: settings.hurdles,
        at.FORGET_AFTER: FORGET_AFTER,
        # A start program is scored once: a second run from it would find nothing new.
        at.RESTART: 0 if has_start else live.get("restart_populations", 0) * settings.population,
        at.LEXICASE: live.get("lexicase", 0),
        at.NICHES: live.get("niches", 0),
        at.ADD: bool(live.get("add", 0)) and _adds(settings, tasks),
    }
    for place, value in options.items():
        rules[at.OPTIONS, place] = int(value)
    return rules


def _adds(settings: EvolveSettings, tasks: TaskSet) -> bool:
    """Say whether runs of additions pay: measured on tasks with classes; sums need Predict's addition."""
    needed = "vector_add" if tasks.num_classes else "scalar_add"
    return tasks.metric != "rmse" and needed in settings.operators["predict"]


def _prints(settings: EvolveSettings, tasks: TaskSet) -> bool:
    rows, held = int(tasks.train_x.shape[1]), int(tasks.valid_x.shape[1])
    if settings.fingerprint == "auto":
        return min(rows, held) >= PROBED // 2 and rows * tasks.num_epochs + held >= WORTH_A_PRINT * PROBED
    return bool(settings.fingerprint) and min(rows, held) >= PROBED // 2


def make_numbers(settings: EvolveSettings, tasks: TaskSet) -> NDArray[np.float64]:
    """Return the real numbers that compiled code reads: probabilities, the target, costs."""
    numbers = np.zeros(at.NUMBERS_SIZE)
    live = settings.live
    numbers[at.MUTATE] = settings.mutate_prob
    numbers[at.SPLICE], numbers[at.MORE] = live.get("splice", 0.0), live.get("more", 0.0)
    numbers[at.FRESH] = live.get("fresh", 0.0)
    numbers[at.TARGET] = 2.0 if settings.target_fitness is None else settings.target_fitness
    moves = live.get("moves", ())
    numbers[at.MOVES_AT : at.MOVES_AT + len(moves)] = moves
    if settings.search == "live" and _adds(settings, tasks):
        numbers[at.MOVES_AT + MOVES.index("with_constant")] = live.get("with_constant", 0.0)
    costs = operator_costs(tasks.features)
    numbers[at.COSTS_AT : at.COSTS_AT + len(costs)] = costs
    if settings.cost_factor is not None:
        from selftaught.programs.opponents import network_for

        network = network_for(tasks.num_classes, 0.01, 0.1)
        numbers[at.COST_LIMIT] = settings.cost_factor * program_cost(network, costs, tasks.train_x.shape[1])
    return numbers


class Island:
    """One population and everything a search of it needs.

    Args:
        settings: the search's settings.
        tasks: the search tasks.
        index: number of the island; its random stream is its own.
        evaluator: one already made for these tasks.
    """

    def __init__(
        self, settings: EvolveSettings, tasks: TaskSet, index: int = 0, evaluator: Evaluator | None = None
    ) -> None:
        self.settings, self.index = settings, index
        self.evaluator = evaluator or Evaluator(tasks)
        longest = max(sum(settings.most), 1)
        self.rules = make_rules(settings, tasks)
        lines = settings.population + people.NUM_BEST + people.NUM_EVENTS
        if self.rules[at.OPTIONS, at.ADD]:
            lines += 1 + longest + 1  # what additions stand beside; the best program of each length
        self.numbers = make_numbers(settings, tasks)
        self.rows = np.zeros((lines, at.ROW_SIZE + tasks.count), np.int64)
        self.codes = np.zeros((lines, longest, 4), np.int32)
        self.counters = np.zeros(people.NUM_COUNTERS, np.int64)
        self.state = start_stream(settings.seed, "island", index)
        entries = settings.cache_entries
        self.memo = new_memo(entries)
        self.prints = new_memo(entries if self.rules[at.OPTIONS, at.PRINTS] else 16)
        self.start = self._start()
        self._scratch = self.evaluator.scratch(settings.slots, 2 * longest + 80)
        self._run = run_live if settings.search == "live" else run_classic
        self.drained = 0

    def _start(self) -> NDArray[np.int32]:
        program = start_program(self.settings, num_classes=self.evaluator.tasks.num_classes)
        if program is None:
            return np.zeros((1, 4), np.int32)
        code, sizes = program.encode()
        head = np.zeros((1, 4), np.int32)
        head[0, :3] = sizes
        return np.concatenate([head, code]).astype(np.int32)

    def run(self, until: int, max_steps: int = NO_LIMIT) -> int:
        """Go on until `until` programs in all, or for `max_steps` train steps; LIMIT, DONE or EXHAUSTED.

        Where calls begin and end changes nothing in what is found.
        """
        scratch = self._scratch
        return int(
            self._run(
                self.rows, self.codes, self.counters, self.state, self.memo, self.prints, self.rules, self.numbers,
                self.start, scratch.work, scratch.pad, scratch.marks, until, max_steps,
            )
        )  # fmt: skip

    @property
    def programs(self) -> int:
        """How many programs were proposed."""
        return int(self.counters[people.PROGRAMS])

    @property
    def target(self) -> float:
        """The fitness on the search tasks that the loop stops at."""
        return float(self.numbers[at.TARGET])

    @target.setter
    def target(self, value: float) -> None:
        self.numbers[at.TARGET] = value

    def counts(self) -> dict[str, int]:
        """Return the counters by name."""
        return dict(zip(people.COUNTERS, self.counters[: len(people.COUNTERS)].tolist(), strict=True))

    def best_fitness(self) -> float:
        """Return the best fitness on the search tasks so far, 0 before the first program."""
        first = self.settings.population
        return float(self.rows[first, at.R_FITNESS].view(np.float64)) if self.counters[people.BEST_COUNT] else 0.0

    def best(self) -> list[tuple[Program, float, int, int, int]]:
        """Return (program, fitness, programs when it was found, parent, move) of the best ones, best first.

        After them come the best of each length where the search keeps those: on other tasks a short one may win.
        """
        first = self.settings.population
        lines = list(range(first, first + int(self.counters[people.BEST_COUNT])))
        seen = {self.rows[i, [at.R_LOW, at.R_HIGH]].tobytes() for i in lines}
        for i in range(first + people.NUM_BEST + people.NUM_EVENTS + 1, len(self.rows)):
            if self._fitness(i) > 0 and self.rows[i, [at.R_LOW, at.R_HIGH]].tobytes() not in seen:
                lines.append(i)
        lines.sort(key=lambda i: -self._fitness(i))
        born, parent, move = (self.rows[:, one] for one in (at.R_BORN, at.R_PARENT, at.R_MOVE))
        return [(self._program(i), self._fitness(i), int(born[i]), int(parent[i]), int(move[i])) for i in lines]

    def _fitness(self, line: int) -> float:
        return float(self.rows[line, at.R_FITNESS].view(np.float64))

    def _program(self, line: int) -> Program:
        return Program.decode(self.codes[line], self.rows[line, at.R_SIZES : at.R_SIZES + 3])

    def drain(self) -> list[Event]:
        """Return the improvements since the last call, oldest first (at most the last 256)."""
        total = int(self.counters[people.EVENTS])
        first = self.settings.population + people.NUM_BEST
        events = []
        for number in range(max(self.drained, total - people.NUM_EVENTS), total):
            line = first + number % people.NUM_EVENTS
            row = self.rows[line]
            events.append(
                Event(
                    island=self.index, number=number, programs=int(row[at.R_BORN]),
                    fitness=float(row[at.R_FITNESS].view(np.float64)), parent=int(row[at.R_PARENT]),
                    move=int(row[at.R_MOVE]), program=self._program(line),
                )
            )  # fmt: skip
        self.drained = total
        return events

    # ---- migration

    @property
    def _adding(self) -> bool:
        return bool(self.counters[people.RUN_KIND] == ADDITION)

    def offer(self, round_number: int) -> Migrants:
        """Return copies of uniformly drawn members, a function of the seed, the round and the island.

        Additions mean nothing beside another program: while they are searched the best programs travel.
        """
        first, filled = 0, int(self.counters[people.FILLED])
        if self._adding:
            first, filled = self.settings.population, int(self.counters[people.BEST_COUNT])
        rng = rng_for(self.settings.seed, "migration", round_number, "offer", self.index)
        chosen = first + rng.choice(filled, min(self.settings.num_migrants, filled), replace=False)
        return Migrants(self.rows[chosen].copy(), self.codes[chosen].copy())

    def accept(self, migrants: Migrants, round_number: int) -> None:
        """Put migrants in the place of uniformly drawn members, unless the members are additions."""
        if self._adding:
            return
        rng = rng_for(self.settings.seed, "migration", round_number, "place", self.index)
        filled = int(self.counters[people.FILLED])
        count = min(filled, len(migrants.rows))
        places = rng.choice(filled, count, replace=False)
        self.rows[places], self.codes[places] = migrants.rows[:count], migrants.codes[:count]

    # ---- state

    def export(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the state; copies."""
        return {name: getattr(self, name).copy() for name in STATE}

    def restore(self, arrays: Mapping[str, NDArray[Any]], drained: int | None = None) -> None:
        """Take over a state that `export` gave.

        Raises:
            ResumeError: the arrays are those of another search or version.
        """
        for name in STATE:
            own = getattr(self, name)
            if name not in arrays or arrays[name].shape != own.shape or arrays[name].dtype != own.dtype:
                raise ResumeError(
                    "the checkpoint was written by another version or another search; start over with resume=False "
                    "(--fresh), or choose another folder"
                )
        for name in STATE:
            getattr(self, name)[...] = arrays[name]
        self.drained = int(self.counters[people.EVENTS]) if drained is None else drained
