"""The command line: help, exit codes, one line a mistake, and what scripts can read."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import selftaught
from selftaught.cli import main
from selftaught.cli.app import app
from selftaught.cli.config_file import read_config, write_config
from selftaught.cli.doctor_command import EXTRAS, REQUIRED
from selftaught.cli.evolve_command import SETTINGS, repeatable
from selftaught.programs import BUILTIN, PRESETS
from selftaught.programs.settings import resolve_settings
from tests.cli.make_believe import make_believe

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [str(command.name) for command in app.registered_commands]


def run(*words: str) -> int:
    """Run the command line in this process and return its exit code."""
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """A make-believe evolve in an empty folder; what it was called with."""
    made: list[dict[str, Any]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("selftaught.programs.evolve", make_believe(calls=made), raising=False)
    return made


def describe(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run("--help-json") == 0
    described: dict[str, Any] = json.loads(capsys.readouterr().out)
    return described


def test_help_for_machines_lists_every_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    described = describe(capsys)
    assert [command["name"] for command in described["commands"]] == COMMANDS
    assert described["version"] == selftaught.__version__
    for command in described["commands"]:
        flags = [flag for one in command["parameters"] for flag in one.get("flags", [])]
        assert len(flags) == len(set(flags))
        assert all(one["help"] for one in command["parameters"])
    evolve = next(command for command in described["commands"] if command["name"] == "evolve")
    by_name = {one["name"]: one for one in evolve["parameters"]}
    assert by_name["search"]["choices"] == ["live", "classic", "random"]
    assert by_name["num_tasks"]["flags"] == ["--tasks"]
    assert by_name["data"]["kind"] == "argument"
    assert not any(one["required"] for one in evolve["parameters"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_names_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = next(one for one in describe(capsys)["commands"] if one["name"] == name)
    assert run(name, "--help") == 0
    text = capsys.readouterr().out
    assert command["help"].splitlines()[0] in " ".join(text.split())
    for parameter in command["parameters"]:
        for flag in parameter.get("flags", []):
            assert flag in text


def test_every_command_and_option_stands_in_the_documents(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    for command in describe(capsys)["commands"]:
        assert f"selftaught {command['name']}" in text
        for parameter in command["parameters"]:
            for flag in parameter.get("flags", []):
                assert f"`{flag}" in text, f"{command['name']} {flag} stands in no document"


def test_the_documents_name_no_option_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    described = describe(capsys)
    parameters = [one for command in described["commands"] for one in command["parameters"]]
    known = {flag for one in [*parameters, *described["options"]] for flag in one.get("flags", [])} | {"--help"}
    text = (ROOT / "docs" / "evolve.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - known == set()


def children_cpu() -> float:
    """Return the processor seconds of finished child processes: a busy machine does not change them much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_quick_and_loads_no_engine() -> None:
    code = (
        "import sys\nfrom selftaught.cli import main\n"
        "try:\n    main(['evolve', '--help'])\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        start = children_cpu()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        seconds.append(children_cpu() - start)
        assert done.returncode == 0
    loaded = done.stderr.split()
    assert [name for name in ("numba", "sklearn", "polars", "numpy", "scipy", "sqlalchemy") if name in loaded] == []
    assert min(seconds) < 1.5  # 0.4 on an idle machine


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"selftaught {selftaught.__version__}\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["evolve", "--search", "lively"], "lively"),
        (["evolve", "--bias", "some"], "some"),
        (["evolve", "--seconds", "soon"], "soon"),
        (["evolve", "--programs", "1.5"], "1.5"),
        (["evolve", "--seed"], "--seed"),
        (["evolve", "--speed", "9"], "--speed"),
        (["evolve", "--resume", "--fresh"], "one of them"),
        (["evolve", "--config", "no_such.toml"], "no_such.toml"),
        (["evolve", "one", "two"], "two"),
        (["evlove"], "evolve"),
        (["data", "no_such_file.csv"], "no_such_file.csv"),
        (["data", "digit"], "digits"),
        (["data", "iris", "--missing", "impute"], "missing does not apply"),
        (["data", "iris", "--missing", "guess"], "guess"),
        (["data", "iris", "--drop", " , "], "names no column"),
        (["data", "digits", "--resize", "32"], "height x width"),
        (["explain", "run", "--id-column", "a"], "run"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], wanted: str, calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("selftaught: ")
    assert err.count("\n") == 1
    assert wanted in err
    assert calls == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("seconds = ", "not TOML"),
        ("second = 3", "did you mean 'seconds'"),
        ("target-fitness = 0.9\ntarget_fitness = 0.8", "set twice"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_bad_settings_file_is_one_line(
    text: str | bytes, wanted: str, calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert run("evolve", "--config", "run.toml") == 2
    err = capsys.readouterr().err
    assert wanted in err
    assert err.count("\n") == 1
    assert calls == []


def test_options_win_over_the_file_and_the_file_over_the_defaults(calls: list[dict[str, Any]]) -> None:
    Path("run.toml").write_text('data = "iris"\nseed = 3\nsizes = "5/2/4"\ntarget-fitness = 0.5\n', encoding="utf-8")
    assert run("evolve", "--config", "run.toml", "--seed", "4", "--quiet") == 0
    (call,) = calls
    assert (call["examples"], call["seed"], call["sizes"], call["target_fitness"]) == ("iris", 4, "5/2/4", 0.5)
    assert "population" not in call


def test_the_saved_settings_repeat_the_run(calls: list[dict[str, Any]]) -> None:
    words = [
        "--out",
        "runs/a b",
        "--operators",
        "vector_dot, vector_add",
        "--seconds",
        "1m",
        "--programs",
        "2e6",
        "--quiet",
    ]
    assert run("evolve", "wine", *words, "--bias", "learner", "--target-fitness", "0.9") == 0
    saved = tomllib.loads(Path("runs/a b/config.toml").read_text(encoding="utf-8"))
    assert saved["data"] == "wine"
    assert "out" not in saved
    assert run("evolve", "--config", "runs/a b/config.toml", "--out", "again", "--quiet") == 0
    first, second = calls
    assert {name: second[name] for name in first if name not in ("out", "operators")} == {
        name: value for name, value in first.items() if name not in ("out", "operators")
    }
    assert set(second["operators"]) == {"setup", "predict", "learn"}
    assert second["operators"]["learn"] == first["operators"] == ["vector_dot", "vector_add"]
    assert (second["population"], second["sizes"], second["seed"]) == (1000, "7/11/23", 0)
    assert (first["seconds"], first["programs"]) == (60.0, 2_000_000)


@pytest.mark.parametrize("preset", [*PRESETS, None])
@pytest.mark.parametrize("given", [{}, {"sizes": "5/6/12"}, {"search": "classic", "operators": "full", "seed": 3}])
def test_the_saved_settings_define_the_same_search(preset: str | None, given: dict[str, Any], tmp_path: Path) -> None:
    data = (PRESETS[preset] if preset else {}).get("examples", "digits")
    digest = "" if data in BUILTIN else "0123"
    given = {**given, "preset": preset} if preset else given
    first = resolve_settings(data, digest, given).defining()
    write_config(tmp_path / "config.toml", repeatable(given, first), "a comment")
    again = read_config(tmp_path / "config.toml", SETTINGS)
    assert again.pop("data") == data
    assert resolve_settings(data, digest, again).defining() == first


def test_paths_are_saved_so_that_they_hold_from_any_folder(calls: list[dict[str, Any]]) -> None:
    Path("mine.csv").write_text("a,target\n", encoding="utf-8")
    assert run("evolve", "mine.csv", "--quiet", "--out", "here") == 0
    assert tomllib.loads(Path("here/config.toml").read_text(encoding="utf-8"))["data"] == str(
        Path("mine.csv").absolute()
    )


@pytest.mark.parametrize(("words", "wanted"), [([], None), (["--resume"], True), (["--fresh"], False)])
def test_resume_and_fresh_are_handed_on(words: list[str], wanted: bool | None, calls: list[dict[str, Any]]) -> None:
    assert run("evolve", "--quiet", *words) == 0
    assert calls[0]["resume"] is wanted


def test_json_is_all_that_stands_on_the_standard_output(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evolve", "--json", "--out", "here") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("here/result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("target", "code"), [("0.97", 0), ("0.99", 1)])
def test_a_target_that_is_not_reached_is_exit_code_1(target: str, code: int, calls: list[dict[str, Any]]) -> None:
    assert run("evolve", "--quiet", "--target-fitness", target) == code


def test_lines_and_summary_where_there_is_no_terminal(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evolve", "--seed", "7") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.index("seed 7") < out.index("baselines: linear 0.9612") < out.index("programs, 182 k/s")
    assert "bias free" in out
    assert "one [odd] warning" in out
    assert "v1 = step(v1)" in out
    assert "--config selftaught-runs/digits-0123abcd/config.toml" in " ".join(out.split())


def test_quiet_prints_the_summary_alone(calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evolve", "--quiet") == 0
    out = capsys.readouterr().out
    assert "baselines:" not in out
    assert "The evolved program" in out


def test_a_permission_denied_is_one_line(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", "runs/x")

    monkeypatch.setattr("selftaught.programs.evolve", refuse)
    assert run("evolve", "--quiet") == 2
    assert capsys.readouterr().err == "selftaught: runs/x: Permission denied\n"


def test_the_real_search_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["evolve", "linear", "--programs", "2000", "--population", "100", "--tasks", "4", "--out", "run"]
    assert run(*words, "--json", "--quiet") == 0
    result = json.loads(capsys.readouterr().out)
    wanted = {
        "seed", "bias", "search", "programs", "programs_before_resume", "programs_per_second", "cpu_seconds",
        "evaluations_to_best", "fitness_search", "fitness_select", "fitness_test", "baselines", "program",
    }  # fmt: skip
    assert wanted <= set(result)
    assert set(result["baselines"]) - {"constant"} == {"linear", "net", "reference"}
    assert all(set(score) == {"mean", "low", "high", "tasks"} for score in result["baselines"].values())
    for name in ("program.txt", "result.json", "history.jsonl", "config.toml"):
        assert Path("run", name).stat().st_size
    # The saved settings are those of this run: it is done, and is not done again.
    assert run("evolve", "--config", "run/config.toml", "--out", "run", "--json", "--quiet") == 0
    again = json.loads(capsys.readouterr().out)
    assert {**again, "warnings": []} == {**result, "warnings": []}
    assert "finished before" in again["warnings"][-1]
    assert run(*words, "--quiet", "--seed", "1") == 2
    assert "seed 0 -> 1" in capsys.readouterr().err


def test_data_describes_classes_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("data", "iris", "--json") == 0
    iris = json.loads(capsys.readouterr().out)
    assert iris["classes"] == {"setosa": 50, "versicolor": 50, "virginica": 50}
    assert len(iris["columns"]) == 4
    assert run("data", "diabetes") == 0
    assert "a number from 25 to 346" in capsys.readouterr().out


MESSY = "row,comment,size,built,price\n" + "".join(
    f"r{number},text {number},{'' if number % 9 == 0 else number % 7},{1990 + number % 30}-05-01,{number % 7 + 0.5}\n"
    for number in range(1100)
)


def test_a_messy_table_is_read_with_options_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every complaint names the option that helps, until the table is read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.csv").write_text(MESSY)
    words = ["data", "a b.csv"]
    for named, given in [
        ("--target", ["--target", "price"]), ("--missing impute", ["--missing", "impute"]),
        ("--drop", ["--drop", "comment"]), ("--id-column", ["--id-column", "row"]),
    ]:  # fmt: skip
        assert run(*words) == 2
        assert named in capsys.readouterr().err
        words += given
    assert run(*words, "--json") == 0
    described = json.loads(capsys.readouterr().out)
    assert described["columns"] == ["size", "built"]
    assert described["first_ids"] == ["r0", "r1", "r2"]
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert "selftaught evolve 'a b.csv' --target price --missing impute --drop comment --id-column row" in shown


def test_how_data_are_read_is_handed_on_saved_and_repeated(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    words = ["--missing", "impute", "--drop", 'row,"a, b"', "--id-column", "key", "--out", "here"]
    assert run("evolve", "my.csv", "--target", "price", *words) == 0
    given = {"missing": "impute", "drop": ("row", "a, b"), "id_column": "key", "target": "price"}
    assert given.items() <= calls[0].items()
    assert run("evolve", "--config", "here/config.toml", "--out", "again") == 0
    assert (given | {"drop": ["row", "a, b"]}).items() <= calls[1].items()


def test_doctor_knows_the_extras_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(needs: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9-]", need)[0] for need in needs}

    extras = {name: needs for name, needs in project["optional-dependencies"].items() if name not in ("test", "all")}
    assert {name: set(packages) for name, (_, packages) in EXTRAS.items()} == {
        name: names(needs) for name, needs in extras.items()
    }
    assert set(REQUIRED) == names(project["dependencies"])
    assert run("doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["missing"] == []
    assert found["extras"]["hub"]["install"] == "pip install 'selftaught[hub]'"
    assert run("doctor") == 0
    assert "kernel cache" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_the_clock_starts_with_the_process() -> None:
    code = "import time; time.sleep(0.4); from selftaught.cli.quantities import process_began as p;"
    code += "began = p(); print(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.35 <= float(done.stdout) <= 30.0
