"""Programs as plain data: three tuples of instructions, hashable, with a fixed record in arrays."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import ProgramError
from selftaught.programs.operators import OPERATORS

__all__ = ["FUNCTIONS", "MAX_SLOTS", "Instruction", "Program", "Slots"]

MAX_SLOTS = 63  # liveness keeps one 64-bit mask
FUNCTIONS = ("setup", "predict", "learn")

_LETTERS = ("s", "v", "m")


@dataclass(frozen=True, slots=True)
class Slots:
    """How many slots of each type a program may use; unpacks as (scalars, vectors, matrices).

    Raises:
        ProgramError: fewer than 2 scalars, 1 vector or 0 matrices, or more than 63 slots altogether.

    >>> Slots(4, 3, 1).scalars
    4
    """

    scalars: int
    vectors: int
    matrices: int

    def __post_init__(self) -> None:
        for name, least in (("scalars", 2), ("vectors", 1), ("matrices", 0)):
            value = int(getattr(self, name))
            object.__setattr__(self, name, value)
            if value < least:
                raise ProgramError(f"{name} must be at least {least}, got {value}")
        if sum(self) > MAX_SLOTS:
            raise ProgramError(
                f"scalars, vectors and matrices together are {sum(self)} slots, more than {MAX_SLOTS}; use fewer"
            )

    def __iter__(self) -> Iterator[int]:
        return iter((self.scalars, self.vectors, self.matrices))

    def __str__(self) -> str:
        words = (("scalar", "scalars"), ("vector", "vectors"), ("matrix", "matrices"))
        return ", ".join(f"{number} {word[number != 1]}" for number, word in zip(self, words, strict=True))


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: an operator's id, slot numbers inside the operands' types, constants.

    Constants are rounded to float32 (and -0 to 0); fields that the operator does not use become 0.

    Raises:
        ProgramError: an unknown operator, a slot out of range or not writable, or a constant out of range.

    >>> str(Instruction(27, out=1, in1=0, in2=1))
    's1 = dot(v0, v1)'
    """

    op: int
    out: int = 0
    in1: int = 0
    in2: int = 0
    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0

    def __post_init__(self) -> None:
        number = int(self.op)
        if not 0 <= number < len(OPERATORS):
            raise ProgramError(f"operator {self.op} does not exist; ids run from 0 to {len(OPERATORS) - 1}")
        operator = OPERATORS[number]
        object.__setattr__(self, "op", number)
        for field in ("out", "in1", "in2"):
            kind = getattr(operator, field)
            slot = int(getattr(self, field)) if kind else 0
            if not 0 <= slot < MAX_SLOTS:
                raise ProgramError(f"{operator.name}: slot {kind}{slot} does not exist; slots run from 0 to 62")
            object.__setattr__(self, field, slot)
        if operator.out in ("s", "v") and self.out == 0:
            what = "s0 holds the label" if operator.out == "s" else "v0 holds the features"
            raise ProgramError(f"{operator.name}: {what} and cannot be written")
        values: list[float] = []
        for field, kind in zip(("c0", "c1", "c2"), (*operator.draw, *("",) * 3), strict=False):
            value = _float32(float(getattr(self, field))) if kind else 0.0
            values.append(value)
            object.__setattr__(self, field, value)
            if not np.isfinite(value):
                raise ProgramError(f"{operator.name}: constant {getattr(self, field)} is not a finite float32")
            if kind == "index" and not 0 <= value < 1:
                raise ProgramError(f"{operator.name}: index fraction {value:g} is not in [0, 1)")
        if operator.draw == ("low", "high") and values[0] > values[1]:
            raise ProgramError(f"uniform({values[0]:g}, {values[1]:g}): low is above high; swap them")

    @property
    def constants(self) -> tuple[float, ...]:
        """The constants that the operator uses, 0 to 3 numbers exact in float32."""
        return (self.c0, self.c1, self.c2)[: OPERATORS[self.op].num_constants]

    def __str__(self) -> str:
        from selftaught.programs.text import format_instruction

        return format_instruction(self)


@dataclass(frozen=True, slots=True)
class Program:
    """A learning program: what to do once, to predict, and to learn from one labelled example.

    Raises:
        ProgramError: something in a function is not an `Instruction`, or more than 63 slots are used.

    >>> Program(predict=(Instruction(27, out=1, in1=0, in2=1),)).slots()
    Slots(scalars=2, vectors=2, matrices=0)
    """

    setup: tuple[Instruction, ...] = ()
    predict: tuple[Instruction, ...] = ()
    learn: tuple[Instruction, ...] = ()

    def __post_init__(self) -> None:
        for name, function in self.functions():
            object.__setattr__(self, name, tuple(function))
        for name, function in self.functions():
            for instruction in function:
                if not isinstance(instruction, Instruction):
                    raise ProgramError(f"{name} takes instructions, got {type(instruction).__name__}")
        self.slots()

    def functions(self) -> tuple[tuple[str, tuple[Instruction, ...]], ...]:
        """Return (name, instructions) of Setup, Predict and Learn, in this order."""
        return (("setup", self.setup), ("predict", self.predict), ("learn", self.learn))

    def __len__(self) -> int:
        return len(self.setup) + len(self.predict) + len(self.learn)

    def slots(self) -> Slots:
        """Return the smallest slot counts that fit: at least 2 scalars, 1 vector, 0 matrices."""
        needed = {"s": 2, "v": 1, "m": 0}
        for _, function in self.functions():
            for instruction in function:
                operator = OPERATORS[instruction.op]
                for kind, slot in (
                    (operator.out, instruction.out),
                    (operator.in1, instruction.in1),
                    (operator.in2, instruction.in2),
                ):
                    if kind:
                        needed[kind] = max(needed[kind], slot + 1)
        return Slots(needed["s"], needed["v"], needed["m"])

    def encode(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return (code, sizes): one record of four int32 an instruction, Setup, Predict, Learn in a row.

        A record's word 0 is op | out << 8 | in1 << 16 | in2 << 24; words 1 to 3 hold the bits of the float32
        constants. Shapes: code (n, 4), sizes (3,), n = sizes.sum().
        """
        every = [instruction for _, function in self.functions() for instruction in function]
        code = np.zeros((len(every), 4), dtype=np.int32)
        code[:, 0] = [i.op | i.out << 8 | i.in1 << 16 | i.in2 << 24 for i in every]
        constants = np.array([(i.c0, i.c1, i.c2) for i in every], dtype=np.float32).reshape(-1, 3)
        code[:, 1:] = constants.view(np.int32)
        return code, np.array([len(self.setup), len(self.predict), len(self.learn)], dtype=np.int64)

    @classmethod
    def decode(cls, code: NDArray[Any], sizes: NDArray[Any]) -> Program:
        """Return the program that `encode` wrote; `code` may have spare records after the last one.

        Raises:
            ProgramError: the arrays have the wrong shape, or a record is not a valid instruction.
        """
        code = np.ascontiguousarray(code, dtype=np.int32)
        ends = [int(size) for size in sizes]
        if code.ndim != 2 or code.shape[1] != 4 or len(ends) != 3 or min(ends) < 0 or sum(ends) > len(code):
            raise ProgramError(
                f"encoded programs are (n, 4) records and 3 sizes that sum to at most n, got {code.shape} and {ends}"
            )
        words = code[: sum(ends), 0].view(np.uint32).tolist()
        constants = np.ascontiguousarray(code[: sum(ends), 1:]).view(np.float32).tolist()
        every = [
            Instruction(word & 255, word >> 8 & 255, word >> 16 & 255, word >> 24, *values)
            for word, values in zip(words, constants, strict=True)
        ]
        return cls(
            tuple(every[: ends[0]]),
            tuple(every[ends[0] : ends[0] + ends[1]]),
            tuple(every[ends[0] + ends[1] :]),
        )

    def __str__(self) -> str:
        from selftaught.programs.text import format_program

        return format_program(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _float32(value: float) -> float:
    """Round to the nearest float32 and to a positive zero."""
    with np.errstate(over="ignore"):
        return float(np.float32(value)) + 0.0
