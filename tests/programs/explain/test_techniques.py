"""Techniques by name: a labelled set with near misses, and what a detector must not be fooled by."""

from __future__ import annotations

import time
from collections import Counter
from functools import cache

import numpy as np
import pytest

from selftaught.errors import InputError
from selftaught.programs import OPERATORS, Instruction, Program, linear_learner, parse_program, two_layer_network
from selftaught.programs.explain import TECHNIQUES, name_techniques
from selftaught.programs.explain.dataflow import flow_of
from selftaught.programs.explain.places import places
from tests.programs.explain.labelled import Labelled, read_labelled, tasks_of

LABELLED = read_labelled()


@cache
def named(number: int) -> frozenset[str]:
    one = LABELLED[number]
    return frozenset(technique.name for technique in name_techniques(one.program, tasks_of(one.tasks)))


def test_the_labelled_set_is_large_and_holds_near_misses_and_evolved_programs() -> None:
    assert len(LABELLED) >= 60
    assert sum(bool(one.near_miss) for one in LABELLED) >= 30
    assert sum(one.origin == "evolved" for one in LABELLED) >= 8
    assert min(Counter(one.part for one in LABELLED).values()) >= 30
    counts = Counter(name for one in LABELLED for name in one.techniques)
    assert min(counts[name] for name in TECHNIQUES) >= 3
    assert len({one.program for one in LABELLED}) == len(LABELLED)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_precision_and_recall_of_every_technique(name: str) -> None:
    wrong, missed, right = [], [], 0
    for number, one in enumerate(LABELLED):
        found, true = name in named(number), name in one.techniques
        right += found and true
        if found and not true:
            wrong.append(one.name)
        if true and not found:
            missed.append(one.name)
    assert right / max(right + len(wrong), 1) >= 0.95, wrong
    assert right / max(right + len(missed), 1) >= 0.95, missed


def test_no_near_miss_is_named_for_what_it_imitates() -> None:
    wrong = {
        one.name: sorted(named(number) - one.techniques)
        for number, one in enumerate(LABELLED)
        if one.near_miss and named(number) - one.techniques
    }
    assert wrong == {}


def renamed(program: Program) -> Program:
    """Number the slots that are free to be numbered the other way round."""
    counts = {"s": 16, "v": 20, "m": 6}
    first = {"s": 2, "v": 1, "m": 0}

    def other(kind: str, slot: int) -> int:
        return slot if not kind or slot < first[kind] else first[kind] + counts[kind] - 1 - slot

    def change(one: Instruction) -> Instruction:
        operator = OPERATORS[one.op]
        slots = [other(getattr(operator, field), getattr(one, field)) for field in ("out", "in1", "in2")]
        return Instruction(one.op, *slots, *one.constants)

    return Program(*(tuple(change(one) for one in part) for _, part in program.functions()))


@pytest.mark.parametrize("number", range(0, len(LABELLED), 7))
def test_names_do_not_depend_on_the_numbers_of_slots(number: int) -> None:
    one: Labelled = LABELLED[number]
    assert renamed(renamed(one.program)) == one.program
    found = {technique.name for technique in name_techniques(renamed(one.program), tasks_of(one.tasks))}
    assert found == named(number)


def test_techniques_point_at_instructions_of_the_live_form() -> None:
    for technique in name_techniques(two_layer_network(0.05, 0.5), tasks_of("two_layer_teacher")):
        there = {place for place, _ in places(two_layer_network(0.05, 0.5))}
        assert technique.instructions
        assert set(technique.instructions) <= there
        assert technique.evidence
        assert technique.found_by in ("structure", "behaviour", "both")


def test_naming_is_quick_enough_to_run_beside_a_search() -> None:
    tasks = tasks_of("two_layer_teacher")
    name_techniques(two_layer_network(0.05, 0.5), tasks)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        name_techniques(two_layer_network(0.05, 0.5), tasks)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.2


def test_an_empty_program_and_one_that_fails_have_no_technique() -> None:
    assert name_techniques(Program(), tasks_of("linear_regression")) == []
    assert name_techniques(linear_learner(1e30), tasks_of("linear_regression")) == []


def test_tasks_of_another_type_are_refused() -> None:
    with pytest.raises(InputError, match="TaskSet"):
        name_techniques(linear_learner(), "linear")  # type: ignore[arg-type]


def test_the_graph_of_a_step_holds_what_each_slot_depends_on() -> None:
    flow = flow_of(linear_learner(0.1), 0)
    assert flow.learned == {("v", 1)}
    assert flow.reads(flow.score, "features")
    assert not flow.reads(flow.score, "label")
    assert flow.states(flow.score) == {("v", 1)}
    assert flow.ever(flow.score) == ({"features", "label", "state", "operation"}, {("v", 1)})


def test_several_classes_are_named_through_their_first_score() -> None:
    text = (
        "selftaught-program 1\ntask: classes 3\nsetup:\n s2 = 0.05\npredict:\n v2 = m0 @ v0\n"
        "learn:\n v3 = v1 - v2\n v3 = s2 * v3\n m1 = outer(v3, v0)\n m0 = m0 + m1\n"
    )
    from selftaught.datasets import load, tasks
    from selftaught.programs import TaskSet

    made = TaskSet.stack(tasks(load("iris"), kind="classes", count=4, seed=0), num_epochs=4)
    assert np.isin(made.train_y, [0, 1, 2]).all()
    found = [technique.name for technique in name_techniques(parse_program(text).program, made)]
    assert found == ["linear model", "gradient step", "learning rate"]
