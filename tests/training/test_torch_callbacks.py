"""Callbacks: averages by hand, masks that stay, stochastic depth, dropout over time, early stopping."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import (
    SGD,
    AdamW,
    Callback,
    DropoutSchedule,
    EarlyStopping,
    Ema,
    Lion,
    Masks,
    Run,
    StochasticDepth,
    TrainConfig,
    evaluate,
    fit,
    mlp,
    small_cnn,
)

CONFIG = TrainConfig(steps=6, batch_size=50)


class Watch(Callback):
    """Keeps the weights after every step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []

    def on_start(self, run: Run) -> None:
        self.after_step(run)

    def after_step(self, run: Run) -> None:
        self.weights.append({name: one.detach().clone() for name, one in run.model.state_dict().items()})


@pytest.mark.parametrize("warm", [True, False])
def test_the_average_is_its_recurrence(digits: Examples, warm: bool) -> None:
    model, watch = small_cnn(digits, widths=(4, 4)), Watch()
    found = fit(model, digits, CONFIG, callbacks=[watch, Ema(0.8, warm=warm)], valid=digits)
    average = {name: one.double() for name, one in watch.weights[0].items()}
    for step, weights in enumerate(watch.weights[1:], start=1):
        decay = min(0.8, (1 + step) / (10 + step)) if warm else 0.8
        average = {name: decay * one + (1 - decay) * weights[name].double() for name, one in average.items()}
    for name, one in model.state_dict().items():
        if one.is_floating_point():
            assert torch.allclose(one.double(), average[name], atol=1e-5), name
    assert found.valid is not None
    assert found.valid.score == evaluate(model, digits).score == found.history[-1]["valid_accuracy"]


@pytest.mark.parametrize("optimiser", [SGD(), AdamW(), Lion()])
def test_masked_weights_stay_zero_after_every_step(digits: Examples, optimiser: SGD | AdamW | Lion) -> None:
    model, watch = mlp(digits, hidden=(16,)), Watch()
    mask = torch.rand(16, 64, generator=torch.Generator().manual_seed(1)) < 0.3
    fit(model, digits, CONFIG.model_copy(update={"optimiser": optimiser}), callbacks=[Masks({"2.weight": mask}), watch])
    for weights in watch.weights:
        assert bool((weights["2.weight"][~mask] == 0).all())
    # The kept ones are trained; a border pixel that is always 0 has no gradient.
    assert float((watch.weights[-1]["2.weight"] != watch.weights[0]["2.weight"])[mask].float().mean()) > 0.5


def test_a_mask_of_ones_is_the_dense_run_bit_for_bit(digits: Examples) -> None:
    dense, masked = mlp(digits, hidden=(16,)), mlp(digits, hidden=(16,))
    fit(dense, digits, CONFIG)
    fit(masked, digits, CONFIG, callbacks=[Masks({"2.weight": torch.ones(16, 64), "4.weight": torch.ones(10, 16)})])
    assert all(torch.equal(a, b) for a, b in zip(dense.parameters(), masked.parameters(), strict=True))


def test_masks_that_do_not_fit_are_refused(digits: Examples) -> None:
    with pytest.raises(InputError, match=r"did you mean '2\.weight'"):
        fit(mlp(digits, hidden=(16,)), digits, CONFIG, callbacks=[Masks({"2.weigth": torch.ones(16, 64)})])
    with pytest.raises(InputError, match=r"must have shape \(16, 64\), got \(4,\)"):
        fit(mlp(digits, hidden=(16,)), digits, CONFIG, callbacks=[Masks({"2.weight": torch.ones(4)})])


class Residual(nn.Module):
    """x + branch(x), twice, where each branch is the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Identity(), nn.Identity(), nn.Linear(4, 3)
        self.seen: list[torch.Tensor] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        middle = inputs + self.first(inputs)
        self.seen.append((middle / inputs).mean(1).detach())
        return self.last(middle + self.second(middle))


def test_branches_are_dropped_at_their_rate_and_scaled(iris: Examples) -> None:
    model = Residual()
    fit(model, iris, TrainConfig(steps=40, batch_size=150, optimiser=SGD(lr=1e-3)),
        callbacks=[StochasticDepth(["first", "second"], last=0.4)])  # fmt: skip
    factors = torch.cat(model.seen)  # 1 where the branch was dropped, else 1 + 1 / 0.8
    dropped = torch.isclose(factors, torch.ones(()))
    assert bool((dropped | torch.isclose(factors, torch.tensor(2.25))).all())
    assert float(dropped.float().mean()) == pytest.approx(0.2, abs=0.02)
    model.seen.clear()
    model.train()
    model(torch.from_numpy(iris.inputs))
    assert torch.allclose(model.seen[0], torch.tensor(2.0)), "the hooks are gone after the run"


def test_dropout_moves_in_a_line_and_comes_back(digits: Examples) -> None:
    model = mlp(digits, hidden=(16,), dropout=0.5)
    layer = next(one for one in model.modules() if isinstance(one, nn.Dropout))
    rates: list[float] = []

    class Rates(Callback):
        def after_step(self, run: Run) -> None:
            rates.append(layer.p)

    fit(model, digits, CONFIG, callbacks=[DropoutSchedule(0.0, 0.6), Rates()])
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert layer.p == 0.5
    with pytest.raises(InputError, match="no dropout layer"):
        fit(mlp(digits), digits, CONFIG, callbacks=[DropoutSchedule(0.0, 0.6)])


def test_early_stopping_goes_back_to_the_best_weights(iris: Examples) -> None:
    rows = np.random.default_rng(0).permutation(150)
    train, valid = iris.take(rows[:100]), iris.take(rows[100:])
    model, stopping = mlp(train, hidden=(16,)), EarlyStopping(patience=2)
    found = fit(model, train, TrainConfig(epochs=200, batch_size=50), valid=valid, callbacks=[stopping])
    scores = [line["valid_accuracy"] for line in found.history]
    best = int(np.argmax(scores))
    assert found.reason == "early stopping"
    assert found.epochs == best + 3 < 200
    assert found.valid is not None
    assert found.valid.score == max(scores) == stopping.best
    assert stopping.best_step == found.history[best]["step"]
    with pytest.raises(InputError, match="needs validation examples"):
        fit(mlp(train), train, callbacks=[EarlyStopping()])
