"""The space of update rules: what an optimiser does with a gradient, as an expression, and the known ones in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.spaces.expressions import ARITHMETIC, CURVES, SIZES, ExpressionSpace, Graph, Operation, function
from selftaught.spaces.formulas import formulas
from selftaught.spaces.space import Candidate, Choice

__all__ = ["KNOWN_RULES", "RULE_EPS", "RULE_MEMORIES", "apply_rule", "rule_formula", "rule_space"]

Array = NDArray[np.float64]

RULE_EPS = 1e-8
#: what a rule remembers of a parameter, zeros at the start
RULE_MEMORIES = ("m", "v")
_RATES = ("0.9", "0.99", "0.999")
_FACTORS = ("0.9", "0.1", "0.01")


_OPERATIONS: tuple[Operation, ...] = (
    *ARITHMETIC,
    function("sign", r"\mathrm{sign}\left({a}\right)"),
    *SIZES,
    Operation("root", "sqrt|{a}|", r"\sqrt{\left|{a}\right|}"),
    *CURVES,
    Operation("norm", "‖{a}‖", r"\left\Vert {a} \right\Vert"),
    Operation("plus_eps", "{a} + ε", r"{a} + \varepsilon", 1, (1,)),
    *(Operation(f"times_{c}", f"{c}·{{a}}", rf"{c} \cdot {{a}}", 2, (3,)) for c in _FACTORS),
    *(Operation(f"mix_{c}", f"mix_{c}({{a}}, {{b}})", rf"\mathrm{{mix}}_{{{c}}}\left({{a}}, {{b}}\right)", 4, (0, 0))
      for c in _RATES),
    *(Operation(f"unbias_{c}", f"unbias_{c}({{a}})", rf"\mathrm{{unbias}}_{{{c}}}\left({{a}}\right)") for c in _RATES),
)  # fmt: skip


def rule_space(nodes: int = 10) -> ExpressionSpace:
    """Return the space of update rules over a gradient, a weight and two memories.

    A rule gives the step u and the next memories m and v, each any value; the weight becomes w - lr u. Operations are
    basic maths on tensors and `norm` (of the whole tensor); `times_c`; `mix_c(a, b)` = c a + (1 - c) b, a moving
    average where a is a memory; `unbias_c(a)` = a / (1 - c^t) after t steps; `plus_eps`, 1e-8. The ingredients of
    "Symbolic Discovery of Optimization Algorithms" (arXiv 2302.06675), as an expression instead of a program.

    Args:
        nodes: after the inputs.

    >>> rule_space().graph(KNOWN_RULES["lion"]).depends("step", "m")
    True
    """
    outputs = ("step", "next m", "next v")
    return ExpressionSpace("update-rule", ("g", "w", *RULE_MEMORIES), _OPERATIONS, nodes, outputs, needed_part)


def rule_formula(candidate: Candidate) -> str:
    """Return a rule as lines of plain text; memories that the step never reads are left out.

    >>> print(rule_formula(KNOWN_RULES["lion"]))
    w ← w - lr·(sign(mix_0.9(m, g)))
    m ← mix_0.99(m, g)
    """
    space = rule_space(sum(name.endswith(" op") for name in candidate))
    space.validate(candidate)
    graph = needed_part(space.graph(candidate))
    lines = dict(formulas(space, graph))
    step = lines.pop("step")
    after = [f"{name.removeprefix('next ')} ← {lines.pop(name)}" for name in list(lines) if name.startswith("next ")]
    return "\n".join([*(f"{name} = {text}" for name, text in lines.items()), f"w ← w - lr·({step})", *after])


def needed_part(graph: Graph) -> Graph:
    """Return a rule's graph with the memories alone that the step, or another needed memory, reads."""
    needed = {"step"}
    while True:
        values = graph.reached_from(*(graph.outputs[name] for name in needed))
        read = {f"next {name}" for name in RULE_MEMORIES if graph.inputs.index(name) in values}
        if read <= needed:
            kept = {name: value for name, value in graph.outputs.items() if name in needed}
            return Graph(graph.inputs, graph.nodes, kept)
        needed |= read


_PLAIN: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "add": np.add, "multiply": np.multiply, "divide": np.divide, "max": np.maximum, "negative": np.negative,
        "sign": np.sign, "abs": np.abs, "square": np.square, "root": lambda a: np.sqrt(np.abs(a)), "tanh": np.tanh,
        "exp": np.exp, "norm": lambda a: np.sqrt(np.square(a).sum()) + 0 * a, "plus_eps": lambda a: a + RULE_EPS,
    }
)  # fmt: skip


def apply_rule(
    graph: Graph, w: Array, g: Array, memories: Mapping[str, Array], *, lr: float, t: int
) -> tuple[Array, dict[str, Array]]:
    """Take one step, as it is defined.

    Args:
        graph: of a candidate of `rule_space()`.
        w: the weight, of any shape.
        g: its gradient.
        memories: "m" and "v", of the same shape.
        lr: learning rate.
        t: counts the steps from 1.

    Returns:
        The new weight and the new memories.

    >>> graph = rule_space().graph(KNOWN_RULES["signsgd"])
    >>> one = np.ones(1)
    >>> float(apply_rule(graph, one, 3 * one, {"m": 0 * one, "v": 0 * one}, lr=0.1, t=1)[0][0])
    0.9
    """
    inputs = {"g": g, "w": w, **memories}
    values: dict[int, Array] = {}
    with np.errstate(all="ignore"):
        for value in graph.live:
            node = graph.node(value)
            if node is None:
                values[value] = inputs[graph.inputs[value]]
                continue
            given = [values[one] for one in node.operands]
            values[value] = _applied(node.operation, given, t)
    after = {name: values[graph.outputs[f"next {name}"]] for name in RULE_MEMORIES if f"next {name}" in graph.outputs}
    return w - lr * values[graph.outputs["step"]], after


def _applied(operation: str, given: list[Array], t: int) -> Array:
    if operation in _PLAIN:
        return _PLAIN[operation](*given)
    kind, _, text = operation.partition("_")
    constant = float(text)
    if kind == "times":
        return constant * given[0]
    if kind == "mix":
        return constant * given[0] + (1 - constant) * given[1]
    return given[0] / (1 - constant**t)


def _rule(steps: Mapping[str, tuple[str, ...]], step: str, m: str = "m", v: str = "v") -> Mapping[str, Choice]:
    outputs: dict[str, Any] = {"step": step, "next m": m, "next v": v}
    return MappingProxyType(rule_space().candidate(steps, outputs))


_ADAM: Mapping[str, tuple[str, ...]] = {
    "mean": ("mix_0.9", "m", "g"), "squared": ("square", "g"), "spread": ("mix_0.999", "v", "squared"),
    "mean now": ("unbias_0.9", "mean"), "spread now": ("unbias_0.999", "spread"), "root": ("root", "spread now"),
    "below": ("plus_eps", "root"), "step": ("divide", "mean now", "below"),
}  # fmt: skip

#: name -> candidate of `rule_space()`: each is tested to be equal to the optimiser of that name
KNOWN_RULES: Mapping[str, Mapping[str, Choice]] = MappingProxyType(
    {
        "sgd": _rule({"unused": ("abs", "g")}, "g"),
        "momentum": _rule({"kept": ("times_0.9", "m"), "new": ("add", "kept", "g")}, "new", "new"),
        "signsgd": _rule({"step": ("sign", "g")}, "step"),
        "lion": _rule(
            {"c": ("mix_0.9", "m", "g"), "step": ("sign", "c"), "new": ("mix_0.99", "m", "g")}, "step", "new"
        ),
        "rmsprop": _rule(
            {
                "squared": ("square", "g"), "new": ("mix_0.99", "v", "squared"), "root": ("root", "new"),
                "below": ("plus_eps", "root"), "step": ("divide", "g", "below"),
            },
            "step", v="new",
        ),
        "adam": _rule(_ADAM, "step", "mean", "spread"),
        "adamw": _rule(
            {**_ADAM, "decay": ("times_0.01", "w"), "whole": ("add", "step", "decay")}, "whole", "mean", "spread"
        ),
        "normalised-gradient": _rule(
            {"norm": ("norm", "g"), "below": ("plus_eps", "norm"), "step": ("divide", "g", "below")}, "step"
        ),
    }
)  # fmt: skip
