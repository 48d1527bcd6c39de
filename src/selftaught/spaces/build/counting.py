"""Count multiply-accumulates and parameters of what is built, without any memory for it."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from selftaught.spaces.build.building import build
from selftaught.spaces.network import Cost, Network

__all__ = ["cost_of", "count"]


def count(network: Network) -> Cost:
    """Build a network on the meta device and count: half of torch's flops of one example, and trainable parameters.

    Raises:
        InputError: it cannot be built.
    """
    with torch.device("meta"):
        module = build(network).eval()
        example = torch.empty(1, *network.input_shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(example)
    return Cost(counter.get_total_flops() // 2, sum(p.numel() for p in module.parameters() if p.requires_grad))


def cost_of(network: Network) -> Cost:
    """Return the cost in closed form where the network has one, otherwise counted.

    >>> from selftaught.spaces import PerceptronNetwork
    >>> cost_of(PerceptronNetwork((8,), features=2, outputs=2))
    Cost(macs=32, parameters=42)
    """
    closed = getattr(network, "cost", None)
    found: Cost = closed() if closed is not None else count(network)
    return found
