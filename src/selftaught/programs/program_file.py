"""The bytes of a program's file, and which files belong to it."""

from __future__ import annotations

from pathlib import Path

from selftaught.errors import ProgramError
from selftaught.programs.parse import MAX_INSTRUCTIONS
from selftaught.writing import RUN_FILES

__all__ = ["files_of_program", "read_program_bytes"]

MAX_BYTES = 4_000_000  # 10,000 instructions of 400 bytes each


def read_program_bytes(path: Path) -> bytes:
    """Return what a program's file holds.

    Raises:
        OSError: it cannot be read.
        ProgramError: it holds more than any program; without the limit, /dev/zero would fill the memory.
    """
    with open(path, "rb") as stream:
        text = stream.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ProgramError(
            f"{path} holds more than {MAX_BYTES // 1_000_000} MB; a program has at most {MAX_INSTRUCTIONS:,} "
            "instructions"
        )
    return text


def files_of_program(place: Path) -> list[Path]:
    """Return the files that an export must not take the place of: the program's, or all of a run's folder."""
    return [place / name for name in RUN_FILES] if place.is_dir() else [place]
