"""Networks of repeated cells: the cell is what was found, and widths and repeats are free. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from selftaught.spaces.nasnet import nasnet_cells
from selftaught.spaces.nb201 import nb201_cell
from selftaught.spaces.network import Cost, check_sizes
from selftaught.spaces.rounding import round_channels, round_repeats, round_resolution
from selftaught.spaces.space import Choice

__all__ = ["CellNetwork", "NasnetNetwork"]


class _Cells:
    """What networks of stages of cells share: channels double, and pixels halve, from stage to stage."""

    width: int
    cells: int
    stages: int
    resolution: int
    inputs: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every stage."""
        return tuple(self.width * 2**k for k in range(self.stages))

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of the images in every stage."""
        found = [self.resolution]
        for _ in range(self.stages - 1):
            found.append(-(-found[-1] // 2))
        return tuple(found)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (channels, height, width)."""
        return (self.inputs, self.resolution, self.resolution)

    @property
    def total_stride(self) -> int:
        """How many pixels of the image become one at the end, on each side."""
        return int(2 ** (self.stages - 1))

    def scaled(self, *, depth: float = 1.0, width: float = 1.0, resolution: float = 1.0, multiple: int = 8) -> Self:
        """Return the network with factors on the cells of a stage, on channels and on pixels.

        Raises:
            InputError: a factor is not above 0.
        """
        sizes: dict[str, Any] = {
            "cells": round_repeats(self.cells, depth),
            "width": round_channels(self.width, width, multiple),
            "resolution": round_resolution(self.resolution, resolution, self.total_stride),
        }
        return replace(self, **sizes)  # type: ignore[type-var]


@dataclass(frozen=True)
class CellNetwork(_Cells):
    """The network of NAS-Bench-201 (arXiv 2001.00326) around a cell of any width, depth and size of image.

    A 3 x 3 convolution; stages of cells, with a residual block of stride 2 between them; BatchNorm, ReLU, global
    average pooling, a linear layer.

    Args:
        cell: its text.
        width: channels of the first stage; they double with each stage.
        cells: a stage.
        stages: 3 in the paper.
        resolution: side of the images.
        inputs: channels of the images.
        outputs: classes, or 1 for a number.
        name: what it is called.

    Raises:
        InputError: the text is no cell, or a size is below 1.

    >>> CellNetwork("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|").cost().parameters
    344346
    """

    cell: str
    width: int = 16
    cells: int = 5
    stages: int = 3
    resolution: int = 32
    inputs: int = 3
    outputs: int = 10
    name: str = "cells"

    kind = "cells"

    def __post_init__(self) -> None:
        nb201_cell().decode(self.cell)
        _check(self)

    @property
    def operations(self) -> list[str]:
        """Operations of the six edges."""
        return [str(choice) for choice in nb201_cell().decode(self.cell).values()]

    def cost(self) -> Cost:
        """Return multiply-accumulates of one image and trainable parameters, in closed form.

        All edges count, also those that reach no output: 9C^2 + 2C weights for a 3 x 3 edge, C^2 + 2C for a 1 x 1 edge.
        """
        threes, ones = (self.operations.count(f"nor_conv_{k}x{k}") for k in (3, 1))
        stem = 9 * self.inputs * self.width
        macs, parameters, before = stem * self.sides[0] ** 2, stem + 2 * self.width, 0
        for width, side in zip(self.widths, self.sides, strict=True):
            weights = self.cells * (9 * threes + ones) * width**2
            parameters += weights + self.cells * (threes + ones) * 2 * width
            if before:
                reduction = 9 * before * width + 9 * width**2 + before * width
                weights += reduction
                parameters += reduction + 4 * width
            macs += weights * side**2
            before = width
        head = before * self.outputs
        return Cost(macs + head, parameters + 2 * before + head + self.outputs)


@dataclass(frozen=True)
class NasnetNetwork(_Cells):
    """Stages of normal cells with a reduction cell between them (NASNet, arXiv 1707.07012).

    Args:
        candidate: the choices of both cells.
        width: channels of an operation in the first stage; they double with each reduction.
        cells: normal cells a stage.
        stages: 3 in the paper on small images.
        stem: channels of the first convolution over the width.
        resolution: side of the images.
        inputs: channels of the images.
        outputs: classes, or 1 for a number.
        name: what it is called.

    Raises:
        InputError: the candidate is none of the space, or a size is below 1.
    """

    candidate: Mapping[str, Choice]
    width: int = 32
    cells: int = 6
    stages: int = 3
    stem: int = 3
    resolution: int = 32
    inputs: int = 3
    outputs: int = 10
    name: str = "nasnet"

    kind = "nasnet"

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidate", dict(self.candidate))
        nasnet_cells(self.blocks).validate(self.candidate)
        _check(self)
        check_sizes("a network of cells", stem=self.stem)

    @property
    def blocks(self) -> int:
        """Blocks of a cell."""
        return max(1, sum(str(name).startswith("normal ") and str(name).endswith("combine") for name in self.candidate))


def _check(network: CellNetwork | NasnetNetwork) -> None:
    sizes = ("width", "cells", "stages", "resolution", "inputs", "outputs")
    check_sizes("a network of cells", **{name: getattr(network, name) for name in sizes})
