"""The end of a search: other seeds, a choice by validation, test images for the chosen layer and the control alone."""

from __future__ import annotations

from typing import Any

import pytest

import selftaught
from selftaught.errors import InputError
from selftaught.layers import Judge, Judging, confirm, image_task
from selftaught.layers.confirming import CONTROL
from selftaught.layers.judging import StoppedEarly
from selftaught.spaces import PUBLISHED_LAYERS, layer_space

TASK = image_task(selftaught.load("digits"), num_train=200, num_valid=60, num_test=60)
SPACE = layer_space()
JUDGE = Judge(TASK, Judging(anchors=("preactivation",), width=8, steps=4, check_steps=4, ascent_steps=0))
DIVERGES: Any = SPACE.candidate({"s": ("square", "x"), "f": ("exp", "s"), "y": ("multiply", "f", "x")})


def test_it_chooses_by_validation_and_tests_once() -> None:
    good = [PUBLISHED_LAYERS["evonorm-s0"], SPACE.candidate({"y": ("tanh", "x")})]
    found = confirm(JUDGE, [*good, DIVERGES], seeds=2)
    assert found.chosen in (0, 1)
    means = {arm: found.mean(arm, "preactivation", "valid") or 0.0 for arm in (0, 1)}
    assert means[found.chosen] == max(means.values())
    tested = {row["arm"] for row in found.rows if "test" in row}
    assert tested == {found.chosen, CONTROL}
    assert [row["seed"] for row in found.rows] == [1, 2] * 4
    assert {row["valid"] for row in found.rows if row["arm"] == 2} == {0.0}
    assert found.mean(1 - found.chosen, "preactivation") is None
    again = confirm(JUDGE, [*good, DIVERGES], seeds=2)
    assert again == found


def test_where_all_diverge_nothing_is_chosen() -> None:
    found = confirm(JUDGE, [DIVERGES], seeds=1)
    assert found.chosen is None
    assert {row["arm"] for row in found.rows if "test" in row} == {CONTROL}


def test_it_can_be_stopped_and_says_what_it_wants() -> None:
    with pytest.raises(StoppedEarly):
        confirm(Judge(TASK, Judging(steps=10**6)), [PUBLISHED_LAYERS["evonorm-s0"]], stop=lambda: True)
    with pytest.raises(InputError, match="at least one candidate"):
        confirm(JUDGE, [])
    blind = Judge(type(TASK)(TASK.train, TASK.valid, None, "accuracy"), JUDGE.config)
    with pytest.raises(InputError, match="test examples"):
        confirm(blind, [DIVERGES])
