"""Networks of NAS-Bench-201 cells as a module (arXiv 2001.00326)."""

from __future__ import annotations

import torch
from torch import nn

from selftaught.spaces.build.layers import classifier, conv_norm, relu_conv_norm
from selftaught.spaces.cell_network import CellNetwork
from selftaught.spaces.nb201 import EDGES

__all__ = ["Cell", "CellModule"]


class Cell(nn.Module):
    """Four nodes; each is the sum of what its edges bring, the last one the output.

    Every convolution of an edge is there and is run, also where its input is empty, as in the benchmark.
    """

    def __init__(self, operations: list[str], width: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        self.plan: list[list[tuple[int, str]]] = [[], [], [], []]
        for (source, target), operation in zip(EDGES, operations, strict=True):
            if operation == "none":
                continue
            name = f"{source}_{target}_{operation}"
            self.edges[name] = _operation(operation, width)
            self.plan[target].append((source, name))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        nodes = [images]
        for edges in self.plan[1:]:
            brought = [self.edges[name](nodes[source]) for source, name in edges]
            nodes.append(sum(brought[1:], brought[0]) if brought else torch.zeros_like(images))
        return nodes[-1]


def _operation(operation: str, width: int) -> nn.Module:
    if operation == "skip_connect":
        return nn.Identity()
    if operation == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return relu_conv_norm(width, width, 3 if operation == "nor_conv_3x3" else 1)


class Reduction(nn.Module):
    """A residual block of stride 2; its shortcut is average pooling and a 1 x 1 convolution without BatchNorm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = relu_conv_norm(inputs, outputs, 3, stride=2)
        self.second = relu_conv_norm(outputs, outputs, 3)
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True)
        self.project = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.second(self.first(images))
        return changed + self.project(self.pool(images))


class CellModule(nn.Module):
    """A `CellNetwork`: (n, inputs, resolution, resolution) to (n, outputs)."""

    def __init__(self, network: CellNetwork) -> None:
        super().__init__()
        self.stem = conv_norm(network.inputs, network.width, 3)
        stages: list[nn.Module] = []
        before = 0
        for width in network.widths:
            reduction = [Reduction(before, width)] if before else []
            cells = [Cell(network.operations, width) for _ in range(network.cells)]
            stages.append(nn.Sequential(*reduction, *cells))
            before = width
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU())
        self.classifier = classifier(before, network.outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.classifier(self.last(self.stages(self.stem(images))))
        return found
