"""Networks designed by hand, made as costly as one that was found, to be shown beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selftaught.errors import InputError
from selftaught.spaces import CellNetwork, Network, PerceptronNetwork
from selftaught.spaces.build import cost_of

__all__ = ["RESNET_CELL", "reference_network"]

#: two 3 x 3 convolutions with a shortcut around them, as a cell of NAS-Bench-201 (arXiv 2001.00326)
RESNET_CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
_WIDEST = 4096


def reference_network(network: Network) -> Network:
    """Return a network designed by hand of the nearest cost in multiply-accumulates.

    For images a residual network of three stages of one block (five where the network has as many cells a stage), for
    tables two hidden layers of ReLU; only the width is chosen, so that the costs agree.

    Args:
        network: whose cost and data it is to have.

    Raises:
        InputError: the network is cheaper than the narrowest of these by more than a half.

    >>> table = reference_network(PerceptronNetwork((64, 64, 64), features=10, outputs=3))
    >>> table.widths
    (89, 89)
    """
    make: Callable[[int], Any]
    if len(network.input_shape) == 3:
        inputs, resolution, _ = network.input_shape
        cells = int(getattr(network, "cells", 1))

        def make(width: int) -> Any:
            return CellNetwork(
                RESNET_CELL, width=width, cells=cells, resolution=resolution, inputs=inputs, outputs=network.outputs,
                name="residual network",
            )  # fmt: skip
    else:

        def make(width: int) -> Any:
            return PerceptronNetwork(
                (width, width), features=network.input_shape[0], outputs=network.outputs, name="two hidden layers"
            )

    wanted = cost_of(network).macs
    low, high = 1, _WIDEST
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if cost_of(make(middle)).macs < wanted else (low, middle)
    found: Network = min(
        (make(width) for width in (max(low - 1, 1), low)), key=lambda one: abs(cost_of(one).macs - wanted)
    )
    if cost_of(found).macs > 1.5 * wanted:
        raise InputError(f"no network designed by hand is as cheap as {wanted:,} multiply-accumulates")
    return found
