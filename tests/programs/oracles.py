"""Liveness by another road: which values can reach a prediction, as a search in the graph of program points."""

from __future__ import annotations

from dataclasses import replace

from selftaught.programs.operators import IS_PARTIAL, OPERATORS
from selftaught.programs.program import Instruction, Program

Slot = tuple[str, int]
Point = tuple[str, int, Slot]  # function, instructions already run in it, slot whose value is followed


def written(instruction: Instruction) -> Slot | None:
    """The slot that an instruction writes, if any."""
    kind = OPERATORS[instruction.op].out
    return (kind, instruction.out) if kind else None


def read(instruction: Instruction) -> list[Slot]:
    """The slots that an instruction reads; a partial write reads what it leaves."""
    op = OPERATORS[instruction.op]
    slots = [(kind, slot) for kind, slot in ((op.in1, instruction.in1), (op.in2, instruction.in2)) if kind]
    return [*slots, (op.out, instruction.out)] if IS_PARTIAL[op.id] else slots


def useful_points(program: Program, *, classes: bool = False) -> set[Point]:
    """Every point and slot whose value there can reach a prediction that is looked at.

    Setup runs once, then Predict; after Predict comes Learn or, in validation, Predict again; after Learn Predict.
    """
    output: Slot = ("v", 2) if classes else ("s", 1)
    outside: set[Slot] = {("s", 0), ("v", 0)} | ({("v", 1)} if classes else set())
    functions = dict(program.functions())
    before = {"setup": (), "predict": ("setup", "predict", "learn"), "learn": ("predict",)}
    found: set[Point] = set()
    waiting: list[Point] = [("predict", len(functions["predict"]), output)]
    while waiting:
        point = waiting.pop()
        if point in found:
            continue
        found.add(point)
        function, position, slot = point
        if position == 0:
            if slot not in outside:
                waiting += [(earlier, len(functions[earlier]), slot) for earlier in before[function]]
            continue
        instruction = functions[function][position - 1]
        if written(instruction) == slot:
            waiting += [(function, position - 1, source) for source in read(instruction)]
        else:
            waiting.append((function, position - 1, slot))
    return found


def live_form(program: Program, *, classes: bool = False) -> Program:
    """The program without what no prediction depends on."""
    points = useful_points(program, classes=classes)
    kept = {
        name: tuple(
            instruction
            for number, instruction in enumerate(function)
            if (slot := written(instruction)) and (name, number + 1, slot) in points
        )
        for name, function in program.functions()
    }
    return Program(**kept)


def leave_label_alone(program: Program) -> Program:
    """The program with writes to v1, the label of several classes, sent to v2."""
    moved = {
        name: tuple(replace(i, out=2) if written(i) == ("v", 1) else i for i in function)
        for name, function in program.functions()
    }
    return Program(**moved)
