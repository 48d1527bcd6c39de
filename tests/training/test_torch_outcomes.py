"""Outcomes of every example in the ledger, also of a run that was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training import Callback, Ema, RecordOutcomes, Run, TrainConfig, evaluate, fit, mlp

CONFIG = TrainConfig(steps=12, batch_size=50, checkpoint_seconds=0, seed=4)


class Cut(Callback):
    def __init__(self, step: int | None) -> None:
        self.step = step

    def after_step(self, run: Run) -> None:
        if run.step == self.step:
            raise ConnectionError


def test_rows_go_by_id_and_the_last_ones_are_the_final_models(digits: Examples, tmp_path: Path) -> None:
    model = mlp(digits, hidden=(16,))
    shuffled = digits.take(np.random.default_rng(0).permutation(len(digits)))
    fit(model, digits, CONFIG, callbacks=[RecordOutcomes(tmp_path, shuffled, model="small", every=2), Ema(0.5)])
    ledger = Ledger(tmp_path)
    assert ledger.measures == ["confidence", "correct", "error_norm", "loss", "margin"]
    found = ledger.read("loss")
    # 300 examples in batches of 50 are 6 steps an epoch.
    assert found.height == 300
    assert set(found["epoch"]) == {2}
    judged = evaluate(model, digits)
    for measure, wanted in (("loss", judged.losses), ("correct", judged.correct), ("confidence", judged.confidence)):
        values = ledger.values(measure, digits.ids, model="small", seed=4, epoch=2)
        assert values == pytest.approx(wanted.astype(float), abs=1e-6), measure
    assert np.exp(-judged.losses) == pytest.approx(judged.confidence, abs=1e-5)
    shares = np.exp(judged.scores.astype(float))
    shares /= shares.sum(axis=1, keepdims=True)
    onehot = np.eye(10)[judged.targets]
    norms = np.linalg.norm(shares - onehot, axis=1)
    margins = [row[y] - max(np.delete(row, y)) for row, y in zip(judged.scores, judged.targets, strict=True)]
    assert ledger.values("error_norm", digits.ids, epoch=2) == pytest.approx(norms, abs=1e-5)
    assert ledger.values("margin", digits.ids, epoch=2) == pytest.approx(margins, abs=1e-5)


def test_a_part_of_an_epoch_is_recorded_as_the_one_it_is_part_of(digits: Examples, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"steps": 8})
    found = fit(mlp(digits, hidden=(4,)), digits, config, callbacks=[RecordOutcomes(tmp_path, digits)])
    assert sorted(set(Ledger(tmp_path).read("correct")["epoch"])) == [1, 2]
    assert [line["epoch"] for line in found.history] == [1, 2]


def test_a_killed_run_records_what_a_whole_one_does(digits: Examples, tmp_path: Path) -> None:
    fit(mlp(digits, hidden=(8,)), digits, CONFIG, callbacks=[RecordOutcomes(tmp_path / "a", digits), Cut(None)])
    for step in (8, None):
        watch = [RecordOutcomes(tmp_path / "b", digits), Cut(step)]
        if step is None:
            fit(mlp(digits, hidden=(8,)), digits, CONFIG, callbacks=watch, folder=tmp_path)
        else:
            with pytest.raises(ConnectionError):
                fit(mlp(digits, hidden=(8,)), digits, CONFIG, callbacks=watch, folder=tmp_path)
    for measure in ("loss", "correct", "confidence", "margin", "error_norm"):
        assert Ledger(tmp_path / "a").read(measure).equals(Ledger(tmp_path / "b").read(measure))
