"""A program in the reader's form: its prediction and the update of every learned slot as formulas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from selftaught.programs.explain.dataflow import Flow, Slot, Value, flow_of
from selftaught.programs.explain.notation import ATOM, ZERO, Term, number, write
from selftaught.programs.explain.places import keep_live
from selftaught.programs.liveness import CLASSES, REGRESSION
from selftaught.programs.program import Program
from selftaught.programs.text import format_constant, format_instruction

__all__ = ["Formula", "formulas"]

LONGEST = 400  # characters of text; a longer formula is told as instructions

_STEMS = {"v": ("w", "u", "h"), "s": ("b", "c", "a"), "m": ("W", "U", "H")}  # learned, other state, in between


@dataclass(frozen=True)
class Formula:
    """One formula.

    Args:
        name: "prediction", "update of w", "error" or the name that it defines.
        latex: the formula in LaTeX without dollar signs; empty where it is too long to be read as one.
        text: the same in plain text, or the instructions.
    """

    name: str
    latex: str
    text: str

    def to_dict(self) -> dict[str, str]:
        """Return plain data for JSON."""
        return {"name": self.name, "latex": self.latex, "text": self.text}


def formulas(program: Program, kind: int = REGRESSION) -> tuple[Formula, ...]:
    r"""Write a program as formulas: constants, what is used more than once, the prediction, the updates.

    x is the features, y the label, \hat y the prediction; learned vectors are w, scalars b, matrices W; constants of
    Setup are \eta. All right-hand sides of updates hold the values before the update.

    Args:
        program: any program; its live form is written.
        kind: `liveness.REGRESSION`, `BINARY` (the score goes through a sigmoid) or `CLASSES` (softmax).

    >>> from selftaught.programs import linear_learner
    >>> for formula in formulas(linear_learner(0.01)): print(formula.text)
    eta = 0.01
    prediction = dot(x, w)
    w <- w + eta * (y - prediction) * x
    """
    flow = flow_of(keep_live(program, kind), kind)
    return tuple(_Writer(flow, kind).formulas())


class _Writer:
    """Writes the values of one graph, with a name for each that is used more than once."""

    def __init__(self, flow: Flow, kind: int) -> None:
        self.flow, self.kind = flow, kind
        self.reached = sorted(flow.ever(flow.score)[1])
        self.shown = [slot for slot in self.reached if not self._is_output(slot)]
        self._given: dict[int, Term] = {}
        self._used: dict[str, int] = {}
        self._slots: dict[Slot, Term] = {}
        self._named: list[Value] = []
        self._name_all()

    def formulas(self) -> Iterator[Formula]:
        for value in self._named:
            yield self._formula(value, self._given[id(value)])
        yield self._prediction()
        for slot in self.shown:
            target = self._slots[slot]
            value = self.flow.updates[slot]
            yield self._made(f"update of {target.text}", target, value, self._of(value), r"\leftarrow", "<-")

    def _is_output(self, slot: Slot) -> bool:
        return self.flow.updates[slot] in (self.flow.score, self.flow.prediction)

    # ---- names

    def _name_all(self) -> None:
        flow = self.flow
        for slot in self.reached:
            stem = _STEMS[slot[0]][0 if slot in flow.learned else 1]
            self._slots[slot] = (
                Term(r"\hat y_{\mathrm{before}}", "prediction_before") if self._is_output(slot) else self._fresh(stem)
            )
        roots = [flow.score, *(flow.updates[slot] for slot in self.shown)]
        values = {id(value): value for root in roots for value in root.walk()}
        uses: dict[int, int] = {}
        for value in values.values():
            for one in value.inputs:
                uses[id(one)] = uses.get(id(one), 0) + 1
        for root in roots[1:]:
            uses[id(root)] = uses.get(id(root), 0) + 1
        self._given[id(flow.prediction)] = Term(r"\hat y", "prediction")
        for value in sorted(values.values(), key=self._order):
            if value.source != "operation" or id(value) in self._given:
                continue
            stem = self._stem(value)
            fixed = value.place is not None and value.place[0] == "setup"
            often = uses.get(id(value), 0) > 1 and value.name != "scalar_constant"
            if (fixed or often) and value is not flow.score:
                self._given[id(value)] = self._fresh(stem)
                self._named.append(value)

    def _order(self, value: Value) -> tuple[int, int]:
        places = {"setup": 0, "predict": 1, "learn": 2}
        return (places[value.place[0]], value.place[1]) if value.place else (-1, 0)

    def _stem(self, value: Value) -> str:
        if value.place is not None and value.place[0] == "setup":
            return {"s": "eta", "v": "r", "m": "R"}[value.kind]
        sides = value.inputs
        if value.name == "scalar_subtract" and sides[0].source == "label" and sides[1] is self.flow.prediction:
            return "e"
        return _STEMS[value.kind][2]

    def _fresh(self, stem: str) -> Term:
        self._used[stem] = self._used.get(stem, 0) + 1
        count = self._used[stem]
        latex = r"\eta" if stem == "eta" else stem
        return Term(latex, stem) if count == 1 else Term(f"{latex}_{{{count}}}", f"{stem}{count}")

    # ---- expressions

    def _of(self, value: Value, *, named: bool = True) -> Term | None:
        """Return the term of a value, by its name where it has one; None where it has no algebra."""
        if named and id(value) in self._given:
            return self._given[id(value)]
        if value.source == "features":
            return Term("x", "x")
        if value.source == "label":
            return Term("y", "y")
        if value.source == "zero":
            return ZERO
        if value.source == "state" and value.slot is not None:
            return self._slots.get(value.slot)
        if value.instruction is None:
            return None
        constants = value.instruction.constants
        if value.name.endswith("_constant"):
            return self._constant(value, constants)
        if constants:
            return self._drawn(value.name, constants)
        terms = [self._of(one) for one in self._ordered(value)]
        if any(term is None for term in terms):
            return None
        return write(value.name, [term for term in terms if term is not None])

    def _ordered(self, value: Value) -> tuple[Value, ...]:
        """Return the inputs as people write them: a slot stands first in the sum that goes on from it."""
        if value.name.endswith("_add"):
            return tuple(sorted(value.inputs, key=lambda one: not self._goes_on(one, value)))
        return value.inputs

    def _goes_on(self, state: Value, value: Value) -> bool:
        return state.source == "state" and state.slot is not None and self.flow.updates[state.slot] is value

    def _constant(self, value: Value, constants: tuple[float, ...]) -> Term | None:
        if value.kind == "s":
            return number(constants[0])
        old = self._of(value.inputs[0])
        if old is None:
            return None
        where = ", ".join(format_constant(c) for c in constants[:-1])
        what = format_constant(constants[-1])
        return Term(rf"\left.{old.latex}\right|_{{[{where}] = {what}}}", f"({old.text} with [{where}] = {what})", ATOM)

    def _drawn(self, name: str, constants: tuple[float, ...]) -> Term:
        low, high = (format_constant(c) for c in constants)
        if name.endswith("uniform"):
            return Term(rf"\mathcal{{U}}({low}, {high})", f"uniform({low}, {high})")
        return Term(rf"\mathcal{{N}}({low}, {high}^2)", f"gaussian({low}, {high})")

    # ---- formulas

    def _formula(self, value: Value, target: Term) -> Formula:
        fill = value.instruction is not None and value.name.endswith(("uniform", "gaussian"))
        latex, text = (r"\sim", "~") if fill else ("=", "=")
        return self._made(target.text, target, value, self._of(value, named=False), latex, text)

    def _prediction(self) -> Formula:
        score = self._of(self.flow.score, named=False)
        target = Term(r"\hat y", "prediction")
        if score is not None and self.kind != REGRESSION:
            word = "softmax" if self.kind == CLASSES else "sigmoid"
            latex = r"\operatorname{softmax}" if self.kind == CLASSES else r"\sigma"
            score = Term(rf"{latex}\!\left({score.latex}\right)", f"{word}({score.text})")
        return self._made("prediction", target, self.flow.score, score, "=", "=")

    def _made(self, name: str, target: Term, value: Value, term: Term | None, latex: str, text: str) -> Formula:
        if term is None or len(term.text) > LONGEST:
            order = sorted((v for v in value.walk() if v.instruction is not None), key=self._order)
            lines = "; ".join(format_instruction(v.instruction) for v in order if v.instruction is not None)
            return Formula(name, "", f"{target.text} {text} the result of: {lines}")
        return Formula(name, f"{target.latex} {latex} {term.latex}", f"{target.text} {text} {term.text}")
