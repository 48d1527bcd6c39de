"""Save a search so that it goes on bit for bit after any interruption, kill -9 included."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import ResumeError

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A search at one moment.

    Args:
        settings: what defines the search (`EvolveSettings.defining`).
        islands: the arrays of every island (`Island.export`).
        about: plain data beside them: elapsed and CPU seconds, events written, the round, living islands.
    """

    settings: dict[str, Any]
    islands: list[dict[str, NDArray[Any]]]
    about: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; whoever reads the file meets a whole one, old or new."""
    arrays = {f"{k}.{name}": array for k, island in enumerate(checkpoint.islands) for name, array in island.items()}
    head = {"format": FORMAT, "settings": checkpoint.settings, "about": checkpoint.about,
            "islands": len(checkpoint.islands)}  # fmt: skip
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """Read a checkpoint; None where there is none.

    Raises:
        ResumeError: the file cannot be read; one line.
    """
    if not path.exists():
        return None
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            head = json.loads(stored["head"].tobytes())
            if head["format"] != FORMAT:
                raise ValueError(f"format {head['format']}")
            islands: list[dict[str, Any]] = [{} for _ in range(head["islands"])]
            for key in stored.files:
                number, _, name = key.partition(".")
                if name:
                    islands[int(number)][name] = stored[key]
            return Checkpoint(head["settings"], islands, head["about"])
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ResumeError(
            f"{path} cannot be read ({type(error).__name__}); start over with resume=False (--fresh)"
        ) from None
