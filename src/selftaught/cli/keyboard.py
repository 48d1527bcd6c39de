"""Read single keys from the terminal without waiting for them."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import sys
from types import TracebackType
from typing import Any

__all__ = ["Keyboard"]


class Keyboard:
    """The keys pressed so far, as a context; the terminal is put back as it was at the end.

    Does nothing where the standard input is no terminal, or belongs to another job of the shell.
    """

    def __init__(self) -> None:
        self._saved: list[Any] | None = None
        self._termios: Any = None
        self._windows: Any = None
        self._file = -1

    def __enter__(self) -> Keyboard:
        if not _is_terminal():
            return self
        if sys.platform == "win32":
            self._windows = importlib.import_module("msvcrt")
            return self
        try:
            self._termios = importlib.import_module("termios")
            self._file = sys.stdin.fileno()
            self._saved = self._termios.tcgetattr(self._file)
        except (ImportError, OSError, ValueError, self._error()):
            self._saved = None
            return self
        if self._in_front():
            importlib.import_module("tty").setcbreak(self._file, self._termios.TCSANOW)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saved is not None and self._in_front():
            with contextlib.suppress(OSError, self._error()):
                self._termios.tcsetattr(self._file, self._termios.TCSADRAIN, self._saved)

    @property
    def listening(self) -> bool:
        """Whether keys can be read at all."""
        return self._windows is not None or self._saved is not None

    def pressed(self) -> str:
        """Return the keys pressed since the last call, possibly none."""
        if self._windows is not None:
            keys = ""
            while self._windows.kbhit():
                keys += self._windows.getwch()
            return keys
        if self._saved is None or not self._in_front():
            return ""
        try:
            if select.select([self._file], [], [], 0)[0]:
                return os.read(self._file, 64).decode("utf-8", "ignore")
        except (OSError, ValueError):
            self._saved = None  # the terminal has gone
        return ""

    def _in_front(self) -> bool:
        """Whether this process is the terminal's foreground job: others are stopped when they touch it."""
        try:
            return os.tcgetpgrp(self._file) == os.getpgrp()
        except OSError:
            return False

    def _error(self) -> type[Exception]:
        error: type[Exception] = getattr(self._termios, "error", OSError)
        return error


def _is_terminal() -> bool:
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False
