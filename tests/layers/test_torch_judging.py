"""What rejects a layer, each reason by a layer that earns it; the ascent against finite differences; the small task."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import selftaught
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.layers import ANCHORS, Judge, Judging, batch_norm_relu, gradient_ascent, image_task, layer_maker
from selftaught.layers.image_tasks import shrink
from selftaught.layers.judging import StoppedEarly
from selftaught.seeds import rng_for
from selftaught.spaces import PUBLISHED_LAYERS, layer_space

SPACE = layer_space()
TASK = image_task(selftaught.load("digits"), num_train=600, num_valid=200)
QUICK: dict[str, Any] = {"width": 8, "steps": 3, "check_steps": 3, "least": 0.0, "ascent_steps": 2}


def judged(layer: dict[str, tuple[str, ...]], **options: Any) -> Any:
    return Judge(TASK, Judging(**{**QUICK, **options}))(SPACE.candidate(layer))


# ---- reasons


def test_structure() -> None:
    found = judged({"s": ("std_bhw", "v0"), "y": ("tanh", "s")})
    assert (found.reason, found.steps) == ("structure", 0)


def test_non_finite_numbers_at_once() -> None:
    found = judged({"y": ("divide", "x", "0")})
    assert (found.reason, found.steps) == ("non-finite", 0)


def test_non_finite_numbers_in_training() -> None:
    """x exp(x²) is finite for a few random numbers, and overflows in a network."""
    found = judged({"s": ("square", "x"), "f": ("exp", "s"), "y": ("multiply", "f", "x")})
    assert found.reason == "non-finite"
    assert "diverged in preactivation" in found.detail
    assert found.steps > 0


def test_quality() -> None:
    """A layer that gives the same for every input depends on x, and learns nothing."""
    found = judged({"y": ("multiply", "x", "0")}, least=None)
    assert (found.reason, found.steps) == ("quality", 3)
    assert "in preactivation after 3 steps, 0.200 wanted" in found.detail


def test_stability() -> None:
    """x² without any normalisation: pushed where gradients grow, they grow without end. 1 / tanh(x): a pole."""
    for layer in ({"y": ("square", "x")}, {"t": ("tanh", "x"), "y": ("divide", "v0", "t")}):
        found = judged(layer, ascent_steps=60, anchors=("preactivation",), lr=1e-6)
        assert found.reason == "stability"
        assert "norm reached" in found.detail
        assert found.steps < 60


def test_batch_normalisation_with_relu_passes() -> None:
    """In the primitives, and better than chance in both anchors after 30 steps."""
    config = Judging(**{**QUICK, "check_steps": 30, "steps": 30, "least": None})
    found = Judge(TASK, config)(PUBLISHED_LAYERS["bn-relu"])
    assert found.reason is None, found.detail
    assert found.steps == 2 * 30 + 2 * 2
    assert set(found.accuracies) == set(ANCHORS)
    assert found.accuracies["preactivation"] > 0.6
    assert Judge(TASK, config)(PUBLISHED_LAYERS["bn-relu"]) == found


def test_a_layer_that_passes_is_trained_in_full() -> None:
    found = judged({"y": ("tanh", "x")}, steps=5)
    assert found.reason is None
    assert found.steps == 2 * 3 + 2 * 2 + 2 * 5


def test_it_can_be_stopped() -> None:
    judge = Judge(TASK, Judging(**{**QUICK, "check_steps": 10**6}))
    with pytest.raises(StoppedEarly):
        judge(PUBLISHED_LAYERS["evonorm-s0"], stop=lambda: True)


def test_scores_are_those_of_evaluation_mode() -> None:
    """A layer whose running values never saw a thing must not be scored by its batches."""
    judge = Judge(TASK, Judging(**QUICK))
    model = judge.trained(batch_norm_relu, "preactivation", 3)
    images = torch.as_tensor(TASK.valid.inputs).unsqueeze(1) / 255
    labels = torch.as_tensor(TASK.valid.labels)
    with torch.no_grad():
        right = (model.eval()(images).argmax(1) == labels).float().mean()
        leaked = (model.train()(images).argmax(1) == labels).float().mean()
    assert judge.score(model, TASK.valid) == pytest.approx(float(right))
    assert float(leaked) != pytest.approx(float(right))


def test_the_test_examples_are_not_looked_at() -> None:
    blind = Judge(type(TASK)(TASK.train, TASK.valid, None, "accuracy"), Judging(**QUICK))
    assert blind(SPACE.candidate({"y": ("tanh", "x")})).reason is None


@pytest.mark.parametrize("name", ANCHORS)
def test_layers_replace_every_normalisation(name: str) -> None:
    """With torch's own layers there are batch normalisations; with a candidate none, and no activation but in gates."""
    spots: list[tuple[int, bool]] = []

    def layers(channels: int, activation: bool) -> nn.Module:
        spots.append((channels, activation))
        return layer_maker(PUBLISHED_LAYERS["evonorm-s0"])(channels, activation)

    network = ANCHORS[name](layers, 3, 10, 16)
    plain = ANCHORS[name](batch_norm_relu, 3, 10, 16)
    assert network(torch.zeros(2, 3, 16, 16)).shape == plain(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
    assert sum(isinstance(one, nn.BatchNorm2d) for one in plain.modules()) == len(spots)
    assert not any(isinstance(one, nn.BatchNorm2d | nn.ReLU) for one in network.modules())
    without = sum(not activation for _, activation in spots)
    assert without == (3 if name == "inverted" else 0)


# ---- the ascent


def test_the_ascent_follows_the_gradient_of_the_gradients_norm() -> None:
    """One step against central differences of |dL/dw| in float64."""
    rng = rng_for(0, "ascent")
    inputs = torch.as_tensor(rng.normal(size=(5, 1, 3, 3)))
    labels = torch.tensor([0, 1, 0, 1, 1])
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Tanh(), nn.Flatten()).double()
    weight = model[0].weight
    start = torch.as_tensor(rng.normal(size=weight.shape)) / 3

    def norm(values: torch.Tensor) -> float:
        with torch.no_grad():
            weight.copy_(values)
        (slope,) = torch.autograd.grad(nn.functional.cross_entropy(model(inputs), labels), [weight])
        return float(slope.norm())

    wanted = torch.zeros_like(start)
    for place in range(start.numel()):
        nudge = torch.zeros(start.numel(), dtype=torch.float64)
        nudge[place] = 1e-5
        nudge = nudge.view_as(start)
        wanted.view(-1)[place] = (norm(start + nudge) - norm(start - nudge)) / 2e-5
    first = norm(start)
    found = gradient_ascent(model, inputs, labels, steps=1, rate=0.5)
    assert found.norm == pytest.approx(first)
    assert torch.allclose(weight.detach(), start + 0.5 * wanted, atol=1e-8)


def test_an_ascent_ends_where_it_must() -> None:
    inputs, labels = torch.ones(4, 1, 3, 3), torch.tensor([0, 1, 0, 1])
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    assert gradient_ascent(model, inputs, labels, steps=50, largest=1e-3).steps == 1
    assert gradient_ascent(model, inputs, labels, stop=lambda: True).stopped
    with torch.no_grad():
        model[0].weight.fill_(math.nan)
    assert gradient_ascent(model, inputs, labels).norm == math.inf
    still = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Hardtanh(0.0, 0.0001))
    with torch.no_grad():
        still[0].bias.fill_(1e4)
    assert gradient_ascent(still, inputs, labels, steps=5) == type(gradient_ascent(still, inputs, labels))(0.0, 5)


# ---- the task


def test_images_are_shrunk_by_means() -> None:
    images = rng_for(0, "images").integers(0, 256, size=(3, 32, 32, 3), dtype=np.uint8)
    small = shrink(images)
    assert small.shape == (3, 16, 16, 3)
    assert small.dtype == np.uint8
    wanted = images.astype(float).reshape(3, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(small - wanted).max() <= 1  # rounded once along each axis
    assert shrink(images[:, :28, :30, 0]).shape == (3, 16, 16)
    assert shrink(images[:, :8, :8]) is not None
    np.testing.assert_array_equal(shrink(images[:, :8, :16]), images[:, :8, :16])


def test_parts_of_a_task_are_disjoint() -> None:
    task = image_task(selftaught.load("digits"), seed=3, num_train=500, num_valid=100, num_test=50)
    assert task.test is not None
    ids = [set(part.ids) for part in (task.train, task.valid, task.test)]
    assert [len(one) for one in ids] == [500, 100, 50]
    assert len(set.union(*ids)) == 650
    assert set(image_task(selftaught.load("digits"), seed=3, num_train=500, num_valid=100).valid.ids) == ids[1]


@pytest.mark.parametrize(
    ("shape", "classes", "said"),
    [((100, 5), ("a", "b"), "wants images, but the inputs of 'data' are 5"), ((100, 8, 8), (), "with classes"),
     ((30, 8, 8), ("a", "b"), "30 images")],
)  # fmt: skip
def test_data_that_do_not_fit(shape: tuple[int, ...], classes: tuple[str, ...], said: str) -> None:
    labels = np.arange(shape[0]) % 2
    ids = np.array([str(k) for k in range(shape[0])])
    with pytest.raises(DataError, match=said):
        image_task(Examples(np.zeros(shape, np.float32), labels, ids, class_names=classes))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"anchors": ()}, "anchors must be"), ({"anchors": ("residual",)}, "anchor must be one of preactivation"),
     ({"width": 12}, "multiple of 8"), ({"steps": 0}, "steps must be"), ({"ascent_steps": -1}, "ascent_steps must be")],
)  # fmt: skip
def test_wrong_settings(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Judging(**options)


def test_the_bar_is_a_fifth_for_ten_classes() -> None:
    assert Judging().needs(10) == pytest.approx(0.2)
    assert 0.5 < Judging().needs(2) < 0.6
    assert Judging(least=0.3).needs(10) == 0.3


# ---- anchors that are sparse from the start


def quarter(network: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{name}.weight": torch.rand(part.weight.shape, generator=generator) < 0.25
        for name, part in network.named_modules()
        if isinstance(part, nn.Conv2d)
    }


def test_sparse_anchors_are_trained_and_pushed_sparse_with_one_mask_for_all_layers() -> None:
    judge = Judge(TASK, Judging(**QUICK), masks=quarter)
    for anchor in ANCHORS:
        patterns = []
        for layer in (batch_norm_relu, layer_maker(PUBLISHED_LAYERS["evonorm-s0"])):
            network = judge.trained(layer, anchor, 3)
            masks = judge.masks(network, anchor)
            weights = dict(network.named_parameters())
            assert masks.keys() == quarter(network, 0).keys()
            assert all(bool((weights[name][~mask] == 0).all()) for name, mask in masks.items())
            assert all(bool((weights[name] != 0).any()) for name in masks)
            patterns.append(masks)
        assert all(torch.equal(mask, patterns[1][name]) for name, mask in patterns[0].items())
        other = judge.masks(network, anchor, seed=1)
        assert not all(torch.equal(mask, other[name]) for name, mask in masks.items())
    config = Judging(**{**QUICK, "steps": 20, "check_steps": 20, "anchors": ("preactivation",)})
    sparse, dense = (Judge(TASK, config, masks=one)(PUBLISHED_LAYERS["bn-relu"]) for one in (quarter, None))
    assert sparse.accuracies != dense.accuracies


def test_an_ascent_leaves_what_is_masked_at_zero() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 2), nn.Flatten())
    masks = quarter(model, 0)
    start = model[0].weight.detach().clone()
    inputs, labels = torch.rand(4, 1, 4, 4), torch.tensor([0, 1, 0, 1])
    assert gradient_ascent(model, inputs, labels, steps=3, masks=masks).steps == 3
    for name, mask in masks.items():
        assert bool((model.get_parameter(name)[~mask] == 0).all())
    assert not torch.equal(model[0].weight[masks["0.weight"]], start[masks["0.weight"]])
    empty = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    assert gradient_ascent(model, inputs, labels, steps=3, masks=empty).norm == 0
