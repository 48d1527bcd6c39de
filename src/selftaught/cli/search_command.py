"""`selftaught search DATA`: find a network, or a way to train one, and show what it is worth."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selftaught.cli.choices import NetworkSpace, SearcherName
from selftaught.cli.quantities import clock, duration, short_count, whole_number
from selftaught.cli.reading_options import DropColumns, IdColumn, Missing, Resize, reading_given

if TYPE_CHECKING:
    from selftaught.objectives import Advance, Found

__all__ = ["search_command"]

_INTERRUPTED = 130
_SPACE, _FINAL, _BUDGET, _FILES = "What is searched", "The end", "Budget", "Files and output"
_NUMBER: dict[str, Any] = {"parser": whole_number, "metavar": "N"}


def search_command(
    data: Annotated[
        str, typer.Argument(help="digits, cifar10 ...; a table's file, or a folder of images.", metavar="DATA")
    ],
    target: Annotated[
        str | None, typer.Option(help="The column to predict.", metavar="COLUMN", rich_help_panel=_SPACE)
    ] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    space: Annotated[
        NetworkSpace | None,
        typer.Option(help="What is searched; cells for images, mlp for tables.", rich_help_panel=_SPACE),
    ] = None,
    searcher: Annotated[
        SearcherName, typer.Option(help="Who proposes.", rich_help_panel=_SPACE)
    ] = SearcherName.PAIRWISE,
    epochs: Annotated[int, typer.Option(help="Epochs of a training.", rich_help_panel=_SPACE, **_NUMBER)] = 5,
    width: Annotated[
        int | None, typer.Option(help="Channels of the first stage; 8.", rich_help_panel=_SPACE, **_NUMBER)
    ] = None,
    cells: Annotated[int | None, typer.Option(help="Cells a stage; 1.", rich_help_panel=_SPACE, **_NUMBER)] = None,
    examples: Annotated[
        int | None, typer.Option(help="Train on so many examples only.", rich_help_panel=_SPACE, **_NUMBER)
    ] = None,
    inherit: Annotated[
        bool, typer.Option("--inherit", help="Begin with a parent's weights.", rich_help_panel=_SPACE)
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Measure milliseconds of each network.", rich_help_panel=_SPACE)
    ] = False,
    trials: Annotated[int, typer.Option(help="Candidates to try.", rich_help_panel=_BUDGET, **_NUMBER)] = 30,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="End the search after this time; the end comes after.", parser=duration, metavar="TIME",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes; one a core, and 1 where there is CUDA.", rich_help_panel=_BUDGET, **_NUMBER),
    ] = None,
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda.", metavar="DEVICE", rich_help_panel=_BUDGET)
    ] = "auto",
    top: Annotated[
        int, typer.Option(help="How many of the best are trained again.", rich_help_panel=_FINAL, **_NUMBER)
    ] = 5,
    seeds: Annotated[int, typer.Option(help="Trainings of each of them.", rich_help_panel=_FINAL, **_NUMBER)] = 3,
    final_epochs: Annotated[
        int | None, typer.Option(help="Epochs then; three times as many.", rich_help_panel=_FINAL, **_NUMBER)
    ] = None,
    final_width: Annotated[
        int | None, typer.Option(help="Channels then; as in the search.", rich_help_panel=_FINAL, **_NUMBER)
    ] = None,
    final_cells: Annotated[
        int | None, typer.Option(help="Cells a stage then; as in the search.", rich_help_panel=_FINAL, **_NUMBER)
    ] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Run random search of equal trials beside it.", rich_help_panel=_FINAL)
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.", rich_help_panel=_FILES, **_NUMBER)] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder; selftaught-runs/search-...", metavar="FOLDER", rich_help_panel=_FILES),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Where trials are kept; a file in the folder.", metavar="URL", rich_help_panel=_FILES),
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(help="Only evaluate a stored trial again.", rich_help_panel=_FILES, **_NUMBER)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_FILES)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_FILES)] = False,
) -> None:
    """Search a network for a data set: try many briefly, train the best again, score the winner on test once.

    The same command goes on after any stop: Ctrl-C, a crash, kill -9.
    """
    from selftaught.objectives import SearchSettings, repeat_trial, search_networks, usual_workers

    reading = reading_given(missing, drop, id_column, resize)
    chosen = (space or _usual_space(data, target, reading)).value
    settings = SearchSettings(
        data, chosen, target=target, reading=reading, searcher=searcher.value, seed=seed, epochs=epochs, width=width,
        cells=cells, examples=examples, final_epochs=final_epochs, final_width=final_width, final_cells=final_cells,
        top=top, seeds=seeds, control=control, inherit=inherit, latency=latency, device=device,
    )  # fmt: skip
    folder = out or Path("selftaught-runs") / f"search-{Path(data).stem}-{chosen}-seed{seed}"
    if repeat is not None:
        score = repeat_trial(settings, repeat, out=folder, store=store)
        sys.stdout.write(f"trial {repeat}: {score.value:.2f}\n")
        return
    progress = _Lines(quiet=quiet)
    try:
        found = search_networks(
            settings, trials=trials, seconds=seconds, workers=workers or usual_workers(device), out=folder, store=store,
            on_trial=progress.update,
        )  # fmt: skip
    except KeyboardInterrupt:
        sys.stderr.write(f"selftaught: {progress.kept} trials of this run are kept; the same command goes on there\n")
        raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        sys.stdout.write(json.dumps(found.result, indent=1) + "\n")
    else:
        _print(found)


class _Lines:
    """Progress on the standard error, a line a trial."""

    def __init__(self, *, quiet: bool) -> None:
        self.kept = 0
        self._quiet = quiet
        self._stage, self._begun, self._best = "", 0.0, float("-inf")

    def update(self, advance: Advance) -> None:
        now, trial = time.perf_counter(), advance.trial
        if advance.stage != self._stage or advance.now == 1:
            self._stage, self._begun, self._best = advance.stage, now - trial.cost, float("-inf")
        self.kept += 1
        value = trial.score.value if trial.score is not None else None
        self._best = max(self._best, float("-inf") if value is None else value)
        if self._quiet:
            return
        rate = advance.now / max(now - self._begun, 1e-9)
        said = f"{value:.2f}" if value is not None else f"failed: {trial.error}"
        sys.stderr.write(
            f"{advance.stage} {advance.done} of {advance.total}: {said} (best of this run {self._best:.2f}), "
            f"{60 * rate:.3g} a minute, about {clock((advance.total - advance.done) / rate)} left\n"
        )
        sys.stderr.flush()


def _usual_space(data: str, target: str | None, reading: dict[str, Any]) -> NetworkSpace:
    """Return cells for images and perceptrons for tables."""
    from selftaught.datasets import load

    examples = load(data, target, **reading)
    return NetworkSpace.CELLS if examples.inputs.ndim > 2 else NetworkSpace.MLP


def _print(found: Found) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    console.print(found.study.summary(), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for name in ("", "test", "validation", "MACs", "parameters"):
        table.add_column(name, justify="left" if not name else "right")
    arms = {"found": found.winner, "hand-designed": found.hand_designed, "random search": found.control}
    for name, one in arms.items():
        if one is None:
            continue
        data = one.as_data()
        table.add_row(
            name, f"{data['test_mean']:.2f}", f"{data['valid_mean']:.2f}", short_count(one.cost.macs),
            short_count(one.cost.parameters),
        )  # fmt: skip
    console.print(table)
    for name, one in list(arms.items())[1:]:
        if one is not None:
            mean, low, high = found.winner.difference(one)
            console.print(
                f"beside {name}: {mean:+.2f} points on test [{low:+.2f}, {high:+.2f}], {_verdict(low, high)}",
                soft_wrap=True,
            )
    correlation = found.result["rank_correlation"]
    if correlation is not None:
        console.print(
            f"search's score against the final one, {correlation['n']:.0f} candidates: rank correlation "
            f"{correlation['spearman']:.2f}; the search's own first choice is {correlation['gap']:.2f} points behind",
            soft_wrap=True,
        )
    console.print(f"wrote {found.folder}/result.json, history.jsonl, candidate.json, model.safetensors", soft_wrap=True)


def _verdict(low: float, high: float) -> str:
    return "better" if low > 0 else "worse" if high < 0 else "no difference that shows"
