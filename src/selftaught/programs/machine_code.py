"""Compile LLVM IR to machine code of this processor, once, and keep it on disk.

An object file lies under the user's cache directory. Its name holds a hash of the very text that was compiled, of how
it is compiled, of the LLVM version and of the processor, so a changed emission can never meet stale code.
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

__all__ = ["MachineCode", "cache_directory", "has_wide_registers", "load_machine_code"]


@dataclass(frozen=True, eq=False)
class MachineCode:
    """Loaded machine code; its addresses hold as long as this object lives.

    Args:
        engine: keeps the code in memory.
    """

    engine: llvm.ExecutionEngine

    def function(self, name: str) -> int:
        """Return the address of a function."""
        return int(self.engine.get_function_address(name))

    def table(self, name: str, count: int) -> NDArray[np.int64]:
        """Return a copy of a constant table of addresses, (count,)."""
        address = self.engine.get_global_value_address(name)
        found = np.ctypeslib.as_array((ctypes.c_int64 * count).from_address(address)).copy()
        found.setflags(write=False)
        return found


def cache_directory() -> Path:
    """Return where compiled kernels live: $SELFTAUGHT_CACHE or the user's cache directory."""
    chosen = os.environ.get("SELFTAUGHT_CACHE")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("selftaught", appauthor=False))


@cache
def has_wide_registers() -> bool:
    """Say whether this machine computes on 512 bits at once."""
    return bool(llvm.get_host_cpu_features().get("avx512f"))


def load_machine_code(
    text: str, stem: str, *, cpu: str | None = None, attributes: str | None = None, note: str = ""
) -> MachineCode:
    """Return the machine code of an LLVM module, compiled at first use and cached on disk.

    Args:
        text: the module as LLVM IR.
        stem: how the cached file's name begins.
        cpu: LLVM name of another processor (a narrower instruction set, say); None is this one.
        attributes: LLVM feature string that goes with `cpu`.
        note: a line for standard error, printed before a compilation; none by default.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    processor = _target(cpu, attributes)
    machine = _target_machine(*processor)
    recipe = Path(__file__).read_text(encoding="utf-8")  # passes and options are part of what was compiled
    identity = "\n".join([llvmlite.__version__, machine.triple, *processor, recipe, text])
    key = hashlib.sha256(identity.encode()).hexdigest()[:20]
    path = cache_directory() / "kernels" / f"{stem}_{key}.o"
    code = _read(path)
    if code is None:
        if note:
            sys.stderr.write(f"{note}\n")
        code = _compile(text, machine)
        _write(path, code)
    # LLVM's own memory manager maps each section where it finds room. In a process that holds gigabytes, two of them
    # may lie further apart than the 32 bits by which code finds its constants, and LLVM aborts. This one keeps them
    # together.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=True)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return MachineCode(engine)


def _target(cpu: str | None, attributes: str | None) -> tuple[str, str]:
    """Return LLVM's name of the processor and its features; None is this machine's."""
    if attributes is None:
        attributes = llvm.get_host_cpu_features().flatten() if cpu is None else ""
    return cpu or llvm.get_host_cpu_name(), attributes


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
