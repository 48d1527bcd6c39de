"""Supermasks: weights stay at random, and only which of them are used is learned (edge-popup)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils import parametrize

from selftaught.compress.densities import check_density, kept_counts
from selftaught.compress.prunable_weights import NORMALISATIONS, prunable
from selftaught.compress.ranking import largest
from selftaught.errors import require_one_of
from selftaught.examples import Examples, Task
from selftaught.seeds import seed_for
from selftaught.training.config import SGD, TrainConfig
from selftaught.training.fitting import Fitted, fit

__all__ = ["Supermask", "optimise_mask", "random_weights"]

Weights = Literal["signed_constant", "kaiming_normal"]


@dataclass(frozen=True, eq=False)
class Supermask:
    """A model of random weights and the mask that was found for it.

    Args:
        model: an ordinary sparse module: random weights times mask.
        masks: name -> mask (bool).
        fitted: the run that found them.
        keep: share of each layer's weights.
        weights: which kind of random weights.
        seed: that they come from; `random_weights` and the masks give the parameters again.
    """

    model: nn.Module
    masks: Mapping[str, torch.Tensor]
    fitted: Fitted
    keep: float
    weights: Weights
    seed: int

    @property
    def bits(self) -> int:
        """Bits that the masks take: one a weight. Running statistics of normalisations come on top."""
        return sum(mask.numel() for mask in self.masks.values())


class _Straight(torch.autograd.Function):
    """Top-k of magnitudes forwards, the identity to the magnitudes backwards."""

    @staticmethod
    def forward(context: Any, magnitudes: torch.Tensor, count: int) -> torch.Tensor:
        return largest(magnitudes, count).to(magnitudes.dtype)

    @staticmethod
    def backward(context: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None]:
        return slope, None


class _PopUp(nn.Module):
    """Multiplies a fixed weight by the mask of the largest |score|."""

    def __init__(self, weight: torch.Tensor, count: int, generator: torch.Generator) -> None:
        super().__init__()
        self.count = count
        self.score = nn.Parameter(torch.empty_like(weight, memory_format=torch.contiguous_format))
        nn.init.kaiming_uniform_(self.score, a=math.sqrt(5), generator=generator)

    def mask(self) -> torch.Tensor:
        return largest(self.score.detach().abs(), self.count)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * _Straight.apply(self.score.abs(), self.count)


@torch.no_grad()
def random_weights(
    model: nn.Module,
    *,
    keep: float = 1.0,
    weights: Weights = "signed_constant",
    seed: int = 0,
    ignore: Iterable[str] = (),
) -> nn.Module:
    """Return a copy of a model whose parameters come from a seed: what a supermask chooses from.

    Prunable weights are Kaiming normal, or the sign of that times std sqrt(1 / keep) with std = sqrt(2 / fan_in)
    (Ramanujan et al., arXiv 1911.13299, section 3.3). Biases are 0, normalisations scale by 1, and parameters that are
    none of these, such as the slopes of a PReLU, keep their values.

    Args:
        model: any module; its shapes and buffers are used.
        keep: share of the weights that a mask will keep.
        weights: "signed_constant" or "kaiming_normal".
        seed: of the weights.
        ignore: names of parameters or modules that keep their own weights.

    >>> drawn = random_weights(nn.Linear(8, 4), keep=0.5)
    >>> sorted({round(one, 4) for one in drawn.weight.reshape(-1).tolist()}), drawn.bias.tolist()
    ([-0.7071, 0.7071], [0.0, 0.0, 0.0, 0.0])
    """
    check_density(keep)
    require_one_of("weights", weights, ("signed_constant", "kaiming_normal"))
    own = copy.deepcopy(model)
    chosen = prunable(own, ignore=ignore)
    spared = {id(one) for name, one in own.named_parameters() if _within(name, ignore)}
    normalising = {
        id(one) for part in own.modules() if isinstance(part, NORMALISATIONS) for one in part.parameters()
    }
    for name, one in own.named_parameters():
        if name in chosen:
            generator = torch.Generator().manual_seed(seed_for(seed, "supermask weights", name) % 2**63)
            drawn = torch.empty(one.shape)
            nn.init.kaiming_normal_(drawn, nonlinearity="relu", generator=generator)
            if weights == "signed_constant":
                fan_in = nn.init._calculate_correct_fan(drawn, "fan_in")
                drawn = torch.where(drawn < 0, -1.0, 1.0) * math.sqrt(2 / fan_in) * math.sqrt(1 / keep)
            one.copy_(drawn)
        elif id(one) not in spared and name.rpartition(".")[2].startswith("bias"):
            one.fill_(0.0)
        elif id(one) not in spared and id(one) in normalising:
            one.fill_(1.0)
    return own


def optimise_mask(
    model: nn.Module,
    data: Task | Examples | Iterable[Any],
    config: TrainConfig | None = None,
    *,
    keep: float = 0.5,
    weights: Weights = "signed_constant",
    ignore: Iterable[str] = (),
    **more: Any,
) -> Supermask:
    """Search the mask under which a network of random weights works, by edge-popup (arXiv 1911.13299, section 3.2).

    Every weight has a score; a layer uses the share `keep` of its weights with the largest |score|, and the gradient
    goes straight through that choice. Nothing else is trained.

    Args:
        model: any module; left as it was.
        data: what to train on.
        config: of the scores; 20 epochs of SGD with rate 0.1, momentum 0.9, weight decay 5e-4 and a cosine by default.
        keep: share of each layer's weights.
        weights: "signed_constant" or "kaiming_normal"; see `random_weights`.
        ignore: names of parameters or modules that stay as they are, unmasked.
        more: further arguments of `fit`, such as `valid`.

    Raises:
        InputError: an option is out of its range, or a layer would keep no weight.

    >>> from selftaught import load
    >>> from selftaught.training import mlp
    >>> iris = load("iris")
    >>> found = optimise_mask(mlp(iris, hidden=(16,)), iris, TrainConfig(epochs=2), keep=0.25)
    >>> {name: int(mask.sum()) for name, mask in found.masks.items()}, found.bits
    ({'2.weight': 16, '4.weight': 12}, 112)
    """
    ignored = tuple(ignore)
    config = config or TrainConfig(optimiser=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4))
    drawn = random_weights(model, keep=keep, weights=weights, seed=config.seed, ignore=ignored)
    chosen = prunable(drawn, ignore=ignored)
    counts = kept_counts({name: tuple(one.shape) for name, one in chosen.items()}, keep)
    searched = copy.deepcopy(drawn)
    for one in searched.parameters():
        one.requires_grad_(False)
    scores = _add_scores(searched, counts, config.seed, ignored)
    fitted = fit(searched, data, config, **more)
    masks = {name: one.mask() for name, one in scores.items()}
    buffers = dict(searched.named_buffers())
    with torch.no_grad():
        for name, buffer in drawn.named_buffers():
            buffer.copy_(buffers[name])  # running statistics
        for name, one in chosen.items():
            one.mul_(masks[name])
    return Supermask(drawn, masks, fitted, keep, weights, config.seed)


def _add_scores(model: nn.Module, counts: Mapping[str, int], seed: int, ignore: Iterable[str]) -> dict[str, _PopUp]:
    """Put scores on all prunable weights, one for all uses of a weight; return them by its name."""
    uses: dict[int, list[tuple[nn.Module, str]]] = {}
    for part in model.modules():
        for own_name, one in part._parameters.items():
            if one is not None:
                uses.setdefault(id(one), []).append((part, own_name))
    found = {}
    for name, weight in prunable(model, ignore=ignore).items():
        generator = torch.Generator(weight.device).manual_seed(seed_for(seed, "supermask scores", name) % 2**63)
        found[name] = _PopUp(weight, counts[name], generator)
        for part, own_name in uses[id(weight)]:
            parametrize.register_parametrization(part, own_name, found[name])
    return found


def _within(name: str, others: Iterable[str]) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in others)
