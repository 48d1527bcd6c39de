"""A program's Learn as an update rule: what it does to one parameter, in terms of that parameter's own gradient.

A step of the program is a graph of values. Where the score is linear in a slot w, as in dot(w, h), the negative
gradient of the loss is g = (label - prediction) * h. If the new w, and all that it remembers, can be computed from
g, w, constants and its own memory, without the error, the features or the prediction on their own, then Learn is an
update rule: it makes sense for any parameter of any model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from selftaught.errors import InputError
from selftaught.programs.explain.dataflow import Flow, Value, flow_of
from selftaught.programs.live_form import CLASSES, Slot, kind_of, live_form
from selftaught.programs.operators import IS_RANDOM
from selftaught.programs.program import Program
from selftaught.programs.text import format_constant, format_instruction

__all__ = ["Line", "UpdateRule", "update_rule"]

#: Operators on whole tensors of any shape: they do not ask where an element stands. Fields: {a}, {b}.
_TENSORWISE: Mapping[str, str] = MappingProxyType(
    {
        **{
            f"{kind}_{word}": text
            for kind in ("scalar", "vector", "matrix")
            for word, text in (
                ("add", "{a} + {b}"), ("subtract", "{a} - {b}"), ("multiply", "{a} * {b}"), ("divide", "{a} / {b}"),
                ("abs", "abs({a})"), ("reciprocal", "1 / {a}"), ("step", "step({a})"),
                ("min", "minimum({a}, {b})"), ("max", "maximum({a}, {b})"), ("scale", "{a} * {b}"),
                ("norm", "torch.linalg.vector_norm({a})"), ("mean", "{a}.mean()"), ("std", "{a}.std(correction=0)"),
            )
        },
        **{f"scalar_{word}": f"{word}({{a}})" for word in ("sin", "cos", "tan")},
        **{f"scalar_{word}": f"torch.{word}({{a}})" for word in ("arcsin", "arccos", "arctan", "exp", "log")},
        "vector_dot": "({a} * {b}).sum()",
        "vector_fill": "{a}.expand_as(w)",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of an exported rule.

    Args:
        name: the local name that it sets.
        expression: over local names, w and g.
        comment: the program's own line.
    """

    name: str
    expression: str
    comment: str = ""


@dataclass(frozen=True)
class UpdateRule:
    """What Learn does to one parameter w with negative gradient g.

    Args:
        slot: the parameter in the program.
        given: name -> value of the constants of Setup that it needs.
        begin: lines that make the first memory.
        first: slot's name -> the local name of what is remembered at first.
        lines: lines that make the new parameter and the new memory.
        after: slot's name -> the local name of what is remembered after the step.
        result: the local name of the new parameter.
        form: the rule without names, equal for equal rules.
    """

    slot: Slot
    given: dict[str, float]
    begin: tuple[Line, ...]
    first: dict[str, str]
    lines: tuple[Line, ...]
    after: dict[str, str]
    result: str
    form: tuple[str, ...]


def update_rule(program: Program, *, task: str = "regression", slot: str | None = None) -> UpdateRule:
    """Find the rule by which Learn updates the parameters that Predict reads.

    Args:
        program: any program; its live form is read.
        task: "regression" (half the squared error), "binary" or "classes K" (cross-entropy).
        slot: a slot's name, such as "v1"; None wants one rule for all parameters.

    Raises:
        InputError: Learn is no such rule; the text says what stands in the way.
        ProgramError: the task is unknown, or the program writes the label of several classes.

    >>> from selftaught.programs import linear_learner
    >>> [f"{line.name} = {line.expression}" for line in update_rule(linear_learner(0.1)).lines]
    ['s2 = w.new_tensor(given["s2"])', 'v2 = s2 * g', 'v1 = w + v2']
    """
    kind = kind_of(task)
    flow = flow_of(live_form(program, task=task), kind)
    parameters = sorted(flow.states(flow.score) & flow.learned)
    names = [_name(one) for one in parameters]
    if not parameters:
        raise InputError("no update rule: Predict reads nothing that Learn changes by the label")
    if slot is not None:
        if slot not in names:
            raise InputError(f"slot is one of the parameters {', '.join(names)}, got {slot!r}")
        return _Reader(flow, parameters[names.index(slot)], several=kind == CLASSES).rule()
    rules, refusals = [], []
    for one in parameters:
        try:
            rules.append(_Reader(flow, one, several=kind == CLASSES).rule())
        except InputError as error:
            refusals.append(error)
    known = " or ".join(f"slot={_name(rule.slot)!r}" for rule in rules)
    if refusals:
        raise InputError(f"{refusals[0]}{f'; ask for another parameter alone with {known}' if rules else ''}")
    if len({rule.form for rule in rules}) > 1:
        raise InputError(f"no one update rule: the parameters have different ones; ask for one of them with {known}")
    return rules[-1]  # the vector's before the scalar's


def _name(slot: Slot) -> str:
    return f"{slot[0]}{slot[1]}"


@dataclass(frozen=True)
class _Meaning:
    """What a value is: a tensor of the rule by its local name, or a factor of something that the rule must not see.

    Args:
        what: "rule", or what is multiplied: the "error" or the "features" h, which make up the gradient. The
            "inputs" where h is something else, the "label" and the "prediction" have no place in a rule.
        name: the tensor, or the factor before it; None for the factor 1.
        negative: whether the factor is negative.
    """

    what: Literal["rule", "error", "features", "inputs", "label", "prediction"]
    name: str | None = None
    negative: bool = False


@dataclass
class _Lines:
    """Lines being written, each with a name of its own."""

    lines: list[Line] = field(default_factory=list)
    forms: dict[str, str] = field(default_factory=lambda: {"w": "w", "g": "g"})

    def add(self, base: str, expression: str, form: str, comment: str = "") -> str:
        """Write a line and return its name, which begins with `base`."""
        name, number = base, 2
        while name in self.forms:
            name, number = f"{base}_{number}", number + 1
        self.lines.append(Line(name, expression, comment))
        self.forms[name] = form
        return name

    def apply(self, base: str, template: str, operands: Mapping[str, str], comment: str) -> str:
        """Write a template over names."""
        forms = {key: f"({self.forms[name]})" for key, name in operands.items()}
        return self.add(base, template.format(**operands), template.format(**forms), comment)


class _Reader:
    """Reads the graph of a step as a rule for one slot."""

    def __init__(self, flow: Flow, slot: Slot, *, several: bool) -> None:
        self.flow, self.slot, self.several = flow, slot, several
        self.error_kind = "v" if several else "s"
        self.negative, self.features = self._gradient()
        self.given: dict[str, float] = {}
        self.memory: dict[Slot, str] = {}  # in the order of discovery
        self.written = _Lines()
        self._known: dict[int, _Meaning] = {}
        self._constants: dict[int, str] = {}
        self._uses_gradient = False

    def rule(self) -> UpdateRule:
        """Return the rule.

        Raises:
            InputError: there is none.
        """
        result = self._tensor(self.flow.updates[self.slot])
        after: dict[Slot, str] = {}
        while len(after) < len(self.memory):
            slot = next(one for one in self.memory if one not in after)
            after[slot] = self._tensor(self.flow.updates[slot])
        if not self._uses_gradient:
            raise self._refusal("it does not change by its gradient")
        step, self.written, self._known = self.written, _Lines(), {}
        first = {slot: self._tensor(self.flow.first[slot]) for slot in self.memory}
        forms = [step.forms[result]]
        forms += [f"{self.written.forms[first[slot]]} | {step.forms[after[slot]]}" for slot in self.memory]
        return UpdateRule(
            self.slot, self.given, tuple(self.written.lines), {_name(k): v for k, v in first.items()},
            tuple(step.lines), {_name(k): v for k, v in after.items()}, result, tuple(forms),
        )  # fmt: skip

    # ---- the gradient

    def _gradient(self) -> tuple[bool, Value | None]:
        """Return (whether it is subtracted, h) of the one term of the score with the slot; h is None for the factor 1.

        Such a term is h . w, W h (several classes) or w itself; then the score's gradient is h.
        """
        found = [(minus, term) for minus, term in _terms(self.flow.score) if self.slot in self.flow.states(term)]
        if len(found) == 1:
            minus, term = found[0]
            if self._is_parameter(term):
                return minus, None
            pairs = [term.inputs, term.inputs[::-1]] if term.name == "vector_dot" else []
            if self.several and term.name == "matrix_vector_product":
                pairs = [term.inputs]
            for weights, features in pairs:
                if self._is_parameter(weights) and self.slot not in self.flow.states(features):
                    return minus, features
        raise self._refusal("the score is not linear in it, as in dot(v0, w), so its gradient is not known")

    def _is_parameter(self, value: Value) -> bool:
        return value.source == "state" and value.slot == self.slot

    # ---- values

    def _tensor(self, value: Value) -> str:
        """Return the local name of a value that must be one of the rule's."""
        meaning = self._read(value)
        if meaning.what != "rule" or meaning.name is None:
            raise self._refusal(f"it uses the {meaning.what} apart from its gradient")
        return meaning.name

    def _read(self, value: Value) -> _Meaning:
        # A loop over the operands first: programs may be deeper than Python's stack.
        waiting = [value]
        while waiting:
            one = waiting[-1]
            unknown = [v for v in self._operands(one) if id(v) not in self._known]
            if unknown:
                waiting += unknown
                continue
            waiting.pop()
            if id(one) not in self._known:
                self._known[id(one)] = self._leaf(one) or self._operation(one)
        return self._known[id(value)]

    def _operands(self, value: Value) -> tuple[Value, ...]:
        stop = value is self.features or value is self.flow.prediction or value.source != "operation"
        return () if stop else value.inputs

    def _leaf(self, value: Value) -> _Meaning | None:
        """Return the meaning of a value that is not looked into, else None."""
        if value is self.features:
            return _Meaning("features")
        if value is self.flow.prediction:
            return _Meaning("prediction")
        if value.source == "features":
            return _Meaning("inputs")
        if value.source == "label":
            return _Meaning("label")
        if value.source == "state" and value.slot is not None:
            return _Meaning("rule", self._remembered(value.slot))
        if value.source == "zero":
            if value.kind not in ("s", self.slot[0]):
                raise self._shapeless(f"a {'vector' if value.kind == 'v' else 'matrix'} of zeros")
            expression = "w.new_zeros(())" if value.kind == "s" else "torch.zeros_like(w)"
            return _Meaning("rule", self.written.add(f"{value.kind}_zero", expression, "0"))
        return None

    def _remembered(self, slot: Slot) -> str:
        if slot == self.slot:
            return "w"
        if slot[0] not in ("s", self.slot[0]):
            raise self._shapeless(_name(slot))
        if slot not in self.memory:
            number = len(self.memory)
            self.memory[slot] = self.written.add(_name(slot), f'memory["{_name(slot)}"]', f"memory {number}")
        return self.memory[slot]

    def _operation(self, value: Value) -> _Meaning:
        instruction = value.instruction
        if instruction is None or value.place is None:
            raise self._refusal("it uses the score apart from its gradient")
        text, slot = format_instruction(instruction), f"{value.kind}{instruction.out}"
        if value.name == "scalar_constant":
            number = format_constant(instruction.c0)
            if value.place[0] == "setup":
                return _Meaning("rule", self._given(value, slot, instruction.c0))
            return _Meaning("rule", self.written.add(slot, f"w.new_tensor({number})", number, text))
        if IS_RANDOM[instruction.op]:
            raise self._refusal(f"'{text}' draws random numbers")
        if value.name not in _TENSORWISE and value.name != "vector_outer":
            raise self._shapeless(f"'{text}'")
        inputs = [self._known[id(one)] for one in value.inputs]
        combined = self._combine(value, inputs, slot, text)
        if combined is None:
            apart = next(one.what for one in inputs if one.what != "rule")
            raise self._refusal(f"'{text}' uses the {apart} apart from its gradient")
        return combined

    def _given(self, value: Value, slot: str, number: float) -> str:
        """Return the local name of a constant of Setup, which becomes an argument of the optimiser."""
        if id(value) not in self._constants:
            key, count = slot, 2
            while key in self.given:
                key, count = f"{slot}_{count}", count + 1
            self._constants[id(value)], self.given[key] = key, number
        key = self._constants[id(value)]
        return self.written.add(key, f'w.new_tensor(given["{key}"])', format_constant(number))

    def _combine(self, value: Value, inputs: list[_Meaning], slot: str, text: str) -> _Meaning | None:
        """Return what an operator makes of its operands, None where the rule must not see it."""
        what, word = [one.what for one in inputs], value.name.partition("_")[2]
        if set(what) == {"rule"}:
            if value.name == "vector_outer" or value.kind not in ("s", self.slot[0]):
                raise self._shapeless(f"'{text}'")
            names = dict(zip("ab", (one.name or "" for one in inputs), strict=False))
            return _Meaning("rule", self.written.apply(slot, _TENSORWISE[value.name], names, text))
        if word == "subtract" and set(what) == {"label", "prediction"} and value.kind == self.error_kind:
            error = _Meaning("error", None, what[0] == "prediction")
            return error if self.features is not None else self._along_gradient(error, slot, text)
        if word in ("multiply", "scale", "outer"):
            return self._product(value, inputs, slot, text)
        if word == "divide" and what[0] in ("error", "features") and what[1] == "rule":
            under = {"b": inputs[1].name or "", **({"a": inputs[0].name} if inputs[0].name else {})}
            factor = self.written.apply(slot, "{a} / {b}" if "a" in under else "1 / {b}", under, text)
            return _Meaning(inputs[0].what, factor, inputs[0].negative)
        if word == "fill" and what == ["error"] and self.slot[0] == "v":
            return inputs[0]
        return None

    def _product(self, value: Value, inputs: list[_Meaning], slot: str, text: str) -> _Meaning | None:
        """Multiply: a factor before the error or the features, or both of them, which is the gradient."""
        a, b = sorted(inputs, key=lambda one: one.what == "rule")
        whole = {a.what, b.what} == {"error", "features"}
        if not whole and (a.what not in ("error", "features") or b.what != "rule"):
            return None
        outer = value.name == "vector_outer"  # the gradient of W in W h is outer(error, h)
        if outer != (whole and self.several) or (outer and a.what != "error"):
            return None
        names = [one.name for one in (a, b) if one.name is not None]
        factor = names[0] if names else None
        if len(names) == 2:
            factor = self.written.apply(slot, "{a} * {b}", dict(zip("ab", names, strict=True)), text)
        product = _Meaning(a.what, factor, a.negative != b.negative)
        if not whole:
            return product
        return self._along_gradient(product, slot, text) if value.kind == self.slot[0] else None

    def _along_gradient(self, factor: _Meaning, slot: str, text: str) -> _Meaning:
        """Return the gradient times what stands before it."""
        self._uses_gradient = True
        minus = "-" if factor.negative != self.negative else ""
        if factor.name is not None:
            return _Meaning("rule", self.written.apply(slot, minus + "{a} * {b}", {"a": factor.name, "b": "g"}, text))
        return _Meaning("rule", self.written.apply(slot, "-{a}", {"a": "g"}, text) if minus else "g")

    def _shapeless(self, what: str) -> InputError:
        return self._refusal(f"{what} has no form for parameters of any shape")

    def _refusal(self, reason: str) -> InputError:
        return InputError(f"no update rule of {_name(self.slot)}: {reason}")


def _terms(score: Value) -> list[tuple[bool, Value]]:
    """Return the terms of a sum, each with whether it is subtracted."""
    waiting, found = [(False, score)], []
    while waiting:
        minus, value = waiting.pop()
        if value.source == "operation" and value.name in ("scalar_add", "vector_add"):
            waiting += [(minus, one) for one in value.inputs]
        elif value.source == "operation" and value.name in ("scalar_subtract", "vector_subtract"):
            waiting += [(minus, value.inputs[0]), (not minus, value.inputs[1])]
        else:
            found.append((minus, value))
    return found
