"""Which weights may be pruned, and what a model's sparsity is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from selftaught.errors import InputError, did_you_mean

__all__ = ["LayerSparsity", "Sparsity", "prunable", "sparsity"]

NORMALISATIONS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm,
)  # fmt: skip


@dataclass(frozen=True)
class LayerSparsity:
    """Zeros of one weight.

    Args:
        name: of the parameter.
        weights: their number.
        nonzero: those that are not zero.
    """

    name: str
    weights: int
    nonzero: int

    @property
    def density(self) -> float:
        """Share that is not zero."""
        return self.nonzero / self.weights


@dataclass(frozen=True)
class Sparsity:
    """Zeros of a model, each shared parameter counted once.

    Args:
        layers: one a prunable weight.
        parameters: all parameters of the model.
        nonzero: those of them that are not zero.
    """

    layers: tuple[LayerSparsity, ...]
    parameters: int
    nonzero: int

    @property
    def of_prunable(self) -> float:
        """Share of zeros among the prunable weights."""
        return 1 - sum(one.nonzero for one in self.layers) / sum(one.weights for one in self.layers)

    @property
    def of_all(self) -> float:
        """Share of zeros among all parameters."""
        return 1 - self.nonzero / self.parameters


def prunable(model: nn.Module, *, ignore: Iterable[str] = ()) -> dict[str, nn.Parameter]:
    """Return the weights that may be pruned: more than one axis, no bias, of no normalisation.

    A weight that several layers share stands there once, under its first name.

    Args:
        model: any module.
        ignore: names of parameters or of modules to leave out.

    Raises:
        InputError: there is no such name, or nothing is left to prune.

    >>> list(prunable(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)), ignore=["2"]))
    ['0.weight']
    """
    given = list(ignore)
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    known |= {name for name, _ in model.named_modules(remove_duplicate=False)}
    for name in given:
        if name not in known:
            raise InputError(f"there is no parameter or module {name!r} to ignore{did_you_mean(name, known)}")
    normalising = {
        id(one) for part in model.modules() if isinstance(part, NORMALISATIONS) for one in part.parameters()
    }
    left_out = {
        id(one)
        for name, one in model.named_parameters(remove_duplicate=False)
        if any(name == other or name.startswith(f"{other}.") for other in given)
    }
    found = {
        name: one
        for name, one in model.named_parameters()
        if one.ndim > 1
        and id(one) not in normalising | left_out
        and not name.rpartition(".")[2].startswith("bias")
        and one.is_floating_point()
    }
    if not found:
        shapes = ", ".join(f"{name} {tuple(one.shape)}" for name, one in model.named_parameters()) or "no parameter"
        raise InputError(f"the model has no weight to prune (more than one axis, not ignored); it has {shapes}")
    return found


@torch.no_grad()
def sparsity(
    model: nn.Module, *, masks: Mapping[str, torch.Tensor] | None = None, ignore: Iterable[str] = ()
) -> Sparsity:
    """Count a model's zeros, layer by layer.

    Args:
        model: any module.
        masks: counted as if they were applied.
        ignore: names of parameters or modules that are not counted as prunable.

    Raises:
        InputError: a mask is of no parameter or of another shape, or nothing is left to prune.

    >>> layer = nn.Linear(2, 2)
    >>> with torch.no_grad():
    ...     _ = layer.weight[0].zero_(), layer.bias.fill_(1.0), layer.weight[1].fill_(1.0)
    >>> found = sparsity(layer)
    >>> found.of_prunable, round(found.of_all, 3), found.layers[0].nonzero
    (0.5, 0.333, 2)
    """
    held = masks or {}
    named = dict(model.named_parameters())
    for name, mask in held.items():
        if name not in named:
            raise InputError(f"there is no parameter {name!r} to mask{did_you_mean(name, named)}")
        if mask.shape != named[name].shape:
            wanted = tuple(named[name].shape)
            raise InputError(f"the mask of {name} must have shape {wanted}, got {tuple(mask.shape)}")

    def count(name: str, one: torch.Tensor) -> int:
        return int(torch.count_nonzero(one * held[name].to(one) if name in held else one))

    weights = prunable(model, ignore=ignore)
    counts = {name: count(name, one) for name, one in named.items()}
    return Sparsity(
        tuple(LayerSparsity(name, one.numel(), counts[name]) for name, one in weights.items()),
        sum(one.numel() for one in model.parameters()),
        sum(counts.values()),
    )
