"""The chart of a run's progress as a picture: one SVG file, for a document or a talk.

Colours stand in the file, for light and for dark, on a ground of its own: it can be read wherever it is shown.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files

from selftaught.report.numbers import clock, count
from selftaught.report.progress_chart import progress_chart
from selftaught.report.record import RunRecord
from selftaught.report.svg import element, text
from selftaught.report.verdict import FITNESS_MEANS

__all__ = ["chart_style", "progress_picture"]

_WIDTH, _PAD, _HEAD = 860, 24.0, 90.0
_GROUND = """.ground { fill: var(--card); stroke: var(--line); } svg { color: var(--ink); }
.heading { font: 660 17px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); }
.told { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--soft); }
"""


def chart_style() -> str:
    """Return the style sheet of the charts, with its colours."""
    return files("selftaught.report").joinpath("chart.css").read_text(encoding="utf-8")


def progress_picture(run: RunRecord) -> str:
    """Return the progress of a run as the text of an SVG file.

    The same run gives the same text. It names no other file and holds no script.

    Args:
        run: a run with or without a history.

    Example:
        >>> from selftaught.report import progress_picture, read_run, recording
        >>> progress_picture(read_run(recording()))[:4]
        '<svg'
    """
    chart = progress_chart(run, width=_WIDTH)
    height = float(chart.partition('viewBox="0 0 ')[2].partition('"')[0].split()[1])
    placed = chart.replace("<svg ", f'<svg x="{_PAD:g}" y="{_HEAD:g}" width="{_WIDTH}" height="{height:g}" ', 1)
    wide, high = _WIDTH + 2 * _PAD, _HEAD + height + _PAD / 2
    heading = f"{run.name[:48]}: the best program so far, from {_origin(run)}"
    means = FITNESS_MEANS.get(str(run.tasks.get("metric")), "fitness runs from 0 to 1")
    told = [
        f"{count(run.programs)} programs in {clock(run.elapsed)}, seed {run.seed}, bias {run.bias[:24]}. "
        "The labels at the top name techniques where they first appeared.",
        f"{means[0].upper()}{means[1:]}.",
    ]
    parts = [
        element("style", escape(chart_style() + _GROUND, quote=False)),
        element("rect", class_="ground", x=0.5, y=0.5, width=wide - 1, height=high - 1, rx=12),
        text(heading, _PAD, 32.0, class_="heading"),
        *(text(line, _PAD, 54.0 + 18 * number, class_="told") for number, line in enumerate(told)),
        placed,
    ]
    return element("svg", "".join(parts), xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {wide:g} {high:g}") + "\n"


def _origin(run: RunRecord) -> str:
    start = str(run.settings.get("start", "empty"))
    return "the empty program" if start == "empty" else f"the start {start[:40]!r}"
