"""Compile the engine's loops with Numba, cached so that no stale code can ever run.

Numba's cache watches one file only: a function compiled from `a.py` that calls into `b.py` does not notice
a change in `b.py`. So the cache folder's name holds a hash of every source file of this package.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.ir as ir
import numba
from numba import types
from numba.core import config
from numba.extending import intrinsic

__all__ = ["call_enter", "compiled"]

F = TypeVar("F", bound=Callable[..., Any])


@cache
def _engine_cache() -> str | None:
    """Return the folder for this version of the engine, or None where it cannot be written."""
    from selftaught.programs.kernel import cache_directory

    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    folder = cache_directory() / f"engine-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
    except OSError as error:
        warnings.warn(f"{folder} cannot be written ({error}); the engine is compiled each time", stacklevel=2)
        return None
    return str(folder)


def compiled(function: F) -> F:
    """Compile a function with Numba: no GIL, IEEE semantics (division by zero gives inf), cached on disk."""
    folder = _engine_cache()
    if folder is None:
        return numba.njit(nogil=True, error_model="numpy")(function)  # type: ignore[no-any-return]
    before = config.CACHE_DIR
    config.CACHE_DIR = folder
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)  # type: ignore[no-any-return]
    finally:
        config.CACHE_DIR = before


@intrinsic
def call_enter(typingctx: Any, enter: Any, ip: Any, mem: Any, x: Any, order: Any) -> Any:
    """Call the kernel's way in; all five arguments are addresses (int64)."""
    signature = types.void(types.int64, types.int64, types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 4)
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        builder.call(function, [builder.inttoptr(value, pointer) for value in arguments[1:]])
        return context.get_dummy_value()

    return signature, generate
