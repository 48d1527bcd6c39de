"""Run single records of the lane kernel by hand, beside the reference interpreter.

A machine has a few slots of every type in one block of memory; the same numbers fill a `LaneMemory`. Slot v0
is the example, which the kernel reads through odd offsets.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.kernel import CONTROL_ID, Kernel
from selftaught.programs.meanings import Streams, index_of
from selftaught.programs.operators import BY_NAME, OPERATORS
from selftaught.programs.program import Instruction
from selftaught.programs.reference import LaneMemory, execute
from selftaught.programs.tasksets import aligned

RECORD = np.dtype([("address", "i8"), ("out", "i4"), ("in1", "i4"), ("in2", "i4"), ("constants", "f4", 3)])
ENTER = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
SPECIAL = np.array(
    [0, -0.0, 1, -1, 2, -2, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38, 0.5, -0.5, 1e-20, -1e-20], np.float32
)
COPY_ACC = 4 * BY_NAME["scalar_max"].id + 3  # max of the scalar written last and itself: stores it


@dataclass(frozen=True)
class Record:
    """One record: a place in the kernel's table, byte offsets, constants."""

    place: int
    out: int = 0
    in1: int = 0
    in2: int = 0
    constants: Sequence[float] = ()


class Machine:
    """Memory with `counts` scalars, vectors and matrices, and one example, for one kernel."""

    def __init__(self, kernel: Kernel, counts: tuple[int, int, int] = (6, 4, 3)) -> None:
        self.kernel = kernel
        features, lanes = kernel.features, kernel.lanes
        self.shapes = {
            "s": (counts[0], lanes),
            "v": (counts[1], features, lanes),
            "m": (counts[2], features, features, lanes),
        }
        self.starts: dict[str, int] = {}
        end = kernel.header.size
        for kind, shape in self.shapes.items():
            self.starts[kind] = end
            end += 4 * int(np.prod(shape))
        self.memory = aligned((end // 4,))
        self.example = aligned((2 * features, lanes))
        self.enter = ENTER(kernel.enter)

    def all(self, kind: str) -> NDArray[np.float32]:
        """Every slot of a kind, writable; v0 of these is not the example's."""
        start, shape = self.starts[kind] // 4, self.shapes[kind]
        view: NDArray[np.float32] = self.memory[start : start + int(np.prod(shape))].reshape(shape)
        return view

    @property
    def states(self) -> NDArray[np.uint32]:
        """The lanes' random states, writable."""
        start = self.kernel.header.rng // 4
        view: NDArray[np.uint32] = self.memory[start : start + self.kernel.lanes].view(np.uint32)
        return view

    def offset(self, kind: str, slot: int, *, reading: bool = False) -> int:
        """Byte offset of a slot; v0 is read from the example."""
        if kind == "v" and slot == 0 and reading:
            return 1
        return self.starts[kind] + slot * 4 * int(np.prod(self.shapes[kind][1:]))

    def record(self, instruction: Instruction, bits: int = 0) -> Record:
        """The record of an instruction; scalars that `bits` takes from the last one point at the wrong slot."""
        op = OPERATORS[instruction.op]
        out = self.offset(op.out, instruction.out) if op.out else 0
        inputs = []
        for which, (kind, slot) in enumerate(((op.in1, instruction.in1), (op.in2, instruction.in2)), start=1):
            wrong = bits & which
            inputs.append(self.offset("s", 0) if wrong else self.offset(kind, slot, reading=True) if kind else 0)
        constants = instruction.constants
        if "index" in op.draw:
            features = self.kernel.features
            element = 0
            for fraction in constants[:-1]:
                element = element * features + index_of(fraction, features)
            out += element * 4 * self.kernel.lanes
            constants = constants[-1:]
        return Record(4 * op.id + bits, out, *inputs, constants)

    def run(self, records: Sequence[Record]) -> None:
        """Run records, then stop."""
        table = self.kernel.table
        program = aligned((len(records) + 1,), RECORD)
        for row, record in zip(program, [*records, Record(CONTROL_ID["stop"])], strict=True):
            row["address"] = table[record.place]
            row["out"], row["in1"], row["in2"] = record.out, record.in1, record.in2
            row["constants"][: len(record.constants)] = record.constants
        self.run_array(program)

    def run_array(self, program: NDArray[Any]) -> None:
        order = np.array([0, -1], np.int64)
        self.enter(program.ctypes.data, self.memory.ctypes.data, self.example.ctypes.data, order.ctypes.data)
        stopped = self.memory.view(np.int64)[self.kernel.header.stopped_at // 8]
        assert stopped == order.ctypes.data, "the chain of records did not end at `stop`"

    def fill(self, rng: np.random.Generator, *, special: float = 0.0, spread: float = 1.0) -> None:
        """Fill memory, example and random states; this share of the elements gets special values."""
        body = self.memory[self.kernel.header.size // 4 :]
        for part in (body, self.example.reshape(-1)):
            part[:] = rng.normal(size=part.size) * np.exp(rng.normal(size=part.size) * (spread - 1.0))
            chosen = rng.random(part.size) < special
            part[chosen] = rng.choice(SPECIAL, chosen.sum())
        self.states[:] = rng.integers(1, 2**32, self.kernel.lanes, dtype=np.uint32)

    def as_reference(self, precision: Any = "float32") -> tuple[LaneMemory, Streams]:
        """The same memory for the reference, v0 being the example."""
        vectors = self.all("v").astype(precision)
        vectors[0] = self.example[: self.kernel.features]
        memory = LaneMemory(self.all("s").astype(precision), vectors, self.all("m").astype(precision))
        return memory, Streams(self.states.copy())

    def snapshot(self) -> NDArray[np.float32]:
        """Every slot of memory."""
        return self.memory[self.kernel.header.size // 4 :]


def reference_of(machine: Machine, instruction: Instruction, precision: Any) -> tuple[LaneMemory, Streams]:
    """What the reference makes of the machine's memory."""
    memory, streams = machine.as_reference(precision)
    execute([instruction], memory, streams)
    return memory, streams


def ulps(got: NDArray[np.float32], wanted: NDArray[Any], scale: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Distance in units in the last place of float32 at `scale` (default: what is wanted); inf where classes differ.

    `wanted` may be float64: what float32 cannot hold counts as infinite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.asarray(wanted).astype(np.float32)
        size = np.abs(rounded if scale is None else np.maximum(np.abs(scale), np.abs(rounded)).astype(np.float32))
        unit = np.spacing(np.minimum(np.nan_to_num(size), np.float32(3e38))).astype(np.float64)
        distance = np.abs(got.astype(np.float64) - np.asarray(wanted, np.float64)) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    result = np.where(same & ~np.isfinite(got), 0.0, distance)
    return np.where(np.isnan(result), np.inf, result)


def same_bits(got: NDArray[np.float32], wanted: NDArray[np.float32]) -> bool:
    """Whether two arrays are equal bit for bit, any nan being like another."""
    either = np.isnan(got) & np.isnan(wanted)
    return bool(((got.view(np.int32) == wanted.view(np.int32)) | either).all())
