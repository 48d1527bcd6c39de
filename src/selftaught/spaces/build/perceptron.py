"""Perceptrons as a module."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from selftaught.spaces.build.layers import ACTIVATIONS
from selftaught.spaces.plain_network import PerceptronNetwork

__all__ = ["Hidden", "perceptron_module"]


class Hidden(nn.Module):
    """Linear, normalised, activated, dropped out; its input added where the widths are equal and it is asked for."""

    def __init__(self, inputs: int, outputs: int, network: PerceptronNetwork) -> None:
        super().__init__()
        norms = {"none": [], "batch": [nn.BatchNorm1d], "layer": [nn.LayerNorm]}[network.normalisation]
        drop = [nn.Dropout(network.dropout)] if network.dropout else []
        self.branch = nn.Sequential(
            nn.Linear(inputs, outputs), *(norm(outputs) for norm in norms), ACTIVATIONS[network.activation](), *drop
        )
        self.residual = network.residual and inputs == outputs

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.branch(rows)
        return rows + changed if self.residual else changed


def perceptron_module(network: PerceptronNetwork) -> nn.Sequential:
    """Return a `PerceptronNetwork`: (n, features), or anything that flattens to it, to (n, outputs)."""
    sizes = (network.features, *network.widths)
    hidden = [Hidden(a, b, network) for a, b in pairwise(sizes)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], network.outputs))
