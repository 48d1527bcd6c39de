"""Options that say how data are read, which every command that loads data takes."""

from __future__ import annotations

import csv
import re
from typing import Annotated, Any

import typer

from selftaught.cli.choices import MissingValues

__all__ = ["READING", "DropColumns", "IdColumn", "Missing", "Resize", "columns", "height_and_width", "reading_given"]

_PANEL = "Data"
READING = ("missing", "drop", "id_column", "resize")  # what `selftaught.load` calls them
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


def columns(text: str) -> tuple[str, ...]:
    """Read names of columns with commas between them, quoted as in a text table where a name holds one.

    Raises:
        typer.BadParameter: there is no name in it.

    >>> columns('id,"day, month"')
    ('id', 'day, month')
    """
    try:
        names = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error:
        names = []
    found = tuple(name.strip() for name in names if name.strip())
    if not found:
        raise typer.BadParameter(f"{text!r} names no column; write names with commas, such as id,comment.")
    return found


def height_and_width(text: str) -> tuple[int, int]:
    """Read a size of images.

    Raises:
        typer.BadParameter: it is none.

    >>> height_and_width("32x48")
    (32, 48)
    """
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no size of images; write height x width, such as 32x32.")
    return int(found[1]), int(found[2])


Missing = Annotated[
    MissingValues | None,
    typer.Option(
        help="Missing values of a table: error (default), or impute the median or the most frequent text.",
        rich_help_panel=_PANEL,
    ),
]
DropColumns = Annotated[
    Any, typer.Option("--drop", help="Columns to leave out.", parser=columns, metavar="A,B", rich_help_panel=_PANEL)
]
IdColumn = Annotated[
    str | None,
    typer.Option("--id-column", help="The column with the rows' own ids.", metavar="COLUMN", rich_help_panel=_PANEL),
]
Resize = Annotated[
    Any,
    typer.Option(
        help="Bring all images of a folder to one size.", parser=height_and_width, metavar="HxW", rich_help_panel=_PANEL
    ),
]


def reading_given(missing: MissingValues | None, drop: Any, id_column: str | None, resize: Any) -> dict[str, Any]:
    """Return the options that were given, as `selftaught.load` takes them."""
    every = {"missing": missing.value if missing else None, "drop": drop, "id_column": id_column, "resize": resize}
    return {name: value for name, value in every.items() if value is not None}
