"""What every operator is in LLVM IR: the emission column of the operator table."""

from __future__ import annotations

from collections.abc import Callable

from selftaught.programs import elementary
from selftaught.programs.machine import BINARY, UNARY, Carried, OperatorFunction, element_of, elements
from selftaught.programs.operators import Operator

__all__ = ["emit_operator", "row_product"]


def emit_operator(op: Operator, bits: int, features: int, lanes: int) -> str:
    """Return the text of one operator's function `op<id>_<bits>`."""
    f = OperatorFunction(f"op{op.id}_{bits}", features, lanes, bits)
    element = element_of(f, op)
    if element is not None:
        out = f.base(0, op.out)

        def put(offsets: list[int | str], _: int, carried: Carried) -> Carried:
            f.store(element(offsets[0]), f.at(out, offsets[0]))
            return carried

        f.loop(elements(op.out, features), (f.bytes,), [], put)
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
    count = elements(op.in1, f.features)
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

        count = 1 if kind == "s" else elements(kind, f.features)
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

        count = 1 if kind == "s" else elements(kind, f.features)
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
