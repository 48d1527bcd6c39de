"""From the description of a network to a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from selftaught.errors import InputError
from selftaught.spaces.build.cells import CellModule
from selftaught.spaces.build.chain import ChainModule
from selftaught.spaces.build.nasnet import NasnetModule
from selftaught.spaces.build.perceptron import perceptron_module
from selftaught.spaces.build.stack import StackModule
from selftaught.spaces.network import Network

__all__ = ["build"]

_BUILDERS: Mapping[str, Callable[[Any], nn.Module]] = {
    "stack": StackModule,
    "cells": CellModule,
    "nasnet": NasnetModule,
    "chain": ChainModule,
    "mlp": perceptron_module,
}


def build(network: Network) -> nn.Module:
    """Return a network as a module, with torch's usual initial weights.

    Args:
        network: its description.

    Returns:
        A module that takes float32 (n, *input_shape) and gives (n, outputs).

    Raises:
        InputError: there is no builder for such a network.

    >>> import torch
    >>> from selftaught.spaces import Stack, Stage
    >>> stack = Stack((Stage(1, 3, 1, 2, 8),), stem=8, head=16, stem_stride=1, resolution=8, inputs=1, outputs=10)
    >>> build(stack)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    kind = str(getattr(network, "kind", type(network).__name__))
    if kind not in _BUILDERS:
        raise InputError(f"a network of kind {kind!r} cannot be built; known are {', '.join(_BUILDERS)}")
    return _BUILDERS[kind](network)
