"""Turn whatever a decoder throws at a damaged file into one line."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selftaught.errors import DataError, SelftaughtError

__all__ = ["file_bytes", "gunzip", "listed", "one_line", "reading"]


def one_line(text: object, *, limit: int = 160) -> str:
    """Return a text on one line, cut after `limit` characters.

    >>> one_line("first\\n  second")
    'first second'
    """
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return words if len(words) <= limit else words[: limit - 3] + "..."


def listed(names: list[str] | tuple[str, ...], *, limit: int = 12) -> str:
    """Return names for an error message, the first few when there are many.

    >>> listed(["a", "b", "c"], limit=2)
    "'a', 'b', ... (3 in all)"
    """
    shown = ", ".join(repr(one_line(name, limit=60)) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"


@contextmanager
def reading(what: object, form: str) -> Iterator[None]:
    """Raise a `DataError` of one line for anything that goes wrong while a library decodes `what`.

    The libraries do not document which exceptions a damaged file may cause, so every `Exception` is
    taken; keep the body down to the library's call.

    Raises:
        DataError: the body raised anything but an error of ours.
    """
    try:
        yield
    except SelftaughtError:
        raise
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        raise DataError(f"{one_line(what)} is not a readable {form}: {reason}") from error


def file_bytes(path: Path) -> bytes:
    """Return the whole content of a file.

    Raises:
        DataError: the file is missing, a folder, unreadable or empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{one_line(path)} cannot be read: {one_line(error.strerror or error)}") from error
    if not data:
        raise DataError(f"{one_line(path)} is empty")
    return data


def gunzip(data: bytes, path: Path) -> bytes:
    """Return the unpacked content of a gzip file.

    Raises:
        DataError: the file is truncated, damaged or not gzip at all.
    """
    with reading(path, "gzip file (truncated or damaged?)"):
        return gzip.decompress(data)
