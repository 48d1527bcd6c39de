"""Give a module tensors of other sizes, and put its layers' own numbers right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.seeds import seed_for
from selftaught.training.random_state import own_random_state

__all__ = ["new_in_shapes", "put_numbers_right", "replace_tensors", "take_shapes", "with_tensors"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def take_shapes(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Give a module's parameters and buffers the shapes of these tensors, in place, so that it can load them.

    Args:
        model: a module of the same class, as wide as it was built.
        tensors: name of a parameter or buffer -> tensor of its new shape; the numbers of axes stay.

    Raises:
        InputError: names or numbers of axes differ.

    >>> layer = take_shapes(nn.Linear(4, 3), {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)})
    >>> layer, layer(torch.zeros(1, 4)).shape
    (Linear(in_features=4, out_features=2, bias=True), torch.Size([1, 2]))
    """
    own = model.state_dict()
    differing = sorted(set(own) ^ set(tensors))
    if differing:
        raise InputError(f"the weights do not belong to this model: {differing[0]} is in one of them only")
    replaced: dict[int, torch.Tensor] = {}
    for name, one in [*model.named_parameters(), *model.named_buffers()]:
        if name not in tensors or tensors[name].shape == one.shape:
            continue
        if tensors[name].ndim != one.ndim:
            given = tuple(tensors[name].shape)
            raise InputError(f"the weights do not belong to this model: {name} is {tuple(one.shape)} here, got {given}")
        fresh = torch.zeros(tensors[name].shape, dtype=one.dtype, device=one.device)
        kept = isinstance(one, nn.Parameter)
        replaced[id(one)] = nn.Parameter(fresh, requires_grad=one.requires_grad) if kept else fresh
    replace_tensors(model, replaced)
    return model


def with_tensors(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Give a module these tensors and their shapes, in place; return it, in evaluation mode.

    Args:
        model: a module of the same class, as wide as it was built.
        tensors: name of a parameter or buffer -> tensor; the numbers of axes stay.

    Raises:
        InputError: names or numbers of axes differ.
    """
    take_shapes(model, tensors).load_state_dict(tensors)
    return model.eval()


def new_in_shapes(model: nn.Module, tensors: Mapping[str, torch.Tensor], *, seed: int) -> nn.Module:
    """Give a new module the shapes of a trained one and its constants, in place, and keep its weights new.

    Where a shape differs weights are drawn anew. Buffers are taken over, such as the mean and deviation that inputs are
    scaled by; running statistics of normalisations are not.

    Args:
        model: with new weights, as wide as it was built.
        tensors: name of a parameter or buffer -> the trained one's.
        seed: of what is drawn.

    Raises:
        InputError: names or numbers of axes differ, or a layer of another width cannot draw its weights.

    >>> layer = new_in_shapes(nn.Linear(4, 3), {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, seed=0)
    >>> layer.weight.shape, bool(layer.weight.any())
    (torch.Size([2, 4]), True)
    """
    resized = {
        name: part for name, part in model.named_modules()
        if any(own.shape != tensors.get(key, own).shape
               for key, own in (*part.named_parameters(name, recurse=False), *part.named_buffers(name, recurse=False)))
    }  # fmt: skip
    take_shapes(model, tensors)
    with own_random_state(torch.device("cpu"), seed_for(seed, "weights", "resized")):
        for name, part in resized.items():
            draw = getattr(part, "reset_parameters", None)
            if draw is None:
                raise InputError(
                    f"{name or 'the model'} ({type(part).__name__}) has another width than it is built with, and no "
                    "reset_parameters to draw new weights; begin with the model as it was before"
                )
            draw()
    for name, part in model.named_modules():
        if not isinstance(part, nn.modules.batchnorm._NormBase):
            for key, own in part.named_buffers(name, recurse=False):
                own.copy_(tensors.get(key, own))
    return model


def replace_tensors(model: nn.Module, replaced: Mapping[int, torch.Tensor]) -> None:
    """Put other tensors in the place of a module's, everywhere they are shared; layers learn their new sizes.

    Args:
        model: changed in place.
        replaced: `id` of a parameter or buffer -> what comes in its place.
    """
    for part in model.modules():
        before = {name: tuple(one.shape) for name, one in part._parameters.items() if one is not None}
        changed = False
        for held in (part._parameters, part._buffers):
            entries: dict[str, Any] = dict(held)
            for name, one in entries.items():
                if id(one) in replaced:
                    held[name] = replaced[id(one)]
                    changed = True
        if changed:
            put_numbers_right(part, before)


def put_numbers_right(part: Any, before: Mapping[str, tuple[int, ...]]) -> None:
    """Give a layer the sizes of its new tensors.

    Args:
        part: the layer.
        before: shapes of its parameters before.
    """
    if isinstance(part, nn.Linear):
        part.out_features, part.in_features = part.weight.shape
    elif isinstance(part, _CONVOLUTIONS):
        part.out_channels = part.weight.shape[0]
        if part.groups > 1 and before["weight"][1] == 1:  # depthwise
            part.groups = part.out_channels // (before["weight"][0] // part.groups)
        part.in_channels = part.weight.shape[1] * part.groups
    elif isinstance(part, _TRANSPOSED):
        part.in_channels, part.out_channels = part.weight.shape[0], part.weight.shape[1] * part.groups
    elif isinstance(part, nn.modules.batchnorm._NormBase):
        sized = part.weight if part.weight is not None else part.running_mean
        part.num_features = len(sized)
    elif isinstance(part, nn.Embedding):
        part.embedding_dim = part.weight.shape[1]
    elif isinstance(part, nn.PReLU):
        part.num_parameters = part.weight.numel()
