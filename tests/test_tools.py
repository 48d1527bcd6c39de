"""The script that runs the tests in two lanes tells of all processes, and fails when any does."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "tools" / "tests.py").exists(), reason="only in a clone")


@pytest.mark.parametrize(
    ("plain", "apart", "slow", "code"),
    [(True, True, True, 0), (False, True, True, 1), (True, False, True, 1), (True, True, False, 1)],
)
def test_all_processes_count(tmp_path: Path, plain: bool, apart: bool, slow: bool, code: int) -> None:
    folder = tmp_path / "tests" / "programs" / "export"
    for one in (tmp_path / "tools", folder):
        one.mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "tests.py", tmp_path / "tools")
    (tmp_path / "tests" / "test_plain.py").write_text(f"def test_one(): assert {plain}\ndef test_two(): pass\n")
    (tmp_path / "tests" / "test_torch_apart.py").write_text(f"def test_three(): assert {apart}\n")
    more = "".join(f"def test_more{k}(): pass\n" for k in range(2))
    (folder / "test_slow.py").write_text(f"def test_four(): assert {slow}\n{more}")
    (folder / "test_torch_slow.py").write_text("def test_five(): pass\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "tools" / "tests.py"), "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    _, beside = done.stdout.split("the tests with torch and the slow folders, which ran beside these")
    assert ("2 passed" if apart else "1 failed, 1 passed") in beside
    assert ("3 passed" if slow else "1 failed, 2 passed") in beside
    last = done.stdout.strip().splitlines()[-1]
    assert ("2 passed" if plain else "1 failed, 1 passed") in last


def test_a_lane_that_breaks_passes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("tests_in_lanes", ROOT / "tools" / "tests.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_plain.py").write_text("def test_one(): pass\n")
    (tmp_path / "tests" / "test_torch_apart.py").write_text("def test_two(): assert False\n")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr(tool.Lane, "run", lambda self: None)
    assert tool.main(["-q", "-p", "no:cacheprovider"]) == 1
