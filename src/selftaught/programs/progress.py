"""What a running search tells whoever watches it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from selftaught.programs.program import Program
    from selftaught.programs.result import Improvement

__all__ = ["OnProgress", "Phase", "Progress", "Reporter"]

Phase = Literal["baselines", "compile", "search", "select", "final", "done"]
EVERY = 0.125  # seconds between two reports


@dataclass(frozen=True)
class Progress:
    """A moment of a search.

    Args:
        phase: "baselines", "compile", "search", "select", "final" or "done".
        programs: programs proposed so far, over all islands and before a resume.
        evaluated: programs run in full; the others were recognised.
        programs_per_second: proposed per second of search, lately.
        hit_rate: share of programs whose score was known, 0 to 1.
        elapsed: seconds since the start, those before a resume included.
        seconds_left: seconds until the end, or None without a limit of time.
        best_fitness: the best on the search tasks so far.
        best_program: it, or None before the first.
        baselines: name -> fitness on the search tasks, of what is cheap to try.
        improvements: new ones since the last report, oldest first.
        message: one line for the user, or empty.
        restarts: how often the population began again.
        islands: populations at work.
        text_kind: the task, as the text format of programs names it.
        techniques: names of what the best program does, when it was last looked at; of the winner when done.

    >>> Progress("search", programs=10).best_program is None
    True
    """

    phase: Phase
    programs: int = 0
    evaluated: int = 0
    programs_per_second: float = 0.0
    hit_rate: float = 0.0
    elapsed: float = 0.0
    seconds_left: float | None = None
    best_fitness: float = 0.0
    best_program: Program | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)
    improvements: tuple[Improvement, ...] = ()
    message: str = ""
    restarts: int = 0
    islands: int = 1
    text_kind: str = "regression"
    techniques: tuple[str, ...] = ()


OnProgress = Callable[[Progress], Any]


class Reporter:
    """Passes progress on, about eight times a second, and remembers a wish to stop.

    Args:
        on_progress: called with a `Progress`; it may return "stop" to end the search well.
        quiet: False writes a line to the standard error at every change of phase and about once a second.
    """

    def __init__(self, on_progress: OnProgress | None, *, quiet: bool = True) -> None:
        self._on_progress, self._quiet = on_progress, quiet
        self._last = self._said = -1e9
        self._phase: Phase | None = None
        self.stopped = False

    @property
    def due(self) -> bool:
        """Whether it is time for a report."""
        return time.perf_counter() - self._last >= EVERY

    def tell(self, progress: Progress) -> None:
        """Pass one report on, now."""
        self._last = time.perf_counter()
        if self._on_progress is not None and self._on_progress(progress) == "stop":
            self.stopped = True
        if not self._quiet and (progress.message or progress.phase != self._phase or self._last - self._said > 1.0):
            self._said = self._last
            sys.stderr.write(_line(progress))
            sys.stderr.flush()
        self._phase = progress.phase


def _line(progress: Progress) -> str:
    words = [progress.phase, f"{progress.elapsed:.1f} s"]
    if progress.programs:
        words += [f"{progress.programs:,} programs", f"best {progress.best_fitness:.4f}"]
    if progress.phase == "baselines":
        words += [f"{name} {value:.4f}" for name, value in progress.baselines.items()]
    if progress.message:
        words.append(progress.message)
    return "  ".join(words) + "\n"
