"""The recorded runs that come with the package."""

from __future__ import annotations

from pathlib import Path

from selftaught.errors import InputError, did_you_mean

__all__ = ["DEFAULT", "recording", "recordings"]

DEFAULT = "digits"


def recordings() -> list[str]:
    """Return the names of the recorded runs.

    >>> "digits" in recordings()
    True
    """
    return sorted(path.parent.name for path in _home().glob("*/result.json"))


def recording(name: str = DEFAULT) -> Path:
    """Return the folder of a recorded run, as `selftaught evolve` left it, with recording.json beside it.

    recording.json tells the machine, the time and the command.

    Raises:
        InputError: there is none of that name.

    >>> (recording() / "recording.json").is_file()
    True
    """
    if name not in recordings():
        raise InputError(f"there is no recording {name!r}{did_you_mean(name, recordings())}")
    return _home() / name


def _home() -> Path:
    return Path(__file__).parents[1] / "recordings"
