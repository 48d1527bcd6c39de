"""Chains of convolutions with skips as a module (arXiv 1611.01578)."""

from __future__ import annotations

import torch
from torch import nn

from selftaught.spaces.build.layers import classifier
from selftaught.spaces.plain_network import ChainNetwork

__all__ = ["ChainModule"]


class ChainModule(nn.Module):
    """A `ChainNetwork`: (n, inputs, resolution, resolution) to (n, outputs)."""

    def __init__(self, network: ChainNetwork) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.sources: list[list[int]] = []  # 0 is the image
        channels, read = [network.inputs], set()
        for k in range(1, network.depth + 1):
            chosen = {name.removeprefix(f"layer {k} "): value for name, value in network.candidate.items()}
            sources = [j for j in range(1, k) if chosen[f"skip from {j}"]] or [0]
            high, wide, filters, stride = (int(chosen[name] or 1) for name in ("height", "width", "filters", "stride"))
            inputs = sum(channels[j] for j in sources)
            convolution = nn.Conv2d(inputs, filters, (high, wide), stride, (high // 2, wide // 2), bias=False)
            self.layers.append(nn.Sequential(convolution, nn.BatchNorm2d(filters), nn.ReLU()))
            self.sources.append(sources)
            channels.append(filters)
            read.update(sources)
        self.loose = [k for k in range(1, network.depth + 1) if k not in read]
        self.classifier = classifier(sum(channels[k] for k in self.loose), network.outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        states = [images]
        for layer, sources in zip(self.layers, self.sources, strict=True):
            states.append(layer(_joined([states[k] for k in sources])))
        found: torch.Tensor = self.classifier(_joined([states[k] for k in self.loose]))
        return found


def _joined(maps: list[torch.Tensor]) -> torch.Tensor:
    """Concatenate channels; smaller maps are padded with zeros at their right and lower edge."""
    high, wide = max(one.shape[2] for one in maps), max(one.shape[3] for one in maps)
    padded = [nn.functional.pad(one, (0, wide - one.shape[3], 0, high - one.shape[2])) for one in maps]
    return torch.cat(padded, 1)
