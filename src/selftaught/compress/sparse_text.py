"""What the sparse kernels are in LLVM IR: products of sliced rows with vectors, and transpositions of small blocks.

Weights lie in slices of L rows of nearly equal length (SELL-C-sigma of Kreutzer et al., SIAM J. Sci. Comput. 36, 2014,
arXiv 1307.6209, with C = L): entry k of row c of a slice is at `start + k * L + c`. So one vector holds the k-th
weights of L rows, and rows that are worked on together end together. A slice holds the columns of one block, so that
what it reads of the activations stays in the first-level cache, and adds to the outputs of its rows.

- `single` multiplies one vector of activations: a vector of L weights, L activations picked by their columns.
- `tile<V>` multiplies V * L vectors of activations at once, which lie with the batch along the lanes: a weight is
  broadcast and meets V vectors; as many rows go side by side as keep the accumulators in registers.
- `pack<V>` and `unpack<V>` put a batch there and back, in L x L blocks that are transposed in registers.
- `linear` does all of that for a batch of any size.
- `planes` is a convolution: an output plane is a sum of input planes, each shifted and weighted (direct sparse
  convolution, Park et al., arXiv 1608.01409), so `tile<V>` works on V * L positions of a padded plane; the columns
  of the weights are places in the image then.

All of them work on a plan, an array of 64-bit numbers (`PLAN`), and hold no state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from selftaught.programs.llvm_text import Function

__all__ = ["ADDRESSES", "GEOMETRY", "PLAN", "WIDTHS", "Index", "module_text"]

#: Vectors of the batch that a tile may hold. With eight, the activations leave the first-level cache: slower.
WIDTHS = (1, 2, 4)
#: "columns16", "columns32": numbers of columns; "places32": where an activation lies, counted in floats.
Index = Literal["columns16", "columns32", "places32"]

#: A layer, or a range of its rows: addresses first; then slices `first` to `last`, rows `begin` to `end`, and columns.
PLAN = (
    "starts", "rows", "columns", "weights", "bias", "spare", "first", "last", "begin", "end", "inputs",
)  # fmt: skip
ADDRESSES = PLAN.index("first")

#: Sizes of a convolution; `direct` are 1 where the image needs no margin, and where the outputs need no cropping.
GEOMETRY = (
    "channels", "height", "width", "top", "left", "tall", "wide", "positions", "rows_out", "columns_out", "direct_in",
    "direct_out",
)  # fmt: skip

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


def _index(f: SparseFunction, index: Index, columns: str, place: str) -> str:
    """Return the index that an entry holds, as i64."""
    kind, size = ("i16", 2) if index == "columns16" else ("i32", 4)
    raw = f.load(f.at(columns, f.times(place, size)), kind)
    return f.new(f"zext {kind} {raw} to i64")


def _indices(f: SparseFunction, index: Index, columns: str, place: str) -> Values:
    """Return the L indices from an entry on, four 16-bit ones by one load."""
    if index != "columns16":
        return [_index(f, index, columns, f.plus(place, lane)) for lane in range(f.lanes)]
    found = []
    for four in range(0, f.lanes, 4):
        word = f.new(f"load i64, ptr {f.at(columns, f.times(f.plus(place, four), 2))}, align 2")
        for lane in range(4):
            found.append(f.new(f"and i64 {f.new(f'lshr i64 {word}, {16 * lane}')}, 65535"))
    return found


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


def _bounds(f: SparseFunction, plan: Plan, number: str) -> tuple[str, str]:
    address = f.at(plan.starts, f.times(number, 8))
    return f.load(address, "i64"), f.load(f.at(address, 8), "i64")


def _row(f: SparseFunction, plan: Plan, number: str, lane: int) -> str:
    """Return the row that a lane of a slice works on, counted from the plan's first."""
    raw = f.load(f.at(plan.rows, f.times(f.plus(f.times(number, f.lanes), lane), 4)), "i32")
    return f.new(f"sub i64 {f.new(f'zext i32 {raw} to i64')}, {plan.begin}")


def _single(index: Index, lanes: int) -> str:
    """Add to y (rows,) the products with x (columns,)."""
    f = SparseFunction("single", "ptr %plan, ptr %x, ptr %y", lanes)
    plan = Plan(f)

    def one_slice(number: str, none: Values) -> Values:
        begin, end = _bounds(f, plan, number)

        def entry(place: str, sums: Values) -> Values:
            picked = "poison"
            for lane, at in enumerate(_indices(f, index, plan.columns, place)):
                value = f.load(f.at("%x", f.times(at, 4)), "float")
                picked = f.new(f"insertelement {f.float} {picked}, float {value}, i32 {lane}")
            return [f.fused(picked, f.vector_at(f.at(plan.weights, f.times(place, 4))), sums[0])]

        total = f.loop(begin, end, lanes, [f.splat(0.0)], entry)[0]
        for lane in range(lanes):
            target = f.at("%y", f.times(_row(f, plan, number, lane), 4))
            value = f.new(f"extractelement {f.float} {total}, i32 {lane}")
            f.store(f.new(f"fadd float {value}, {f.load(target, 'float')}"), target, "float")
        return none

    f.loop(plan.first, plan.last, 1, [], one_slice)
    f.line("ret void")
    return f.text()


def _tile(index: Index, lanes: int, width: int, registers: int) -> str:
    """Add to y (rows, V * L) the products with x (columns, V * L)."""
    side = max(1, min(lanes, registers // width))
    f = SparseFunction(f"tile{width}", "ptr %plan, ptr %x, ptr %y, i64 %stride", lanes)
    plan = Plan(f)
    row_bytes = 4 * lanes * width

    def one_slice(number: str, none: Values) -> Values:
        begin, end = _bounds(f, plan, number)
        for top in range(0, lanes, side):

            def entry(place: str, sums: Values, top: int = top) -> Values:
                found = list(sums)
                for r in range(side):
                    own = f.plus(place, top + r)
                    at = _index(f, index, plan.columns, own)
                    weight = f.broadcast(f.load(f.at(plan.weights, f.times(own, 4)), "float"))
                    x = f.at("%x", f.times(at, 4 if index == "places32" else row_bytes))
                    for v in range(width):
                        term = f.vector_at(f.at(x, 4 * lanes * v))
                        found[r * width + v] = f.fused(weight, term, found[r * width + v])
                return found

            outs = [f.at("%y", f.times(_row(f, plan, number, top + r), "%stride")) for r in range(side)]
            targets = [f.at(out, 4 * lanes * v) for out in outs for v in range(width)]
            sums = f.loop(begin, end, lanes, [f.vector_at(one) for one in targets], entry)
            for value, target in zip(sums, targets, strict=True):
                f.put_vector(value, target)
        return none

    f.loop(plan.first, plan.last, 1, [], one_slice)
    f.line("ret void")
    return f.text()


def _fill(lanes: int, width: int) -> str:
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


def _pack(lanes: int, width: int) -> str:
    """x (count, columns), rows `stride` bytes apart -> packed (columns, V * L); past `count` the last row repeats."""
    f = SparseFunction(f"pack{width}", "ptr %plan, ptr %x, i64 %stride, i64 %count, ptr %packed", lanes)
    columns = Plan(f).inputs
    row_bytes = 4 * lanes * width
    last = f.new("sub i64 %count, 1")
    whole = f.new(f"and i64 {columns}, {-lanes}")
    for v in range(width):
        sources = []
        for lane in range(lanes):
            b = v * lanes + lane
            within = f.new(f"icmp slt i64 {b}, %count")
            row = f.new(f"select i1 {within}, i64 {b}, i64 {last}")
            sources.append(f.at("%x", f.times(row, "%stride")))

        def block(column: str, none: Values, sources: Values = sources, v: int = v) -> Values:
            offset = f.times(column, 4)
            out = f.transposed([f.vector_at(f.at(source, offset)) for source in sources])
            place = f.at("%packed", f.plus(f.times(column, row_bytes), 4 * lanes * v))
            for number, value in enumerate(out):
                f.put_vector(value, f.at(place, row_bytes * number))
            return none

        def rest(column: str, none: Values, sources: Values = sources, v: int = v) -> Values:
            offset = f.times(column, 4)
            place = f.at("%packed", f.plus(f.times(column, row_bytes), 4 * lanes * v))
            for lane, source in enumerate(sources):
                f.store(f.load(f.at(source, offset), "float"), f.at(place, 4 * lane), "float")
            return none

        f.loop(0, whole, lanes, [], block)
        f.loop(whole, columns, 1, [], rest)
    f.line("ret void")
    return f.text()


def _unpack(lanes: int, width: int) -> str:
    """products (rows, V * L) -> y (count, rows), whose rows are `stride` bytes apart."""
    f = SparseFunction(f"unpack{width}", "ptr %plan, ptr %products, i64 %count, ptr %y, i64 %stride", lanes)
    plan = Plan(f)
    row_bytes = 4 * lanes * width
    rows = f.new(f"sub i64 {plan.end}, {plan.begin}")
    whole = f.new(f"and i64 {rows}, {-lanes}")
    for v in range(width):
        offsets, outside = [], []
        for lane in range(lanes):
            b = v * lanes + lane
            offsets.append(f.times("%stride", b))
            outside.append(f.new(f"icmp sge i64 {b}, %count"))

        def block(
            row: str, none: Values, v: int = v, offsets: Values = offsets, outside: Values = outside
        ) -> Values:
            start = f.at("%products", f.plus(f.times(row, row_bytes), 4 * lanes * v))
            out = f.transposed([f.vector_at(f.at(start, row_bytes * k)) for k in range(lanes)])
            for value, offset, spare in zip(out, offsets, outside, strict=True):
                target = f.at("%y", f.plus(offset, f.times(row, 4)))
                f.put_vector(value, f.new(f"select i1 {spare}, ptr {plan.spare}, ptr {target}"))
            return none

        f.loop(0, whole, lanes, [], block)

    def rest(row: str, none: Values) -> Values:
        start, target = f.at("%products", f.times(row, row_bytes)), f.at("%y", f.times(row, 4))

        def one(b: str, nothing: Values) -> Values:
            value = f.load(f.at(start, f.times(b, 4)), "float")
            f.store(value, f.at(target, f.times("%stride", b)), "float")
            return nothing

        f.loop(0, "%count", 1, [], one)
        return none

    f.loop(whole, rows, 1, [], rest)
    f.line("ret void")
    return f.text()


def _linear(lanes: int) -> str:
    """y (count, rows of the plan) = x (count, columns) W' + bias; scratch holds what `scratch_floats` says."""
    f = SparseFunction(
        "linear", "ptr %plan, ptr %x, i64 %xstride, i64 %count, ptr %y, i64 %ystride, ptr %scratch", lanes
    )
    plan = Plan(f)
    rows = f.new(f"sub i64 {plan.end}, {plan.begin}")
    row_bytes = f.times(rows, 4)
    f.line("br label %head")
    f.start("head")
    f.line("%done = phi i64 [ 0, %entry ], [ %next, %after ]")
    left = f.new("sub i64 %count, %done")
    x, y = f.at("%x", f.times("%done", "%xstride")), f.at("%y", f.times("%done", "%ystride"))
    f.line(f"br i1 {f.new(f'icmp slt i64 {left}, 1')}, label %end, label %choose")
    f.start("choose")
    cases = [*((f"wide{w}", w, f"{3 * w * lanes // 4}") for w in reversed(WIDTHS[1:])), ("wide1", 1, "2")]
    for name, _, least in cases:
        following = f.label("try")
        f.line(f"br i1 {f.new(f'icmp sge i64 {left}, {least}')}, label %{name}, label %{following}")
        f.start(following)
    # One vector: the sums are gathered beside the outputs, since empty lanes of a slice have a row of their own.
    f.line(f"call void @copy(ptr %scratch, ptr {f.at(plan.bias, f.times(plan.begin, 4))}, i64 {row_bytes})")
    f.line(f"call void @single(ptr %plan, ptr {x}, ptr %scratch)")
    f.line(f"call void @copy(ptr {y}, ptr %scratch, i64 {row_bytes})")
    f.line("br label %after")
    arms = [("1", f.block)]
    for name, w, _ in cases:
        f.start(name)
        size = w * lanes
        enough = f.new(f"icmp slt i64 {left}, {size}")
        taken = f.new(f"select i1 {enough}, i64 {left}, i64 {size}")
        products = f.at("%scratch", f.times(plan.inputs, 4 * size))
        f.line(f"call void @pack{w}(ptr %plan, ptr {x}, i64 %xstride, i64 {taken}, ptr %scratch)")
        f.line(f"call void @fill{w}(ptr %plan, ptr {products}, i64 {4 * size})")
        f.line(f"call void @tile{w}(ptr %plan, ptr %scratch, ptr {products}, i64 {4 * size})")
        f.line(f"call void @unpack{w}(ptr %plan, ptr {products}, i64 {taken}, ptr {y}, i64 %ystride)")
        f.line("br label %after")
        arms.append((taken, name))
    f.start("after")
    f.line("%step = phi i64 " + ", ".join(f"[ {value}, %{block} ]" for value, block in arms))
    f.line("%next = add i64 %done, %step")
    f.line("br label %head")
    f.start("end")
    f.line("ret void")
    return f.text()


def _copy(lanes: int) -> str:
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


def _planes(lanes: int) -> str:
    """y (count, rows, height', width') = convolution of x (count, channels, height, width), stride 1, plus bias.

    The scratch holds a padded image, channels * tall * wide floats and 64 to spare, then rows + 1 times `positions`.
    """
    f = SparseFunction(
        "planes", "ptr %plan, ptr %sizes, ptr %x, i64 %xstride, i64 %count, ptr %y, i64 %ystride, ptr %scratch", lanes
    )
    plan = Plan(f)
    size = {name: f.load(f.at("%sizes", 8 * place), "i64") for place, name in enumerate(GEOMETRY)}
    floats = f.times(size["channels"], f.times(size["tall"], size["wide"]))
    products = f.at("%scratch", f.times(f.plus(floats, 64), 4))
    stride = f.times(size["positions"], 4)
    rows = f.new(f"sub i64 {plan.end}, {plan.begin}")
    direct_in, direct_out = (f.new(f"icmp ne i64 {size[name]}, 0") for name in ("direct_in", "direct_out"))
    to_clear = f.new(f"select i1 {direct_in}, i64 0, i64 {f.plus(floats, 64)}")

    def clear(place: str, none: Values) -> Values:
        f.put_vector(f.splat(0.0), f.at("%scratch", f.times(place, 4)))
        return none

    f.loop(0, to_clear, lanes, [], clear)  # the last vector may reach into the products, which are filled later
    channels = f.new(f"select i1 {direct_in}, i64 0, i64 {size['channels']}")
    cropped = f.new(f"select i1 {direct_out}, i64 0, i64 {rows}")

    def image(number: str, none: Values) -> Values:
        x, y = f.at("%x", f.times("%xstride", number)), f.at("%y", f.times("%ystride", number))

        def channel(c: str, nothing: Values) -> Values:
            def line(row: str, nothing: Values) -> Values:
                source = f.times(f.plus(f.times(c, size["height"]), row), f.times(size["width"], 4))
                down = f.plus(f.times(c, size["tall"]), f.plus(row, size["top"]))
                place = f.plus(f.times(down, size["wide"]), size["left"])
                target = f.at("%scratch", f.times(place, 4))
                f.line(f"call void @copy(ptr {target}, ptr {f.at(x, source)}, i64 {f.times(size['width'], 4)})")
                return nothing

            return f.loop(0, size["height"], 1, nothing, line)

        f.loop(0, channels, 1, [], channel)
        given = f.new(f"select i1 {direct_in}, ptr {x}, ptr %scratch")
        made = f.new(f"select i1 {direct_out}, ptr {y}, ptr {products}")
        begin: str | int = 0
        for width in reversed(WIDTHS):
            step = width * lanes
            left = f.new(f"sub i64 {size['positions']}, {begin}")
            end = f.plus(begin, f.times(f.new(f"sdiv i64 {left}, {step}"), step))

            def positions(place: str, nothing: Values, width: int = width) -> Values:
                offset = f.times(place, 4)
                out = f.at(made, offset)
                f.line(f"call void @fill{width}(ptr %plan, ptr {out}, i64 {stride})")
                f.line(f"call void @tile{width}(ptr %plan, ptr {f.at(given, offset)}, ptr {out}, i64 {stride})")
                return nothing

            f.loop(begin, end, step, [], positions)
            begin = end

        def crop(row: str, nothing: Values) -> Values:
            def line(h: str, nothing: Values) -> Values:
                source = f.plus(f.times(row, size["positions"]), f.times(h, size["wide"]))
                target = f.times(f.plus(f.times(row, size["rows_out"]), h), size["columns_out"])
                bytes_ = f.times(size["columns_out"], 4)
                places = f.at(y, f.times(target, 4)), f.at(products, f.times(source, 4))
                f.line(f"call void @copy(ptr {places[0]}, ptr {places[1]}, i64 {bytes_})")
                return nothing

            return f.loop(0, size["rows_out"], 1, nothing, line)

        f.loop(0, cropped, 1, [], crop)
        return none

    f.loop(0, "%count", 1, [], image)
    f.line("ret void")
    return f.text()


def module_text(index: Index, lanes: int) -> str:
    """Return the kernels for one kind of index as LLVM IR: of linear layers, or with "places32" of convolutions.

    Args:
        index: what an entry holds beside its weight.
        lanes: L, floats in a register; also the rows of a slice.
    """
    registers = 8 if lanes <= 8 else 16  # accumulators, of 16 registers or of 32
    parts = [_copy(lanes)]
    for width in WIDTHS:
        parts += [_tile(index, lanes, width, registers), _fill(lanes, width)]
    if index == "places32":
        parts.append(_planes(lanes))
    else:
        parts += [make(lanes, width) for width in WIDTHS for make in (_pack, _unpack)]
        parts += [_single(index, lanes), _linear(lanes)]
    return "\n\n".join(parts)
