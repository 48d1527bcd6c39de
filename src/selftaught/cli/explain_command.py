"""`selftaught explain RUN_OR_PROGRAM`: what each instruction is worth, a shorter form, formulas, techniques."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from selftaught.cli.choices import TaskKind
from selftaught.cli.quantities import clock, whole_number
from selftaught.cli.reading_options import DropColumns, IdColumn, Missing, Resize, reading_given

__all__ = ["explain_command"]

EXPLANATION = "explanation.json"
_NUMBER = {"parser": whole_number, "metavar": "N"}


def explain_command(
    subject: Annotated[str, typer.Argument(help="A run's folder, or a program's file.", metavar="RUN_OR_PROGRAM")],
    tasks: Annotated[
        str | None,
        typer.Option(
            help="A built-in task or a data set, as evolve takes it; a run brings its own.", metavar="NAME_OR_DATA"
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.", metavar="COLUMN")] = None,
    task: Annotated[TaskKind | None, typer.Option(help="What to learn of the data.")] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    features: Annotated[int | None, typer.Option(help="Inputs of a task.", **_NUMBER)] = None,
    count: Annotated[
        int | None, typer.Option(help="Unseen tasks in each of three sets, 64 by default.", **_NUMBER)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything, 0 by default.", **_NUMBER)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Where to write explanation.json; the run's folder by default.", metavar="FILE")
    ] = None,
) -> None:
    """Explain a program: the worth of each instruction, a shorter form, its formulas and techniques."""
    from selftaught.errors import InputError
    from selftaught.programs.explain import explain, unseen_tasks
    from selftaught.programs.explain.from_files import read_subject
    from selftaught.programs.program_file import files_of_program
    from selftaught.writing import file_to_write, write_atomically

    read = read_subject(subject, with_tasks=tasks is None)
    options: dict[str, Any] = {
        "target": target, "task": task.value if task else None, "features": features,
        **reading_given(missing, drop, id_column, resize),
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    if tasks is None:
        if read.problem is None:
            raise InputError(f"{subject} is a program without a run; say what it is for, as in --tasks linear")
        if given:
            raise InputError(f"--{next(iter(given)).replace('_', '-')} goes with --tasks; a run brings its own tasks")
    source: Any = read.problem if tasks is None else tasks
    place = out if out is not None or read.folder is None else read.folder / EXPLANATION
    if place is not None:
        kept = files_of_program(Path(subject).expanduser())
        place = file_to_write(place, read=[one for one in kept if one.name != EXPLANATION])
    number = 0 if seed is None else seed
    unseen = unseen_tasks(source, count=64 if count is None else count, seed=number, **given)
    if bool(read.num_classes) != bool(unseen.report.num_classes):
        raise InputError(
            f"{subject} is a program for the task {read.task!r}, but these tasks are {unseen.text_kind!r}, where label "
            "and prediction lie in other slots; name tasks of the program's kind"
        )
    with _status() as tell:
        found = explain(read.program, unseen, seed=number, slots=read.slots, tell=tell)
    page = None
    if place is not None:
        write_atomically(place, found.to_json().encode())
        page = _page(read.folder) if read.folder is not None and place == read.folder / EXPLANATION else None
    if as_json:
        typer.echo(found.to_json(), nl=False)
        return
    typer.echo(str(found))
    if place is not None:
        typer.echo(f"\nwritten to {place}" + (f", and shown by {page}" if page is not None else ""))


@contextlib.contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """Give a function that says on the standard error what is being measured: in one line that changes, or in lines."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, markup=False)
    began = time.monotonic()
    if console.is_terminal and not console.is_dumb_terminal:
        with console.status("loading the engine ...") as status:
            yield lambda words: status.update(f"{clock(time.monotonic() - began)}  {words} ...")
    else:
        print("loading the engine ...", file=sys.stderr)  # noqa: T201
        yield lambda words: None


def _page(folder: Path) -> Path | None:
    """Write the run's page anew, now that it can say what each line is worth; None where the folder is no whole run."""
    from selftaught.errors import SelftaughtError
    from selftaught.report import write_report

    try:
        return write_report(folder)
    except SelftaughtError:
        return None
