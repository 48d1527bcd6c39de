"""`train` and `selftaught train`: the folder, the scores beside baselines, interruption and wrong use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from selftaught import load
from selftaught.cli import main
from selftaught.errors import InputError, ResumeError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training import SGD, TrainConfig, evaluate, load_trained, train
from selftaught.training.baselines import baselines


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert isinstance(left.value.code, int)
    return left.value.code


def test_baselines_by_hand(iris: Examples) -> None:
    train_part, test_part = iris.take(np.arange(0, 150, 2)), iris.take(np.arange(1, 150, 3))
    majority, logistic = baselines(train_part, test_part)
    assert majority.score == pytest.approx(np.mean(test_part.labels == 0))
    assert logistic.score > 0.9
    assert logistic.low < logistic.score < logistic.high
    diabetes = load("diabetes")
    mean, ridge = baselines(diabetes, diabetes)
    assert mean.score == pytest.approx(0, abs=1e-9)
    x = diabetes.inputs.astype(np.float64)
    x = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(len(x))])
    y = np.asarray(diabetes.labels, np.float64)
    penalty = np.diag([1.0] * 10 + [0.0])
    predicted = x @ np.linalg.solve(x.T @ x + penalty, x.T @ y)
    assert ridge.score == pytest.approx(1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2), abs=1e-4)


def test_a_folder_holds_the_model_its_history_its_ledger_and_the_result(iris: Examples, tmp_path: Path) -> None:
    config = TrainConfig(epochs=4, batch_size=32, optimiser=SGD())
    found = train(iris, model="mlp", hidden=(8,), dropout=0.1, ema=0.9, out=tmp_path, config=config)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["test"]["n"] == 30
    assert result["test"]["low"] < result["test"]["score"] < result["test"]["high"] + 1e-12
    assert [one["name"] for one in result["baselines"]] == ["majority", "logistic regression"]
    assert result["settings"]["optimiser"]["name"] == "sgd"
    assert result["cost"]["parameters"] == 8 * 5 + 3 * 9
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(one)["epoch"] for one in lines] == [1, 2, 3, 4]
    again = load_trained(tmp_path)
    inputs = torch.from_numpy(iris.inputs)
    assert torch.equal(again(inputs), found.model.eval()(inputs))
    ledger = Ledger(tmp_path / "ledger")
    rows = ledger.read("correct")
    assert rows.height == 120 * 4, "the test examples are not in the ledger"
    recorded = ledger.values("correct", iris.ids, model="mlp", epoch=4)
    known = ~np.isnan(recorded)
    assert (evaluate(again, iris).correct[known] == recorded[known].astype(bool)).all()


def test_numbers_are_learnt_on_their_own_scale(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype(np.float32)
    examples = load((x, (1e4 + 500 * np.abs(x[:, 0])).astype(np.float32)))
    found = train(examples, hidden=(32,), out=tmp_path, config=TrainConfig(epochs=40, batch_size=32, optimiser=SGD()))
    assert found.test.score > 0.9 > found.baselines[1].score
    assert 9_000 < found.test.scores.mean() < 11_000
    low, high = found.test.interval()
    assert low < found.test.score < high


def test_the_command_trains_and_the_saved_settings_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "iris", "--epochs", "3", "--hidden", "8", "--lr", "0.01", "--mixup", "0.1", "--seed", "2"]
    assert run(*words, "--out", "a", "--json") == 0
    out, err = capsys.readouterr()
    first = json.loads(out)
    assert first["epochs"] == 3
    assert "baselines: majority" in err
    assert run("train", "--config", "a/config.toml", "--out", "b", "--quiet") == 0
    out = capsys.readouterr().out
    assert "iris, test" in out
    assert "logistic regression" in out
    assert "multiply-adds" in out
    second = json.loads(Path("b/result.json").read_text())
    assert second["test"] == first["test"]
    assert second["settings"] == first["settings"]
    assert run(*words, "--out", "a", "--resume", "--json") == 0
    assert json.loads(capsys.readouterr().out)["test"] == first["test"]


def test_ctrl_c_keeps_what_was_learnt_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("selftaught.training.fitting.SECONDS_BETWEEN_REPORTS", 0.0)
    from selftaught.cli.train_view import TrainView

    words = ["train", "iris", "--steps", "9", "--hidden", "8", "--json"]
    assert run(*words, "--out", "whole") == 0
    whole = json.loads(capsys.readouterr().out)
    update = TrainView.update

    def interrupt(self: TrainView, progress: Any, *, stopping: bool = False) -> None:
        import signal

        if progress.step == 4:
            signal.raise_signal(signal.SIGINT)
        update(self, progress, stopping=stopping)

    monkeypatch.setattr(TrainView, "update", interrupt)
    assert run(*words, "--out", "cut") == 0
    stopped = json.loads(capsys.readouterr().out)
    assert (stopped["finished"], stopped["steps"]) == (False, 4)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run(*words, "--out", "cut") == 0
    ended = json.loads(capsys.readouterr().out)
    assert (ended["finished"], ended["steps"]) == (True, 9)
    assert ended["test"] == whole["test"]


WRONG = [
    ("train iris --model cnn", "a convolutional network takes images, but 'iris' is a table"),
    ("train iris --model linear --hidden 3", "a linear model has no hidden layers"),
    ("train iris --hidden 3,x", "such as 128,64, got '3,x'"),
    ("train iris --epochs 1 --steps 3", "epochs and steps are both budgets"),
    ("train iris --epochs 0", "epochs: "),
    ("train iris --lr -1", "lr: "),
    ("train iris --optimiser sdg", "sdg"),
    ("train iris --warmup 2", "warmup must be from 0 to below 1"),
    ("train iris --warmup 0.1 --schedule one-cycle", "which rises by itself"),
    ("train iris --flip", "flip: for images"),
    ("train iris --device nowhere", "device 'nowhere' cannot be used"),
    ("train iris --resume --fresh", "give one of them"),
    ("train iris --resume", "no checkpoint"),
    ("train iris --dropout 1.5", "dropout must be from 0 to below 1"),
    ("train nothing.csv", "there is no file nothing.csv"),
    ("train few.csv", "at least 20 are needed"),
]


@pytest.mark.parametrize(("words", "wanted"), WRONG)
def test_wrong_use_is_one_line(
    words: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("few.csv").write_text("a,target\n" + "".join(f"{k},{k % 2}\n" for k in range(12)))
    assert run(*words.split(), "--quiet") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert wanted in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("**/*.safetensors"))


def test_without_torch_one_line_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'torch' else find(name, *more)\n"
        "from selftaught.cli import main\nmain(['train', 'iris'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "selftaught: training a network needs torch; install it with: pip install 'selftaught[networks]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_help_and_the_package_load_no_torch() -> None:
    code = (
        "import sys, selftaught.training, selftaught.ledger\nfrom selftaught.cli import main\n"
        "try:\n    main(['train', '--help'])\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert {"torch", "sklearn", "polars", "numba"} & set(done.stderr.split()) == set()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="no trained model"):
        load_trained(tmp_path)
    with pytest.raises(InputError, match="did you mean 'mlp'"):
        train(load("iris"), model="mpl", out=tmp_path)  # type: ignore[arg-type]


def test_a_table_is_read_as_the_options_say_and_the_saved_settings_know_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,a,b,t\n" + "".join(f"r{k},{k % 7},{k % 3 or ''},{'xy'[k % 2]}\n" for k in range(60)))
    words = ["train", str(table), "--target", "t", "--epochs", "1", "--out", str(tmp_path / "run"), "--quiet"]
    assert run(*words) == 2
    assert "--missing impute" in capsys.readouterr().err
    assert run(*words, "--missing", "impute", "--drop", "id") == 0
    capsys.readouterr()
    assert run("train", "--config", str(tmp_path / "run" / "config.toml"), "--out", str(tmp_path / "again"), "-q") == 0
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "again")]
    assert models[0] == models[1]


def test_models_of_two_seeds_can_set_the_same_examples_apart(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        words = ("train", "iris", "--model", "linear", "--epochs", "1", "--seed", seed, "--quiet")
        assert run(*words, "--split-seed", "7", "--out", str(tmp_path / seed)) == 0
    assert run(*words, "--out", str(tmp_path / "other")) == 0
    ids = [set(Ledger(tmp_path / one / "ledger").read("loss")["id"]) for one in ("1", "2", "other")]
    assert ids[0] == ids[1] != ids[2]
    assert "split_seed = 7" in (tmp_path / "2" / "config.toml").read_text()
    tensors = [load_trained(tmp_path / one)[-1].weight for one in ("1", "2")]  # type: ignore[index]
    assert not torch.equal(*tensors)
