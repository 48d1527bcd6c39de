"""Networks of normal and reduction cells as a module (NASNet, arXiv 1707.07012)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import nn

from selftaught.spaces.build.layers import classifier, conv_norm, relu_conv_norm
from selftaught.spaces.cell_network import NasnetNetwork
from selftaught.spaces.space import Choice

__all__ = ["NasnetCell", "NasnetModule"]


class NasnetCell(nn.Module):
    """Blocks that each join two states; blocks that none reads are concatenated.

    Both inputs are brought to the cell's width by ReLU, a 1 x 1 convolution and BatchNorm, the older one to the
    younger one's side by average pooling. In a reduction cell the operations on the inputs have stride 2. Where an
    operation keeps its channels, and they are not the cell's width, a 1 x 1 convolution follows.

    Args:
        candidate: the choices.
        cell: "normal" or "reduction".
        older, younger: channels of the two inputs.
        width: channels of every operation.
        halve: whether the older input has twice the younger one's side.
    """

    def __init__(
        self, candidate: Mapping[str, Choice], cell: str, older: int, younger: int, width: int, *, halve: bool
    ) -> None:
        super().__init__()
        pool = [nn.AvgPool2d(2, 2, ceil_mode=True)] if halve else []
        self.older = nn.Sequential(*pool, relu_conv_norm(older, width, 1))
        self.younger = relu_conv_norm(younger, width, 1)
        self.operations = nn.ModuleDict()
        self.plan: list[tuple[list[tuple[int, str]], bool]] = []
        channels, read = [width, width], set()
        for b in range(1, sum(name.startswith(f"{cell} ") and name.endswith("combine") for name in candidate) + 1):
            sides = []
            for side in "ab":
                state = int(candidate[f"{cell} {b}{side} state"] or 0)
                operation = str(candidate[f"{cell} {b}{side} operation"])
                stride = 2 if cell == "reduction" and state < 2 else 1
                name = f"{b}{side}_{state}_{operation}"
                self.operations[name] = _operation(operation, channels[state], width, stride)
                sides.append((state, name))
                read.add(state)
            concatenated = candidate[f"{cell} {b} combine"] == "concatenate"
            self.plan.append((sides, concatenated))
            channels.append(width * (1 + concatenated))
        self.loose = [state for state in range(2, len(channels)) if state not in read]
        self.outputs = sum(channels[state] for state in self.loose)

    def forward(self, older: torch.Tensor, younger: torch.Tensor) -> torch.Tensor:
        states = [self.older(older), self.younger(younger)]
        for sides, concatenated in self.plan:
            a, b = (self.operations[name](states[state]) for state, name in sides)
            states.append(torch.cat((a, b), 1) if concatenated else a + b)
        return torch.cat([states[state] for state in self.loose], 1)


def _operation(name: str, inputs: int, width: int, stride: int) -> nn.Module:
    kind, _, sides = name.rpartition("_")
    if name == "identity":
        keeps = stride == 1 and inputs == width
        return nn.Identity() if keeps else relu_conv_norm(inputs, width, 1, stride=stride)
    if kind.endswith("pool"):
        side = int(sides[0])
        average = partial(nn.AvgPool2d, count_include_pad=False)
        pool: nn.Module = (average if kind == "avg_pool" else nn.MaxPool2d)(side, stride, side // 2)
        return pool if inputs == width else nn.Sequential(pool, conv_norm(inputs, width, 1))
    if kind == "separable_conv":
        side = int(sides[0])
        return nn.Sequential(_separable(inputs, width, side, stride), _separable(width, width, side, 1))
    if kind == "dilated_conv":
        return relu_conv_norm(inputs, width, 3, stride=stride, dilation=2)
    if name in ("conv_1x3_3x1", "conv_1x7_7x1"):
        side = int(sides[0])
        return nn.Sequential(
            relu_conv_norm(inputs, width, (1, side), stride=(1, stride)),
            relu_conv_norm(width, width, (side, 1), stride=(stride, 1)),
        )
    return relu_conv_norm(inputs, width, int(sides[0]), stride=stride)


def _separable(inputs: int, outputs: int, side: int, stride: int) -> nn.Sequential:
    """Return ReLU, a depthwise and a 1 x 1 convolution, BatchNorm; used twice in a row."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, inputs, side, stride, side // 2, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class NasnetModule(nn.Module):
    """A `NasnetNetwork`: (n, inputs, resolution, resolution) to (n, outputs)."""

    def __init__(self, network: NasnetNetwork) -> None:
        super().__init__()
        first = network.stem * network.width
        self.stem = conv_norm(network.inputs, first, 3)
        self.cells = nn.ModuleList()
        older, younger, halve = first, first, False
        for stage, width in enumerate(network.widths):
            for kind in ["reduction"] * (stage > 0) + ["normal"] * network.cells:
                cell = NasnetCell(network.candidate, kind, older, younger, width, halve=halve)
                self.cells.append(cell)
                older, younger, halve = younger, cell.outputs, kind == "reduction"
        self.classifier = nn.Sequential(nn.ReLU(), classifier(younger, network.outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        older = younger = self.stem(images)
        for cell in self.cells:
            older, younger = younger, cell(older, younger)
        found: torch.Tensor = self.classifier(younger)
        return found
