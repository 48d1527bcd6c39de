"""Compile the lane kernel for a feature count and a lane count, once, and keep it on disk.

The kernel is one LLVM module: a function an operator and variant (`emission`), the control functions
(`control`) and a table of their addresses. A few seconds of compilation give an object file of some
hundred kilobytes, cached under the user's cache directory. Its name holds a hash of the very text that
was compiled, of the LLVM version and of the processor, so a changed emission can never meet a stale kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.control import CONTROL, emit_control, emit_enter
from selftaught.programs.emission import emit_operator
from selftaught.programs.fusion import FUSED, emit_fused
from selftaught.programs.machine import Header
from selftaught.programs.machine_code import load_machine_code
from selftaught.programs.operators import OPERATORS, Operator

__all__ = ["CONTROL_BASE", "CONTROL_ID", "FUSED_BASE", "FUSED_ID", "Kernel", "load_kernel"]

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
    note = "" if quiet else f"compiling the kernel for F={features}, L={lanes}, a few seconds, once"
    text = module_text(features, lanes)
    code = load_machine_code(text, f"lanes_f{features}_l{lanes}", cpu=cpu, attributes=attributes, note=note)
    table = code.table("table", CONTROL_BASE + len(CONTROL))
    return Kernel(features, lanes, table, code.function("enter"), Header(lanes), code)
