"""`selftaught reproduce NAME`: measure a claim again, keep its raw rows, judge it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selftaught.cli.choices import ClaimScale
from selftaught.cli.quantities import clock, whole_number
from selftaught.errors import InputError

if TYPE_CHECKING:
    from selftaught.claims import Advance, Evidence

__all__ = ["EXIT_NOT_REPRODUCED", "reproduce_command"]

EXIT_NOT_REPRODUCED = 3
_INTERRUPTED = 130


def reproduce_command(
    name: Annotated[str, typer.Argument(help="A claim's name; `selftaught claims` lists them.", metavar="NAME")],
    scale: Annotated[
        ClaimScale | None,
        typer.Option(help="How much to measure: about a minute (tiny, the default), minutes to an hour, or all."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The first seed (0); others follow it.", parser=whole_number, metavar="K")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Processes side by side; one a core by default.", parser=whole_number, metavar="N"),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="The file of raw rows; selftaught-runs/claims/... by default.", metavar="FILE"),
    ] = None,
    from_rows: Annotated[
        Path | None, typer.Option("--from-rows", help="Judge the rows of a file; measure nothing.", metavar="FILE")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, whatever rows are stored.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the evidence as JSON, rows included.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> None:
    """Measure a claim again beside its control, and say whether it holds.

    Exit code 0: reproduced. 3: refuted or inconclusive. 2: wrong use.
    Ctrl-C keeps finished rows, and the same command goes on there.
    """
    from selftaught.claims import find_claim, judge_rows, reproduce

    claim = find_claim(name)
    if from_rows is not None:
        given = {"--rows": rows, "--fresh": fresh or None, "--scale": scale, "--seed": seed, "--jobs": jobs}
        idle = next((flag for flag, value in given.items() if value is not None), None)
        if idle:
            raise InputError(f"--from-rows judges stored rows and measures nothing; leave out {idle}")
        evidence = judge_rows(claim, from_rows)
    else:
        first = 0 if seed is None else seed
        size = (scale or ClaimScale.TINY).value
        progress = _Lines(f"{claim.name}, scale {size}, seed {first}", quiet=quiet)
        try:
            evidence = reproduce(
                claim, scale=size, seed=first, jobs=_cores() if jobs is None else jobs, rows=rows, fresh=fresh,
                on_advance=progress.update,
            )  # fmt: skip
        except KeyboardInterrupt:
            if progress.last is None:
                raise
            kept = f"{progress.last.done} of {progress.last.total} parts are kept"
            sys.stderr.write(f"selftaught: {kept}; the same command, without --fresh, goes on there\n")
            raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        sys.stdout.write(json.dumps(evidence.to_dict(), indent=2) + "\n")
    else:
        _print(evidence)
    if evidence.status != "reproduced":
        raise typer.Exit(EXIT_NOT_REPRODUCED)


class _Lines:
    """Progress on the standard error, a line a finished part."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        self.last: Advance | None = None
        self._title, self._quiet = title, quiet

    def update(self, advance: Advance) -> None:
        opening, self.last = self.last is None, advance
        if self._quiet:
            return
        line = f"{advance.done} of {advance.total} parts"
        if opening:
            reused = f", {advance.reused} of an earlier run" if advance.reused else ""
            line = f"{self._title}: {line}{reused}"
        else:
            rate = (advance.done - advance.reused) * 60.0 / max(advance.elapsed, 1e-9)
            line = f"{clock(advance.elapsed):>7}  {line}, {rate:.3g} a minute, last: {advance.part}"
        if advance.done < advance.total:
            line += f"; about {clock(advance.seconds_left)} left"
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print(evidence: Evidence) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    style = {"reproduced": "bold green", "refuted": "bold red"}.get(evidence.status, "bold yellow")
    console.print(f"{evidence.name}: {evidence.status}", style=style)
    console.print(evidence.claim)
    console.print(f"control: {evidence.control}", style="dim")
    for line in evidence.findings:
        console.print(f"- {line}")
