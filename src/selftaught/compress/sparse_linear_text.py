"""The sparse linear layer in LLVM IR.

- `single` multiplies one vector of activations: a vector of L weights, L activations picked by their columns.
- `pack<V>` and `unpack<V>` put a batch along the lanes and back, in L x L blocks that are transposed in registers.
- `linear` does all of that for a batch of any size, in tiles where there are enough vectors.
"""

from __future__ import annotations

from selftaught.compress import sparse_text
from selftaught.compress.sparse_text import Index, Plan, SparseFunction, Values, bounds, index_at, row_of, tiles

__all__ = ["linear_text"]


def _indices(f: SparseFunction, index: Index, columns: str, place: str) -> Values:
    """Return the L indices from an entry on, four 16-bit ones by one load."""
    if index != "columns16":
        return [index_at(f, index, columns, f.plus(place, lane)) for lane in range(f.lanes)]
    found = []
    for four in range(0, f.lanes, 4):
        word = f.new(f"load i64, ptr {f.at(columns, f.times(f.plus(place, four), 2))}, align 2")
        for lane in range(4):
            found.append(f.new(f"and i64 {f.new(f'lshr i64 {word}, {16 * lane}')}, 65535"))
    return found


def _single(index: Index, lanes: int) -> str:
    """Add to y (rows,) the products with x (columns,)."""
    f = SparseFunction("single", "ptr %plan, ptr %x, ptr %y", lanes)
    plan = Plan(f)

    def one_slice(number: str, none: Values) -> Values:
        begin, end = bounds(f, plan, number)

        def entry(place: str, sums: Values) -> Values:
            picked = "poison"
            for lane, at in enumerate(_indices(f, index, plan.columns, place)):
                value = f.load(f.at("%x", f.times(at, 4)), "float")
                picked = f.new(f"insertelement {f.float} {picked}, float {value}, i32 {lane}")
            return [f.fused(picked, f.vector_at(f.at(plan.weights, f.times(place, 4))), sums[0])]

        total = f.loop(begin, end, lanes, [f.splat(0.0)], entry)[0]
        for lane in range(lanes):
            target = f.at("%y", f.times(row_of(f, plan, number, lane), 4))
            value = f.new(f"extractelement {f.float} {total}, i32 {lane}")
            f.store(f.new(f"fadd float {value}, {f.load(target, 'float')}"), target, "float")
        return none

    f.loop(plan.first, plan.last, 1, [], one_slice)
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
    cases = [*((f"wide{w}", w, f"{3 * w * lanes // 4}") for w in reversed(sparse_text.WIDTHS[1:])), ("wide1", 1, "2")]
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


def linear_text(index: Index, lanes: int) -> str:
    """Return the kernels of linear layers as LLVM IR.

    Args:
        index: what an entry holds beside its weight: "columns16" or "columns32".
        lanes: L, floats in a register; also the rows of a slice.
    """
    parts = tiles(index, lanes)
    parts += [make(lanes, width) for width in sparse_text.WIDTHS for make in (_pack, _unpack)]
    return "\n\n".join([*parts, _single(index, lanes), _linear(lanes)])
