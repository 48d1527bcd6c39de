"""Formulas, the whole explanation, its file, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selftaught.cli import main
from selftaught.errors import InputError
from selftaught.programs import (
    EvolveSettings,
    evolve,
    format_program,
    linear_learner,
    parse_program,
    two_layer_network,
)
from selftaught.programs.explain import Explanation, explain, formulas, unseen_tasks
from selftaught.programs.settings import resolve_settings

SCHEMA = {
    "program", "short", "fitness", "short_fitness", "floor", "bits", "drops", "techniques", "formulas", "warnings",
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explain(linear_learner(0.05), unseen_tasks("linear", count=16, num_train=300, num_valid=50))


def test_the_linear_learner_is_written_as_gradient_descent() -> None:
    texts = [formula.text for formula in formulas(linear_learner(0.01))]
    assert texts == ["eta = 0.01", "prediction = dot(x, w)", "w <- w + eta * (y - prediction) * x"]
    latex = [formula.latex for formula in formulas(linear_learner(0.01))]
    assert latex[1] == r"\hat y = x^\top w"
    assert latex[2] == r"w \leftarrow w + \eta \, \left(y - \hat y\right) \, x"


def test_the_network_is_written_with_names_for_what_is_used_twice() -> None:
    texts = {formula.name: formula.text for formula in formulas(two_layer_network(0.01, 0.1), 1)}
    assert texts["h"] == "h = W @ x + w"
    assert texts["h2"] == "h2 = relu(h)"
    assert texts["prediction"] == "prediction = sigmoid(dot(h2, w2) + b)"
    assert texts["update of b"] == "b <- b + a"


def test_brackets_keep_a_difference_of_differences() -> None:
    body = "s2 = mean(v0)\n s3 = std(v0)\n s4 = s2 - s3\n s1 = s2 - s4"
    text = f"selftaught-program 1\nsetup:\n pass\npredict:\n {body}\nlearn:\n pass"
    written = formulas(parse_program(text).program)[-1].text
    assert written == "prediction = a - (a - std(x))"


def test_sums_are_written_as_people_write_them() -> None:
    head = (
        "selftaught-program 1\nsetup:\n s6 = 0.5\npredict:\n v1 = maximum(v0, v0)\n s1 = dot(v1, v2)\n s1 = s1 + s2\n"
    )
    learn = "learn:\n s4 = s0 - s1\n s3 = s4 + s4\n s3 = s3 * s6\n s2 = s3 + s2\n v3 = s4 * v0\n v2 = v3 + v2"
    texts = {formula.name: formula.text for formula in formulas(parse_program(head + learn).program)}
    assert texts["prediction"] == "prediction = dot(x, w) + b"
    assert texts["update of b"] == "b <- b + 2 * e * eta"
    assert texts["update of w"] == "w <- w + e * x"
    nothing = parse_program(head + learn.replace("s4 + s4", "s4 - s4")).program
    assert {formula.name: formula.text for formula in formulas(nothing)}["update of b"] == "b <- b"


def test_a_formula_that_is_too_long_is_told_as_instructions() -> None:
    lines = "\n".join(f" s1 = sin(s1)\n s1 = s1 + s{2 + i % 2}" for i in range(60))
    text = f"selftaught-program 1\nsetup:\n s2 = 0.5\n s3 = 0.25\npredict:\n{lines}\nlearn:\n pass"
    last = next(formula for formula in formulas(parse_program(text).program) if formula.name == "prediction")
    assert last.latex == ""
    assert "the result of: " in last.text


def test_an_explanation_says_what_it_should(found: Explanation) -> None:
    assert [drop.text for drop in found.drops][:2] == ["s2 = 0.05", "s1 = dot(v0, v1)"]
    assert [technique.name for technique in found.techniques] == ["linear model", "gradient step", "learning rate"]
    assert all(technique.gain is not None and technique.gain > 0.1 for technique in found.techniques)
    assert found.fitness.mean > 0.99
    assert found.instructions == {"given": 6, "live": 6, "short": 6}
    assert found.warnings == ()
    text = str(found)
    for part in ("s1 = dot(v0, v1)", "gradient step", "w <- w + eta", "unseen tasks"):
        assert part in text


def test_an_explanation_goes_through_json(found: Explanation) -> None:
    stored = json.loads(found.to_json())
    assert set(stored) >= SCHEMA
    assert set(stored["drops"][0]) == {"function", "line", "text", "drop", "low", "high"}
    assert set(stored["techniques"][0]) == {"name", "found_by", "instructions", "evidence", "gain"}
    assert set(stored["fitness"]) == {"mean", "low", "high", "tasks"}
    again = Explanation.from_dict(stored)
    assert again.to_json() == found.to_json()
    assert again == found
    with pytest.raises(InputError, match="no explanation"):
        Explanation.from_dict({"program": "x"})


def test_a_program_that_carries_state_in_predict_is_told() -> None:
    text = "selftaught-program 1\nsetup:\n pass\npredict:\n s1 = abs(s2)\n s2 = norm(v0)\nlearn:\n pass"
    made = explain(parse_program(text).program, unseen_tasks("linear", count=8, num_train=50, num_valid=20))
    assert any("stateful_predict" in warning and "s2" in warning for warning in made.warnings)


def settings_of(**options: Any) -> EvolveSettings:
    return resolve_settings("linear_regression", "", {"num_train": 100, "num_valid": 20, **options})


def test_the_command_explains_a_run_and_writes_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.json").write_text(json.dumps(settings_of(seed=4).defining()))
    (tmp_path / "program.txt").write_text(format_program(linear_learner(0.05)))
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(tmp_path), "--count", "8"])
    assert ended.value.code == 0
    assert "gradient step" in capsys.readouterr().out
    stored = json.loads((tmp_path / "explanation.json").read_text())
    assert set(stored) >= SCHEMA
    assert stored["fitness"]["tasks"] == 8


def test_the_page_of_a_run_shows_what_was_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from selftaught.report import write_report

    options = {"programs": 500, "population": 50, "seed": 3, "target_fitness": 1.0}
    found = evolve("linear", preset="demo", out=tmp_path / "run", **options)
    before = write_report(found.folder).read_text(encoding="utf-8")
    assert f"selftaught explain {found.folder}" in before
    with pytest.raises(SystemExit) as left:
        main(["explain", str(found.folder), "--count", "8"])
    assert left.value.code == 0
    assert "report.html" in capsys.readouterr().out
    after = (found.folder / "report.html").read_text(encoding="utf-8")
    assert "In short" in after
    assert "In short" not in before
    assert f"selftaught explain {found.folder}" not in after


def test_the_command_explains_a_file_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "mine.txt", tmp_path / "why.json"
    file.write_text(format_program(linear_learner(0.05)))
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(file), "--tasks", "linear", "--count", "8", "--json", "--out", str(out)])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere"),
        (["{file}"], "--tasks"),
        (["{file}", "--tasks", "liner"], "did you mean"),
        (["{folder}"], "holds no finished run"),
        (["{file}", "--tasks", "linear", "--count", "1"], "at least 2 tasks"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, folder = tmp_path / "mine.txt", tmp_path / "run"
    folder.mkdir()
    file.write_text(format_program(linear_learner(0.05)))
    with pytest.raises(SystemExit) as ended:
        main(["explain", *(word.format(file=file, folder=folder) for word in words)])
    assert ended.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("selftaught:")]
    assert len(lines) == 1
    assert message in lines[0]
