"""Wrong use of each verb: one line that says what to do, exit code 2, no output, nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from selftaught.cli import main
from selftaught.cli.doctor_command import examine
from selftaught.cli.quantities import LARGEST, number, whole_number
from selftaught.errors import did_you_mean
from tests.report.made_run import write_run

HEAD = "selftaught-program 1\n"
GOOD = HEAD + "task: binary\nsetup:\n pass\npredict:\n s1 = dot(v0, v1)\nlearn:\n v1 = s0 * v0\n"
CLASSES = HEAD + "task: classes 10\nsetup:\n pass\npredict:\n v2 = m0 @ v0\nlearn:\n m0 = outer(v1, v0)\n"
ROW = '{"program": "a", "features": 4, "seed": 0, "times": 4.0, "ratio": %s}\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a run, programs and rows, good and bad."""
    monkeypatch.chdir(tmp_path)
    run = write_run(Path("run"))
    broken = write_run(Path("broken"))
    text = (broken / "history.jsonl").read_text().replace("s3 = s0 - s1", "s3 = s0 -")
    (broken / "history.jsonl").write_text(text)
    assert run.is_dir()
    Path("empty").mkdir()
    for name, content in {
        "file": "hello", "ok.txt": GOOD, "classes.txt": CLASSES, "bad.txt": GOOD.replace("dot", "dto"),
        "nan.jsonl": ROW % "NaN", "huge.jsonl": ROW % ("1" + "0" * 400), "deep.jsonl": "[" * 100_000 + "\n",
        "table.csv": "a,b,target\n" + "".join(f"{k},{2 * k},{k % 2}\n" for k in range(60)),
    }.items():  # fmt: skip
        Path(name).write_text(content)


def state() -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


WRONG: list[tuple[str, str]] = [
    # report
    ("report", "Missing argument 'RUN'; see selftaught report --help"),
    ("report file", "file is a file; give the folder of a run"),
    ("report run/result.json", "is a file; give the folder of a run"),
    ("report ~nobody-of-that-name/run", "write it in full"),
    ("report run --out .", "is no file's name"),
    ("report run --out /", "is no file's name"),
    ("report run --out empty", "empty cannot be written: it is a folder"),
    ("report run --out no/page.html", "there is no folder no"),
    ("report run --out run/result.json", "would be lost; choose another --out"),
    ("report run --out run/../run/history.jsonl", "would be lost"),
    ("report run --out a.html --out b.html", "--out is given 2 times"),
    ("report run --out=", "--out is empty; give it a value, or leave it out"),
    ("report run --oops", "see selftaught report --help"),
    # replay
    ("replay broken", "improvement 5 of broken/history.jsonl is damaged (program:8:14: expected a slot or a number"),
    ("replay run --speed fast", "'fast' is not a number"),
    ("replay run --speed nan", "'nan' is not a number"),
    ("replay run --speed 1e999", "'1e999' is not a number"),
    ("replay run --speed 5 --speed 6", "--speed is given 2 times"),
    # explain
    ("explain empty", "give a finished run's folder or a program's file"),
    ("explain ok.txt --tasks linera", "did you mean 'linear'?"),
    ("explain ok.txt --tasks linear --count 1.5", "'1.5' is not a whole number"),
    ("explain ok.txt --tasks linear --count 0", "at least 2 tasks"),
    ("explain ok.txt --tasks linear --seed -1", "seed must be 0 to"),
    ("explain ok.txt --tasks linear --features 65", "1 to 64, got 65"),
    ("explain ok.txt --tasks table.csv --target price", "no column 'price'"),
    ("explain ok.txt --tasks linear --out empty", "it is a folder"),
    ("explain ok.txt --tasks linear --out no/x.json", "there is no folder no"),
    ("explain ok.txt --tasks linear --out ok.txt", "would be lost"),
    ("explain run --tasks linear --out run/result.json", "would be lost"),
    ("explain classes.txt --tasks linear", "is a program for the task 'classes 10', but these tasks are 'regression'"),
    # export
    ("export bad.txt", "bad.txt:6:7: unknown function 'dto'; did you mean 'dot'?"),
    ("export ok.txt --to rust", "'rust' is not one of 'python', 'c', 'torch', 'sklearn'; see selftaught export --help"),
    ("export ok.txt --out ok.txt", "would be lost"),
    ("export run --out run/settings.json", "would be lost"),
    ("export ok.txt --out empty", "it is a folder"),
    ("export ok.txt --name mine", "leave out --name, or say --to c"),
    ("export ok.txt --to c --features four --out o.c", "'four' is not a whole number"),
    ("export ok.txt --to c --features 1e9 --out o.c", "use fewer features"),
    ("export ok.txt --to c --features 99999999999999999999 --out o.c", "is too large"),
    ("export ok.txt --to c --to python", "--to is given 2 times"),
    # reproduce
    ("reproduce", "Missing argument 'NAME'"),
    ("reproduce lanes-pay --scale huge", "'huge' is not one of 'tiny', 'small', 'full'"),
    ("reproduce lanes-pay --seed 1e30", "'1e30' is too large"),
    ("reproduce lanes-pay --seed 1e999999999999", "is too large"),
    ("reproduce lanes-pay --from-rows nowhere", "give a file that selftaught reproduce wrote"),
    ("reproduce lanes-pay --from-rows empty", "give a file that selftaught reproduce wrote"),
    ("reproduce lanes-pay --from-rows nan.jsonl", "nan.jsonl:1 is no row"),
    ("reproduce lanes-pay --from-rows huge.jsonl", "huge.jsonl holds rows that the rule of lanes-pay cannot read"),
    ("reproduce lanes-pay --from-rows deep.jsonl", "deep.jsonl:1 is no row"),
    ("reproduce lanes-pay --from-rows nan.jsonl --seed 3", "leave out --seed"),
    ("reproduce lanes-pay --from-rows nan.jsonl --scale tiny", "leave out --scale"),
    ("reproduce lanes-pay --rows file/rows.jsonl", "choose other --rows"),
    # data
    ("data linear", "linear is a built-in task"),
    ("data linear_regression", "selftaught evolve linear_regression takes it"),
    ("data https://example.org/a.csv", "is an address; download"),
    ("data table.csv --task both", "'both' is not one of"),
    ("data table.csv --target a --target b", "--target is given 2 times"),
    # claims, doctor, and what is no verb
    ("claims lanes-pay", "unexpected extra argument(s) (lanes-pay); see selftaught claims --help"),
    ("claims --scale tiny", "see selftaught claims --help"),
    ("doctor now", "see selftaught doctor --help"),
    ("doctor --json=yes", "does not take a value"),
    ("docter", "Did you mean 'doctor'?"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "wanted"), WRONG, ids=[words for words, _ in WRONG])
def test_wrong_use_is_one_line_and_writes_nothing(words: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = state()
    with pytest.raises(SystemExit) as left:
        main(words.split())
    out, err = capsys.readouterr()
    assert left.value.code == 2
    assert out == ""
    assert err.startswith("selftaught: ")
    assert err.count("\n") == 1
    assert wanted in err
    assert "Value error" not in err
    assert state() == before


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs a file without an end")
@pytest.mark.parametrize("words", ["export /dev/zero", "explain /dev/zero --tasks linear"])
def test_a_file_without_an_end_is_no_program(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 2
    assert "holds more than 4 MB" in capsys.readouterr().err


def test_a_switch_may_stand_twice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["claims", "--json", "--json"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("[")


def test_whole_numbers_are_exact_and_bounded() -> None:
    assert whole_number("9007199254740993e0") == 9007199254740993, "no float lies between"
    assert whole_number("3.0") == 3
    assert whole_number(str(LARGEST)) == LARGEST
    assert number("-2.5e-3") == -0.0025


def test_a_word_that_is_known_is_not_suggested() -> None:
    assert did_you_mean("classes", ["classes", "binary"]) == ""


@pytest.mark.parametrize("folder", ["file", "file/below", "ok.txt/a/b"])
def test_doctor_says_that_a_cache_cannot_be_written(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFTAUGHT_CACHE", folder)
    cache = examine()["cache"]
    assert not cache["writable"]
    assert (cache["bytes"], cache["kernels"]) == (0, 0)


def test_doctor_counts_what_it_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    (cache / "engine").mkdir(parents=True)
    (cache / "engine" / "kernel.o").write_bytes(b"12345")
    (cache / "engine" / "gone.o").symlink_to("nowhere")
    monkeypatch.setenv("SELFTAUGHT_CACHE", str(cache))
    found = examine()["cache"]
    assert (found["bytes"], found["kernels"], found["writable"]) == (5, 1, True)
