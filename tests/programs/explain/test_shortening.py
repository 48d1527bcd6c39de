"""Shorter programs: they keep their fitness, and are shorter by half over evolved winners."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selftaught.errors import InputError
from selftaught.programs import Program, TaskSet, linear_learner, parse_program, two_layer_network
from selftaught.programs.explain import Language, Scorer, ablate, shorten, unseen_tasks
from selftaught.programs.explain.bits import constant_bits, digits_of
from selftaught.programs.explain.places import keep_live, places, without
from selftaught.programs.explain.shortening import Shortening
from selftaught.programs.explain.simpler import bypasses, fewer_digits, removals, rewirings

EVOLVED = [
    ([word.strip() for word in head.split("|")], parse_program(f"selftaught-program 1\n{body}").program)
    for head, _, body in (
        block.partition("\n")
        for block in Path(__file__).with_name("evolved.txt").read_text(encoding="utf-8").split("\n== ")[1:]
    )
]


@cache
def scorers(kind: str, count: int = 64) -> tuple[Scorer, Scorer, Scorer]:
    sizes: dict[str, Any] = {"features": 4, "num_train": 500, "num_valid": 100}
    if kind == "digits":
        sizes = {"features": 16, "num_train": 200, "num_valid": 60, "task": "pairs"}
    made = unseen_tasks(kind, count=count, seed=3, **sizes)
    return Scorer(made.guide), Scorer(made.confirm), Scorer(made.report)


@cache
def shortened(number: int) -> Shortening:
    (_, kind, _), program = EVOLVED[number]
    return shorten(program, *scorers(kind), language=Language.of(program, (8, 14, 3), "full"))


@pytest.mark.parametrize("number", range(len(EVOLVED)))
def test_an_evolved_winner_keeps_its_fitness_on_64_unseen_tasks(number: int) -> None:
    short = shortened(number)
    assert scorers(EVOLVED[number][0][1])[2].tasks.count == 64
    assert short.low <= short.floor  # the interval of the loss reaches what chance alone explains
    assert short.given_up <= short.floor + 0.01
    assert short.bits_after < short.bits_before


def test_evolved_winners_lose_half_of_their_instructions() -> None:
    # Winners that are no better than doing nothing shorten to next to nothing: they are left out here.
    learned = []
    for number, ((_, kind, _), program) in enumerate(EVOLVED):
        whole, empty = scorers(kind)[2].score([program, Program()]).mean(axis=1)
        if whole > empty + 0.02:
            learned.append(shortened(number))
    assert len(learned) >= 8
    assert sum(one.after for one in learned) <= sum(one.before for one in learned) / 2
    assert sum(one.bits_after for one in learned) <= sum(one.bits_before for one in learned) / 2


def test_removing_as_many_at_random_costs_more() -> None:
    assert np.mean([shortened(n).control - shortened(n).given_up for n in range(len(EVOLVED))]) > 0.05


def test_a_program_without_anything_to_spare_stays_as_it_is() -> None:
    short = shorten(linear_learner(0.05), *scorers("linear_regression"))
    assert short.program == keep_live(short.program, 0)
    assert short.after == 6
    assert short.given_up == short.control == 0.0  # nothing went, here or at random


def test_inserted_instructions_are_found_and_taken_out() -> None:
    base = two_layer_network(0.02, 0.5)
    extra = parse_program(
        "selftaught-program 1\nsetup:\n v7 = uniform(-1, 1)\npredict:\n s1 = s1 + s6\nlearn:\n"
        " s6 = s6 * s3\n s8 = norm(v7)\n v7 = v7 * v0\n"
    ).program
    swollen = Program(base.setup + extra.setup, base.predict + extra.predict, base.learn + extra.learn)
    short = shorten(swollen, *scorers("two_layer_teacher", 16))
    assert len(short.program) <= len(base)
    assert short.given_up <= short.floor + 0.01


def test_a_drop_is_the_difference_that_scoring_by_hand_gives() -> None:
    _, _, report = scorers("linear_regression", 16)
    program = linear_learner(0.05)
    drops = ablate(program, report)
    assert [drop.text for drop in drops] == [str(instruction) for _, instruction in places(program)]
    whole, part = report.score([program, without(program, [("learn", 3)])]).mean(axis=1)
    last = drops[-1]
    assert (last.function, last.line) == ("learn", 3)
    assert last.drop == pytest.approx(whole - part)
    assert last.low <= last.drop <= last.high
    assert last.low > 0.1


def test_the_floor_grows_with_the_noise_in_a_program() -> None:
    guide = scorers("linear_regression", 16)[0]
    noisy = parse_program(
        "selftaught-program 1\nsetup:\n pass\npredict:\n s2 = gaussian(0, 1)\n s1 = s2 + s3\nlearn:\n pass"
    ).program
    assert guide.floor(keep_live(noisy, 0)) > guide.floor(Program()) == 1e-4


def test_bits_count_choices_and_digits() -> None:
    assert digits_of(0.25) == (2, -1)
    assert constant_bits(0.123456) > constant_bits(0.1)
    program = linear_learner(0.01)
    narrow, wide = Language.of(program, (4, 3, 1)), Language.of(program, (16, 12, 4))
    # Every operand of the six instructions is one of four times as many; outputs leave s0 and v0 out.
    assert wide.bits(program) > narrow.bits(program)
    assert narrow.bits(Program()) == 3.0


def test_every_neighbour_is_live_and_not_longer() -> None:
    program = two_layer_network()
    for neighbour in [*removals(program, 0), *rewirings(program, 0)]:
        assert neighbour == keep_live(neighbour, 0)
        assert len(neighbour) < len(program)
    rounded = dict(fewer_digits(linear_learner(0.0123), ("setup", 0), 0))
    assert rounded == {1: linear_learner(0.01), 2: linear_learner(0.012)}


def test_a_bypass_reads_an_operand_instead_of_the_result() -> None:
    texts = {str(bypass.predict[-2]) for bypass in bypasses(two_layer_network(), ("predict", 2))}
    assert texts == {"s1 = dot(v3, v2)", "s1 = dot(v5, v2)"}


def test_unseen_tasks_are_disjoint_and_refuse_a_single_one() -> None:
    made = unseen_tasks("linear", count=3, num_train=20, num_valid=5)
    sets: list[TaskSet] = [made.guide, made.confirm, made.report]
    rows = {tasks.train_x[t].tobytes() for tasks in sets for t in range(3)}
    assert len(rows) == 9
    with pytest.raises(InputError, match="at least 2 tasks"):
        unseen_tasks("linear", count=1)
