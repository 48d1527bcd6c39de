"""Call the sparse kernels: compiled at first use, without the interpreter's lock, on as many threads as torch has."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.compress import sparse_text
from selftaught.compress.sparse_conv_text import conv_text
from selftaught.compress.sparse_linear_text import linear_text
from selftaught.compress.sparse_text import ADDRESSES, PLAN, Index
from selftaught.programs.machine_code import MachineCode, has_wide_registers, load_machine_code

__all__ = ["native_lanes", "plans", "run_in_threads", "scratch", "scratch_floats", "sparse_code", "sparse_function"]

_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {
    "linear": (_POINTER, _POINTER, _NUMBER, _NUMBER, _POINTER, _NUMBER, _POINTER),
    "planes": (_POINTER, _POINTER, _POINTER, _NUMBER, _NUMBER, _POINTER, _NUMBER, _POINTER),
}
_own = threading.local()


@cache
def native_lanes() -> int:
    """Return how many floats a register of this machine holds, 8 or 16."""
    return 16 if has_wide_registers() else 8


@cache
def sparse_code(index: Index, lanes: int, *, cpu: str | None = None, attributes: str | None = None) -> MachineCode:
    """Return the kernels for one kind of index, compiled at first use and cached on disk."""
    text = conv_text(lanes) if index == "places32" else linear_text(index, lanes)
    return load_machine_code(text, f"sparse_{index}_l{lanes}", cpu=cpu, attributes=attributes)


def sparse_function(code: MachineCode, name: str) -> Callable[..., None]:
    """Return a kernel as a function of numbers and addresses; the interpreter's lock is not held while it runs."""
    made: Any = ctypes.CFUNCTYPE(None, *_SIGNATURES[name])(code.function(name))
    made.code = code  # stays loaded as long as the function may be called
    return made  # type: ignore[no-any-return]


def plans(parts: Mapping[str, int], ranges: NDArray[np.int64], inputs: int) -> NDArray[np.int64]:
    """Return a plan a range of rows, (ranges, len(PLAN)) int64.

    Args:
        parts: addresses of the arrays, by their names in `PLAN`; they must stay where they are.
        ranges: (ranges, 4): first and last slice, first row and the row after the last.
        inputs: columns.
    """
    addresses = [parts[name] for name in PLAN[:ADDRESSES]]
    return np.array([[*addresses, *one, inputs] for one in ranges], np.int64)


def scratch_floats(inputs: int, rows: int, batch: int, lanes: int) -> int:
    """Return how many floats a call needs beside its inputs and outputs: a tile of both, and a row to spare."""
    if batch == 1:
        return rows + 1
    width = max(w for w in sparse_text.WIDTHS if w == 1 or 4 * batch >= 3 * w * lanes)
    return (inputs + rows + 1) * width * lanes


def scratch(floats: int) -> int:
    """Return the address of so many floats that belong to this thread; they hold until its next call."""
    held = getattr(_own, "floats", None)
    if held is None or held.size < floats + 16:
        held = _own.floats = np.empty(floats + 16, np.float32)
        _own.address = held.ctypes.data + -held.ctypes.data % 64
    return int(_own.address)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sparse")


# Threads do not live on in a child of this process: it makes its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run_in_threads(calls: Sequence[Callable[[], None]], threads: int) -> None:
    """Make calls, all but the first in threads that wait for work; an error of any of them is raised."""
    waiting: list[Future[Any]] = [_pool(threads - 1).submit(one) for one in calls[1:]]
    try:
        calls[0]()
    finally:
        for one in waiting:
            one.result()
