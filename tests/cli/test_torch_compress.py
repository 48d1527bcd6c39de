"""`selftaught compress` from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from selftaught.cli import main

pytest.importorskip("torch")

QUICK = ["--batch", "8", "--rounds", "2"]


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(words)
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "dense"
    with pytest.raises(SystemExit) as left:
        main(["train", "iris", "--hidden", "64", "--epochs", "15", "--out", str(folder), "-q", "--device", "cpu"])
    assert not left.value.code
    return folder


def test_a_run_from_the_folder_of_a_training(dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small"
    words = ["compress", str(dense), "--epochs", "2", "--out", str(out), *QUICK]
    code, told, err = run(words, capsys)
    assert (code, err) == (0, "")
    for said in ("ms, batch 8", "multiply-adds", "accuracy, test", "worst class", "who paid most",
                 "channels: 2.weight 64 -> 32", "the parts of the model's own training", "seed churn"):  # fmt: skip
        assert said in told
    code, again, _ = run(["compress", "--config", str(out / "plan.toml"), "--fresh", "--json",
                          "--out", str(tmp_path / "again")], capsys)  # fmt: skip
    first = json.loads((out / "result.json").read_text())
    second = json.loads(again)
    assert code == 0
    assert second["plan"] == first["plan"]
    assert second["accuracy"] == first["accuracy"]
    code, audited, _ = run(["audit", str(dense), str(out), "--data", "iris"], capsys)
    assert code == 0
    assert "iris: 30 examples" in audited


OWN = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
"""


def test_a_module_of_the_users_is_audited_by_its_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    from selftaught import load
    from selftaught.plans import load_source
    from selftaught.training import evaluate, load_trained

    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    source = load_source("own.py:make")
    dense = source.make(1)  # other weights than the function gives by itself
    save_file(dense.state_dict(), "dense.safetensors")
    words = ["compress", "own.py:make", "--weights", "dense.safetensors", "--data", "iris", "--epochs", "1"]
    assert run([*words, "--out", "small", *QUICK], capsys)[0] == 0
    small = load_trained("small", make=lambda: source.make(0))
    assert small[0].out_features == 16
    words = ["audit", "dense.safetensors", "small", "--make", "own.py:make", "--data"]
    code, told, _ = run([*words, "iris", "--json"], capsys)
    found = json.loads(told)
    assert code == 0
    held = [k for k, one in enumerate(load("iris").ids) if one in found["ranking"]]
    rows = load("iris").take(np.array(held))
    scores = [evaluate(one, rows).correct.mean() for one in (dense, small)]
    assert scores[0] != evaluate(source.model, rows).correct.mean()
    assert found["accuracy"]["value"] == pytest.approx(scores[1] - scores[0], abs=1e-9)
    for wrong, match in (
        (["small", "small"], "made by your function own.py:make; give that function"),
        (["dense.safetensors", "small"], "holds weights alone"),
        (["no.safetensors", "small", "--make", "own.py:make"], "there is no file no.safetensors"),
        (["small", "small", "--make", "make"], "--make wants file.py:function, got 'make'"),
        (["a.npz", "b.npz", "--make", "own.py:make"], "leave it out, or give models"),
        ([*words[1:], "wine"], "does not take inputs of shape (13,)"),
    ):
        given = wrong if "--data" in wrong else [*wrong, "--data", "iris"]
        code, out, err = run(["audit", *given], capsys)
        assert (code, out) == (2, "")
        assert match in err
        assert len(err.splitlines()) == 1


def test_other_ways_to_be_small(dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, words in enumerate((
        ["--prune", "n:m", "--amount", "1:4", "--epochs", "0"], ["--start", "set", "--amount", "0.5"],
        ["--prune", "channels,magnitude", "--amount", "0.5,0.5", "--schedule", "one-shot", "--distil", "--epochs", "1"],
    )):  # fmt: skip
        code, told, err = run(
            ["compress", str(dense), *words, "--out", str(tmp_path / str(number)), "--json", *QUICK, "-q"], capsys
        )
        assert (code, err) == (0, "")
        assert json.loads(told)["nonzero"][1] < json.loads(told)["nonzero"][0]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "there is no model"), (["nowhere"], "there is no model 'nowhere'"), (["{dense}", "--data", "nowhere"], ""),
        (["{mine}:make"], "no data to judge by"), (["{dense}", "--groups", "sex"], "group_columns"),
        (["{dense}", "--prune", "wish"], "prune must be one of"), (["{dense}", "--amount", "2"], "share from 0"),
        (["{dense}", "--start", "set", "--prune", "blocks"], "give one of them"),
        (["{dense}", "--batch", "0"], "batch must be"), (["{dense}", "--weights", "x"], "weights of its own"),
        (["{dense}", "--data", "digits"], "other classes"), (["{dense}", "--device", "cuda:9"], "cannot be used"),
        (["{dense}", "--ignore", "nothing"], "nothing"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], match: str
) -> None:
    (tmp_path / "mine.py").write_text("from torch import nn\ndef make():\n    return nn.Linear(4, 3)\n")
    filled = [one.format(dense=dense, mine=tmp_path / "mine.py") for one in words]
    code, out, err = run(["compress", *filled, "--out", str(tmp_path / "out"), "-q", *QUICK], capsys)
    if "--batch" in words:
        assert code == 2
        return
    assert (code, out) == (2, "")
    assert err.startswith("selftaught: ")
    assert match in err
    assert err.count("\n") == 1


def test_without_onnxruntime_nothing_is_begun(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for more in (["--int8", "static"], ["--onnx", "--protect"]):
        code, out, err = run(["compress", str(dense), "--out", str(tmp_path / "out"), *more, *QUICK, "-q"], capsys)
        assert (code, out) == (2, "")
        assert "needs onnxruntime" in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("more", "cut"), [(["--amount", "0.5"], True), ([], False)])
def test_an_amount_cuts_beside_int8(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], cut: bool
) -> None:
    code, told, err = run(
        ["compress", str(dense), "--int8", "static", *more, "--epochs", "0", "--out", str(tmp_path / "out"), *QUICK],
        capsys,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert ("channels 0.5" in told) is cut


def test_groups_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'xy'[k % 2]},{'no' if a + b < 0 else 'yes'}"
            for k, (a, b) in enumerate(rng.normal(size=(400, 2)))]  # fmt: skip
    (tmp_path / "people.csv").write_text("\n".join(["a,b,kind,label", *rows]) + "\n")
    (tmp_path / "mine.py").write_text(
        "from torch import nn\ndef make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))\n"
    )
    code, told, err = run(
        ["compress", f"{tmp_path}/mine.py:make", "--data", f"{tmp_path}/people.csv", "--column", "label",
         "--groups", "kind", "--epochs", "1", "--out", str(tmp_path / "out"), *QUICK], capsys,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "worst group" in told
    held = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [one["name"] for one in held["groups"]] == ["kind x", "kind y"]


def test_what_grew_is_not_called_less() -> None:
    from selftaught.cli.compress_view import _times

    assert (_times(920, 4601), _times(920, 460), _times(5, 0)) == ("5.00 x more", "2.00 x less", "")
