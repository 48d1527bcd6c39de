"""Checkpoints: a killed run goes on bit for bit, and one that does not belong is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.errors import ResumeError
from selftaught.examples import Examples
from selftaught.training import (
    AdamW,
    Augment,
    Callback,
    EarlyStopping,
    Ema,
    Lion,
    Masks,
    Run,
    TrainConfig,
    fit,
    mlp,
    small_cnn,
)
from selftaught.training.checkpoint import load_tensors, save_tensors

CONFIG = TrainConfig(epochs=3, batch_size=64, checkpoint_seconds=0, augment=Augment(crop=1, mixup=0.3), seed=2)


class Power(Callback):
    """Fails after so many steps, as a power cut would."""

    def __init__(self, steps: int | None) -> None:
        self.steps = steps

    def after_step(self, run: Run) -> None:
        if run.step == self.steps:
            raise ConnectionError


def train(examples: Examples, config: TrainConfig, folder: Path | None, cut: int | None = None) -> nn.Module:
    model = small_cnn(examples, widths=(4, 4), dropout=0.2)
    callbacks = [Ema(0.9), EarlyStopping(50), Masks({"1.weight": torch.eye(3).expand(4, 1, 3, 3)}), Power(cut)]
    fit(model, examples, config, valid=examples, callbacks=callbacks, folder=folder)
    return model


@pytest.mark.parametrize(("optimiser", "cut"), [(None, 2), (None, 5), (AdamW(), 7), (Lion(), 12)])
def test_a_run_that_was_cut_off_ends_bit_for_bit_as_one_that_was_not(
    digits: Examples, tmp_path: Path, cut: int, optimiser: AdamW | None
) -> None:
    config = CONFIG if optimiser is None else CONFIG.model_copy(update={"optimiser": optimiser})
    whole = train(digits, config, None).state_dict()
    with pytest.raises(ConnectionError):
        train(digits, config, tmp_path, cut)
    resumed = train(digits, config, tmp_path).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_loader_goes_on_in_the_middle_of_an_epoch(iris: Examples, tmp_path: Path) -> None:
    def loader() -> torch.utils.data.DataLoader:
        data = torch.utils.data.TensorDataset(torch.from_numpy(iris.inputs), torch.from_numpy(np.asarray(iris.labels)))
        return torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)

    config = TrainConfig(epochs=2, checkpoint_seconds=0)
    whole, resumed = mlp(iris, hidden=(8,), dropout=0.2), mlp(iris, hidden=(8,), dropout=0.2)
    fit(whole, loader(), config, callbacks=[Power(None)])
    with pytest.raises(ConnectionError):
        fit(mlp(iris, hidden=(8,), dropout=0.2), loader(), config, callbacks=[Power(13)], folder=tmp_path)
    fit(resumed, loader(), config, callbacks=[Power(None)], folder=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


SCRIPT = textwrap.dedent("""
    import sys, time, numpy, torch
    from selftaught import load
    from selftaught.training import Callback, TrainConfig, fit, mlp
    torch.set_num_threads(1)
    class Power(Callback):
        def after_step(self, run):
            if run.step == 4:
                print("hanging", flush=True)
                time.sleep(1000)
    digits = load("digits").take(numpy.arange(300))
    model = mlp(digits, hidden=(16,), dropout=0.2)
    fit(model, digits, TrainConfig(steps=8, batch_size=50, checkpoint_seconds=0), callbacks=[Power()],
        folder=sys.argv[1])
""")


def test_kill_9_in_the_middle_loses_nothing_and_changes_nothing(digits: Examples, tmp_path: Path) -> None:
    victim = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    assert victim.stdout.readline() == "hanging\n"
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    stored = load_tensors(tmp_path / "checkpoint.safetensors")
    assert stored is not None
    assert stored[1]["step"] == 3, "the checkpoint is of the step before the one that hung"
    config = TrainConfig(steps=8, batch_size=50, checkpoint_seconds=0)
    resumed, whole = mlp(digits, hidden=(16,), dropout=0.2), mlp(digits, hidden=(16,), dropout=0.2)
    assert fit(resumed, digits, config, callbacks=[Power(None)], folder=tmp_path, resume=True).steps == 8
    fit(whole, digits, config, callbacks=[Power(None)])
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_a_finished_run_is_read_and_not_trained_again(digits: Examples, tmp_path: Path) -> None:
    first = train(digits, CONFIG, tmp_path).state_dict()
    model = small_cnn(digits, widths=(4, 4), dropout=0.2, seed=9)
    watch = [Ema(0.9), EarlyStopping(50), Masks({"1.weight": torch.eye(3).expand(4, 1, 3, 3)}), Power(1)]
    found = fit(model, digits, CONFIG, valid=digits, callbacks=watch, folder=tmp_path)
    assert (found.steps, found.finished, len(found.history)) == (15, True, 3)
    assert all(torch.equal(first[name], one) for name, one in model.state_dict().items())


def test_a_stopped_run_goes_on(digits: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selftaught.training.fitting.SECONDS_BETWEEN_REPORTS", 0.0)
    whole, model = mlp(digits, hidden=(8,)), mlp(digits, hidden=(8,))
    config = TrainConfig(steps=9, batch_size=64)
    fit(whole, digits, config)
    stopped = fit(model, digits, config, folder=tmp_path, on_progress=lambda one: "stop" if one.step == 4 else None)
    assert not stopped.finished
    assert fit(model, digits, config, folder=tmp_path, resume=True).finished
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))


def test_a_checkpoint_of_another_run_is_refused(digits: Examples, iris: Examples, tmp_path: Path) -> None:
    config = TrainConfig(steps=2, batch_size=64)
    fit(mlp(digits, hidden=(8,)), digits, config, folder=tmp_path)
    with pytest.raises(ResumeError, match=r"other settings \(seed 0 -> 1\)"):
        fit(mlp(digits, hidden=(8,)), digits, config.model_copy(update={"seed": 1}), folder=tmp_path)
    with pytest.raises(ResumeError, match="other model"):
        fit(mlp(digits, hidden=(9,)), digits, config, folder=tmp_path)
    with pytest.raises(ResumeError, match="other data"):
        fit(mlp(digits, hidden=(8,)), digits.take(np.arange(100)), config, folder=tmp_path)
    with pytest.raises(ResumeError, match="other callbacks"):
        fit(mlp(digits, hidden=(8,)), digits, config, callbacks=[Ema()], folder=tmp_path)
    with pytest.raises(ResumeError, match="no checkpoint"):
        fit(mlp(digits, hidden=(8,)), digits, config, folder=tmp_path / "new", resume=True)
    assert fit(mlp(iris), iris, config, folder=tmp_path, resume=False).steps == 2


def test_a_damaged_checkpoint_is_one_line(digits: Examples, tmp_path: Path) -> None:
    config = TrainConfig(steps=2, batch_size=64)
    fit(mlp(digits, hidden=(8,)), digits, config, folder=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    for content in (path.read_bytes()[:-100], b"", b"x" * 200):
        path.write_bytes(content)
        with pytest.raises(ResumeError, match=r"cannot be read .*resume=False"):
            fit(mlp(digits, hidden=(8,)), digits, config, folder=tmp_path)


def test_one_run_a_folder(digits: Examples, tmp_path: Path) -> None:
    class Again(Callback):
        def on_start(self, run: Run) -> None:
            with pytest.raises(ResumeError, match="another run is at work"):
                fit(mlp(digits), digits, folder=tmp_path)

    fit(mlp(digits, hidden=(4,)), digits, TrainConfig(steps=1), callbacks=[Again()], folder=tmp_path)


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    given = {"a": shared, "b": shared[2:], "c": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)}
    save_tensors(tmp_path / "x", given, {"one": [1, None, "é"]})
    found = load_tensors(tmp_path / "x")
    assert found is not None
    assert found[1] == {"one": [1, None, "é"]}
    assert all(torch.equal(found[0][name], one) for name, one in given.items())
    assert load_tensors(tmp_path / "none") is None
