"""Take places out of a module's tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.compress.walking import Walk
from selftaught.training.resizing import replace_tensors

__all__ = ["kept_places", "masked_copy", "shrunk"]

#: Name of a tensor -> for each axis which places are kept.
Kept = Mapping[str, list[NDArray[np.bool_]]]


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
    replace_tensors(own, replaced)
    return own
