"""Rows in files: JSON lines, always whole, each with the configuration it was measured under."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selftaught.claims.claim import Part
from selftaught.claims.evidence import Row
from selftaught.errors import DataError, InputError, ResumeError
from selftaught.writing import write_atomically

__all__ = ["RowFile", "machine_name", "part_key", "read_rows"]


def part_key(part: Part) -> str:
    """Return what tells the parts of a plan apart, the same on every machine.

    >>> part_key({"seed": 1, "bias": "free"})
    '{"bias": "free", "seed": 1}'
    """
    return json.dumps(dict(part), sort_keys=True)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines.

    Raises:
        DataError: the file cannot be read, or a line is not a JSON object; one line that names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(
            f"rows cannot be read from {path} ({reason}); give a file that selftaught reproduce wrote"
        ) from None
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number} is no row; each line holds one JSON object of finite numbers")
        rows.append(row)
    return rows


def _refuse(word: str) -> None:
    """Refuse NaN and Infinity, which are not JSON and which no rule can judge."""
    raise ValueError(word)


def machine_name() -> str:
    """Return the processor's name as the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


class RowFile:
    """The rows of one reproduction, on disk after every part.

    A file is only ever replaced by a longer whole one, so that whatever stops the work, finished parts stay.

    Args:
        path: the file; its folder is made.
        config: what all rows share (`Claim.identity`).
        fresh: throw away what the file holds.

    Raises:
        InputError: the folder cannot be made.
        DataError: the file holds something else.
        ResumeError: it holds rows of another claim or configuration; or another process is at work on it.
    """

    def __init__(self, path: Path, config: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self._config = json.loads(json.dumps(dict(config)))
        self.rows: list[dict[str, Any]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the folder {path.parent} cannot be made ({error.strerror}); choose other --rows"
            ) from None
        if path.exists() and not fresh:
            self.rows = read_rows(path)
            for row in self.rows:
                if row.get("config") != self._config:
                    raise ResumeError(
                        f"{path} holds rows of another run ({_difference(row.get('config'), self._config)}); choose "
                        "other --rows, or start over with --fresh"
                    )

    def finished(self) -> set[str]:
        """Return the keys of the parts whose rows are here."""
        return {str(row["part"]) for row in self.rows}

    def add(self, part: Part, rows: Sequence[Row], **stamp: Any) -> None:
        """Add the rows of a finished part and write the file anew, whole or not at all."""
        self.rows += [{**row, "part": part_key(part), **stamp, "config": self._config} for row in rows]
        text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in self.rows)
        write_atomically(self.path, text.encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing the same file."""
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            yield
            return
        guard = self.path.with_name(f".{self.path.name}.lock")
        try:
            guard.touch()
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}); choose other --rows") from None
        with open(guard, "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ResumeError(
                    f"another process is writing {self.path}; wait for it or choose other --rows"
                ) from None
            yield


def _difference(stored: Any, wanted: Mapping[str, Any]) -> str:
    """Say in a few words how two configurations differ."""
    if not isinstance(stored, dict):
        return "without a configuration"
    names = [name for name in sorted({*stored, *wanted}) if stored.get(name) != wanted.get(name)]
    return ", ".join(f"{name} {stored.get(name)!r} instead of {wanted.get(name)!r}" for name in names[:3])
