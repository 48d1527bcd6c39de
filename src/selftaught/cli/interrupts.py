"""Two ways to stop: the first asks to end well, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Turn Ctrl-C into a wish to end well, as a context.

    The first Ctrl-C (or SIGTERM) sets `wanted`; when nothing can be kept yet, or at the second one,
    KeyboardInterrupt is raised. Signals reach the main thread alone; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.wanted = False
        self.worth_keeping = False
        self._before: dict[int, Any] = {}

    def ask(self) -> None:
        """Wish to end well."""
        self.wanted = True

    def hold(self) -> None:
        """Take Ctrl-C back from a callee that set a handler of its own."""
        if signal.SIGINT in self._before and signal.getsignal(signal.SIGINT) != self._handle:
            signal.signal(signal.SIGINT, self._handle)

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wanted or not self.worth_keeping:
            raise KeyboardInterrupt
        self.wanted = True
