"""Ghost batches: each part by its own statistics; nothing changes for layers that ignore the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.layers import EvoNormS0, GhostBatches
from selftaught.seeds import rng_for


def test_each_part_has_its_own_statistics() -> None:
    x = torch.as_tensor(rng_for(0).normal(size=(10, 3, 4, 4))).float() * torch.arange(1, 11).view(-1, 1, 1, 1)
    layer = GhostBatches(nn.BatchNorm2d(3), 4)
    parts = [nn.BatchNorm2d(3)(part) for part in (x[:4], x[4:8], x[8:])]
    assert torch.allclose(layer(x), torch.cat(parts), atol=1e-6)
    in_turn = nn.BatchNorm2d(3)
    for part in (x[:4], x[4:8], x[8:]):
        in_turn(part)
    assert torch.allclose(layer.layer.running_var, in_turn.running_var)
    assert torch.allclose(layer.eval()(x), in_turn.eval()(x))


def test_a_layer_that_ignores_the_batch_is_the_same() -> None:
    x = torch.as_tensor(rng_for(0).normal(size=(9, 8, 4, 4))).float()
    assert torch.allclose(GhostBatches(EvoNormS0(8, groups=2), 2)(x), EvoNormS0(8, groups=2)(x), atol=1e-6)


def test_a_part_is_not_empty() -> None:
    with pytest.raises(InputError, match="at least 1 example, got 0"):
        GhostBatches(nn.Identity(), 0)
