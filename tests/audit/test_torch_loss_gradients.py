"""GraNd against backward passes one by one and a closed form; the AUM threshold on planted wrong labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from selftaught import load
from selftaught.audit import aum_threshold, auroc, error_norm, grand
from selftaught.errors import DataError, InputError
from selftaught.seeds import rng_for
from selftaught.training import AdamW, TrainConfig, evaluate, fit, fit_population, mlp, small_cnn

DIGITS = load("digits").take(np.arange(24))


def test_the_norms_are_those_of_single_backward_passes() -> None:
    models = [small_cnn(DIGITS, widths=(3, 4), dropout=0.3, seed=k) for k in range(2)]
    fit_population(models, DIGITS, TrainConfig(steps=3, batch_size=20))
    models[0].train()
    found = grand(models, DIGITS, batch_size=7)
    assert models[0].training
    wanted = np.zeros(24)
    for model in models:
        model.eval()
        for k in range(24):
            model.zero_grad()
            pixels = torch.from_numpy(DIGITS.inputs[k : k + 1].copy())[:, None] / 255
            nn.functional.cross_entropy(model(pixels), torch.tensor([int(DIGITS.labels[k])])).backward()  # type: ignore[index]
            squares = [float(one.grad.square().sum()) for one in model.parameters() if one.grad is not None]
            wanted[k] += sum(squares) ** 0.5
    assert found == pytest.approx(wanted / 2, rel=1e-3)


def test_of_a_linear_model_it_is_the_error_norm_times_the_inputs() -> None:
    iris = load("iris")
    model = nn.Linear(4, 3)
    probabilities = torch.softmax(model(torch.from_numpy(iris.inputs.astype(np.float32))), dim=1).detach().numpy()
    assert iris.labels is not None
    sizes = np.sqrt(1 + np.square(iris.inputs).sum(axis=1))
    assert grand([model], iris) == pytest.approx(error_norm(probabilities, iris.labels) * sizes, rel=1e-4)
    model.weight.requires_grad_(False)
    assert grand([model], iris) == pytest.approx(error_norm(probabilities, iris.labels), rel=1e-4)
    model.bias.requires_grad_(False)
    with pytest.raises(InputError, match="requires_grad"):
        grand([model], iris)
    with pytest.raises(InputError, match="at least one model"):
        grand([], iris)
    with pytest.raises(DataError, match="no classes"):
        grand([model], load("diabetes"))


def test_the_threshold_flags_what_was_planted() -> None:
    digits = load("digits").take(np.arange(600))
    assert digits.labels is not None
    rng = rng_for(0, "flips")
    wrong = rng.random(600) < 0.1
    labels = np.where(wrong, (digits.labels + rng.integers(1, 10, 600)) % 10, digits.labels).astype(np.int64)

    def learn(given: np.ndarray, number: int) -> np.ndarray:
        from dataclasses import replace

        from selftaught.audit import aum, margin

        data = replace(digits, labels=given, class_names=(*digits.class_names, "fake"))
        model = mlp(data, hidden=(32,), seed=number)
        margins: list[np.ndarray] = []
        config = TrainConfig(epochs=1, batch_size=50, optimiser=AdamW(lr=0.01), seed=number)
        for _ in range(6):
            fit(model, data, config)
            margins.append(margin(evaluate(model, data).scores, given))
        return aum(np.stack(margins))

    found = aum_threshold(learn, labels, classes=10)
    assert auroc(found.column, wrong) > 0.95
    assert found.flagged[wrong].mean() > 0.7
    assert found.flagged[~wrong].mean() < 0.12
    assert found.fake.sum(axis=1).tolist() == [54, 54]
    assert not (found.fake[0] & found.fake[1]).any()


def test_the_threshold_is_a_percentile_of_the_fake_examples() -> None:
    columns = [np.arange(100.0), np.arange(100.0)[::-1]]
    seen = []

    def learn(given: np.ndarray, number: int) -> np.ndarray:
        seen.append(given == 3)
        return columns[number]

    found = aum_threshold(learn, np.arange(100) % 3, percentile=60)
    for number, rows in enumerate(seen):
        assert found.thresholds[number] == pytest.approx(np.percentile(columns[number][rows], 40))
        assert rows.sum() == 25
    judged = np.where(seen[0], columns[1], columns[0])
    assert np.array_equal(found.column, judged)
    assert np.array_equal(found.flagged, judged > np.where(seen[0], found.thresholds[1], found.thresholds[0]))
    with pytest.raises(InputError, match="class numbers from 0 to 1"):
        aum_threshold(learn, np.array([0, 2] * 9), classes=2)
    with pytest.raises(InputError, match="too few"):
        aum_threshold(learn, np.array([0, 1]))
    with pytest.raises(InputError, match="learn must give 18"):
        aum_threshold(lambda given, number: np.zeros(3), np.array([0, 1] * 9))
