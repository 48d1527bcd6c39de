"""What can go wrong because of what a user gave, said in one line.

Every error a user can cause derives from `SelftaughtError`. Its text says what was wanted, what came
and what to do; the command line prints it as one line and exits with `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "DivergedError",
    "InputError",
    "MissingExtraError",
    "ProgramError",
    "ResumeError",
    "SelftaughtError",
    "did_you_mean",
    "require_one_of",
]


class SelftaughtError(Exception):
    """The root of every error that a user can cause and mend."""

    exit_code = 2


class InputError(SelftaughtError, ValueError):
    """An option or argument is out of its range or unknown."""


class DataError(SelftaughtError, ValueError):
    """A data set cannot be read, or does not fit what was asked of it."""


class ProgramError(SelftaughtError, ValueError):
    """A program's text or structure breaks a rule of the language; one line an error."""


class DivergedError(SelftaughtError, ArithmeticError):
    """A program's error grew past all bounds, or was not a number, while it learned."""


class ResumeError(SelftaughtError):
    """A stored run cannot go on with the settings given."""


class MissingExtraError(SelftaughtError, ImportError):
    """An optional dependency is needed; the text names the one line that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}; install it with: pip install 'selftaught[{extra}]'")
        self._parts = (package, extra, purpose)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Let it pass from a worker to its parent, which makes it anew from its parts."""
        return type(self), self._parts


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known word, or an empty string."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]!r}?" if close and word not in names else ""


def require_one_of(name: str, word: str, known: Iterable[str]) -> None:
    """Check that an option is one of the known words.

    Raises:
        InputError: it is not; with the nearest one.

    >>> require_one_of("form", "hard", ("hard", "soft"))
    """
    words = list(known)
    if word not in words:
        raise InputError(f"{name} must be one of {', '.join(words)}, got {word!r}{did_you_mean(str(word), words)}")
