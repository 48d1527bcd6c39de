"""Where the larger image sets lie on this machine: below the folder SELFTAUGHT_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from selftaught.errors import DataError

__all__ = ["DATA_VARIABLE", "candidate_folders"]

DATA_VARIABLE = "SELFTAUGHT_DATA"


def candidate_folders(below: tuple[str, ...], *, system: tuple[str, ...] = (), name: str, how: str) -> list[Path]:
    """Return the existing folders in which to look for a data set, the most specific first.

    Args:
        below: folders relative to the one SELFTAUGHT_DATA names.
        system: absolute folders that need no variable.
        name: the data set, for the error.
        how: one clause on how to obtain it, for the error.

    Raises:
        DataError: there is no such folder, or SELFTAUGHT_DATA is unset or names no folder.
    """
    root = os.environ.get(DATA_VARIABLE)
    if root and not Path(root).expanduser().is_dir():
        raise DataError(f"{DATA_VARIABLE} must name a folder, but {root!r} is none")
    places = [Path(root).expanduser() / part for part in below] if root else []
    found = [place for place in [*places, *map(Path, system)] if place.is_dir()]
    if not found:
        raise DataError(
            f"{name} needs local files: {how}, and set the environment variable {DATA_VARIABLE} to its folder"
        )
    return found
