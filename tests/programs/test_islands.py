"""Islands in processes: one seed and number of islands give one result, and losing one does not lose the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.islands import Crew, Solo, share
from selftaught.programs.settings import EvolveSettings, resolve_settings

TASKS = builtin_tasks("linear_regression", count=10, features=4, num_train=100, num_valid=100)
PATIENCE = 60.0  # seconds after which a test gives up


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(TASKS)


def settings(**options: object) -> EvolveSettings:
    given = {"preset": "demo", "population": 100, "target_fitness": 1.0, "workers": 2, "programs": 9000, **options}
    return resolve_settings("linear_regression", "", given)


@pytest.fixture
def crews(evaluator: Evaluator) -> Iterator[object]:
    made: list[Crew] = []

    def make(*arguments: object, **options: object) -> Crew:
        made.append(Crew(settings(**options), TASKS, evaluator, *arguments))
        return made[-1]

    yield make
    for crew in made:
        crew.close()


def work(team: Crew | Solo, until: int | None = None) -> None:
    stop = time.monotonic() + PATIENCE
    while team.status == "running" and (until is None or team.counts()["programs"] < until):
        team.advance(0.1)
        assert time.monotonic() < stop, "the islands hang"


def found(team: Crew | Solo) -> list[tuple[object, float, int]]:
    return [(f.program, f.fitness, f.programs) for f in team.best()]


def processes(crew: Crew) -> list[int]:
    return [worker.process.pid for worker in crew._workers]


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_shares_add_up() -> None:
    assert [share(10, k, 3) for k in range(3)] == [4, 3, 3]
    assert share(None, 0, 2) > 10**15


def test_two_crews_of_one_seed_find_the_same(crews: object) -> None:
    one, other = crews(), crews()
    work(one)
    work(other)
    assert one.status == other.status == "programs"
    assert one.counts()["programs"] == 9000
    assert found(one) == found(other)
    assert len(found(one)) == 32


def test_migrants_change_what_is_found(crews: object, evaluator: Evaluator) -> None:
    met = crews()
    work(met)
    apart = Crew(settings().model_copy(update={"num_migrants": 0}), TASKS, evaluator)
    try:
        work(apart)
        islands = [[f for f in crew.best() if f.island == 0] for crew in (met, apart)]
        assert islands[0] != islands[1]
        alone = Solo(settings(workers=1, programs=4500), TASKS, evaluator)
        work(alone)
        assert alone.best() == islands[1]
    finally:
        apart.close()


def test_a_snapshot_goes_on_to_the_same_end(crews: object) -> None:
    whole = crews()
    work(whole)
    first = crews()
    work(first, until=5000)
    arrays, about = first.snapshot()
    first.close()
    second = crews(arrays, about)
    work(second)
    assert second.counts()["programs"] == 9000
    assert found(second) == found(whole)


def test_a_killed_island_leaves_the_other_going_on(crews: object) -> None:
    crew = crews(programs=40_000)
    work(crew, until=2000)
    os.kill(processes(crew)[1], signal.SIGKILL)
    work(crew)
    assert crew.status == "programs"
    assert crew.living == 1
    assert crew.counts()["programs"] >= 20_000
    assert "island 1 ended early (exit code -9)" in crew.warnings()[0]
    _, about = crew.snapshot()
    assert about["alive"] == [True, False]


def test_all_killed_ends_the_search(crews: object) -> None:
    crew = crews(programs=10_000_000)
    work(crew, until=2000)
    for pid in processes(crew):
        os.kill(pid, signal.SIGKILL)
    work(crew)
    assert crew.status == "workers"
    assert found(crew)


def test_close_leaves_no_process(crews: object) -> None:
    crew = crews(programs=10_000_000)
    work(crew, until=1000)
    pids = processes(crew)
    crew.close()
    assert not any(running(pid) for pid in pids)


def test_target_is_decided_at_the_barrier(crews: object) -> None:
    crew = crews(programs=10_000_000, target_fitness=0.3)
    work(crew)
    assert crew.status == "target"
    crew.set_target(2.0)
    programs = crew.counts()["programs"]
    work(crew, until=programs + 3000)
    assert crew.counts()["programs"] >= programs + 3000


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from test_islands import TASKS, settings
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.islands import Crew
crew = Crew(settings(programs=10**9), TASKS, Evaluator(TASKS))
while crew.counts()["programs"] < 1000:
    crew.advance(0.1)
print(*[worker.process.pid for worker in crew._workers], flush=True)
while True:
    crew.advance(0.1)
"""


def test_islands_end_with_a_killed_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, os.path.dirname(__file__)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    stop = time.monotonic() + PATIENCE
    while any(running(pid) for pid in pids) and time.monotonic() < stop:
        time.sleep(0.05)
    assert not any(running(pid) for pid in pids)
