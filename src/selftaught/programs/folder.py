"""The files of a run: settings, checkpoint, history, program and result, and when a run may go on."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from selftaught.errors import InputError, ResumeError
from selftaught.programs.checkpoint import Checkpoint, load_checkpoint
from selftaught.programs.parse import parse_program
from selftaught.programs.result import Improvement
from selftaught.programs.search import Event
from selftaught.programs.settings import EvolveSettings
from selftaught.programs.text import format_program
from selftaught.writing import write_atomically

__all__ = ["RUNS", "RunFolder"]

RUNS = Path("selftaught-runs")
CHECKPOINT, HISTORY, SETTINGS, RESULT, PROGRAM = (
    "checkpoint.npz", "history.jsonl", "settings.json", "result.json", "program.txt",
)  # fmt: skip


class RunFolder:
    """The folder of one run, locked while it is open.

    Args:
        settings: the search's settings.
        out: the folder; None for one named after the data and the settings, under `selftaught-runs`.
        resume: True insists on a checkpoint, False starts over, None goes on where there is one.

    Raises:
        ResumeError: the folder holds a run with other settings, or another process works in it, or `resume` is
            True and there is nothing to go on from.
        InputError: the folder cannot be written.
    """

    def __init__(self, settings: EvolveSettings, out: str | os.PathLike[str] | None, *, resume: bool | None) -> None:
        self.path = Path(out).expanduser() if out is not None else RUNS / _default_name(settings)
        self._history: IO[bytes] | None = None
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "ab")  # noqa: SIM115 - held until `close`
        except OSError as error:
            raise InputError(
                f"the folder {self.path} cannot be written ({error.strerror}); choose another out"
            ) from None
        try:
            self._lock_it()
            self.checkpoint = self._open(settings, resume)
        except BaseException:
            self.close()
            raise

    def _lock_it(self) -> None:
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ResumeError(f"another run is at work in {self.path}; wait for it or choose another out") from None

    def _open(self, settings: EvolveSettings, resume: bool | None) -> Checkpoint | None:
        wanted = settings.defining()
        if resume is False:
            for name in (RESULT, PROGRAM, CHECKPOINT, HISTORY, SETTINGS):
                (self.path / name).unlink(missing_ok=True)
        stored = self._stored_settings()
        if stored is not None:
            self._compare(stored, wanted)
        checkpoint = load_checkpoint(self.path / CHECKPOINT)
        if checkpoint is not None:
            self._compare(checkpoint.settings, wanted)
        elif resume:
            raise ResumeError(
                f"there is no checkpoint in {self.path} to go on from; leave out resume=True (--resume) to start"
            )
        write_atomically(self.path / SETTINGS, (json.dumps(wanted, indent=2) + "\n").encode())
        return checkpoint

    def _stored_settings(self) -> dict[str, Any] | None:
        try:
            stored = json.loads((self.path / SETTINGS).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise ResumeError(
                f"{self.path / SETTINGS} cannot be read; start over with resume=False (--fresh)"
            ) from None
        return stored if isinstance(stored, dict) else {}

    def _compare(self, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        differing = [
            f"{key} {_short(stored.get(key))} -> {_short(wanted.get(key))}"
            for key in sorted({*stored, *wanted})
            if stored.get(key) != wanted.get(key)
        ]
        if differing:
            raise ResumeError(
                f"{self.path} holds a run with other settings ({'; '.join(differing)}); "
                "choose another out, or start over with resume=False (--fresh)"
            )

    @property
    def has_result(self) -> bool:
        """Whether a result was written."""
        return (self.path / RESULT).exists()

    @property
    def checkpoint_path(self) -> Path:
        """Where the checkpoint is."""
        return self.path / CHECKPOINT

    # ---- history

    def read_history(self, written: Mapping[int, int] | None = None) -> list[Improvement]:
        """Return the improvements told so far and make the file hold exactly these.

        Args:
            written: island -> how many of its events the checkpoint knows; later ones are dropped (they will be
                found again), and so is half a line at the end. None keeps all whole lines.
        """
        path = self.path / HISTORY
        lines: list[bytes] = []
        kept: list[Improvement] = []
        text = path.read_bytes() if path.exists() else b""
        for line in text.split(b"\n"):
            try:
                record = json.loads(line)
                improvement = Improvement(
                    programs=record["programs"], fitness=record["fitness"], elapsed=record["elapsed"],
                    parent=record["parent"], move=record["move"], island=record["island"],
                    program=parse_program(record["program"], HISTORY).program,
                )  # fmt: skip
                number = int(record["number"])
            except (ValueError, KeyError, TypeError):
                continue
            if written is None or number < written.get(improvement.island, 0):
                lines.append(line + b"\n")
                kept.append(improvement)
        if b"".join(lines) != text:
            write_atomically(path, b"".join(lines))
        return kept

    def append_history(self, events: list[Event], elapsed: float, task: str) -> list[Improvement]:
        """Write improvements, a JSON line each, and return them."""
        if not events:
            return []
        if self._history is None:
            self._history = open(self.path / HISTORY, "ab", buffering=0)  # noqa: SIM115 - held until `close`
        improvements = []
        for event in events:
            record = {
                "programs": event.programs, "fitness": event.fitness, "elapsed": round(elapsed, 3),
                "parent": event.parent, "move": event.move, "island": event.island, "number": event.number,
                "program": format_program(event.program, task=task),
            }  # fmt: skip
            self._history.write((json.dumps(record) + "\n").encode())
            improvements.append(
                Improvement(
                    event.programs, event.fitness, elapsed, event.parent, event.move, event.island, event.program
                )
            )
        return improvements

    def close(self) -> None:
        """Close the files and give the folder free."""
        if self._history is not None:
            self._history.close()
            self._history = None
        self._lock.close()


def _default_name(settings: EvolveSettings) -> str:
    digest = hashlib.blake2b(json.dumps(settings.defining(), sort_keys=True).encode(), digest_size=4).hexdigest()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", settings.data).strip("-.")[:40] or "data"
    return f"{name}-{digest}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
