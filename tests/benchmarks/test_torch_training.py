"""The benchmark of training runs, and what it compares does the same work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import training
from selftaught import load
from selftaught.training import AdamW, TrainConfig, fit, mlp


def test_a_quick_run_fills_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "quick.json"
    threads = torch.get_num_threads()
    assert training.main(["--quick", "--out", str(out)]) == 0
    assert torch.get_num_threads() == threads
    results = json.loads(out.read_text(encoding="utf-8"))
    assert all(row["ratio"] > 0 for row in results["loops"])
    assert all(row[engine]["ratio"] > 0 for row in results["populations"] for engine in ("layers", "vmap", "turns"))
    assert capsys.readouterr().out.count("fit / by hand") == len(results["loops"]) == 3


def test_the_loop_by_hand_takes_as_many_steps_and_learns_as_well() -> None:
    digits = load("digits")
    config = TrainConfig(steps=60, batch_size=64, optimiser=AdamW(lr=0.003))
    model = mlp(digits, hidden=(32,))
    by_hand = training.by_hand(model, digits, config)
    found = fit(mlp(digits, hidden=(32,)), digits, config)
    seen = sum(line["loss"] for line in found.history[:2]) / 2
    assert 0 < by_hand < 2 * seen
    assert int(model[0].mean.numel()) == 1
