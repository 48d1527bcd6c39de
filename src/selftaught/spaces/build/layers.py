"""Layers that several networks are built of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

__all__ = ["ACTIVATIONS", "DropPath", "SqueezeExcitation", "classifier", "conv_norm", "relu_conv_norm"]

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


def conv_norm(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: str | None = None
) -> nn.Sequential:
    """Return a convolution without bias, BatchNorm and an activation; the side becomes ceil(side / stride)."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([ACTIVATIONS[activation]()] if activation else []))


def relu_conv_norm(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    *,
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """Return ReLU, a convolution without bias and BatchNorm."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple(side // 2 * dilation for side in sides)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, sides, stride, padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
    )


def classifier(channels: int, outputs: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Return global average pooling, dropout and a linear layer."""
    drop = [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *drop, nn.Linear(channels, outputs))


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate that sees the mean of all (arXiv 1709.01507)."""

    def __init__(self, channels: int, squeezed: int, activation: str) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.activation = ACTIVATIONS[activation]()
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean((2, 3), keepdim=True)
        return images * torch.sigmoid(self.excite(self.activation(self.squeeze(means))))


class DropPath(nn.Module):
    """Leave out a whole branch for some examples while training (stochastic depth, arXiv 1603.09382)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return branch
        kept = torch.rand((len(branch), 1, 1, 1), device=branch.device) >= self.rate
        return branch * kept.to(branch.dtype) / (1 - self.rate)
