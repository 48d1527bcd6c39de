"""The live form of a program in plain Python: what exports and explanations keep, without the compiled engine.

It is the analysis of `selftaught.programs.liveness`, on instructions instead of encoded records.
"""

from __future__ import annotations

from collections.abc import Iterable

from selftaught.errors import ProgramError
from selftaught.programs.operators import IS_PARTIAL, OPERATORS
from selftaught.programs.program import Instruction, Program
from selftaught.programs.text import classes_of

__all__ = [
    "BINARY",
    "CLASSES",
    "REGRESSION",
    "Slot",
    "has_state",
    "kind_of",
    "live_form",
    "scoring_part",
    "slots_read",
    "slots_used",
    "without_dead_code",
]

REGRESSION, BINARY, CLASSES = 0, 1, 2  # kinds of task: what surrounds a program

Slot = tuple[str, int]
"""Kind ('s', 'v' or 'm') and number."""


def kind_of(task: str) -> int:
    """Return REGRESSION, BINARY or CLASSES for a task.

    Raises:
        ProgramError: the task is none of "regression", "binary" and "classes K".

    >>> kind_of("classes 3") == CLASSES
    True
    """
    return CLASSES if classes_of(task) else BINARY if task == "binary" else REGRESSION


def slots_read(instruction: Instruction) -> list[Slot]:
    """Return the slots that an instruction reads; one that writes a single element reads what it leaves."""
    operator = OPERATORS[instruction.op]
    named = ((operator.in1, instruction.in1), (operator.in2, instruction.in2))
    read = [(kind, slot) for kind, slot in named if kind]
    return [*read, (operator.out, instruction.out)] if IS_PARTIAL[operator.id] else read


def slots_used(instructions: Iterable[Instruction]) -> set[Slot]:
    """Return every slot that instructions read or write."""
    used: set[Slot] = set()
    for instruction in instructions:
        used.update(slots_read(instruction))
        if OPERATORS[instruction.op].out:
            used.add((OPERATORS[instruction.op].out, instruction.out))
    return used


def without_dead_code(program: Program, *, several_classes: bool = False) -> Program:
    """Return the program without the instructions that no prediction depends on.

    Args:
        program: any program.
        several_classes: True where the prediction is v2 and v1 the label, not s1 and s0.

    >>> from selftaught.programs import linear_learner
    >>> without_dead_code(linear_learner(0.1)) == linear_learner(0.1)
    True
    """
    return _analyse(program, several_classes)[0]


def live_form(program: Program, *, task: str = "regression") -> Program:
    """Return the program without the instructions that no prediction depends on.

    Args:
        program: any program.
        task: "regression", "binary" or "classes K".

    Raises:
        ProgramError: the task is none of these, or the program writes the label of a task of several classes.
    """
    return without_dead_code(program, several_classes=_several_classes(program, task))


def has_state(program: Program, *, task: str = "regression") -> bool:
    """Say whether Predict carries state: it reads a slot that an earlier run of Predict wrote.

    Such a program's predictions depend on what it predicted before.
    """
    live, on_entry = _analyse(program, _several_classes(program, task))
    written = {(OPERATORS[i.op].out, i.out) for i in live.predict}
    return bool(written & on_entry)


def scoring_part(program: Program, *, task: str = "regression") -> tuple[Program, set[Slot]]:
    """Return what one prediction needs, and the slots whose memory it reads, the features left out.

    The program that comes back has the instructions of Predict that the score depends on, those of Setup that fill
    the slots read, and no Learn.

    Args:
        program: any program.
        task: "regression", "binary" or "classes K".

    Raises:
        ProgramError: the task is none of these, or the program writes the label of a task of several classes.

    >>> from selftaught.programs import linear_learner
    >>> scoring_part(linear_learner(0.1))[1]
    {('v', 1)}
    """
    several = _several_classes(program, task)
    predict, read = _back(program.predict, {("v", 2) if several else ("s", 1)})
    read -= {("v", 0)}
    setup, _ = _back(program.setup, read)
    return Program(setup, predict), read


def _several_classes(program: Program, task: str) -> bool:
    if not classes_of(task):
        return False
    if any(OPERATORS[i.op].out == "v" and i.out == 1 for _, part in program.functions() for i in part):
        raise ProgramError("v1 holds the label in a task of several classes and cannot be written")
    return True


def _analyse(program: Program, several_classes: bool) -> tuple[Program, set[Slot]]:
    """Return the live form and the slots live on entry to Predict."""
    outside: set[Slot] = {("s", 0), ("v", 0), ("v", 1)} if several_classes else {("s", 0), ("v", 0)}
    output: Slot = ("v", 2) if several_classes else ("s", 1)
    into_predict: set[Slot] = set()
    into_learn: set[Slot] = set()
    while True:
        _, before_learn = _back(program.learn, into_predict)
        # After Predict comes Learn or, where nothing is taught, Predict again.
        _, before_predict = _back(program.predict, {output} | (before_learn - outside) | into_predict)
        if before_learn - outside == into_learn and before_predict - outside == into_predict:
            break
        into_learn, into_predict = before_learn - outside, before_predict - outside
    learn, _ = _back(program.learn, into_predict)
    predict, _ = _back(program.predict, {output} | into_learn | into_predict)
    setup, _ = _back(program.setup, into_predict)
    return Program(setup, predict, learn), into_predict


def _back(function: tuple[Instruction, ...], alive: set[Slot]) -> tuple[tuple[Instruction, ...], set[Slot]]:
    """Walk a function backwards from what is live at its end; return what is live of it, and at its start."""
    alive = set(alive)
    kept: list[Instruction] = []
    for instruction in reversed(function):
        operator = OPERATORS[instruction.op]
        target = (operator.out, instruction.out)
        if not operator.out or target not in alive:
            continue
        kept.append(instruction)
        alive.discard(target)
        alive.update(slots_read(instruction))
    return tuple(reversed(kept)), alive
