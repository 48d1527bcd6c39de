"""`selftaught search-layer`: what it prints and leaves, Ctrl-C, going on, and a machine without torch."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selftaught.cli import main
from selftaught.layers import Confirmation, Judgement
from selftaught.layers.judging import StoppedEarly
from selftaught.spaces import layer_space

SPACE = layer_space()


class MakeBelieve:
    """Judges at once, by the number of operations; asks to stop where it is told to."""

    interrupt_at = -1
    calls = 0

    def __init__(self, task: Any, config: Any, *, masks: Any = None) -> None:
        self.config = config

    def __call__(self, candidate: Any, *, stop: Any = None) -> Judgement:
        MakeBelieve.calls += 1
        if MakeBelieve.calls == MakeBelieve.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        if stop():
            raise StoppedEarly
        live = len(SPACE.graph(candidate).live)
        if live % 3 == 0:
            return Judgement({}, 100, "quality", "0.1 in inverted")
        return Judgement({"preactivation": 0.5 + live / 50, "inverted": 0.4 + live / 50}, 900)


def confirmed(judge: Any, candidates: Any, *, stop: Any) -> Confirmation:
    rows = [
        {"arm": arm, "anchor": anchor, "seed": 1, "valid": 0.5, "test": 0.61 if arm == 1 else 0.58}
        for arm in (1, "batch norm + relu")
        for anchor in ("preactivation", "inverted")
    ]
    return Confirmation(1, tuple(rows))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("selftaught.layers.layer_search.Judge", MakeBelieve)
    monkeypatch.setattr("selftaught.layers.confirm", confirmed, raising=False)
    MakeBelieve.interrupt_at, MakeBelieve.calls = -1, 0


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["search-layer", "digits", *words])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_what_it_prints_and_leaves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("--trials", "20") == 0
    out = capsys.readouterr().out
    folder = tmp_path / "selftaught-runs" / "layers-digits-evolution-bn-relu-seed0"
    found = json.loads((folder / "layer.json").read_text(encoding="utf-8"))
    assert found["formula"].splitlines()[-1] in out
    assert "0.6100 on test images, batch normalisation with ReLU 0.5800" in out
    assert f"20 layers, {found['passed']} passed, rejected: quality" in out
    assert "the best yet: " in out
    text = (folder / "layer.py").read_text(encoding="utf-8")
    assert found["formula"] in text
    compile(text, "layer.py", "exec")
    assert "class Layer(nn.Module)" in text
    SPACE.decode(found["candidate"])
    assert found["rows"][0]["test"] == 0.61


def test_a_layer_that_takes_long_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selftaught.cli.search_layer_command._SILENCE", 0.0)
    assert run("--trials", "8") == 0
    out = capsys.readouterr().out
    assert "layer 0: training" in out
    assert "layer 1: training" in out


def test_json_alone_on_the_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--trials", "5", "--json", "--start", "nothing", "--searcher", "random", "--seed", "3") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["layers"] == 5
    assert found["settings"]["searcher"] == "random"
    assert "images to train on" in err
    assert run("--trials", "5", "--quiet", "--start", "nothing", "--searcher", "random", "--seed", "3") == 0
    assert "images to train on" not in capsys.readouterr().out


def test_an_interrupt_keeps_what_was_found_and_the_same_command_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    MakeBelieve.interrupt_at = 6
    assert run("--trials", "30", "--out", "found") == 0
    out = capsys.readouterr().out
    assert "stopped by you; the same command goes on" in out
    stopped = json.loads((tmp_path / "found" / "layer.json").read_text(encoding="utf-8"))
    assert stopped["stopped"]
    assert stopped["test"] is None
    assert 5 <= stopped["layers"] < 30
    MakeBelieve.interrupt_at = -1
    assert run("--trials", "30", "--out", "found", "--resume") == 0
    whole = json.loads((tmp_path / "found" / "layer.json").read_text(encoding="utf-8"))
    assert run("--trials", "30", "--out", "other") == 0
    assert whole == json.loads((tmp_path / "other" / "layer.json").read_text(encoding="utf-8"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (("--resume", "--fresh"), "give one of them"),
        (("--trials", "0"), "trials must be at least 1"),
        (("--resume",), "no search to go on with"),
        (("--start", "relu"), "relu"),
    ):
        assert run(*words) == 2
        err = capsys.readouterr().err.strip().splitlines()
        assert said in err[-1]
        assert err[-1].startswith("selftaught: ")
    with pytest.raises(SystemExit) as left:
        main(["search-layer", "iris", "--quiet"])
    assert left.value.code == 2
    assert "wants images" in capsys.readouterr().err


def test_without_torch_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; from selftaught.cli import main; main(['search-layer', 'digits'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        "selftaught: a layer in a network needs torch; install it with: pip install 'selftaught[networks]'\n"
    )
