"""`selftaught reproduce` and `selftaught claims`: exit codes, what they print, what they refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from selftaught.claims import CLAIMS, Claim
from selftaught.cli import main
from tests.claims.make_believe import claim
from tests.claims.test_judges import RECIPES

GOOD = (0.1, 0.2, 0.15, 0.12, 0.3)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mapping[str, Claim]:
    known = {
        "good": claim(*GOOD),
        "bad": claim(*(-value for value in GOOD)),
        "vague": claim(0.1, -0.1, 0.2),
        "broken": claim(*GOOD, breaks_at=2),
    }
    monkeypatch.setattr("selftaught.claims.registry.CLAIMS", known)
    monkeypatch.chdir(tmp_path)
    return known


@pytest.mark.parametrize(("name", "code", "status"), [
    ("good", 0, "reproduced"), ("bad", 3, "refuted"), ("vague", 3, "inconclusive"),
])  # fmt: skip
def test_the_exit_code_says_whether_the_claim_holds(
    claims: Mapping[str, Claim], name: str, code: int, status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("reproduce", name, "--rows", "rows.jsonl", "--jobs", "1") == code
    said = capsys.readouterr()
    assert f"make-believe: {status}" in said.out
    assert "parts" in said.err
    assert "left" in said.err
    assert "a minute" in said.err
    assert run("reproduce", name, "--from-rows", "rows.jsonl", "--json") == code
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == status
    assert len(told["rows"]) == len(Path("rows.jsonl").read_text().splitlines())


def test_ctrl_c_keeps_rows_and_says_so(claims: Mapping[str, Claim], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("reproduce", "broken", "--rows", "rows.jsonl", "--jobs", "1", "--quiet") == 130
    said = capsys.readouterr()
    assert "2 of 5 parts are kept" in said.err
    assert said.out == ""
    assert len(Path("rows.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("words", [
    ["nothing"], [], ["good", "--scale", "huge"], ["good", "--seed", "x"], ["good", "--seed", "-1"],
    ["good", "--jobs", "0"], ["good", "--from-rows", "missing.jsonl"],
    ["good", "--from-rows", "a", "--rows", "b"], ["good", "--from-rows", "a", "--fresh"],
])  # fmt: skip
def test_wrong_use_is_one_line_and_exit_code_2(
    claims: Mapping[str, Claim], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("reproduce", *words) == 2
    said = capsys.readouterr()
    assert said.err.startswith("selftaught: ")
    assert said.err.count("\n") == 1


def test_rows_written_by_others_are_judged_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in CLAIMS:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in RECIPES[name]("refuted")))
        assert run("reproduce", name, "--from-rows", str(path)) == 3
        assert f"{name}: refuted" in capsys.readouterr().out


def test_the_list_names_every_claim_with_its_times(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("claims") == 0
    text = " ".join(capsys.readouterr().out.split())
    for one in CLAIMS.values():
        assert one.name in text
        assert " ".join(one.sentence.split()) in text
    assert "expected time: tiny" in text
    assert run("claims", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == list(CLAIMS)
    assert all(set(one["seconds"]) == {"tiny", "small", "full"} for one in listed)
