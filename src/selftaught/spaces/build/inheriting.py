"""Give a network the weights of another where they fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

__all__ = ["inherit"]


def inherit(child: nn.Module, parent: Mapping[str, torch.Tensor]) -> int:
    """Copy into a module the weights of its parent that have the same name and shape.

    Names follow from the place of a layer and the operation chosen there, so what a mutation left alone is inherited
    and what it changed keeps its fresh weights.

    Args:
        child: changed in place.
        parent: state of the parent, name -> tensor.

    Returns:
        How many numbers were copied, buffers included.

    >>> first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    >>> inherit(second, first.state_dict()), bool((second.weight == first.weight).all())
    (8, True)
    """
    own = child.state_dict()
    fitting = {name: value for name, value in parent.items() if name in own and own[name].shape == value.shape}
    child.load_state_dict(fitting, strict=False)
    return sum(value.numel() for value in fitting.values())
