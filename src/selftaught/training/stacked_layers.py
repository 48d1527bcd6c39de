"""Layers of many members at once: what each kind of layer does with tensors (members, n, ...).

One rule a kind of layer. A model made of `Sequential`s of these alone runs without vmap, which costs more than a small
layer's own work on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from selftaught.training.models import Restore, Standardise

__all__ = ["RULES", "member_dropout", "plan_of"]

#: Finds the stacked tensor (members, ...) of a parameter or buffer of the template, or None for None.
Stacked = Callable[[torch.Tensor | None], Any]
Rule = Callable[[Any, Stacked, torch.Tensor, Sequence[torch.Generator]], torch.Tensor]


def plan_of(template: nn.Module) -> list[nn.Module] | None:
    """Return the layers of a model in their order, or None when it is more than a chain of known layers."""
    if type(template) is nn.Sequential:
        plans = [plan_of(one) for one in template]
        return None if any(plan is None for plan in plans) else [layer for plan in plans for layer in plan or ()]
    if type(template) not in RULES or _has_hooks(template):
        return None
    if isinstance(template, nn.modules.batchnorm._BatchNorm) and (
        template.momentum is None or not template.track_running_stats or not template.affine
    ):
        return None
    if isinstance(template, nn.Conv2d) and (template.padding_mode != "zeros" or isinstance(template.padding, str)):
        return None
    if isinstance(template, nn.Flatten) and (template.start_dim, template.end_dim) != (1, -1):
        return None
    return [template]


def _has_hooks(module: nn.Module) -> bool:
    return any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks))


def member_dropout(
    rate: float, inputs: torch.Tensor, generators: Sequence[torch.Generator], shape: Sequence[int]
) -> torch.Tensor:
    """Drop at random, each member from its own generator: on a CPU the very numbers that torch's dropout would draw.

    Args:
        rate: share that is dropped.
        inputs: (members, n, ...).
        generators: one a member.
        shape: of one member's mask; broadcasts against its inputs.
    """
    if rate == 0:
        return inputs
    masks = torch.empty((len(generators), *shape), dtype=inputs.dtype, device=inputs.device)
    for mask, generator in zip(masks, generators, strict=True):
        mask.bernoulli_(1 - rate, generator=generator)
    return inputs * masks.div_(1 - rate)


def _linear(
    layer: nn.Linear, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    weight, bias = stacked(layer.weight), stacked(layer.bias)
    rows = inputs.flatten(1, -2)
    if bias is None:
        found = torch.bmm(rows, weight.transpose(1, 2))
    else:
        found = torch.baddbmm(bias[:, None], rows, weight.transpose(1, 2))
    return found.unflatten(1, inputs.shape[1:-1]) if inputs.ndim > 3 else found


def _conv2d(
    layer: nn.Conv2d, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Convolve as one grouped convolution, with the members' channels side by side."""
    members = len(inputs)
    bias = stacked(layer.bias)
    found = functional.conv2d(
        inputs.transpose(0, 1).flatten(1, 2), stacked(layer.weight).flatten(0, 1),
        None if bias is None else bias.flatten(), layer.stride, layer.padding, layer.dilation, layer.groups * members,
    )  # fmt: skip
    return found.unflatten(1, (members, -1)).transpose(0, 1)


def _batch_norm(
    layer: Any, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Normalise each member's channels, side by side."""
    channels = inputs.transpose(0, 1).flatten(1, 2)
    stacked(layer.num_batches_tracked).add_(1)
    found = functional.batch_norm(
        channels, stacked(layer.running_mean).view(-1), stacked(layer.running_var).view(-1),
        stacked(layer.weight).reshape(-1), stacked(layer.bias).reshape(-1), True, layer.momentum, layer.eps,
    )  # fmt: skip
    return found.unflatten(1, (len(inputs), -1)).transpose(0, 1)


def _dropout(
    layer: nn.Dropout, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    return member_dropout(layer.p, inputs, generators, inputs.shape[1:])


def _flatten(
    layer: nn.Flatten, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    return inputs.flatten(2)


def _by_element(
    layer: nn.Module, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    found: torch.Tensor = layer(inputs)
    return found


def _by_image(
    layer: nn.Module, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Treat the members as more images."""
    found: torch.Tensor = layer(inputs.flatten(0, 1))
    return found.unflatten(0, inputs.shape[:2])


def _standardise(
    layer: Standardise, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    return (inputs - stacked(layer.mean)[:, None]) * stacked(layer.scale)[:, None]


def _restore(
    layer: Restore, stacked: Stacked, inputs: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    return inputs * stacked(layer.scale)[:, None] + stacked(layer.mean)[:, None]


#: By the exact type: what derives from a layer may do something else.
RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Dropout: _dropout,
    nn.Flatten: _flatten,
    nn.Identity: _by_element,
    nn.ReLU: _by_element,
    nn.LeakyReLU: _by_element,
    nn.GELU: _by_element,
    nn.SiLU: _by_element,
    nn.Tanh: _by_element,
    nn.Sigmoid: _by_element,
    nn.MaxPool2d: _by_image,
    nn.AvgPool2d: _by_image,
    nn.AdaptiveAvgPool2d: _by_image,
    Standardise: _standardise,
    Restore: _restore,
}
