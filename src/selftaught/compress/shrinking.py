"""Take places out of a module's tensors, and put its layers' own numbers right."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.compress.walking import Walk

__all__ = ["kept_places", "masked_copy", "put_numbers_right", "shrunk"]

#: Name of a tensor -> for each axis which places are kept.
Kept = Mapping[str, list[NDArray[np.bool_]]]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def kept_places(found: Walk, gone: frozenset[int]) -> dict[str, list[NDArray[np.bool_]]]:
    """Return which places of each tensor are left; only tensors that lose something.

    Args:
        found: the walk through the model.
        gone: roots of what is removed.
    """
    places = {}
    for name, labels in found.tensors.items():
        kept = [np.array([int(root) not in gone for root in found.held.roots(one)], dtype=np.bool_) for one in labels]
        if not all(bool(one.all()) for one in kept):
            places[name] = kept
    return places


@torch.no_grad()
def masked_copy(model: nn.Module, kept: Kept) -> nn.Module:
    """Return a copy whose parameters are zero wherever a place is not kept."""
    own = copy.deepcopy(model)
    for name, one in own.named_parameters():
        for axis, places in enumerate(kept.get(name, ())):
            gone = torch.from_numpy(np.flatnonzero(~places)).to(one.device)
            one.index_fill_(axis, gone, 0)
    return own


@torch.no_grad()
def shrunk(model: nn.Module, kept: Kept) -> nn.Module:
    """Return a copy without the places that are not kept; shared parameters stay shared."""
    own = copy.deepcopy(model)
    replaced: dict[int, torch.Tensor] = {}
    for name, one in [*own.named_parameters(), *own.named_buffers()]:
        if name not in kept:
            continue
        smaller = one.detach()
        for axis, places in enumerate(kept[name]):
            smaller = smaller.index_select(axis, torch.from_numpy(np.flatnonzero(places)).to(one.device))
        replaced[id(one)] = (
            nn.Parameter(smaller.clone(), requires_grad=one.requires_grad)
            if isinstance(one, nn.Parameter)
            else smaller.clone()
        )
    for part in own.modules():
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
    return own


def put_numbers_right(part: Any, before: Mapping[str, tuple[int, ...]]) -> None:
    """Give a layer the sizes of its new tensors.

    Args:
        part: a module; of kinds without such numbers it is left alone.
        before: name of each of its parameters -> shape before.
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
