"""An update rule as one Python file that runs alone, with torch: an optimiser like torch's own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from selftaught.layers.building import load_written
from selftaught.programs.export.torch_text import optimiser_class
from selftaught.programs.export.update_rule import Line, UpdateRule
from selftaught.spaces import Candidate, rule_formula, rule_space
from selftaught.spaces.update_rule import RULE_EPS, needed_part

if TYPE_CHECKING:
    import torch

__all__ = ["rule_file", "rule_optimiser"]

_EXPRESSIONS: Mapping[str, str] = MappingProxyType(
    {
        "add": "{a} + {b}", "multiply": "{a} * {b}", "divide": "{a} / {b}", "max": "torch.maximum({a}, {b})",
        "negative": "-{a}", "sign": "torch.sign({a})", "abs": "{a}.abs()", "square": "{a}.square()",
        "root": "{a}.abs().sqrt()", "tanh": "torch.tanh({a})", "exp": "torch.exp({a})",
        "norm": "torch.linalg.vector_norm({a}).expand_as(w)", "plus_eps": f"{{a}} + {RULE_EPS}",
    }
)  # fmt: skip

_HEAD = '''\
"""An update rule, written by selftaught.

@FORMULA@

g is the gradient, m and v are remembered, zeros at first. mix_c(a, b) = c·a + (1 - c)·b; unbias_c(a) = a / (1 - c^t)
after t steps; ‖a‖ is the norm of the whole tensor; ε = 1e-8.
"""

import torch


'''
_DOC = "The rule above, done to every parameter w. Inside, g is the negative gradient."


def rule_file(candidate: Candidate, *, lr: float = 1e-3) -> str:
    """Write an update rule as one Python file that needs torch alone, with the class `UpdateRule` in it.

    Args:
        candidate: of `rule_space()`.
        lr: the learning rate where none is given.

    Raises:
        InputError: it is no candidate.

    >>> import torch
    >>> from selftaught.spaces import KNOWN_RULES
    >>> "torch.sign(" in rule_file(KNOWN_RULES["lion"])
    True
    """
    formula = rule_formula(candidate)  # checks the candidate
    body = optimiser_class(_as_rule(candidate, lr), _DOC, given_are="the learning rate")
    return _HEAD.replace("@FORMULA@", formula) + body + "\n"


def rule_optimiser(candidate: Candidate, *, lr: float = 1e-3) -> type[torch.optim.Optimizer]:
    """Return the class that `rule_file` writes; it takes parameters and `lr`, like torch's optimisers.

    >>> import torch
    >>> from selftaught.spaces import KNOWN_RULES
    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimiser = rule_optimiser(KNOWN_RULES["signsgd"])([weight], lr=0.5)
    >>> weight.grad = torch.tensor([-3.0])
    >>> optimiser.step()
    >>> weight.item()
    0.5
    """
    found: type[torch.optim.Optimizer] = load_written(rule_file(candidate, lr=lr)).UpdateRule
    return found


def _as_rule(candidate: Candidate, lr: float) -> UpdateRule:
    """Return a candidate as the kind of rule that programs are exported as."""
    graph = needed_part(rule_space(sum(name.endswith(" op") for name in candidate)).graph(candidate))
    memories = [name.removeprefix("next ") for name in graph.outputs if name != "step"]
    names = {0: "gradient", 1: "w", 2: "m", 3: "v"}
    operations = {value: node.operation for value in graph.live if (node := graph.node(value)) is not None}
    counts = any(operation.startswith("unbias") for operation in operations.values())
    lines = [Line("gradient", "-g")]
    lines += [Line(name, f'memory["{name}"]') for name in memories]
    lines += [Line("t", 'memory["t"] + 1')] * counts
    for value in graph.live:
        node = graph.node(value)
        if node is not None:
            names[value] = f"n{value}"
            operands = dict(zip("ab", (names[one] for one in node.operands), strict=False))
            lines.append(Line(names[value], _expression(node.operation, operands)))
    lines.append(Line("new_w", f'w - given["lr"] * {names[graph.outputs["step"]]}'))
    first = {name: f"{name}" for name in memories} | ({"t": "t"} if counts else {})
    begin = [Line(name, "torch.zeros_like(w)") for name in memories] + [Line("t", "0")] * counts
    # The parameter changes in place; what is remembered of it must not.
    kept = {**names, 1: "w.clone()"}
    after = {name: kept[graph.outputs[f"next {name}"]] for name in memories} | ({"t": "t"} if counts else {})
    return UpdateRule(("v", 0), {"lr": lr}, tuple(begin), first, tuple(lines), after, "new_w", ())


def _expression(operation: str, operands: Mapping[str, str]) -> str:
    if operation in _EXPRESSIONS:
        return _EXPRESSIONS[operation].format(**operands)
    kind, _, constant = operation.partition("_")
    if kind == "times":
        return f"{constant} * {operands['a']}"
    if kind == "mix":
        return f"{constant} * {operands['a']} + (1 - {constant}) * {operands['b']}"
    return f"{operands['a']} / (1 - {constant} ** t)"
