"""The live form of a program, and programs with instructions taken out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from selftaught.programs.liveness import CLASSES, compact, find_live
from selftaught.programs.program import FUNCTIONS, Instruction, Program

__all__ = ["Place", "keep_live", "places", "replace_at", "without"]

#: A function's name and an instruction's number in it, from 0.
Place = tuple[str, int]


def keep_live(program: Program, kind: int, slots: Sequence[int] | None = None) -> Program:
    """Return the program without the instructions that cannot reach a prediction.

    Args:
        program: any program.
        kind: what is predicted: `liveness.REGRESSION`, `BINARY` or `CLASSES`.
        slots: the slot counts to take; the smallest that fit when None.
    """
    code, sizes = program.encode()
    scalars, vectors, matrices = slots if slots is not None else program.slots()
    if kind == CLASSES:
        vectors = max(vectors, 3)
    shape = np.array([scalars, vectors, matrices, kind, 0, 0], np.int64)
    marks = np.zeros((2, len(code) + 1), np.uint64)
    while find_live(code, sizes, shape, marks) < sizes.sum():
        compact(code, sizes, marks)
    return Program.decode(code, sizes)


def places(program: Program) -> Iterator[tuple[Place, Instruction]]:
    """Yield every instruction with its place, Setup first."""
    for name, function in program.functions():
        for line, instruction in enumerate(function):
            yield (name, line), instruction


def without(program: Program, removed: Collection[Place]) -> Program:
    """Return the program with the instructions at these places taken out.

    >>> from selftaught.programs import linear_learner
    >>> len(without(linear_learner(), [("learn", 3)]).learn)
    3
    """
    gone = set(removed)
    return Program(*(
        tuple(instruction for line, instruction in enumerate(function) if (name, line) not in gone)
        for name, function in program.functions()
    ))  # fmt: skip


def replace_at(program: Program, place: Place, instruction: Instruction) -> Program:
    """Return the program with another instruction at a place."""
    name, line = place
    parts = {one: list(function) for one, function in program.functions()}
    parts[name][line] = instruction
    return Program(*(tuple(parts[one]) for one in FUNCTIONS))
