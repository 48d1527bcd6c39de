"""A recorded run as a film: what was known at each moment, at a pace that gives every improvement its time.

Most improvements of a run come in a fraction of its time. Played in proportion they would flash by, so without a speed
three quarters of the film are shared out among the improvements and one quarter follows the clock of the run. What
gained more, or brought a technique, is shown for longer than one more digit of a constant.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from selftaught.errors import InputError
from selftaught.report.counts import between, counts_over_time
from selftaught.report.progress_chart import best_so_far
from selftaught.report.record import Record, RunRecord
from selftaught.report.timeline import Appearance, appearances

__all__ = ["Scene", "playback"]

FRAMES = 8.0  # a second
BY_THE_CLOCK = 0.25  # share of the film that follows the run's own time
LONGEST = 24 * 3600.0
NAMED, GAINED = 6.0, 12.0  # what a new technique and a large gain add to the time of an improvement, which is 1 else


@dataclass(frozen=True)
class Scene:
    """A moment of the film.

    Args:
        at: seconds since its start.
        elapsed: seconds since the start of the run.
        programs: proposed by then, over all islands; between two improvements in proportion to time.
        best: the best improvement by then, or None before the first.
        new: improvements since the scene before, oldest first; the best of all islands alone.
        named: techniques that appeared since the scene before.
        left: seconds of the run that are left.
    """

    at: float
    elapsed: float
    programs: int
    best: Record | None
    new: tuple[Record, ...]
    named: tuple[Appearance, ...]
    left: float


def playback(run: RunRecord, *, seconds: float = 60.0, speed: float | None = None) -> Iterator[Scene]:
    """Return the scenes of a run in order, about eight a second; the last is its end.

    Args:
        run: with at least one improvement.
        seconds: how long the film is.
        speed: seconds of the run a second of the film, in proportion; it replaces `seconds`.

    Raises:
        InputError: the run recorded no improvements, or a number is out of its range.
    """
    records = best_so_far(run.history)
    if not records:
        raise InputError(f"{run.folder} has no history.jsonl with improvements, so there is nothing to replay")
    if not 0 < seconds <= LONGEST:
        raise InputError(f"seconds is a number above 0 and at most {LONGEST:g}, got {seconds:g}")
    if speed is not None and not 0 < speed <= 1e9:
        raise InputError(f"speed is a number above 0 and at most 1e9, got {speed:g}")
    return _scenes(run, records, seconds, speed)


def _scenes(run: RunRecord, records: list[Record], seconds: float, speed: float | None) -> Iterator[Scene]:
    begin = 0.0 if speed is not None else max(0.0, records[0].elapsed - 1.0)
    end = max(run.elapsed, records[-1].elapsed)
    named = appearances(run)
    film, times = _knots([record.elapsed for record in records], _weights(records, named), begin, end, seconds, speed)
    counts = counts_over_time(run, begin, end)
    shown = told = 0
    frames = max(2, round(film[-1] * FRAMES) + 1)
    for frame in range(frames):
        last = frame == frames - 1
        at = film[-1] if last else frame / FRAMES
        elapsed = end if last else between(at, film, times)
        upto = len(records) if last else bisect_right([record.elapsed for record in records], elapsed)
        names = len(named) if last else bisect_right([one.elapsed for one in named], elapsed)
        yield Scene(
            at, elapsed, round(between(elapsed, *counts)), records[upto - 1] if upto else None,
            tuple(records[shown:upto]), tuple(named[told:names]), max(0.0, end - elapsed),
        )  # fmt: skip
        shown, told = upto, names


def _weights(records: Sequence[Record], named: Sequence[Appearance]) -> list[float]:
    """Return how long the time before the first improvement, then each improvement, is to be seen."""
    before = [0.0, *(record.fitness for record in records)]
    gains = [max(0.0, after - was) for was, after in itertools.pairwise(before)]
    gains[0] = 0.0  # the first stands beside nothing
    most = max(gains) or 1.0
    brought = {(one.island, one.programs) for one in named}
    return [1.0] + [
        1.0 + NAMED * ((record.island, record.programs) in brought) + GAINED * math.sqrt(gain / most)
        for record, gain in zip(records, gains, strict=True)
    ]


def _knots(
    times: Sequence[float], weights: Sequence[float], begin: float, end: float, seconds: float, speed: float | None
) -> tuple[list[float], list[float]]:
    """Return moments of the film and, for each, the run's time."""
    length = max(end - begin, 1e-9)
    if speed is not None:
        return [0.0, length / speed], [begin, end]
    film, run = [0.0], [begin]
    seen, total = 0.0, sum(weights)
    for weight, time in zip(weights, [*times, end], strict=True):
        time = min(max(time, run[-1]), end)
        seen += weight
        film.append(seconds * (BY_THE_CLOCK * (time - begin) / length + (1 - BY_THE_CLOCK) * min(seen / total, 1.0)))
        run.append(time)
    film[-1] = seconds
    return film, run
