"""Runners keep their contract; processes die alone, and with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from selftaught.errors import InputError
from selftaught.runners import Inline, Objective, Outcome, Processes, Runner
from selftaught.search import search
from selftaught.store import open_store
from selftaught.testing import ContractError, check_runner
from tests.search.landscapes import PLAIN, hill


def test_runners_keep_the_contract() -> None:
    check_runner(Inline)
    check_runner(lambda objective: Processes(objective, workers=2), own_processes=True)


class Broken(Inline):
    """Breaks one rule."""

    def __init__(self, objective: Objective, rule: str) -> None:
        super().__init__(objective)
        self.rule = rule

    def submit(self, number: int, candidate: Any) -> None:
        if self.rule == "takes too many":
            self._waiting = None
        super().submit(number, candidate)

    def collect(self, timeout: float | None = None) -> list[Outcome]:
        found = super().collect(timeout)
        if self.rule == "two lines":
            return [Outcome(o.number, o.score, o.seconds, o.error and f"{o.error}\n") for o in found]
        return found * 2 if self.rule == "ends twice" else found


@pytest.mark.parametrize("rule", ["takes too many", "two lines", "ends twice"])
def test_the_contract_finds_what_is_broken(rule: str) -> None:
    with pytest.raises(ContractError):
        check_runner(lambda objective: Broken(objective, rule))


def test_a_killed_worker_loses_its_own_trial_only_and_the_search_goes_on(tmp_path: Path) -> None:
    def dies_once(candidate: Any) -> float:
        if hill(candidate) >= 2:
            with suppress(FileExistsError):  # one of four workers makes it
                (tmp_path / "died").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return hill(candidate)

    path = str(tmp_path / "trials.db")
    study = search(dies_once, PLAIN, trials=30, searcher="random", workers=4, store=path)
    assert len(study.trials) == 30
    assert sorted(trial.number for trial in study.trials) == list(range(30))
    (lost,) = study.failed
    assert "SIGKILL" in str(lost.error)
    with open_store(path) as store:
        assert len(store.trials(1)) == 30, "nothing is left at work"


SCRIPT = """
import sys, pathlib
from selftaught.search import search
from selftaught.spaces import macro_stack

marks = pathlib.Path(sys.argv[2])

def objective(stack):
    import os, time
    (marks / str(os.getpid())).touch()
    if sys.argv[3] == "hang":
        time.sleep(60)
    return float(len(set(stack.values())))

study = search(objective, macro_stack(), trials=int(sys.argv[4]), searcher="random", workers=2, store=sys.argv[1])
print(len(study.trials))
"""


def script(tmp_path: Path, way: str, trials: int) -> list[str]:
    (tmp_path / "marks").mkdir(exist_ok=True)
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    files = [str(tmp_path / name) for name in ("script.py", "t.db", "marks")]
    return [sys.executable, *files, way, str(trials)]


def test_a_script_without_a_guard_works_and_kill_9_of_all_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its function is sent by value, its workers end with it, and the same command goes on."""
    done = subprocess.run(script(tmp_path, "run", 6), capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "6", done.stderr
    earlier = {path.name for path in (tmp_path / "marks").iterdir()}
    process = subprocess.Popen(script(tmp_path, "hang", 12))
    workers: set[str] = set()
    while len(workers) < 2:
        assert process.poll() is None
        workers = {path.name for path in (tmp_path / "marks").iterdir()} - earlier
    process.kill()
    process.wait()
    for worker in workers:
        while _alive(int(worker)):
            os.sched_yield()
    with open_store(str(tmp_path / "t.db")) as store:
        assert [trial.number for trial in store.trials(1)] == list(range(6))
    done = subprocess.run(script(tmp_path, "run", 12), capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "12", done.stderr


def _alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not fetched yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_an_objective_may_start_processes_and_a_runner_left_open_ends_at_exit(tmp_path: Path) -> None:
    text = """
import subprocess, sys
from multiprocessing import get_context
from selftaught.runners import Processes

def objective(candidate):
    process = get_context("spawn").Process(target=print)
    process.start()
    process.join()
    return float(process.exitcode)

runner = Processes(objective, workers=1)
runner.submit(0, {})
print(runner.collect()[0].score.value)
"""
    (tmp_path / "script.py").write_text(text, encoding="utf-8")
    words = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout.split()[-1] == "0.0", done.stderr
    assert done.returncode == 0


def test_a_trial_over_its_limit_is_stopped() -> None:
    def hangs(candidate: Any) -> float:
        while candidate["x"] == "hang":
            pass
        return 1.0

    with Processes(hangs, workers=2, trial_seconds=0.2) as runner:
        runner.submit(0, {"x": "hang"})
        runner.submit(1, {"x": "go"})
        ended: dict[int, Outcome] = {}
        while len(ended) < 2:
            ended |= {outcome.number: outcome for outcome in runner.collect()}
        assert "stopped after 0.2 s" in str(ended[0].error)
        assert ended[1].error is None
        runner.submit(2, {"x": "hang"})
        assert runner.collect(timeout=0.0) == []


def test_workers_that_cannot_start_are_an_error_after_three() -> None:
    class Unloadable:
        def __reduce__(self) -> Any:
            return os._exit, (7,)

        def __call__(self, candidate: Any) -> float:
            return 0.0

    with Processes(Unloadable(), workers=1) as runner:
        for number in range(2):
            runner.submit(number, {})
            assert "exit code 7" in str(runner.collect()[0].error)
        runner.submit(2, {})
        with pytest.raises(InputError, match=r"3 worker processes in a row could not start: .* exit code 7"):
            runner.collect()


def test_an_objective_that_cannot_be_sent_is_one_line(tmp_path: Path) -> None:
    stream = open(tmp_path / "file", "w", encoding="utf-8")  # noqa: SIM115
    runner = Processes(lambda _: stream.write("x"))
    with stream, runner, pytest.raises(InputError, match="cannot be sent to another process"):
        runner.submit(0, {})


@pytest.mark.parametrize(("options", "message"), [({"workers": 0}, "workers"), ({"trial_seconds": 0}, "trial_seconds")])
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Processes(hill, **options)


def test_both_are_runners() -> None:
    assert isinstance(Inline(hill), Runner)
    with Processes(hill) as processes:
        assert isinstance(processes, Runner)
