"""The benchmark of the searchers runs as a miniature, and its rows are what the page on search says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import searchers

ROOT = Path(__file__).resolve().parents[2]


def test_a_miniature_runs_and_keeps_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "search.json"
    words = ["--quick", "--out", str(out)]
    assert searchers.main([*words, "--only", "asks"]) == 0
    assert searchers.main([*words, "--only", "store", "--only", "tables", "--only", "noise"]) == 0
    results = json.loads(out.read_text(encoding="utf-8"))
    assert set(results) == set(searchers.SECTIONS)
    assert {row["name"] for row in results["asks"]["rows"]} >= set(searchers.COMPARED)
    assert all(row["trials_per_second"] > 0 for row in results["store"]["rows"])
    for row in results["tables"]["rows"]:
        assert len(row["signal"]) == row["seeds"] == 2
    assert "asks/s" in capsys.readouterr().out


@pytest.mark.skipif(not searchers.RESULTS.exists(), reason="no figures are on record")
def test_the_page_says_what_the_rows_on_record_say() -> None:
    results = json.loads(searchers.RESULTS.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    rows = results["tables"]["rows"]
    assert all(row["seeds"] >= 200 and row["first_seed"] == searchers.FIRST_SEED for row in rows)
    assert {row["name"] for row in rows} == set(searchers.COMPARED)
    for line in searchers.page_lines(rows):
        assert line in page
