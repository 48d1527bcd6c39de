"""How a training is shown: one line that moves in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from selftaught.cli.quantities import clock, short_count

if TYPE_CHECKING:
    from selftaught.training import Progress
    from selftaught.training.baselines import Baseline

__all__ = ["TrainView"]

SECONDS_BETWEEN = 3.0


class TrainView:
    """Progress of a training, as a context.

    Args:
        stream: where to write.
        title: what is trained on what.
        shown: False shows nothing.
        every: seconds between lines where the stream is no terminal.
        describe: makes a line of a progress; `line` for that of a training.
    """

    def __init__(
        self, stream: TextIO, title: str, *, shown: bool = True, every: float = SECONDS_BETWEEN,
        describe: Callable[[Any], str] | None = None,
    ) -> None:  # fmt: skip
        self._stream = stream
        self._title = title
        self._shown = shown
        self._every = every
        self._describe = describe or line
        self._last = -1e9
        self._live: Any = None

    def __enter__(self) -> TrainView:
        if self._shown:
            self._write(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Show a line."""
        if self._shown:
            self._write(text)

    def tell_baselines(self, found: Sequence[Baseline]) -> None:
        """Show the floor to beat."""
        if self._shown:
            self._write("baselines: " + ", ".join(f"{one.name} {one.score:.4f}" for one in found))

    def update(self, progress: Any, *, stopping: bool = False) -> None:
        """Take how far the training is."""
        if not self._shown:
            return
        text = self._describe(progress) + ("; stopping" if stopping else "")
        if self._stream.isatty():
            self._move(text)
        elif time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            self._write(text)

    def _move(self, text: str) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            console = Console(file=self._stream, highlight=False, markup=False)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def line(progress: Progress) -> str:
    """Return how far a training is, in a line.

    >>> from types import SimpleNamespace
    >>> line(SimpleNamespace(seconds=61, epoch=1, epochs=4, step=70, steps=200, examples_per_second=1500.0, loss=0.25,
    ...      score=None, seconds_left=120.0))
    '   1:01  epoch 2 of 4, step 70 of 200, 1.50 k examples/s, loss 0.2500, 2:00 left'
    """
    words = [f"epoch {progress.epoch + 1}" + (f" of {progress.epochs}" if progress.epochs else "")]
    words.append(f"step {progress.step}" + (f" of {progress.steps}" if progress.steps else ""))
    words.append(f"{short_count(progress.examples_per_second)} examples/s")
    words.append(f"loss {progress.loss:.4f}")
    if progress.score is not None:
        words.append(f"valid {progress.score:.4f}")
    if progress.seconds_left is not None:
        words.append(f"{clock(progress.seconds_left)} left")
    return f"{clock(progress.seconds):>7}  {', '.join(words)}"
