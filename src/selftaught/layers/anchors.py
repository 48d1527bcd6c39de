"""The networks that a layer is tried in: small ones of two families, so that no layer wins in a network of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from selftaught.layers.building import build_layer
from selftaught.spaces import Candidate

__all__ = ["ANCHORS", "Anchor", "MakeLayer", "batch_norm_relu", "inverted_residual", "layer_maker", "preactivation"]

#: (channels, activation) -> the layer of one spot; without activation where the network has none to replace
MakeLayer = Callable[[int, bool], nn.Module]
#: (layers, channels of the images, classes, width) -> the network
Anchor = Callable[[MakeLayer, int, int, int], nn.Module]

#: groups of channels in the anchors; their widths are multiples of 8, and 32 groups of 16 channels are none
GROUPS = 8
_EXPANSION = 3
_SQUEEZE = 4


def layer_maker(candidate: Candidate) -> MakeLayer:
    """Return what makes a candidate's modules for a network.

    >>> import torch
    >>> from selftaught.spaces import PUBLISHED_LAYERS
    >>> layer_maker(PUBLISHED_LAYERS["evonorm-s0"])(16, True).groups
    8
    """
    return lambda channels, activation: build_layer(candidate, channels, groups=GROUPS, activation=activation)


def batch_norm_relu(channels: int, activation: bool) -> nn.Module:
    """Make torch's own batch normalisation, with a ReLU where there is an activation."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU()) if activation else nn.BatchNorm2d(channels)


class _PreactivationBlock(nn.Module):
    """layer, 3 x 3, layer, 3 x 3, added to the input ("Identity Mappings ...", He et al., arXiv 1603.05027)."""

    def __init__(self, layers: MakeLayer, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = layers(width, True)
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.second = layers(out, True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        changes = stride != 1 or width != out
        self.shortcut = nn.Conv2d(width, out, 1, stride, bias=False) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ready = self.first(x)
        kept = x if self.shortcut is None else self.shortcut(ready)
        found: torch.Tensor = kept + self.conv2(self.second(self.conv1(ready)))
        return found


class _SqueezeExcitation(nn.Module):
    """Scale channels by a gate made of their means ("Squeeze-and-Excitation Networks", arXiv 1709.01507)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(width, max(1, width // _SQUEEZE), 1)
        self.expand = nn.Conv2d(max(1, width // _SQUEEZE), width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.expand(torch.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


class _InvertedBlock(nn.Module):
    """Expand, depthwise 3 x 3, squeeze and excite, project (arXiv 1801.04381, 1905.11946)."""

    def __init__(self, layers: MakeLayer, width: int, out: int, stride: int) -> None:
        super().__init__()
        inner = width * _EXPANSION
        self.body = nn.Sequential(
            nn.Conv2d(width, inner, 1, bias=False), layers(inner, True),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), layers(inner, True),
            _SqueezeExcitation(inner),
            nn.Conv2d(inner, out, 1, bias=False), layers(out, False),
        )  # fmt: skip
        self.adds = stride == 1 and width == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(x)
        return x + found if self.adds else found


def preactivation(layers: MakeLayer, channels: int, classes: int, width: int = 16) -> nn.Module:
    """Return a pre-activation residual network of three blocks, from width to four times it.

    >>> import torch
    >>> preactivation(batch_norm_relu, 3, 10)(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 10])
    """
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, 1, 1, bias=False),
        _PreactivationBlock(layers, width, width, 1),
        _PreactivationBlock(layers, width, 2 * width, 2),
        _PreactivationBlock(layers, 2 * width, 4 * width, 2),
        layers(4 * width, True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes),
    )  # fmt: skip


def inverted_residual(layers: MakeLayer, channels: int, classes: int, width: int = 16) -> nn.Module:
    """Return a network of three inverted residual blocks with squeeze-excitation, from width to twice it.

    Its projections are normalised without an activation; there a searched layer is its affine part alone.

    >>> import torch
    >>> inverted_residual(batch_norm_relu, 3, 10)(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 10])
    """
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, 1, 1, bias=False), layers(width, True),
        _InvertedBlock(layers, width, width, 1),
        _InvertedBlock(layers, width, 2 * width, 2),
        _InvertedBlock(layers, 2 * width, 2 * width, 1),
        nn.Conv2d(2 * width, 4 * width, 1, bias=False), layers(4 * width, True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes),
    )  # fmt: skip


#: by name; a new one is a line here, and every candidate is tried in it
ANCHORS: Mapping[str, Anchor] = {"preactivation": preactivation, "inverted": inverted_residual}
