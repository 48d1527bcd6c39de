"""The places of a program's instructions, and programs with instructions taken out or changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from selftaught.programs.live_form import CLASSES, without_dead_code
from selftaught.programs.program import FUNCTIONS, Instruction, Program

__all__ = ["Place", "keep_live", "places", "replace_at", "without"]

#: A function's name and an instruction's number in it, from 0.
Place = tuple[str, int]


def keep_live(program: Program, kind: int) -> Program:
    """Return the program without the instructions that cannot reach a prediction.

    Args:
        program: any program.
        kind: what is predicted: `liveness.REGRESSION`, `BINARY` or `CLASSES`.
    """
    return without_dead_code(program, several_classes=kind == CLASSES)


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
