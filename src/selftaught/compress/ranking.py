"""From scores to masks: exactly so many weights with the largest scores, in each layer or over all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch

from selftaught.compress.densities import check_density, kept_counts
from selftaught.errors import InputError, require_one_of

__all__ = ["Ranking", "largest", "masks_of", "refuse_collapse"]

Ranking = Literal["per_layer", "global", "erk"]
Tensors = Mapping[str, torch.Tensor]


@torch.no_grad()
def largest(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Return a mask of exactly `count` places with the largest scores; ties go to the lower index.

    Args:
        scores: of any shape, without nan.
        count: 0 to the number of scores.

    >>> largest(torch.tensor([1.0, 3.0, 3.0, 3.0]), 2)
    tensor([False,  True,  True, False])
    """
    flat = scores.reshape(-1)
    if not 0 < count < len(flat):
        return torch.full(scores.shape, count > 0, dtype=torch.bool, device=flat.device)
    # Selecting takes a fraction of the time of sorting; what ties at the border is filled up in order.
    border = torch.kthvalue(flat, len(flat) - count + 1).values
    mask = flat > border
    mask[(flat == border).nonzero()[: count - int(mask.sum()), 0]] = True
    return mask.reshape(scores.shape)


def masks_of(
    scores: Tensors, density: float, *, ranking: Ranking = "per_layer", allow_collapse: bool = False
) -> dict[str, torch.Tensor]:
    """Keep the weights with the largest scores.

    Args:
        scores: name -> score of each weight.
        density: share of all weights to keep, exact to one weight ("per_layer": to one weight a layer).
        ranking: "per_layer", the same density everywhere; "global", one threshold over all layers; "erk", see
            `erk_densities`.
        allow_collapse: let a layer lose all its weights under "global".

    Returns:
        Name -> mask (bool) of the scores' shape.

    Raises:
        InputError: an option is out of its range, a score is no number, or a layer would lose all its weights.

    >>> masks = masks_of({"a": torch.tensor([4.0, 1.0]), "b": torch.tensor([3.0, 2.0])}, 0.75, ranking="global")
    >>> masks["a"].tolist(), masks["b"].tolist()
    ([True, False], [True, True])
    """
    check_density(density)
    require_one_of("ranking", ranking, get_args(Ranking))
    for name, one in scores.items():
        if bool(one.isnan().any()):
            raise InputError(f"the scores of {name} are not all numbers; check the model's weights and the data")
    shapes = {name: tuple(one.shape) for name, one in scores.items()}
    if ranking != "global":
        counts = kept_counts(shapes, density, "erk" if ranking == "erk" else "per_layer")
        return {name: largest(one, counts[name]) for name, one in scores.items()}
    total = sum(one.numel() for one in scores.values())
    together = torch.cat([one.detach().reshape(-1) for one in scores.values()])
    parts = largest(together, round(density * total)).split([one.numel() for one in scores.values()])
    masks = {name: part.reshape(shapes[name]).clone() for name, part in zip(scores, parts, strict=True)}
    if not allow_collapse:
        refuse_collapse(masks, f"ranking over all layers at density {density:g}")
    return masks


def refuse_collapse(masks: Tensors, method: str) -> None:
    """Check that every layer keeps a weight.

    Raises:
        InputError: one does not; with its name and the method's.
    """
    for name, mask in masks.items():
        if not bool(mask.any()):
            raise InputError(
                f"{method} leaves no weight in {name}; take a higher density, ranking='erk' or 'per_layer', "
                "or allow_collapse=True"
            )
