"""A program in any of the forms that people hold one in: object, text, file or folder of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from selftaught.errors import InputError, ProgramError
from selftaught.programs.operators import OPERATORS
from selftaught.programs.parse import ParsedProgram, parse_program
from selftaught.programs.program import Program, Slots
from selftaught.programs.program_file import read_program_bytes
from selftaught.programs.text import FORMAT_NAME, smallest_slots

__all__ = ["given_program", "read_program_file"]

PROGRAM_FILE = "program.txt"


def given_program(program: Any, *, task: str | None = None) -> ParsedProgram:
    """Return a program with its slots and task.

    Args:
        program: a `Program`; its text; the path of a text file, or of a run's folder with a `program.txt`; or
            what has a `text` in the format of programs, such as the result of `evolve`.
        task: "regression", "binary" or "classes K"; None takes what a text says. A `Program` says nothing: it is
            "regression" when it writes s1, else "classes 3".

    Raises:
        InputError: it is none of these, or there is no such file.
        ProgramError: the text has mistakes, one line each.
    """
    if isinstance(program, ParsedProgram):
        read = program
    elif isinstance(program, Program):
        read = ParsedProgram(program, program.slots(), _task_of(program))
    elif isinstance(program, str) and ("\n" in program or program.lstrip().startswith(FORMAT_NAME)):
        read = parse_program(program)
    elif isinstance(program, str | os.PathLike):
        read = read_program_file(program)
    elif isinstance(getattr(program, "text", None), str):
        read = parse_program(program.text)
    else:
        raise InputError(
            "program is a Program, its text, the path of a program's file, or the result of evolve; "
            f"got {type(program).__name__}"
        )
    if task is not None:
        read = ParsedProgram(read.program, _slots_for(read.slots, task), task)
    return read


def read_program_file(path: str | os.PathLike[str]) -> ParsedProgram:
    """Read a program from its text file, or from the `program.txt` of a run's folder.

    Raises:
        InputError: there is no such file, or a folder without a program.
        ProgramError: the text has mistakes, one line each.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        if not (place / PROGRAM_FILE).is_file():
            raise InputError(f"the folder {place} holds no {PROGRAM_FILE}; give a program's file or a finished run")
        place = place / PROGRAM_FILE
    try:
        text = read_program_bytes(place)
    except FileNotFoundError:
        raise InputError(f"there is no program {place}; give a program's text file or the folder of a run") from None
    except OSError as error:
        raise InputError(f"{place} cannot be read ({error.strerror}); give a program's text file") from None
    return parse_program(text, str(place))


def _task_of(program: Program) -> str:
    """Guess the task of a program without a text: one that scores classes writes v2 and leaves s1 and v1 alone."""
    written = {(OPERATORS[i.op].out, i.out) for _, function in program.functions() for i in function}
    several = ("v", 2) in written and not written & {("s", 1), ("v", 1)}
    return "classes 3" if several else "regression"


def _slots_for(slots: Slots, task: str) -> Slots:
    try:
        return smallest_slots(slots, task)
    except ProgramError as error:
        raise InputError(str(error)) from None
