"""The forest plot: every contestant's fitness on the final tasks with its 95 % interval, on one scale."""

from __future__ import annotations

from html import escape

from selftaught.report.numbers import fitness
from selftaught.report.record import Interval, RunRecord
from selftaught.report.svg import Axis, element, linear_axis, text
from selftaught.report.verdict import BASELINE_NAMES

__all__ = ["contestants", "forest_axis", "forest_plot"]

EVOLVED = "evolved program"


def contestants(run: RunRecord) -> list[tuple[str, Interval]]:
    """Return the winner and the baselines with their fitness on the final tasks, the best first."""
    rows = [(EVOLVED, run.test), *((BASELINE_NAMES.get(name, name), value) for name, value in run.baselines.items())]
    return sorted(rows, key=lambda row: -row[1].mean)


def forest_axis(run: RunRecord, width: float) -> Axis:
    """Return the plot's axis: fitness to x."""
    wide = width >= 600
    ends = [end for _, one in contestants(run) for end in (one.low, one.mean, one.high)]
    axis = linear_axis(ends, 160.0 if wide else 14.0, width - (200.0 if wide else 14.0), most=5 if wide else 3)
    return axis


def forest_plot(run: RunRecord, *, width: int = 860, name: str = "forest") -> str:
    """Draw the contestants' intervals as inline SVG.

    Args:
        run: the run.
        width: of the drawing; below 600 each name stands above its line.
        name: begins the identifiers in the drawing.
    """
    wide = width >= 600
    rows = contestants(run)
    axis = forest_axis(run, width)
    step, top = (40.0, 12.0) if wide else (54.0, 18.0)
    bottom = top + step * len(rows)
    parts = []
    for tick in axis.ticks:
        x = axis.place(tick)
        parts.append(element("line", class_="grid", x1=x, x2=x, y1=top, y2=bottom))
        parts.append(text(f"{tick:.7f}".rstrip("0").rstrip("."), x, bottom + 17, class_="tick middle"))
    x = axis.place(run.test.mean)
    parts.append(element("line", class_="reference", x1=x, x2=x, y1=top, y2=bottom))
    for number, (who, one) in enumerate(rows):
        y = top + step * (number + (0.5 if wide else 0.68))
        parts.append(_row(who, one, axis, y, wide, float(width)))
    parts.append(text("fitness on unseen tasks", (axis.start + axis.end) / 2, bottom + 36, class_="label middle"))
    told = "; ".join(f"{who} {fitness(one.mean)} from {fitness(one.low)} to {fitness(one.high)}" for who, one in rows)
    head = element("title", "Fitness on the final tasks with 95 % intervals", id=f"{name}-title")
    head += element("desc", escape(told), id=f"{name}-desc")
    return element(
        "svg", head + "".join(parts), class_="chart", viewBox=f"0 0 {width} {bottom + 44:.0f}", role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip


def _row(who: str, one: Interval, axis: Axis, y: float, wide: bool, width: float) -> str:
    kind = "evolved" if who == EVOLVED else "other"
    low, mean, high = axis.place(one.low), axis.place(one.mean), axis.place(one.high)
    numbers = f"{fitness(one.mean)} [{fitness(one.low)}, {fitness(one.high)}]"
    strong = " strong" if kind == "evolved" else ""
    if wide:
        words = text(who[:24], axis.start - 12, y + 4, class_="name end" + strong)
        words += text(numbers, width - 4, y + 4, class_="figures end" + strong)
    else:
        words = text(who[:24], axis.start, y - 15, class_="name" + strong)
        words += text(numbers, axis.end, y - 15, class_="figures end" + strong)
    ends = "".join(element("line", class_="whisker", x1=end, x2=end, y1=y - 5, y2=y + 5) for end in (low, high))
    mark = (
        element("path", class_="point", d=f"M{mean:.2f} {y - 7:.2f}l7 7l-7 7l-7 -7z")
        if kind == "evolved"
        else element("rect", class_="point", x=mean - 5, y=y - 5, width=10, height=10, rx=1.5)
    )
    return element(
        "g",
        element("title", escape(f"{who}: {numbers} on {one.tasks} tasks"))
        + words
        + element("line", class_="whisker", x1=low, x2=high, y1=y, y2=y)
        + ends
        + mark,
        class_=kind, data_name=who, data_mean=repr(one.mean), data_low=repr(one.low), data_high=repr(one.high),
    )  # fmt: skip
