"""The slow interpreter that is the definition: NumPy, all lanes at once, float32 or float64.

It runs the program that it is given, dead instructions included; the meaning of a program is the meaning of
its live form, so callers pass that. A lane (task) that has failed keeps computing and is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError, ProgramError
from selftaught.examples import Metric
from selftaught.programs import meanings
from selftaught.programs.meanings import Streams
from selftaught.programs.operators import IS_RANDOM, OPERATORS
from selftaught.programs.program import Instruction, Program, Slots

__all__ = ["LaneMemory", "Streams", "evaluate_reference", "execute"]

Precision = Literal["float32", "float64"]

_BLOCK = 1024  # losses are summed in the memory's dtype within a block of examples, blocks in float64
_LEAST_PROBABILITY = 1e-7


@dataclass(frozen=True, eq=False)
class LaneMemory:
    """The memory of all lanes; the arrays are written in place.

    Args:
        scalars: (S, D).
        vectors: (V, F, D).
        matrices: (M, F, F, D), row-major.
    """

    scalars: NDArray[Any]
    vectors: NDArray[Any]
    matrices: NDArray[Any]

    @classmethod
    def zeros(cls, slots: Slots, num_features: int, num_lanes: int, *, precision: Precision = "float32") -> LaneMemory:
        """Return memory full of zeros."""
        f, d = num_features, num_lanes
        return cls(
            np.zeros((slots.scalars, d), precision),
            np.zeros((slots.vectors, f, d), precision),
            np.zeros((slots.matrices, f, f, d), precision),
        )

    def slot(self, kind: str, number: int) -> NDArray[Any]:
        """Return one slot of kind 's', 'v' or 'm': a view whose last axis is the lane."""
        array: NDArray[Any] = {"s": self.scalars, "v": self.vectors, "m": self.matrices}[kind][number]
        return array

    def copy(self) -> LaneMemory:
        """Return an independent copy."""
        return LaneMemory(self.scalars.copy(), self.vectors.copy(), self.matrices.copy())


def execute(instructions: Iterable[Instruction], memory: LaneMemory, streams: Streams) -> None:
    """Run one function once on every lane, changing the memory and the streams.

    >>> memory = LaneMemory.zeros(Slots(3, 1, 0), 4, 2)
    >>> execute([Instruction(56, 2, c0=0.5)], memory, Streams(np.array([1, 2])))
    >>> memory.scalars[2]
    array([0.5, 0.5], dtype=float32)
    """
    with np.errstate(all="ignore"):
        for instruction in instructions:
            operator = OPERATORS[instruction.op]
            if not operator.out:
                continue
            out = memory.slot(operator.out, instruction.out)
            if IS_RANDOM[operator.id]:
                out[...] = operator.meaning(out, instruction.constants, streams)
            elif operator.draw:
                out[...] = operator.meaning(out, instruction.constants)
            elif operator.in2:
                a = memory.slot(operator.in1, instruction.in1)
                out[...] = operator.meaning(a, memory.slot(operator.in2, instruction.in2))
            else:
                out[...] = operator.meaning(memory.slot(operator.in1, instruction.in1))


def evaluate_reference(
    program: Program,
    x_train: NDArray[Any],
    y_train: NDArray[Any],
    x_valid: NDArray[Any],
    y_valid: NDArray[Any],
    *,
    metric: Metric = "rmse",
    num_classes: int = 0,
    num_epochs: int = 1,
    orders: Sequence[NDArray[Any]] | None = None,
    seeds: NDArray[Any],
    max_abs_error: float = 100.0,
    precision: Precision = "float32",
) -> NDArray[np.float64]:
    """Return the fitness of a program on every task, in [0, 1].

    Args:
        program: what to run, as given; pass the live form.
        x_train: (D, n_train, F) float32, n_train may be 0.
        y_train: (D, n_train): targets, labels 0 and 1, or class numbers 0..K-1.
        x_valid: (D, n_valid, F) float32.
        y_valid: (D, n_valid).
        metric: "rmse" (regression), "accuracy" (two classes unless `num_classes` is given) or "cross_entropy".
        num_classes: 0, or K classes with 2 < K <= F for a program that writes class scores into v2.
        num_epochs: passes over the training examples; the best epoch counts.
        orders: one order of rows an epoch, shared by all tasks; the stored order throughout when None.
        seeds: (D,) non-zero uint32, the first state of each task's random stream.
        max_abs_error: a task stops at the first training error that is larger than this, or not finite.
        precision: "float32", the definition, or "float64" to see what rounding does.

    Returns:
        (D,) float64.

    Raises:
        InputError: arrays or options that do not fit each other.
        ProgramError: the program writes v1, the label, in a task of K classes.
    """
    x_train, x_valid = (np.asarray(x, np.float32).astype(precision) for x in (x_train, x_valid))
    y_train, y_valid = (np.asarray(y, np.float32).astype(precision) for y in (y_train, y_valid))
    _check(program, x_train, y_train, x_valid, y_valid, metric, num_classes, num_epochs, orders, seeds)
    num_tasks, _, num_features = x_valid.shape
    slots = program.slots()
    if num_classes:
        slots = Slots(slots.scalars, max(slots.vectors, 3), slots.matrices)
    memory = LaneMemory.zeros(slots, num_features, num_tasks, precision=precision)
    streams = Streams(seeds)
    head: _Head = _Classes(num_classes, metric) if num_classes else _Scalar(metric, max_abs_error)

    execute(program.setup, memory, streams)
    alive = np.ones(num_tasks, dtype=bool)
    best = np.zeros(num_tasks)
    for epoch in range(num_epochs):
        order = np.arange(x_train.shape[1]) if orders is None else orders[epoch]
        for t in order:
            _predict(program, x_train[:, t], memory, streams, head)
            alive &= head.is_fine(memory, y_train[:, t])
            head.show_label(memory, y_train[:, t])
            execute(program.learn, memory, streams)
            head.hide_label(memory)
        if not alive.any():
            break
        fitness = _validate(program, x_valid, y_valid, memory.copy(), streams, head)
        best = np.where(alive, np.maximum(best, fitness), best)
    return best


def _predict(program: Program, x: NDArray[Any], memory: LaneMemory, streams: Streams, head: _Head) -> None:
    """Show the features x, (D, F), run Predict, and turn scores into probabilities."""
    memory.vectors[0] = x.T
    execute(program.predict, memory, streams)
    with np.errstate(all="ignore"):
        head.finish_prediction(memory)


def _validate(
    program: Program, x: NDArray[Any], y: NDArray[Any], memory: LaneMemory, streams: Streams, head: _Head
) -> NDArray[np.float64]:
    """Return the fitness of the trained memory on the validation examples; the memory is used up."""
    num_tasks, num_examples, _ = x.shape
    fine = np.ones(num_tasks, dtype=bool)
    total = np.zeros(num_tasks)
    for start in range(0, num_examples, _BLOCK):
        block = np.zeros(num_tasks, dtype=x.dtype)
        for t in range(start, min(start + _BLOCK, num_examples)):
            _predict(program, x[:, t], memory, streams, head)
            fine &= head.is_fine(memory, y[:, t])
            with np.errstate(all="ignore"):
                block += head.loss(memory, y[:, t])
        total += block
    with np.errstate(all="ignore"):
        return np.where(fine, head.fitness(total / num_examples), 0.0)


# What surrounds the program: how a prediction is read, a label shown, a loss turned into fitness.


@dataclass(frozen=True)
class _Scalar:
    """The prediction is s1, the label s0: regression, or two classes with a sigmoid."""

    metric: Metric
    max_abs_error: float

    def finish_prediction(self, memory: LaneMemory) -> None:
        if self.metric == "accuracy":
            one = memory.scalars.dtype.type(1)
            memory.scalars[1] = one / (one + meanings.exp(-memory.scalars[1]))

    def is_fine(self, memory: LaneMemory, y: NDArray[Any]) -> NDArray[np.bool_]:
        with np.errstate(all="ignore"):
            error = np.abs(y - memory.scalars[1])
        fine: NDArray[np.bool_] = np.isfinite(error) & (error <= error.dtype.type(self.max_abs_error))
        return fine

    def show_label(self, memory: LaneMemory, y: NDArray[Any]) -> None:
        memory.scalars[0] = y

    def hide_label(self, memory: LaneMemory) -> None:
        memory.scalars[0] = 0

    def loss(self, memory: LaneMemory, y: NDArray[Any]) -> NDArray[Any]:
        if self.metric == "accuracy":
            wrong: NDArray[Any] = (y > 0.5) != (memory.scalars[1] > 0.5)
            return wrong
        error = y - memory.scalars[1]
        squares: NDArray[Any] = error * error
        return squares

    def fitness(self, mean_loss: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - mean_loss if self.metric == "accuracy" else _bounded(np.sqrt(mean_loss))


@dataclass(frozen=True)
class _Classes:
    """The scores are v2[:K], the label is one-hot in v1; s0 stays 0."""

    num_classes: int
    metric: Metric

    def finish_prediction(self, memory: LaneMemory) -> None:
        scores = memory.vectors[2, : self.num_classes]
        largest = scores[0]
        for score in scores[1:]:
            largest = meanings.maximum(largest, score)
        powers = meanings.exp(scores - largest)
        memory.vectors[2] = 0
        memory.vectors[2, : self.num_classes] = powers / meanings.sum_in_four(powers)

    def is_fine(self, memory: LaneMemory, y: NDArray[Any]) -> NDArray[np.bool_]:
        fine: NDArray[np.bool_] = np.isfinite(memory.vectors[2, : self.num_classes]).all(axis=0)
        return fine

    def show_label(self, memory: LaneMemory, y: NDArray[Any]) -> None:
        memory.vectors[1, y.astype(np.int64), np.arange(len(y))] = 1

    def hide_label(self, memory: LaneMemory) -> None:
        memory.vectors[1] = 0

    def loss(self, memory: LaneMemory, y: NDArray[Any]) -> NDArray[Any]:
        probabilities = memory.vectors[2, : self.num_classes]
        label = y.astype(np.int64)
        if self.metric == "accuracy":
            wrong: NDArray[Any] = np.argmax(probabilities, axis=0) != label
            return wrong
        least = probabilities.dtype.type(_LEAST_PROBABILITY)
        return -meanings.log(np.maximum(probabilities[label, np.arange(len(y))], least))

    def fitness(self, mean_loss: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - mean_loss if self.metric == "accuracy" else _bounded(mean_loss)


_Head = _Scalar | _Classes


def _bounded(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 - (2 / pi) atan(loss): 0, 1, 100 give 1, 0.5, 0.006366."""
    fitness: NDArray[np.float64] = 1 - (2 / np.pi) * np.arctan(loss)
    return fitness


def _check(
    program: Program,
    x_train: NDArray[Any],
    y_train: NDArray[Any],
    x_valid: NDArray[Any],
    y_valid: NDArray[Any],
    metric: Metric,
    num_classes: int,
    num_epochs: int,
    orders: Sequence[NDArray[Any]] | None,
    seeds: NDArray[Any],
) -> None:
    for name, x, y in (("train", x_train, y_train), ("valid", x_valid, y_valid)):
        if x.ndim != 3 or y.shape != x.shape[:2]:
            raise InputError(f"x_{name} has shape (D, n, F) and y_{name} (D, n), got {x.shape} and {y.shape}")
    num_tasks, num_valid, num_features = x_valid.shape
    if x_train.shape[0] != num_tasks or x_train.shape[2] != num_features:
        raise InputError(f"training and validation differ in tasks or features: {x_train.shape}, {x_valid.shape}")
    for name, count in (("tasks", num_tasks), ("validation examples", num_valid), ("features", num_features)):
        if count < 1:
            raise InputError(f"at least one is needed of {name}, got {count}")
    if num_epochs < 1 or (orders is not None and len(orders) < num_epochs):
        raise InputError(f"num_epochs is at least 1 and orders, where given, hold one an epoch; got {num_epochs}")
    states = np.asarray(seeds)
    if states.shape != (num_tasks,) or not (states.astype(np.uint32) != 0).all():
        raise InputError(f"seeds are {num_tasks} non-zero uint32 numbers, one a task; got shape {states.shape}")
    if metric not in ("rmse", "accuracy", "cross_entropy"):
        raise InputError(f"metric is 'rmse', 'accuracy' or 'cross_entropy', got {metric!r}")
    if not num_classes:
        if metric == "cross_entropy":
            raise InputError("metric 'cross_entropy' needs num_classes; use 'accuracy' for two classes")
        return
    if num_classes < 3 or metric == "rmse":
        raise InputError(
            f"num_classes is 0 or at least 3, with metric 'accuracy' or 'cross_entropy'; got {num_classes}, {metric!r}"
        )
    if num_classes > num_features:
        raise InputError(
            f"{num_classes} classes need at least {num_classes} features; project to num_features >= {num_classes}"
        )
    for y in (y_train, y_valid):
        if not np.isin(y, np.arange(num_classes)).all():
            raise InputError(f"labels of {num_classes} classes are whole numbers 0 to {num_classes - 1}")
    if any(OPERATORS[i.op].out == "v" and i.out == 1 for _, function in program.functions() for i in function):
        raise ProgramError("v1 holds the label in a task of several classes and cannot be written")
