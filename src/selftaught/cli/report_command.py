"""`selftaught report RUN`: one page about a run, in a file that opens by double click."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report_command"]


def report_command(
    run: Annotated[
        str,
        typer.Argument(help="The folder of a finished run, or a recording's name.", metavar="RUN", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; report.html in the folder by default.", metavar="FILE")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write a run as one page: what was found, what each line is worth, and how it came about.

    The page is one file. It works offline, runs no script, and reads the run's files only.
    """
    from selftaught.report import write_report
    from selftaught.report.recorded import run_or_recording

    folder, name = run_or_recording(run)
    if name is not None and out is None:
        out = Path(f"{name}.html")  # not into the installed package
    path = write_report(folder, out)
    typer.echo(str(path))
    if show:
        import webbrowser

        if not webbrowser.open(path.absolute().as_uri()):
            typer.echo("selftaught: no browser could be opened; open the file by hand", err=True)
