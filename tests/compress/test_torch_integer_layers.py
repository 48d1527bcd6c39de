"""Integer layers against arithmetic by hand, and their ONNX operators against both, with extreme weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.compress import export_onnx
from selftaught.compress.calibration import Range, affine_of
from selftaught.compress.integer_layers import Affine, Dequantise, IntegerLayer, Quantise
from selftaught.compress.quantising import integer_weights


def by_hand(x: np.ndarray, layer: IntegerLayer, given: Affine, gives: Affine) -> np.ndarray:
    """A linear layer in Python's whole numbers and fractions of two; halves to even."""
    weights = layer.weight.numpy().astype(int).T - (128 if layer.weight.dtype == torch.uint8 else 0)
    out = np.zeros((len(x), len(weights)), int)
    for row, values in enumerate(x.astype(int).tolist()):
        for channel, taken in enumerate(weights.tolist()):
            total = sum((one - given.zero) * other for one, other in zip(values, taken, strict=True))
            total += int(layer.bias[channel])
            real = np.float32(np.float32(total) * np.float32(given.scale) * layer.weight_scale[channel].numpy())
            out[row, channel] = min(max(round(float(real / np.float32(gives.scale))) + gives.zero, 0), 255)
    return out


@pytest.mark.parametrize("unsigned", [False, True])
def test_a_linear_layer_by_hand(unsigned: bool) -> None:
    given, gives = Affine(2.0**-5, 100), Affine(2.0**-1, 130)
    limit = 127 if unsigned else 63
    whole, scales = integer_weights(torch.randn(5, 40), limit)
    assert float(whole.abs().max()) == limit
    layer = IntegerLayer(whole, scales, torch.randint(-500, 500, (5,)), given, gives, unsigned=unsigned)
    inputs = torch.randint(0, 256, (6, 40), dtype=torch.uint8)
    found = layer(inputs).numpy()
    assert np.array_equal(found, by_hand(inputs.numpy(), layer, given, gives))
    assert len(np.unique(found)) > 8


def test_halves_are_rounded_to_even_and_values_clipped() -> None:
    held = Quantise(Affine(1.0, 10))(torch.tensor([0.5, 1.5, 2.5, -0.5, -20.0, 900.0, 0.0]))
    assert held.tolist() == [10, 12, 12, 10, 0, 255, 10]
    assert Dequantise(Affine(0.5, 10))(held).tolist() == [0.0, 1.0, 1.0, 0.0, -5.0, 122.5, 0.0]


class Chain(nn.Module):
    """An integer convolution and an integer linear layer with the largest weights and inputs there are."""

    def __init__(self, unsigned: bool, groups: int, one_sign: bool) -> None:
        super().__init__()
        limit = 127 if unsigned else 63
        signs = torch.ones(16, 16 // groups, 3, 3) if one_sign else torch.randn(16, 16 // groups, 3, 3).sign()
        out = 2.0 ** math.ceil(math.log2(limit * 16 / groups * 9 / (1 if one_sign else 8)))
        one, two = Affine(1.0, 0), Affine(out, 128)
        self.start = Quantise(one)
        self.convolve = IntegerLayer(
            limit * signs, torch.ones(16), torch.zeros(16), one, two, unsigned=unsigned, pads=[(1, 1), (0, 1)],
            stride=[1, 2], dilation=[1, 1], groups=groups,
        )  # fmt: skip
        self.last = IntegerLayer(
            limit * torch.ones(4, 16), torch.full((4,), 1e-3), torch.arange(4), two, None, unsigned=unsigned
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.last(self.convolve(self.start(inputs)).permute(0, 2, 3, 1))
        return result


@pytest.mark.parametrize(
    ("unsigned", "groups", "one_sign"),
    [
        (False, 1, True),
        pytest.param(True, 1, False, marks=pytest.mark.slow),
        pytest.param(True, 16, True, marks=pytest.mark.slow),
    ],
)
def test_extreme_weights_do_not_saturate(unsigned: bool, groups: int, one_sign: bool, tmp_path: Path) -> None:
    # 255 x 127 + 255 x 127 exceeds the 16 bits in which some processors add pairs of products.
    inputs = torch.where(torch.rand(3, 16, 6, 7) < 0.9, 255.0, 0.0)
    chain = Chain(unsigned, groups, one_sign)
    assert chain(inputs).unique().numel() > 20
    found = export_onnx(chain, inputs, tmp_path / "chain.onnx", check_on=[torch.full((2, 16, 6, 7), 255.0)])
    assert found.difference == 0


def test_weights_keep_their_sign_and_scale() -> None:
    weight = torch.randn(6, 4, 3, 3)
    weight[2] = 0
    whole, scales = integer_weights(weight, 63)
    assert float((whole * scales.reshape(-1, 1, 1, 1) - weight).abs().max()) <= float(scales.max()) / 2 + 1e-7
    assert torch.equal(whole.abs().amax(dim=(1, 2, 3)), torch.tensor([63.0, 63, 0, 63, 63, 63]).double())
    # A bias far larger than the weights must still fit 32 bits.
    whole, scales = integer_weights(torch.full((1, 2), 1e-9), 63, torch.tensor([1e6]), 1e-3)
    assert 1e6 / (1e-3 * float(scales[0])) <= 2.0**30 * 1.001


def test_ranges_by_hand() -> None:
    seen = Range()
    seen.add(torch.linspace(0, 1, 1001))
    seen.add(torch.tensor([0.0, 8.0]))  # the bins double until it fits
    assert (seen.least, seen.most) == (0.0, 8.0)
    assert float(seen.counts.sum()) == 1003
    assert affine_of(seen, "min-max") == Affine(2.0**-4, 0)  # 8 / 255 is a little more than 2^-5
    assert affine_of(seen, "min-max", power_of_two=False).scale == pytest.approx(8 / 255)
    many = Range()
    many.add(torch.cat([torch.linspace(-1, 3, 40000), torch.tensor([500.0])]))
    assert affine_of(many, "percentile", power_of_two=False).scale == pytest.approx(4 / 255, rel=0.2)
    few = affine_of(many, "mse", power_of_two=False)
    assert few.scale > 1  # one value of 500 is worth more squared error than all others together
    ordinary = Range()
    ordinary.add(torch.randn(100000, generator=torch.Generator().manual_seed(0)))
    # The least squared error of a normal distribution in 8 bits is a step of about .031 (range of about ±4).
    assert affine_of(ordinary, "mse").scale == 2.0**-5
    nothing = Range()
    nothing.add(torch.zeros(3))
    assert affine_of(nothing) == Affine(1.0, 0)
