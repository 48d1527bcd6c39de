"""Optimisers of torch made from settings, and Lion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from selftaught.errors import InputError
from selftaught.training.config import SGD, AdamW, Lion

__all__ = ["LionOptimizer", "make_optimiser", "parameter_groups"]


def parameter_groups(
    parameters: Iterable[torch.nn.Parameter], config: SGD | AdamW | Lion, *, extra_axes: int = 0
) -> list[dict[str, Any]]:
    """Return torch's parameter groups: with weight decay, and without it.

    Args:
        parameters: those that are trained.
        config: says which decay; biases and the parameters of normalisations have one axis.
        extra_axes: leading axes that are not the parameter's own, such as that of a population.
    """
    given = list(parameters)
    if config.decay == "all":
        return [{"params": given, "weight_decay": config.weight_decay}]
    decayed = [one for one in given if one.ndim - extra_axes > 1]
    others = [one for one in given if one.ndim - extra_axes <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def make_optimiser(model: torch.nn.Module, config: SGD | AdamW | Lion) -> torch.optim.Optimizer:
    """Return the optimiser of a model's parameters that want a gradient.

    Torch's fused kernels are used, which take one pass over the memory.

    Raises:
        InputError: the model has no parameter to train.
    """
    trained = [one for one in model.parameters() if one.requires_grad]
    if not trained:
        raise InputError("the model has no parameter with requires_grad=True; there is nothing to train")
    groups = parameter_groups(trained, config)
    fused = all(one.is_floating_point() for one in trained)
    if isinstance(config, SGD):
        return torch.optim.SGD(
            groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused
        )
    if isinstance(config, AdamW):
        return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)
    return LionOptimizer(groups, lr=config.lr, betas=config.betas)


class LionOptimizer(torch.optim.Optimizer):
    """Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv 2302.06675, algorithm 2).

    c = b1 m + (1 - b1) g;  w <- w - lr (sign(c) + decay w);  m <- b2 m + (1 - b2) g.

    Args:
        params: parameters or groups of them.
        lr: learning rate.
        betas: (b1, b2).
        weight_decay: decoupled.

    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimiser = LionOptimizer([weight], lr=0.5)
    >>> weight.grad = torch.tensor([3.0])
    >>> optimiser.step()
    >>> weight.item()
    -0.5
    """

    def __init__(
        self, params: Any, lr: float = 3e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step along the gradients; `closure` is called first, as torch's optimisers do."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [one for one in group["params"] if one.grad is not None]
            if not params:
                continue
            for one in params:
                if "momentum" not in self.state[one]:
                    self.state[one]["momentum"] = torch.zeros_like(one)
            grads = [one.grad for one in params]
            momenta = [self.state[one]["momentum"] for one in params]
            first, second = group["betas"]
            directions = torch._foreach_lerp(grads, momenta, first)
            torch._foreach_sign_(directions)
            if group["weight_decay"]:
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, directions, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, grads, 1 - second)
        return loss
