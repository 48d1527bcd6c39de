"""Optimisers of many members at once, each with rates of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from selftaught.training.config import SGD, AdamW, Lion
from selftaught.training.stack import Stack

__all__ = ["PopulationOptimiser"]


class PopulationOptimiser:
    """One of the optimisers of `fit`, for all members at once; the formulas are those of torch and of `LionOptimizer`.

    Args:
        stack: the members' parameters, changed in place.
        configs: one a member, of one kind; learning rates and weight decays may differ.
    """

    def __init__(self, stack: Stack, configs: Sequence[SGD | AdamW | Lion]) -> None:
        self.config = configs[0]
        self._values = stack.values
        self._rates = stack.spread([one.lr for one in configs])
        weights_only = self.config.decay == "weights"
        decays = stack.spread([one.weight_decay for one in configs], weights_only=weights_only)
        self._decays = decays if bool(decays.any()) else None
        self._first = torch.zeros_like(self._values)
        self._second = torch.zeros_like(self._values) if isinstance(self.config, AdamW) else None
        self._steps = 0

    @torch.no_grad()
    def step(self, gradients: torch.Tensor, factor: float) -> None:
        """Take a step along gradients, which are used up.

        Args:
            gradients: of the shape of the stack's values; changed in place.
            factor: of the schedule.
        """
        self._steps += 1
        if isinstance(self.config, SGD):
            self._sgd(self.config, gradients, factor)
            return
        if self._decays is not None:
            self._values.addcmul_(self._values, self._rates * self._decays, value=-factor)
        if isinstance(self.config, AdamW):
            self._adamw(self.config, gradients, factor)
            return
        direction = torch.lerp(gradients, self._first, self.config.betas[0]).sign_()
        self._values.addcmul_(direction, self._rates, value=-factor)
        self._first.lerp_(gradients, 1 - self.config.betas[1])

    def _sgd(self, config: SGD, gradients: torch.Tensor, factor: float) -> None:
        if self._decays is not None:
            gradients.addcmul_(self._values, self._decays)
        if config.momentum:
            self._first.mul_(config.momentum).add_(gradients)
            gradients = gradients.add_(self._first, alpha=config.momentum) if config.nesterov else self._first
        self._values.addcmul_(gradients, self._rates, value=-factor)

    def _adamw(self, config: AdamW, gradients: torch.Tensor, factor: float) -> None:
        first, second = config.betas
        if self._second is None:
            return
        self._first.lerp_(gradients, 1 - first)
        self._second.mul_(second).addcmul_(gradients, gradients, value=1 - second)
        root = (self._second / (1 - second**self._steps)).sqrt_().add_(config.eps)
        self._values.addcmul_(self._first / root, self._rates, value=-factor / (1 - first**self._steps))
