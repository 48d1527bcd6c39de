"""What the page on claims says to do, done; and `make evidence` on make-believe claims."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import evidence, report
from selftaught.claims import judge_rows, reproduce
from tests.claims.make_believe import claim

ROOT = Path(__file__).resolve().parents[2]
GOOD = (0.1, 0.2, 0.15, 0.12, 0.3)


def test_the_claim_of_the_page_can_be_added_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "CLAIM = Claim(" in block
    )
    path = tmp_path / "more_tasks_help.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("more_tasks_help", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "more_tasks_help", module)
    spec.loader.exec_module(module)
    added = module.CLAIM
    small = replace(added.scales["tiny"], config=replace(added.config(), seeds=1, programs=100))
    evidence_found = reproduce(replace(added, scales={"tiny": small}), rows=tmp_path / "rows.jsonl")
    assert evidence_found.status == "inconclusive"
    assert [row["tasks"] for row in evidence_found.rows] == [2, 16]
    rows = [{"tasks": d, "seed": k, "fitness_final": 0.5 + d / 100} for k in range(5) for d in (2, 16)]
    assert added.judge(rows).status == "reproduced"


def test_make_evidence_measures_all_and_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"make-believe": claim(*GOOD)}
    monkeypatch.setattr("selftaught.claims.registry.CLAIMS", known)
    monkeypatch.setattr(evidence, "CLAIMS", known)
    rows, page = tmp_path / "rows", tmp_path / "evidence.md"
    words = ["--jobs", "1", "--rows", str(rows), "--page", str(page)]
    assert evidence.main(words) == 0
    first = page.read_text(encoding="utf-8")
    assert "## make-believe" in first
    assert "**Reproduced.**" in first
    assert judge_rows(claim(*GOOD), rows / "tiny" / "make-believe.jsonl").status == "reproduced"
    capsys.readouterr()
    assert evidence.main([*words, "--seed", "3"]) == 0
    assert "measured anew" in capsys.readouterr().out
    assert "--seed 3" in page.read_text(encoding="utf-8")
    known["make-believe"] = claim(*GOOD, breaks_at=1)
    assert evidence.main([*words, "--seed", "4"]) == 130
    assert evidence.main([*words, "--jobs", "0"]) == 2


def test_make_docs_writes_the_page_anew_from_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "CLAIMS", {"make-believe": claim(*GOOD)})
    monkeypatch.setattr("selftaught.claims.registry.CLAIMS", {"make-believe": claim(*GOOD)})
    reproduce("make-believe", rows=tmp_path / "claims" / "tiny" / "make-believe.jsonl")
    assert report.main(["--results", str(tmp_path), "--docs", str(tmp_path)]) == 0
    assert "## make-believe" in (tmp_path / "evidence.md").read_text(encoding="utf-8")
    assert not (tmp_path / "performance.md").exists()


def test_the_page_of_evidence_is_what_the_rows_on_record_say(tmp_path: Path) -> None:
    assert evidence.write_page(evidence.ROWS, tmp_path / "evidence.md")
    assert (tmp_path / "evidence.md").read_text(encoding="utf-8") == evidence.PAGE.read_text(encoding="utf-8")
