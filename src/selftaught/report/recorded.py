"""The recorded runs that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from selftaught.errors import InputError, did_you_mean

__all__ = ["DEFAULT", "recording", "recordings", "run_or_recording"]

DEFAULT = "cifar10-pairs"


def recordings() -> list[str]:
    """Return the names of the recorded runs, the default one first.

    >>> recordings()
    ['cifar10-pairs', 'digits']
    """
    return sorted(
        (path.parent.name for path in _home().glob("*/result.json")), key=lambda name: (name != DEFAULT, name)
    )


def recording(name: str = DEFAULT) -> Path:
    """Return the folder of a recorded run, as `selftaught evolve` left it, with recording.json beside it.

    recording.json tells the machine, the time and the command.

    Raises:
        InputError: there is none of that name.

    >>> (recording() / "recording.json").is_file()
    True
    """
    if name not in recordings():
        hint = did_you_mean(name, recordings()) or f"; there are {', '.join(recordings())}"
        raise InputError(f"there is no recording {name!r}{hint}")
    return _home() / name


def run_or_recording(given: str | os.PathLike[str] | None) -> tuple[Path, str | None]:
    """Return the folder that a user means, and the recording's name where it is one.

    A folder of that name goes before a recording, unless it holds no run.

    Args:
        given: the folder of a run, the name of a recording, or None for the default recording.

    Raises:
        InputError: there is neither.
    """
    if given is None:
        return recording(), DEFAULT
    path = Path(given).expanduser()
    named = str(given) in recordings()
    if named and not (path / "result.json").is_file():
        return recording(str(given)), str(given)
    if not path.exists():
        raise InputError(
            f"there is no folder {path}{did_you_mean(str(given), recordings())}; give the folder of a run, as "
            f"selftaught evolve prints it, or the name of a recording: {', '.join(recordings())}"
        )
    return path, None


def _home() -> Path:
    return Path(__file__).parents[1] / "recordings"
