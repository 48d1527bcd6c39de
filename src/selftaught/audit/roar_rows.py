"""The rows of removing and retraining, kept after every training, so that an interruption loses one at most."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selftaught.errors import InputError, ResumeError
from selftaught.writing import write_atomically

__all__ = ["FILE", "Key", "RoarRows", "unchanged_file"]

FILE = "roar.json"
Key = tuple[str, float, int]  # arm, fraction, seed


class RoarRows:
    """Rows by arm, fraction and seed, in one file that is only ever replaced by a longer whole one.

    Args:
        folder: of the file; None keeps rows in memory alone.
        identity: what rows must share to be read together.
        resume: True insists on stored rows, False starts over, None takes them where there are some.

    Raises:
        InputError: the folder cannot be made.
        ResumeError: stored rows are of other settings, damaged, or not there where they must be.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, identity: Mapping[str, Any], resume: bool | None
    ) -> None:
        self.folder = None if folder is None else Path(folder).expanduser()
        self.rows: dict[Key, dict[str, float]] = {}
        self._identity = dict(identity)
        if self.folder is None:
            if resume:
                raise ResumeError("there are no rows to go on with without a folder; give folder=")
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be made ({error.strerror}); choose another folder") from None
        path = self.folder / FILE
        if not path.exists() or resume is False:
            if resume:
                raise ResumeError(f"there is no {path} to go on with; leave resume out")
            for old in self.folder.glob("unchanged-*.safetensors"):
                old.unlink()
            return
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            stored = held["settings"]
            self.rows = {
                (one["arm"], float(one["fraction"]), int(one["seed"])):
                    {"accuracy": float(one["accuracy"]), "without": float(one["without"])}
                for one in held["rows"]
            }  # fmt: skip
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise ResumeError(f"{path} cannot be read ({type(error).__name__}); start over with --fresh") from None
        other = [name for name, value in self._identity.items() if stored.get(name) != value]
        if other:
            raise ResumeError(f"{path} holds rows of another {' and '.join(other)}; choose another folder, or --fresh")

    def write(self) -> None:
        """Write all rows, whole or not at all."""
        if self.folder is None:
            return
        rows = [{"arm": arm, "fraction": part, "seed": seed, **row} for (arm, part, seed), row in self.rows.items()]
        text = json.dumps({"settings": self._identity, "rows": rows}, indent=1) + "\n"
        write_atomically(self.folder / FILE, text.encode())


def unchanged_file(folder: Path, seed: int) -> Path:
    """Return where the model of a seed that was trained on unchanged images is kept."""
    return folder / f"unchanged-{seed}.safetensors"
