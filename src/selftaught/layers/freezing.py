"""Networks of which only some numbers are trained: the normalisations, or as many weights of convolutions."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from selftaught.errors import require_one_of

__all__ = ["Trained", "train_only"]

Trained = Literal["norm", "weights", "all"]


def train_only(network: nn.Module, what: Trained, rng: np.random.Generator) -> int:
    """Fix all of a network as it was drawn, the last layer included, but for what is to be trained.

    The set-up of "Training BatchNorm and Only BatchNorm" (Frankle et al., arXiv 2003.00152), and its control.

    Args:
        network: changed in place.
        what: "norm" trains scales and shifts; "weights" as many single weights of the convolutions, drawn at random;
            "all" everything.
        rng: draws the weights.

    Returns:
        How many scales and shifts there are.

    Raises:
        InputError: `what` is none of these.

    >>> import torch
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    >>> train_only(network, "norm", np.random.default_rng(0))
    8
    >>> [parameter.requires_grad for parameter in network.parameters()]
    [False, False, True, True]
    """
    require_one_of("what", what, get_args(Trained))
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    convolutions = [one for one in network.modules() if isinstance(one, nn.Conv2d)]
    numbers = int(sum(parameter.numel() for one in norms for parameter in one.parameters()))
    if what == "all":
        return numbers
    network.requires_grad_(False)
    if what == "norm":
        for one in norms:
            one.requires_grad_(True)
        return numbers
    weights = [one.weight for one in convolutions]
    sizes = [weight.numel() for weight in weights]
    chosen = torch.zeros(sum(sizes))
    chosen[torch.as_tensor(rng.choice(len(chosen), numbers, replace=False))] = 1.0
    for weight, mask in zip(weights, chosen.split(sizes), strict=True):
        weight.requires_grad_(True)
        weight.register_hook(_Masked(mask.view_as(weight)))
    return numbers


class _Masked:
    """Lets the gradient through where a mask is one."""

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask

    def __call__(self, slope: torch.Tensor) -> torch.Tensor:
        return slope * self.mask
