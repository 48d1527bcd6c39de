"""The evolution as plain lines every few seconds, for logs and pipes."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from selftaught.cli.phases import phase_text
from selftaught.cli.quantities import clock, count, fitness, short_count

if TYPE_CHECKING:
    from selftaught.programs import Progress

__all__ = ["LineView"]

SECONDS_BETWEEN = 3.0


class LineView:
    """A line every few seconds, and one at once when the phase or the baselines change; a context.

    Args:
        stream: where to write.
        title: the data set's name.
        facts: what the result depends on, such as the bias level.
        every: seconds between lines.
    """

    def __init__(self, stream: TextIO, title: str, facts: list[str], every: float = SECONDS_BETWEEN) -> None:
        self.stopping = False
        self.keys = False
        self._stream = stream
        self._every = every
        self._last = -1e9
        self._phase = ""
        self._baselines: dict[str, float] = {}
        self._title = f"{title}: {', '.join(facts)}"

    def __enter__(self) -> LineView:
        self._write(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.flush()

    def update(self, progress: Progress) -> None:
        """Take what happened since the last call, and write a line when it is time."""
        now = time.monotonic()
        at = f"{clock(progress.elapsed):>7}"
        if progress.phase == "search" and progress.programs:
            if self._phase != "search" or now - self._last >= self._every:
                self._last, self._phase = now, "search"
                self._write(self._line(progress))
            return
        known = dict(progress.baselines)
        if progress.phase != "done" and (progress.message or progress.phase not in (self._phase, "baselines")):
            self._write(f"{at}  {phase_text(progress.phase, progress.message)}")
        self._phase = progress.phase
        if known and known != self._baselines:
            self._baselines = known
            self._write(f"{at}  baselines: " + ", ".join(f"{name} {fitness(value)}" for name, value in known.items()))

    def name(self, technique: str, elapsed: float) -> None:
        """Write a technique that appeared, with the seconds after which it did."""
        self._write(f"{clock(elapsed):>7}  technique: {technique}")

    def _line(self, progress: Progress) -> str:
        words = [
            f"{clock(progress.elapsed):>7}  {count(progress.programs)} programs",
            f"{short_count(progress.programs_per_second)}/s",
            *([f"cache {100 * progress.hit_rate:.0f} %"] if math.isfinite(progress.hit_rate) else []),
            f"best {fitness(progress.best_fitness)}",
        ]
        if progress.restarts:
            words.append(f"restarts {progress.restarts}")
        if progress.seconds_left is not None:
            words.append(f"{clock(progress.seconds_left)} left")
        return ", ".join(words)

    def _write(self, line: str) -> None:
        self._stream.write(line.rstrip() + "\n")
        self._stream.flush()
