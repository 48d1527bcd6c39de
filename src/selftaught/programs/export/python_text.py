"""How each operator is written in an exported Python file, and the functions that such a file brings along.

Most operators are written as in the program's text, `dot(v0, v1)`, with a function of that name beside them.
Every function returns a new array, so that a copy of the memory may share its arrays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from selftaught.errors import ProgramError
from selftaught.programs.operators import IS_RANDOM, OPERATORS
from selftaught.programs.program import Instruction
from selftaught.programs.text import format_constant

__all__ = ["FUNCTIONS", "PythonFunction", "functions_for", "python_statement"]

_SHAPES = {"s": "()", "v": "m.v0.shape", "m": "2 * m.v0.shape"}

#: Operators that are not written as in the program's text. Fields: {out}, {in1}, {in2}, {c0}, {c1}, {c2}.
_STATEMENTS: Mapping[str, str] = MappingProxyType(
    {
        "vector_fill": "{out} = fill({in1}, len(m.v0))",
        "matrix_vector_product": "{out} = matrix_times_vector({in1}, {in2})",
        "matrix_product": "{out} = matrix_times_matrix({in1}, {in2})",
        "scalar_constant": "{out} = f32({c0})",
        "vector_constant": "{out} = set_element({out}, ({c0},), {c1})",
        "matrix_constant": "{out} = set_element({out}, ({c0}, {c1}), {c2})",
        **{f"{kind}_reciprocal": "{out} = f32(1) / {in1}" for kind in ("scalar", "vector", "matrix")},
    }
)


@dataclass(frozen=True)
class PythonFunction:
    """A function of an exported file.

    Args:
        source: its text.
        needs: names of the other functions that it calls.
    """

    source: str
    needs: tuple[str, ...] = ()


def _through_float64(name: str, function: str, argument: str = "a.astype(np.float64)") -> PythonFunction:
    source = f"def {name}(a):\n    return np.{function}({argument}).astype(f32)"
    return PythonFunction(source, ("angle",) if "angle" in argument else ())


FUNCTIONS: Mapping[str, PythonFunction] = MappingProxyType(
    {
        "angle": PythonFunction(
            "def angle(a):\n"
            "    # sin, cos and tan take an angle of 1e6 or more as 0\n"
            "    a = a.astype(np.float64)\n"
            "    return np.where((np.abs(a) >= 1e6) & np.isfinite(a), 0.0, a)"
        ),
        "sin": _through_float64("sin", "sin", "angle(a)"),
        "cos": _through_float64("cos", "cos", "angle(a)"),
        "tan": _through_float64("tan", "tan", "angle(a)"),
        "arcsin": _through_float64("arcsin", "arcsin"),
        "arccos": _through_float64("arccos", "arccos"),
        "arctan": _through_float64("arctan", "arctan"),
        "exp": _through_float64("exp", "exp"),
        "log": _through_float64("log", "log"),
        "step": PythonFunction("def step(a):\n    return (a > 0).astype(f32)"),
        "minimum": PythonFunction("def minimum(a, b):\n    return np.where(b < a, b, a)[()]"),
        "maximum": PythonFunction("def maximum(a, b):\n    return np.where(b > a, b, a)[()]"),
        "sum_in_four": PythonFunction(
            "def sum_in_four(terms):\n"
            "    # over the first axis: term i goes to partial sum i mod 4\n"
            "    p = np.zeros((4, *terms.shape[1:]), f32)\n"
            "    for i in range(0, len(terms), 4):\n"
            "        part = terms[i : i + 4]\n"
            "        p[: len(part)] += part\n"
            "    return (p[0] + p[1]) + (p[2] + p[3])"
        ),
        "dot": PythonFunction("def dot(a, b):\n    return sum_in_four(a * b)", ("sum_in_four",)),
        "norm": PythonFunction("def norm(a):\n    return np.sqrt(sum_in_four((a * a).ravel()))", ("sum_in_four",)),
        "mean": PythonFunction("def mean(a):\n    return sum_in_four(a.ravel()) * f32(1 / a.size)", ("sum_in_four",)),
        "std": PythonFunction(
            "def std(a):\n    difference = a - mean(a)\n    return np.sqrt(mean(difference * difference))", ("mean",)
        ),
        "row_norms": PythonFunction("def row_norms(a):\n    return np.sqrt(sum_in_four((a * a).T))", ("sum_in_four",)),
        "row_means": PythonFunction(
            "def row_means(a):\n    return sum_in_four(a.T) * f32(1 / len(a))", ("sum_in_four",)
        ),
        "row_stds": PythonFunction(
            "def row_stds(a):\n"
            "    difference = a - row_means(a)[:, None]\n"
            "    return np.sqrt(row_means(difference * difference))",
            ("row_means",),
        ),
        "column_norms": PythonFunction(
            "def column_norms(a):\n"
            "    total = np.zeros(len(a), f32)\n"
            "    for row in a:\n"
            "        total += row * row\n"
            "    return np.sqrt(total)"
        ),
        "outer": PythonFunction("def outer(a, b):\n    return a[:, None] * b[None, :]"),
        "fill": PythonFunction("def fill(a, length):\n    return np.full(length, a, f32)"),
        "columns": PythonFunction(
            "def columns(a):\n    # every column is a\n    return np.repeat(a[:, None], len(a), axis=1)"
        ),
        "rows": PythonFunction("def rows(a):\n    # every row is a\n    return np.repeat(a[None, :], len(a), axis=0)"),
        "transpose": PythonFunction("def transpose(a):\n    return a.T.copy()"),
        "matrix_times_vector": PythonFunction(
            "def matrix_times_vector(a, b):\n    return sum_in_four(a.T * b[:, None])", ("sum_in_four",)
        ),
        "matrix_times_matrix": PythonFunction(
            "def matrix_times_matrix(a, b):\n"
            "    total = np.zeros_like(a)\n"
            "    for k in range(len(a)):\n"
            "        total += a[:, k, None] * b[k]\n"
            "    return total"
        ),
        "set_element": PythonFunction(
            "def set_element(old, fractions, value):\n"
            "    # a fraction f of [0, 1) names element int(F * f), so that it means the same for any F\n"
            "    size = len(old)\n"
            "    place = tuple(min(int(f32(size) * f32(f)), size - 1) for f in fractions)\n"
            "    new = old.copy()\n"
            "    new[place] = value\n"
            "    return new"
        ),
        "draw": PythonFunction(
            "def draw(m):\n"
            "    # xorshift32 (Marsaglia, 2003): 24 random bits\n"
            "    x = m.stream\n"
            "    x ^= (x << 13) & 0xFFFFFFFF\n"
            "    x ^= x >> 17\n"
            "    x ^= (x << 5) & 0xFFFFFFFF\n"
            "    m.stream = x\n"
            "    return f32(x >> 8)"
        ),
        "uniform": PythonFunction(
            "def uniform(m, shape, low, high):\n"
            "    low, high = f32(low), f32(high)\n"
            "    new = np.empty(shape, f32)\n"
            "    for i in range(new.size):\n"
            "        new.flat[i] = low + draw(m) * f32(2**-24) * (high - low)\n"
            "    return new[()]",
            ("draw",),
        ),
        "gaussian": PythonFunction(
            "def gaussian(m, shape, mean, std):\n"
            "    # Box and Muller: the cosine, then the sine\n"
            "    mean, std = f32(mean), f32(std)\n"
            "    new = np.empty(shape, f32)\n"
            "    for i in range(0, new.size, 2):\n"
            "        u1 = draw(m) * f32(2**-24) + f32(2**-25)\n"
            "        u2 = draw(m) * f32(2**-24)\n"
            "        radius = np.sqrt(f32(-2) * log(u1))\n"
            "        turn = f32(2 * np.pi) * u2\n"
            "        new.flat[i] = mean + std * (radius * cos(turn))\n"
            "        if i + 1 < new.size:\n"
            "            new.flat[i + 1] = mean + std * (radius * sin(turn))\n"
            "    return new[()]",
            ("draw", "log", "cos", "sin"),
        ),
        "sigmoid": PythonFunction("def sigmoid(a):\n    return f32(1) / (f32(1) + exp(-a))", ("exp",)),
        "softmax": PythonFunction(
            "def softmax(scores, count):\n"
            "    # over the first `count` scores; the others become 0\n"
            "    largest = scores[0]\n"
            "    for score in scores[1:count]:\n"
            "        largest = maximum(largest, score)\n"
            "    powers = exp(scores[:count] - largest)\n"
            "    new = np.zeros_like(scores)\n"
            "    new[:count] = powers / sum_in_four(powers)\n"
            "    return new",
            ("maximum", "exp", "sum_in_four"),
        ),
    }
)


def python_statement(instruction: Instruction) -> str:
    """Write an instruction as Python over a memory `m`.

    >>> python_statement(Instruction(27, out=1, in1=0, in2=1))
    'm.s1 = dot(m.v0, m.v1)'
    """
    operator = OPERATORS[instruction.op]
    template = _STATEMENTS.get(operator.name, operator.text)
    if IS_RANDOM[operator.id]:
        template = template.replace("(", f"(m, {_SHAPES[operator.out]}, ", 1)
    return template.format(
        out=f"m.{operator.out}{instruction.out}",
        in1=f"m.{operator.in1}{instruction.in1}",
        in2=f"m.{operator.in2}{instruction.in2}",
        c0=format_constant(instruction.c0),
        c1=format_constant(instruction.c1),
        c2=format_constant(instruction.c2),
    )


def functions_for(statements: Iterable[str], functions: Mapping[str, PythonFunction] = FUNCTIONS) -> list[str]:
    """Return the sources of the functions that statements call, each after those that it calls itself.

    Args:
        statements: of an exported file.
        functions: name -> function, those of a NumPy file by default.

    Raises:
        ProgramError: a function is not among them: the operator has no such text.
    """
    wanted: set[str] = set()
    waiting = [name for statement in statements for name in re.findall(r"(?<![\w.])([a-z_]\w*)\(", statement)]
    while waiting:
        name = waiting.pop()
        if name in wanted or name in ("abs", "len", "f32"):
            continue
        if name not in functions:
            place = "python" if functions is FUNCTIONS else "torch"
            raise ProgramError(f"the function {name!r} has no {place} text; add it to export/{place}_text.py")
        wanted.add(name)
        waiting += functions[name].needs
    return [functions[name].source for name in _in_order(wanted, functions)]


def _in_order(names: set[str], functions: Mapping[str, PythonFunction]) -> list[str]:
    ordered: list[str] = []

    def add(name: str) -> None:
        for needed in functions[name].needs:
            add(needed)
        if name not in ordered:
            ordered.append(name)

    for name in functions:
        if name in names:
            add(name)
    return ordered
