"""Write LLVM IR for vectors of lanes: a thin, explicit builder, and elementary functions on it.

A lane is one task; every value below is a vector of `lanes` float32, so one instruction of the
text computes one scalar of a program for all tasks of a block at once.
"""

from __future__ import annotations

import struct

__all__ = ["Function", "float_bits", "float_text"]


def float_text(value: float) -> str:
    """Return an LLVM float literal that is exactly float32(value)."""
    rounded = struct.unpack("<f", struct.pack("<f", value))[0]
    return f"0x{struct.pack('>d', rounded).hex().upper()}"


def float_bits(value: float) -> int:
    """Return the bit pattern of float32(value) as an unsigned integer."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


class Function:
    """The text of one LLVM function over `lanes` lanes; every method appends and returns a name."""

    def __init__(self, name: str, arguments: str, lanes: int, returns: str = "void") -> None:
        self.lanes = lanes
        self.float = f"<{lanes} x float>"
        self.int = f"<{lanes} x i32>"
        self.bool = f"<{lanes} x i1>"
        self.bytes = 4 * lanes
        self.align = min(64, 4 * lanes)
        self._head = f"define {returns} @{name}({arguments}) nounwind {{"
        self._lines = ["entry:"]
        self._count = 0
        self.block = "entry"

    def text(self) -> str:
        """Return the finished function."""
        return "\n".join([self._head, *self._lines, "}"])

    def line(self, text: str) -> None:
        """Append an instruction without a result."""
        self._lines.append("  " + text)

    def new(self, text: str) -> str:
        """Append an instruction and return the name of its result."""
        self._count += 1
        name = f"%t{self._count}"
        self._lines.append(f"  {name} = {text}")
        return name

    def label(self, stem: str) -> str:
        """Return a fresh label."""
        self._count += 1
        return f"{stem}{self._count}"

    def start(self, label: str) -> None:
        """Begin a basic block."""
        self._lines.append(f"{label}:")
        self.block = label

    # ---- constants
    def splat(self, value: float) -> str:
        """Return the constant vector of float32(value)."""
        return "<" + ", ".join([f"float {float_text(value)}"] * self.lanes) + ">"

    def splat_int(self, value: int) -> str:
        """Return the constant vector of a 32-bit integer."""
        return "<" + ", ".join([f"i32 {value & 0xFFFFFFFF}"] * self.lanes) + ">"

    def broadcast(self, scalar: str, kind: str = "float") -> str:
        """Return a vector with a run-time scalar in every lane."""
        vector = f"<{self.lanes} x {kind}>"
        one = self.new(f"insertelement {vector} poison, {kind} {scalar}, i32 0")
        zeros = "<" + ", ".join(["i32 0"] * self.lanes) + ">"
        return self.new(f"shufflevector {vector} {one}, {vector} poison, <{self.lanes} x i32> {zeros}")

    # ---- memory
    def at(self, base: str, offset: int | str) -> str:
        """Return the address `base + offset` in bytes."""
        if offset == 0:
            return base
        return self.new(f"getelementptr i8, ptr {base}, i64 {offset}")

    def load(self, address: str, kind: str | None = None) -> str:
        """Load one vector of lanes (or a scalar of the type given)."""
        if kind is None:
            return self.new(f"load {self.float}, ptr {address}, align {self.align}")
        if kind == self.int:
            return self.new(f"load {kind}, ptr {address}, align {self.align}")
        return self.new(f"load {kind}, ptr {address}")

    def store(self, value: str, address: str, kind: str | None = None) -> None:
        """Store one vector of lanes (or a scalar of the type given)."""
        if kind is None or kind == self.int:
            self.line(f"store {kind or self.float} {value}, ptr {address}, align {self.align}")
        else:
            self.line(f"store {kind} {value}, ptr {address}")

    # ---- arithmetic (never fastmath: only `contract`, and only where a caller asks for it)
    def add(self, a: str, b: str) -> str:
        return self.new(f"fadd {self.float} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        return self.new(f"fsub {self.float} {a}, {b}")

    def mul(self, a: str, b: str) -> str:
        return self.new(f"fmul {self.float} {a}, {b}")

    def div(self, a: str, b: str) -> str:
        return self.new(f"fdiv {self.float} {a}, {b}")

    def fused(self, a: str, b: str, c: str) -> str:
        """Return a*b + c, rounded once where the machine can (flag `contract`), else twice."""
        product = self.new(f"fmul contract {self.float} {a}, {b}")
        return self.new(f"fadd contract {self.float} {product}, {c}")

    def sqrt(self, a: str) -> str:
        return self.new(f"call {self.float} @llvm.sqrt.v{self.lanes}f32({self.float} {a})")

    def select(self, condition: str, a: str, b: str) -> str:
        return self.new(f"select {self.bool} {condition}, {self.float} {a}, {self.float} {b}")

    def compare(self, predicate: str, a: str, b: str) -> str:
        return self.new(f"fcmp {predicate} {self.float} {a}, {b}")

    def bits(self, a: str) -> str:
        return self.new(f"bitcast {self.float} {a} to {self.int}")

    def from_bits(self, a: str) -> str:
        return self.new(f"bitcast {self.int} {a} to {self.float}")

    def int_op(self, operator: str, a: str, b: str) -> str:
        return self.new(f"{operator} {self.int} {a}, {b}")

    def magnitude(self, a: str) -> str:
        """Clear the sign bit (nan stays nan)."""
        return self.from_bits(self.int_op("and", self.bits(a), self.splat_int(0x7FFFFFFF)))

    def sign_of(self, a: str) -> str:
        return self.int_op("and", self.bits(a), self.splat_int(0x80000000))

    def with_sign(self, a: str, sign: str) -> str:
        """Flip the sign of `a` where the integer vector `sign` has its top bit set."""
        return self.from_bits(self.int_op("xor", self.bits(a), sign))

    def polynomial(self, x: str, coefficients: tuple[float, ...]) -> str:
        """Evaluate c0 + c1 x + c2 x^2 ... by Horner's rule."""
        value = self.splat(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            value = self.fused(value, x, self.splat(coefficient))
        return value
