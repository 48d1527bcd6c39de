"""One answer to everything as a baseline: where it is a contestant, it is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.finish import constant_beside
from selftaught.programs.result import FitnessInterval
from selftaught.report.verdict import verdict

TASKS = builtin_tasks("linear_classification", count=4, features=2, num_train=50, num_valid=100)


def interval(mean: float) -> FitnessInterval:
    return FitnessInterval(mean, mean - 0.001, mean + 0.001, 4)


@pytest.mark.parametrize(
    ("winner", "linear", "there"),
    [(0.98, 0.9795, True), (0.99, 0.56, True), (0.9895, 0.9899, True), (0.999, 0.995, False)],
)
def test_it_stands_there_where_it_comes_near_any_other(winner: float, linear: float, there: bool) -> None:
    """Labels of which 98 % are 0 in validation: always answering 0 has 0.98."""
    labels = np.zeros_like(TASKS.valid_y)
    labels[:, :2] = 1.0
    rare = replace(TASKS, train_y=np.zeros_like(TASKS.train_y), valid_y=labels)
    found = constant_beside({"linear": interval(linear)}, interval(winner), rare, seed=0)
    assert bool(found) == there
    if there:
        assert found["constant"].mean == pytest.approx(0.98)


def test_a_program_that_only_gives_it_has_not_won() -> None:
    sentence = verdict(interval(0.98), {"net": interval(0.9797), "constant": interval(0.98)}, "free")
    assert "draws level with the best baseline" in sentence
    assert "always giving the same answer" in sentence
