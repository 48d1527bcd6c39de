"""`selftaught search` and `selftaught scale` from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selftaught.cli import main
from selftaught.cli.scale_command import amount
from selftaught.spaces import efficientnet, network_from_json

pytest.importorskip("torch")

SMALL = ["search", "iris", "--searcher", "random", "--epochs", "1", "--top", "2", "--seeds", "1", "--workers", "1"]


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(words)
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def test_the_family_is_printed_to_the_unit(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["scale", "efficientnet"], capsys)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*(f"B{k}" for k in range(8)), "L2"]
    assert lines[1].split()[-2:] == ["385,814,752", "5,288,548"]
    assert lines[8].split()[-2:] == ["37,745,884,192", "66,347,960"]
    told = json.loads(run(["scale", "efficientnet", "--json"], capsys)[1])
    assert told["b4"] == {"macs": 4_393_771_024, "parameters": 19_341_616}


def test_a_network_from_a_file_is_scaled_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = {"kind": "mlp", "widths": [16, 16], "features": 8, "outputs": 3}
    (tmp_path / "net.json").write_text(json.dumps(base))
    words = ["scale", str(tmp_path / "net.json"), "--macs", "4x", "--device", "cpu"]
    code, out, err = run([*words, "--out", str(tmp_path / "large.json")], capsys)
    assert (code, err) == (0, "")
    for said in ("phi ", "alpha 1.2, beta 1.1", "MACs", "parameters", "ms, batch 1", "MB of a training step",
                 "a table has no resolution"):  # fmt: skip
        assert said in out
    large: Any = network_from_json((tmp_path / "large.json").read_text())
    small: Any = network_from_json(json.dumps(base))
    assert 2 * small.cost().macs < large.cost().macs <= 4 * small.cost().macs
    told = json.loads(run([*words, "--json"], capsys)[1])
    assert told["scaled"]["macs"] == large.cost().macs
    assert told["rule"]["cost"] == large.cost().macs
    same = json.loads(run(["scale", words[1], "--flops", "4x", "--device", "cpu", "--json"], capsys)[1])
    assert same["scaled"]["network"] == told["scaled"]["network"]
    assert same["rule"]["budget"] == 2 * told["rule"]["budget"]


def test_a_budget_in_milliseconds_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.json").write_text('{"kind": "mlp", "widths": [64, 64], "features": 64, "outputs": 3}')
    words = ["scale", str(tmp_path / "net.json"), "--ms", "30x", "--batch", "8", "--device", "cpu", "--json"]
    told = json.loads(run(words, capsys)[1])
    assert told["rule"]["cost"] <= told["rule"]["budget"]
    assert told["scaled"]["macs"] > 2 * told["mlp"]["macs"]


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["b9"], "neither a network"), (["b0", "--macs", "1x", "--ms", "3"], "give one budget"),
        (["b0", "--macs", "-3"], "is no amount"), (["b0", "--macs", "4Gx"], "is no amount"),
        (["b0", "--macs", "0.5x"], "below the network's own"), (["b0", "--shrink"], "need a budget"),
        (["b0", "--macs", "2x", "--rule", "1/2"], "three numbers"),
        (["b0", "--macs", "2x", "--rule", "0.9/1.2/1.2"], "alpha must be at least 1"),
        (["b0", "--ms", "50", "--device", "cuda:9"], "cannot be used"), (["b0", "--out", "x.json"], "give a budget"),
    ],
)  # fmt: skip
def test_wrong_scaling_is_one_line(
    words: list[str], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(["scale", *words], capsys)
    assert (code, out) == (2, "")
    assert match in err
    assert len(err.splitlines()) == 1


def test_amounts_are_read() -> None:
    assert [amount(text) for text in ("4x", "1.5G", "2e9", "300k")] == [
        (4.0, True), (1.5e9, False), (2e9, False), (3e5, False)
    ]  # fmt: skip
    assert efficientnet("b0").cost().macs < amount("400M")[0]


def test_a_search_prints_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, "--trials", "3", "--out", str(tmp_path)]
    code, out, err = run(words, capsys)
    assert code == 0
    assert "search 3 of 3: " in err
    assert "a minute, about" in err
    for said in ("mlp of 4: 3 trials", "found", "hand-designed", "beside hand-designed: ", "model.safetensors"):
        assert said in out
    told = json.loads(run([*words, "--json", "--quiet"], capsys)[1])
    assert told["settings"]["space"] == "mlp"
    code, out, _ = run([*words, "--repeat", "1"], capsys)
    assert out.startswith("trial 1: ")
    code, out, err = run([*words, "--seed", "2"], capsys)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "seed 0, not 2" in err


@pytest.mark.slow
def test_a_killed_worker_loses_its_trial_and_ctrl_c_keeps_what_there_is(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "selftaught", "search", "digits", "--space", "cells", "--trials", "8", "--workers", "2",
        "--epochs", "2", "--top", "1", "--seeds", "1", "--out", str(tmp_path), "--json",
    ]  # fmt: skip
    first = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stderr is not None
    said = first.stderr.readline()
    assert said.startswith("search 1 of 8")
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    workers = [int(one) for one in children if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)
    said = [first.stderr.readline() for _ in range(3)]
    assert sum("SIGKILL" in line for line in said) == 1
    first.send_signal(signal.SIGINT)
    rest = first.communicate(timeout=120)[1]
    assert first.returncode == 130
    assert "the same command goes on there" in rest
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[1]) > 4, "it goes on behind what was stored"
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in history) == list(range(8))
    assert sum("SIGKILL" in (line["error"] or "") for line in history) == 1


def test_a_table_with_gaps_is_read_as_the_message_says_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"r{k},{k % 3},{'' if k == 7 else k / 10},{'ab'[k % 3 == 0]}" for k in range(90)]
    (tmp_path / "gaps.csv").write_text("\n".join(["name,size,weight,kind", *rows]))
    words = ["search", str(tmp_path / "gaps.csv"), "--target", "kind", *SMALL[2:], "--trials", "2", "--quiet",
             "--out", str(tmp_path / "run")]  # fmt: skip
    code, _, err = run(words, capsys)
    assert code == 2
    assert "--missing impute" in err
    reading = ["--missing", "impute", "--drop", "name", "--json"]
    told = [json.loads(run([*words, *reading], capsys)[1]) for _ in range(2)]
    assert told[0] == told[1]
    assert told[0]["settings"]["reading"] == {"missing": "impute", "drop": ["name"]}
    code, _, err = run([*words, "--missing", "impute"], capsys)
    assert code == 2
    assert "a search with reading" in err
