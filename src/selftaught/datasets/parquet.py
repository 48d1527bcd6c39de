"""Read a Parquet file into a polars frame, in a process of its own.

A damaged file can abort the library that decodes it, which no handler catches: the process dies. So another process
decodes the file and hands the columns over in Arrow's format; when it dies, this one says so and lives on.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from selftaught.datasets.reading import file_bytes, one_line
from selftaught.errors import DataError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_parquet"]

_MAGIC = b"PAR1"
_REFUSED = 3  # the decoder's exit code when it says what is wrong
#: What the other process runs. A panic inside polars is a BaseException, hence that.
_DECODER = f"""
import io, sys
import polars as pl
try:
    pl.read_parquet(io.BytesIO(sys.stdin.buffer.read())).write_ipc(sys.stdout.buffer)
except BaseException as error:
    sys.stderr.buffer.write(b"\\0" + (str(error) or type(error).__name__).encode("utf-8", "replace"))
    sys.exit({_REFUSED})
"""


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a Parquet file.

    Raises:
        DataError: it is damaged, truncated, empty, or no Parquet file.
    """
    import polars as pl

    data = file_bytes(path)
    if len(data) < 12 or data[:4] != _MAGIC or data[-4:] != _MAGIC:
        raise DataError(
            f"{path} is not a readable Parquet file: it must begin and end with PAR1 (truncated or damaged?)"
        )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _DECODER], input=data, capture_output=True, env=environment, check=False
    )
    if done.returncode == 0:
        return pl.read_ipc(io.BytesIO(done.stdout))
    raise DataError(f"{path} is not a readable Parquet file: {_reason(done)}")


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """Say in one line why the decoder gave up."""
    if done.returncode == _REFUSED:
        # What comes before the mark is what the library wrote by itself.
        return one_line(done.stderr.rpartition(b"\0")[2].decode(errors="replace"))
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"decoding it ended the decoder ({name}); the file is damaged, or too large for the memory"
    return one_line(done.stderr.decode(errors="replace")) or f"the decoder ended with code {done.returncode}"
