"""From a statement to an instruction: which operator the operands' types name, and what is wrong with them."""

from __future__ import annotations

from selftaught.programs.operators import OPERATORS, Operator
from selftaught.programs.program import MAX_SLOTS, Instruction, Slots
from selftaught.programs.syntax import FORMS, FUNCTION_NAMES, LineError, Operand, Statement, quote

__all__ = ["NOUN", "NOUNS", "check_slots", "instruction_of", "look_up"]

NOUN = {"s": "scalar", "v": "vector", "m": "matrix", "c": "constant"}
NOUNS = {"s": "scalars", "v": "vectors", "m": "matrices", "c": "constants"}


def check_slots(statement: Statement, slots: Slots | None, *, several_classes: bool) -> list[LineError]:
    """Return what is wrong with the slots of a statement.

    Args:
        statement: one instruction.
        slots: the slot counts of the program; None when they are not known.
        several_classes: v1 holds the one-hot label and v2 is the first vector that can be written.
    """
    found = []
    counts = dict(zip("svm", slots, strict=True)) if slots else dict.fromkeys("svm", MAX_SLOTS)
    for operand in statement.slots:
        if operand.value >= counts[operand.kind]:
            exists = f"a program has at most {MAX_SLOTS} slots"
            if slots:
                exists = _what_exists(operand.kind, counts[operand.kind])
            found.append(LineError(operand.column, f"{operand.text} does not exist; {exists}"))
    target = statement.target
    if target is None or target.kind == "m":
        return found
    first = 2 if target.kind == "v" and several_classes else 1
    if target.value < first:
        holds = "holds the label"
        if target.kind == "v" and target.value == 0:
            holds = "holds the features"
        elif target.kind == "s" and several_classes:
            holds = "is 0 in a task of several classes"
        allowed = [f"{target.kind}{number}" for number in range(first, counts[target.kind])]
        advice = f"write to {_choice(allowed)}" if allowed else "this program has no other vector"
        found.append(LineError(target.column, f"{target.text} {holds} and cannot be written; {advice}"))
    return found


def look_up(statement: Statement) -> tuple[Operator, tuple[Operand, ...]]:
    """Return the operator that a statement means, and its operands in the operator's order.

    Raises:
        LineError: no operator takes these operands or gives this result, or a constant is out of range.
    """
    target, operands, kinds = statement.target, statement.operands, statement.kinds
    if target is None:
        return OPERATORS[0], ()
    by_kinds = FORMS.get((statement.form, statement.name), {})
    if not by_kinds:
        raise LineError(
            statement.column,
            f"unknown function {quote(statement.name)}",
            statement.name,
            FUNCTION_NAMES,
            otherwise="; the functions are " + ", ".join(FUNCTION_NAMES),
        )
    if statement.name == "*" and kinds in ("vs", "ms"):
        kinds, operands = kinds[::-1], operands[::-1]
    if statement.form == "element":
        _check_element(target, len(operands) - 1)
    elif kinds not in by_kinds:
        raise LineError(statement.column, _mismatch(statement, list(by_kinds)))
    by_out = by_kinds[kinds]
    if target.kind not in by_out:
        gives = _choice([f"a {NOUN[out]}" for out in by_out])
        source = f"{statement.name} of {_count(kinds)}" if statement.form == "call" else "the right-hand side"
        advice = "; use fill(s1) or v1[0.5] = ..." if statement.form == "constant" else ""
        raise LineError(target.column, f"{source} is {gives}, but {target.text} is a {NOUN[target.kind]}{advice}")
    operator = OPERATORS[by_out[target.kind]]
    _check_constants(statement, operator)
    return operator, operands


def instruction_of(operator: Operator, statement: Statement, operands: tuple[Operand, ...]) -> Instruction:
    """Return the instruction of a statement that has been checked."""
    out = int(statement.target.value) if statement.target else 0
    in1, in2 = ([int(operand.value) for operand in operands if operand.kind != "c"] + [0, 0])[:2]
    return Instruction(operator.id, out, in1, in2, *(operand.value for operand in operands if operand.kind == "c"))


def _check_constants(statement: Statement, operator: Operator) -> None:
    constants = [operand for operand in statement.operands if operand.kind == "c"]
    for operand, kind in zip(constants, operator.draw, strict=True):
        if kind == "index" and not 0 <= operand.value < 1:
            raise LineError(operand.column, f"index fraction {operand.text} is not in [0, 1)")
    if operator.draw == ("low", "high") and constants[0].value > constants[1].value:
        low, high = (operand.text for operand in constants)
        raise LineError(statement.column, f"uniform({low}, {high}): low is above high; swap them")


def _check_element(target: Operand, got: int) -> None:
    wanted = {"s": 0, "v": 1, "m": 2}[target.kind]
    if wanted == 0:
        raise LineError(target.column, f"{target.text} is a scalar and has no elements; write {target.text} = ...")
    if wanted != got:
        word = "index" if wanted == 1 else "indices"
        raise LineError(target.column, f"{target.text} takes {wanted} {word}, got {got}")


def _mismatch(statement: Statement, allowed: list[str]) -> str:
    got = " and ".join(operand.text for operand in statement.operands) or "nothing"
    if len(statement.operands) > 3:
        got = f"{len(statement.operands)} operands"
    hint = "; put the constant in a scalar first" if statement.form == "binary" and "c" in statement.kinds else ""
    return f"{statement.name} takes {_choice([_count(kinds) for kinds in allowed])}, got {got}{hint}"


def _what_exists(kind: str, count: int) -> str:
    if count == 0:
        return f"this program has no {NOUNS[kind]}"
    span = f"{kind}0" if count == 1 else f"{kind}0 to {kind}{count - 1}"
    return f"this program has {count} {NOUN[kind] if count == 1 else NOUNS[kind]} ({span})"


def _choice(options: list[str]) -> str:
    """Join options with commas and an "or"; many slots become a range."""
    if len(options) > 4 and " " not in options[0]:
        return f"{options[0]} to {options[-1]}"
    return ", ".join(options[:-1]) + " or " + options[-1] if len(options) > 1 else options[0]


def _count(kinds: str) -> str:
    """Say operand kinds in words: "vv" is two vectors, "mv" a matrix and a vector."""
    if len(kinds) == 2 and kinds[0] == kinds[1]:
        return f"two {NOUNS[kinds[0]]}"
    return " and ".join(f"a {NOUN[kind]}" for kind in kinds)
