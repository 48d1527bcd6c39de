"""The report: one HTML file that opens by double click, needs no network and runs no script.

A Content-Security-Policy forbids everything but the page's own style sheet, so that even a text that slipped through
unescaped could load and run nothing (https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import os
from html import escape
from importlib.resources import files
from pathlib import Path

from selftaught.errors import InputError
from selftaught.report import sections
from selftaught.report.picture import chart_style
from selftaught.report.record import RunRecord, read_run
from selftaught.report.svg import element
from selftaught.writing import file_to_write, write_atomically

__all__ = ["REPORT", "report_page", "write_report"]

REPORT = "report.html"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def report_page(run: RunRecord) -> str:
    """Return the report of a run as the text of an HTML file.

    The same run gives the same text; nothing of it is a link to another place.
    """
    style = chart_style() + files("selftaught.report").joinpath("page.css").read_text(encoding="utf-8")
    body = "".join(
        section(run)
        for section in (
            sections.headline, sections.progress, sections.winner, sections.beside_baselines, sections.techniques,
            sections.descent, sections.given, sections.repeat, sections.notes,
        )
    )  # fmt: skip
    foot = f"Written by selftaught {escape(run.version)}. This page is one file, works offline and runs no script."
    head = (
        '<meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY, quote=True)}"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        '<meta name="color-scheme" content="light dark"/>'
        f"<title>{escape(run.name)}: what selftaught evolved</title>"
        f"<style>\n{style}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>'
        f"{element('main', body + element('footer', foot))}</body>\n</html>\n"
    )


def write_report(folder: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write the report of the run in a folder; return where it lies.

    Args:
        folder: of a finished run.
        out: the file to write; report.html in the folder by default.

    Raises:
        InputError: the run cannot be read, or the file not written; one line.

    Example:
        >>> from selftaught.report import recording, write_report
        >>> write_report(recording(), "example.html").name
        'example.html'
    """
    run = read_run(folder)
    path = file_to_write(run.folder / REPORT if out is None else out, read=run.files)
    try:
        write_atomically(path, report_page(run).encode())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another --out") from None
    return path
