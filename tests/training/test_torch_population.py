"""Populations: each member ends where `fit` alone would take it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from selftaught import load
from selftaught.errors import DataError, DivergedError, InputError
from selftaught.examples import Examples
from selftaught.training import (
    SGD,
    AdamW,
    Augment,
    Constant,
    Lion,
    TrainConfig,
    fit,
    fit_population,
    mlp,
    small_cnn,
)

ENGINES = ["layers", "vmap", "turns"]


def difference(first: nn.Module, second: nn.Module) -> float:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


class Branched(nn.Module):
    """More than a chain, with a functional operation and tied weights."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first, self.norm, self.last = nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Linear(12, 10)
            self.again, self.other = nn.Linear(12, 12), nn.Linear(12, 12)
        self.drop = nn.Dropout(0.2)
        self.other.weight = self.again.weight

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        middle = self.drop(torch.relu(self.norm(self.first(inputs.flatten(1) / 16))))
        return self.last(middle + self.other(torch.tanh(self.again(middle))))


def make(kind: str, examples: Examples, seed: int) -> nn.Module:
    if kind == "mlp":
        return mlp(examples, hidden=(16, 12), dropout=0.3, batch_norm=True, seed=seed)
    if kind == "cnn":
        return small_cnn(examples, widths=(4, 6), dropout=0.2, seed=seed)
    return Branched(seed)


@pytest.mark.parametrize(("kind", "engine"), [(k, e) for k in ("mlp", "cnn", "branched") for e in ENGINES])
def test_members_end_where_single_fits_do(digits: Examples, kind: str, engine: Any) -> None:
    if kind == "branched" and engine == "layers":
        with pytest.raises(InputError, match="chains of known layers only"):
            fit_population(lambda k: make(kind, digits, k), digits, members=2, engine=engine)
        return
    settings = [(5, 0.05), (6, 0.01), (6, 0.02)]
    configs = [TrainConfig(epochs=2, batch_size=64, optimiser=SGD(lr=lr), seed=seed) for seed, lr in settings]
    starts = [7, 8, 8]
    together = [make(kind, digits, seed) for seed in starts]
    found = fit_population(together, digits, configs, engine=engine, valid=digits)
    for number, config in enumerate(configs):
        alone = make(kind, digits, starts[number])
        single = fit(alone, digits, config, valid=digits)
        assert difference(alone, together[number]) < 2e-4
        assert single.valid is not None
        assert found.valid[number].score == pytest.approx(single.valid.score, abs=0.01)
        assert found.losses[-1][number] == pytest.approx(single.history[-1]["loss"], abs=1e-3)
    assert found.steps == 10
    assert difference(together[1], together[2]) > 1e-3, "the learning rates differ"


@pytest.mark.parametrize("optimiser", [SGD(nesterov=False, decay="all"), AdamW(lr=0.01), Lion(lr=1e-3)])
def test_every_optimiser_with_augmentation_clipping_and_weights(
    digits: Examples, optimiser: SGD | AdamW | Lion
) -> None:
    # Five steps: what Lion does with the sign of a rounding error would grow.
    config = TrainConfig(
        steps=5, batch_size=60, optimiser=optimiser, augment=Augment(crop=1, mixup=0.4), clip_norm=0.5,
        label_smoothing=0.1, seed=3,
    )  # fmt: skip
    weights = np.linspace(0, 2, len(digits))
    together = [mlp(digits, hidden=(12,), seed=k) for k in range(3)]
    fit_population(together, digits, config, weights=weights)
    for number, model in enumerate(together):
        alone = mlp(digits, hidden=(12,), seed=number)
        fit(alone, digits, config.model_copy(update={"seed": 3 + number}), weights=weights)
        assert difference(alone, model) < 1e-4


def test_numbers_and_frozen_parameters() -> None:
    diabetes = load("diabetes")
    config = TrainConfig(epochs=2, batch_size=64, optimiser=AdamW(lr=0.01))
    together = [mlp(diabetes, hidden=(8,), seed=k) for k in range(2)]
    alone = mlp(diabetes, hidden=(8,), seed=1)
    for model in (*together, alone):
        model[2].weight.requires_grad_(False)
    before = together[1][2].weight.clone()
    fit_population(together, diabetes, config)
    fit(alone, diabetes, config.model_copy(update={"seed": 1}))
    assert difference(alone, together[1]) < 1e-4
    assert torch.equal(before, together[1][2].weight)


@pytest.mark.parametrize(("engine", "augment"), [("layers", None), ("turns", None), ("layers", Augment(crop=1))])
def test_members_may_learn_from_examples_of_their_own(digits: Examples, engine: Any, augment: Augment | None) -> None:
    turned = replace(digits, inputs=digits.inputs[:, ::-1].copy())
    data = [digits, turned, digits]
    config = TrainConfig(epochs=2, batch_size=64, optimiser=SGD(lr=0.02), augment=augment)
    together = [mlp(digits, hidden=(12,), seed=k) for k in range(3)]
    weights = np.linspace(0.5, 1.5, len(digits))
    found = fit_population(together, data, config, valid=data, engine=engine, weights=weights)
    for number, own in enumerate(data):
        alone = mlp(digits, hidden=(12,), seed=number)
        single = fit(alone, own, config.model_copy(update={"seed": number}), valid=own, weights=weights)
        assert difference(alone, together[number]) < 1e-4
        assert single.valid is not None
        assert found.valid[number].score == pytest.approx(single.valid.score, abs=0.01)
    with pytest.raises(InputError, match="one for each; got 2"):
        fit_population(together, data[:2], config)
    with pytest.raises(DataError, match="data of member 1 have shape"):
        fit_population(together[:2], [digits, digits.take(np.arange(9))], config)
    diabetes = load("diabetes")
    assert diabetes.labels is not None
    doubled = replace(diabetes, labels=2 * diabetes.labels)
    with pytest.raises(DataError, match="other numbers to predict"):
        fit_population([mlp(diabetes, seed=k) for k in range(2)], [diabetes, doubled], config)


def test_a_chain_of_every_known_layer(digits: Examples) -> None:
    def chain() -> nn.Sequential:
        return nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 4, 3, stride=1, padding=1, bias=True), nn.BatchNorm2d(4), nn.LeakyReLU()),
            nn.AvgPool2d(2), nn.Identity(), nn.Conv2d(4, 4, 1, groups=2), nn.GELU(), nn.MaxPool2d(2), nn.SiLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 12, bias=False), nn.BatchNorm1d(12), nn.Tanh(),
            nn.Dropout(0.1), nn.Linear(12, 10), nn.Sigmoid(),
        )  # fmt: skip

    together, alone = [chain() for _ in range(2)], chain()
    alone.load_state_dict(together[1].state_dict())
    config = TrainConfig(steps=6, batch_size=50, optimiser=SGD())
    fit_population(together, digits, config, engine="layers")
    fit(alone, digits, config.model_copy(update={"seed": 1}))
    assert difference(alone, together[1]) < 2e-4


def test_the_users_random_numbers_and_modes_stay(iris: Examples) -> None:
    models = [mlp(iris, hidden=(4,), dropout=0.5).eval() for _ in range(2)]
    torch.manual_seed(1)
    wanted = torch.rand(2)
    torch.manual_seed(1)
    fit_population(models, iris, TrainConfig(steps=3))
    assert torch.equal(torch.rand(2), wanted)
    assert not any(one.training for model in models for one in model.modules())


def test_a_population_can_be_stopped_and_keeps_time(iris: Examples) -> None:
    seen = []

    def watch(epoch: int, losses: tuple[float, ...]) -> str | None:
        seen.append(losses)
        return "stop" if epoch == 2 else None

    made = [mlp(iris, hidden=(4,), seed=k) for k in range(3)]
    found = fit_population(made, iris, TrainConfig(epochs=9), on_epoch=watch)
    assert tuple(seen) == found.losses
    assert found.steps == 4
    timed = fit_population(lambda k: mlp(iris, hidden=(4,), seed=k), iris, TrainConfig(seconds=0.2), members=2)
    assert timed.steps > 0


def test_wrong_use_is_one_line(iris: Examples) -> None:
    def model(units: int = 4) -> nn.Module:
        return mlp(iris, hidden=(units,))

    with pytest.raises(InputError, match="number 1 differs from number 0"):
        fit_population([model(), model(5)], iris)
    with pytest.raises(InputError, match="2 models need as many settings, got 1"):
        fit_population([model(), model()], iris, [TrainConfig()])
    with pytest.raises(InputError, match="batch_size of number 1 differs too"):
        fit_population([model(), model()], iris, [TrainConfig(), TrainConfig(batch_size=3)])
    with pytest.raises(InputError, match=r"optimiser\.momentum of number 1"):
        fit_population([model(), model()], iris, [TrainConfig(optimiser=SGD(momentum=one)) for one in (0.9, 0.5)])
    with pytest.raises(InputError, match="needs their number"):
        fit_population(lambda k: model(), iris)
    with pytest.raises(InputError, match="at least one model"):
        fit_population([], iris)
    configs = [TrainConfig(epochs=80, optimiser=SGD(lr=lr), schedule=Constant()) for lr in (0.01, 1e18)]
    with pytest.raises(DivergedError, match="member 1 is not finite"):
        fit_population([model(), model()], iris, configs)
