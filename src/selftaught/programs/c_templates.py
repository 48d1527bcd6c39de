"""Builders of the C99 text of the operators.

A template has the fields {o}, {a}, {b}, {c0}, {c1}, {c2} for `str.format`; doubled braces are braces in C.
"""

from __future__ import annotations

__all__ = ["each", "gaussian", "grid", "index_of", "mean", "rows", "std", "sum_of", "through_copy", "turn"]

_SUBSCRIPT = {"": "", "s": "", "v": "[i]", "m": "[i]"}
_LOOP = {"s": "", "v": "for (int i = 0; i < F; i++) ", "m": "for (int i = 0; i < F * F; i++) "}


def each(expression: str, types: str) -> str:
    """One expression of {a} and {b} for every element; types are those of output, in1 and in2."""
    out, in1, in2 = (kind.strip() for kind in types.ljust(3))
    body = expression.replace("{a}", "{a}" + _SUBSCRIPT[in1]).replace("{b}", "{b}" + _SUBSCRIPT[in2])
    return f"{_LOOP[out]}{{o}}{_SUBSCRIPT[out]} = {body};"


def sum_of(term: str, count: str, target: str, result: str = "total") -> str:
    """Sum a term of `i` in four partial sums and store an expression of `total`."""
    return (
        f"{{{{ float p[4] = {{{{0}}}}; for (int i = 0; i < {count}; i++) p[i % 4] += {term}; "
        f"const float total = (p[0] + p[1]) + (p[2] + p[3]); {target} = {result}; }}}}"
    )


def mean(element: str, count: str, target: str) -> str:
    """Mean of an element of `i`: the sum times the rounded 1 / count."""
    return sum_of(element, count, target, f"total * (1.0f / (float)({count}))")


def std(element: str, count: str, target: str) -> str:
    """Two-pass standard deviation of an element of `i`."""
    squares = f"({element} - centre) * ({element} - centre)"
    root = sum_of(squares, count, target, f"sqrtf(total * (1.0f / (float)({count})))")
    return f"{{{{ float centre; {mean(element, count, 'centre')} {root} }}}}"


def grid(expression: str, target: str = "{o}") -> str:
    """One expression of r (row) and c (column) for every element of a matrix."""
    return f"for (int r = 0; r < F; r++) for (int c = 0; c < F; c++) {target}[r * F + c] = {expression};"


def rows(body: str) -> str:
    """One statement for every row r."""
    return f"for (int r = 0; r < F; r++) {body}"


def through_copy(count: str, body: str) -> str:
    """A statement that fills `t`, copied to the output afterwards, so that the output may be an operand."""
    return f"{{{{ float t[{count}]; {body} memcpy({{o}}, t, sizeof t); }}}}"


def gaussian(count: str) -> str:
    """Gaussian elements in pairs: the cosine, then the sine."""
    return (
        f"for (int i = 0; i < {count}; i += 2) {{{{ float z[2]; gaussian_pair(z); "
        f"{{o}}[i] = {{c0}} + {{c1}} * z[0]; if (i + 1 < {count}) {{o}}[i + 1] = {{c0}} + {{c1}} * z[1]; }}}}"
    )


def index_of(fraction: str) -> str:
    """The element a fraction names, at most F - 1."""
    product = f"(int)((float)F * (float){fraction})"
    return f"({product} < F ? {product} : F - 1)"


turn = "(isfinite({a}) && fabsf({a}) >= 1e6f ? 0.0f : {a})"
