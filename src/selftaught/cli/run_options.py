"""Options of a run that can be gone on with, which every long command takes, and what they come to."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from selftaught.cli.config_file import read_config
from selftaught.errors import InputError

__all__ = ["AsJson", "Config", "Fresh", "Quiet", "Resume", "going_on", "lasting", "settings_given"]

_FILES, _OUTPUT = "Files", "Output"

Resume = Annotated[
    bool, typer.Option("--resume", help="Insist that there is a run to go on with.", rich_help_panel=_FILES)
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over, whatever is stored.", rich_help_panel=_FILES)]
Config = Annotated[
    Path | None,
    typer.Option(
        help="Read settings from a TOML file; options given here win. Every run saves one.",
        metavar="FILE",
        rich_help_panel=_FILES,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, and nothing else.", rich_help_panel=_OUTPUT)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the final summary only.", rich_help_panel=_OUTPUT)
]


def going_on(resume: bool, fresh: bool) -> bool | None:
    """Return True to insist on a stored run, False to start over, None to go on where there is one.

    Raises:
        InputError: both are wanted.

    >>> going_on(False, True), going_on(False, False)
    (False, None)
    """
    if resume and fresh:
        raise InputError("--resume goes on and --fresh starts over; give one of them")
    return True if resume else False if fresh else None


def settings_given(options: Mapping[str, Any], known: Sequence[str], config: Path | None) -> dict[str, Any]:
    """Return the settings of a run: those of a file, then the options that were given.

    Args:
        options: a command's options by name, None or False where one was not given.
        known: the names of settings.
        config: the settings' file.

    Raises:
        InputError: the file cannot be read, or names what is no setting.
    """
    given = {
        name: value.value if isinstance(value, enum.Enum) else value
        for name, value in options.items()
        if name in known and value is not None and value is not False
    }
    return {**(read_config(config, known) if config else {}), **given}


def lasting(source: str, *, names: Sequence[str] = ()) -> str:
    """Return the absolute path of a file or folder; names of data sets, and other `names`, as they are."""
    from selftaught.datasets import NAMES

    if source in (*NAMES, "cifar10", "fashion-mnist", *names):
        return source
    path = Path(source).expanduser()
    return str(path.absolute()) if path.exists() else source
