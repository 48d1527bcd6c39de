"""Layers as modules: equal to torch's batch normalisation, to the published formulas, and to their definition."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.layers import EVONORMS, build_layer, layer_class, layer_file
from selftaught.seeds import rng_for
from selftaught.spaces import PUBLISHED_LAYERS, evaluate_layer, layer_space

SPACE = layer_space()


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    numbers = rng_for(seed, "images").normal(size=shape) * 3 + 1
    return torch.as_tensor(numbers, dtype=dtype)


def weights_for(*modules: nn.Module, seed: int = 0) -> None:
    """Give modules the same random state, name by name; `v0` is the published layers' `v`."""
    for module in modules:
        with torch.no_grad():
            for name, tensor in module.state_dict().items():
                kind = {"v0": "v"}.get(name, "running_var" if name.startswith("running") else name)
                tensor.copy_(torch.as_tensor(rng_for(seed, kind).uniform(0.5, 1.5, tensor.shape)))


# ---- oracles: the formulas of the paper as plain functions


def spread(x: torch.Tensor, axes: tuple[int, ...], eps: float) -> torch.Tensor:
    mean = x.mean(axes, keepdim=True)
    return ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()


def rms(x: torch.Tensor, axes: tuple[int, ...], eps: float) -> torch.Tensor:
    return ((x * x).mean(axes, keepdim=True) + eps).sqrt()


def by_groups(statistic: Callable[..., torch.Tensor], x: torch.Tensor, groups: int, eps: float) -> torch.Tensor:
    parts = [statistic(part, (1, 2, 3), eps).expand(-1, part.shape[1], 1, 1) for part in x.chunk(groups, 1)]
    return torch.cat(parts, 1)


def published(name: str, x: torch.Tensor, v: torch.Tensor, groups: int, eps: float) -> torch.Tensor:
    v = v.view(1, -1, 1, 1)
    return {
        "evonorm-b0": lambda: x / torch.maximum(spread(x, (0, 2, 3), eps), v * x + spread(x, (2, 3), eps)),
        "evonorm-b1": lambda: x / torch.maximum(spread(x, (0, 2, 3), eps), (x + 1) * rms(x, (2, 3), eps)),
        "evonorm-b2": lambda: x / torch.maximum(spread(x, (0, 2, 3), eps), rms(x, (2, 3), eps) - x),
        "evonorm-s0": lambda: x * torch.sigmoid(v * x) / by_groups(spread, x, groups, eps),
        "evonorm-s1": lambda: x * torch.sigmoid(x) / by_groups(spread, x, groups, eps),
        "evonorm-s2": lambda: x * torch.sigmoid(x) / by_groups(rms, x, groups, eps),
    }[name]()


#: timm 1.0.31 on the input below, in training and then in evaluation on half of it (places 0, 13, 30, 47)
GOLDEN = {
    "evonorm-b0": ([-0.3272352568, -0.8327648892, -0.465432944, -1.0849319112],
                   [-0.3812132182, -0.8328601461, -0.4655190741, -1.0849770713]),
    "evonorm-b1": ([-0.3976828354, -0.6968799178, -0.3951606993, -0.81159126],
                   [-0.3811600828, -0.5329457977, -0.1669819553, -0.4296604911]),
    "evonorm-b2": ([-0.3182251022, -0.1801679494, 0.4448071878, 1.2130111912],
                   [-0.3811600828, -0.5329457977, 0.0226931566, 0.2765775817]),
    "evonorm-s0": ([-0.3868107581, -0.2429862071, 0.405320831, 1.2053318668],
                   [-0.3977735233, -0.3852217924, 0.2597253139, 1.1439561217]),
    "evonorm-s1": ([-0.3868107581, -0.4179802793, 0.3084838818, 1.0000937944],
                   [-0.3977735233, -0.5354201101, 0.1176171815, 0.6022643945]),
    "evonorm-s2": ([-0.4014172599, -0.4891786777, 0.3063351705, 0.6656971413],
                   [-0.4109651631, -0.5954494277, 0.1158276629, 0.3210824199]),
}  # fmt: skip


@pytest.mark.parametrize("name", EVONORMS)
def test_a_published_layer_gives_the_golden_numbers(name: str) -> None:
    x = torch.sin(torch.arange(48, dtype=torch.float64) * 0.7).view(2, 4, 3, 2) * 2 + 0.5
    layer = EVONORMS[name](4, **({"groups": 2} if "-s" in name else {})).double()
    with torch.no_grad():
        for kind, parameter in layer.named_parameters():
            parameter.copy_(torch.linspace(0.5, 1.5, 4) * {"weight": 1, "bias": -1, "v": 2}[kind])
    trained = layer(x).flatten()[[0, 13, 30, 47]]
    judged = layer.eval()(x * 0.5).flatten()[[0, 13, 30, 47]]
    for got, wanted in zip((trained, judged), GOLDEN[name], strict=True):
        assert torch.allclose(got, torch.tensor(wanted, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("name", EVONORMS)
def test_a_published_layer_is_its_formula_and_its_candidate(name: str) -> None:
    """Ready module, module from primitives and plain formula: outputs, gradients, and evaluation after training."""
    ready = EVONORMS[name](8, **({"groups": 4} if "-s" in name else {}), eps=1e-4)
    found = build_layer(PUBLISHED_LAYERS[name], 8, groups=4, eps=1e-4)
    weights_for(ready, found)
    for step in range(3):
        inputs = [images(4, 8, 5, 3, seed=step).requires_grad_() for _ in range(3)]
        v = ready.v if ready.v is not None else torch.ones(8)
        plain = published(name, inputs[2], v, 4, 1e-4) * ready.weight.view(1, -1, 1, 1) + ready.bias.view(1, -1, 1, 1)
        outputs = [ready(inputs[0]), found(inputs[1]), plain]
        for output in outputs:
            output.square().sum().backward()
        for other, given in ((outputs[1], inputs[1]), (outputs[2], inputs[2])):
            assert torch.allclose(outputs[0], other, atol=1e-5)
            size = float(inputs[0].grad.abs().max())
            assert torch.allclose(inputs[0].grad, given.grad, atol=1e-5 * max(size, 1))
        ready.zero_grad()
        found.zero_grad()
    x = images(4, 8, 5, 3, seed=9) / 2
    assert torch.allclose(ready.eval()(x), found.eval()(x), atol=1e-5)


def test_batch_normalisation_and_relu_are_a_candidate() -> None:
    """Outputs, running values and gradients, training and evaluation."""
    layer = build_layer(PUBLISHED_LAYERS["bn-relu"], 6)
    batch_norm = nn.BatchNorm2d(6)
    with torch.no_grad():
        batch_norm.weight.copy_(torch.linspace(0.5, 2, 6))
        batch_norm.bias.copy_(torch.linspace(-1, 1, 6))
        layer.v0.copy_(batch_norm.weight)
        layer.v1.copy_(batch_norm.bias)
    for step in range(5):
        mine = images(7, 6, 4, 5, seed=step).requires_grad_()
        theirs = mine.detach().clone().requires_grad_()
        for module in (layer, batch_norm):
            module.zero_grad()
        y, wanted = layer(mine), torch.relu(batch_norm(theirs))
        assert torch.allclose(y, wanted, atol=1e-5)
        y.square().sum().backward()
        wanted.square().sum().backward()
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-5)
        assert torch.allclose(layer.v0.grad, batch_norm.weight.grad, rtol=1e-5, atol=1e-3)
        assert torch.allclose(layer.v1.grad, batch_norm.bias.grad, rtol=1e-5, atol=1e-3)
    assert torch.allclose(layer.running_4, batch_norm.running_mean, atol=1e-6)
    assert torch.allclose(layer.running_7, batch_norm.running_var, atol=1e-5)
    x = images(3, 6, 4, 5, seed=20)
    assert torch.allclose(layer.eval()(x), torch.relu(batch_norm.eval()(x)), atol=1e-5)


@pytest.mark.parametrize("seed", range(60))
def test_any_layer_is_its_definition(seed: int) -> None:
    """In float64, training and then evaluation; gamma and beta too."""
    candidate = SPACE.sample(rng_for(seed, "any"))
    graph = SPACE.graph(candidate)
    layer = build_layer(candidate, 6, groups=3).double()
    vectors = rng_for(seed, "vectors").normal(size=(4, 6))
    with torch.no_grad():
        for name, values in zip(("v0", "v1", "weight", "bias"), vectors, strict=True):
            if hasattr(layer, name):
                getattr(layer, name).copy_(torch.as_tensor(values))
    x = images(3, 6, 4, 5, seed=seed, dtype=torch.float64)
    wanted, running = evaluate_layer(graph, x.numpy(), vectors[0], vectors[1], groups=3)
    judged, _ = evaluate_layer(graph, x.numpy() / 2, vectors[0], vectors[1], groups=3, running=running)
    for output, value in ((layer(x), wanted), (layer.eval()(x / 2), judged)):
        with np.errstate(all="ignore"):
            whole = value * vectors[2][:, None, None] + vectors[3][:, None, None]
        assert output.shape == x.shape
        size = np.abs(whole[np.isfinite(whole)]).max(initial=1.0)
        np.testing.assert_allclose(output.detach().numpy(), whole, rtol=1e-6, atol=1e-9 * size)


def test_the_statistics_are_those_they_say_they_are() -> None:
    """One group is layer statistics, as many groups as channels are instance statistics."""
    x = images(3, 6, 4, 5)

    def of(operation: str, groups: int | None = None) -> torch.Tensor:
        return build_layer(SPACE.candidate({"s": (operation, "x"), "y": ("divide", "x", "s")}), 6, groups=groups)(x)

    assert torch.allclose(of("std_group", 1), of("std_hwc"), atol=1e-6)
    assert torch.allclose(of("std_group", 6), of("std_hw"), atol=1e-6)
    assert not torch.allclose(of("std_group", 2), of("std_group", 3), atol=1e-2)
    still = torch.ones(2, 6, 1, 1)  # the variance of one value is 0 and its root that of eps: no nan
    assert torch.allclose(build_layer(SPACE.candidate({"y": ("std_hw", "x")}), 6)(still), torch.tensor(1e-5).sqrt())


def test_channels_last_gives_the_same() -> None:
    layer = EVONORMS["evonorm-s0"](8, groups=2)
    other = build_layer(PUBLISHED_LAYERS["evonorm-s0"], 8, groups=2)
    x = images(2, 8, 5, 3)
    for module in (layer, other):
        assert torch.allclose(module(x), module(x.to(memory_format=torch.channels_last)), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["evonorm-b0", "evonorm-s0", "evonorm-s2"])
def test_statistics_of_half_precision_are_taken_in_float32(name: str, dtype: torch.dtype) -> None:
    """Squares of 300 overflow in float16; float32 statistics do not, and the result is of the input's type."""
    x = (images(2, 8, 16, 16) * 100).to(dtype)
    for module in (EVONORMS[name](8), build_layer(PUBLISHED_LAYERS[name], 8)):
        wanted = module(x.float())
        for given in (module, module.to(dtype)):
            y = given(x)
            assert y.dtype == dtype
            assert torch.allclose(y.float(), wanted, rtol=0.05, atol=0.05 * float(wanted.abs().max()))


def test_autocast_leaves_the_statistics_alone() -> None:
    convolution, layer = nn.Conv2d(3, 8, 3), build_layer(PUBLISHED_LAYERS["evonorm-s0"], 8, groups=2)
    x = images(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(convolution(x))
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.float(), layer(convolution(x)), atol=0.05)


def test_the_state_has_the_published_names() -> None:
    """Those of timm, so that checkpoints load."""
    wanted = {
        "evonorm-b0": ["weight", "bias", "v", "running_var"], "evonorm-b1": ["weight", "bias", "running_var"],
        "evonorm-b2": ["weight", "bias", "running_var"], "evonorm-s0": ["weight", "bias", "v"],
        "evonorm-s1": ["weight", "bias"], "evonorm-s2": ["weight", "bias"],
    }  # fmt: skip
    assert {name: list(layer(8).state_dict()) for name, layer in EVONORMS.items()} == wanted
    assert {tuple(value.shape) for layer in EVONORMS.values() for value in layer(8).state_dict().values()} == {(8,)}


def test_without_an_activation_only_the_affine_part_is_left() -> None:
    x = images(2, 8, 3, 3)
    for name, candidate in PUBLISHED_LAYERS.items():
        layers = [build_layer(candidate, 8, activation=False)]
        if name in EVONORMS:
            layers.append(EVONORMS[name](8, apply_act=False))
        for layer in layers:
            weights_for(layer)
            wanted = x * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)
            assert torch.allclose(layer(x), wanted)


def test_the_file_runs_alone(tmp_path: Path) -> None:
    """In a process that cannot see this package: the same output from the same state."""
    candidate = SPACE.candidate(
        {"g": ("rms_group", "x"), "b": ("std_bhw", "x"), "q": ("divide", "x", "g"), "l": ("signed_log", "q"),
         "s": ("multiply", "l", "v1"), "z": ("max", "s", "0"), "y": ("divide", "z", "b")}
    )  # fmt: skip
    text = layer_file(candidate, name="Found")
    layer = layer_class(candidate, name="Found")(6, groups=2)
    weights_for(layer)
    x = images(4, 6, 3, 3)
    (tmp_path / "found.py").write_text(text, encoding="utf-8")
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    torch.save(x, tmp_path / "x.pt")
    code = (
        "import sys, torch; sys.path.insert(0, '.'); import found\n"
        "layer = found.Found(6, groups=2); layer.load_state_dict(torch.load('state.pt'))\n"
        "y = layer(torch.load('x.pt')); torch.save([y, layer.state_dict()], 'y.pt')\n"
        "assert not any(name.startswith('selftaught') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, timeout=120)
    y, state = torch.load(tmp_path / "y.pt")
    assert torch.equal(y, layer(x))
    assert all(torch.equal(state[name], value) for name, value in layer.state_dict().items())
    assert "y = (max(" in text


# ---- wrong use


def test_wrong_tensors_are_refused() -> None:
    layer = build_layer(PUBLISHED_LAYERS["evonorm-s0"], 8)
    for module in (layer, EVONORMS["evonorm-s0"](8)):
        for shape in ((2, 8), (2, 8, 3), (2, 4, 3, 3)):
            with pytest.raises(ValueError, match=r"want.*got \(2, "):
                module(torch.zeros(shape))


def test_other_inputs_are_asked_for_by_name() -> None:
    candidate = PUBLISHED_LAYERS["bn-relu"]
    rows, sequence = images(9, 6), images(4, 6, 7)
    batch_norm = nn.BatchNorm1d(6)
    assert torch.allclose(build_layer(candidate, 6, inputs="tables")(rows), batch_norm(rows).relu(), atol=1e-5)
    assert torch.allclose(
        build_layer(candidate, 6, inputs="sequences")(sequence), batch_norm(sequence).relu(), atol=1e-5
    )
    with pytest.raises(InputError, match="must be 'images', 'sequences' or 'tables', got 'rows'"):
        build_layer(candidate, 6, inputs="rows")


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    for make in (lambda: build_layer(PUBLISHED_LAYERS["evonorm-s1"], 48), lambda: EVONORMS["evonorm-s1"](48)):
        with pytest.raises(InputError, match=r"48 channels do not fall into 32 groups; choose one of \[1, 2, 3, 4, 6,"):
            make()


def test_training_on_one_value_a_channel_is_refused() -> None:
    x = torch.ones(1, 8, 1, 1)
    for layer in (build_layer(PUBLISHED_LAYERS["evonorm-b0"], 8), EVONORMS["evonorm-b0"](8)):
        with pytest.raises(ValueError, match="one value a channel"):
            layer(x)
        assert torch.isfinite(layer.eval()(x)).all()


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(InputError, match="a layer maps"):
        layer_file({})
    with pytest.raises(InputError, match="lacks parameter"):
        layer_file({"4 op": "add"})
    with pytest.raises(InputError, match="a class needs a name"):
        layer_file(PUBLISHED_LAYERS["bn-relu"], name="my layer")
    with pytest.raises(InputError, match="takes no momenta"):
        build_layer(PUBLISHED_LAYERS["bn-relu"], 8, momenta=0.5)
