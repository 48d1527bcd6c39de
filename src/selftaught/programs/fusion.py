"""Two instructions in one function, without storing what only the second one reads."""

from __future__ import annotations

from selftaught.programs.emission import row_product
from selftaught.programs.machine import BINARY, Carried, OperatorFunction, element_of, elements
from selftaught.programs.operators import BY_NAME, OPERATORS

__all__ = ["FUSED", "emit_fused"]

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
                place = (
                    start + step
                    if isinstance(start, int) and isinstance(step, int)
                    else f.new(f"add i64 {start}, {step}")
                )
                return finish_element(f.mul(value, f.load(f.at(right, step))), place, held, position)

            f.loop(features, (f.bytes,), [], column)
            return carried

        f.loop(features, (f.bytes, features * f.bytes), [], row, limit=4)
    else:
        element = element_of(f, a)
        if element is None:
            raise ValueError(f"{a.name} is not an elementwise operator")
        count = elements(a.out, features)
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
