"""Compile the lane kernel for a feature count and a lane count, once, and keep it on disk.

The kernel is one LLVM module: a function an operator and variant (`emission`), the control functions
(`control`) and a table of their addresses. A few seconds of compilation give an object file of some
hundred kilobytes, cached under the user's cache directory. Its name holds a hash of the very text that
was compiled, of the LLVM version and of the processor, so a changed emission can never meet a stale kernel.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from selftaught.programs.control import CONTROL, emit_control, emit_enter
from selftaught.programs.emission import emit_operator
from selftaught.programs.fusion import FUSED, emit_fused
from selftaught.programs.machine import Header
from selftaught.programs.operators import OPERATORS, Operator

__all__ = [
    "CONTROL_BASE", "CONTROL_ID", "FUSED_BASE", "FUSED_ID", "Kernel", "cache_directory", "has_wide_registers",
    "load_kernel",
]  # fmt: skip

#: Places in the kernel's table: 4 variants an operator, then 4 a fused pair, then the control functions.
FUSED_BASE = 4 * len(OPERATORS)
CONTROL_BASE = FUSED_BASE + 4 * len(FUSED)
CONTROL_ID = {name: CONTROL_BASE + number for number, name in enumerate(CONTROL)}


def _fused_ids() -> NDArray[np.int16]:
    table = np.full((len(OPERATORS), len(OPERATORS), 3), -1, np.int16)
    for number, (first, second, link) in enumerate(FUSED):
        table[first, second, link] = number
    return table


#: [first, second, link] -> number of the fused pair, or -1.
FUSED_ID = _fused_ids()


@dataclass(frozen=True, eq=False)
class Kernel:
    """A loaded kernel.

    Args:
        features: F, the length of a vector.
        lanes: L, the tasks run at once.
        table: (n,) int64 addresses: 4 * operator + variant, then `FUSED_BASE`, then `CONTROL_BASE`.
        enter: address of the way in, `enter(ip, mem, x, order)`.
        header: byte offsets of the fields in front of a block's memory.
        engine: keeps the machine code alive.
    """

    features: int
    lanes: int
    table: NDArray[np.int64]
    enter: int
    header: Header
    engine: object


def cache_directory() -> Path:
    """Return where compiled kernels live: $SELFTAUGHT_CACHE or the user's cache directory."""
    chosen = os.environ.get("SELFTAUGHT_CACHE")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("selftaught", appauthor=False))


def _variants(op: Operator) -> tuple[int, ...]:
    """Return the `bits` that differ for this operator: which scalar inputs may come from `acc`."""
    first = (0, 1) if op.in1 == "s" else (0,)
    second = (0, 2) if op.in2 == "s" else (0,)
    return tuple(a | b for b in second for a in first)


def module_text(features: int, lanes: int) -> str:
    """Return the whole kernel as LLVM IR, its table of addresses included."""
    names: list[str] = []
    parts: list[str] = []
    for op in OPERATORS:
        kinds = _variants(op)
        parts += [emit_operator(op, bits, features, lanes) for bits in kinds]
        names += [f"op{op.id}_{bits & max(kinds)}" for bits in range(4)]
    for first, second, link in FUSED:
        scalars = (0, 1) if OPERATORS[first].in1 == "s" else (0,)
        for keep in (False, True):
            parts += [emit_fused(first, second, link, bits, keep, features, lanes) for bits in scalars]
            names += [f"fused{first}_{second}_{link}_{bits & max(scalars)}_{int(keep)}" for bits in (0, 1)]
    for name in CONTROL:
        parts.append(emit_control(name, features, lanes))
        names.append(name)
    parts.append(emit_enter(lanes))
    table = ", ".join(f"ptr @{name}" for name in names)
    parts.append(f"@table = constant [{len(names)} x ptr] [{table}]")
    parts.append(f"declare <{lanes} x float> @llvm.sqrt.v{lanes}f32(<{lanes} x float>)")
    return "\n\n".join(parts)


def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _target(cpu: str | None, attributes: str | None) -> tuple[str, str]:
    """Return LLVM's name of the processor and its features; None is this machine's."""
    if attributes is None:
        attributes = llvm.get_host_cpu_features().flatten() if cpu is None else ""
    return cpu or llvm.get_host_cpu_name(), attributes


@cache
def has_wide_registers() -> bool:
    """Say whether this machine computes on 512 bits at once."""
    return bool(llvm.get_host_cpu_features().get("avx512f"))


def _target_machine(cpu: str, attributes: str) -> llvm.TargetMachine:
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=cpu, features=attributes, opt=3, reloc="pic", codemodel="small")


def _compile(text: str, machine: llvm.TargetMachine) -> bytes:
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    options = llvm.create_pipeline_tuning_options(speed_level=1)
    options.loop_unrolling = False
    options.loop_vectorization = False
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_function_pass_manager()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    for function in module.functions:
        if not function.is_declaration:
            passes.run(function, builder)
    return bytes(machine.emit_object(module))


def _read(path: Path) -> bytes | None:
    """Return a cached object file whose checksum holds, or None."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) > 32 and hashlib.sha256(content[32:]).digest() == content[:32]:
        return content[32:]
    return None


def _write(path: Path, code: bytes) -> None:
    """Write under a temporary name, then rename: nobody ever sees half a kernel."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise
    except OSError as error:
        warnings.warn(f"the kernel cannot be kept in {path.parent} ({error}); it is compiled each time", stacklevel=2)


@cache
def load_kernel(
    features: int, lanes: int = 16, *, cpu: str | None = None, attributes: str | None = None, quiet: bool = True
) -> Kernel:
    """Return the kernel for F features and L lanes, compiled at first use and cached on disk.

    Args:
        features: F, 1 to 64.
        lanes: L, tasks run at once; 1 gives the scalar, one-task-at-a-time engine of the benchmarks.
        cpu: LLVM name of another processor (a narrower instruction set, say); None is this one.
        attributes: LLVM feature string that goes with `cpu`.
        quiet: False prints one line before a compilation.

    Raises:
        InputError: F or L is out of range.
    """
    from selftaught.errors import InputError

    if not 1 <= features <= 64:
        raise InputError(
            f"a program runs on 1 to 64 features, got {features}; project the inputs with features=16, say"
        )
    if lanes not in (1, 2, 4, 8, 16, 32):
        raise InputError(f"lanes must be 1, 2, 4, 8, 16 or 32, got {lanes}")
    _initialise()
    processor = _target(cpu, attributes)
    machine = _target_machine(*processor)
    text = module_text(features, lanes)
    recipe = Path(__file__).read_text(encoding="utf-8")  # passes and options are part of what was compiled
    identity = "\n".join([llvmlite.__version__, machine.triple, *processor, recipe, text])
    key = hashlib.sha256(identity.encode()).hexdigest()[:20]
    path = cache_directory() / "kernels" / f"lanes_f{features}_l{lanes}_{key}.o"
    code = _read(path)
    if code is None:
        if not quiet:
            sys.stderr.write(f"compiling the kernel for F={features}, L={lanes}, a few seconds, once\n")
        code = _compile(text, machine)
        _write(path, code)
    # LLVM's own memory manager maps each section where it finds room. In a process that holds gigabytes, two of them
    # may lie further apart than the 32 bits by which code finds its constants, and LLVM aborts. This one keeps them
    # together.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=True)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_global_value_address("table")
    count = CONTROL_BASE + len(CONTROL)
    table = np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(address)).copy()
    table.setflags(write=False)
    return Kernel(features, lanes, table, engine.get_function_address("enter"), Header(lanes), engine)
