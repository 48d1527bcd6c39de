"""What models cost, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import cost, count_flops, small_cnn, time_in_turns


def test_a_small_network_by_hand() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3, bias=False))
    with torch.no_grad():
        model[3].weight[0].zero_()
    model.train()
    found = cost(model, torch.ones(2, 8), batches=(1, 5), rounds=3)
    assert found.parameters == 8 * 4 + 4 + 4 * 3
    assert found.nonzero == found.parameters - 4
    assert found.flops == 2 * (8 * 4 + 4 * 3)
    assert found.bytes == 4 * found.parameters
    assert found.activation_bytes == 4 * (4 + 4 + 4 + 3)
    assert [one.batch for one in found.latencies] == [1, 5]
    for one in found.latencies:
        assert 0 < one.least <= one.median
        assert one.low <= one.median <= one.high
    assert model.training
    assert not model[0]._forward_hooks


def test_the_reference_network_takes_30_million_multiply_adds() -> None:
    """9 · (3 · 64 · 32² + 64 · 128 · 16² + 128 · 128 · 8²) + 1,280."""
    ids, names = np.array(list("abcd")), tuple("0123456789")
    images = Examples(np.zeros((4, 32, 32, 3), np.uint8), np.arange(4) % 2, ids, class_names=names)
    model = small_cnn(images)
    macs = 9 * (3 * 64 * 32**2 + 64 * 128 * 16**2 + 128 * 128 * 8**2) + 128 * 10
    assert macs == 30_082_304
    assert count_flops(model, torch.zeros(1, 3, 32, 32)) == 2 * macs
    weights = 9 * (3 * 64 + 64 * 128 + 128 * 128) + 2 * (64 + 128 + 128) + 1290
    assert cost(model, torch.zeros(1, 3, 32, 32), batches=()).parameters == weights


class _First(nn.Module):
    """Gives the first thing that a layer gives."""

    def __init__(self, layer: nn.Module, times: int, **more: bool) -> None:
        super().__init__()
        self.layer, self.times, self.more = layer, times, more

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        first: torch.Tensor = self.layer(*[inputs] * self.times, **self.more)[0]
        return first


@pytest.mark.parametrize("weights", [True, False])
def test_attention_counts_as_its_products(weights: bool) -> None:
    """3 · n w² into queries, keys and values, n² w twice, n w² out; whatever torch computes in one piece."""
    layer = nn.MultiheadAttention(32, 4, batch_first=True).eval()
    macs = 8 * 32 * 3 * 32 + 2 * 8 * 8 * 32 + 8 * 32 * 32
    assert count_flops(_First(layer, 3, need_weights=weights), torch.zeros(1, 8, 32)) == 2 * macs
    whole = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    assert count_flops(whole, torch.zeros(1, 8, 32)) == 2 * (macs + 2 * 8 * 32 * 64)
    assert torch.backends.mha.get_fastpath_enabled()


def test_an_lstm_counts_as_its_products() -> None:
    """4 units · (width + units) a step, layer and direction."""
    layer = nn.LSTM(8, 32, num_layers=2, bidirectional=True, batch_first=True)
    macs = 3 * 5 * 2 * 4 * 32 * ((8 + 32) + (64 + 32))
    assert count_flops(_First(layer, 1), torch.zeros(3, 5, 8)) == 2 * macs


def test_turns_alternate_and_each_is_timed_alone() -> None:
    now, order = [0.0], []

    def call(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    found = time_in_turns(
        {"a": lambda: call("a", 1.0), "b": lambda: call("b", 0.25)}, rounds=2, clock=lambda: now[0]
    )
    assert found == {"a": [1.0, 1.0], "b": [0.25, 0.25]}
    assert order == ["a", "b"] * 4


def test_what_is_quick_is_called_before_it_is_timed() -> None:
    now, order = [0.0], []

    def call(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    cases = {"quick": lambda: call("quick", 0.0006), "slow": lambda: call("slow", 0.003)}
    found = time_in_turns(cases, rounds=1, clock=lambda: now[0])
    assert found == {"quick": [pytest.approx(0.0006)], "slow": [pytest.approx(0.003)]}
    assert order == ["quick", "slow", *["quick"] * 4, "slow", *["quick"] * 4, "slow"]


def test_wrong_use_is_one_line() -> None:
    with pytest.raises(InputError, match="at least one example"):
        cost(nn.Linear(2, 1), torch.zeros(0, 2))
    with pytest.raises(InputError, match="at least 1, got"):
        cost(nn.Linear(2, 1), torch.zeros(1, 2), batches=(0,))
