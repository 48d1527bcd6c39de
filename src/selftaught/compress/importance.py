"""How much the loss depends on each number of a model: scores by which channels are chosen."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training.batches import InMemory
from selftaught.training.devices import model_device
from selftaught.training.evaluation import run_model
from selftaught.training.losses import Loss
from selftaught.training.random_state import own_random_state

__all__ = ["taylor_scores"]


def taylor_scores(
    model: nn.Module,
    data: Examples,
    *,
    weights: NDArray[Any] | Mapping[str, float] | None = None,
    batches: int = 10,
    batch_size: int = 64,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Return how much the loss would change without each number, to first order: the mean over batches of (g w)^2.

    Molchanov et al., arXiv 1906.10771, equation 8. Give them to `prune_channels` as `scores`. With weights of the
    examples, what counts is the loss of those that weigh much: of a class at risk, for instance.

    Args:
        model: any module; left as it was. It is looked at in evaluation mode.
        data: labelled examples.
        weights: (n,) weight of each example's loss, or a mapping from ids.
        batches: at most so many.
        batch_size: examples a batch.
        seed: of their order.

    Returns:
        Name of a parameter -> scores (float64) of its shape.

    Raises:
        InputError: batches is below 1, or a score is not finite.

    >>> from selftaught import load
    >>> found = taylor_scores(nn.Linear(4, 3), load("iris"), batches=2)
    >>> {name: (tuple(one.shape), bool((one >= 0).all())) for name, one in found.items()}
    {'weight': ((3, 4), True), 'bias': ((3,), True)}
    """
    if batches < 1:
        raise InputError(f"batches must be at least 1, got {batches}")
    device = model_device(model)
    own = copy.deepcopy(model).eval()
    held = {name: one.requires_grad_(True) for name, one in own.named_parameters()}
    sums = {name: torch.zeros_like(one, dtype=torch.float64) for name, one in held.items()}
    source = InMemory(data, batch_size=batch_size, device=device, weights=weights)
    loss = Loss(source.kind, scale=source.spread)
    count = 0
    with own_random_state(device, seed), torch.enable_grad():
        for _, batch in zip(range(batches), source.epoch(seed, 0, 0), strict=False):
            value = loss.mean(run_model(own, batch.inputs), batch.targets, batch.weights)
            slopes = torch.autograd.grad(value, list(held.values()), allow_unused=True, materialize_grads=True)
            for (name, one), slope in zip(held.items(), slopes, strict=True):
                sums[name] += (slope.double() * one.detach().double()).square()
            count += 1
    found = {name: one / max(count, 1) for name, one in sums.items()}
    for name, one in found.items():
        if not bool(one.isfinite().all()):
            raise InputError(f"the gradients of {name} are not all finite; check the model's weights and the data")
    return found
