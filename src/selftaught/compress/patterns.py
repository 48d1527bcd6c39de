"""Masks with a pattern that hardware can use: N of every M weights, and blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from selftaught.compress.densities import check_density
from selftaught.compress.prunable_weights import prunable
from selftaught.compress.ranking import largest
from selftaught.errors import InputError

__all__ = ["PatternMasks", "block_mask", "block_masks", "n_of_m_mask", "n_of_m_masks"]


@dataclass(frozen=True, eq=False)
class PatternMasks:
    """Masks of a pattern, and what it does not cover.

    Args:
        masks: name -> mask (bool).
        dense: name -> weights at the edges that belong to no whole group or block, and were kept.
    """

    masks: Mapping[str, torch.Tensor]
    dense: Mapping[str, int]


@torch.no_grad()
def n_of_m_mask(weight: torch.Tensor, n: int, m: int) -> torch.Tensor:
    """Keep the n largest magnitudes of every m consecutive weights along the input dimension.

    A convolution has groups of input channels at each place of its kernel. Ties go to the lower index. Where the inputs
    are no multiple of m, the last, incomplete group stays dense.

    Args:
        weight: (out, in, ...).
        n, m: 1 <= n <= m.

    Raises:
        InputError: n or m is out of its range, or a weight is no number.

    >>> n_of_m_mask(torch.tensor([[1.0, -4.0, 2.0, 3.0, 9.0]]), 2, 4).int().tolist()
    [[0, 1, 0, 1, 1]]
    """
    _require_pattern(n, m)
    _require_numbers(weight)
    rows = weight.detach().abs().movedim(1, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    whole = flat.shape[1] // m * m
    groups = flat[:, :whole].reshape(len(flat), -1, m)
    order = torch.sort(groups, dim=-1, descending=True, stable=True).indices[..., :n]
    kept = torch.zeros(groups.shape, dtype=torch.bool, device=weight.device).scatter_(-1, order, True)
    mask = torch.ones(flat.shape, dtype=torch.bool, device=weight.device)
    mask[:, :whole] = kept.reshape(len(flat), whole)
    return mask.reshape(rows.shape).movedim(-1, 1).contiguous()


def n_of_m_masks(model: nn.Module, n: int = 2, m: int = 4, *, ignore: Iterable[str] = ()) -> PatternMasks:
    """Return N:M masks of all prunable weights; see `n_of_m_mask`. A transposed convolution has its inputs first.

    Raises:
        InputError: n or m is out of its range, or a weight is no number.

    >>> found = n_of_m_masks(nn.Linear(10, 3), 2, 4)
    >>> int(found.masks["weight"].sum()), found.dense
    (18, {'weight': 6})
    """
    _require_pattern(n, m)
    turned = {
        id(part.weight): part.groups
        for part in model.modules()
        if isinstance(part, nn.modules.conv._ConvTransposeNd)
    }
    masks, dense = {}, {}
    for name, one in prunable(model, ignore=ignore).items():
        groups = turned.get(id(one))
        rows = one if groups is None else _turned(one, groups)
        mask = n_of_m_mask(rows, n, m)
        masks[name] = mask if groups is None else _turned(mask, groups)
        length = rows.shape[1]
        if length % m:
            dense[name] = one.numel() // length * (length % m)
    return PatternMasks(masks, dense)


def _turned(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Exchange the channels of each group: (in, out / groups, ...) -> (out, in / groups, ...), and back.

    So a transposed convolution's weight gets the axes of all others, and no row holds inputs of two groups.
    """
    apart = weight.reshape(groups, -1, *weight.shape[1:])
    return apart.transpose(1, 2).reshape(groups * weight.shape[1], -1, *weight.shape[2:])


@torch.no_grad()
def block_mask(weight: torch.Tensor, size: int, density: float) -> torch.Tensor:
    """Keep the blocks of `size` x `size` weights with the largest sums of magnitudes.

    Rows are outputs and columns all inputs of an output. Blocks at the edges that are not whole stay dense.

    Args:
        weight: (out, in, ...); more axes are flattened into columns.
        size: side of a block.
        density: share of the whole blocks to keep, exact to one block.

    Raises:
        InputError: the size is below 1, there is no whole block, none would be kept, or a weight is no number.

    >>> block_mask(torch.tensor([[1.0, 1.0, 0.0, 5.0], [1.0, 1.0, 0.0, 0.0]]), 2, 0.5).int().tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    check_density(density)
    if size < 1:
        raise InputError(f"the side of a block must be at least 1, got {size}")
    _require_numbers(weight)
    flat = weight.detach().abs().reshape(len(weight), -1)
    tall, wide = flat.shape[0] // size, flat.shape[1] // size
    if tall * wide == 0:
        raise InputError(f"blocks of {size} x {size} do not fit a weight of {flat.shape[0]} x {flat.shape[1]}")
    sums = flat[: tall * size, : wide * size].reshape(tall, size, wide, size).sum(dim=(1, 3))
    count = round(density * tall * wide)
    if count < 1:
        raise InputError(f"density {density:g} leaves none of {tall * wide} blocks; take a higher density")
    kept = largest(sums, count).repeat_interleave(size, 0).repeat_interleave(size, 1)
    mask = torch.ones(flat.shape, dtype=torch.bool, device=weight.device)
    mask[: tall * size, : wide * size] = kept
    return mask.reshape(weight.shape)


def block_masks(
    model: nn.Module, density: float, *, size: int = 16, ignore: Iterable[str] = ()
) -> PatternMasks:
    """Return masks of blocks of all prunable weights; see `block_mask`. A weight smaller than a block stays dense.

    Raises:
        InputError: the size is below 1, or a layer would keep no block.

    >>> found = block_masks(nn.Linear(36, 32), 0.25, size=16)
    >>> int(found.masks["weight"].sum()), found.dense
    (384, {'weight': 128})
    """
    check_density(density)
    if size < 1:
        raise InputError(f"the side of a block must be at least 1, got {size}")
    masks, dense = {}, {}
    for name, one in prunable(model, ignore=ignore).items():
        rows, columns = one.shape[0], one[0].numel()
        covered = rows // size * size * (columns // size * size)
        if covered:
            if round(density * covered / size**2) < 1:
                raise InputError(
                    f"density {density:g} leaves none of the {covered // size**2} blocks of {name}; "
                    "take a higher density or smaller blocks, or ignore this layer"
                )
            masks[name] = block_mask(one, size, density)
        else:
            masks[name] = torch.ones_like(one, dtype=torch.bool)
        if covered < one.numel():
            dense[name] = one.numel() - covered
    return PatternMasks(masks, dense)


def _require_pattern(n: int, m: int) -> None:
    if not 1 <= n <= m:
        raise InputError(f"n of m needs 1 <= n <= m, got {n} of {m}")


def _require_numbers(weight: torch.Tensor) -> None:
    if bool(weight.isnan().any()):
        raise InputError(f"a weight of shape {tuple(weight.shape)} is not all numbers; check the model")
