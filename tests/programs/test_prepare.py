"""Compiling ahead: exactly what the demo needs, and nothing breaks without it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from selftaught.errors import InputError
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator, evaluate_batch
from selftaught.programs.loop import run_live
from selftaught.programs.prepare import prepare
from selftaught.programs.search import Island
from selftaught.programs.settings import resolve_settings

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_prepared_is_what_the_demo_runs() -> None:
    prepare()
    before = list(run_live.signatures), list(evaluate_batch.signatures)
    tasks = builtin_tasks("linear_regression", count=10, features=4, num_train=100, num_valid=100)
    evaluator = Evaluator(tasks)
    island = Island(resolve_settings("linear_regression", "", {"preset": "demo"}), tasks, 0, evaluator)
    island.run(50)
    evaluator.score_many([one[0] for one in island.best()])
    assert (list(run_live.signatures), list(evaluate_batch.signatures)) == before
    assert all(before)


def test_an_unknown_part_is_one_line() -> None:
    with pytest.raises(InputError, match="no part 'lop' of the engine; did you mean 'loop'"):
        prepare(["lop"])


@pytest.mark.skipif(not (ROOT / "tools" / "environment.py").exists(), reason="only in a clone")
class TestEnvironment:
    """`tools/environment.py`, which the Makefile calls."""

    def test_wrong_use_is_one_line(self) -> None:
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "environment.py")], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (2, "use: python tools/environment.py FOLDER base|test\n")

    def test_what_is_installed_first_is_pinned(self) -> None:
        text = (ROOT / "tools" / "environment.py").read_text(encoding="utf-8")
        (names,) = re.findall(r"^ENGINE = (\(.*\))$", text, re.MULTILINE)
        pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        needed = {re.split("[<>=]", name)[0] for name in project["project"]["dependencies"]} | {"hatchling"}
        first = set(re.findall(r'"([^"]+)"', names))
        assert first
        assert first <= pinned & needed

    def test_waiting_tells_of_failure_and_of_time(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        spec = importlib.util.spec_from_file_location("environment", ROOT / "tools" / "environment.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(module, "TOLD_EVERY", 0.2)

        def processes(*codes: str) -> list[subprocess.Popen[bytes]]:
            return [subprocess.Popen([sys.executable, "-c", code]) for code in codes]

        assert not module.wait_for(processes("import time; time.sleep(0.5)", "pass"))
        assert "still compiling" in capsys.readouterr().out
        assert module.wait_for(processes("raise SystemExit(3)", "pass"))
        monkeypatch.setattr(module, "PATIENCE", 0.0)
        slow = processes("import time; time.sleep(60)")
        try:
            assert module.wait_for(slow)
        finally:
            slow[0].kill()
            slow[0].wait()
