"""The chart of a run's progress: fitness over programs tried, techniques where they appeared, and what to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import TypeVar

from selftaught.report.counts import programs_at
from selftaught.report.numbers import count, fitness
from selftaught.report.record import Record, RunRecord
from selftaught.report.svg import Axis, count_axis, element, fitness_axis, text
from selftaught.report.timeline import Appearance, appearances
from selftaught.report.verdict import BASELINE_NAMES

__all__ = ["best_so_far", "progress_axes", "progress_chart"]

T = TypeVar("T", Record, Appearance)
_LANE = 19.0
_APART = 15.0  # between two names at the right
_LETTER, _PAD = 7.3, 7.0  # of the labels, in units of the drawing: width of a letter in a wide font, room beside it
_TOP = 30.0
_RIGHT = {True: 156.0, False: 18.0}  # room for names at the right, of the wide and the narrow drawing
_LEFT, _BOTTOM, _PLOT = 52.0, 46.0, 250.0


def best_so_far(history: Sequence[Record]) -> list[Record]:
    """Return the improvements over all islands, in order of time."""
    kept: list[Record] = []
    for record in sorted(history, key=lambda one: (one.elapsed, one.programs)):
        if not kept or record.fitness > kept[-1].fitness:
            kept.append(record)
    return kept


def progress_axes(run: RunRecord, width: float, top: float = _TOP) -> tuple[Axis, Axis]:
    """Return the axes of the chart: programs to x, fitness to y.

    Args:
        run: the run.
        width: of the drawing.
        top: where the plot begins.
    """
    records = _curve_of(run)
    last = max([float(run.programs), *(float(record.programs) for record in records)])
    shown = [record.fitness for record in records] or [0.0]
    finals = [run.test.low, run.test.high, *(one.mean for one in run.baselines.values())]
    wide = width >= 600
    across = count_axis(last, _LEFT, width - _RIGHT[wide])
    up = fitness_axis([*shown, *finals], top + _PLOT, top)
    return across, up


def progress_chart(run: RunRecord, *, width: int = 860, name: str = "progress") -> str:
    """Draw the best fitness so far over the programs tried, as inline SVG.

    The curve is fitness on the search tasks. The baselines' lines and the winner's mark are fitness on the final tasks,
    which nothing saw before: they can be compared with one another, and the gap between the curve's end and the mark
    is what choosing on the search tasks flattered.

    Args:
        run: the run.
        width: of the drawing; below 600 a narrow layout.
        name: begins the identifiers in the drawing, which must differ within a page.
    """
    wide = width >= 600
    found = _over_all(run, appearances(run))
    across, up = progress_axes(run, width)
    lanes = _lanes(found, across, width)
    top = _TOP + _LANE * (max(lanes, default=-1) + 1)
    across, up = progress_axes(run, width, top)
    records = _curve_of(run)
    height = top + _PLOT + _BOTTOM + (0 if wide else 18 * (len(run.baselines) + 2))
    parts = [
        _grid(across, up, width),
        _baselines(run, across, up),
        _curve(records, across, up),
        _final(run, across, up, wide),
        _marks(found, lanes, across, up, width),
        _names(run, records, across, up) if wide else _legend(run, records, top + _PLOT + _BOTTOM + 8),
    ]
    title = f"Progress of the search on {run.name}"
    told = (
        f"Best fitness on the search tasks rose from {fitness(records[0].fitness)} to {fitness(records[-1].fitness)} "
        f"in {count(run.programs)} programs."
        if records
        else "The run recorded no improvements."
    )
    head = element("title", escape(title), id=f"{name}-title") + element("desc", escape(told), id=f"{name}-desc")
    return element(
        "svg", head + "".join(parts), class_="chart", viewBox=f"0 0 {width} {height:.0f}", role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip


def _curve_of(run: RunRecord) -> list[Record]:
    return _over_all(run, best_so_far(run.history))


def _over_all(run: RunRecord, found: Sequence[T]) -> list[T]:
    """Count programs over all islands: an improvement's own number is that of its island, and would run to and fro."""
    if run.islands == 1:
        return list(found)
    return [replace(one, programs=programs_at(run, one.elapsed)) for one in found]


def _grid(across: Axis, up: Axis, width: float) -> str:
    parts = []
    for tick in up.ticks:
        y = up.place(tick)
        parts.append(element("line", class_="grid", x1=across.start, x2=across.end, y1=y, y2=y))
        parts.append(text(f"{tick:.6f}".rstrip("0").rstrip("."), across.start - 8, y + 4, class_="tick end"))
    for tick in across.ticks:
        x = across.place(tick)
        parts.append(element("line", class_="tickline", x1=x, x2=x, y1=up.start, y2=up.start + 5))
        parts.append(text(_power(tick), x, up.start + 19, class_="tick middle"))
    parts.append(element("line", class_="axis", x1=across.start, x2=across.end, y1=up.start, y2=up.start))
    middle = (across.start + across.end) / 2
    parts.append(text("programs tried", middle, up.start + 38, class_="label middle"))
    parts.append(text("fitness", 6.0, up.end - 16, class_="label"))
    return element("g", "".join(parts))


def _power(tick: float) -> str:
    """Write a power of ten in as few characters as there are."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if tick >= size:
            return f"{tick / size:g}{unit}"
    return f"{tick:g}"


def _curve(records: Sequence[Record], across: Axis, up: Axis) -> str:
    """Draw the steps of the best fitness, with a dot at each improvement."""
    if not records:
        return ""
    x, y = across.place(records[0].programs), up.place(records[0].fitness)
    path = [f"M{x:.2f} {y:.2f}"]
    for record in records[1:]:
        path += [f"H{across.place(record.programs):.2f}", f"V{up.place(record.fitness):.2f}"]
    path.append(f"H{across.end:.2f}")
    area = [*path, f"V{up.start:.2f}", f"H{x:.2f}", "Z"]
    dots = "".join(
        element(
            "circle",
            element("title", f"{fitness(record.fitness)} after {count(record.programs)} programs"),
            class_="dot", cx=across.place(record.programs), cy=up.place(record.fitness), r=2.6,
            data_programs=record.programs, data_fitness=repr(record.fitness),
        )
        for record in records
    )  # fmt: skip
    return element("path", class_="area", d="".join(area)) + element("path", class_="curve", d="".join(path)) + dots


def _spread(wanted: Sequence[float], apart: float) -> list[float]:
    """Return places near those wanted and at least `apart` from one another, in the same order of the values."""
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    placed = [0.0] * len(wanted)
    last = float("-inf")
    for number in order:
        last = placed[number] = max(wanted[number], last + apart)
    return placed


def _baselines(run: RunRecord, across: Axis, up: Axis) -> str:
    parts = []
    for name, one in run.baselines.items():
        y = up.place(one.mean)
        words = f"{BASELINE_NAMES.get(name, name)}: {fitness(one.mean)} on unseen tasks"
        parts.append(
            element(
                "line", element("title", escape(words)), class_="baseline", x1=across.start, x2=across.end, y1=y, y2=y,
                data_baseline=name, data_fitness=repr(one.mean),
            )
        )  # fmt: skip
    return element("g", "".join(parts))


def _names(run: RunRecord, records: Sequence[Record], across: Axis, up: Axis) -> str:
    """Name the curve and the lines at the right of the drawing, each as near to its line as the others let it."""
    named = [(BASELINE_NAMES.get(name, name), one.mean, "name basename", 2.0) for name, one in run.baselines.items()]
    named.append(("evolved", run.test.mean, "name strong", 8.0))
    ys = [up.place(value) for _, value, _, _ in named]
    heading = min(ys) - _APART  # what the names below it share, so that no name need say it
    rows = [
        (f"{name[:16]} {fitness(value)}", y, kind, gap) for (name, value, kind, gap), y in zip(named, ys, strict=True)
    ]
    rows.append(("on unseen tasks:", heading, "label", 0.0))
    if records:
        last = records[-1].fitness
        rows.append((f"search tasks {fitness(last)}", up.place(last), "name curvename", 2.0))
    parts = []
    for (words, y, kind, gap), at in zip(rows, _spread([row[1] for row in rows], _APART), strict=True):
        if gap:
            parts.append(element("line", class_="leader", x1=across.end + gap, x2=across.end + 14, y1=y, y2=at))
        parts.append(text(words, across.end + 17, at + 4, class_=kind))
    return element("g", "".join(parts))


def _final(run: RunRecord, across: Axis, up: Axis, wide: bool) -> str:
    """Draw the winner on unseen tasks: a mark with its interval at the right end."""
    x, test = across.end, run.test
    words = f"evolved, on {test.tasks} unseen tasks: {fitness(test.mean)} [{fitness(test.low)}, {fitness(test.high)}]"
    return element(
        "g",
        element("title", words)
        + element("line", class_="whisker", x1=x, x2=x, y1=up.place(test.low), y2=up.place(test.high))
        + element(
            "circle", class_="final", cx=x, cy=up.place(test.mean), r=5.5, data_fitness=repr(test.mean),
            data_low=repr(test.low), data_high=repr(test.high),
        ),
    )  # fmt: skip


def _lanes(found: Sequence[Appearance], across: Axis, width: float) -> list[int]:
    """Return a row for each label so that none covers another."""
    ends: list[float] = []
    rows = []
    for one in found:
        left, right = _label(one, across, width)
        row = next((number for number, end in enumerate(ends) if end + 8 <= left), len(ends))
        ends[row : row + 1] = [right]
        rows.append(row)
    return rows


def _label(one: Appearance, across: Axis, width: float) -> tuple[float, float]:
    """Return where a label begins and ends: at its mark, moved left where it would leave the drawing."""
    size = _LETTER * len(one.name) + 2 * _PAD
    left = min(across.place(one.programs) - _PAD, width - size - 2)
    return max(left, 2.0), max(left, 2.0) + size


def _marks(found: Sequence[Appearance], lanes: Sequence[int], across: Axis, up: Axis, width: float) -> str:
    stems, parts = [], []  # the lines lie below the labels, which they may cross
    for one, lane in zip(found, lanes, strict=True):
        x, y = across.place(one.programs), up.place(one.fitness)
        left, right = _label(one, across, width)
        line = 2.0 + _LANE * lane
        words = f"{one.name} appeared in program {count(one.programs)}, of fitness {fitness(one.fitness)}"
        stems.append(element("line", class_="stem", x1=x, x2=x, y1=line + 15, y2=y))
        parts.append(
            element(
                "g",
                element("title", escape(words))
                + element("rect", class_="tag", x=left, y=line, width=right - left, height=16, rx=8)
                + text(one.name, (left + right) / 2, line + 12, class_="tagname middle")
                + element("circle", class_="mark", cx=x, cy=y, r=4.5),
                data_technique=one.name, data_programs=one.programs, data_fitness=repr(one.fitness),
            )
        )  # fmt: skip
    return "".join([*stems, *parts])


def _legend(run: RunRecord, records: Sequence[Record], y: float) -> str:
    """Name the curve and the lines below the drawing, where there is no room at the right."""
    rows = [("evolved, on unseen tasks", run.test.mean, "final")]
    rows += [(BASELINE_NAMES.get(name, name)[:28], value.mean, "baseline") for name, value in run.baselines.items()]
    rows.sort(key=lambda row: -row[1])
    if records:
        rows.insert(0, ("best so far, on search tasks", records[-1].fitness, "curve"))
    parts = []
    for number, (name, value, kind) in enumerate(rows):
        at = y + 18 * number
        if kind == "final":
            parts.append(element("circle", class_="final", cx=_LEFT + 10, cy=at, r=5))
        else:
            parts.append(element("line", class_=kind, x1=_LEFT, x2=_LEFT + 20, y1=at, y2=at))
        parts.append(text(f"{name} {fitness(value)}", _LEFT + 28, at + 4, class_="name"))
    return element("g", "".join(parts))
