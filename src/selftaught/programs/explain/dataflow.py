"""One step of a program (Predict, then Learn) as a graph of values: what each slot holds is an expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from selftaught.programs.explain.places import Place
from selftaught.programs.live_form import BINARY, CLASSES
from selftaught.programs.operators import IS_PARTIAL, IS_RANDOM, OPERATORS
from selftaught.programs.program import Instruction, Program

__all__ = ["Flow", "Slot", "Value", "flow_of"]

#: A slot's type and number, such as ("v", 1).
Slot = tuple[str, int]
Source = Literal["features", "label", "state", "zero", "prediction", "operation"]


@dataclass(frozen=True, eq=False)
class Value:
    """What a slot holds at one point; two values are the same when they are one object.

    Args:
        source: "features" (v0), "label" (s0, or v1 in tasks of several classes), "state" (what a slot held when
            Predict began), "zero" (nothing writes it), "prediction" (s1 or v2 after the loop's sigmoid or softmax)
            or "operation" (an instruction's result).
        kind: "s", "v" or "m".
        slot: the slot of a state.
        instruction: the instruction of an operation.
        place: where it stands.
        inputs: the values that an operation reads (a partial write reads the old value first), or the raw score
            under a prediction.
    """

    source: Source
    kind: str
    slot: Slot | None = None
    instruction: Instruction | None = None
    place: Place | None = None
    inputs: tuple[Value, ...] = ()

    @property
    def name(self) -> str:
        """The operator's name, or an empty string."""
        return OPERATORS[self.instruction.op].name if self.instruction else ""

    @property
    def is_random(self) -> bool:
        """Whether it is a random fill made for every example (one in Setup is drawn once)."""
        drawn = self.instruction is not None and bool(IS_RANDOM[self.instruction.op])
        return drawn and self.place is not None and self.place[0] != "setup"

    def walk(self) -> Iterator[Value]:
        """Yield this value and all it is made of within one step, each once."""
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            value = waiting.pop()
            if id(value) not in seen:
                seen.add(id(value))
                yield value
                waiting.extend(value.inputs)


@dataclass(frozen=True, eq=False)
class Flow:
    """The graph of one step.

    Args:
        score: what Predict leaves in s1 (v2 in tasks of several classes), before a sigmoid or softmax.
        prediction: the value that Learn and the loop see.
        updates: slot -> what it holds when the next Predict begins, for all slots that Predict or Learn writes.
        first: slot -> what Setup left in it, for the same slots.
        operations: place -> the value that the instruction there makes.
    """

    score: Value
    prediction: Value
    updates: dict[Slot, Value]
    first: dict[Slot, Value]
    operations: dict[Place, Value]
    _leaves: dict[int, frozenset[Value]] = field(default_factory=dict, repr=False)

    def leaves(self, value: Value) -> frozenset[Value]:
        """Return the values without inputs that a value is made of within one step."""
        if id(value) not in self._leaves:
            self._leaves[id(value)] = frozenset(one for one in value.walk() if not one.inputs)
        return self._leaves[id(value)]

    def states(self, value: Value) -> set[Slot]:
        """Return the slots whose state a value reads within one step."""
        return {leaf.slot for leaf in self.leaves(value) if leaf.source == "state" and leaf.slot is not None}

    def reads(self, value: Value, source: Source) -> bool:
        """Whether a value reads the features or the label of this step."""
        return any(leaf.source == source for leaf in self.leaves(value))

    def ever(self, value: Value) -> tuple[frozenset[str], frozenset[Slot]]:
        """Return (sources, slots) that a value depends on through any number of steps."""
        sources: set[str] = set()
        slots: set[Slot] = set()
        waiting = [value]
        while waiting:
            for leaf in self.leaves(waiting.pop()):
                sources.add("random" if leaf.is_random else leaf.source)
                if leaf.source == "state" and leaf.slot is not None and leaf.slot not in slots:
                    slots.add(leaf.slot)
                    waiting.append(self.updates[leaf.slot])
        return frozenset(sources), frozenset(slots)

    def is_constant(self, value: Value) -> bool:
        """Whether a value is the same for all examples at one time: no features, label, prediction or noise."""
        return not self.ever(value)[0] & {"features", "label", "random"}

    @property
    def learned(self) -> set[Slot]:
        """Slots that reach the score, keep a state, and whose update depends on the label."""
        _, reached = self.ever(self.score)
        return {slot for slot in reached if "label" in self.ever(self.updates[slot])[0]}


def flow_of(program: Program, kind: int) -> Flow:
    """Return the graph of a live program.

    Args:
        program: in live form.
        kind: `liveness.REGRESSION`, `BINARY` or `CLASSES`.
    """
    operations: dict[Place, Value] = {}
    label: Slot = ("v", 1) if kind == CLASSES else ("s", 0)
    output: Slot = ("v", 2) if kind == CLASSES else ("s", 1)
    zeros = {one: Value("zero", one) for one in "svm"}

    def run(name: str, function: tuple[Instruction, ...], held: dict[Slot, Value]) -> None:
        for line, instruction in enumerate(function):
            operator = OPERATORS[instruction.op]
            if not operator.out:
                continue
            out: Slot = (operator.out, instruction.out)
            read: list[Slot] = [out] if IS_PARTIAL[operator.id] else []
            read += [(k, n) for k, n in ((operator.in1, instruction.in1), (operator.in2, instruction.in2)) if k]
            inputs = tuple(held.get(slot, zeros[slot[0]]) for slot in read)
            held[out] = operations[name, line] = Value(
                "operation", operator.out, None, instruction, (name, line), inputs
            )

    held: dict[Slot, Value] = {}
    run("setup", program.setup, held)
    changing = {
        (OPERATORS[i.op].out, i.out) for part in (program.predict, program.learn) for i in part if OPERATORS[i.op].out
    }
    if kind in (BINARY, CLASSES):
        changing.add(output)
    first = {slot: held.get(slot, zeros[slot[0]]) for slot in changing}
    held |= {slot: Value("state", slot[0], slot) for slot in changing}
    held["v", 0] = Value("features", "v")
    run("predict", program.predict, held)
    score = held.get(output, zeros[output[0]])
    prediction = score
    if kind != 0:
        prediction = Value("prediction", output[0], inputs=(score,))
        held[output] = prediction
    held[label] = Value("label", label[0])
    run("learn", program.learn, held)
    return Flow(score, prediction, {slot: held[slot] for slot in changing}, first, operations)
