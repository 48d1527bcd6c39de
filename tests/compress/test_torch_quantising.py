"""Models in 8 bits: the same numbers in torch and in onnxruntime, near the float model, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from selftaught.compress import export_onnx, prune_channels, quantise
from selftaught.compress.calibration import BINS, Range, affine_of, covering
from selftaught.compress.folding import folded_graph
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import SGD, TrainConfig, fit, small_cnn
from tests.compress.architectures import MobileNet, ResNet18, Transformer, perceptron, settled


def both_agree(model: nn.Module, inputs: torch.Tensor, folder: Path, **options: Any) -> None:
    """Prune and quantise, and compare both the pruned and the quantised model with their files."""
    pruned = prune_channels(settled(model), inputs[:2], round_to=4)
    assert pruned.widths
    exported = export_onnx(pruned.model, inputs[:3], folder / "float.onnx", check_on=[inputs])
    assert exported.relative < 1e-5
    found = quantise(pruned.model, inputs, batches=2, **options)
    assert 0 < found.relative < 0.1
    assert found.bytes[1] < 0.6 * found.bytes[0]
    exported = export_onnx(found.model, inputs[:3], folder / "integers.onnx", check_on=[inputs, 3 * inputs])
    assert exported.fixed_batch == ""
    assert exported.relative < 1e-6
    assert exported.operators.get("QLinearConv", 0) + exported.operators.get("MatMulInteger", 0) == len(found.layers)


@pytest.mark.slow
def test_perceptron(tmp_path: Path) -> None:
    both_agree(perceptron(), torch.randn(40, 24), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [7, 8])
def test_residual_network(bits: int, tmp_path: Path) -> None:
    both_agree(ResNet18(16), torch.randn(24, 3, 32, 32), tmp_path, weight_bits=bits)


@pytest.mark.slow
def test_residual_network_of_full_width(tmp_path: Path) -> None:
    both_agree(ResNet18(), torch.randn(6, 3, 64, 64), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [7, 8])
def test_depthwise_and_gated_network(bits: int, tmp_path: Path) -> None:
    both_agree(MobileNet(), torch.randn(24, 3, 32, 32), tmp_path, weight_bits=bits)


@pytest.mark.slow
@pytest.mark.parametrize("scales", [True, False])
def test_reference_network(scales: bool, tmp_path: Path, digits: Examples) -> None:
    colours = torch.randn(24, 3, 32, 32)
    reference = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    both_agree(reference, colours, tmp_path, power_of_two=scales)


@pytest.mark.slow
def test_transformer(tmp_path: Path) -> None:
    words = torch.randint(50, (40, 12))
    model = Transformer().eval()
    found = quantise(prune_channels(model, words[:2], round_to=4).model, words, batches=2)
    assert set(found.left_float) == {"words.weight", "places"}
    assert len(found.layers) == 13
    exported = export_onnx(found.model, words[:3], tmp_path / "integers.onnx", check_on=[words])
    assert exported.relative < 1e-6
    assert found.relative < 0.05


def test_a_trained_network_keeps_its_answers(digits: Examples, tmp_path: Path) -> None:
    model = small_cnn(digits, widths=(16, 16)).eval()
    fit(model, digits, TrainConfig(epochs=8, batch_size=16, optimiser=SGD(lr=0.1)))
    model.eval()
    found = quantise(model, digits)
    assert found.accuracy[0] > 0.9
    assert found.agreement > 0.97
    assert found.accuracy[1] > found.accuracy[0] - 0.02
    assert found.examples == 300
    assert set(found.layers) | set(found.left_float) == {n for n, one in model.named_parameters() if one.ndim > 1}
    text = str(found)
    assert "bytes became" in text
    assert "accuracy" in text
    exported = export_onnx(found.model, torch.zeros(1, 1, 8, 8), tmp_path / "m.onnx")
    assert exported.relative < 1e-6
    assert exported.batches == (1, 1, 2, 5)


def test_what_cannot_be_quantised_is_told() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    rows = torch.randn(64, 4)
    with pytest.raises(InputError, match="do not fit the model"):
        quantise(model, [rows, torch.randn(8, 5)])
    with pytest.raises(InputError, match=r"how must be one of static, dynamic, bf16"):
        quantise(model, rows, how="statik")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no linear layer or convolution"):
        quantise(nn.ReLU(), rows)
    with pytest.raises(InputError, match="no module or weight '00'"):
        quantise(model, rows, ignore=["00"])
    with pytest.raises(InputError, match="at least one example"):
        quantise(model, rows[:0])
    with pytest.raises(InputError, match="from 2 to 8, got 9"):
        quantise(model, rows, weight_bits=9)
    with pytest.raises(InputError, match="NaN or infinite"):
        quantise(model, rows.log())
    broken = nn.Sequential(nn.Linear(4, 2))
    with torch.no_grad():
        broken[0].weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"0\.weight holds 1 values that are NaN"):
        quantise(broken, rows)


def test_calibration_on_one_class_warns(iris: Examples) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with pytest.warns(UserWarning, match="have one label"):
        found = quantise(model, iris.take(range(40)))
    assert len(found.cautions) == 1


def test_ignored_layers_stay_float_and_are_listed() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    found = quantise(model, torch.randn(64, 4), ignore=["2"])
    assert (found.layers, dict(found.left_float)) == (("0.weight",), {"2.weight": "it is to be ignored"})


class Mixed(nn.Module):
    """A transposed convolution without an integer kernel, an activation that ends at 6, and an average in between."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 4, 2, stride=2)
        self.mix = nn.Conv2d(4, 6, 3, padding="same", dilation=2)
        self.norm = nn.BatchNorm2d(2)
        self.last = nn.Conv2d(6, 3, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        held = torch.nn.functional.relu6(self.mix(self.up(self.norm(inputs))) * 1.0)
        held = torch.nn.functional.relu6(self.mix(held[:, :4]))
        result: torch.Tensor = self.last(torch.nn.functional.max_pool2d(held, 3, 2, 1, ceil_mode=True))
        return result


@pytest.mark.slow
def test_what_has_no_integer_kernel_stays_float_and_is_listed(tmp_path: Path) -> None:
    model, inputs = settled(Mixed()), torch.randn(16, 2, 5, 6)
    found = quantise(model, inputs, batch_size=8)
    assert dict(found.left_float) == {"up.weight": "conv_transpose2d has no kernel for 8-bit integers"}
    assert found.layers == ("mix.weight", "last.weight")
    assert 0 < found.relative < 0.1


@torch.no_grad()
def test_an_activation_ends_where_its_range_does_not() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU6(), nn.Linear(2, 1)).requires_grad_(False)
    for layer in (model[0], model[2]):
        layer.weight.fill_(1.0)
        layer.bias.zero_()
    # The scale of two to the minus fifth reaches to 7.97.
    found = quantise(model, torch.linspace(0, 12, 64)[:, None])
    assert found.model(torch.tensor([[3.0], [6.0], [7.0], [11.0]]))[:, 0].tolist() == pytest.approx(
        [6.0, 12.0, 12.0, 12.0], abs=0.3
    )
    assert float(found.model(torch.tensor([[11.0]])) - found.model(torch.tensor([[6.5]]))) == 0


@torch.no_grad()
def test_dynamic_scales_by_hand() -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    found = quantise(model, torch.randn(8, 6), how="dynamic", weight_bits=8)
    inputs = torch.randn(5, 6)
    low, high = min(float(inputs.min()), 0.0), max(float(inputs.max()), 0.0)
    step = (high - low) / 255
    held = torch.round(inputs / step) * step
    weight = model[0].weight.detach()
    steps = weight.abs().amax(dim=1, keepdim=True) / 127
    wanted = held @ (torch.round(weight / steps) * steps).mT + model[0].bias.detach()
    assert torch.allclose(found.model(inputs), wanted, atol=1e-5)
    assert torch.equal(found.model(torch.zeros(2, 6)), model[0].bias.detach().expand(2, 3))
    convolution = nn.Sequential(nn.Conv1d(2, 3, 1), nn.Flatten(), nn.Linear(12, 2))
    told = quantise(convolution, torch.randn(8, 2, 4), how="dynamic").left_float
    assert dict(told) == {"0.weight": "scales found in every call are for linear layers only"}


@pytest.mark.slow
def test_dynamic_and_bf16_files(tmp_path: Path) -> None:
    inputs = torch.randn(40, 24)
    model = settled(perceptron())
    for how, operator in (("dynamic", "DynamicQuantizeLinear"), ("bf16", "Cast")):
        found = quantise(model, inputs, how=how)  # type: ignore[arg-type]
        exported = export_onnx(found.model, inputs, tmp_path / f"{how}.onnx", check_on=[5 * inputs])
        assert exported.relative < 1e-5
        assert exported.operators[operator] >= 3
        assert exported.bytes < 0.8 * sum(one.numel() * 4 for one in model.parameters())


def test_bf16_is_the_nearest_number_with_16_bits() -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    found = quantise(model, torch.randn(8, 6), how="bf16")
    inputs = torch.randn(5, 6)
    wanted = inputs @ model[0].weight.detach().bfloat16().float().mT + model[0].bias.detach()
    assert torch.allclose(found.model(inputs), wanted, atol=1e-6)
    assert found.bytes == (21 * 4, 18 * 2 + 3 * 4)


def test_folding_changes_nothing() -> None:
    model = settled(MobileNet(4))
    with torch.no_grad():
        model.blocks[0].depthwise[1].weight.zero_()  # type: ignore[index,union-attr]
    inputs = torch.randn(2, 3, 16, 16)
    graph, fixed = folded_graph(model, (inputs,))
    assert fixed == ""
    assert "batch_norm" not in graph.code
    assert torch.allclose(graph(inputs), model(inputs), atol=1e-5)


def test_a_layer_used_twice_has_the_normalisation_behind_each_use_folded() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Conv2d(4, 4, 3, padding=1, bias=False)
            self.one, self.two = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
            self.last = nn.Linear(4, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.one(self.shared(inputs)))
            return self.last(torch.relu(self.two(self.shared(hidden))).mean((2, 3)))

    model, inputs = settled(Twice()), torch.randn(8, 4, 6, 6)
    with torch.no_grad():
        model.one.weight.mul_(2)
        model.two.running_mean.add_(1)
        graph, _ = folded_graph(model, (inputs[:2],))
        torch.testing.assert_close(graph(inputs), model(inputs), rtol=1e-4, atol=1e-5)
        assert float((quantise(model, inputs).model(inputs) - model(inputs)).abs().max()) < 0.1 * float(
            model(inputs).abs().max()
        )


@pytest.mark.parametrize("later", [[1.0, 1.0001], [0.0, 1.0], [-1.0, 1.0]])
def test_a_range_whose_first_values_were_tiny_stays_a_small_histogram(later: list[float]) -> None:
    """As after a batch in which all is nearly dead."""
    found = Range()
    found.add(torch.tensor([1e-30, 0.5e-30]))
    found.add(torch.tensor(later))
    assert len(found.counts) <= 4 * BINS
    assert int(found.counts.sum()) == 4
    assert found.most == pytest.approx(max(later), rel=1e-6)
    affine = affine_of(found, "min-max", power_of_two=False)
    assert affine.scale == pytest.approx((max(later) - min(*later, 0.0)) / 255, rel=1e-6)


@pytest.mark.parametrize("power_of_two", [True, False])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 5.0), (-2.0, 0.0), (-0.3, 0.01)])
def test_the_zero_point_lets_both_ends_of_a_range_in(low: float, high: float, power_of_two: bool) -> None:
    held = covering(low, high, power_of_two)
    ends = [round(one / held.scale) + held.zero for one in (low, high)]
    assert ends[0] == 0
    assert 255 / 2 - 1 < ends[1] <= 255 + 1  # to one rounding
