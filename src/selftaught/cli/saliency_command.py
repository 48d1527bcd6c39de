"""`selftaught saliency`: whether what explanations of a model point at matters more than noise."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from selftaught.cli.choices import TargetKind
from selftaught.cli.interrupts import Interrupts
from selftaught.cli.quantities import clock, count, number, whole_number
from selftaught.cli.reading_options import DropColumns, IdColumn, Missing, Resize, columns, reading_given
from selftaught.cli.run_options import AsJson, Fresh, Quiet, Resume, going_on
from selftaught.errors import InputError

if TYPE_CHECKING:
    from selftaught.audit import Roar, RoarProgress

__all__ = ["saliency_command"]

_NUMBER: dict[str, Any] = {"parser": whole_number, "metavar": "N"}


def _fractions(text: str) -> tuple[float, ...]:
    """Read fractions with commas between them."""
    return tuple(number(one.strip()) for one in text.split(","))


def saliency_command(
    model: Annotated[
        str, typer.Argument(help="The folder of an image model that `selftaught train` left.", metavar="MODEL")
    ],
    data: Annotated[
        str, typer.Option(help="What it was trained on: a name, a file or a folder, as for train.", metavar="DATA")
    ] = "digits",
    target: Annotated[str | None, typer.Option(help="The column that is predicted.", metavar="COLUMN")] = None,
    task: Annotated[TargetKind | None, typer.Option(help="Read the target as classes or as a number.")] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    estimators: Annotated[
        Any,
        typer.Option(
            help="Names with commas: gradient, integrated-gradients, guided-backprop, each also with +smoothgrad, "
            "+smoothgrad-squared or +vargrad; or all. Six by default.",
            parser=columns,
            metavar="NAMES",
        ),
    ] = None,
    fractions: Annotated[
        Any, typer.Option(help="Of the pixels that are removed: 0.5,0.9.", parser=_fractions, metavar="X,X")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of every arm.", **_NUMBER)] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what they point at, and remove the rest.")] = False,
    channels: Annotated[
        bool, typer.Option("--channels", help="Rank each channel of a pixel by itself.")
    ] = False,
    images: Annotated[int, typer.Option(help="The most to train on, and to test on.", **_NUMBER)] = 4000,
    epochs: Annotated[
        int | None, typer.Option(help="Of every training; by default as the model was trained.", **_NUMBER)
    ] = None,
    seed: Annotated[int, typer.Option(help="The first seed.", **_NUMBER)] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of rows and maps; by default saliency in MODEL's own.", metavar="DIR"),
    ] = None,
    resume: Resume = False,
    fresh: Fresh = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove the pixels that explanations of MODEL point at, train again, and compare with random and blurred noise.

    Ctrl-C ends after the training at work; the same command goes on there.
    """
    goes_on = going_on(resume, fresh)
    from selftaught.training import require_torch

    require_torch()
    from selftaught.audit import ALL_ESTIMATORS, ESTIMATORS, require_captum

    require_captum()  # before the data are read, which may take long
    from selftaught.audit.saliency import roar_of_trained
    from selftaught.datasets import load

    chosen = tuple(ALL_ESTIMATORS) if estimators == ("all",) else tuple(estimators or ESTIMATORS)
    examples = load(
        data, target, task=task.value if task else None, **reading_given(missing, drop, id_column, resize)
    )
    if not examples.num_classes:
        raise InputError(f"{data} has no classes to predict; explanations are measured by accuracy")
    folder = out or Path(model).expanduser() / "saliency"
    stream = sys.stderr if as_json else sys.stdout
    view = _View(stream, shown=not quiet)
    with Interrupts() as interrupts:

        def on_progress(progress: RoarProgress) -> str | None:
            interrupts.worth_keeping = True
            view.update(progress, stopping=interrupts.wanted)
            return "stop" if interrupts.wanted else None

        found = roar_of_trained(
            model, examples, out=folder, estimators=chosen, fractions=fractions or (0.5, 0.9), seeds=seeds, keep=keep,
            per="channel" if channels else "pixel", images=images, epochs=epochs, seed=seed, resume=goes_on,
            on_progress=on_progress,
        )  # fmt: skip
    view.close()
    if as_json:
        sys.stdout.write(json.dumps({"data": examples.name, "model": model, **found.to_dict()}, indent=2) + "\n")
    else:
        _print(found, examples.name, folder)


class _View:
    """One line that moves in a terminal, a line for each training elsewhere, but not every moment."""

    def __init__(self, stream: TextIO, *, shown: bool, every: float = 3.0) -> None:
        self._stream, self._shown, self._every, self._last = stream, shown, every, -1e9
        self._moving = shown and stream.isatty()

    def update(self, progress: RoarProgress, *, stopping: bool) -> None:
        """Take how far it is."""
        now = time.monotonic()
        if not self._shown or (not self._moving and now - self._last < self._every and progress.done < progress.total):
            return
        self._last = now
        fresh = progress.done - progress.reused
        words = [f"{count(progress.done)} of {count(progress.total)} trainings", progress.arm]
        if fresh and progress.seconds > 0:
            words.append(f"{60 * fresh / progress.seconds:.3g} a minute")
        if progress.seconds_left is not None:
            words.append(f"{clock(progress.seconds_left)} left")
        line = f"{clock(progress.seconds):>7}  {', '.join(words)}" + ("; stopping" if stopping else "")
        self._stream.write(f"\r\x1b[K{line}" if self._moving else line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Clear the line that moves."""
        if self._moving:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _print(found: Roar, data: str, folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    done, lower = ("kept", "higher") if found.keep else ("removed", "lower")
    console.print(
        f"{data}: {count(found.n[0])} images to train on, {count(found.n[1])} to test on, {len(found.seeds)} seeds"
    )
    console.print(f"accuracy on unchanged images {found.unchanged:.4f}; below, {lower}: more was found")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(f"accuracy, {done}")
    for fraction in found.fractions:
        table.add_column(f"{fraction:.0%}", justify="right")
        table.add_column("not retrained", justify="right")
    again, plain = found.table(), found.table(retrained=False)
    for arm in found.arms:
        cells = [f"{one[arm][f]:.4f}" if one[arm][f] == one[arm][f] else "" for f in found.fractions
                 for one in (again, plain)]  # fmt: skip
        table.add_row(arm, *cells)
    console.print(table)
    for line in found.statements:
        console.print(line, soft_wrap=True)
    if not found.finished:
        console.print("Not all was measured; the same command goes on.")
    console.print(f"{folder}", soft_wrap=True)
