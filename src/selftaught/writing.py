"""Files written whole or not at all, and the checks of a file's name that spare a user lost work."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from selftaught.errors import InputError

__all__ = ["RUN_FILES", "file_to_write", "write_atomically"]

#: What a run leaves beside its report, and what no other output may take the place of.
RUN_FILES = (
    "result.json", "history.jsonl", "settings.json", "explanation.json", "timeline.json", "recording.json",
    "config.toml", "program.txt", "checkpoint.npz", "model.safetensors", "checkpoint.safetensors",
)  # fmt: skip


def file_to_write(out: str | os.PathLike[str], *, read: Iterable[Path] = ()) -> Path:
    """Return the path of a file that can be made, checked before the work whose result it shall hold.

    Args:
        out: what the user named.
        read: files that the work reads or that belong to a run, which it must not replace.

    Raises:
        InputError: it is no file's name, a folder, in a folder that is not there or closed, or one of those to keep.

    >>> file_to_write("page.html").name
    'page.html'
    """
    path = Path(out).expanduser()
    if not path.name or path.name == "..":
        raise InputError(f"{os.fspath(out)!r} is no file's name; name the file to write, as in --out FILE")
    try:
        reason = _obstacle(path)
        taken = path.exists() and any(one.exists() and path.samefile(one) for one in read)
    except OSError as error:
        reason, taken = str(error.strerror), False
    if taken:
        reason = "what it holds is needed, and would be lost"
    if reason:
        raise InputError(f"{path} cannot be written: {reason}; choose another --out")
    return path


def _obstacle(path: Path) -> str:
    if path.is_dir():
        return "it is a folder"
    if path.exists() and not path.is_file():  # such as /dev/stdout
        return "" if os.access(path, os.W_OK) else "permission denied"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return "" if os.access(path.parent, os.W_OK) else f"the folder {path.parent} is closed to you"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, force it to the disk and give it its name.

    A reader meets the old file or the new one, never half of one. What is no plain file, such as /dev/stdout, is
    written as it stands. A failure leaves nothing behind.

    Raises:
        OSError: with the file's own name, not the temporary one.
    """
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.name[:200]}.{os.getpid()}.tmp")
    try:
        if place.exists() and not stat.S_ISREG(place.stat().st_mode):
            place.write_bytes(data)
            return
        try:
            with open(temporary, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
