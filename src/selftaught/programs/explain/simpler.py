"""Neighbours of a program that are simpler: fewer live instructions, or fewer digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

from selftaught.errors import ProgramError
from selftaught.programs.explain.bits import digits_of
from selftaught.programs.explain.places import Place, keep_live, places, replace_at, without
from selftaught.programs.operators import BY_NAME, IS_PARTIAL, OPERATORS
from selftaught.programs.program import Instruction, Program

__all__ = ["bypasses", "fewer_digits", "removals", "rewirings", "zeroed"]

_WORDS = {"s": "scalar", "v": "vector", "m": "matrix"}
_INPUTS = ("in1", "in2")


def removals(program: Program, kind: int, *, together: int = 1) -> Iterator[Program]:
    """Yield the live forms of the program without each set of `together` instructions."""
    every = [place for place, _ in places(program)]
    for gone in combinations(every, together):
        yield keep_live(without(program, gone), kind)


def rewirings(program: Program, kind: int) -> Iterator[Program]:
    """Yield shorter live programs in which something reads an older slot in place of a result.

    Two kinds: one operand of one instruction reads another slot, and what it read before dies with all that
    made it; or an instruction goes and everything that read its result reads another slot.
    """
    slots = _slots_in_use(program)
    for place, instruction in places(program):
        operator = OPERATORS[instruction.op]
        for field in _INPUTS:
            for slot in slots.get(getattr(operator, field), ()):
                if slot != getattr(instruction, field):
                    yield from _shorter(program, replace_at(program, place, _rewired(instruction, field, slot)), kind)
        if not IS_PARTIAL[instruction.op]:
            for slot in slots.get(operator.out, ()):
                if slot != instruction.out:
                    yield from _shorter(program, _forwarded(program, place, slot), kind)


def bypasses(program: Program, place: Place) -> list[Program]:
    """Return the program without an instruction, its readers reading one of its operands of the same type instead."""
    instruction = dict(places(program))[place]
    operator = OPERATORS[instruction.op]
    operands = {getattr(instruction, field) for field in _INPUTS if getattr(operator, field) == operator.out}
    return [_forwarded(program, place, slot) for slot in sorted(operands - {instruction.out})]


def zeroed(program: Program, place: Place) -> Program:
    """Return the program with zeros where an instruction left its result; a slot then does not keep an older value."""
    instruction = dict(places(program))[place]
    kind = OPERATORS[instruction.op].out
    same = instruction.out if kind == "m" else 0
    minus = BY_NAME[f"{_WORDS[kind]}_subtract"]
    return replace_at(program, place, Instruction(minus.id, instruction.out, same, same))


def fewer_digits(program: Program, place: Place, number: int) -> Iterator[tuple[int, Program]]:
    """Yield (digits, program) with constant `number` of an instruction rounded to 1, 2 ... digits less than it has."""
    instruction = dict(places(program))[place]
    value = instruction.constants[number]
    for digits in range(1, digits_of(value)[0]):
        try:
            rounded = [*instruction.constants]
            rounded[number] = float(f"{value:.{digits - 1}e}")
            changed = Instruction(instruction.op, instruction.out, instruction.in1, instruction.in2, *rounded)
        except ProgramError:  # rounding left what the operator allows, such as a fraction below 1
            continue
        yield digits, replace_at(program, place, changed)


def _shorter(program: Program, changed: Program, kind: int) -> Iterator[Program]:
    live = keep_live(changed, kind)
    if len(live) < len(program):
        yield live


def _rewired(instruction: Instruction, field: str, slot: int) -> Instruction:
    return replace(instruction, **{field: slot})


def _slots_in_use(program: Program) -> dict[str, list[int]]:
    """Return type -> slots that the program reads or writes, one that nothing writes (zero) included."""
    used: dict[str, set[int]] = {"s": {0, 1}, "v": {0}, "m": set()}
    for _, instruction in places(program):
        operator = OPERATORS[instruction.op]
        for kind, slot in (
            (operator.out, instruction.out), (operator.in1, instruction.in1), (operator.in2, instruction.in2),
        ):  # fmt: skip
            if kind:
                used[kind].add(slot)
    return {kind: sorted(slots) for kind, slots in used.items()}


def _forwarded(program: Program, place: Place, slot: int) -> Program:
    """Take an instruction out; readers of its result, until the slot is written again, read `slot`.

    Readers are those after it in the same function, and all others when nothing else writes its slot.
    """
    name, line = place
    gone = dict(places(program))[place]
    kind, old = OPERATORS[gone.op].out, gone.out
    writers = sum(OPERATORS[i.op].out == kind and i.out == old for _, i in places(program))
    parts = []
    for function, instructions in program.functions():
        changed = []
        reading = writers == 1
        for number, instruction in enumerate(instructions):
            if (function, number) == (name, line):
                reading = True
                continue
            now = instruction
            operator = OPERATORS[instruction.op]
            if reading and (function == name or writers == 1):
                for field in _INPUTS:
                    if getattr(operator, field) == kind and getattr(now, field) == old:
                        now = _rewired(now, field, slot)
            if function == name and operator.out == kind and instruction.out == old:
                reading = writers == 1
            changed.append(now)
        parts.append(tuple(changed))
    return Program(*parts)
