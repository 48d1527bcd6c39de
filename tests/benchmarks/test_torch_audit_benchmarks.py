"""The benchmarks of the audit: they fill their rows, and skip with a reason where the data are not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import audit_population, human_labels
from selftaught.examples import Examples
from selftaught.plans import Network
from selftaught.training import TrainConfig


def test_a_quick_run_fills_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = dict(list(audit_population.cases().items())[:1])
    monkeypatch.setattr(audit_population, "cases", lambda: one)
    assert audit_population.main(["--quick", "--out", str(tmp_path / "quick.json")]) == 0
    rows = json.loads((tmp_path / "quick.json").read_text(encoding="utf-8"))["rows"]
    assert [row["density"] for row in rows] == [1.0, 0.1]
    assert all(0 < row["low"] <= row["ratio"] <= row["high"] for row in rows)
    assert capsys.readouterr().out.count("one by one / together") == 2


def test_human_labels_are_skipped_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SELFTAUGHT_DATA", raising=False)
    assert human_labels.main([]) == 0
    assert capsys.readouterr().out.startswith("skipped: human labels of CIFAR-10 needs local files")


def test_labels_that_differ_are_found_where_that_is_easy() -> None:
    """On colours that give the class away the floor and the columns find every wrong label."""
    rng = np.random.default_rng(0)
    true = np.arange(120) % 4
    pixels = np.clip(60 * true[:, None, None, None] + rng.normal(0, 8, (120, 4, 4, 3)), 0, 255).astype(np.uint8)
    images = Examples(pixels, true, np.arange(120).astype(str), class_names=("a", "b", "c", "d"))
    wrong = np.where(np.arange(120) % 9 == 0, (true + 1) % 4, true)
    human = dict.fromkeys(human_labels.SETS, wrong)
    config = TrainConfig(epochs=6, batch_size=20)
    (row, *_) = human_labels.mislabelled(images, human, Network("mlp", hidden=(16,)), config)
    assert row["base"] == pytest.approx(14 / 120)
    assert row["auroc"]["logistic regression"] > 0.95
    assert row["auroc"]["confidence"] > 0.8
    assert row["precision"]["logistic regression"] > 0.8
    counts = np.eye(4)[true] * 50 + 1.0
    counts[:12] = 13.0
    told = human_labels.matrix(images, counts, Network("mlp", hidden=(16,)), config)
    assert set(told["auroc"]) == {"mislabelled", "ambiguous", "rare", "confidence"}
    assert told["auroc"]["mislabelled"]["mislabelled"] > 0.8
