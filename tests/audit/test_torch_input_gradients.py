"""Variance of gradients: closed forms of linear models, and nothing changed by the measuring."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from selftaught.audit import gradient_variance, variance_of_gradients
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

RNG = rng_for(0, "gradients")
INPUTS = RNG.normal(size=(7, 4)).astype(np.float32)
LABELS = np.arange(7) % 3
DATA = Examples(INPUTS, LABELS, np.array([str(k) for k in range(7)]), class_names=("a", "b", "c"))
WEIGHTS = RNG.normal(size=(3, 3, 4)).astype(np.float32)  # checkpoints, classes, features


def linear(weights: np.ndarray) -> torch.nn.Module:
    model = torch.nn.Linear(4, 3, bias=False)
    model.weight.data = torch.from_numpy(weights.copy())
    return model


MODELS = [linear(one) for one in WEIGHTS]


@pytest.mark.parametrize("of", ["label", "predicted"])
@pytest.mark.parametrize("scalar", ["logit", "probability", "loss"])
def test_linear_models_have_a_closed_form(scalar: str, of: str) -> None:
    gradients = np.zeros((3, 7, 4))
    for t, weights in enumerate(WEIGHTS.astype(float)):
        for i, x in enumerate(INPUTS.astype(float)):
            shares = np.exp(weights @ x) / np.exp(weights @ x).sum()
            c = LABELS[i] if of == "label" else int(np.argmax(weights @ x))
            log_gradient = weights[c] - shares @ weights
            forms = {"logit": weights[c], "probability": shares[c] * log_gradient, "loss": -log_gradient}
            gradients[t, i] = forms[scalar]
    expected = np.sqrt(((gradients - gradients.mean(axis=0)) ** 2).mean(axis=0)).mean(axis=1)
    found = variance_of_gradients(MODELS, DATA, scalar=scalar, of=of, batch_size=3)
    assert found == pytest.approx(expected, abs=1e-6)


def test_equal_checkpoints_do_not_vary() -> None:
    assert variance_of_gradients([MODELS[0]] * 4, DATA, scalar="loss") == pytest.approx(np.zeros(7), abs=1e-7)


def test_channels_are_averaged_before_they_are_compared() -> None:
    gradients = np.zeros((2, 1, 2, 3, 3))
    gradients[0, 0, 0], gradients[0, 0, 1] = 1, -1  # they cancel
    assert gradient_variance(gradients)[0] == 0
    gradients[0, 0, 1] = 1
    assert gradient_variance(gradients)[0] == pytest.approx(0.5)


def test_a_model_is_as_it_was() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Dropout(), linear(WEIGHTS[0])).train()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    with torch.inference_mode(False):
        variance_of_gradients([model, model], DATA)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())


class Rounds(torch.nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.detach().round()[:, :3]


def test_wrong_use_is_named() -> None:
    with pytest.raises(InputError, match="at least 2 checkpoints, got 1"):
        variance_of_gradients(MODELS[:1], DATA)
    with pytest.raises(InputError, match="scalar must be one of"):
        variance_of_gradients(MODELS, DATA, scalar="logits")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="give the float model"):
        variance_of_gradients([Rounds(), Rounds()], DATA)
    with pytest.raises(DataError, match="has no classes"):
        variance_of_gradients(MODELS, Examples(INPUTS, None, DATA.ids))


def test_outputs_with_logits_are_read_and_what_is_cut_off_is_refused() -> None:
    class Other(torch.nn.Module):
        def __init__(self, way: str, weights: np.ndarray) -> None:
            super().__init__()
            self.way, self.inner = way, linear(weights)

        def forward(self, inputs: torch.Tensor) -> object:
            return {"logits": self.inner(inputs)} if self.way == "logits" else self.inner(inputs.detach())

    weights = [rng_for(k, "hub").normal(size=(3, 4)).astype(np.float32) for k in range(2)]
    ids = np.arange(5).astype(str)
    data = Examples(np.ones((5, 4), np.float32), np.arange(5) % 3, ids, class_names=("a", "b", "c"))
    plain = variance_of_gradients([linear(one) for one in weights], data)
    assert variance_of_gradients([Other("logits", one) for one in weights], data) == pytest.approx(plain)
    with pytest.raises(DataError, match="does not depend on its input"):
        variance_of_gradients([Other("cut", one) for one in weights], data)
