"""The script that runs the tests in two processes tells of both, and fails when either does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not (ROOT / "tools" / "tests.py").exists(), reason="only in a clone")
@pytest.mark.parametrize(("plain", "apart", "code"), [(True, True, 0), (False, True, 1), (True, False, 1)])
def test_both_processes_count(tmp_path: Path, plain: bool, apart: bool, code: int) -> None:
    for folder in ("tools", "tests"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "tools" / "tests.py", tmp_path / "tools")
    (tmp_path / "tests" / "test_plain.py").write_text(f"def test_one(): assert {plain}\ndef test_two(): pass\n")
    (tmp_path / "tests" / "test_torch_apart.py").write_text(f"def test_three(): assert {apart}\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "tools" / "tests.py"), "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "the tests with torch, which ran beside these" in done.stdout
    assert ("1 failed" if not apart else "1 passed") in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert ("2 passed" if plain else "1 failed, 1 passed") in last
