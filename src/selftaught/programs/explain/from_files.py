"""Read what is to be explained: the folder of a run, or a program's file."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selftaught.errors import InputError
from selftaught.programs.parse import parse_program
from selftaught.programs.problems import READING, Problem, source_of
from selftaught.programs.program import Program
from selftaught.programs.program_file import read_program_bytes
from selftaught.programs.settings import EvolveSettings
from selftaught.programs.text import classes_of

__all__ = ["Subject", "read_subject"]

SETTINGS, PROGRAM, CONFIG = "settings.json", "program.txt", "config.toml"
ADVICE = "name the tasks with --tasks (tasks=)"


@dataclass(frozen=True, eq=False)
class Subject:
    """A program and, where a run says so, the problem that it was found on.

    Args:
        program: the program.
        slots: its declared slot counts.
        problem: the search's problem, or None for a program's file.
        folder: the run's folder, or None.
        task: what the text says it is for: "regression", "binary" or "classes K".
    """

    program: Program
    slots: tuple[int, int, int]
    problem: Problem | None
    folder: Path | None
    task: str = "regression"

    @property
    def num_classes(self) -> int:
        """K of a program for K classes, else 0."""
        return classes_of(self.task)


def read_subject(path: str | os.PathLike[str], *, with_tasks: bool = True) -> Subject:
    """Read a run's folder or a program's file.

    Args:
        path: a folder that `evolve` wrote, or a program in the text format.
        with_tasks: rebuild the run's problem.

    Raises:
        InputError: there is no such file, it is no run, or its data are not what they were.
        ProgramError: the program has mistakes.
    """
    place = Path(path).expanduser()
    folder = place if place.is_dir() else None
    file = place / PROGRAM if folder else place
    try:
        parsed = parse_program(read_program_bytes(file), str(file))
    except OSError as error:
        if folder:
            raise InputError(
                f"{folder} holds no finished run: {PROGRAM} cannot be read ({error.strerror}); give a finished run's "
                "folder or a program's file"
            ) from None
        raise InputError(f"{file}: {error.strerror}; give a run's folder or a program's file") from None
    problem = _problem(folder) if folder is not None and with_tasks else None
    scalars, vectors, matrices = parsed.slots
    return Subject(parsed.program, (scalars, vectors, matrices), problem, folder, parsed.task)


def _problem(folder: Path) -> Problem:
    stored = _json(folder / SETTINGS)
    try:
        settings = EvolveSettings.model_validate(stored)
    except ValidationError:
        raise InputError(f"{folder / SETTINGS} does not hold a run's settings; {ADVICE}") from None
    if settings.builtin:
        return Problem(settings, None)
    source, target = _source(folder, settings)
    reading = {name: getattr(settings, name) for name in READING}
    _, digest, examples = source_of(source, target=target, task=settings.task, **reading)
    if digest != settings.digest:
        raise InputError(f"{source} is not the data that {folder} was made with; {ADVICE}")
    return Problem(settings, examples)


def _source(folder: Path, settings: EvolveSettings) -> tuple[str, str | None]:
    """Return where the data of a run come from: its config.toml knows paths, its settings only names."""
    config = folder / CONFIG
    given: dict[str, Any] = {}
    if config.exists():
        try:
            given = tomllib.loads(config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            raise InputError(f"{config} cannot be read; {ADVICE}") from None
    target = given.get("target", settings.target)
    return str(given.get("data", settings.data)), None if target is None else str(target)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path} cannot be read; {ADVICE}") from None
