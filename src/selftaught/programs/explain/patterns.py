"""Patterns in the graph of a step that several techniques share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from selftaught.programs.explain.dataflow import Flow, Slot, Value
from selftaught.programs.explain.places import Place

__all__ = [
    "NONLINEAR",
    "PRODUCTS",
    "adds_up",
    "carries",
    "divisions",
    "normed",
    "learning_values",
    "places_of",
    "products",
    "update_places",
]

_SUMS = {f"{kind}_{word}" for kind in ("scalar", "vector", "matrix") for word in ("add", "subtract", "min", "max")}
_ELEMENTWISE = {f"{kind}_{word}" for kind in ("scalar", "vector", "matrix") for word in ("multiply", "divide")}
_SCALES = {"vector_scale", "matrix_scale"}
_SET = {"vector_constant", "matrix_constant"}
_TURNS = {"matrix_transpose", "vector_abs", "matrix_abs", "scalar_abs"}
_NORMS = {
    "vector_norm", "matrix_norm", "matrix_row_norms", "matrix_column_norms", "vector_std", "matrix_std",
    "matrix_row_stds",
}  # fmt: skip
#: Operators that multiply two operands in some way.
PRODUCTS = (
    {f"{kind}_multiply" for kind in ("scalar", "vector", "matrix")}
    | _SCALES
    | {"vector_dot", "vector_outer", "matrix_vector_product", "matrix_product"}
)
#: Operators that bend: everything but sums, products, means, copies and fills.
NONLINEAR = (
    {f"{kind}_{word}" for kind in ("scalar", "vector", "matrix")
     for word in ("step", "abs", "reciprocal", "divide", "min", "max")}
    | {f"scalar_{word}" for word in ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "exp", "log")}
    | _NORMS
)  # fmt: skip


def carries(value: Value, slot: Slot, *, through: Callable[[Value], bool] | None = None) -> bool:
    """Whether a value is the state of a slot plus, minus or times something: whether it hands the slot on.

    Args:
        value: for example a slot's update.
        slot: the slot.
        through: when given, one value on the way must satisfy it.
    """

    def search(one: Value, passed: bool) -> bool:
        passed = passed or through is None or through(one)
        if one.source == "state":
            return one.slot == slot and passed
        if one.source != "operation":
            return False
        name, inputs = one.name, one.inputs
        if name in _SCALES:
            return search(inputs[1], passed)
        if name in _SUMS or name in _ELEMENTWISE:
            return any(search(i, passed) for i in inputs)
        if name in _SET or name in _TURNS:
            return bool(inputs) and search(inputs[0], passed)
        return False

    return search(value, False)


def adds_up(flow: Flow, slot: Slot) -> bool:
    """Whether a slot's update hands on the slot itself, or another learned slot that does so."""
    update = flow.updates[slot]
    if carries(update, slot):
        return True
    return any(carries(update, other) and carries(flow.updates[other], other) for other in flow.learned - {slot})


def learning_values(flow: Flow, slot: Slot) -> list[Value]:
    """Return the operations that make a slot's updates, over as many steps as it takes, Predict's score left out."""
    scoring = {id(value) for value in flow.score.walk()}
    _, slots = flow.ever(flow.updates[slot])
    found: dict[int, Value] = {}
    for one in {slot, *slots}:
        for value in flow.updates[one].walk():
            if value.source == "operation" and id(value) not in scoring:
                found[id(value)] = value
    return list(found.values())


def update_places(flow: Flow, slot: Slot) -> tuple[Place, ...]:
    """Return the places of the operations that make a slot's update within one step, Predict's score left out."""
    scoring = {id(value) for value in flow.score.walk()}
    return places_of(value for value in flow.updates[slot].walk() if id(value) not in scoring)


def places_of(values: Iterator[Value] | list[Value]) -> tuple[Place, ...]:
    """Return the places of operations, in the program's order, each once."""
    order = {"setup": 0, "predict": 1, "learn": 2}
    found = {value.place for value in values if value.place is not None}
    return tuple(sorted(found, key=lambda place: (order[place[0]], place[1])))


def products(values: Iterator[Value] | list[Value]) -> Iterator[tuple[Value, Value, Value]]:
    """Yield (product, one factor, the other factor) both ways round, for all products among values."""
    for value in values:
        if value.name in PRODUCTS:
            a, b = value.inputs
            yield value, a, b
            yield value, b, a


def divisions(values: Iterator[Value] | list[Value]) -> Iterator[tuple[Value, Value, Value]]:
    """Yield (quotient, what is divided, denominator): divisions, and products with a reciprocal."""
    for value in values:
        if value.name.endswith("_divide"):
            yield value, value.inputs[0], value.inputs[1]
        elif value.name in PRODUCTS:
            for a, b in (value.inputs, value.inputs[::-1]):
                for under in _reciprocals(b):
                    yield value, a, under


def _reciprocals(value: Value) -> Iterator[Value]:
    """Yield denominators of a value that is a reciprocal, or a reciprocal times or filled with something."""
    waiting, seen = [value], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.name.endswith("_reciprocal"):
            yield one.inputs[0]
        elif one.name.endswith("_divide"):
            yield one.inputs[1]
        elif one.name in PRODUCTS or one.name in ("vector_fill", "vector_to_columns", "vector_to_rows"):
            waiting.extend(one.inputs)


def normed(value: Value) -> Iterator[Value]:
    """Yield what norms within a value are taken of; the dot product of a value with itself is one too."""
    for one in value.walk():
        if one.name in _NORMS or (one.name == "vector_dot" and one.inputs[0] is one.inputs[1]):
            yield one.inputs[0]
