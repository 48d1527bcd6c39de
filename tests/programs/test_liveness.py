"""Liveness and canonical keys against a graph search and against the reference interpreter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from selftaught.programs import liveness
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.liveness import BINARY, CLASSES, REGRESSION, canonical_key, compact, find_live, has_random
from selftaught.programs.operators import IS_COMMUTATIVE, OPERATORS
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Instruction, Program, Slots
from selftaught.programs.reference import evaluate_reference
from tests.programs.oracles import Slot, leave_label_alone, live_form, read, useful_points, written
from tests.programs.strategies import NO_RANDOM, programs, random_program

SLOTS = Slots(6, 5, 3)
KINDS = (REGRESSION, BINARY, CLASSES)
TRAP = """\
selftaught-program 1
task: regression
setup:
    pass
predict:
    s1 = abs(s2)
    s2 = norm(v0)
learn:
    s2 = s0 - s1
"""


def shape(kind: int = REGRESSION, slots: Slots = SLOTS) -> NDArray[np.int64]:
    return np.array([*slots, kind, 0, 0], np.int64)


def analysed(program: Program, kind: int = REGRESSION) -> tuple[Program, NDArray[np.uint64]]:
    """The engine's live form, and its mask of live slots after every instruction."""
    code, sizes = program.encode()
    marks = np.zeros((2, len(code) + 1), np.uint64)
    count = find_live(code, sizes, shape(kind), marks)
    after = marks[liveness.AFTER].copy()
    assert compact(code, sizes, marks) == count == sizes.sum()
    return Program.decode(code, sizes), after


def engine_live(program: Program, kind: int = REGRESSION) -> Program:
    return analysed(program, kind)[0]


def key(program: Program, kind: int = REGRESSION) -> tuple[int, int]:
    code, sizes = engine_live(program, kind).encode()
    low, high, *_ = canonical_key(code, sizes, shape(kind), np.zeros(80, np.int64))
    return int(low), int(high)


def bit(slot: Slot) -> int:
    """A slot's place in the engine's masks."""
    kind, number = slot
    return {"s": 0, "v": SLOTS.scalars, "m": SLOTS.scalars + SLOTS.vectors}[kind] + number


# ---- liveness


def test_validation_reads_what_predict_left() -> None:
    """Learn overwrites s2, so training alone never reads norm(v0); validation does."""
    program = parse_program(TRAP).program
    assert engine_live(program) == live_form(program) == program
    tasks = builtin_tasks("linear_regression", count=16, features=4, num_train=30, num_valid=20)
    arrays = (tasks.train_x, tasks.train_y, tasks.valid_x, tasks.valid_y)
    whole = evaluate_reference(program, *arrays, seeds=tasks.stream_seeds)
    without = evaluate_reference(replace(program, predict=program.predict[:1]), *arrays, seeds=tasks.stream_seeds)
    assert abs(whole - without).max() > 0.01
    np.testing.assert_allclose(Evaluator(tasks).score(program), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("predict", "kept"),
    [
        (("s1 = dot(v1, v0)",), 2),  # both elements of v1 are read: neither write kills the other
        (("v1 = abs(v0)", "s1 = dot(v1, v0)"), 0),  # a full write kills both
    ],
)
def test_a_partial_write_does_not_kill(predict: tuple[str, ...], kept: int) -> None:
    body = "\n    ".join(predict)
    text = f"selftaught-program 1\ntask: regression\nsetup:\n    v1[0.25] = 0.5\n    v1[0] = 2\npredict:\n    {body}\n"
    program = parse_program(text + "learn:\n    pass\n").program
    assert len(engine_live(program).setup) == kept


def test_hand_written_learners_are_live() -> None:
    for program in (linear_learner(), two_layer_network()):
        code, sizes = program.encode()
        marks = np.zeros((2, len(code) + 1), np.uint64)
        assert find_live(code, sizes, shape(slots=Slots(5, 9, 2)), marks) == len(program)


@settings(max_examples=300, deadline=None)
@given(programs(SLOTS), st.sampled_from(KINDS))
def test_live_is_what_can_reach_a_prediction(program: Program, kind: int) -> None:
    classes = kind == CLASSES
    if classes:
        program = leave_label_alone(program)
    live, after = analysed(program, kind)
    assert live == live_form(program, classes=classes)
    assert engine_live(live, kind) == live
    points = useful_points(program, classes=classes)
    place = 0
    for name, function in program.functions():
        for number in range(len(function)):
            for letter, count in zip("svm", SLOTS, strict=True):
                for slot in range(count):
                    marked = bool(int(after[place]) >> bit((letter, slot)) & 1)
                    assert marked == ((name, number + 1, (letter, slot)) in points), (name, number, letter, slot)
            place += 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(5, 5, 10), (21, 21, 45)])
def test_live_forms_of_fresh_programs(kind: int, sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(kind)
    removed = 0
    for _ in range(300):
        program = random_program(rng, SLOTS, sizes)
        if kind == CLASSES:
            program = leave_label_alone(program)
        live = engine_live(program, kind)
        assert live == live_form(program, classes=kind == CLASSES)
        removed += len(program) - len(live)
    assert removed > 300 * sum(sizes) // 4


def test_the_live_form_means_the_same() -> None:
    tasks = builtin_tasks("affine_regression", count=4, features=3, num_train=8, num_valid=5, num_epochs=2)
    arrays = (tasks.train_x, tasks.train_y, tasks.valid_x, tasks.valid_y)
    rng = np.random.default_rng(5)
    telling = 0
    for _ in range(150):
        program = random_program(rng, Slots(4, 3, 2), (4, 6, 8), NO_RANDOM)
        whole, live = (
            evaluate_reference(p, *arrays, num_epochs=2, orders=tasks.epoch_orders, seeds=tasks.stream_seeds)
            for p in (program, live_form(program))
        )
        assert (whole == live).all()
        telling += len(live_form(program)) < len(program) and len(np.unique(whole)) > 1
    assert telling > 30


# ---- canonical keys


def renamed(program: Program, rng: np.random.Generator, *, classes: bool = False) -> Program:
    """The program with its slots permuted, those of fixed meaning apart."""
    fixed = {"s": 2, "v": 3 if classes else 1, "m": 0, "": 0}
    names = {"": [0]}
    for kind, count in zip("svm", SLOTS, strict=True):
        names[kind] = [*range(fixed[kind]), *(fixed[kind] + rng.permutation(count - fixed[kind]))]

    def rename(i: Instruction) -> Instruction:
        op = OPERATORS[i.op]
        return replace(i, out=int(names[op.out][i.out]), in1=int(names[op.in1][i.in1]), in2=int(names[op.in2][i.in2]))

    return Program(**{name: tuple(map(rename, function)) for name, function in program.functions()})


def with_dead_code(program: Program, rng: np.random.Generator, *, classes: bool = False) -> Program:
    """The program with instructions inserted that its live form does not keep."""
    functions = {name: list(function) for name, function in program.functions()}
    live = live_form(program, classes=classes)
    for _ in range(6):
        extra = random_program(rng, SLOTS, (1, 0, 0)).setup[0]
        name = ("setup", "predict", "learn")[rng.integers(3)]
        place = int(rng.integers(len(functions[name]) + 1))
        functions[name].insert(place, extra)
        candidate = Program(**{n: tuple(f) for n, f in functions.items()})
        if live_form(candidate, classes=classes) != live or (classes and written(extra) == ("v", 1)):
            del functions[name][place]
    return Program(**{n: tuple(f) for n, f in functions.items()})


def with_swapped_operands(program: Program, rng: np.random.Generator, *, classes: bool = False) -> Program:
    """The live program with operands of commutative operators swapped, where one of the two was used before.

    Slots are numbered in order of first use, so two new ones get their numbers from the order of the operands.
    """
    seen: set[Slot] = {("s", 0), ("s", 1), ("v", 0)} | ({("v", 1), ("v", 2)} if classes else set())
    never_written = {("s", n) for n in range(2, SLOTS.scalars)} | {("v", n) for n in range(1, SLOTS.vectors)}
    never_written |= {("m", n) for n in range(SLOTS.matrices)}
    never_written -= {slot for _, function in program.functions() for i in function if (slot := written(i))}
    changed: dict[str, tuple[Instruction, ...]] = {}
    for name, function in program.functions():
        instructions = []
        for i in function:
            slots = read(i)
            if IS_COMMUTATIVE[i.op] and (set(slots) & (seen | never_written)) and rng.random() < 0.8:
                i = replace(i, in1=i.in2, in2=i.in1)
            instructions.append(i)
            seen |= {*slots, *([slot] if (slot := written(i)) else [])}
        changed[name] = tuple(instructions)
    return Program(**changed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_does_not_change_with_names_dead_code_or_order_of_operands(kind: int) -> None:
    rng = np.random.default_rng(10 + kind)
    classes = kind == CLASSES
    changed = dict.fromkeys(("renamed", "dead", "swapped"), 0)
    for _ in range(400):
        program = random_program(rng, SLOTS, (3, 5, 8))
        if classes:
            program = leave_label_alone(program)
        live = engine_live(program, kind)
        if len(live) < 2:
            continue
        variants = {
            "renamed": renamed(program, rng, classes=classes),
            "dead": with_dead_code(program, rng, classes=classes),
            "swapped": with_swapped_operands(live, rng, classes=classes),
        }
        for how, variant in variants.items():
            assert key(variant, kind) == key(program, kind), f"{how}:\n{program}\n{variant}"
            changed[how] += variant != (live if how == "swapped" else program)
    assert min(changed.values()) > 20


@pytest.mark.parametrize("field", ["op", "out", "in1", "in2", "c0"])
def test_a_key_tells_programs_apart(field: str) -> None:
    program = two_layer_network()
    changes: dict[str, tuple[str, int, dict[str, Any]]] = {
        "op": ("predict", 2, {"op": 45}),
        "out": ("learn", 1, {"out": 3}),
        "in1": ("learn", 4, {"in1": 3}),
        "in2": ("predict", 3, {"in2": 1}),
        "c0": ("setup", 2, {"c0": 0.0100001}),
    }
    name, place, change = changes[field]
    function = list(getattr(program, name))
    function[place] = replace(function[place], **change)
    other = replace(program, **{name: tuple(function)})

    def named(p: Program) -> tuple[int, int]:
        code, sizes = p.encode()
        low, high, *_ = canonical_key(code, sizes, shape(slots=Slots(5, 9, 2)), np.zeros(80, np.int64))
        return int(low), int(high)

    assert named(other) != named(program)


def test_reads_of_zeros_share_a_key() -> None:
    def program(source: int, setup_source: int) -> Program:
        return Program(
            setup=(Instruction(1, 3, setup_source, setup_source),),
            predict=(Instruction(27, 2, 0, source), Instruction(1, 1, 2, 3)),
        )

    assert key(program(2, 4)) == key(program(3, 5)) == key(program(4, 0))
    assert key(program(2, 4)) != key(program(0, 4))  # v0 is the features
    # There are no features in Setup, and no label before Learn.
    in_setup = [Program(setup=(Instruction(27, 1, v, 1), Instruction(57, 1))) for v in (0, 2)]
    assert key(in_setup[0]) == key(in_setup[1])
    in_predict = [Program(predict=(Instruction(56, 2, c0=1), Instruction(1, 1, 2, s))) for s in (0, 3)]
    assert key(in_predict[0]) == key(in_predict[1])


def test_the_prediction_is_no_zero_in_classification() -> None:
    """The loop itself writes s1: a program that only reads it reads a probability."""
    reads_s1 = Program(predict=(Instruction(1, 2, 1, 3), Instruction(1, 1, 2, 2)))
    reads_s4 = Program(predict=(Instruction(1, 2, 4, 3), Instruction(1, 1, 2, 2)))
    assert key(reads_s1, BINARY) != key(reads_s4, BINARY)


def test_equal_keys_mean_bit_identical_fitness() -> None:
    tasks = builtin_tasks("two_layer_teacher", count=8, features=4, num_train=20, num_valid=10)
    evaluator = Evaluator(tasks, SLOTS, lanes=16)
    rng = np.random.default_rng(3)
    families = []
    for _ in range(150):
        program = random_program(rng, SLOTS, (4, 6, 9))
        live = engine_live(program)
        variants = (renamed(program, rng), with_dead_code(program, rng), with_swapped_operands(live, rng))
        families.append((program, live, *variants))
    scores = [evaluator.score_many(members) for members in zip(*families, strict=True)]
    for members in scores[1:]:
        assert (members == scores[0]).all()
    assert len(np.unique(scores[0])) > 100


def test_random_operators_are_noticed() -> None:
    for number, operator in enumerate(OPERATORS):
        program = Program(setup=(Instruction(number, out=1 if operator.out else 0),))
        assert has_random(*program.encode()) == (number >= 59)
