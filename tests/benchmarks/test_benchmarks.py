"""The benchmarks run, count what they say they count, and are written up the same way every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import programs, report, sections
from benchmarks.machine import kind
from benchmarks.searches import SET_UPS, Search
from benchmarks.solving import solve
from benchmarks.timing import Case, Effort, measure
from benchmarks.workloads import FILLS, batch_of, evaluate_with_kernel, evaluate_with_reference, random_batch
from selftaught.programs.baselines import linear_learner
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator

HERE = Path(__file__).parent


def test_a_quick_run_fills_every_section(tmp_path: Path) -> None:
    out = tmp_path / "quick.json"
    assert programs.main(["--quick", "--out", str(out)]) == 0
    results = json.loads(out.read_text(encoding="utf-8"))
    assert set(results) == set(programs.SECTIONS) == set(report.SECTIONS)
    for section in results.values():
        assert section["quick"]
        assert section["machine"]["versions"]["numba"]
    engines = {(row["program"], row["tasks"], row["engine"]) for row in results["kernel"]["rows"]}
    assert engines == {
        (name, count, engine)
        for name in ("linear", "net")
        for count, engine in ((16, "lanes"), (16, "scalar"), (16, "reference"), (32, "lanes"))
    }
    rates = {(row["program"], row["engine"]): row["programs_per_second"]["best"] for row in results["kernel"]["rows"]}
    assert rates["linear", "lanes"] > rates["linear", "reference"]
    for row in results["search"]["rows"]:
        assert row["programs_per_second"]["best"] >= row["distinct_per_second"]["best"] > 0
    page = report.render(results, json.loads(report.ORIGINAL.read_text(encoding="utf-8")))
    assert "figures are of a quick run" in page


def test_sections_left_out_keep_their_figures(tmp_path: Path) -> None:
    out = tmp_path / "quick.json"
    out.write_text(json.dumps({"kernel": {"kept": True}}), encoding="utf-8")
    programs.main(["--quick", "--only", "threads", "--out", str(out)])
    results = json.loads(out.read_text(encoding="utf-8"))
    assert results["kernel"] == {"kept": True}
    assert "threads" in results


def test_a_rate_is_what_was_done_over_the_seconds_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.thread_time", lambda: clock[0])
    order: list[str] = []

    def case(name: str, seconds: float) -> Case:
        def run() -> dict[str, float]:
            clock[0] += seconds
            order.append(name)
            return {"programs": 3}

        def prepare() -> None:
            clock[0] += 100.0  # is not timed

        return Case({"name": name}, run, prepare=prepare)

    rows = measure([case("a", 1.0), case("b", 0.5)], Effort(repeats=3, seconds=2.0))
    assert [row["programs_per_second"]["best"] for row in rows] == pytest.approx([3.0, 6.0])
    assert [row["passes"] for row in rows] == [2, 4]
    assert order[2:] == ["a", "a", "b", "b", "b", "b"] * 3


def test_the_engines_that_are_compared_do_the_same_work() -> None:
    tasks = builtin_tasks("linear_regression", num_train=20, num_valid=10)
    batch = batch_of(linear_learner(0.1), 3)
    expected = Evaluator(tasks, lanes=16).score(linear_learner(0.1))
    assert Evaluator(tasks, lanes=1).score(linear_learner(0.1)) == pytest.approx(expected, abs=1e-5)
    for one_pass in (
        evaluate_with_kernel(batch, tasks, 16, live=False),
        evaluate_with_kernel(batch, tasks, 1, live=True),
        evaluate_with_reference([linear_learner(0.1)] * 3, tasks),
    ):
        assert one_pass() == {"programs": 3, "task_steps": 3 * 16 * 20}


def test_idle_lanes_are_no_task_steps() -> None:
    tasks = builtin_tasks("linear_regression", count=10, num_train=20, num_valid=10)
    done = evaluate_with_kernel(batch_of(linear_learner(0.1)), tasks, 16, live=False)()
    assert done["task_steps"] == pytest.approx(10 * 20)


@pytest.mark.parametrize("fills", [True, False])
def test_random_programs_have_their_sizes_and_operators(fills: bool) -> None:
    batch = random_batch(50, (21, 21, 45), fills=fills)
    assert (batch.sizes == (21, 21, 45)).all()
    operators = batch.codes[:, :, 0] & 255
    assert set(np.unique(operators[:, :21])) == set(range(56, 65))
    body = set(np.unique(operators[:, 21:]))
    assert body == set(range(59)) | (set(FILLS) if fills else set())
    again = random_batch(50, (21, 21, 45), fills=fills)
    assert (again.codes == batch.codes).all()


def test_passes_do_not_change_the_batch() -> None:
    tasks = builtin_tasks("linear_regression", num_train=10, num_valid=5)
    batch = random_batch(5, (5, 5, 10))
    before = batch.codes.copy()
    one_pass = evaluate_with_kernel(batch, tasks, 16, live=True)
    assert one_pass() == one_pass()
    assert (batch.codes == before).all()


@pytest.mark.parametrize("kind", ["live", "classic", "random"])
def test_a_search_stops_at_its_limit_and_repeats_itself(kind: Any) -> None:
    def found() -> tuple[dict[str, int], float, str]:
        search = Search(SET_UPS["demo"], kind, seed=3)
        assert search.run(300) == 0
        return search.counters(), search.best_fitness(), str(search.best()[0])

    counters, fitness, program = found()
    assert counters["programs"] == 300
    assert 0 < fitness <= 1
    assert found() == (counters, fitness, program)


def test_a_run_gives_up_at_its_limit_and_says_so() -> None:
    run = solve(Search(SET_UPS["demo"], seed=1), 0.999999, most_programs=50, unseen=3)
    assert run["ended"] == "limit"
    assert not run["solved"]
    assert run["programs"] == 50
    assert len(run["final_scores"]) == 3
    assert run["fitness_final"] == pytest.approx(np.mean(run["final_scores"]), abs=1e-5)


def test_a_target_met_on_search_tasks_only_is_raised() -> None:
    """Any program reaches this target on the search tasks; few do on the unseen ones, so the search goes on."""
    search = Search(SET_UPS["demo"], seed=1)
    search.run(200)
    target = search.best_fitness()
    run = solve(Search(SET_UPS["demo"], seed=1), target, most_programs=400, unseen=20)
    assert run["ended"] in ("solved", "limit")
    assert run["solved"] == (run["ended"] == "solved" and run["fitness_final"] >= target)
    assert run["ended"] == "limit" or run["fitness_selection"] >= target


def test_the_page_is_the_one_on_record() -> None:
    results = json.loads((HERE / "figures.json").read_text(encoding="utf-8"))
    original = json.loads((HERE / "original.json").read_text(encoding="utf-8"))
    assert report.render(results, original) == (HERE / "performance.md").read_text(encoding="utf-8")


def test_figures_of_another_kind_of_machine_give_no_ratio() -> None:
    results = json.loads((HERE / "figures.json").read_text(encoding="utf-8"))
    original = json.loads((HERE / "original.json").read_text(encoding="utf-8"))
    assert "times the original |" in report.render(results, original)
    results["kernel"]["machine"]["family"] = 6
    assert "times the original |" not in sections.kernel(results["kernel"], original)


def test_the_report_asks_for_results_and_writes_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--results", str(tmp_path), "--docs", str(tmp_path)]
    assert report.main(where) == 2
    assert "make bench" in capsys.readouterr().err
    (tmp_path / "programs.json").write_bytes((HERE / "figures.json").read_bytes())
    assert report.main(where) == 0
    assert (tmp_path / "performance.md").exists()
    assert not (tmp_path / "evidence.md").exists()


def test_the_originals_figures_are_of_one_kind_each() -> None:
    original = json.loads(report.ORIGINAL.read_text(encoding="utf-8"))
    kinds = [kind(one) for one in original["machines"]]
    assert len(set(kinds)) == len(kinds)
    for one in original["machines"]:
        keys = [
            tuple(row[name] for name in ("program", "features", "tasks", "train", "valid")) for row in one["kernel"]
        ]
        assert len(set(keys)) == len(keys)
        assert all(row["best"] > 0 for row in one["kernel"])
