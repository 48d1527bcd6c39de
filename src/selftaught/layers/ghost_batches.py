"""Layers that see a few examples of a batch at a time, as each worker does where a batch is spread over many."""

from __future__ import annotations

import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.layers.anchors import MakeLayer

__all__ = ["GhostBatches", "in_ghost_batches"]


class GhostBatches(nn.Module):
    """Apply a layer to parts of the batch in training; in evaluation to the whole ("ghost batches", arXiv 1705.08741).

    Nothing changes for a layer that does not look at the batch, so what changes is due to its statistics alone: the
    steps, their number and their size stay.

    Args:
        layer: from (n, ...) to (n, ...).
        size: examples of a part, at least 1.

    Raises:
        InputError: the size is below 1.

    >>> import torch
    >>> GhostBatches(nn.BatchNorm1d(2), 4)(torch.randn(8, 2)).shape
    torch.Size([8, 2])
    """

    def __init__(self, layer: nn.Module, size: int) -> None:
        super().__init__()
        if size < 1:
            raise InputError(f"a part of a batch has at least 1 example, got {size}")
        self.layer, self.size = layer, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or len(x) <= self.size:
            whole: torch.Tensor = self.layer(x)
            return whole
        return torch.cat([self.layer(part) for part in x.split(self.size)])


def in_ghost_batches(layers: MakeLayer, size: int) -> MakeLayer:
    """Return what makes the same layers, each in parts of so many examples."""
    return lambda channels, activation: GhostBatches(layers(channels, activation), size)
