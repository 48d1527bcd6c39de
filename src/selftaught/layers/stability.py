"""Whether a network stays sane when its weights are pushed to where its gradients are largest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["Ascent", "gradient_ascent"]


@dataclass(frozen=True)
class Ascent:
    """How an ascent ended.

    Args:
        norm: the largest norm of the gradient that was met; infinite where something was not a number.
        steps: how many steps were taken.
        stopped: whether it was told to stop before its end.
    """

    norm: float
    steps: int
    stopped: bool = False


def gradient_ascent(
    model: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    steps: int = 100,
    rate: float = 0.1,
    largest: float = 1e8,
    masks: Mapping[str, torch.Tensor] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Ascent:
    """Change the convolutions' weights so that the norm of the network's gradient grows, and see how far.

    The stability test of "Evolving Normalization-Activation Layers" (arXiv 2004.02967, section 3.2): w <- w + rate
    d|dL/dw|/dw, where L is the loss on one batch and w are the weights of all convolutions. The model is changed.

    Args:
        model: in training mode afterwards.
        inputs: (n, channels, height, width).
        labels: (n,) class numbers.
        steps: of the ascent.
        rate: of the ascent; ours.
        largest: a norm beyond this ends it.
        masks: name of a weight -> which of it there is; the rest is zero and stays so.
        stop: asked before every step.

    >>> import torch
    >>> torch.manual_seed(0) and None
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    >>> gradient_ascent(model, torch.ones(4, 1, 3, 3), torch.tensor([0, 1, 0, 1]), steps=3).steps
    3
    """
    model.train()
    weights = [one.weight for one in model.modules() if isinstance(one, nn.Conv2d)]
    named = {name: mask.to(torch.bool) for name, mask in (masks or {}).items()}
    given = {id(one): named[name] for name, one in model.named_parameters() if name in named}
    kept = [given.get(id(one), torch.ones_like(one, dtype=torch.bool)) for one in weights]
    with torch.no_grad():
        for weight, mask in zip(weights, kept, strict=True):
            weight *= mask
    highest = 0.0
    for step in range(steps):
        if stop is not None and stop():
            return Ascent(highest, step, stopped=True)
        loss = nn.functional.cross_entropy(model(inputs), labels)
        slopes = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
        squares = [
            (slope * mask).square().sum() for slope, mask in zip(slopes, kept, strict=True) if slope is not None
        ]
        norm = torch.stack(squares).sum().sqrt() if squares else loss.new_zeros(())
        size = float(norm.detach())
        if not math.isfinite(size):
            return Ascent(math.inf, step + 1)
        highest = max(highest, size)
        if size > largest:
            return Ascent(highest, step + 1)
        if size == 0 or not norm.requires_grad:  # nowhere to go
            return Ascent(highest, steps)
        up = torch.autograd.grad(norm, weights, allow_unused=True)
        with torch.no_grad():
            for weight, slope, mask in zip(weights, up, kept, strict=True):
                if slope is not None:
                    weight += rate * slope * mask
    return Ascent(highest, steps)
