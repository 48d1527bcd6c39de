"""Random programs for property tests: drawn by Hypothesis, or fresh from a generator as a search draws them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from selftaught.programs.operators import OPERATOR_SETS, OPERATORS, Operator
from selftaught.programs.program import Instruction, Program, Slots

DEFAULT_SLOTS = Slots(5, 4, 3)
NO_RANDOM = tuple(range(59))

_FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
_FRACTION = st.floats(0, 1, width=32, exclude_max=True)


def _numbers(slots: Slots, kind: str, *, writable: bool) -> tuple[int, int]:
    """Return the lowest and highest slot number of a kind."""
    count = dict(zip("svm", slots, strict=True)).get(kind, 1)
    return (1 if writable and kind in "sv" and kind else 0), count - 1


def _possible(operator: Operator, slots: Slots) -> bool:
    if operator.out == "v" and slots.vectors < 2:
        return False
    return slots.matrices > 0 or "m" not in (operator.out, operator.in1, operator.in2)


@st.composite
def instructions(
    draw: st.DrawFn, slots: Slots = DEFAULT_SLOTS, operators: Sequence[int] = tuple(range(len(OPERATORS)))
) -> Instruction:
    """Draw any valid instruction with these slots and operators."""
    operator = OPERATORS[draw(st.sampled_from([op for op in operators if _possible(OPERATORS[op], slots)]))]
    out = draw(st.integers(*_numbers(slots, operator.out, writable=True))) if operator.out else 0
    in1 = draw(st.integers(*_numbers(slots, operator.in1, writable=False))) if operator.in1 else 0
    in2 = draw(st.integers(*_numbers(slots, operator.in2, writable=False))) if operator.in2 else 0
    constants = [draw(_FRACTION if kind == "index" else _FLOAT32) for kind in operator.draw]
    if operator.draw == ("low", "high"):
        constants.sort()
    return Instruction(operator.id, out, in1, in2, *constants)


@st.composite
def programs(
    draw: st.DrawFn,
    slots: Slots = DEFAULT_SLOTS,
    operators: Sequence[int] = tuple(range(len(OPERATORS))),
    max_size: int = 8,
) -> Program:
    """Draw any valid program of up to `max_size` instructions a function."""
    function = st.lists(instructions(slots, operators), max_size=max_size)
    return Program(tuple(draw(function)), tuple(draw(function)), tuple(draw(function)))


def fresh_instruction(rng: np.random.Generator, slots: Slots, operators: Sequence[int]) -> Instruction:
    """Draw a fresh instruction by the rules of a search."""
    operator = OPERATORS[rng.choice([op for op in operators if _possible(OPERATORS[op], slots)])]

    def slot(kind: str, *, writable: bool = False) -> int:
        low, high = _numbers(slots, kind, writable=writable)
        return int(rng.integers(low, high + 1)) if kind else 0

    constants = [
        float(rng.integers(2**24) / 2**24) if kind in ("index", "std") else float(rng.uniform(-1, 1))
        for kind in operator.draw
    ]
    if operator.draw == ("low", "high"):
        constants.sort()
    return Instruction(
        operator.id, slot(operator.out, writable=True), slot(operator.in1), slot(operator.in2), *constants
    )


def random_program(
    rng: np.random.Generator,
    slots: Slots = DEFAULT_SLOTS,
    sizes: tuple[int, int, int] = (5, 5, 10),
    operators: str | Sequence[int] = "all",
) -> Program:
    """Draw a fresh program of these sizes; `operators` is the name of an operator set or ids for all functions."""
    by_function = []
    for name, size in zip(("setup", "predict", "learn"), sizes, strict=True):
        ids = OPERATOR_SETS[operators][name] if isinstance(operators, str) else operators
        by_function.append(tuple(fresh_instruction(rng, slots, ids) for _ in range(size)))
    return Program(*by_function)
