"""A program trained for some steps by the reference interpreter in float64, and experiments on its memory.

Every experiment runs many probes at once: a probe is a lane with its own copy of a trained memory, its own
example and its own label. The label is set freely, `prediction + error`, so the error is a controlled quantity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selftaught.programs import meanings
from selftaught.programs.explain.dataflow import Slot
from selftaught.programs.liveness import CLASSES, REGRESSION
from selftaught.programs.operators import OPERATORS
from selftaught.programs.program import Program, Slots
from selftaught.programs.reference import LaneMemory, Streams, execute
from selftaught.programs.tasksets import TaskSet

__all__ = ["Probes", "Trained", "train"]

Array = NDArray[np.float64]

NUM_TASKS = 4
NUM_PROBES = 8  # a task
LARGEST_ERROR = 100.0
WORK = 4000  # instructions that training may execute, about 0.05 s


@dataclass(frozen=True, eq=False)
class Probes:
    """Lanes to experiment on: memories at one time and one example each.

    Args:
        memory: of all lanes; never written.
        x: (lanes, F) examples.
        task: (lanes,) which of the surviving tasks a lane belongs to.
    """

    memory: LaneMemory
    x: Array
    task: NDArray[np.int64]


class Trained:
    """What a program remembers after 0, ..., T training steps, on the tasks where it survived.

    Args:
        program: in live form.
        kind: `liveness.REGRESSION`, `BINARY` or `CLASSES`.
        memories: step -> memory of the surviving tasks, in ascending order of steps.
        examples: (tasks, n, F) examples that the probes are made of, n at most 32.
        labels: (tasks, n) their labels.
        error: the size of an error that is ordinary in these tasks.
    """

    def __init__(
        self, program: Program, kind: int, memories: dict[int, LaneMemory], examples: Array, labels: Array,
        error: float, classes: int,
    ) -> None:  # fmt: skip
        self.program, self.kind, self.memories, self.error = program, kind, memories, error
        self.examples, self.labels = examples, labels
        self._classes = classes

    @property
    def tasks(self) -> int:
        """How many tasks survived."""
        return int(self.examples.shape[0])

    @property
    def last(self) -> int:
        """T, the last step."""
        return max(self.memories)

    def probes(self, step: int | None = None, *, count: int = NUM_PROBES) -> Probes:
        """Return `count` probes a task, made of the memory after a step (the last by default)."""
        memory = self.memories[self.last if step is None else step]
        task = np.repeat(np.arange(self.tasks), count)
        x = self.examples[:, np.arange(count) % self.examples.shape[1]].reshape(-1, self.examples.shape[2])
        return Probes(lanes_of(memory, task), x, task)

    def score(
        self, probes: Probes, x: Array | None = None, *, memory: LaneMemory | None = None, seed: int = 1
    ) -> Array:
        """Return Predict's raw score (lanes,) at x (the probes' own by default); class 0's score of several classes."""
        held = (probes.memory if memory is None else memory).copy()
        self._predict(held, probes.x if x is None else x, self._streams(len(held.scalars[0]), seed))
        return self._score(held)

    def step(
        self,
        probes: Probes,
        error: float | Array,
        *,
        memory: LaneMemory | None = None,
        late: bool = False,
        seed: int = 1,
    ) -> LaneMemory:
        """Return the memory after Predict and Learn with the label `prediction + error`.

        Args:
            probes: the lanes.
            error: of every lane.
            memory: another memory than the probes'.
            late: run one more step, the same example for all lanes of a task, without error: what a program learns
                from an example may arrive where it predicts only then.
            seed: of the random streams, the same in all lanes.
        """
        held = (probes.memory if memory is None else memory).copy()
        streams = self._streams(len(held.scalars[0]), seed)
        self._learn(held, probes.x, error, streams)
        if late:
            self._learn(held, self.examples[probes.task, -1], 0.0, streams)
        return held

    def operands(self, probes: Probes, labels: Array) -> dict[tuple[str, int], tuple[Array, ...]]:
        """Return place -> the values (elements..., lanes) that each instruction of Predict and Learn reads."""
        held = probes.memory.copy()
        streams = self._streams(len(held.scalars[0]), 1)
        seen: dict[tuple[str, int], tuple[Array, ...]] = {}
        held.vectors[0] = probes.x.T
        for name, function in self.program.functions()[1:]:
            if name == "learn":
                self._finish(held)
                self._show(held, labels, 0.0)
            for line, instruction in enumerate(function):
                operator = OPERATORS[instruction.op]
                seen[name, line] = tuple(
                    held.slot(kind, slot).copy()
                    for kind, slot in ((operator.in1, instruction.in1), (operator.in2, instruction.in2))
                    if kind
                )
                execute((instruction,), held, streams)
        return seen

    # ---- one step

    def _streams(self, lanes: int, seed: int) -> Streams:
        return Streams(np.full(lanes, 2463534242 + 977 * seed, np.uint32))

    def _score(self, memory: LaneMemory) -> Array:
        score: Array = memory.vectors[2, 0] if self.kind == CLASSES else memory.scalars[1]
        return score.copy()

    def _predict(self, memory: LaneMemory, x: Array, streams: Streams) -> None:
        memory.vectors[0] = x.T
        execute(self.program.predict, memory, streams)

    def _finish(self, memory: LaneMemory) -> None:
        finish(memory, self.kind, self._classes)

    def _show(self, memory: LaneMemory, base: Array | None, error: float | Array) -> None:
        """Show the label: `base`, or the prediction where it is None, plus the error."""
        if self.kind == CLASSES:
            memory.vectors[1] = memory.vectors[2]
            if base is not None:
                memory.vectors[1] = 0.0
                memory.vectors[1, base.astype(np.int64), np.arange(len(base))] = 1.0
            memory.vectors[1, 0] += error
        else:
            memory.scalars[0] = (memory.scalars[1] if base is None else base) + error

    def _learn(self, memory: LaneMemory, x: Array, error: float | Array, streams: Streams) -> None:
        self._predict(memory, x, streams)
        self._finish(memory)
        self._show(memory, None, error)
        execute(self.program.learn, memory, streams)
        hide(memory, self.kind)


def finish(memory: LaneMemory, kind: int, classes: int) -> None:
    """Turn scores into probabilities as the loop does."""
    with np.errstate(all="ignore"):
        if kind == CLASSES:
            scores = memory.vectors[2, :classes]
            powers = np.exp(scores - scores.max(axis=0))
            memory.vectors[2] = 0
            memory.vectors[2, :classes] = powers / powers.sum(axis=0)
        elif kind != REGRESSION:
            memory.scalars[1] = 1 / (1 + meanings.exp(-memory.scalars[1]))


def hide(memory: LaneMemory, kind: int) -> None:
    """Take the label away."""
    if kind == CLASSES:
        memory.vectors[1] = 0
    else:
        memory.scalars[0] = 0


def lanes_of(memory: LaneMemory, lanes: NDArray[np.int64]) -> LaneMemory:
    """Return memory whose lane i is a copy of lane `lanes[i]`."""
    return LaneMemory(
        np.ascontiguousarray(memory.scalars[..., lanes]),
        np.ascontiguousarray(memory.vectors[..., lanes]),
        np.ascontiguousarray(memory.matrices[..., lanes]),
    )


def with_slot(memory: LaneMemory, slot: Slot, value: Array) -> LaneMemory:
    """Return a copy with another value in one slot."""
    held = memory.copy()
    held.slot(*slot)[...] = value
    return held


def train(program: Program, tasks: TaskSet, kind: int, *, seed: int = 1) -> Trained | None:
    """Train a live program on a few tasks for at most some hundred steps; None where it fails on all of them.

    Args:
        program: in live form.
        tasks: whose first 4 are used.
        kind: of the tasks.
        seed: of the random streams.
    """
    count = min(NUM_TASKS, tasks.count)
    rows = tasks.train_x.shape[1]
    steps = int(np.clip(WORK // max(len(program.predict) + len(program.learn), 1), 48, 256))
    x, y = tasks.train_x[:count].astype(np.float64), tasks.train_y[:count].astype(np.float64)
    slots = program.slots()
    if kind == CLASSES:
        slots = Slots(slots.scalars, max(slots.vectors, 3), slots.matrices)
    memory = LaneMemory.zeros(slots, tasks.features, count, precision="float64")
    streams = Streams(np.arange(1, count + 1, dtype=np.uint32) * np.uint32(40503 + 2 * seed))
    execute(program.setup, memory, streams)
    kept = {0: memory.copy()}
    times = set(_times(steps))
    alive = np.ones(count, bool)
    for t in range(steps):
        row = t % rows
        memory.vectors[0] = x[:, row].T
        execute(program.predict, memory, streams)
        finish(memory, kind, tasks.num_classes)
        if kind == CLASSES:
            alive &= np.isfinite(memory.vectors[2, : tasks.num_classes]).all(axis=0)
            memory.vectors[1, y[:, row].astype(np.int64), np.arange(count)] = 1
        else:
            with np.errstate(all="ignore"):
                alive &= np.abs(y[:, row] - memory.scalars[1]) <= LARGEST_ERROR
            memory.scalars[0] = y[:, row]
        if not alive.any():
            return None
        execute(program.learn, memory, streams)
        hide(memory, kind)
        if t + 1 in times:
            kept[t + 1] = memory.copy()
    finite = alive & np.isfinite(memory.scalars).all(axis=0)
    survivors = np.flatnonzero(finite)
    if not len(survivors):
        return None
    valid = tasks.valid_x[:count, :32].astype(np.float64)[survivors]
    labels = tasks.valid_y[:count, :32].astype(np.float64)[survivors]
    error = 0.3 * (float(y[survivors].std()) or 1.0) if kind == REGRESSION else 0.15
    memories = {step: lanes_of(held, survivors) for step, held in kept.items()}
    return Trained(program, kind, memories, valid, labels, error, tasks.num_classes)


def _times(steps: int) -> Sequence[int]:
    """Return about eight steps, evenly spaced on a logarithmic scale, the last included."""
    return sorted({round(float(t)) for t in np.geomspace(3, steps, 7)})
