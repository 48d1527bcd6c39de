"""How an operator is written in algebra: LaTeX and plain text, with the brackets that precedence asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from selftaught.programs.text import format_constant

__all__ = ["ATOM", "Term", "number", "write"]

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4  # what binds more tightly has the larger number


@dataclass(frozen=True)
class Term:
    """An expression in LaTeX and in plain text.

    Args:
        latex, text: the expression.
        binding: how tightly its outermost operator binds, 1 (a sum) to 4 (a name).
        is_zero: it is 0 whatever happens.
        is_one: it is the number 1.
    """

    latex: str
    text: str
    binding: int = ATOM
    is_zero: bool = False
    is_one: bool = False

    def within(self, binding: int) -> Term:
        """Return the term in brackets if it binds less tightly than that."""
        if self.binding >= binding:
            return self
        return Term(rf"\left({self.latex}\right)", f"({self.text})")


ZERO = Term("0", "0", is_zero=True)


def number(value: float) -> Term:
    """Write a constant."""
    text = format_constant(value)
    mantissa, _, exponent = text.partition("e")
    latex = rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else text
    binding = SUM if value < 0 else PRODUCT if exponent else ATOM
    return Term(latex, text, binding, is_zero=value == 0, is_one=value == 1)


def write(name: str, operands: Sequence[Term]) -> Term | None:
    """Write an operator applied to terms, with zeros and ones taken care of; None for one that has no algebra.

    >>> write("vector_dot", [Term("w", "w"), Term("x", "x")]).latex
    'w^\\\\top x'
    """
    kind, _, word = name.partition("_")
    if word in ("add", "subtract"):
        return _sum(word, *operands)
    if word in ("multiply", "scale", "dot", "outer", "vector_product", "product"):
        return _product("scale" if kind == "scalar" else name, *operands)
    if word == "divide":
        return _quotient(*operands, elementwise=kind != "scalar")
    if word == "reciprocal":
        return _quotient(number(1.0), *operands, elementwise=kind != "scalar")
    if word in ("max", "min"):
        return _bound(word, *operands)
    rule = _FUNCTIONS.get(name) or _FUNCTIONS.get(word)
    return rule(operands[0]) if rule else None


def _sum(word: str, a: Term, b: Term) -> Term:
    sign = "+" if word == "add" else "-"
    if b.is_zero:
        return a
    if a.is_zero:
        if word == "add":
            return b
        b = b.within(PRODUCT)
        return Term(f"-{b.latex}", f"-{b.text}", SUM)
    if a.text == b.text:
        return ZERO if word == "subtract" else _product("scale", number(2.0), a)
    right = b.within(PRODUCT) if word == "subtract" or b.text.startswith("-") else b
    return Term(f"{a.latex} {sign} {right.latex}", f"{a.text} {sign} {right.text}", SUM)


def _product(name: str, a: Term, b: Term) -> Term:
    if a.is_zero or b.is_zero:
        return ZERO
    if name in ("vector_dot", "vector_outer"):
        left, right = a.within(POWER), b.within(POWER)
        if name == "vector_dot":
            return Term(rf"{left.latex}^\top {right.latex}", f"dot({a.text}, {b.text})", PRODUCT)
        return Term(rf"{left.latex}\, {right.latex}^\top", f"outer({a.text}, {b.text})", PRODUCT)
    if name.endswith("scale"):
        if a.is_one:
            return b
        if b.is_one:
            return a
    left, right = a.within(PRODUCT), b.within(PRODUCT)
    sign, word = {"scale": (r"\, ", " * ")}.get(name.partition("_")[2] or name, (r"\odot ", " * "))
    if name in ("matrix_vector_product", "matrix_product"):
        sign, word = r"\, ", " @ "
    return Term(f"{left.latex} {sign}{right.latex}", f"{left.text}{word}{right.text}", PRODUCT)


def _quotient(a: Term, b: Term, *, elementwise: bool) -> Term:
    if a.is_zero and not b.is_zero:
        return ZERO
    text = f"{a.within(PRODUCT).text} / {b.within(POWER).text}"
    if elementwise and not a.is_one:
        return Term(rf"{a.within(PRODUCT).latex} \oslash {b.within(POWER).latex}", text, PRODUCT)
    return Term(rf"\frac{{{a.latex}}}{{{b.latex}}}", text, PRODUCT)


def _bound(word: str, a: Term, b: Term) -> Term:
    if a.is_zero:
        a, b = b, a
    if b.is_zero and word == "max":
        return Term(rf"\operatorname{{relu}}\!\left({a.latex}\right)", f"relu({a.text})")
    return Term(rf"\{word}\!\left({a.latex},\, {b.latex}\right)", f"{word}({a.text}, {b.text})")


def _called(latex: str, text: str) -> Callable[[Term], Term]:
    return lambda a: Term(rf"{latex}\!\left({a.latex}\right)", f"{text}({a.text})")


def _fenced(left: str, right: str, text: str) -> Callable[[Term], Term]:
    return lambda a: Term(rf"\left{left} {a.latex} \right{right}", f"{text}({a.text})")


def _spread(latex: str, text: str) -> Callable[[Term], Term]:
    """A vector or scalar laid out as a vector or matrix; zeros stay zeros."""

    def rule(a: Term) -> Term:
        inner = a.within(POWER)
        return ZERO if a.is_zero else Term(latex.replace("A", inner.latex), f"{text}({a.text})", PRODUCT)

    return rule


_FUNCTIONS: dict[str, Callable[[Term], Term]] = {
    **{word: _called(rf"\{word}", word) for word in ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "exp")},
    "log": _called(r"\ln", "log"),
    "abs": _fenced("|", "|", "abs"),
    "norm": _fenced(r"\lVert", r"\rVert", "norm"),
    "step": lambda a: Term(rf"\mathbf{{1}}\!\left[{a.latex} > 0\right]", f"step({a.text})"),
    "mean": _called(r"\operatorname{mean}", "mean"),
    "std": _called(r"\operatorname{std}", "std"),
    **{
        word: _called(rf"\operatorname{{{word.replace('_', ' ')}}}", word)
        for word in ("row_norms", "column_norms", "row_means", "row_stds")
    },
    "transpose": lambda a: Term(rf"{a.within(POWER).latex}^\top", f"transpose({a.text})", POWER),
    "vector_fill": _spread(r"A\, \mathbf{1}", "fill"),
    "vector_to_columns": _spread(r"A\, \mathbf{1}^\top", "columns"),
    "vector_to_rows": _spread(r"\mathbf{1}\, A^\top", "rows"),
}
