"""`selftaught audit` on what `selftaught train` left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from selftaught import load
from selftaught.audit import model_folders, penultimate, population_of_models, seen_ids
from selftaught.cli import main
from selftaught.datasets import load as read
from selftaught.errors import InputError
from selftaught.training import TrainConfig, evaluate, load_trained, train


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for side, epochs in (("before", 30), ("after", 1)):
        for seed in range(2):
            config = TrainConfig(epochs=epochs, seed=seed)
            train(load("iris"), model="linear", out=folder / side / str(seed), config=config)
    torch.set_num_threads(threads)
    return folder


def test_models_answer_by_id_and_what_they_learned_from_is_known(runs: Path) -> None:
    iris = read("iris")
    folders = model_folders(runs / "before")
    assert [one.name for one in folders] == ["0", "1"]
    assert model_folders(folders[0]) == folders[:1]
    found = population_of_models(folders, iris)
    assert np.array_equal(found.predicted[1], evaluate(load_trained(folders[1]), iris).scores.argmax(axis=1))
    assert len(seen_ids(folders[:1])) == 120  # a fifth was set apart
    assert set(seen_ids(folders)) >= set(seen_ids(folders[:1]))
    with pytest.raises(InputError, match="other classes"):
        population_of_models(folders, read("wine"))
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        model_folders(runs / "before" / "0" / "ledger")


def test_the_embedding_is_what_goes_into_the_last_layer(runs: Path) -> None:
    iris = read("iris")
    scaled = (iris.inputs - iris.inputs.mean(axis=0)) / iris.inputs.std(axis=0)
    found = penultimate(model_folders(runs / "before")[0], iris)
    assert found.shape == (150, 4)
    assert np.abs(np.corrcoef(found[:, 2], scaled[:, 2])[0, 1]) == pytest.approx(1)  # of a linear model, scaled inputs
    with pytest.raises(InputError, match="does not take inputs"):
        penultimate(model_folders(runs / "before")[0], read("wine"))


def test_the_command_compares_on_examples_that_no_model_saw(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["audit", str(runs / "before" / "0"), str(runs / "after" / "0"), "--data", "iris", "--json"])
    assert left.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["seeds"]) == (30, [1, 1])
    assert not set(found["ranking"]) & set(seen_ids([runs / "before" / "0"]))
    with pytest.raises(SystemExit) as left:
        main(["audit", str(runs / "before" / "0"), str(runs / "after" / "0"), "--data", "iris", "--corruptions"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for line in ("noise 1", "permuted 3", "missing 2", "beyond clean inputs"):
        assert line in text
    with pytest.raises(SystemExit) as left:
        main(["audit", str(runs / "before"), str(runs / "after"), "--data", "iris"])
    assert left.value.code == 2
    assert "were in no model's training" in capsys.readouterr().err


def test_pairs_of_folders_have_the_same_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("old/a", "old/b", "new/a", "new/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.safetensors").touch()
    with pytest.raises(SystemExit) as left:
        main(["audit", str(tmp_path / "old"), str(tmp_path / "new"), "--paired", "--data", "iris"])
    assert left.value.code == 2
    assert "models of the same names" in capsys.readouterr().err
