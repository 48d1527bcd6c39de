"""`selftaught evolve`: discover a learning algorithm for a data set."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import selftaught
from selftaught.cli.choices import BiasLevel, SearchKind, TaskKind
from selftaught.cli.config_file import write_config
from selftaught.cli.interrupts import Interrupts
from selftaught.cli.keyboard import Keyboard
from selftaught.cli.quantities import duration, number, whole_number
from selftaught.cli.reading_options import DropColumns, IdColumn, Missing, Resize
from selftaught.cli.run_options import AsJson, Config, Fresh, Quiet, Resume, going_on, lasting, settings_given
from selftaught.errors import SelftaughtError

if TYPE_CHECKING:
    from selftaught.cli.line_view import LineView
    from selftaught.cli.live_view import LiveView
    from selftaught.programs import Evolution, Progress

__all__ = ["SETTINGS", "evolve_command", "repeatable"]

#: What a settings file may hold: the arguments of `selftaught.evolve` that shape a run.
SETTINGS = (
    "data", "target", "task", "missing", "drop", "id_column", "resize", "features", "preset", "programs", "seconds",
    "population", "tournament", "operators", "sizes", "slots", "search", "bias", "start", "epochs", "num_tasks",
    "num_train", "num_valid", "seed", "workers", "hurdles", "fingerprint", "mutation_style", "target_fitness",
    "store", "out",
)  # fmt: skip
#: What is saved as it was resolved; the rest of what is saved is what was given.
RESOLVED = (
    "task", "features", "preset", "population", "tournament", "operators", "slots", "search", "bias", "start", "epochs",
    "num_tasks", "num_train", "num_valid", "seed", "workers", "hurdles", "fingerprint", "mutation_style",
)  # fmt: skip
_STARTS = ("empty", "linear", "network", "random")  # that are no program's file
#: What belongs to one run and not to what is repeated.
_OF_ONE_RUN = ("out", "store")

_DATA, _BUDGET, _SEARCH, _FILES = "Data", "Budget", "Search", "Files"
_NUMBER = {"parser": whole_number, "metavar": "N"}


def evolve_command(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            help="digits (default), iris, wine, breast_cancer, diabetes, cifar10, fashion-mnist; "
            "a .csv, .tsv, .parquet or .npz file; a folder of images; or a built-in task: linear, affine, rings ...",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict.", metavar="COLUMN", rich_help_panel=_DATA)
    ] = None,
    task: Annotated[
        TaskKind | None,
        typer.Option(help="What to learn: two classes at a time, all classes, or a number.", rich_help_panel=_DATA),
    ] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    features: Annotated[
        int | None,
        typer.Option(help="Features of a task, 1 to 64; wider data are projected.", rich_help_panel=_DATA, **_NUMBER),
    ] = None,
    num_tasks: Annotated[
        int | None, typer.Option("--tasks", help="Tasks that the search sees.", rich_help_panel=_DATA, **_NUMBER)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over a task's training rows.", rich_help_panel=_DATA, **_NUMBER)
    ] = None,
    programs: Annotated[
        int | None, typer.Option(help="Stop after so many programs, e.g. 2e6.", rich_help_panel=_BUDGET, **_NUMBER)
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Be done after this time, final scoring included: 90, 10m, 1h30m.",
            parser=duration,
            metavar="TIME",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    target_fitness: Annotated[
        float | None,
        typer.Option(
            help="Stop when the selection tasks reach this fitness; exit code 1 if they do not.",
            parser=number,
            metavar="X",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Islands, each in a process of its own.", rich_help_panel=_BUDGET, **_NUMBER),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A known set-up: digits, demo, linear_test, affine_test, nonlinear_test, projected_pairs, full. "
            "Other options override it.",
            metavar="NAME",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    search: Annotated[
        SearchKind | None,
        typer.Option(
            help="live: only code that matters is changed. classic: AutoML-Zero's rules. random: the control.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    bias: Annotated[
        BiasLevel | None,
        typer.Option(
            help="free: rules that hold for any program. learner: programs shaped like learners only.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="First programs: empty, random, linear, network, or a program's file.",
            metavar="START",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    operators: Annotated[
        str | None,
        typer.Option(
            help="A set of operators (demo, linear, network, full ...), or their names with commas.",
            metavar="SET",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            help="Most instructions of setup, predict and learn, such as 7/11/23.",
            metavar="S/P/L",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    slots: Annotated[
        str | None,
        typer.Option(help="Scalars, vectors and matrices, such as 5/9/2.", metavar="S/V/M", rich_help_panel=_SEARCH),
    ] = None,
    population: Annotated[
        int | None, typer.Option(help="Programs alive at a time.", rich_help_panel=_SEARCH, **_NUMBER)
    ] = None,
    tournament: Annotated[
        int | None, typer.Option(help="Programs that compete to be a parent.", rich_help_panel=_SEARCH, **_NUMBER)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed and options give the same result.", rich_help_panel=_SEARCH, **_NUMBER),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for what is found; selftaught-runs/... by default.", metavar="DIR", rich_help_panel=_FILES
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            help="Also keep improvements in a database: sqlite:///runs.db.", metavar="URL", rich_help_panel=_FILES
        ),
    ] = None,
    resume: Resume = False,
    fresh: Fresh = False,
    config: Config = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Discover a learning algorithm for DATA from basic mathematics alone.

    Shows the best program as it grows, beside simple baselines.
    q or Ctrl-C ends well and keeps what was found.
    The same command goes on where an interrupted one stopped.
    """
    goes_on = going_on(resume, fresh)
    settings = settings_given(locals(), SETTINGS, config)
    if isinstance(settings.get("operators"), str) and "," in settings["operators"]:
        settings["operators"] = [word.strip() for word in settings["operators"].split(",") if word.strip()]
    found = _run(settings, resume=goes_on, as_json=as_json, quiet=quiet, began=context.obj)
    wanted = settings.get("target_fitness")
    if wanted is not None and not found.fitness_select.mean >= wanted:
        raise typer.Exit(1)


def _run(
    settings: dict[str, Any], *, resume: bool | None, as_json: bool, quiet: bool, began: float | None
) -> Evolution:
    """Evolve with a view on it, save the settings beside the result and print the summary."""
    title, facts = _title(settings)
    notes: list[str] = []
    named: list[str] = []
    view_on = _view(title, facts, to_errors=as_json, quiet=quiet)
    with _notes(notes), Interrupts() as interrupts, Keyboard() as keyboard, view_on as view:

        def on_progress(progress: Progress) -> str | None:
            interrupts.hold()
            interrupts.worth_keeping |= progress.programs > 0
            if "q" in keyboard.pressed().lower():
                interrupts.ask()
            if view is not None:
                view.keys, view.stopping = keyboard.listening, interrupts.wanted
                view.update(progress)
                for technique in progress.techniques:
                    if technique not in named:
                        named.append(technique)
                        view.name(technique, progress.elapsed)
            return "stop" if interrupts.wanted else None

        found = _evolve(settings, resume, on_progress, began)
    repeat = _save_settings(settings, found)
    _write_page(found, notes)
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=2) + "\n")
        for note in notes:
            sys.stderr.write(f"selftaught: {note}\n")
    else:
        from rich.console import Console

        from selftaught.cli.summary import print_summary

        console = Console(highlight=False, markup=False)
        print_summary(console, found, title=title, repeat=repeat, notes=notes)
    return found


def _evolve(
    settings: dict[str, Any], resume: bool | None, on_progress: Callable[[Progress], str | None], began: float | None
) -> Evolution:
    from selftaught.programs import evolve

    arguments = {name: value for name, value in settings.items() if name != "data"}
    examples = {"examples": settings["data"]} if "data" in settings else {}
    return evolve(**examples, **arguments, resume=resume, on_progress=on_progress, quiet=True, began=began)


def _title(settings: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the name of the data and what the result depends on, for the first line."""
    data = settings.get("data") or settings.get("preset") or "digits"
    defaults = {"bias": "free", "search": "live", "seed": 0}
    facts = [f"{name} {settings.get(name, default)}" for name, default in defaults.items()]
    return str(data), facts


@contextlib.contextmanager
def _view(title: str, facts: list[str], *, to_errors: bool, quiet: bool) -> Iterator[LiveView | LineView | None]:
    """Give the view that fits: live in a terminal, lines elsewhere, none when quiet.

    With JSON on the standard output the view goes to the standard error.
    """
    stream = sys.stderr if to_errors else sys.stdout
    if quiet:
        yield None
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False)
    if console.is_terminal and not console.is_dumb_terminal:
        from selftaught.cli.live_view import LiveView

        with LiveView(console, title, facts) as live:
            yield live
    else:
        from selftaught.cli.line_view import LineView

        with LineView(stream, title, facts) as lines:
            yield lines


@contextlib.contextmanager
def _notes(notes: list[str]) -> Iterator[None]:
    """Collect warnings as notes for the summary, each once, instead of printing them over the view."""

    def keep(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in notes:
            notes.append(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = keep
        yield


def _save_settings(settings: dict[str, Any], found: Evolution) -> str:
    """Write config.toml into the run's folder; return the command that repeats the run."""
    path = Path(found.folder) / "config.toml"
    command = f"selftaught evolve --config {shlex.quote(str(path))} --fresh"
    write_config(path, repeatable(settings, found.settings), f"selftaught {selftaught.__version__}: {command}")
    return command


def _write_page(found: Evolution, notes: list[str]) -> None:
    """Write report.html beside the result; a page that fails is a note and never costs the result."""
    from selftaught.report import write_report

    try:
        write_report(found.folder)
    except SelftaughtError as error:
        notes.append(f"no page was written: {error}")


def repeatable(settings: dict[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that give the same run again, from any folder and whatever the defaults become.

    Args:
        settings: what options and file gave.
        resolved: what the search made of them.
    """
    kept = {name: resolved[name] for name in RESOLVED if resolved.get(name) is not None}
    kept |= {name: value for name, value in settings.items() if name not in _OF_ONE_RUN and name not in kept}
    kept.setdefault("data", resolved["data"])
    if "preset" not in kept:
        kept["sizes"] = "/".join(str(size) for size in resolved["most"])
    for name in ("data", "start"):
        if name in kept:
            named = name == "data" and not resolved.get("digest")
            kept[name] = str(kept[name]) if named else lasting(str(kept[name]), names=_STARTS)
    return {name: kept[name] for name in SETTINGS if name in kept}
