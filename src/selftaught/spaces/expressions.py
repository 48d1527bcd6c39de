"""Spaces of expressions: graphs whose nodes are an operation on earlier nodes, as layers and update rules are."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from selftaught.errors import InputError, did_you_mean
from selftaught.spaces.choices import ChoiceSpace, TextForm
from selftaught.spaces.parameter import Parameter
from selftaught.spaces.space import Candidate, Choice

__all__ = ["ARITHMETIC", "CURVES", "SIZES", "ExpressionSpace", "Graph", "Node", "Operation", "function"]

_STEP = re.compile(r"([\w.]+)\((\d+)(?:,(\d+))?\)")
_DRAWS = 1000  # until a mutation changes something; each draw of a node of two choices or more does with 1/2 or more


@dataclass(frozen=True)
class Operation:
    """What a node may do.

    Args:
        name: what it is called in a candidate.
        text: how it is printed, with `{a}` and `{b}` for the operands; those without `{b}` take one.
        latex: the same in LaTeX.
        level: how strongly what is printed binds: 1 a sum, 2 a product, 3 a power, 4 a name or a function.
        takes: the level that each operand needs to stand without brackets.
        commutative: whether operands may change places.
    """

    name: str
    text: str
    latex: str
    level: int = 4
    takes: tuple[int, ...] = (0,)
    commutative: bool = False

    @property
    def arity(self) -> int:
        """How many operands it takes, one or two."""
        return len(self.takes)


def function(name: str, latex: str) -> Operation:
    """Return an operation of one operand that is written as a function, such as tanh(x)."""
    return Operation(name, f"{name}({{a}})", latex)


#: what expressions of every kind are made of
ARITHMETIC = (
    Operation("add", "{a} + {b}", "{a} + {b}", 1, (1, 2), commutative=True),
    Operation("multiply", "{a}·{b}", r"{a} \cdot {b}", 2, (2, 3), commutative=True),
    Operation("divide", "{a} / {b}", r"\frac{{a}}{{b}}", 2, (2, 3)),
    Operation("max", "max({a}, {b})", r"\max\left({a}, {b}\right)", 4, (0, 0), commutative=True),
    Operation("negative", "-{a}", "-{a}", 1, (2,)),
)
SIZES = (
    Operation("abs", "|{a}|", r"\left|{a}\right|"),
    Operation("square", "{a}²", "{a}^2", 3, (4,)),
)
CURVES = (
    function("tanh", r"\tanh\left({a}\right)"),
    function("exp", r"\exp\left({a}\right)"),
)


@dataclass(frozen=True)
class Node:
    """An operation on earlier values, by their numbers."""

    operation: str
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """An expression: the inputs come first in the count of values, then the nodes.

    Args:
        inputs: names of values 0, 1, ...
        nodes: values from `len(inputs)` on.
        outputs: name -> the value that it is.
    """

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, int]

    def node(self, value: int) -> Node | None:
        """Return the node of a value, None for an input."""
        return self.nodes[value - len(self.inputs)] if value >= len(self.inputs) else None

    @cached_property
    def live(self) -> tuple[int, ...]:
        """Values that reach an output, ascending: the inputs among them, and the nodes in an order of evaluation."""
        return self.reached_from(*self.outputs.values())

    def reached_from(self, *values: int) -> tuple[int, ...]:
        """Return all values that these are made of, themselves included, ascending."""
        found: set[int] = set()
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if value not in found:
                found.add(value)
                node = self.node(value)
                waiting += node.operands if node else ()
        return tuple(sorted(found))

    def depends(self, output: str, name: str) -> bool:
        """Return whether an output is made of an input, among others."""
        return self.inputs.index(name) in self.reached_from(self.outputs[output])


@dataclass(frozen=True)
class ExpressionSpace:
    """A space of expressions of a fixed number of nodes.

    A candidate is a mapping of choices: for node k its operation `k op` and its operands `k a` and, where it takes
    two, `k b`, each an earlier value by its number (inputs count from 0, nodes follow). With one output the last node
    is it; with several each is a choice of its own, any value.

    Two candidates share a key where what reaches the outputs is the same but for the numbering of the nodes, nodes
    that compute the same twice, and the order of operands that may change places.

    Args:
        name: what the space is called.
        inputs: names of the inputs.
        operations: what a node may do.
        nodes: how many nodes.
        outputs: names of the outputs.
        needed: graph -> the same with the outputs alone that matter, for keys; None where all do.

    Raises:
        InputError: there are no inputs, operations, nodes or outputs.

    >>> add = Operation("add", "{a} + {b}", "{a} + {b}", 1, (1, 2), commutative=True)
    >>> space = ExpressionSpace("sums", ("x", "y"), (add,), 2)
    >>> space.key(space.decode("add(0,1) add(2,0)")) == space.key(space.decode("add(1,0) add(0,2)"))
    True
    """

    name: str
    inputs: tuple[str, ...]
    operations: tuple[Operation, ...]
    nodes: int
    outputs: tuple[str, ...] = ("output",)
    needed: Callable[[Graph], Graph] | None = None

    def __post_init__(self) -> None:
        if not (self.inputs and self.operations and self.outputs) or self.nodes < 1:
            raise InputError(f"space {self.name!r} needs at least one input, operation, node and output")

    @cached_property
    def choices(self) -> ChoiceSpace:
        """The same candidates as independent choices, for searchers that want those."""
        binary = tuple(op.name for op in self.operations if op.arity == 2)
        parameters: list[Parameter] = []
        for k in self._numbers:
            earlier, group = tuple(range(k)), f"node {k}"
            parameters += [
                Parameter(f"{k} op", tuple(op.name for op in self.operations), group=group),
                Parameter(f"{k} a", earlier, group=group),
            ]
            if binary:
                parameters.append(Parameter(f"{k} b", earlier, when={f"{k} op": binary}, group=group))
        if len(self.outputs) > 1:
            values = tuple(range(len(self.inputs) + self.nodes))
            parameters += [Parameter(name, values, group=name) for name in self.outputs]
        return ChoiceSpace(self.name, tuple(parameters), text=TextForm(self._write, self._read), canonical=self._key)

    @property
    def _numbers(self) -> range:
        return range(len(self.inputs), len(self.inputs) + self.nodes)

    @cached_property
    def _by_name(self) -> dict[str, Operation]:
        return {op.name: op for op in self.operations}

    def operation(self, name: str) -> Operation:
        """Return an operation by its name.

        Raises:
            InputError: there is none.
        """
        if name not in self._by_name:
            nearest = did_you_mean(name, self._by_name)
            raise InputError(f"space {self.name!r} has no operation {name!r}{nearest}")
        return self._by_name[name]

    # ---- graphs

    def graph(self, candidate: Candidate) -> Graph:
        """Return a valid candidate as a graph."""
        nodes = []
        for k in self._numbers:
            operation = str(candidate[f"{k} op"])
            operands = [candidate[f"{k} {name}"] for name in "ab"[: self.operation(operation).arity]]
            nodes.append(Node(operation, tuple(int(value) for value in operands if value is not None)))
        last = len(self.inputs) + self.nodes - 1
        outputs = {name: int(candidate[name] or 0) for name in self.outputs} if len(self.outputs) > 1 else None
        return Graph(self.inputs, tuple(nodes), outputs or {self.outputs[0]: last})

    def candidate(
        self, steps: Mapping[str, Sequence[str]], outputs: Mapping[str, str] | None = None
    ) -> dict[str, Choice]:
        """Write a candidate by hand.

        Args:
            steps: name of a step -> operation and operands, which are inputs or earlier steps. The last step is the
                output, where there is one; unused nodes lie before it.
            outputs: output -> the input or step that it is, where there are several.

        Raises:
            InputError: there are too many steps, or an unknown operation or operand.

        >>> add = Operation("add", "{a} + {b}", "{a} + {b}", 1, (1, 2), commutative=True)
        >>> space = ExpressionSpace("sums", ("x", "y"), (add,), 2)
        >>> space.encode(space.candidate({"twice": ("add", "x", "x"), "all": ("add", "twice", "y")}))
        'add(0,0) add(2,1)'
        """
        if not 0 < len(steps) <= self.nodes:
            raise InputError(f"space {self.name!r} has room for 1 to {self.nodes} steps, got {len(steps)}")
        first = self.operations[0]
        unused: list[tuple[str, tuple[int, ...]]] = [(first.name, (0,) * first.arity)] * (self.nodes - len(steps))
        places = {name: k for k, name in enumerate(self.inputs)}
        written: list[tuple[str, tuple[int, ...]]] = []
        for number, (name, (operation, *operands)) in enumerate(steps.items()):
            if number == len(steps) - 1:
                written += unused
            for one in operands:
                if one not in places:
                    raise InputError(f"step {name!r}: {one!r} is no input or earlier step{did_you_mean(one, places)}")
            if len(operands) != self.operation(operation).arity:
                raise InputError(f"step {name!r}: {operation} takes {self.operation(operation).arity} operands")
            written.append((operation, tuple(places[one] for one in operands)))
            places[name] = len(self.inputs) + len(written) - 1
        found = self._from_nodes(written)
        if len(self.outputs) > 1:
            found |= {name: places[(outputs or {})[name]] for name in self.outputs}
        self.validate(found)
        return found

    def _from_nodes(self, nodes: Sequence[tuple[str, tuple[int, ...]]]) -> dict[str, Choice]:
        found: dict[str, Choice] = {}
        for k, (operation, operands) in zip(self._numbers, nodes, strict=True):
            found[f"{k} op"] = operation
            found |= {f"{k} {name}": value for name, value in zip("ab", operands, strict=False)}
        return found

    # ---- the contract of a space

    def size(self) -> int:
        """Return the number of candidates, exactly."""
        ways = 1
        for k in self._numbers:
            ways *= sum(k**op.arity for op in self.operations)
        return ways * (len(self.inputs) + self.nodes) ** len(self.outputs) if len(self.outputs) > 1 else ways

    def sample(self, rng: np.random.Generator) -> dict[str, Choice]:
        """Draw node by node, the operation uniformly and operands uniformly among earlier values."""
        return self.choices.sample(rng)

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> dict[str, Choice]:
        """Draw one node anew, chosen uniformly, or one output: its operation and all of its operands.

        Raises:
            InputError: nothing in the space can be changed.
        """
        if self.size() == 1:
            raise InputError(f"space {self.name!r} has one candidate, so nothing can be mutated")
        places = list(self._numbers) if len(self.outputs) == 1 else [*self._numbers, *self.outputs]
        for _ in range(_DRAWS):
            place = places[int(rng.integers(len(places)))]
            own = {str(place)} if isinstance(place, str) else {f"{place} {part}" for part in ("op", "a", "b")}
            kept = {name: choice for name, choice in candidate.items() if name not in own}
            child = self.choices.complete(kept, lambda parameter: int(rng.integers(len(parameter.choices))))
            if child != candidate:
                return child
        raise InputError(f"space {self.name!r}: no mutation changed anything in {_DRAWS} draws")

    def neighbours(self, candidate: Candidate) -> list[dict[str, Choice]]:
        """Return every candidate that differs in one operation or operand; a new operand is the first input."""
        return self.choices.neighbours(candidate)

    def validate(self, candidate: Any) -> None:
        """Check a candidate.

        Raises:
            InputError: it is none of this space.
        """
        self.choices.validate(candidate)

    def encode(self, candidate: Candidate) -> str:
        """Return the nodes in order, as in ``add(0,1) tanh(2)``, then the outputs where there are several."""
        return self.choices.encode(candidate)

    def decode(self, text: str) -> dict[str, Choice]:
        """Read what `encode` wrote.

        Raises:
            InputError: with the position of what cannot be read.
        """
        return dict(self.choices.decode(text))

    def key(self, candidate: Candidate) -> str:
        """Return text that is equal for candidates that mean the same."""
        return self.choices.key(candidate)

    def to_json(self, candidate: Candidate) -> str:
        """Return the candidate as a JSON object."""
        return json.dumps(dict(candidate))

    def from_json(self, text: str) -> dict[str, Choice]:
        """Read what `to_json` wrote.

        Raises:
            InputError: it is no candidate of this space.
        """
        return self.choices.from_json(text)

    def describe(self) -> dict[str, Any]:
        """Return plain data that differs whenever the space does."""
        return {
            "inputs": list(self.inputs), "operations": [op.name for op in self.operations], "nodes": self.nodes,
            "outputs": list(self.outputs),
        }  # fmt: skip

    # ---- writing, reading, meaning

    def _write(self, candidate: Candidate) -> str:
        graph = self.graph(candidate)
        steps = [f"{node.operation}({','.join(map(str, node.operands))})" for node in graph.nodes]
        if len(self.outputs) > 1:
            steps += ["->", *(str(graph.outputs[name]) for name in self.outputs)]
        return " ".join(steps)

    def _read(self, text: str) -> dict[str, Choice]:
        body, arrow, ends = text.partition(" -> ")
        words = body.split(" ")
        nodes: list[tuple[str, tuple[int, ...]]] = []
        position = 0
        for word in words:
            match = _STEP.fullmatch(word)
            if match is None or len(nodes) == self.nodes:
                wanted = f"{self.nodes} steps such as {self.operations[0].name}(0)"
                raise InputError(f"{text[:200]!r} at position {position}: wanted {wanted}, got {word[:40]!r}")
            operands = tuple(int(number) for number in match.groups()[1:] if number is not None)
            if len(operands) != self.operation(match[1]).arity:
                needed = self.operation(match[1]).arity
                raise InputError(f"{text[:200]!r} at position {position}: {match[1]} takes {needed} operands")
            nodes.append((match[1], operands))
            position += len(word) + 1
        if len(nodes) < self.nodes:
            raise InputError(f"{text[:200]!r} at position {len(text)}: {self.nodes} steps are needed, got {len(nodes)}")
        found = self._from_nodes(nodes)
        values = ends.split(" ") if arrow else []
        if len(values) != (len(self.outputs) if len(self.outputs) > 1 else 0) or not all(v.isdigit() for v in values):
            wanted = f"-> and a value for each of {', '.join(self.outputs)}" if len(self.outputs) > 1 else "the end"
            raise InputError(f"{text[:200]!r} at position {position}: wanted {wanted}")
        return found | {name: int(value) for name, value in zip(self.outputs, values, strict=False)}

    def _key(self, candidate: Candidate) -> str:
        graph = self.graph(candidate)
        graph = graph if self.needed is None else self.needed(graph)
        digests: dict[int, str] = {}
        for value in graph.live:
            node = graph.node(value)
            parts = [graph.inputs[value]] if node is None else [digests[one] for one in node.operands]
            if node is not None and self.operation(node.operation).commutative:
                parts.sort()
            said = json.dumps([node.operation if node else "input", parts])
            digests[value] = hashlib.blake2b(said.encode(), digest_size=12).hexdigest()
        return " ".join(f"{name}:{digests[value]}" for name, value in graph.outputs.items())
