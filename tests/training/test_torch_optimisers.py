"""One step of each optimiser, written out, and which parameters decay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.training import SGD, AdamW, Lion
from selftaught.training.optimisers import make_optimiser

GRADIENTS = [np.array([[0.3, -2.0]]), np.array([[0.1, 0.5]]), np.array([[-0.4, 0.0]])]


def run(config: SGD | AdamW | Lion) -> np.ndarray:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -0.5]]))
    optimiser = make_optimiser(layer, config)
    for gradient in GRADIENTS:
        layer.weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimiser.step()
    return layer.weight.detach().numpy()


def test_sgd_with_nesterov_is_its_formula() -> None:
    w, m = np.array([[1.0, -0.5]]), 0.0
    for g in GRADIENTS:
        g = g + 0.01 * w
        m = 0.9 * m + g
        w = w - 0.1 * (g + 0.9 * m)
    assert run(SGD(lr=0.1, weight_decay=0.01)) == pytest.approx(w, abs=1e-6)


def test_adamw_is_its_formula() -> None:
    w, m, v = np.array([[1.0, -0.5]]), 0.0, 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        w = w - 0.1 * 0.05 * w
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    assert run(AdamW(lr=0.1, betas=(0.9, 0.99), weight_decay=0.05)) == pytest.approx(w, abs=1e-6)


def test_lion_is_the_papers_algorithm_2() -> None:
    w, m = np.array([[1.0, -0.5]]), np.zeros((1, 2))
    for g in GRADIENTS:
        w = w - 0.1 * (np.sign(0.9 * m + 0.1 * g) + 0.05 * w)
        m = 0.99 * m + 0.01 * g
    assert run(Lion(lr=0.1, weight_decay=0.05)) == pytest.approx(w, abs=1e-6)


@pytest.mark.parametrize("config", [SGD(weight_decay=1.0), AdamW(weight_decay=1.0), Lion(weight_decay=1.0)])
@pytest.mark.parametrize("decay", ["weights", "all"])
def test_biases_decay_only_when_all_do(config: SGD | AdamW | Lion, decay: str) -> None:
    layer = nn.Linear(2, 2)
    nn.init.ones_(layer.bias)
    before = layer.weight.detach().clone()
    optimiser = make_optimiser(layer, config.model_copy(update={"decay": decay}))
    layer.weight.grad, layer.bias.grad = torch.zeros(2, 2), torch.zeros(2)
    optimiser.step()
    assert bool((layer.bias == 1).all()) is (decay == "weights")
    assert bool((layer.weight.abs() < before.abs()).all())


def test_settings_out_of_range_are_one_line() -> None:
    with pytest.raises(InputError, match="nesterov needs a momentum above 0"):
        SGD(momentum=0.0)
    with pytest.raises(InputError, match="betas must be from 0 to below 1"):
        Lion(betas=(1.0, 0.9))
    with pytest.raises(InputError, match=r"lr: .*greater than 0, got -1"):
        AdamW(lr=-1)
    frozen = nn.Linear(1, 1).requires_grad_(False)
    with pytest.raises(InputError, match="nothing to train"):
        make_optimiser(frozen, SGD())
