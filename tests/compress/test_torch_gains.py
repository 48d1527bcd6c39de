"""Gains: counted by hand, timed by a clock that the models themselves turn."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from selftaught.compress import Runnable, count_multiply_adds, export_onnx, load_onnx, measure_gains, prune_channels
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import count_flops, small_cnn


class Clock:
    """Goes on only when a model runs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed(nn.Module):
    """A layer that takes as long as it is told, one duration a call, the last one for ever."""

    def __init__(self, layer: nn.Module, clock: Clock, *seconds: float) -> None:
        super().__init__()
        self.layer, self.clock, self.seconds = layer, clock, list(seconds)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.clock.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        result: torch.Tensor = self.layer(inputs)
        return result


def layer(kept_rows: int) -> nn.Linear:
    made = nn.Linear(16, 8, bias=False).requires_grad_(False)
    made.weight.fill_(1.0)
    made.weight[kept_rows:] = 0
    return made


def test_a_mask_that_makes_nothing_faster_says_so() -> None:
    clock = Clock()
    models = {
        "dense": Timed(layer(8), clock, 4.0),
        "masked": Timed(layer(2), clock, 3.9),
        "half": Timed(layer(2), clock, 1.6),
        "slow": Timed(layer(2), clock, 8.0),
        "same": Timed(layer(8), clock, 1.0),
    }
    found = measure_gains(models, torch.ones(1, 16), rounds=3, batch=2, clock=clock)
    dense, masked, half, slow, same = found.rows
    assert (found.noise, found.batch, found.rounds) == (pytest.approx(1.0), 2, 3)
    assert (dense.multiply_adds, masked.multiply_adds, masked.theoretical) == (128, 32, 4.0)
    assert (dense.verdict, dense.share, dense.difference) == ("the baseline", 0.0, 0.0)
    assert masked.share == 0
    assert masked.verdict == "0 % realised: 4.00 x fewer multiply-adds, 1.03 x the speed: nothing is gained here"
    assert (half.realised, half.share) == pytest.approx((2.5, 0.5))
    assert half.verdict == "50 % realised: 4.00 x fewer multiply-adds, 2.50 x the speed"
    assert slow.verdict == "2.00 x slower, with 4.00 x fewer multiply-adds"
    assert same.verdict == "no fewer multiply-adds, 4.00 x the speed"
    assert masked.difference == 16.0
    assert (dense.bytes, masked.bytes, dense.packed_bytes, masked.packed_bytes) == (512, 512, 512, 2 * 16 * 4 + 16)
    assert "nothing is gained here" in str(found)


def test_a_gain_within_the_noise_of_the_control_is_not_believed() -> None:
    clock = Clock()
    # One call for the outputs, then each turn times the baseline first and, as the control, last.
    jumping = Timed(layer(8), clock, 4.0, *[4.0, 2.0] * 4, 2.0)
    found = measure_gains(
        {"dense": jumping, "half": Timed(layer(4), clock, 2.5)}, torch.ones(1, 16), rounds=2, clock=clock
    )
    assert found.noise == pytest.approx(2.0)
    assert (found.rows[1].realised, found.rows[1].share) == (pytest.approx(1.6), 0.0)


def test_the_least_round_decides() -> None:
    clock = Clock()
    slow_once = Timed(layer(4), clock, 9.0, 9.0, 9.0, 9.0, 2.0, 9.0)
    models = {"dense": Timed(layer(8), clock, 4.0), "half": slow_once}
    found = measure_gains(models, torch.ones(1, 16), rounds=3, clock=clock)
    assert (found.rows[1].seconds, found.rows[1].median, found.rows[1].realised) == pytest.approx((2.0, 9.0, 2.0))


def test_multiply_adds_without_zeros_by_hand(digits: Examples) -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2), nn.ReLU(), nn.ConvTranspose2d(4, 3, 2), nn.Flatten(), nn.Linear(75, 5)
    ).requires_grad_(False)
    inputs = torch.randn(1, 2, 6, 6)
    # 4 x 4 places of 4 x 1 x 9, again 4 x 4 places of 4 x 3 x 4, and 75 x 5
    assert count_multiply_adds(model, inputs) == count_flops(model, inputs) // 2 == 16 * 36 + 16 * 48 + 375
    model[0].weight[0].zero_()
    model[2].weight[:, 0].zero_()
    model[4].weight[:, :10].zero_()
    assert count_multiply_adds(model, inputs) == 16 * 27 + 16 * 32 + 325
    assert not model[0]._forward_hooks


def test_a_mask_and_the_channels_it_stands_for_count_the_same(digits: Examples) -> None:
    model = small_cnn(digits, widths=(32, 32)).eval()
    pruned = prune_channels(model, torch.rand(2, 1, 8, 8))
    masked = copy.deepcopy(model)
    with torch.no_grad():
        for name, one in masked.named_parameters():
            if name in pruned.masks:
                one.mul_(pruned.masks[name])
    one = torch.rand(1, 1, 8, 8)
    assert count_multiply_adds(masked, one) == count_multiply_adds(pruned.model, one) < count_multiply_adds(model, one)
    threads = torch.get_num_threads()
    model.train()
    found = measure_gains({"dense": model, "masked": masked, "channels": pruned.model}, one, rounds=1)
    assert found.rows[1].theoretical == found.rows[2].theoretical > 3
    assert found.rows[2].bytes < found.rows[0].bytes == found.rows[1].bytes
    assert found.rows[2].activation_bytes < found.rows[1].activation_bytes
    assert found.rows[1].difference == pytest.approx(found.rows[2].difference, abs=1e-5)
    assert model.training
    assert torch.get_num_threads() == threads


def test_another_runtime_stands_beside_modules(tmp_path: Path) -> None:
    dense = layer(8)
    export_onnx(dense, torch.ones(2, 16), tmp_path / "layer.onnx")
    session = load_onnx(tmp_path / "layer.onnx")
    clock = Clock()

    def half(inputs: torch.Tensor) -> torch.Tensor:
        clock.now += 2.0
        return dense(inputs)

    models = {
        "torch": Timed(dense, clock, 4.0),
        "onnxruntime": Runnable(session, session.bytes, 128),
        "half": Runnable(half, 100, 64, packed_bytes=60, activation_bytes=7),
    }
    found = measure_gains(models, torch.randn(3, 16), rounds=2, clock=clock)
    assert [row.multiply_adds for row in found.rows] == [128, 128, 64]
    assert [row.bytes for row in found.rows] == [512, session.bytes, 100]
    assert [row.packed_bytes for row in found.rows] == [512, session.bytes, 60]
    assert found.rows[1].difference < 1e-5
    assert (found.rows[2].realised, found.rows[2].activation_bytes) == (2.0, 7)
    assert found.rows[2].verdict == "100 % realised: 2.00 x fewer multiply-adds, 2.00 x the speed"
    with pytest.raises(InputError, match="onnxruntime runs on 1 threads"):
        measure_gains(models, torch.randn(3, 16), threads=2)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="at least one model"):
        measure_gains({}, torch.ones(1, 16))
    with pytest.raises(InputError, match="at least 1, got 0, 30 and 1"):
        measure_gains({"dense": layer(8)}, torch.ones(1, 16), batch=0)
    with pytest.raises(InputError, match="outputs of one shape"):
        measure_gains({"dense": layer(8), "other": nn.Linear(16, 4)}, torch.ones(1, 16), rounds=1)
