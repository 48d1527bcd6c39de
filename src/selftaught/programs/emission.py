"""What every operator is in LLVM IR: one function an operator, chained by tail calls.

A program is an array of 32-byte records (address of the function, byte offsets of out, in1, in2,
three constants). Each function does its work for all lanes and jumps straight to the function of
the next record (`musttail`), so there is no dispatch loop and the state of the machine stays in
registers:

    ip     the record at hand             mem    the block's memory, header first
    x      features of the example        order  the list of example offsets still to come
    acc    the scalar written last        (a vector of lanes: it spares a round trip through memory)

`bits` of a function says which scalar inputs come from `acc` (1: in1, 2: in2). A vector input
whose offset is odd is read from the example (x), not from memory, so features are never copied.
Two instructions that follow each other (`FUSED`) may run as one function without storing what only
the second one reads. Fusing never changes a bit of the result: no contraction across instructions.
"""

from __future__ import annotations

from collections.abc import Callable

from selftaught.programs import elementary
from selftaught.programs.llvm_text import Function
from selftaught.programs.operators import BY_NAME, OPERATORS, Operator

__all__ = ["FUSED", "HEADER", "RECORD_BYTES", "Header", "OperatorFunction", "emit_fused", "emit_operator"]

RECORD_BYTES = 32
ARGUMENTS = "ptr %ip, ptr %mem, ptr %x, ptr %order, {v} %acc"


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


HEADER = Header
Carried = list[str]
Element = Callable[[int | str], str]


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
            for index in range(count):
                carried = body([index * stride for stride in strides], index % 4, carried)
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
        for index_left in range(whole, count):
            values = body([index_left * stride for stride in strides], index_left % 4, values)
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


def element_of(f: OperatorFunction, op: Operator, record: int = 0, link: tuple[int, str] | None = None) -> Element | None:
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


def _elements(kind: str, features: int) -> int:
    return features if kind == "v" else features * features


def emit_operator(op: Operator, bits: int, features: int, lanes: int) -> str:
    """Return the text of one operator's function `op<id>_<bits>`."""
    f = OperatorFunction(f"op{op.id}_{bits}", features, lanes, bits)
    element = element_of(f, op)
    if element is not None:
        out = f.base(0, op.out)

        def put(offsets: list[int | str], _: int, carried: Carried) -> Carried:
            f.store(element(offsets[0]), f.at(out, offsets[0]))
            return carried

        f.loop(_elements(op.out, features), (f.bytes,), [], put)
        f.finish()
    elif op.name in SPECIAL:
        SPECIAL[op.name](f)
    else:
        value = _scalar_value(f, op)
        f.store(value, f.at("%mem", f.offset(0)))
        f.finish(value)
    return f.text()


def _scalar_value(f: OperatorFunction, op: Operator) -> str:
    """Return the value of an operator whose result is a scalar."""
    kind, _, verb = op.name.partition("_")
    if kind == "scalar":
        if verb in BINARY:
            return BINARY[verb](f, f.scalar(1), f.scalar(2))
        return UNARY[verb](f, f.scalar(1))
    count = _elements(op.in1, f.features)
    a = f.base(1, op.in1)
    if verb == "dot":
        b = f.base(2, op.in2)
        return f.sum_of(count, (f.bytes,), lambda o, p: f.fused(f.load(f.at(a, o[0])), f.load(f.at(b, o[0])), p))
    return _reduction(f, verb, a, count)


def _reduction(f: OperatorFunction, verb: str, base: str, count: int) -> str:
    """Return norm, mean or std of `count` elements that lie one after the other."""

    def load(offset: int | str) -> str:
        return f.load(f.at(base, offset))

    def square(offsets: list[int | str], partial: str) -> str:
        value = load(offsets[0])
        return f.fused(value, value, partial)

    if verb == "norm":
        return f.sqrt(f.sum_of(count, (f.bytes,), square))
    scale = f.splat(1.0 / count)
    mean = f.mul(f.sum_of(count, (f.bytes,), lambda o, p: f.add(p, load(o[0]))), scale)
    if verb == "mean":
        return mean

    def deviation(offsets: list[int | str], partial: str) -> str:
        value = f.sub(load(offsets[0]), mean)
        return f.fused(value, value, partial)

    return f.sqrt(f.mul(f.sum_of(count, (f.bytes,), deviation), scale))


# ---- operators whose loops have a shape of their own


def _no_op(f: OperatorFunction) -> None:
    f.finish()


def _scalar_constant(f: OperatorFunction) -> None:
    value = f.constant(0)
    f.store(value, f.at("%mem", f.offset(0)))
    f.finish(value)


def _element_constant(f: OperatorFunction) -> None:
    """Vector and matrix constants: the encoder has put the element into `out`, the value into c0."""
    f.store(f.constant(0), f.at("%mem", f.offset(0)))
    f.finish()


def _over_matrix(f: OperatorFunction, value: Callable[[str, int | str], str]) -> None:
    """Store value(row's a[i], offset of column j) at every (i, j)."""
    a, out = f.base(1, "v"), f.base(0, "m")
    row_bytes = f.features * f.bytes

    def row(offsets: list[int | str], _: int, carried: Carried) -> Carried:
        left, target = f.load(f.at(a, offsets[0])), f.at(out, offsets[1])

        def column(inner: list[int | str], __: int, held: Carried) -> Carried:
            f.store(value(left, inner[0]), f.at(target, inner[0]))
            return held

        f.loop(f.features, (f.bytes,), [], column)
        return carried

    f.loop(f.features, (f.bytes, row_bytes), [], row, limit=4)
    f.finish()


def _outer(f: OperatorFunction) -> None:
    b = f.base(2, "v")
    _over_matrix(f, lambda left, offset: f.mul(left, f.load(f.at(b, offset))))


def _columns(f: OperatorFunction) -> None:
    _over_matrix(f, lambda left, offset: left)


def _rows(f: OperatorFunction) -> None:
    a = f.base(1, "v")
    _over_matrix(f, lambda left, offset: f.load(f.at(a, offset)))


def _transpose(f: OperatorFunction) -> None:
    a, out = f.base(1, "m"), f.base(0, "m")
    row_bytes = f.features * f.bytes

    def row(offsets: list[int | str], _: int, carried: Carried) -> Carried:
        source, target = f.at(a, offsets[0]), f.at(out, offsets[1])

        def column(inner: list[int | str], __: int, held: Carried) -> Carried:
            f.store(f.load(f.at(source, inner[0])), f.at(target, inner[1]))
            return held

        f.loop(f.features, (row_bytes, f.bytes), [], column)
        return carried

    f.loop(f.features, (f.bytes, row_bytes), [], row, limit=4)
    f.finish()


def row_product(f: OperatorFunction, matrix: str, vector: str, row: int | str) -> str:
    """Return sum_j m[i][j] v[j] for the row at this byte offset."""
    start = f.at(matrix, row)
    return f.sum_of(
        f.features, (f.bytes,), lambda o, p: f.fused(f.load(f.at(start, o[0])), f.load(f.at(vector, o[0])), p)
    )


def _per_row(f: OperatorFunction, value: Callable[[int | str], str], strides: tuple[int, int]) -> None:
    out = f.base(0, "v")

    def row(offsets: list[int | str], _: int, carried: Carried) -> Carried:
        f.store(value(offsets[1]), f.at(out, offsets[0]))
        return carried

    f.loop(f.features, strides, [], row, limit=4)
    f.finish()


def _matrix_vector_product(f: OperatorFunction) -> None:
    m, v = f.base(1, "m"), f.base(2, "v")
    _per_row(f, lambda row: row_product(f, m, v, row), (f.bytes, f.features * f.bytes))


def _by_row(verb: str) -> Callable[[OperatorFunction], None]:
    def emit(f: OperatorFunction) -> None:
        m = f.base(1, "m")
        _per_row(f, lambda row: _reduction(f, verb, f.at(m, row), f.features), (f.bytes, f.features * f.bytes))

    return emit


def _column_norms(f: OperatorFunction) -> None:
    m = f.base(1, "m")

    def column(start: int | str) -> str:
        top = f.at(m, start)

        def add(offsets: list[int | str], _: int, sums: Carried) -> Carried:
            value = f.load(f.at(top, offsets[0]))
            return [f.fused(value, value, sums[0])]

        return f.sqrt(f.loop(f.features, (f.features * f.bytes,), [f.splat(0.0)], add)[0])

    _per_row(f, column, (f.bytes, f.bytes))


def _matrix_product(f: OperatorFunction) -> None:
    """Blocks of four columns, one partial sum an element, ascending k."""
    a, b, out = f.base(1, "m"), f.base(2, "m"), f.base(0, "m")
    n, row_bytes = f.features, f.features * f.bytes

    def row(offsets: list[int | str], _: int, carried: Carried) -> Carried:
        left, target = f.at(a, offsets[0]), f.at(out, offsets[0])

        def block(first: int | str, width: int) -> None:
            top = f.at(b, first)

            def term(inner: list[int | str], __: int, sums: Carried) -> Carried:
                value, line = f.load(f.at(left, inner[0])), f.at(top, inner[1])
                return [f.fused(value, f.load(f.at(line, j * f.bytes)), s) for j, s in enumerate(sums)]

            sums = f.loop(n, (f.bytes, row_bytes), [f.splat(0.0)] * width, term)
            place = f.at(target, first)
            for j, value in enumerate(sums):
                f.store(value, f.at(place, j * f.bytes))

        def columns(inner: list[int | str], __: int, held: Carried) -> Carried:
            block(inner[0], 4)
            return held

        f.loop(n // 4, (4 * f.bytes,), [], columns, limit=2)
        if n % 4:
            block((n - n % 4) * f.bytes, n % 4)
        return carried

    f.loop(n, (row_bytes,), [], row, limit=2)
    f.finish()


def _uniform(kind: str) -> Callable[[OperatorFunction], None]:
    def emit(f: OperatorFunction) -> None:
        address, state = f.random_state()
        low, high = f.constant(0), f.constant(1)
        width = f.mul(f.sub(high, low), f.splat(2.0**-24))
        out = f.base(0, kind)
        # The loop hands float vectors on; the state travels as its bit pattern.
        last: list[str] = []

        def fill(offsets: list[int | str], _: int, carried: Carried) -> Carried:
            now, upper = f.draw(f.bits(carried[0]))
            value = f.add(low, f.mul(upper, width))
            last[:] = [value]
            f.store(value, f.at(out, offsets[0]))
            return [f.from_bits(now)]

        count = 1 if kind == "s" else _elements(kind, f.features)
        end = f.loop(count, (f.bytes,), [f.from_bits(state)], fill)
        f.store(f.bits(end[0]), address, f.int)
        f.finish(last[0] if kind == "s" else None)

    return emit


def _gaussian(kind: str) -> Callable[[OperatorFunction], None]:
    def emit(f: OperatorFunction) -> None:
        address, state = f.random_state()
        mean, deviation, out = f.constant(0), f.constant(1), f.base(0, kind)

        def pair(bits: str) -> tuple[str, str, str]:
            """Box and Muller: two uniforms give r cos and r sin."""
            now, first = f.draw(f.bits(bits))
            now, second = f.draw(now)
            u1 = f.add(f.mul(first, f.splat(2.0**-24)), f.splat(2.0**-25))
            radius = f.sqrt(f.mul(f.splat(-2.0), elementary.log(f, u1)))
            angle = f.mul(f.mul(second, f.splat(2.0**-24)), f.splat(6.283185307179586))
            return f.from_bits(now), f.mul(radius, elementary.cos(f, angle)), f.mul(radius, elementary.sin(f, angle))

        def scaled(z: str) -> str:
            return f.add(mean, f.mul(deviation, z))

        def fill(offsets: list[int | str], _: int, carried: Carried) -> Carried:
            now, even, odd = pair(carried[0])
            place = f.at(out, offsets[0])
            f.store(scaled(even), place)
            f.store(scaled(odd), f.at(place, f.bytes))
            return [now]

        count = 1 if kind == "s" else _elements(kind, f.features)
        end = f.loop(count // 2, (2 * f.bytes,), [f.from_bits(state)], fill, limit=2)
        value = None
        if count % 2:
            now, even, _ = pair(end[0])
            value = scaled(even)
            f.store(value, f.at(out, (count - 1) * f.bytes))
            end = [now]
        f.store(f.bits(end[0]), address, f.int)
        f.finish(value if kind == "s" else None)

    return emit


SPECIAL: dict[str, Callable[[OperatorFunction], None]] = {
    "no_op": _no_op,
    "scalar_constant": _scalar_constant,
    "vector_constant": _element_constant,
    "matrix_constant": _element_constant,
    "vector_outer": _outer,
    "vector_to_columns": _columns,
    "vector_to_rows": _rows,
    "matrix_transpose": _transpose,
    "matrix_vector_product": _matrix_vector_product,
    "matrix_row_norms": _by_row("norm"),
    "matrix_row_means": _by_row("mean"),
    "matrix_row_stds": _by_row("std"),
    "matrix_column_norms": _column_norms,
    "matrix_product": _matrix_product,
    "scalar_uniform": _uniform("s"),
    "vector_uniform": _uniform("v"),
    "matrix_uniform": _uniform("m"),
    "scalar_gaussian": _gaussian("s"),
    "vector_gaussian": _gaussian("v"),
    "matrix_gaussian": _gaussian("m"),
}

# ---- two instructions in one function

_FIRST = ("vector_scale", "vector_add", "vector_subtract", "vector_multiply", "vector_step", "vector_max")
_SECOND = ("vector_add", "vector_subtract", "vector_multiply", "vector_max", "vector_dot")
#: (first, second, which input of the second is the first's result); commutative ones are linked at 1.
FUSED: tuple[tuple[int, int, int], ...] = tuple(
    (BY_NAME[first].id, BY_NAME[second].id, link)
    for first, second, links in [
        *[(a, b, (1, 2) if b in ("vector_subtract", "vector_max") else (1,)) for a in _FIRST for b in _SECOND],
        ("matrix_vector_product", "vector_add", (1,)),
        ("vector_outer", "matrix_add", (1,)),
        ("vector_outer", "matrix_subtract", (2,)),
        ("matrix_scale", "matrix_add", (1,)),
        ("matrix_scale", "matrix_subtract", (2,)),
    ]
    for link in links
)


def emit_fused(first: int, second: int, link: int, bits: int, keep: bool, features: int, lanes: int) -> str:
    """Return the function that runs two records at once.

    `keep` says whether the first result is stored too; `bits` is 1 when the first's scalar is `acc`.
    """
    a, b = OPERATORS[first], OPERATORS[second]
    f = OperatorFunction(f"fused{first}_{second}_{link}_{bits}_{int(keep)}", features, lanes, bits)
    first_out = f.base(0, a.out) if keep else ""
    second_out = f.base(0, b.out, 1) if b.out != "s" else ""
    other = f.base(3 - link, b.in2 if link == 1 else b.in1, 1)
    verb = b.name.partition("_")[2]

    def finish_element(value: str, offset: int | str, carried: Carried, position: int) -> Carried:
        if keep:
            f.store(value, f.at(first_out, offset))
        second_value = f.load(f.at(other, offset))
        pair = (value, second_value) if link == 1 else (second_value, value)
        if verb == "dot":
            return [*carried[:position], f.fused(*pair, carried[position]), *carried[position + 1 :]]
        f.store(BINARY[verb](f, *pair), f.at(second_out, offset))
        return carried

    sums = [f.splat(0.0)] * 4 if verb == "dot" else []
    if a.name == "matrix_vector_product":
        m, v = f.base(1, "m"), f.base(2, "v")

        def product(offsets: list[int | str], position: int, carried: Carried) -> Carried:
            return finish_element(row_product(f, m, v, offsets[1]), offsets[0], carried, position)

        f.loop(features, (f.bytes, features * f.bytes), [], product, limit=4)
    elif a.name == "vector_outer":
        left, right = f.base(1, "v"), f.base(2, "v")

        def row(offsets: list[int | str], _: int, carried: Carried) -> Carried:
            value = f.load(f.at(left, offsets[0]))

            def column(inner: list[int | str], position: int, held: Carried) -> Carried:
                start, step = offsets[1], inner[0]
                place = start + step if isinstance(start, int) and isinstance(step, int) else f.new(f"add i64 {start}, {step}")
                return finish_element(f.mul(value, f.load(f.at(right, step))), place, held, position)

            f.loop(features, (f.bytes,), [], column)
            return carried

        f.loop(features, (f.bytes, features * f.bytes), [], row, limit=4)
    else:
        element = element_of(f, a)
        if element is None:
            raise ValueError(f"{a.name} is not an elementwise operator")
        count = _elements(a.out, features)
        sums = f.loop(
            count, (f.bytes,), sums, lambda o, position, held: finish_element(element(o[0]), o[0], held, position)
        )
    if verb == "dot":
        value = f.add(f.add(sums[0], sums[1]), f.add(sums[2], sums[3]))
        f.store(value, f.at("%mem", f.offset(0, 1)))
        f.finish(value, records=2)
    else:
        f.finish(records=2)
    return f.text()
