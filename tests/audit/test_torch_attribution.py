"""Explanations against closed forms of models whose gradients are known, and what cannot be explained."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.audit import ALL_ESTIMATORS, attributions
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import rng_for

pytest.importorskip("captum")
MEAN, SPREAD = np.array([0.4, 0.5], np.float32), np.array([0.2, 0.1], np.float32)


def images(n: int = 5) -> Examples:
    pixels = rng_for(0, "images").random((n, 3, 3, 2)).astype(np.float32)
    return Examples(pixels, np.zeros(n, int), np.array([f"i{k}" for k in range(n)]), class_names=("a", "b"))


def linear() -> tuple[nn.Module, np.ndarray]:
    """A linear model that always predicts the second class, and the weights of that class, (height, width, channel)."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(18, 2))
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([-100.0, 100.0]))
    return model, model[1].weight[1].detach().numpy().reshape(2, 3, 3).transpose(1, 2, 0)


def explain(model: nn.Module, name: str, **more: object) -> np.ndarray:
    return attributions(model, images(), name, mean=MEAN, deviation=SPREAD, **more)  # type: ignore[arg-type]


def test_the_gradient_of_a_linear_model_is_its_weight_in_standard_units() -> None:
    model, weight = linear()
    wanted = np.square(weight * SPREAD)
    for name in ("gradient", "gradient+smoothgrad"):
        assert explain(model, name) == pytest.approx(np.broadcast_to(wanted.sum(axis=2), (5, 3, 3)), rel=1e-4)
        assert explain(model, name, per="channel") == pytest.approx(np.broadcast_to(wanted, (5, 3, 3, 2)), rel=1e-4)
    assert explain(model, "gradient+smoothgrad-squared")[0] == pytest.approx((wanted**2).sum(axis=2), rel=1e-3)
    assert explain(model, "gradient+vargrad") == pytest.approx(0, abs=1e-9)


def test_integrated_gradients_of_a_linear_model_are_pixel_times_weight() -> None:
    model, weight = linear()
    assert explain(model, "integrated-gradients", per="channel") == pytest.approx(
        np.square(weight * images().inputs), rel=1e-3, abs=1e-9
    )


def test_guided_backpropagation_drops_what_is_negative_on_its_way() -> None:
    first, last = nn.Linear(18, 2, bias=False), nn.Linear(2, 2)
    with torch.no_grad():
        first.weight.abs_()
        last.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, -1.0]]))
        last.bias.copy_(torch.tensor([-100.0, 100.0]))
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(inplace=True), last)
    weights = first.weight.detach().numpy().reshape(2, 2, 3, 3).transpose(0, 2, 3, 1)
    plain = np.square((weights[0] - weights[1]) * SPREAD)
    guided = np.square(weights[0] * SPREAD)  # the second unit has a negative gradient
    assert explain(model, "gradient", per="channel")[0] == pytest.approx(plain, rel=1e-3)
    assert explain(model, "guided-backprop", per="channel")[0] == pytest.approx(guided, rel=1e-3)
    assert model[2].inplace, "the model is left as it was"


def test_smoothing_is_over_noise_of_a_known_size() -> None:
    class Square(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            summed = inputs.square().flatten(1).sum(1)
            return torch.stack([summed - 1e6, summed], dim=1)

    # The gradient is 2 x s + 2 s s e with e of standard deviation 0.3: its variance is (0.6 s s) ** 2.
    repeated = np.mean([explain(Square(), "gradient+vargrad", per="channel", seed=k) for k in range(30)], axis=0)
    # The mean square of a variance of 15 draws.
    wanted = (0.6 * SPREAD.astype(float) ** 2) ** 4 * (14 / 15) ** 2 * (1 + 2 / 14)
    assert repeated.mean(axis=(0, 1, 2)) == pytest.approx(wanted, rel=0.15)


@pytest.mark.parametrize("name", ALL_ESTIMATORS)
def test_every_estimator_repeats_itself_quietly_and_leaves_the_model(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = nn.Conv2d(2, 4, 3, padding=1)
        model = nn.Sequential(first, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    model.train()
    before = {key: one.clone() for key, one in model.state_dict().items()}
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = explain(model, name, batch_size=2)
    assert torch.equal(torch.rand(1), wanted), "the user's random numbers stay"
    assert found.shape == (5, 3, 3)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.any()
    assert np.array_equal(found, explain(model, name, batch_size=2))
    assert all(torch.equal(one, before[key]) for key, one in model.state_dict().items())
    assert model.training
    assert all(one.requires_grad for one in model.parameters())


class Rounded(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.round(inputs.flatten(1)[:, :3])


class Detached(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(inputs.detach().numpy()).flatten(1)[:, :3]


class Functional(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.relu(inputs.flatten(1)[:, :3])


def test_what_cannot_be_explained_is_told() -> None:
    with pytest.raises(DataError, match=r"gradient is zero everywhere\); explain the float model"):
        explain(Rounded(), "gradient")
    with pytest.raises(DataError, match="carry no gradient"):
        explain(Detached(), "integrated-gradients")
    for layer, told in ((nn.GELU(), "gelu"), (nn.Tanh(), "tanh"), (nn.Identity(), "no ReLU")):
        with pytest.raises(DataError, match=f"{told}.*leave it out"):
            explain(nn.Sequential(nn.Flatten(), nn.Linear(18, 3), layer), "guided-backprop+vargrad")
    with pytest.raises(DataError, match="outside of nn"):
        explain(Functional(), "guided-backprop")
    with pytest.raises(InputError, match="did you mean 'gradient'"):
        explain(linear()[0], "gradien")


def test_a_quantised_model_is_refused() -> None:
    import torch.ao.nn.quantized as quantised

    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = quantised.ReLU6()

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.flatten(1)[:, :3]

    with pytest.raises(DataError, match="ReLU6, which is quantised"):
        explain(Quantised(), "gradient")


def test_captum_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs captum; install it with: pip install 'selftaught\[audit\]'"):
        explain(linear()[0], "gradient")
