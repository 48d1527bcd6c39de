"""Compile the engine's loops with Numba, cached so that no stale code can ever run.

Numba's cache watches one file only: a function compiled from `a.py` that calls into `b.py` does not notice
a change in `b.py`. So the cache folder's name holds a hash of every source file of this package.

`peek` and `poke` read and write memory by address. Compiled functions that take many arrays take Numba a
minute to compile; a handful of arrays and addresses take seconds.
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

from selftaught.programs.linking import engine_function

__all__ = ["call_enter", "compiled", "copy_bytes", "peek32", "peek64", "peek_float", "poke32", "poke64", "zero_bytes"]

F = TypeVar("F", bound=Callable[..., Any])
WORD, HALF, BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)


@cache
def _engine_cache() -> str | None:
    """Return the folder for this version of the engine, or None where it cannot be written."""
    from selftaught.programs.machine_code import cache_directory

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
    options = {"nogil": True, "error_model": "numpy"}
    found = engine_function(function, options)
    if folder is not None:
        before = config.CACHE_DIR
        config.CACHE_DIR = folder
        try:
            found.enable_caching()
        finally:
            config.CACHE_DIR = before
    return found  # type: ignore[no-any-return]


def _pointer(builder: Any, address: Any, kind: ir.Type) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _reader(kind: ir.Type, result: types.Type) -> Any:
    def read(typingctx: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            return builder.load(_pointer(builder, arguments[0], kind))

        return result(types.int64), generate

    return intrinsic(read)


def _writer(kind: ir.Type, taken: types.Type) -> Any:
    def write(typingctx: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            builder.store(arguments[1], _pointer(builder, arguments[0], kind))
            return context.get_dummy_value()

        return types.void(types.int64, taken), generate

    return intrinsic(write)


peek64 = _reader(WORD, types.int64)
peek32 = _reader(HALF, types.int32)
peek_float = _reader(ir.FloatType(), types.float32)
poke64 = _writer(WORD, types.int64)
poke32 = _writer(HALF, types.int32)


@intrinsic
def zero_bytes(typingctx: Any, address: Any, count: Any) -> Any:
    """Set `count` bytes at an address to zero."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        pointer = BYTE.as_pointer()
        fill = builder.module.declare_intrinsic("llvm.memset", [pointer, WORD])
        builder.call(fill, [_pointer(builder, arguments[0], BYTE), BYTE(0), arguments[1], ir.IntType(1)(0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def copy_bytes(typingctx: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` bytes between two addresses that do not overlap."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        pointer = BYTE.as_pointer()
        copy = builder.module.declare_intrinsic("llvm.memcpy", [pointer, pointer, WORD])
        target_, source_ = (_pointer(builder, value, BYTE) for value in arguments[:2])
        builder.call(copy, [target_, source_, arguments[2], ir.IntType(1)(0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def call_enter(typingctx: Any, enter: Any, ip: Any, mem: Any, x: Any, order: Any) -> Any:
    """Call the kernel's way in; all five arguments are addresses (int64)."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        pointer = BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 4)
        function = _pointer(builder, arguments[0], kind)
        builder.call(function, [_pointer(builder, value, BYTE) for value in arguments[1:]])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate
