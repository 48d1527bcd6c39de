"""Programs as readable text: printing. `parse` reads what this writes."""

from __future__ import annotations

import numpy as np

from selftaught.errors import ProgramError
from selftaught.programs.operators import OPERATORS
from selftaught.programs.program import Instruction, Program, Slots

__all__ = [
    "FORMAT_NAME",
    "FORMAT_VERSION",
    "classes_of",
    "format_constant",
    "format_instruction",
    "format_program",
    "smallest_slots",
]

FORMAT_NAME = "selftaught-program"
FORMAT_VERSION = 1


def classes_of(task: str) -> int:
    """Return K of a task "classes K", 0 of "regression" and "binary".

    Raises:
        ProgramError: the task is none of these.

    >>> classes_of("classes 10")
    10
    """
    if task in ("regression", "binary"):
        return 0
    word, _, number = task.partition(" ")
    digits = number.strip()
    if word == "classes" and digits.isascii() and digits.isdigit() and len(digits) <= 4 and int(digits) >= 3:
        return int(digits)
    raise ProgramError(f"task is 'regression', 'binary' or 'classes K' with K at least 3, got {task[:40]!r}")


def smallest_slots(slots: Slots, task: str) -> Slots:
    """Return the slots that a task adds to those of a program: v1 and v2 for several classes."""
    return Slots(slots.scalars, max(slots.vectors, 3), slots.matrices) if classes_of(task) else slots


def format_constant(value: float) -> str:
    """Write a float32 in the shortest form that reads back to the same float32.

    >>> format_constant(0.1), format_constant(-1.0), format_constant(1e-5)
    ('0.1', '-1', '1e-05')
    """
    number = np.float32(value)
    plain = number == 0 or 1e-4 <= abs(number) < 1e9
    text = np.format_float_positional(number, trim="-") if plain else np.format_float_scientific(number, trim="-")
    if np.float32(float(text)) != number:  # the shortest form lies so near a midpoint that it rounds twice
        text = f"{float(number):.9g}"
    return text


def format_instruction(instruction: Instruction) -> str:
    """Write one instruction as in the operator table.

    >>> format_instruction(Instruction(18, out=2, in1=3, in2=0))
    'v2 = s3 * v0'
    """
    operator = OPERATORS[instruction.op]
    return operator.text.format(
        out=f"{operator.out}{instruction.out}",
        in1=f"{operator.in1}{instruction.in1}",
        in2=f"{operator.in2}{instruction.in2}",
        c0=format_constant(instruction.c0),
        c1=format_constant(instruction.c1),
        c2=format_constant(instruction.c2),
    )


def format_program(program: Program, slots: Slots | None = None, task: str = "regression") -> str:
    """Write a program in the text format, without a newline at the end.

    A function without instructions is written `pass`. A function of nothing but no_ops gets one `pass` more
    than it has no_ops, so that reading the text gives the same program.

    Args:
        program: what to write.
        slots: the slot counts to declare; the smallest that fit when None.
        task: "regression", "binary" or "classes K".

    Raises:
        ProgramError: the program does not fit the slots or the task.

    >>> print(format_program(Program(setup=(Instruction(56, 2, c0=0.01),))))
    selftaught-program 1
    slots: 3 scalars, 1 vector, 0 matrices
    task: regression
    setup:
        s2 = 0.01
    predict:
        pass
    learn:
        pass
    """
    fit = smallest_slots(program.slots(), task)
    slots = fit if slots is None else slots
    if any(given < needed for given, needed in zip(slots, fit, strict=True)):
        raise ProgramError(f"the program needs {fit}, got {slots}")
    lines = [f"{FORMAT_NAME} {FORMAT_VERSION}", f"slots: {slots}", f"task: {task}"]
    for name, function in program.functions():
        lines.append(f"{name}:")
        if all(instruction.op == 0 for instruction in function):
            lines.append("    pass")
        for instruction in function:
            if classes_of(task) and OPERATORS[instruction.op].out == "v" and instruction.out == 1:
                raise ProgramError(f"{format_instruction(instruction)}: v1 holds the label and cannot be written")
            lines.append("    " + format_instruction(instruction))
    return "\n".join(lines)
