"""The evolution as it happens, in a terminal: speed, the floor to beat, the best program, time left."""

from __future__ import annotations

import math
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, Group, OverflowMethod, RenderResult
from rich.live import Live
from rich.text import Text

from selftaught.cli.bars import axis, bar, scale
from selftaught.cli.code_view import Code, changed_lines, changes_in_words, code_columns, code_of
from selftaught.cli.phases import phase_text
from selftaught.cli.quantities import clock, fitness, short_count

if TYPE_CHECKING:
    from selftaught.programs import Improvement, Progress

__all__ = ["LiveView"]

_LABEL = 14
_ORDER = ("linear", "net", "reference", "least squares", "constant")
_VALUE = 9


class LiveView:
    """A view that redraws itself in place; a context, empty again at its end.

    Args:
        console: where to draw.
        title: the data set's name.
        facts: what the result depends on, such as the bias level.
    """

    def __init__(self, console: Console, title: str, facts: list[str]) -> None:
        self.title = title
        self.facts = facts
        self.stopping = False
        self.keys = False
        self.footer = ""
        self._named: list[tuple[str, float]] = []
        self._console = console
        self._plain = not console.encoding.lower().startswith("utf")
        self._cut: OverflowMethod = "crop" if self._plain else "ellipsis"
        self._digits = 4 if console.width >= 100 else 3
        self._progress: Progress | None = None
        self._received = time.monotonic()
        self._baselines: dict[str, float] = {}
        self._code: Code | None = None
        self._changed: dict[str, set[int]] = {}
        self._recent: deque[Text] = deque(maxlen=12)
        self._record: tuple[float, Code] | None = None
        self._live = Live(self, console=console, refresh_per_second=5, transient=True, vertical_overflow="crop")

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self, progress: Progress) -> None:
        """Take what happened since the last call; drawn at the next refresh."""
        self._baselines.update(progress.baselines or {})
        for one in progress.improvements:
            self._remember(one)
        if progress.best_program is not None:
            code = code_of(progress.best_program, digits=self._digits)
            if code != self._code:
                self._changed = changed_lines(self._code, code) if self._code else {}
                self._code = code
        self._progress, self._received = progress, time.monotonic()

    def name(self, technique: str, elapsed: float) -> None:
        """Show a technique from now on, with the seconds after which it appeared."""
        if technique not in [name for name, _ in self._named]:
            self._named.append((technique, elapsed))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        height = (options.height or console.size.height) - 1
        top = [self._header(width), self._clock(width), self._speed(width), Text("")]
        bars = self._bars(width, 8 if height >= 30 else max(1, min(4, height // 3 - 3)))
        bars += self._techniques(width) if height >= 16 else []
        room = height - len(top) - len(bars) - 2
        code = max(len(lines) for lines in self._code.values()) + 2 if self._code else 0
        recent = self._latest(width, min(12, max(1 if room >= 8 else 0, room - code - 1)))
        room -= len(recent) + bool(recent)
        parts: list[Any] = [*top, *bars, Text("")]
        if self._code is not None and room >= 3:
            parts.append(code_columns(self._code, self._changed, width=width, height=room - 1, plain=self._plain))
            parts.append(Text(""))
        parts += [*recent, *([Text("")] if recent else []), self._footer(width)]
        yield Group(*parts)

    def _header(self, width: int) -> Text:
        dot = " - " if self._plain else " · "
        line = Text(self.title, "bold", no_wrap=True, overflow=self._cut)
        line.append(dot + dot.join(self.facts), "dim")
        line.truncate(width, overflow=self._cut)
        return line

    def _clock(self, width: int) -> Text:
        elapsed, left = self._times()
        line = Text(no_wrap=True)
        if left is None:
            return line.append(f"{clock(elapsed)} so far")
        words = f" {clock(elapsed)} of {clock(elapsed + left)}, {clock(left)} left"
        cells = max(4, width - len(words))
        done = min(cells, round(cells * elapsed / max(1e-9, elapsed + left)))
        line.append(("=" if self._plain else "━") * done, "cyan")
        line.append(("-" if self._plain else "━") * (cells - done), "bright_black")
        return line.append(words)

    def _times(self) -> tuple[float, float | None]:
        if self._progress is None:
            return time.monotonic() - self._received, None
        since = time.monotonic() - self._received if self._progress.phase != "done" else 0.0
        left = self._progress.seconds_left
        return self._progress.elapsed + since, None if left is None else max(0.0, left - since)

    def _speed(self, width: int) -> Text:
        now = self._progress
        phase = now.phase if now else "compile"
        if now is None or phase != "search" or not now.programs:
            line = Text(phase_text(phase, now.message if now else None), "italic", no_wrap=True)
        else:
            figures = [
                (f"{short_count(now.programs_per_second)}", " programs/s"),
                (f"{short_count(now.programs)}", " programs"),
            ]
            if math.isfinite(now.hit_rate):  # a replay does not know it
                figures.append((f"{100 * now.hit_rate:.0f} %", " from the cache"))
            if now.restarts:
                figures.append((str(now.restarts), " restart" + "s" * (now.restarts > 1)))
            if now.islands > 1:
                figures.append((str(now.islands), " islands"))
            words = [Text(number, "bold").append(unit, "not bold dim") for number, unit in figures]
            line = Text("   ", no_wrap=True).join(words)
        line.truncate(width, overflow=self._cut)
        return line

    def _bars(self, width: int, most: int) -> list[Text]:
        best = self._progress.best_fitness if self._progress and self._code is not None else None
        floor = max(self._baselines.values(), default=None)
        ends = scale(self._baselines.values())
        cells = max(8, width - _LABEL - _VALUE)
        beaten = best is not None and floor is not None and best > floor
        style = "green" if beaten else "cyan"
        lines = []
        if best is not None:
            line = Text("best so far".ljust(_LABEL), "bold", no_wrap=True)
            line.append_text(bar(best, ends, cells, mark=floor, style=f"not bold {style}", plain=self._plain))
            lines.append(line.append(fitness(best).rjust(_VALUE), f"bold {style}"))
        known = [name for name in _ORDER if name in self._baselines]
        known += [name for name in self._baselines if name not in _ORDER]
        for name in known[:most]:
            value = self._baselines[name]
            line = Text(name[: _LABEL - 1].ljust(_LABEL), "dim", no_wrap=True)
            line.append_text(bar(value, ends, cells, style="not dim bright_black", plain=self._plain))
            lines.append(line.append(fitness(value).rjust(_VALUE), "not dim"))
        if lines:
            lines.append(Text(" " * _LABEL).append_text(axis(ends, cells)))
        return lines

    def _techniques(self, width: int) -> list[Text]:
        """Return a line that names the techniques seen so far, the newest first; none before the first."""
        if not self._named:
            return []
        line = Text("techniques".ljust(_LABEL), "bold", no_wrap=True)
        for number, (name, elapsed) in enumerate(reversed(self._named)):
            line.append(", " if number else "", "not bold dim")
            line.append(name, "not bold magenta").append(f" {clock(elapsed)}", "not bold dim")
        line.truncate(width, overflow=self._cut)
        return [line]

    def _remember(self, found: Improvement) -> None:
        """Note an improvement over all islands, with the lines that it brought."""
        if self._record is not None and found.fitness <= self._record[0]:
            return
        code = code_of(found.program, digits=self._digits)
        line = Text(f"{fitness(found.fitness):>8}", "green", no_wrap=True)
        line.append(f"  {clock(found.elapsed):>6}  {short_count(found.programs):>7} programs   ", "dim")
        line.append(changes_in_words(self._record[1] if self._record else None, code), "dim")
        self._recent.append(line)
        self._record = (found.fitness, code)

    def _latest(self, width: int, most: int) -> list[Text]:
        """Return the last improvements, the newest first."""
        lines = [line.copy() for line in list(self._recent)[-most:][::-1]] if most else []
        for line in lines:
            line.truncate(width, overflow=self._cut)
        return lines

    def _footer(self, width: int) -> Text:
        if self.stopping:
            return Text("ending well: scoring the best find so far; Ctrl-C stops at once", "yellow", no_wrap=True)
        how = "q or Ctrl-C" if self.keys else "Ctrl-C"
        line = Text(self.footer or f"{how} ends well and keeps what was found", "dim", no_wrap=True)
        line.truncate(width, overflow=self._cut)
        return line
