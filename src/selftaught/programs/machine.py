"""How a program runs: one LLVM function an operator, chained by tail calls.

A program is an array of 32-byte records (address of the function, byte offsets of out, in1, in2,
three constants). Each function does its work for all lanes and jumps straight to the function of
the next record (`musttail`), so there is no dispatch loop and the state of the machine stays in
registers:

    ip     the record at hand             mem    the block's memory, header first
    x      features of the example        order  the list of example offsets still to come
    acc    the scalar written last        (a vector of lanes: it spares a round trip through memory)

`bits` of a function says which scalar inputs come from `acc` (1: in1, 2: in2). A vector input
whose offset is odd is read from the example (x), not from memory, so features are never copied.
Two instructions that follow each other (`fusion`) may run as one function without storing what only
the second one reads. Fusing never changes a bit of the result: no contraction across instructions.
"""

from __future__ import annotations

from collections.abc import Callable

from selftaught.programs import elementary
from selftaught.programs.llvm_text import Function
from selftaught.programs.operators import Operator

__all__ = [
    "ARGUMENTS",
    "BINARY",
    "RECORD_BYTES",
    "UNARY",
    "Carried",
    "Header",
    "OperatorFunction",
    "element_of",
    "elements",
]

RECORD_BYTES = 32
ARGUMENTS = "ptr %ip, ptr %mem, ptr %x, ptr %order, {v} %acc"
Carried = list[str]
Element = Callable[[int | str], str]


class Header:
    """Byte offsets of the fields in front of a block's memory; vectors of lanes start at 64."""

    def __init__(self, lanes: int) -> None:
        self.data = 0  # address of the examples' first record
        self.predict = 8  # address of Predict's first record
        self.stopped_at = 16  # value of `order` when the pass ended
        self.max_error = 24  # bits of max_abs_error, int32
        self.num_classes = 28  # int32
        row = 4 * lanes
        start = max(64, row)
        self.alive = start  # int32 a lane: -1 while the lane lives
        self.loss = start + row
        self.hash1 = start + 2 * row
        self.hash2 = start + 3 * row
        self.rng = start + 4 * row
        self.size = start + 5 * row + (-(start + 5 * row)) % 64


class OperatorFunction(Function):
    """One operator's function: operand access, loops over elements and the jump to the next record."""

    def __init__(self, name: str, features: int, lanes: int, bits: int = 0) -> None:
        super().__init__(name, ARGUMENTS.format(v=f"<{lanes} x float>"), lanes)
        self.features = features
        self.special = bits
        self.acc = "%acc"

    # ---- operands
    def offset(self, which: int, record: int = 0) -> str:
        """Return the byte offset of out (0), in1 (1) or in2 (2) of a record, as i64."""
        field = self.load(self.at("%ip", record * RECORD_BYTES + 8 + 4 * which), "i32")
        return self.new(f"sext i32 {field} to i64")

    def scalar(self, which: int, record: int = 0) -> str:
        """Return a scalar input: the last one written, or from memory."""
        if record == 0 and self.special & which:
            return "%acc"
        return self.load(self.at("%mem", self.offset(which, record)))

    def base(self, which: int, kind: str, record: int = 0) -> str:
        """Return the address of a vector's or matrix's first element."""
        offset = self.offset(which, record)
        if kind == "m" or which == 0:
            return self.at("%mem", offset)
        from_example = self.new(f"trunc i64 {offset} to i1")
        chosen = self.new(f"select i1 {from_example}, ptr %x, ptr %mem")
        return self.at(chosen, self.new(f"and i64 {offset}, -2"))

    def constant(self, index: int) -> str:
        value = self.load(self.at("%ip", 20 + 4 * index), "float")
        return self.broadcast(value)

    # ---- control
    def finish(self, acc: str | None = None, records: int = 1) -> None:
        """Jump to the function of the next record."""
        self.jump(self.at("%ip", records * RECORD_BYTES), "%x", "%order", acc or "%acc")

    def jump(self, ip: str, x: str, order: str, acc: str) -> None:
        target = self.load(ip, "ptr")
        self.line(f"musttail call void {target}(ptr {ip}, ptr %mem, ptr {x}, ptr {order}, {self.float} {acc})")
        self.line("ret void")

    # ---- loops
    def loop(
        self,
        count: int,
        strides: tuple[int, ...],
        carried: Carried,
        body: Callable[[list[int | str], int, Carried], Carried],
        *,
        limit: int = 16,
    ) -> Carried:
        """Run `body(offsets, index mod 4, carried)` for every index; unrolled when short.

        `offsets` are index * stride for each stride; `carried` are vectors handed on.
        """
        if count <= max(limit, 3):  # the loop below runs at least one round of four
            for place in range(count):
                carried = body([place * stride for stride in strides], place % 4, carried)
            return carried
        whole = count - count % 4
        head, done, before = self.label("loop"), self.label("done"), self.block
        self.line(f"br label %{head}")
        self.start(head)
        phi_at = len(self._lines)
        index = self.new("phi i64")
        inside = [self.new(f"phi {self.float}") for _ in carried]
        values = inside
        for step in range(4):
            position = self.new(f"add i64 {index}, {step}") if step else index
            offsets: list[int | str] = [self.new(f"mul i64 {position}, {stride}") for stride in strides]
            values = body(offsets, step, values)
        following = self.new(f"add i64 {index}, 4")
        again = self.new(f"icmp ult i64 {following}, {whole}")
        last = self.block
        self.line(f"br i1 {again}, label %{head}, label %{done}")
        self._lines[phi_at] += f" [ 0, %{before} ], [ {following}, %{last} ]"
        for number, (first, value) in enumerate(zip(carried, values, strict=True)):
            self._lines[phi_at + 1 + number] += f" [ {first}, %{before} ], [ {value}, %{last} ]"
        self.start(done)
        for rest in range(whole, count):
            values = body([rest * stride for stride in strides], rest % 4, values)
        return values

    def sum_of(self, count: int, strides: tuple[int, ...], term: Callable[[list[int | str], str], str]) -> str:
        """Sum terms in four partial sums: term i goes to sum i mod 4; (p0+p1) + (p2+p3).

        `term(offsets, partial)` returns the partial sum with its term added.
        """

        def body(offsets: list[int | str], position: int, sums: Carried) -> Carried:
            return [*sums[:position], term(offsets, sums[position]), *sums[position + 1 :]]

        zero = self.splat(0.0)
        p = self.loop(count, strides, [zero] * 4, body)
        return self.add(self.add(p[0], p[1]), self.add(p[2], p[3]))

    # ---- random numbers
    def draw(self, state: str) -> tuple[str, str]:
        """Advance the lanes' xorshift32 states; return (state, its upper 24 bits as float)."""
        state = self.int_op("xor", state, self.int_op("shl", state, self.splat_int(13)))
        state = self.int_op("xor", state, self.int_op("lshr", state, self.splat_int(17)))
        state = self.int_op("xor", state, self.int_op("shl", state, self.splat_int(5)))
        upper = self.int_op("lshr", state, self.splat_int(8))
        return state, self.new(f"sitofp {self.int} {upper} to {self.float}")

    def random_state(self) -> tuple[str, str]:
        address = self.at("%mem", Header(self.lanes).rng)
        return address, self.load(address, self.int)


def _step(f: Function, x: str) -> str:
    return f.select(f.compare("ogt", x, f.splat(0.0)), f.splat(1.0), f.splat(0.0))


def _minimum(f: Function, a: str, b: str) -> str:
    return f.select(f.compare("olt", b, a), b, a)


def _maximum(f: Function, a: str, b: str) -> str:
    return f.select(f.compare("ogt", b, a), b, a)


BINARY: dict[str, Callable[[Function, str, str], str]] = {
    "add": Function.add, "subtract": Function.sub, "multiply": Function.mul, "divide": Function.div,
    "min": _minimum, "max": _maximum,
}  # fmt: skip
UNARY: dict[str, Callable[[Function, str], str]] = {
    "abs": Function.magnitude,
    "step": _step,
    "reciprocal": lambda f, x: f.div(f.splat(1.0), x),
    **elementary.UNARY,
}


def element_of(
    f: OperatorFunction, op: Operator, record: int = 0, link: tuple[int, str] | None = None
) -> Element | None:
    """Return `offset -> value` of an operator that works element by element, or None.

    `link = (which, name of a callable's current value)` replaces one input by a value in a register.
    """
    kind, _, verb = op.name.partition("_")
    if kind not in ("vector", "matrix"):
        return None

    def operand(which: int) -> Element:
        if link is not None and link[0] == which:
            return lambda offset: link[1]
        address = f.base(which, kind[0], record)
        return lambda offset: f.load(f.at(address, offset))

    if verb in BINARY:
        first, second = operand(1), operand(2)
        return lambda offset: BINARY[verb](f, first(offset), second(offset))
    if verb in UNARY:
        only = operand(1)
        return lambda offset: UNARY[verb](f, only(offset))
    if verb == "scale":
        factor, second = f.scalar(1, record), operand(2)
        return lambda offset: f.mul(factor, second(offset))
    if verb == "fill":
        value = f.scalar(1, record)
        return lambda offset: value
    return None


def elements(kind: str, features: int) -> int:
    """Return the number of elements of a vector or matrix."""
    return features if kind == "v" else features * features
