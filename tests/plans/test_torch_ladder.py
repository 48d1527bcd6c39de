"""Ladders: each level as populations of its own trainings, kept level by level, gone on with after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from selftaught import load
from selftaught.audit import load_predictions, model_folders, population_of_models, seen_ids
from selftaught.cli import main
from selftaught.compress import GradualPruning, sparsity
from selftaught.errors import InputError, ResumeError
from selftaught.examples import Examples
from selftaught.plans import LadderProgress, Network, Rung, hard_examples, layer_densities, mitigations, train_ladder
from selftaught.training import TrainConfig, evaluate, fit

LEVELS = (0.0, 0.8)
CONFIG = TrainConfig(epochs=4, batch_size=50, seed=5, device="cpu")
NETWORK = Network("mlp", hidden=(16,))


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def parts() -> tuple[Examples, Examples]:
    digits = load("digits")
    return digits.take(np.arange(250)), digits.take(np.arange(250, 400))


@pytest.fixture(scope="module")
def rungs(parts: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Rung, ...]]:
    folder = tmp_path_factory.mktemp("ladder")
    return folder, train_ladder(*parts, NETWORK, levels=LEVELS, models=3, config=CONFIG, folder=folder)


def test_a_rung_is_what_single_trainings_give(parts: tuple[Examples, Examples], rungs: Any) -> None:
    train, kept = parts
    for rung in rungs[1]:
        seed = rung.seeds[1]
        alone = NETWORK.build(train, seed=seed)
        callbacks = [GradualPruning(1 - rung.sparsity, every=2)] if rung.sparsity else []
        fit(alone, train, CONFIG.model_copy(update={"seed": seed}), callbacks=callbacks)
        scores = torch.from_numpy(evaluate(alone, kept).scores).double().softmax(1).numpy()
        assert rung.population.probabilities[1] == pytest.approx(scores, abs=1e-3)
        assert sparsity(rung.models[1]).of_prunable == pytest.approx(rung.sparsity, abs=0.01)
    assert not set(rungs[1][0].seeds) & set(rungs[1][1].seeds), "levels have seeds of their own"


def test_a_ladder_is_read_back_and_other_settings_are_refused(parts: tuple[Examples, Examples], rungs: Any) -> None:
    folder, first = rungs
    told: list[LadderProgress] = []
    again = train_ladder(*parts, NETWORK, levels=LEVELS, models=3, config=CONFIG, folder=folder,
                         on_progress=lambda one: told.append(one))  # fmt: skip
    assert told == []
    for one, other in zip(first, again, strict=True):
        assert one.population.probabilities == pytest.approx(other.population.probabilities, abs=1e-6)
        for mine, theirs in zip(one.models, other.models, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
    options: dict[str, Any] = {"levels": LEVELS, "models": 3, "config": CONFIG, "folder": folder}
    with pytest.raises(ResumeError, match="trained with other settings"):
        train_ladder(*parts, NETWORK, **options | {"config": CONFIG.model_copy(update={"seed": 6})})
    with pytest.raises(ResumeError, match="with other models"):
        train_ladder(*parts, NETWORK, **options | {"models": 2})
    with pytest.raises(ResumeError, match="with other data"):
        train_ladder(parts[0], parts[1].take(np.arange(50)), NETWORK, **options)


def test_what_it_leaves_is_what_an_audit_reads(parts: tuple[Examples, Examples], rungs: Any) -> None:
    folder, first = rungs
    read = load_predictions(folder / "sparsity-0.8.npz", ids=parts[1].ids, classes=10)
    assert read.probabilities == pytest.approx(first[1].population.probabilities, abs=1e-6)
    folders = model_folders(folder / "sparsity-0.8")
    assert set(seen_ids(folders)) == set(parts[0].ids)
    again = population_of_models(folders, parts[1])
    assert again.probabilities == pytest.approx(first[1].population.probabilities, abs=1e-5)


def test_stop_keeps_the_levels_that_are_done(parts: tuple[Examples, Examples], tmp_path: Path) -> None:
    def stop(progress: LadderProgress) -> str | None:
        assert progress.levels == 2
        assert progress.seconds_left >= 0
        assert progress.examples_per_second > 0
        return "stop" if progress.level == 1 and progress.epoch == 2 else None

    found = train_ladder(*parts, NETWORK, levels=LEVELS, models=2, config=CONFIG, folder=tmp_path, on_progress=stop)
    assert [one.sparsity for one in found] == [0.0]
    told: list[float] = []
    whole = train_ladder(*parts, NETWORK, levels=LEVELS, models=2, config=CONFIG, folder=tmp_path,
                         on_progress=lambda one: told.append(one.sparsity))  # fmt: skip
    assert set(told) == {0.8}
    straight = train_ladder(*parts, NETWORK, levels=LEVELS, models=2, config=CONFIG)
    for one, other in zip(whole, straight, strict=True):
        assert one.population.probabilities == pytest.approx(other.population.probabilities, abs=1e-6)


def test_wrong_ladders_are_one_line(parts: tuple[Examples, Examples]) -> None:
    with pytest.raises(InputError, match="from 0 to below 1"):
        train_ladder(*parts, NETWORK, levels=(0.0, 1.0), config=CONFIG)
    with pytest.raises(InputError, match="at least one model"):
        train_ladder(*parts, NETWORK, models=0, config=CONFIG)


def test_densities_of_layers_are_held(parts: tuple[Examples, Examples]) -> None:
    names = {"2.weight": 0.1, "4.weight": 0.5}
    (rung,) = train_ladder(*parts, NETWORK, levels=(0.8,), models=2, config=CONFIG, densities={0.8: names})
    for model in rung.models:
        held = {one.name: one.density for one in sparsity(model).layers}
        assert held == pytest.approx(names, abs=0.01)
    with pytest.raises(InputError, match=r"no weight '3\.weight' to prune"):
        train_ladder(*parts, NETWORK, levels=(0.8,), models=2, config=CONFIG, densities={0.8: {"3.weight": 0.1}})
    with pytest.raises(InputError, match="go with ranking 'per_layer'"):
        GradualPruning(0.1, ranking="global", densities={"a": 0.5})


def test_layers_that_move_the_examples_keep_more_at_as_many_weights(
    parts: tuple[Examples, Examples], rungs: Any
) -> None:
    dense = rungs[1][0]
    found = layer_densities(dense.models, parts[0].take(np.arange(40)), 0.8)
    sizes = {one.name: one.weights for one in sparsity(dense.models[0]).layers}
    assert set(found) == set(sizes)
    assert sum(found[name] * size for name, size in sizes.items()) == pytest.approx(0.2 * sum(sizes.values()), rel=0.02)
    assert all(0 < share <= 1 for share in found.values())
    # A first layer whose pruning does nothing, as it is blind already, gives its weights to the other one.
    blind = [NETWORK.build(parts[0], seed=k) for k in range(2)]
    with torch.no_grad():
        for one in blind:
            one[2].weight.zero_()
            one[2].bias.normal_(1.0, 0.5)
    moved = layer_densities(blind, parts[0].take(np.arange(40)), 0.8)
    assert moved["4.weight"] == 1.0


def test_mitigations_are_priced_on_the_other_half(parts: tuple[Examples, Examples], rungs: Any) -> None:
    dense, pruned = rungs[1]
    prices = mitigations(*parts, NETWORK, dense, pruned, models=3, config=CONFIG)
    assert len(prices) == 5
    for one in prices:
        assert one.n == 75
        assert one.lines[0]["before"] == prices[0].lines[0]["before"], "all are beside the same population"
    json.dumps([one.to_dict() for one in prices], allow_nan=False)
    with pytest.raises(InputError, match="a mitigation is one of"):
        mitigations(*parts, NETWORK, dense, pruned, models=3, config=CONFIG, which=("hope",))  # type: ignore[arg-type]


def test_mitigations_that_were_stopped_go_on(parts: tuple[Examples, Examples], rungs: Any, tmp_path: Path) -> None:
    dense, pruned = rungs[1]
    given: dict[str, Any] = {"models": 3, "config": CONFIG, "which": ("weights", "thresholds", "repeats")}
    told: list[LadderProgress] = []

    def stop(progress: LadderProgress) -> str | None:
        assert progress.levels == 3
        assert progress.seconds_left >= 0
        return "stop" if progress.level == 2 else None

    first = mitigations(*parts, NETWORK, dense, pruned, folder=tmp_path, on_progress=stop, **given)
    assert [one.name for one in first] == ["weight 3 on the examples found", "thresholds"]
    whole = mitigations(*parts, NETWORK, dense, pruned, folder=tmp_path, on_progress=told.append, **given)
    assert {(one.level, one.what) for one in told} == {(2, "examples found shown 3 times")}
    straight = mitigations(*parts, NETWORK, dense, pruned, **given)
    assert [one.to_dict() for one in whole] == [one.to_dict() for one in straight]
    told.clear()
    mitigations(*parts, NETWORK, dense, replace(pruned, models=dense.models), folder=tmp_path, on_progress=told.append,
                **given)  # fmt: skip
    assert {one.level for one in told} == {0, 2}, "what was trained for other models is trained again"


def test_hard_examples_have_all_columns_and_no_model_judges_what_it_learned(parts: tuple[Examples, Examples]) -> None:
    train = parts[0]
    found = hard_examples(train, NETWORK, seeds=2, config=CONFIG)
    assert set(found.columns) == {
        "confidence", "variability", "forgetting", "aum", "el2n", "max_prob", "label_quality"
    }  # fmt: skip
    assert all(one.shape == (250,) for one in found.columns.values())
    assert found.out_of_fold.sum(axis=2) == pytest.approx(np.ones((2, 250)))
    assert found.embedding.shape == (250, 16)
    assert len(found.checkpoints) == 4
    # A label that means nothing cannot be predicted from outside, whatever is memorised.
    noise = np.random.default_rng(0).integers(0, 10, 250)
    random = Examples(train.inputs, noise, train.ids, class_names=train.class_names)
    apart = hard_examples(random, Network("mlp", hidden=(64,)), seeds=2, config=CONFIG).out_of_fold
    assert (apart.mean(axis=0).argmax(axis=1) == noise).mean() < 0.2


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


SWEEP = ("--data", "digits", "--hidden", "8", "--models", "4", "--epochs", "2", "--batch-size", "256", "--lr", "0.01")


def test_the_command_sweeps_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("audit", "--sweep", "0,50%", *SWEEP, "--out", tmp_path / "out")
    assert run(*words, "--json") == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert [one["name"] for one in found["levels"]] == ["dense", "50 %"]
    assert found["finished"]
    assert "kept apart" in told.err
    assert (tmp_path / "out" / "audit.html").is_file()
    assert run(*words, "--quiet") == 0
    text = capsys.readouterr().out
    assert "digits: 359 examples, each level against dense" in text
    assert "epoch" not in text
    assert run(*words, "--mitigate") == 0
    text = capsys.readouterr().out
    assert "mitigation 1 of 5 (weight 3 on the examples found)" in text
    assert "less taken from layers" in text
    assert (tmp_path / "out" / "mitigations" / "soft-targets" / "sparsity-0.5.npz").is_file()
    found = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (len(found["mitigations"]), found["finished"]) == (5, True)
    assert run("audit", "--sweep", "0,0.5", *SWEEP, "--seed", "1", "--out", tmp_path / "out") == 2
    assert "with other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--sweep", "0,2"), "shares of zeros"),
        (("--sweep", "0,0.5", "--models", "1"), "two models or more"),
        (("--sweep", "0,0.5", "--groups", "colour", "--data", "iris"), "group_columns"),
        (("--sweep", "0,0.5", "--model", "cnn", "--data", "iris"), "takes images"),
    ],
)
def test_wrong_sweeps_are_one_line(
    words: tuple[str, ...], wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", *words, "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert wanted in told
    assert told.splitlines()[-1].startswith("selftaught: ")


@pytest.mark.slow
def test_a_killed_sweep_goes_on_after_its_last_level(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "selftaught", "audit", "--sweep", "0,0.3,0.5", *SWEEP[:6], "--epochs", "30",
             "--out", str(tmp_path / "out")]  # fmt: skip
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        if (tmp_path / "out" / "dense.npz").exists() or first.poll() is not None:
            break
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    done = (tmp_path / "out" / "dense.npz").stat().st_mtime_ns
    subprocess.run([*words, "--quiet"], check=True, capture_output=True)
    assert (tmp_path / "out" / "dense.npz").stat().st_mtime_ns == done
    assert (tmp_path / "out" / "audit.html").is_file()
