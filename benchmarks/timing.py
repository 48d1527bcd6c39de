"""Rates per CPU second of one thread: the best and the median of interleaved repeats.

The cases of a table take turns, so that a slow minute of a shared machine hits all of them, and their
ratios come from one run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import load

__all__ = ["Case", "Effort", "measure"]


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        repeats: turns of every case.
        seconds: CPU seconds of a turn, at least one pass.
        quick: True for the miniature that only shows that everything runs.
    """

    repeats: int = 5
    seconds: float = 0.5
    quick: bool = False


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Args:
        keys: what the line is about; goes into the results as it is.
        run: does one pass and returns what it did, as amounts by name ("programs", "task_steps").
        extra: further figures of the line, known beforehand.
        prepare: what has to be done before each pass, and is not timed.
    """

    keys: dict[str, Any]
    run: Callable[[], dict[str, float]]
    extra: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None


def _turn(case: Case, passes: int) -> tuple[dict[str, float], float]:
    """Return the amounts done by so many passes, and the CPU seconds of this thread."""
    done: dict[str, float] = {}
    seconds = 0.0
    for _ in range(passes):
        if case.prepare is not None:
            case.prepare()
        start = time.thread_time()
        amounts = case.run()
        seconds += time.thread_time() - start
        for name, amount in amounts.items():
            done[name] = done.get(name, 0.0) + amount
    return done, max(seconds, 1e-9)


def measure(cases: Sequence[Case], effort: Effort) -> list[dict[str, Any]]:
    """Time the cases in turns; return a row a case with best and median rates."""
    passes = []
    for case in cases:
        _, seconds = _turn(case, 1)
        if seconds < effort.seconds / 4:  # a first pass may have compiled something or met cold caches
            _, seconds = _turn(case, 1)
        passes.append(max(1, round(effort.seconds / seconds)))
    rates: list[dict[str, list[float]]] = [{} for _ in cases]
    loads: list[float] = []
    for _ in range(effort.repeats):
        loads += load()[:1]
        for case, count, found in zip(cases, passes, rates, strict=True):
            done, seconds = _turn(case, count)
            for name, amount in done.items():
                found.setdefault(name, []).append(amount / seconds)
    rows = []
    for case, count, found in zip(cases, passes, rates, strict=True):
        row: dict[str, Any] = {**case.keys, **case.extra, "repeats": effort.repeats, "passes": count}
        if loads:
            row["load"] = [min(loads), max(loads)]
        for name, values in found.items():
            row[f"{name}_per_second"] = {"best": max(values), "median": statistics.median(values)}
        rows.append(row)
    return rows
