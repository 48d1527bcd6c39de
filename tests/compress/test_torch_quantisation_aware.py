"""Training with rounding: the gradient by hand, runs that go on, and few bits that training makes up for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.compress import QuantisationAware, quantise
from selftaught.compress.quantisation_aware import fake_quantised
from selftaught.compress.quantising import integer_weights
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import SGD, Callback, Run, TrainConfig, evaluate, fit, mlp


def test_gradients_pass_the_rounding_and_stop_at_the_ends() -> None:
    inputs = torch.tensor([-3.0, -0.9, 0.0, 0.31, 1.9, 4.0], requires_grad=True)
    held = fake_quantised(inputs, -1.0, 2.0)  # steps of 2^-6, zero at 64: from -1 to 191 / 64
    assert held.tolist() == [-1.0, -58 / 64, 0.0, 20 / 64, 122 / 64, 191 / 64]
    (held * torch.arange(6)).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 0.0]


def test_a_step_is_taken_from_float_weights_along_the_slope_of_rounded_ones() -> None:
    inputs, targets = torch.randn(8, 3), torch.randn(8)
    model = nn.Sequential(nn.Linear(3, 1))
    start = model[0].weight.detach().clone()
    whole, scales = integer_weights(start, 7)
    rounded = (whole * scales.double()[:, None]).float().requires_grad_(True)
    bias = model[0].bias.detach().clone()
    loss = ((inputs @ rounded.mT + bias)[:, 0] - targets).square().mean()
    loss.backward()
    assert rounded.grad is not None
    aware = QuantisationAware(weight_bits=4, start=0.9)
    config = TrainConfig(steps=1, batch_size=8, optimiser=SGD(lr=0.1, momentum=0, nesterov=False, weight_decay=0))
    fit(
        model, [(inputs, targets)], config, callbacks=[aware],
        loss=lambda scores, wanted: (scores.reshape(-1) - wanted).square(),
    )  # fmt: skip
    moved = (model[0].weight - start) / -rounded.grad
    assert torch.allclose(moved, moved[0, 0].expand_as(moved), rtol=1e-3)
    assert not model[0]._forward_pre_hooks


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(digits: Examples, tmp_path: Path) -> None:
    config = TrainConfig(steps=20, batch_size=50, optimiser=SGD(lr=0.1), checkpoint_seconds=0)

    class Crash(Callback):
        def __init__(self, at: int) -> None:
            self.at = at

        def before_step(self, run: Run) -> None:
            if run.step == self.at:
                raise KeyboardInterrupt

    whole, parts = mlp(digits, hidden=(20,)), mlp(digits, hidden=(20,))
    fit(whole, digits, config, callbacks=[QuantisationAware(), Crash(99)], valid=digits)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, digits, config, callbacks=[QuantisationAware(), Crash(11)], folder=tmp_path, valid=digits)
    assert not parts[2]._forward_pre_hooks
    parts = mlp(digits, hidden=(20,))
    fit(parts, digits, config, callbacks=[QuantisationAware(), Crash(99)], folder=tmp_path, resume=True, valid=digits)
    other = parts.state_dict()
    assert all(torch.equal(one, other[name]) for name, one in whole.state_dict().items())
    plain = mlp(digits, hidden=(20,))
    fit(plain, digits, config, valid=digits)
    assert not torch.equal(plain[2].weight, whole[2].weight)


def test_training_makes_up_for_few_bits(digits: Examples) -> None:
    model = mlp(digits, hidden=(32,))
    fit(model, digits, TrainConfig(epochs=15, optimiser=SGD(lr=0.1)))
    before = quantise(model, digits, weight_bits=2)
    aware = QuantisationAware(weight_bits=2)
    found = fit(model, digits, TrainConfig(epochs=15, optimiser=SGD(lr=0.1)), callbacks=[aware], valid=digits)
    after = quantise(model, digits, weight_bits=2)
    assert before.accuracy[0] > 0.95
    assert before.accuracy[1] < after.accuracy[1] - 0.05
    assert after.accuracy[1] > 0.93
    # Evaluations of the run see rounded weights, which were trained; those left in the model are not them.
    assert found.valid is not None
    assert found.valid.score == pytest.approx(after.accuracy[1], abs=0.03)
    assert evaluate(model, digits).score < found.valid.score
    assert len(np.unique((model[2].weight / model[2].weight.abs().amax(dim=1, keepdim=True)).detach().numpy())) > 100


def test_wrong_use_is_refused(digits: Examples) -> None:
    with pytest.raises(InputError, match="from 2 to 8, got 1"):
        QuantisationAware(weight_bits=1)
    with pytest.raises(InputError, match="start and decay"):
        QuantisationAware(start=1.0)
    with pytest.raises(InputError, match="no module 'x' to ignore"):
        fit(mlp(digits), digits, TrainConfig(steps=1), callbacks=[QuantisationAware(ignore=["x"])])
    with pytest.raises(InputError, match="no linear layer or convolution"):
        fit(mlp(digits), digits, TrainConfig(steps=1), callbacks=[QuantisationAware(ignore=["2", "4", "6"])])
