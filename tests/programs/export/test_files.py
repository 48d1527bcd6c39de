"""The files: they run alone, learn as the estimators do, are read from anywhere, and mistakes are one line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selftaught.cli import main
from selftaught.errors import InputError, ProgramError
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.export import EvolvedClassifier, EvolvedRegressor, given_program, to_c, to_python
from selftaught.programs.operators import OPERATORS
from selftaught.programs.opponents import linear_for, network_for
from selftaught.programs.program import Instruction, Program
from selftaught.programs.text import format_program
from tests.programs.export.test_agreement import COMPILER, FLAGS, module_of
from tests.report.made_run import write_run

X = np.random.default_rng(0).normal(size=(60, 4)) * [1, 5, 0.1, 1] + [0, 3, 0, -1]
TARGET = X @ [1.0, 0.5, -3.0, 2.0] + 7
CLASSES = np.digitize(TARGET, np.quantile(TARGET, [0.3, 0.7]))


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.mark.parametrize(
    ("program", "task", "labels"),
    [(linear_learner(0.05), "regression", TARGET), (linear_learner(0.05), "binary", CLASSES > 0),
     (linear_for(3, 0.1), "classes 3", CLASSES)],
)  # fmt: skip
def test_an_exported_estimator_is_that_of_the_program(
    tmp_path: Path, program: Program, task: str, labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "program.txt").write_text(format_program(program, task=task), encoding="utf-8")
    assert run("export", str(tmp_path), "--to", "sklearn", "--out", str(tmp_path / "model.py")) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'model.py'}\n"
    model = module_of((tmp_path / "model.py").read_text(encoding="utf-8"))["estimator"](random_state=1, epochs=3)
    kind = EvolvedRegressor if task == "regression" else EvolvedClassifier
    assert isinstance(model, kind)
    own = kind(format_program(program, task=task), random_state=1, epochs=3)
    np.testing.assert_array_equal(model.fit(X, labels).predict(X), own.fit(X, labels).predict(X))


def test_a_run_brings_the_number_of_features_for_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "pears")  # of 4 features
    assert run("export", str(folder), "--to", "c") == 0
    own = capsys.readouterr().out
    assert run("export", str(folder), "--to", "c", "--features", "4") == 0
    assert capsys.readouterr().out == own
    (folder / "result.json").unlink()
    assert run("export", str(folder), "--to", "c") == 2
    assert "--features N" in capsys.readouterr().err


def test_an_exported_python_file_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "learner.py").write_text(to_python(two_layer_network(0.05, 0.3), task="binary"), encoding="utf-8")
    code = (
        "import sys, numpy as np, learner\n"
        "X = np.random.default_rng(0).normal(size=(300, 2)); y = np.where(X @ [1, -2] > 0, 'one', 'other')\n"
        "print((learner.Learner(epochs=20).fit(X, y).predict(X) == y).mean(), 'selftaught' in sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    accuracy, ours = done.stdout.split()
    assert float(accuracy) > 0.9
    assert ours == "False"


@pytest.mark.parametrize(
    ("program", "task"),
    [
        (linear_learner(0.05), "regression"),
        (linear_learner(0.05), "binary"),
        (linear_for(3, 0.1), "classes 3"),
    ],
)
def test_the_file_and_the_estimator_learn_the_same(program: Program, task: str) -> None:
    learner = module_of(to_python(program, task=task))["Learner"]()
    if task == "regression":
        found = learner.partial_fit(X, TARGET).predict(X)
        wanted = EvolvedRegressor(program).partial_fit(X, TARGET).predict(X)
    else:
        labels = CLASSES if task == "classes 3" else CLASSES > 0
        found = learner.partial_fit(X, labels).predict_proba(X)
        model = EvolvedClassifier(given_program(program, task=task))
        wanted = model.partial_fit(X, labels, classes=np.unique(labels)).predict_proba(X)
        assert (learner.predict(X) == model.predict(X)).all()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_only_the_operators_in_use_are_in_the_file() -> None:
    text = to_python(linear_learner(0.1), task="regression")
    assert set(re.findall(r"^def (\w+)", text, flags=re.MULTILINE)) == {
        "setup", "predict", "learn", "sum_in_four", "dot", "_spread",
    }  # fmt: skip
    assert "# s3 = s2 * s3" in text


def test_a_file_diverges_with_its_row() -> None:
    learner = module_of(to_python(linear_learner(50.0)))["Learner"]()
    with pytest.raises(ValueError, match="diverged at row"):
        learner.fit(X, TARGET)


def test_every_operator_has_its_python_and_c_text() -> None:
    for operator in OPERATORS[1:]:
        out = {"s": 1, "v": 3, "m": 1}[operator.out]
        carry = {"s": (), "v": (Instruction(27, 1, 3, 0),), "m": (Instruction(34, 1, 1),)}[operator.out]
        program = Program(predict=(Instruction(operator.id, out, 1, 1, 0.25, 0.5), *carry))
        assert operator.name in {OPERATORS[i.op].name for i in program.predict}
        assert "def predict" in to_python(program)
        assert "_predict" in to_c(program, num_features=3).code


def test_bytes_of_memory_count_what_the_live_program_uses() -> None:
    assert to_c(linear_learner(0.1), num_features=10).ram_bytes == 4 * (4 + 3 * 10)
    assert to_c(Program(), num_features=10).ram_bytes == 4
    product = Program(predict=(Instruction(43, 0, 0, 1), Instruction(34, 1, 0)))
    assert to_c(product, num_features=10).stack_bytes == 400


@pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc, gcc or clang) on this machine")
def test_small_and_large_numbers_of_features_compile(tmp_path: Path) -> None:
    sources = [to_c(two_layer_network(), num_features=f, name=f"f{f}", task="binary").code for f in (1, 2, 3, 65)]
    sources += [to_c(network_for(3, 0.1, 0.1), num_features=f, name=f"k{f}", task="classes 3").code for f in (3, 9)]
    (tmp_path / "all.c").write_text("\n".join(sources), encoding="utf-8")
    command = [str(COMPILER), *FLAGS, "-O2", "-c", "all.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"num_features": 0}, "num_features is a whole number"),
        ({"num_features": 4, "name": "2nd"}, "name is a name in C"),
        ({"num_features": 4, "name": "while"}, "name is a name in C"),
    ],
)
def test_wrong_options_of_c_are_told(options: dict[str, object], wanted: str) -> None:
    with pytest.raises(InputError, match=wanted):
        to_c(linear_learner(), **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="3 classes need at least 3"):
        to_c(linear_for(3, 0.1), task="classes 3", num_features=2)
    with pytest.raises(ProgramError, match="task is"):
        to_c(linear_learner(), task="ranking", num_features=2)


def test_a_missing_compiler_is_told() -> None:
    with pytest.raises(InputError, match="no C compiler no-such-cc"):
        to_c(linear_learner(), num_features=2).measure("no-such-cc")


def test_a_program_is_read_from_anywhere(tmp_path: Path) -> None:
    program = linear_learner(0.1)
    text = format_program(program, task="binary")
    (tmp_path / "program.txt").write_text(text, encoding="utf-8")

    class Found:
        pass

    found = Found()
    found.text = text  # type: ignore[attr-defined]
    for form in (text, tmp_path / "program.txt", tmp_path, str(tmp_path), found):
        read = given_program(form)
        assert (read.program, read.task) == (program, "binary")
    assert given_program(program).task == "regression"
    assert given_program(linear_for(3, 0.1)).task == "classes 3"
    with pytest.raises(InputError, match="there is no program"):
        given_program("no_such.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no program\.txt"):
        given_program(tmp_path / "empty")
    with pytest.raises(InputError, match="got int"):
        given_program(3)


def test_the_command_writes_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "program.txt").write_text(format_program(linear_learner(0.1)), encoding="utf-8")
    assert run("export", str(tmp_path)) == 0
    assert capsys.readouterr().out == to_python(linear_learner(0.1))
    out = tmp_path / "l.c"
    assert run("export", str(tmp_path / "program.txt"), "--to", "c", "--features", "4", "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "64 bytes of memory" in told
    assert ("bytes of code" in told) == (COMPILER is not None and shutil.which("size") is not None)
    assert out.read_text(encoding="utf-8") == to_c(linear_learner(0.1), num_features=4).code


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["no_such.txt"], "there is no program no_such.txt"),
        (["good.txt", "--to", "c"], "--features N"),
        (["good.txt", "--features", "4"], "leave out --features"),
        (["good.txt", "--to", "c", "--features", "0"], "num_features is a whole number"),
        (["good.txt", "--to", "rust"], "rust"),
        (["bad.txt"], "bad.txt:5:10: unknown function 'dott'; did you mean 'dot'?"),
        (["good.txt", "--out", "no_such_folder/x.py"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    good = format_program(linear_learner(0.1))
    Path("good.txt").write_text(good, encoding="utf-8")
    Path("bad.txt").write_text(
        "selftaught-program 1\nsetup:\n    pass\npredict:\n    s1 = dott(v0, v1)\nlearn:\n    pass"
    )
    assert run("export", *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("selftaught: ")
    assert err.count("\n") == 1
    assert wanted in err
