"""The techniques of a run's improvements: named as they come, within a share of the time, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selftaught.programs import evolve, naming
from selftaught.programs.baselines import linear_learner
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.naming import Naming, best_so_far
from selftaught.programs.opponents import constant_fitness
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Program
from selftaught.programs.progress import Progress
from selftaught.programs.result import Improvement

TASKS = builtin_tasks("linear_regression", count=8, features=4, num_train=100, num_valid=50)
NOTHING = parse_program("selftaught-program 1\nsetup:\n    s1 = 0.5\npredict:\n    pass\nlearn:\n    pass\n").program


def found(number: int, fitness: float, program: Program, *, island: int = 0) -> Improvement:
    return Improvement(number, fitness, float(number), -1, -1, island, program)


def test_only_improvements_over_all_islands_count() -> None:
    history = [found(3, 0.5, NOTHING), found(1, 0.2, NOTHING, island=1), found(4, 0.5, NOTHING), found(5, 0.6, NOTHING)]
    assert [one.programs for one in best_so_far(history)] == [1, 3, 5]


def test_a_gradient_step_is_named_and_nothing_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "AT_ONCE", 60.0)
    names = Naming(TASKS)
    history = [found(1, 0.2, NOTHING), found(2, 0.99, linear_learner(0.05))]
    assert names.watch(history[0], elapsed=1.0) == ()
    assert {"linear model", "gradient step"} <= set(names.watch(history[1], elapsed=2.0) or ())
    assert names.watch(found(3, 0.5, NOTHING), elapsed=3.0) is None
    names.save(tmp_path / "timeline.json", history)
    first, second = json.loads((tmp_path / "timeline.json").read_text())
    assert (first["programs"], first["techniques"]) == (1, [])
    assert second["techniques"] == list(names.of(linear_learner(0.05), 0.99))


def test_what_has_learned_nothing_has_no_techniques() -> None:
    floor = float(constant_fitness(TASKS).mean())
    names = Naming(TASKS)
    assert names.of(linear_learner(0.05), floor + 0.01) == ()
    assert "gradient step" in names.of(linear_learner(0.05), floor + 0.03)


def test_naming_keeps_to_its_share_and_catches_up_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "AT_ONCE", -1.0)
    names = Naming(TASKS)
    history = [found(number, 0.9 + number / 100, linear_learner(0.01 * number)) for number in range(1, 5)]
    assert all(names.watch(one, elapsed=-1.0) is None for one in history)
    names.finish(history, seconds=0.0)  # no time is left: the best alone
    names.save(tmp_path / "timeline.json", history)
    assert [one["programs"] for one in json.loads((tmp_path / "timeline.json").read_text())] == [4]
    names.finish(history, seconds=60.0)
    names.save(tmp_path / "timeline.json", history)
    assert [one["programs"] for one in json.loads((tmp_path / "timeline.json").read_text())] == [1, 2, 3, 4]


def test_a_program_that_cannot_be_looked_at_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> list[Any]:
        raise FloatingPointError("overflow")

    monkeypatch.setattr("selftaught.programs.explain.techniques.name_techniques", fails)
    assert Naming(TASKS).of(linear_learner(), 0.99) == ()


def test_evolve_tells_and_keeps_the_names(tmp_path: Path) -> None:
    told: list[Progress] = []
    run = evolve(preset="linear_test", bias="learner", programs=20_000, target_fitness=0.999, out=tmp_path / "run",
                 on_progress=told.append)  # fmt: skip
    moments = json.loads((run.folder / "timeline.json").read_text())
    assert moments
    assert [one["fitness"] for one in moments] == sorted(one["fitness"] for one in moments)
    if run.reason == "target":
        assert {"linear model", "gradient step"} <= set(told[-1].techniques)
        assert {"linear model", "gradient step"} <= set(moments[-1]["techniques"])
