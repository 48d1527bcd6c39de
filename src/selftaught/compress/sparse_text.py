"""What the sparse kernels have in common, in LLVM IR: products of sliced rows with tiles of activations.

Weights lie in slices of L rows of nearly equal length (SELL-C-sigma of Kreutzer et al., SIAM J. Sci. Comput. 36, 2014,
arXiv 1307.6209, with C = L): entry k of row c of a slice is at `start + k * L + c`. So one vector holds the k-th
weights of L rows, and rows that are worked on together end together. A slice holds the columns of one block, so that
what it reads of the activations stays in the first-level cache, and adds to the outputs of its rows.

`tile<V>` multiplies V * L vectors of activations at once: a weight is broadcast and meets V vectors; as many rows go
side by side as keep the accumulators in registers. `sparse_linear_text` and `sparse_conv_text` build on it.

All functions work on a plan, an array of 64-bit numbers (`PLAN`), and hold no state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from selftaught.programs.llvm_text import Function

__all__ = [
    "ADDRESSES", "PLAN", "WIDTHS", "Index", "Plan", "SparseFunction", "Values", "bounds", "emit_copy", "emit_fill",
    "emit_tile", "index_at", "row_of", "tiles",
]  # fmt: skip

#: Vectors of the batch that a tile may hold. With eight, the activations leave the first-level cache: slower.
WIDTHS = (1, 2, 4)
#: "columns16", "columns32": numbers of columns; "places32": where an activation lies, counted in floats.
Index = Literal["columns16", "columns32", "places32"]

#: A layer, or a range of its rows: addresses first; then slices `first` to `last`, rows `begin` to `end`, and columns.
PLAN = (
    "starts", "rows", "columns", "weights", "bias", "spare", "first", "last", "begin", "end", "inputs",
)  # fmt: skip
ADDRESSES = PLAN.index("first")

Values = list[str]


class SparseFunction(Function):
    """A function with loops whose ends are known at run time."""

    def loop(
        self,
        begin: str | int,
        end: str | int,
        step: int,
        carried: Values,
        body: Callable[[str, Values], Values],
    ) -> Values:
        """Run `body(index, carried)` while index < end; `carried` are vectors handed on."""
        head, inside, done, before = *(self.label(stem) for stem in ("head", "inside", "done")), self.block
        self.line(f"br label %{head}")
        self.start(head)
        first = len(self._lines)
        index = self.new("phi i64")
        held = [self.new(f"phi {self.float}") for _ in carried]
        self.line(f"br i1 {self.new(f'icmp slt i64 {index}, {end}')}, label %{inside}, label %{done}")
        self.start(inside)
        values = body(index, held)
        following = self.new(f"add i64 {index}, {step}")
        self.line(f"br label %{head}")
        self._lines[first] += f" [ {begin}, %{before} ], [ {following}, %{self.block} ]"
        for number, (start, value) in enumerate(zip(carried, values, strict=True)):
            self._lines[first + 1 + number] += f" [ {start}, %{before} ], [ {value}, %{self.block} ]"
        self.start(done)
        return held

    def times(self, value: str | int, factor: str | int) -> str:
        return self.new(f"mul i64 {value}, {factor}")

    def plus(self, value: str | int, other: str | int) -> str:
        return self.new(f"add i64 {value}, {other}")

    def vector_at(self, address: str) -> str:
        """Load a vector from any float's address."""
        return self.new(f"load {self.float}, ptr {address}, align 4")

    def put_vector(self, value: str, address: str) -> None:
        """Store a vector at any float's address."""
        self.line(f"store {self.float} {value}, ptr {address}, align 4")

    def transposed(self, rows: Values) -> Values:
        """Transpose L vectors of L lanes by interleaving pairs, log2(L) times."""
        half = self.lanes // 2
        low = [place for k in range(half) for place in (k, k + self.lanes)]
        masks = [
            f"<{self.lanes} x i32> <{', '.join(f'i32 {place + shift}' for place in low)}>" for shift in (0, half)
        ]
        distance = half
        while distance >= 1:
            # A perfect shuffle of the places: row r and row r + L / 2 become rows 2 r and 2 r + 1.
            rows = [
                self.new(f"shufflevector {self.float} {rows[r]}, {self.float} {rows[r + half]}, {mask}")
                for r in range(half)
                for mask in masks
            ]
            distance //= 2
        return rows


def index_at(f: SparseFunction, index: Index, columns: str, place: str) -> str:
    """Return the index that an entry holds, as i64."""
    kind, size = ("i16", 2) if index == "columns16" else ("i32", 4)
    raw = f.load(f.at(columns, f.times(place, size)), kind)
    return f.new(f"zext {kind} {raw} to i64")


class Plan:
    """Where the parts of a layer are: names of the values that a function reads from its plan."""

    def __init__(self, f: SparseFunction) -> None:
        for place, name in enumerate(PLAN):
            kind = "ptr" if place < ADDRESSES else "i64"
            setattr(self, name, f.load(f.at("%plan", 8 * place), kind))

    if TYPE_CHECKING:
        starts: str
        rows: str
        columns: str
        weights: str
        bias: str
        spare: str
        first: str
        last: str
        begin: str
        end: str
        inputs: str


def bounds(f: SparseFunction, plan: Plan, number: str) -> tuple[str, str]:
    """Return the first entry of a slice and the one after its last."""
    address = f.at(plan.starts, f.times(number, 8))
    return f.load(address, "i64"), f.load(f.at(address, 8), "i64")


def row_of(f: SparseFunction, plan: Plan, number: str, lane: int) -> str:
    """Return the row that a lane of a slice works on, counted from the plan's first."""
    raw = f.load(f.at(plan.rows, f.times(f.plus(f.times(number, f.lanes), lane), 4)), "i32")
    return f.new(f"sub i64 {f.new(f'zext i32 {raw} to i64')}, {plan.begin}")


def emit_tile(index: Index, lanes: int, width: int, registers: int) -> str:
    """Add to y (rows, V * L) the products with x (columns, V * L)."""
    side = max(1, min(lanes, registers // width))
    f = SparseFunction(f"tile{width}", "ptr %plan, ptr %x, ptr %y, i64 %stride", lanes)
    plan = Plan(f)
    row_bytes = 4 * lanes * width

    def one_slice(number: str, none: Values) -> Values:
        begin, end = bounds(f, plan, number)
        for top in range(0, lanes, side):

            def entry(place: str, sums: Values, top: int = top) -> Values:
                found = list(sums)
                for r in range(side):
                    own = f.plus(place, top + r)
                    at = index_at(f, index, plan.columns, own)
                    weight = f.broadcast(f.load(f.at(plan.weights, f.times(own, 4)), "float"))
                    x = f.at("%x", f.times(at, 4 if index == "places32" else row_bytes))
                    for v in range(width):
                        term = f.vector_at(f.at(x, 4 * lanes * v))
                        found[r * width + v] = f.fused(weight, term, found[r * width + v])
                return found

            outs = [f.at("%y", f.times(row_of(f, plan, number, top + r), "%stride")) for r in range(side)]
            targets = [f.at(out, 4 * lanes * v) for out in outs for v in range(width)]
            sums = f.loop(begin, end, lanes, [f.vector_at(one) for one in targets], entry)
            for value, target in zip(sums, targets, strict=True):
                f.put_vector(value, target)
        return none

    f.loop(plan.first, plan.last, 1, [], one_slice)
    f.line("ret void")
    return f.text()


def emit_fill(lanes: int, width: int) -> str:
    """Set y (rows, V * L) to the bias of each row."""
    f = SparseFunction(f"fill{width}", "ptr %plan, ptr %y, i64 %stride", lanes)
    plan = Plan(f)

    def row(number: str, none: Values) -> Values:
        bias = f.broadcast(f.load(f.at(plan.bias, f.times(number, 4)), "float"))
        out = f.at("%y", f.times(f.new(f"sub i64 {number}, {plan.begin}"), "%stride"))
        for v in range(width):
            f.put_vector(bias, f.at(out, 4 * lanes * v))
        return none

    f.loop(plan.begin, plan.end, 1, [], row)
    f.line("ret void")
    return f.text()


def emit_copy(lanes: int) -> str:
    """Copy some floats; a call of the library's function would have to be found by the loader."""
    f = SparseFunction("copy", "ptr %target, ptr %source, i64 %bytes", lanes)
    count = f.new("lshr i64 %bytes, 2")
    whole = f.new(f"and i64 {count}, {-lanes}")

    def block(place: str, none: Values) -> Values:
        offset = f.times(place, 4)
        f.put_vector(f.vector_at(f.at("%source", offset)), f.at("%target", offset))
        return none

    def one(place: str, none: Values) -> Values:
        offset = f.times(place, 4)
        f.store(f.load(f.at("%source", offset), "float"), f.at("%target", offset), "float")
        return none

    f.loop(0, whole, lanes, [], block)
    f.loop(whole, count, 1, [], one)
    f.line("ret void")
    return f.text()


def tiles(index: Index, lanes: int) -> list[str]:
    """Return the functions that linear layers and convolutions share."""
    registers = 8 if lanes <= 8 else 16  # accumulators, of 16 registers or of 32
    parts = [emit_copy(lanes)]
    for width in WIDTHS:
        parts += [emit_tile(index, lanes, width, registers), emit_fill(lanes, width)]
    return parts
