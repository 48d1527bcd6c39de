"""Three techniques that adaptation is said to bring forth, each told by the structure of a live program.

The checks look at live code only and are small on purpose: each says what it takes for the technique, and a
program that does the same by other means is not counted, on either side of a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from selftaught.programs.operators import BY_NAME, IS_RANDOM, OPERATORS
from selftaught.programs.program import Instruction, Program, Slots
from selftaught.programs.reference import LaneMemory, Streams, execute

__all__ = ["TECHNIQUES", "has_noise", "rate_decays", "rate_from_weights"]

_SCALES = {BY_NAME[name].id for name in ("scalar_multiply", "scalar_divide", "vector_scale", "matrix_scale")}
_SUMS = {BY_NAME[name].id for name in ("matrix_add", "matrix_subtract")}
_MATRIX_MEAN, _ROW_MEANS, _VECTOR_MEAN = (
    BY_NAME[name].id for name in ("matrix_mean", "matrix_row_means", "vector_mean")
)
STEPS = 100  # examples that a schedule is followed for
SHRUNK = 0.9  # a rate that ends below this share of where it began has decayed


def has_noise(program: Program) -> bool:
    """Say whether random numbers are drawn at every example: in Predict or Learn, not only in Setup."""
    return any(IS_RANDOM[i.op] for i in _each_example(program))


def rate_decays(program: Program) -> bool:
    """Say whether a scalar that scales something in Learn shrinks with the number of examples, whatever they are.

    Such a scalar is written again at every example from constants and scalars of its kind alone: no data reaches it.
    Its course is found by running just those instructions on 100 empty examples.
    """
    clock = _clock(program)
    used = {s for i in program.learn if i.op in _SCALES for s in _scalars_read(i)} & clock
    if not used:
        return False
    scalars, vectors, matrices = program.slots()
    memory = LaneMemory.zeros(Slots(scalars, vectors, matrices), 4, 4)
    streams = Streams(np.arange(1, 5, dtype=np.uint32))
    execute(program.setup, memory, streams)
    turns = [[i for i in part if _written_scalar(i) in clock] for part in (program.predict, program.learn)]
    course = []
    for _ in range(STEPS):
        for part in turns:
            execute(part, memory, streams)
        course.append(np.abs(memory.scalars[sorted(used)]).copy())
    first, last = course[0], course[-1]
    return bool((np.isfinite(first) & (first > 0) & (last < SHRUNK * first)).all(axis=1).any())


def rate_from_weights(program: Program) -> bool:
    """Say whether the mean of a matrix of weights, possibly transformed, scales something in Learn.

    Weights are a matrix to which something is added at every example; the mean may pass through operators on scalars.
    """
    every = list(_each_example(program))
    weights = {i.out for i in every if i.op in _SUMS and i.out in _read(i, "m")}
    means = {i.out for i in every if i.op == _MATRIX_MEAN and i.in1 in weights}
    rows = {i.out for i in every if i.op == _ROW_MEANS and i.in1 in weights}
    means |= {i.out for i in every if i.op == _VECTOR_MEAN and i.in1 in rows}
    means.discard(1)
    while True:
        more = {
            i.out
            for i in every
            if OPERATORS[i.op].out == "s" and OPERATORS[i.op].in1 == "s" and means.intersection(_scalars_read(i))
            # Through the prediction or the error, every weight reaches every update: that is no rate.
            if i.out != 1 and not {0, 1}.intersection(_scalars_read(i))
        }
        if more <= means:
            break
        means |= more
    return any(i.op in _SCALES and means.intersection(_scalars_read(i)) for i in program.learn)


#: name -> whether a live program does so
TECHNIQUES: Mapping[str, Callable[[Program], bool]] = {
    "noise": has_noise,
    "rate decay": rate_decays,
    "rate from weights": rate_from_weights,
}


def _each_example(program: Program) -> tuple[Instruction, ...]:
    return program.predict + program.learn


def _read(instruction: Instruction, kind: str) -> list[int]:
    """Return the slots of a kind that an instruction reads."""
    operator = OPERATORS[instruction.op]
    read = []
    if operator.in1 == kind:
        read.append(instruction.in1)
    if operator.in2 == kind:
        read.append(instruction.in2)
    return read


def _scalars_read(instruction: Instruction) -> list[int]:
    return _read(instruction, "s")


def _written_scalar(instruction: Instruction) -> int:
    return instruction.out if OPERATORS[instruction.op].out == "s" else -1


def _clock(program: Program) -> set[int]:
    """Return the scalars written at every example that no data and no random number reaches.

    The greatest fixed point: begin with all, take away what reads anything else. Scalars that only Setup writes
    are constants. s0 holds the label and s1 what the loop makes of the prediction.
    """
    every = list(_each_example(program))
    written = {slot for i in every if (slot := _written_scalar(i)) >= 0}
    clock = written - {0, 1}
    while True:
        kept = {slot for slot in clock if all(_knows_no_data(i, clock, written) for i in _writers(every, slot))}
        if kept == clock:
            return clock
        clock = kept


def _writers(every: Iterable[Instruction], slot: int) -> list[Instruction]:
    return [i for i in every if _written_scalar(i) == slot]


def _knows_no_data(instruction: Instruction, clock: set[int], written: set[int]) -> bool:
    operator = OPERATORS[instruction.op]
    if IS_RANDOM[instruction.op] or {operator.in1, operator.in2} - {"s", ""}:
        return False
    return all(slot not in (0, 1) and (slot in clock or slot not in written) for slot in _scalars_read(instruction))
