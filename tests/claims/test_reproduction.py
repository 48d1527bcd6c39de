"""Rows are kept, reused, refused and judged again; what stops the work loses nothing that was finished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selftaught.claims import Advance, Claim, judge_rows, read_rows, reproduce
from selftaught.errors import DataError, InputError, ResumeError
from tests.claims.make_believe import claim

GOOD = (0.1, 0.2, 0.15, 0.12, 0.3)
BAD = tuple(-value for value in GOOD)


@pytest.mark.parametrize(
    ("gains", "status"), [(GOOD, "reproduced"), (BAD, "refuted"), ((0.1, -0.1, 0.2), "inconclusive")]
)
def test_the_status_is_that_of_the_rows_and_of_the_file(gains: tuple[float, ...], status: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    evidence = reproduce(claim(*gains), rows=path)
    assert evidence.status == status
    assert [row["value"] for row in evidence.rows if row["arm"] == "new"] == list(gains)
    again = judge_rows(claim(*gains), path)
    assert (again.status, again.findings) == (evidence.status, evidence.findings)
    for row in read_rows(path):
        assert row["config"]["claim"] == "make-believe"
        assert row["scale"] == "tiny"
        assert row["machine"]
    json.dumps(evidence.to_dict())
    assert status in str(evidence)
    assert "<pre>" in evidence._repr_html_()


@pytest.mark.parametrize("jobs", [2, 4])
def test_the_number_of_processes_changes_nothing(jobs: int, tmp_path: Path) -> None:
    def plain(found: object) -> list[dict[str, object]]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in found.rows]  # type: ignore[attr-defined]

    one = reproduce(claim(*GOOD), rows=tmp_path / "one.jsonl")
    many = reproduce(claim(*GOOD), rows=tmp_path / "many.jsonl", jobs=jobs)
    assert plain(one) == plain(many)


def test_a_timed_claim_is_never_measured_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr("selftaught.claims.reproduction.ProcessPoolExecutor", None)  # a pool would be a TypeError
    assert reproduce(replace(claim(*GOOD), timed=True), rows=tmp_path / "r.jsonl", jobs=4).status == "reproduced"


def test_an_interrupted_reproduction_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, log = tmp_path / "rows.jsonl", tmp_path / "log"
    heard: list[Advance] = []
    broken = claim(*GOOD, breaks_at=3, log=str(log))
    with pytest.raises(KeyboardInterrupt):
        reproduce(broken, rows=path, on_advance=heard.append)
    assert [one.done for one in heard] == [0, 1, 2, 3]
    assert len(read_rows(path)) == 6
    mended = _with_rows_of(broken, claim(*GOOD, breaks_at=-1, log=str(log)), path)
    heard.clear()
    evidence = reproduce(mended, rows=path, on_advance=heard.append)
    assert evidence.status == "reproduced"
    assert [(one.done, one.total, one.reused) for one in heard] == [(3, 5, 3), (4, 5, 3), (5, 5, 3)]
    assert log.read_text().split() == ["0", "1", "2", "3", "3", "4"]
    reproduce(mended, rows=path)
    assert log.read_text().split() == ["0", "1", "2", "3", "3", "4"], "a finished one measures nothing"


def _with_rows_of(broken: Claim, mended: Claim, path: Path) -> Claim:
    """Make the file look as if the mended claim had written it: the switch that breaks is part of the make-believe."""
    text = path.read_text()
    old, new = (json.dumps(one.identity(one.config())) for one in (broken, mended))
    assert old in text
    path.write_text(text.replace(old, new))
    return mended


def test_rows_of_another_configuration_are_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    reproduce(claim(*GOOD), rows=path)
    before = path.read_bytes()
    with pytest.raises(ResumeError, match=r"seed 0 instead of 7.*--fresh"):
        reproduce(claim(*GOOD), rows=path, seed=7)
    assert path.read_bytes() == before
    evidence = reproduce(claim(*GOOD), rows=path, seed=7, fresh=True)
    assert {row["seed"] for row in evidence.rows} == {7, 8, 9, 10, 11}


def test_rows_lie_in_a_file_of_their_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reproduce(claim(*GOOD), seed=2)
    assert (tmp_path / "selftaught-runs" / "claims" / "make-believe-tiny-seed2.jsonl").exists()


def test_a_worker_that_dies_is_one_line_and_loses_no_finished_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(DataError, match="worker process ended early"):
        reproduce(claim(*GOOD, dies_at=4), rows=path, jobs=2)
    assert all(row["seed"] != 4 for row in (read_rows(path) if path.exists() else []))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("{}\nnonsense\n", ":2 is no row"),
        ("[1]\n", ":1 is no row"),
        ('{"config": {"claim": "other"}}\n', "rows of other, not of make-believe"),
        ('{"seed": 1}\n', "cannot read: KeyError"),
        (
            '{"seed": 1, "config": {"claim": "make-believe", "a": 1}}\n{"config": {"claim": "make-believe"}}\n',
            "several",
        ),
    ],
)
def test_a_file_that_is_no_file_of_rows_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        judge_rows(claim(*GOOD), path)
    assert "\n" not in str(error.value)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        judge_rows(claim(*GOOD), tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="did you mean 'lanes-pay'"):
        reproduce("lane-pays")
    with pytest.raises(InputError, match="scale must be one of tiny"):
        reproduce(claim(*GOOD), scale="huge")
    with pytest.raises(InputError, match="seed must be at least 0"):
        reproduce(claim(*GOOD), seed=-1)
    with pytest.raises(InputError, match="jobs must be at least 1"):
        reproduce(claim(*GOOD), jobs=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        reproduce(claim(*GOOD), rows=tmp_path / "file" / "rows.jsonl")


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "rows.jsonl"
    with open(tmp_path / ".rows.jsonl.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ResumeError, match="another process"):
            reproduce(claim(*GOOD), rows=path)


def test_rows_in_a_folder_that_is_closed_or_gone_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match=r"Permission denied.*choose other --rows"):
        reproduce(claim(0.1), rows=tmp_path / "rows.jsonl")
    assert list(tmp_path.iterdir()) == []
