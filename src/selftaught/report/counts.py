"""How many programs a run had proposed at a time, over all its islands.

An improvement tells how many its own island had proposed by then; between two of them the count is taken to grow
evenly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from selftaught.report.record import RunRecord

__all__ = ["between", "counts_over_time", "programs_at"]


def programs_at(run: RunRecord, elapsed: float) -> int:
    """Return how many programs all islands had proposed after so many seconds, from what their improvements tell."""
    end = max(run.elapsed, max((record.elapsed for record in run.history), default=0.0))
    return max(1, round(between(elapsed, *counts_over_time(run, 0.0, end))))


def counts_over_time(run: RunRecord, begin: float, end: float) -> tuple[list[float], list[float]]:
    """Return times of the run and, for each, the programs proposed by then; the islands' counts are added."""
    islands: dict[int, tuple[list[float], list[float]]] = {}
    for record in sorted(run.history, key=lambda one: one.programs):
        times, counts = islands.setdefault(record.island, ([begin], [0.0]))
        times.append(max(record.elapsed, times[-1]))
        counts.append(float(record.programs))
    for times, counts in islands.values():
        times.append(max(end, times[-1]))
        counts.append(max(run.programs / len(islands), counts[-1]))
    moments = sorted({time for times, _ in islands.values() for time in times})
    sums = [min(sum(between(time, *one) for one in islands.values()), run.programs) for time in moments]
    return [*moments, moments[-1]], [*sums, float(run.programs)]


def between(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Interpolate on increasing knots; where several share a place, the last counts."""
    right = bisect_right(xs, x)
    if right == 0:
        return ys[0]
    if right == len(xs):
        return ys[-1]
    share = (x - xs[right - 1]) / (xs[right] - xs[right - 1])
    return ys[right - 1] + share * (ys[right] - ys[right - 1])
