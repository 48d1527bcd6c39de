"""Sums of programs, and runs that add to the best one."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught.datasets import load, tasks
from selftaught.programs import layout as at
from selftaught.programs import people
from selftaught.programs.additions import (
    ADDITION,
    FROM_NOTHING,
    REFINING,
    ROUND,
    add_programs,
    base_line,
    private_slots,
    stand_beside,
)
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator, shape_of
from selftaught.programs.operators import OPERATORS
from selftaught.programs.opponents import linear_for
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Program
from selftaught.programs.search import EXHAUSTED, STATE, Island
from selftaught.programs.settings import EvolveSettings, resolve_settings
from selftaught.programs.tasksets import TaskSet

SLOTS = (8, 12, 3)
TASKS = builtin_tasks("interaction", count=8, features=4, num_train=100, num_valid=100)


def program(text: str, kind: str = "binary") -> Program:
    slots = "slots: 8 scalars, 12 vectors, 3 matrices"
    return parse_program(f"selftaught-program 1\n{slots}\ntask: {kind}\n{text}", "test").program


LINEAR = program(
    "setup:\n  s2 = 0.01\npredict:\n  s1 = dot(v0, v1)\n"
    "learn:\n  s3 = s0 - s1\n  s3 = s2 * s3\n  v2 = s3 * v0\n  v1 = v1 + v2\n"
)
BILINEAR = program(
    "setup:\n  s2 = 0.002\npredict:\n  v2 = m0 @ v0\n  s1 = dot(v2, v0)\n"
    "learn:\n  s3 = s0 - s1\n  s3 = s2 * s3\n  v3 = s3 * v0\n  m1 = outer(v3, v0)\n  m0 = m0 + m1\n"
)
BOTH = program(
    "setup:\n  s2 = 0.01\n  s4 = 0.002\npredict:\n  s5 = dot(v0, v1)\n  v4 = m0 @ v0\n  s1 = dot(v4, v0)\n"
    "  s1 = s1 + s5\n"
    "learn:\n  s3 = s0 - s1\n  s3 = s2 * s3\n  v2 = s3 * v0\n  v1 = v1 + v2\n"
    "  s6 = s0 - s1\n  s6 = s4 * s6\n  v5 = s6 * v0\n  m1 = outer(v5, v0)\n  m0 = m0 + m1\n"
)


def total(first: Program, second: Program, on: TaskSet = TASKS) -> Program:
    """Return the sum of two programs, as the search makes it."""
    shape = shape_of(SLOTS, on)
    names, code, sizes = np.zeros((3, 64), np.int64), np.zeros((99, 4), np.int32), np.zeros(3, np.int64)
    (base, base_sizes), (other, other_sizes) = first.encode(), second.encode()
    private_slots(base, base_sizes, shape, names)
    add_programs(base, base_sizes, names, other, other_sizes, shape, code, sizes)
    return Program.decode(code, sizes)


def scores(program: Program, on: TaskSet = TASKS) -> list[float]:
    return list(Evaluator(on).score(program))


def test_the_sum_of_two_learners_learns_from_the_error_of_the_sum() -> None:
    assert scores(total(LINEAR, BILINEAR)) == scores(BOTH)
    assert scores(BOTH) != scores(BILINEAR)


def test_a_base_that_uses_the_predictions_slot_for_itself_stays_what_it_was() -> None:
    """Its Learn computes in s1, and reads there what it computed, not the prediction."""
    inside = program(
        "setup:\n  s2 = 0.01\npredict:\n  s1 = dot(v0, v1)\n"
        "learn:\n  s1 = s0 - s1\n  s1 = s2 * s1\n  v2 = s1 * v0\n  v1 = v1 + v2\n"
    )
    nothing = program("setup:\n  pass\npredict:\n  s1 = dot(v0, v3)\nlearn:\n  pass\n")
    assert scores(total(inside, nothing)) == scores(LINEAR)
    assert scores(total(inside, BILINEAR)) == scores(BOTH)


def test_sums_of_numbers_and_of_class_scores() -> None:
    numbers = builtin_tasks("affine_regression", count=4, features=4, num_train=100, num_valid=100)
    constant = program("setup:\n  s2 = 0.25\npredict:\n  s1 = s2 + s3\nlearn:\n  pass\n", "regression")
    shifted = program("setup:\n  s2 = 0.5\npredict:\n  s1 = s2 + s3\nlearn:\n  pass\n", "regression")
    assert scores(total(constant, constant, numbers), numbers) == scores(shifted, numbers)
    flowers = TaskSet.stack(tasks(load("iris"), kind="classes", count=2, seed=0), seed=0)
    still = program("setup:\n  pass\npredict:\n  v2 = v4 + v5\nlearn:\n  pass\n", "classes 3")
    learner = linear_for(3, 0.05)
    assert scores(total(learner, still, flowers), flowers) == scores(learner, flowers)
    assert scores(total(still, learner, flowers), flowers) == scores(learner, flowers)
    twice = total(learner, learner, flowers)
    assert np.mean(scores(twice, flowers)) > np.mean(scores(still, flowers)) + 0.1
    assert scores(twice, flowers) != scores(learner, flowers)


def test_private_slots_are_apart_and_at_the_top() -> None:
    shape = shape_of(SLOTS, TASKS)
    names = np.zeros((3, 64), np.int64)
    code, sizes = LINEAR.encode()
    counts = private_slots(code, sizes, shape, names)
    assert counts.tolist() == [0, 3, 2, 0]  # s1 s2 s3, v1 v2
    for kind, (have, used) in enumerate(zip(SLOTS, counts[1:], strict=True)):
        given = names[kind][names[kind] >= 0]
        assert sorted(given) == list(range(have - used, have))


def settings(**options: object) -> EvolveSettings:
    given = {
        "operators": "network", "sizes": "4/7/12", "slots": "8/12/3", "population": 20, "features": 4,
        "num_train": 100, "num_tasks": 8, **options,
    }  # fmt: skip
    made = resolve_settings("interaction", "", given)
    return made.model_copy(update={"live": {**made.live, "restart_populations": 5}})


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(TASKS)


def kind_of_run(island: Island) -> int:
    return int(island.counters[people.RUN_KIND])


def test_a_round_of_runs_is_some_from_nothing_then_twice_additions_and_refining(evaluator: Evaluator) -> None:
    island = Island(settings(), TASKS, 0, evaluator)
    kinds = []
    while len(kinds) < ROUND + 1:
        island.run(island.programs + 1)
        restarts = int(island.counters[people.RESTARTS])
        if restarts == len(kinds):
            kinds.append(kind_of_run(island))
    half = [ADDITION, ADDITION, ADDITION, REFINING]
    assert kinds == [FROM_NOTHING] * 4 + half + half + [FROM_NOTHING]


def test_additions_leave_the_base_alone_and_count_as_whole_programs(evaluator: Evaluator) -> None:
    island = Island(settings(), TASKS, 0, evaluator)
    while kind_of_run(island) != ADDITION or island.counters[people.FILLED] < 20:
        island.run(island.programs + 1)
    line = int(base_line(island.rules))
    base = island._program(line)
    own, names = island.rules.copy(), np.zeros((3, 64), np.int64)
    code, sizes = np.zeros((200, 4), np.int32), np.zeros(3, np.int64)
    assert stand_beside(island.rows, island.codes, island.counters, island.rules, own, code, sizes, names)
    assert len(base.setup + base.predict + base.learn) == sizes.sum() <= 23
    written = {
        (OPERATORS[i.op].out, i.out)
        for n in range(20) for _, part in island._program(n).functions() for i in part
    }  # fmt: skip
    private = {("svm"[kind], slot) for kind in range(3) for slot in names[kind][names[kind] >= 0]}
    assert private
    assert written
    assert not private & written
    for found, fitness, *_ in island.best():
        assert evaluator.score(found, live=True).mean() == pytest.approx(fitness, abs=1e-12)
        assert all(len(part) <= most for (_, part), most in zip(found.functions(), (4, 7, 12), strict=True))


@pytest.mark.parametrize("bias", ["free", "learner"])
def test_cuts_between_calls_change_nothing_in_a_round(evaluator: Evaluator, bias: str) -> None:
    whole, cut = (Island(settings(bias=bias), TASKS, 0, evaluator) for _ in range(2))
    whole.run(1500)
    while cut.programs < 1500:
        cut.run(min(1500, cut.programs + 7), 1000 + cut.programs)
    assert whole.counters[people.RESTARTS] >= 9
    assert all(getattr(whole, name).tobytes() == getattr(cut, name).tobytes() for name in STATE)


def test_the_best_travel_while_additions_are_searched_and_nothing_takes_their_places(evaluator: Evaluator) -> None:
    island = Island(settings(), TASKS, 0, evaluator)
    while kind_of_run(island) != ADDITION or island.counters[people.FILLED] < 20:
        island.run(island.programs + 1)
    before = island.export()
    offer = island.offer(0)
    best = {row.tobytes() for row in island.rows[20 : 20 + int(island.counters[people.BEST_COUNT])]}
    assert len(offer.rows)
    assert {row.tobytes() for row in offer.rows} <= best
    island.accept(offer, 0)
    assert all(np.array_equal(before[name], getattr(island, name)) for name in STATE)


def test_without_room_a_run_begins_from_nothing(evaluator: Evaluator) -> None:
    island = Island(settings(sizes="1/2/2"), TASKS, 0, evaluator)
    while island.counters[people.RESTARTS] < 4:
        island.run(island.programs + 1)
    island.run(island.programs + 30)
    assert kind_of_run(island) == FROM_NOTHING
    assert island.counters[people.SHORTEN_AT] == -1


def test_regression_and_operators_without_an_addition_never_add(evaluator: Evaluator) -> None:
    operators = {"setup": ["scalar_constant"], "predict": ["vector_dot"], "learn": ["vector_add"]}
    assert Island(settings(), TASKS, 0, evaluator).rules[at.OPTIONS, at.ADD] == 1
    assert Island(settings(operators=operators), TASKS, 0, evaluator).rules[at.OPTIONS, at.ADD] == 0
    numbers = builtin_tasks("affine_regression", count=4, features=4, num_train=100, num_valid=100)
    regression = resolve_settings("affine_regression", "", {"population": 20})
    assert Island(regression, numbers).rules[at.OPTIONS, at.ADD] == 0


def test_a_search_ends_when_a_whole_round_finds_nothing_new(evaluator: Evaluator) -> None:
    operators = {"setup": ["scalar_constant"], "predict": ["vector_dot", "scalar_add"], "learn": ["vector_add"]}
    island = Island(settings(operators=operators, sizes="0/2/1", slots="2/3/0"), TASKS, 0, evaluator)
    assert island.rules[at.OPTIONS, at.ADD] == 1
    assert island.run(1_000_000) == EXHAUSTED
    assert island.counters[people.RESTARTS] >= ROUND
    assert island.programs < 100_000
