"""`selftaught data SOURCE`: how a data set is read, before anything is made of it."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selftaught.cli.choices import TargetKind
from selftaught.cli.quantities import count
from selftaught.cli.reading_options import DropColumns, IdColumn, Missing, Resize, reading_given

if TYPE_CHECKING:
    from selftaught.examples import Examples

__all__ = ["data_command"]


def data_command(
    source: Annotated[str, typer.Argument(help="What evolve takes.", metavar="SOURCE")] = "digits",
    target: Annotated[str | None, typer.Option(help="The column to predict.", metavar="COLUMN")] = None,
    task: Annotated[TargetKind | None, typer.Option(help="Read the target as classes or as a number.")] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show how a data set is read: rows, classes, columns, first ids."""
    import selftaught
    from selftaught.datasets import cautions
    from selftaught.errors import InputError
    from selftaught.programs.builtin import BUILTIN
    from selftaught.programs.settings import ALIASES

    if source in BUILTIN or source in ALIASES:
        raise InputError(
            f"{source} is a built-in task, drawn anew for every search, and has no rows to show; "
            f"selftaught evolve {source} takes it"
        )
    reading = reading_given(missing, drop, id_column, resize)
    examples = selftaught.load(source, target, task=task.value if task else None, **reading)
    described = describe(examples) | {"cautions": cautions(examples)}
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    _print(described, next_command(source, target=target, task=task.value if task else None, **reading))


def next_command(source: str, **options: Any) -> str:
    """Return the command that evolves on data read like this.

    >>> next_command("my sales.csv", target="price", drop=("id", "note"))
    "selftaught evolve 'my sales.csv' --target price --drop id,note"
    """
    words = ["selftaught", "evolve", source]
    for name, value in options.items():
        if value is None:
            continue
        if name == "drop":
            value = ",".join(f'"{one}"' if "," in one else one for one in value)
        words += [f"--{name.replace('_', '-')}", "x".join(map(str, value)) if name == "resize" else str(value)]
    return shlex.join(words)


def describe(examples: Examples) -> dict[str, Any]:
    """Return what a data set holds, made of JSON's own types."""
    import numpy as np

    described: dict[str, Any] = {
        "name": examples.name,
        "rows": len(examples),
        "shape": list(examples.inputs.shape[1:]),
        "type": str(examples.inputs.dtype),
        "columns": list(examples.feature_names),
        "first_ids": [str(one) for one in examples.ids[:3]],
    }
    if examples.labels is None:
        described["target"] = "none"
    elif examples.num_classes:
        numbers = np.bincount(examples.labels, minlength=examples.num_classes)
        described["target"] = "classes"
        described["classes"] = dict(zip(examples.class_names, numbers.tolist(), strict=True))
    else:
        described["target"] = "number"
        described["range"] = [float(examples.labels.min()), float(examples.labels.max())]
    return described


def _print(described: dict[str, Any], command: str) -> None:
    from rich.console import Console
    from rich.table import Table

    shape = " x ".join(str(length) for length in described["shape"])
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("data", described["name"])
    table.add_row("rows", count(described["rows"]))
    table.add_row("inputs", f"{shape} {described['type']}")
    if described["columns"]:
        table.add_row("columns", _some(described["columns"]))
    if described["target"] == "classes":
        words = [f"{name} ({count(number)})" for name, number in described["classes"].items()]
        table.add_row(f"{len(words)} classes", _some(words))
    elif described["target"] == "number":
        low, high = described["range"]
        table.add_row("target", f"a number from {low:g} to {high:g}")
    else:
        table.add_row("target", "none")
    table.add_row("first ids", ", ".join(described["first_ids"]))
    for caution in described["cautions"]:
        table.add_row("note", caution, style="yellow")
    # markup=False: a column may be called "[red]".
    console = Console(highlight=False, markup=False)
    console.print(table)
    console.print(f"next       {command}", soft_wrap=True)  # whole, so that it can be copied


def _some(words: list[str], most: int = 20) -> str:
    more = f", and {count(len(words) - most)} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
