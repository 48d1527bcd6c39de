"""The 65 operators of the program language in one table: the single source of truth.

An operator's id is its place in `OPERATORS` (the numbers are those of the original). Operand types are
's' (scalar), 'v' (vector of F), 'm' (matrix of F x F) or '' (no operand).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.programs import c_templates as c
from selftaught.programs import meanings as np_

__all__ = [
    "BY_NAME",
    "IN1_TYPE",
    "IN2_TYPE",
    "IS_COMMUTATIVE",
    "IS_PARTIAL",
    "IS_RANDOM",
    "NUM_CONSTANTS",
    "OPERATORS",
    "OPERATOR_SETS",
    "OUT_TYPE",
    "Alias",
    "ConstantKind",
    "Operator",
]

Alias = Literal["-", "direct", "temp"]
ConstantKind = Literal["value", "index", "low", "high", "mean", "std"]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the language.

    Args:
        id: its number, 0 to 64.
        name: its name, such as "vector_dot".
        out: type of the result: 's', 'v', 'm' or ''.
        in1: type of the first operand.
        in2: type of the second operand.
        text: how it is written, with the fields {out}, {in1}, {in2}, {c0}, {c1}, {c2}.
        meaning: its NumPy meaning over all lanes. Ids 1 to 55 take the operands that exist (in1, then in2);
            56 to 58 take (old, constants) and 59 to 64 (old, constants, streams), `old` being the output
            slot's array. What comes back is broadcast into the output slot.
        c: C99 statement with the fields {o}, {a}, {b}, {c0}, {c1}, {c2}: scalars are lvalues, vectors `float *`
            of F, matrices row-major `float *` of F * F. `F` is a constant there; `uniform01()` returns u and
            `gaussian_pair(z)` fills two normal deviates from the stream.
        alias: "-" when the output cannot be an operand, "direct" when computing in place is safe, "temp"
            when a temporary is needed if the output equals an operand.
        draw: what each constant is. A fresh "value" or "mean" is uniform on [-1, 1), a fresh "index" or
            "std" on [0, 1); ("low", "high") are two draws from [-1, 1) in ascending order.
        cost: nanoseconds for 16 lanes at F = 4 and at F = 16.
    """

    id: int
    name: str
    out: str
    in1: str
    in2: str
    text: str
    meaning: Callable[..., Any]
    c: str
    alias: Alias
    draw: tuple[ConstantKind, ...]
    cost: tuple[float, float]

    @property
    def num_constants(self) -> int:
        """Number of constants, 0 to 3."""
        return len(self.draw)


_Row = tuple[str, str, str, Callable[..., Any], str, Alias, tuple[ConstantKind, ...], float, float]


def _each(
    name: str, types: str, value: str, meaning: Callable[..., Any], text: str, cost4: float, cost16: float
) -> _Row:
    """An elementwise operator: safe in place, C text is one expression."""
    return (name, types, "{out} = " + value, meaning, c.each(text, types), "direct", (), cost4, cost16)


def _fold(
    name: str, types: str, value: str, meaning: Callable[..., Any], text: str, cost4: float, cost16: float
) -> _Row:
    """An operator whose output cannot be one of its operands."""
    return (name, types, "{out} = " + value, meaning, text, "-", (), cost4, cost16)


def _copy(
    name: str, types: str, value: str, meaning: Callable[..., Any], text: str, cost4: float, cost16: float
) -> _Row:
    """An operator that needs a temporary when its output is one of its operands."""
    return (name, types, "{out} = " + value, meaning, text, "temp", (), cost4, cost16)


_PRODUCT = (
    "for (int r = 0; r < F; r++) for (int c = 0; c < F; c++) {{ float p = 0.0f; "
    "for (int k = 0; k < F; k++) p += {a}[r * F + k] * {b}[k * F + c]; t[r * F + c] = p; }}"
)
_COLUMN_NORMS = (
    "for (int c = 0; c < F; c++) {{ float p = 0.0f; "
    "for (int r = 0; r < F; r++) p += {a}[r * F + c] * {a}[r * F + c]; {o}[c] = sqrtf(p); }}"
)
_UNIFORM = "{c0} + uniform01() * ({c1} - {c0})"
_STEP, _INVERSE = "(float)({a} > 0.0f)", "1.0f / {a}"
_MIN, _MAX = "{b} < {a} ? {b} : {a}", "{b} > {a} ? {b} : {a}"
_ROW = "{a}[r * F + i]"

# fmt: off
_ROWS: tuple[_Row, ...] = (
    ("no_op", "", "pass", lambda: None, ";", "-", (), 0.0, 0.0),
    _each("scalar_add", "sss", "{in1} + {in2}", np.add, "{a} + {b}", 1.75, 1.96),
    _each("scalar_subtract", "sss", "{in1} - {in2}", np.subtract, "{a} - {b}", 1.89, 1.94),
    _each("scalar_multiply", "sss", "{in1} * {in2}", np.multiply, "{a} * {b}", 1.77, 1.88),
    _each("scalar_divide", "sss", "{in1} / {in2}", np.divide, "{a} / {b}", 2.41, 2.14),
    _each("scalar_abs", "ss", "abs({in1})", np.abs, "fabsf({a})", 1.07, 1.03),
    _each("scalar_reciprocal", "ss", "1 / {in1}", np_.reciprocal, _INVERSE, 1.60, 1.47),
    _each("scalar_sin", "ss", "sin({in1})", np_.sin, f"sinf({c.turn})", 6.37, 6.23),
    _each("scalar_cos", "ss", "cos({in1})", np_.cos, f"cosf({c.turn})", 5.95, 5.39),
    _each("scalar_tan", "ss", "tan({in1})", np_.tan, f"tanf({c.turn})", 7.82, 7.48),
    _each("scalar_arcsin", "ss", "arcsin({in1})", np_.arcsin, "asinf({a})", 6.02, 5.36),
    _each("scalar_arccos", "ss", "arccos({in1})", np_.arccos, "acosf({a})", 5.23, 4.63),
    _each("scalar_arctan", "ss", "arctan({in1})", np_.arctan, "atanf({a})", 6.16, 5.81),
    _each("scalar_exp", "ss", "exp({in1})", np_.exp, "expf({a})", 7.44, 7.04),
    _each("scalar_log", "ss", "log({in1})", np_.log, "logf({a})", 8.71, 2.92),
    _each("scalar_step", "ss", "step({in1})", np_.step, _STEP, 1.54, 1.95),
    _each("vector_step", "vv", "step({in1})", np_.step, _STEP, 2.59, 4.99),
    _each("matrix_step", "mm", "step({in1})", np_.step, _STEP, 5.80, 79.70),
    _each("vector_scale", "vsv", "{in1} * {in2}", np.multiply, "{a} * {b}", 2.60, 5.40),
    _fold("vector_fill", "vs", "fill({in1})", np.copy, c.each("{a}", "vs"), 1.15, 4.30),
    _each("vector_reciprocal", "vv", "1 / {in1}", np_.reciprocal, _INVERSE, 2.92, 8.95),
    _fold("vector_norm", "sv", "norm({in1})", np_.norm, c.sum_of("{a}[i] * {a}[i]", "F", "{o}", "sqrtf(total)"),
          1.36, 3.46),
    _each("vector_abs", "vv", "abs({in1})", np.abs, "fabsf({a})", 2.51, 5.03),
    _each("vector_add", "vvv", "{in1} + {in2}", np.add, "{a} + {b}", 4.27, 7.48),
    _each("vector_subtract", "vvv", "{in1} - {in2}", np.subtract, "{a} - {b}", 4.17, 6.93),
    _each("vector_multiply", "vvv", "{in1} * {in2}", np.multiply, "{a} * {b}", 5.65, 8.69),
    _each("vector_divide", "vvv", "{in1} / {in2}", np.divide, "{a} / {b}", 4.54, 10.17),
    _fold("vector_dot", "svv", "dot({in1}, {in2})", np_.vector_dot, c.sum_of("{a}[i] * {b}[i]", "F", "{o}"),
          1.90, 4.94),
    _fold("vector_outer", "mvv", "outer({in1}, {in2})", np_.vector_outer, c.grid("{a}[r] * {b}[c]"), 5.16, 81.06),
    _each("matrix_scale", "msm", "{in1} * {in2}", np.multiply, "{a} * {b}", 5.64, 76.57),
    _each("matrix_reciprocal", "mm", "1 / {in1}", np_.reciprocal, _INVERSE, 9.75, 147.35),
    _copy("matrix_vector_product", "vmv", "{in1} @ {in2}", np_.matrix_vector_product,
          c.through_copy("F", c.rows(c.sum_of(_ROW + " * {b}[i]", "F", "t[r]"))), 8.86, 74.50),
    _fold("vector_to_columns", "mv", "columns({in1})", np_.vector_to_columns, c.grid("{a}[r]"), 4.16, 82.24),
    _fold("vector_to_rows", "mv", "rows({in1})", np_.vector_to_rows, c.grid("{a}[c]"), 4.62, 77.66),
    _fold("matrix_norm", "sm", "norm({in1})", np_.matrix_norm,
          c.sum_of("{a}[i] * {a}[i]", "F * F", "{o}", "sqrtf(total)"), 3.38, 66.06),
    _fold("matrix_column_norms", "vm", "column_norms({in1})", np_.column_norms, _COLUMN_NORMS, 4.55, 49.29),
    _fold("matrix_row_norms", "vm", "row_norms({in1})", np_.row_norms,
          c.rows(c.sum_of(f"{_ROW} * {_ROW}", "F", "{o}[r]", "sqrtf(total)")), 4.60, 58.04),
    _copy("matrix_transpose", "mm", "transpose({in1})", np_.transpose,
          c.through_copy("F * F", c.grid("{a}[c * F + r]", "t")), 7.54, 160.87),
    _each("matrix_abs", "mm", "abs({in1})", np.abs, "fabsf({a})", 5.45, 78.35),
    _each("matrix_add", "mmm", "{in1} + {in2}", np.add, "{a} + {b}", 7.23, 88.71),
    _each("matrix_subtract", "mmm", "{in1} - {in2}", np.subtract, "{a} - {b}", 7.22, 98.57),
    _each("matrix_multiply", "mmm", "{in1} * {in2}", np.multiply, "{a} * {b}", 11.95, 154.90),
    _each("matrix_divide", "mmm", "{in1} / {in2}", np.divide, "{a} / {b}", 10.47, 151.78),
    _copy("matrix_product", "mmm", "{in1} @ {in2}", np_.matrix_product, c.through_copy("F * F", _PRODUCT),
          14.30, 562.55),
    _each("scalar_min", "sss", "minimum({in1}, {in2})", np_.minimum, _MIN, 1.71, 1.62),
    _each("vector_min", "vvv", "minimum({in1}, {in2})", np_.minimum, _MIN, 3.97, 6.79),
    _each("matrix_min", "mmm", "minimum({in1}, {in2})", np_.minimum, _MIN, 7.43, 94.63),
    _each("scalar_max", "sss", "maximum({in1}, {in2})", np_.maximum, _MAX, 1.70, 1.53),
    _each("vector_max", "vvv", "maximum({in1}, {in2})", np_.maximum, _MAX, 3.87, 5.98),
    _each("matrix_max", "mmm", "maximum({in1}, {in2})", np_.maximum, _MAX, 7.31, 109.32),
    _fold("vector_mean", "sv", "mean({in1})", np_.vector_mean, c.mean("{a}[i]", "F", "{o}"), 1.23, 2.86),
    _fold("matrix_mean", "sm", "mean({in1})", np_.matrix_mean, c.mean("{a}[i]", "F * F", "{o}"), 3.14, 55.23),
    _fold("matrix_row_means", "vm", "row_means({in1})", np_.row_means, c.rows(c.mean(_ROW, "F", "{o}[r]")),
          3.42, 54.88),
    _fold("matrix_row_stds", "vm", "row_stds({in1})", np_.row_stds, c.rows(c.std(_ROW, "F", "{o}[r]")), 6.51, 84.82),
    _fold("vector_std", "sv", "std({in1})", np_.vector_std, c.std("{a}[i]", "F", "{o}"), 1.98, 6.38),
    _fold("matrix_std", "sm", "std({in1})", np_.matrix_std, c.std("{a}[i]", "F * F", "{o}"), 5.69, 125.91),
    ("scalar_constant", "s", "{out} = {c0}", np_.constant, c.each("{c0}", "s"), "-", ("value",), 0.78, 0.56),
    ("vector_constant", "v", "{out}[{c0}] = {c1}", np_.set_vector_element,
     "{o}[" + c.index_of("{c0}") + "] = {c1};", "-", ("index", "value"), 1.03, 2.70),
    ("matrix_constant", "m", "{out}[{c0}, {c1}] = {c2}", np_.set_matrix_element,
     "{o}[" + c.index_of("{c0}") + " * F + " + c.index_of("{c1}") + "] = {c2};", "-",
     ("index", "index", "value"), 1.24, 0.65),
    ("scalar_uniform", "s", "{out} = uniform({c0}, {c1})", np_.uniform, c.each(_UNIFORM, "s"), "-",
     ("low", "high"), 5.49, 5.31),
    ("vector_uniform", "v", "{out} = uniform({c0}, {c1})", np_.uniform, c.each(_UNIFORM, "v"), "-",
     ("low", "high"), 22.42, 84.69),
    ("matrix_uniform", "m", "{out} = uniform({c0}, {c1})", np_.uniform, c.each(_UNIFORM, "m"), "-",
     ("low", "high"), 90.29, 1437.18),
    ("scalar_gaussian", "s", "{out} = gaussian({c0}, {c1})", np_.gaussian,
     "{{ float z[2]; gaussian_pair(z); {o} = {c0} + {c1} * z[0]; }}", "-", ("mean", "std"), 12.43, 12.14),
    ("vector_gaussian", "v", "{out} = gaussian({c0}, {c1})", np_.gaussian, c.gaussian("F"), "-",
     ("mean", "std"), 24.49, 96.34),
    ("matrix_gaussian", "m", "{out} = gaussian({c0}, {c1})", np_.gaussian, c.gaussian("F * F"), "-",
     ("mean", "std"), 98.85, 1598.03),
)
# fmt: on


def _operator(number: int, row: _Row) -> Operator:
    name, types, text, meaning, c_text, alias, draw, cost4, cost16 = row
    out, in1, in2 = (kind.strip() for kind in types.ljust(3))
    return Operator(number, name, out, in1, in2, text, meaning, c_text, alias, draw, (cost4, cost16))


OPERATORS: tuple[Operator, ...] = tuple(_operator(number, row) for number, row in enumerate(_ROWS))
BY_NAME: Mapping[str, Operator] = MappingProxyType({operator.name: operator for operator in OPERATORS})

# The table as read-only arrays, an element an operator, for compiled code. Types: 0 none, 1 scalar, 2 vector, 3 matrix.


def _array(values: list[Any], dtype: type[np.generic]) -> NDArray[Any]:
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


_TYPE_NUMBER = {"": 0, "s": 1, "v": 2, "m": 3}
_COMMUTATIVE = {
    f"{kind}_{word}" for kind in ("scalar", "vector", "matrix") for word in ("add", "multiply")
} | {"vector_dot"}  # fmt: skip

OUT_TYPE: NDArray[np.int8] = _array([_TYPE_NUMBER[operator.out] for operator in OPERATORS], np.int8)
IN1_TYPE: NDArray[np.int8] = _array([_TYPE_NUMBER[operator.in1] for operator in OPERATORS], np.int8)
IN2_TYPE: NDArray[np.int8] = _array([_TYPE_NUMBER[operator.in2] for operator in OPERATORS], np.int8)
NUM_CONSTANTS: NDArray[np.int8] = _array([operator.num_constants for operator in OPERATORS], np.int8)
IS_RANDOM: NDArray[np.bool_] = _array([operator.draw[:1] in (("low",), ("mean",)) for operator in OPERATORS], np.bool_)
IS_PARTIAL: NDArray[np.bool_] = _array(["index" in operator.draw for operator in OPERATORS], np.bool_)
IS_COMMUTATIVE: NDArray[np.bool_] = _array([operator.name in _COMMUTATIVE for operator in OPERATORS], np.bool_)


def _ids(*names: str) -> tuple[int, ...]:
    return tuple(BY_NAME[name].id for name in names)


_DEMO = _ids("scalar_constant", "vector_dot", "scalar_subtract", "scalar_multiply", "vector_scale", "vector_add")
_FILLS = tuple(range(59, 65))
_ADDED = tuple(range(65, len(OPERATORS)))  # what came after the published table
_FULL = (*range(56), 60, 61, *_ADDED)
_ALL = tuple(range(len(OPERATORS)))

OPERATOR_SETS: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "demo": MappingProxyType({"setup": _DEMO, "predict": _DEMO, "learn": _DEMO}),
        "linear": MappingProxyType(
            {
                "setup": _ids("scalar_constant"),
                "predict": _ids("vector_dot"),
                "learn": _ids("scalar_subtract", "scalar_multiply", "vector_scale", "vector_add"),
            }
        ),
        "network": MappingProxyType(
            {
                "setup": (*_ids("scalar_constant"), *_FILLS),
                "predict": _ids("scalar_add", "matrix_vector_product", "vector_max", "vector_dot", "vector_add"),
                "learn": _ids(
                    "scalar_add", "scalar_subtract", "scalar_multiply", "vector_scale", "vector_add",
                    "vector_step", "vector_multiply", "vector_outer", "matrix_add",
                ),
            }
        ),
        "full": MappingProxyType({"setup": tuple(range(56, 65)), "predict": _FULL, "learn": _FULL}),
        "all": MappingProxyType({"setup": _ALL, "predict": _ALL, "learn": _ALL}),
    }
)  # fmt: skip
