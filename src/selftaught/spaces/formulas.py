"""Graphs as formulas, in plain text or LaTeX: what is used twice gets a name of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from selftaught.spaces.expressions import ExpressionSpace, Graph

__all__ = ["Notation", "formulas"]

Notation = Literal["text", "latex"]
_SHORT = 12  # characters up to which a part that is used twice is written twice


def formulas(
    space: ExpressionSpace, graph: Graph, *, notation: Notation = "text", names: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return formulas in an order in which they can be computed, the outputs last.

    Args:
        space: says how operations are printed.
        graph: what to print; dead nodes do not appear.
        notation: "text" or "latex".
        names: input -> how it is printed, where that is not its name.

    Returns:
        name -> formula: the outputs by their names, and t1, t2, ... for parts that are used several times.

    >>> from selftaught.spaces.layer import PUBLISHED_LAYERS, layer_space
    >>> space = layer_space()
    >>> formulas(space, space.graph(PUBLISHED_LAYERS["evonorm-b0"]))
    {'output': 'x / max(std_bhw(x), v0·x + std_hw(x))'}
    """
    uses = Counter(graph.outputs.values())
    for value in graph.live:
        node = graph.node(value)
        uses.update(node.operands if node else ())
    shown = {name: name for name in graph.inputs} | dict(names or {})
    printed: dict[int, tuple[str, int]] = {}  # value -> text and how strongly it binds
    opposite: dict[int, tuple[str, int]] = {}  # value that is printed with a minus -> what stands after it
    found: dict[str, str] = {}
    for value in graph.live:
        node = graph.node(value)
        if node is None:
            printed[value] = shown[graph.inputs[value]], 4
            continue
        operation = space.operation(node.operation)
        template = operation.text if notation == "text" else operation.latex
        takes, operands = operation.takes, node.operands
        minus = [one for one in operands if one in opposite] if node.operation == "add" else []
        if minus:  # a + (-b) is a - b
            other = operands[0] if minus[-1] == operands[1] else operands[1]
            template, operands, takes = "{a} - {b}", (other, minus[-1]), (1, 2)
        parts = [printed[one] for one in operands]
        if minus:
            parts[1] = opposite[minus[-1]]
        if template.startswith(r"\frac"):
            takes = (0, 0)
        given = (_bracketed(*part, least, notation) for part, least in zip(parts, takes, strict=True))
        text = _filled(template, dict(zip("ab", given, strict=False)))
        if uses[value] > 1 and len(text) > _SHORT:
            name = f"t{len(found) + 1}" if notation == "text" else f"t_{{{len(found) + 1}}}"
            found[name] = text
            printed[value] = name, 4
            continue
        printed[value] = text, operation.level
        if node.operation == "negative":
            opposite[value] = parts[0]
    return found | {name: printed[value][0] for name, value in graph.outputs.items()}


def _filled(template: str, operands: Mapping[str, str]) -> str:
    """Put operands in; LaTeX has braces of its own, so only `{a}` and `{b}` are fields."""
    parts = template.replace("{b}", "\0b\0").replace("{a}", "\0a\0").split("\0")
    return "".join(operands[part] if place % 2 else part for place, part in enumerate(parts))


def _bracketed(text: str, level: int, least: int, notation: Notation) -> str:
    if level >= least:
        return text
    return f"({text})" if notation == "text" else rf"\left({text}\right)"
