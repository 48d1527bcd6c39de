"""What a run has decided so far, kept in its folder, so that a run that was killed decides the same again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selftaught.errors import InputError, ResumeError
from selftaught.writing import write_atomically

__all__ = ["Decisions"]

FILE = "decisions.json"


class Decisions:
    """Numbers and choices by name, each made once in the life of a run.

    Args:
        folder: made if it is not there.
        request: what must be the same for a run to go on, in JSON's own types.
        resume: True insists on a stored run, False starts over, None goes on where there is one.

    Raises:
        InputError: the folder cannot be written.
        ResumeError: it holds a run of another request, or none although `resume` insists.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> Decisions(folder, {"plan": 1}).once("width", lambda: 16)
    16
    >>> Decisions(folder, {"plan": 1}).once("width", lambda: 32)
    16
    """

    def __init__(self, folder: Path, request: dict[str, Any], *, resume: bool | None = None) -> None:
        self._path = folder / FILE
        wanted = json.loads(json.dumps(request))
        stored = self._read()
        if resume and stored is None:
            raise ResumeError(f"there is no run in {folder} to go on with; leave out --resume")
        #: Whether nothing of an earlier run is used.
        self.fresh = resume is False or stored is None
        if not self.fresh and stored is not None and stored["request"] != wanted:
            before = stored["request"]
            differing = [name for name in {**before, **wanted} if before.get(name) != wanted.get(name)]
            raise ResumeError(
                f"the run in {folder} was asked for something else ({', '.join(differing)}); "
                "choose another --out, or start over with --fresh"
            )
        self._made: dict[str, Any] = {} if self.fresh or stored is None else stored["decisions"]
        self._request = wanted
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.fresh:
                shutil.rmtree(folder / "steps", ignore_errors=True)
            self._write()
        except OSError as error:
            told = f"the folder {folder} cannot be written ({error.strerror}); choose another --out"
            raise InputError(told) from None

    def once(self, name: str, decide: Callable[[], Any]) -> Any:
        """Return what was decided under a name, or decide it now and keep it.

        Args:
            name: of the decision.
            decide: returns what JSON can hold.
        """
        if name not in self._made:
            self._made[name] = json.loads(json.dumps(decide()))
            self._write()
        return self._made[name]

    def _write(self) -> None:
        told = json.dumps({"request": self._request, "decisions": self._made}, indent=2)
        write_atomically(self._path, told.encode())

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return found if {"request", "decisions"} <= set(found) else None
        except (OSError, ValueError, TypeError):
            return None
