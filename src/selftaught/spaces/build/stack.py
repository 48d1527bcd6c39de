"""Stacks of inverted-residual blocks as a module."""

from __future__ import annotations

import torch
from torch import nn

from selftaught.spaces.build.layers import DropPath, SqueezeExcitation, classifier, conv_norm
from selftaught.spaces.stack import Block, Stack

__all__ = ["BlockModule", "StackModule"]


class BlockModule(nn.Module):
    """Expand, depthwise convolution, squeeze-excitation, project; added to its input where the shapes agree."""

    def __init__(self, block: Block, activation: str, drop_path: float) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        if not block.inside:
            layers["project"] = conv_norm(block.inputs, block.outputs, 1, stride=block.stride, groups=block.groups)
        else:
            inside = block.inside
            if inside != block.inputs:
                layers["expand"] = conv_norm(block.inputs, inside, 1, groups=block.groups, activation=activation)
            layers["depthwise"] = conv_norm(
                inside, inside, block.kernel, stride=block.stride, groups=inside, activation=activation
            )
            if block.squeezed:
                layers["squeeze"] = SqueezeExcitation(inside, block.squeezed, activation)
            layers["project"] = conv_norm(inside, block.outputs, 1, groups=block.groups)
        self.branch = nn.Sequential()
        for name, layer in layers.items():
            self.branch.add_module(name, layer)
        self.shortcut = block.shortcut
        self.drop_path = DropPath(drop_path)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.branch(images)
        return images + self.drop_path(changed) if self.shortcut else changed


class StackModule(nn.Module):
    """A `Stack`: (n, inputs, resolution, resolution) to (n, outputs); other resolutions are taken too."""

    def __init__(self, network: Stack) -> None:
        super().__init__()
        self.stem = conv_norm(
            network.inputs, network.stem, 3, stride=network.stem_stride, activation=network.activation
        )
        blocks = list(network.blocks())
        rates = [network.drop_path * k / max(len(blocks), 1) for k in range(len(blocks))]
        made = (BlockModule(block, network.activation, rate) for block, rate in zip(blocks, rates, strict=True))
        self.blocks = nn.Sequential(*made)
        last = blocks[-1].outputs if blocks else network.stem
        self.head = conv_norm(last, network.head, 1, activation=network.activation)
        self.classifier = classifier(network.head, network.outputs, dropout=network.dropout)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.classifier(self.head(self.blocks(self.stem(images))))
        return found
