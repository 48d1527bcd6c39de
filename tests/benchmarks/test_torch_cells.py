"""The benchmark of cells on digits runs, pairs its seeds and keeps its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import cells_on_digits

pytest.importorskip("torch")


def test_a_miniature_keeps_a_row_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows.json"
    words = ["--seeds", "1", "--trials", "2", "--epochs", "1", "--searcher", "random", "--out", str(out)]
    assert cells_on_digits.main(words) == 0
    (row,) = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert (row["searcher"], row["seed"], row["trials"]) == ("random", 0, 2)
    assert all(0 <= row[name] <= 100 for name in ("valid", "valid_random", "test", "test_random", "test_by_hand"))
    assert "random less random search, test:" in capsys.readouterr().out
