"""Top-KAST: dense weights of which the forward pass sees the largest and the backward pass a few more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from selftaught.compress.densities import check_density, kept_counts
from selftaught.compress.prunable_weights import prunable
from selftaught.compress.ranking import largest
from selftaught.errors import InputError
from selftaught.training.callbacks import Callback, refuse_later_averages

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["TopKAST"]


class TopKAST(Callback):
    """Train with the largest weights forward and a superset of them backward (Jayakumar et al., arXiv 2106.03517).

    Weights stay dense aside. Each layer's forward pass, evaluations and the model in the end have the share `density`
    with the largest magnitudes; the share `density + extra` with the largest takes gradients; all others rest. The
    extra weights are drawn towards zero by an L2 penalty, so that they do not stay near the border for nothing.

    Args:
        density: share of a layer's weights in forward passes.
        extra: share that is trained besides.
        l2: of the penalty l2 / 2 sum w^2 over the extra weights.
        every: steps between new choices.
        ignore: names of parameters or modules that stay dense.

    Raises:
        InputError: an option is out of its range; in `fit`, an Ema is listed after it.

    >>> TopKAST(0.1, extra=0.1).extra
    0.1
    """

    def __init__(
        self, density: float, *, extra: float = 0.1, l2: float = 1e-4, every: int = 1, ignore: Iterable[str] = ()
    ) -> None:
        check_density(density)
        if not 0 <= extra <= 1 - density:
            raise InputError(f"extra must be from 0 to 1 - density ({1 - density:g}), got {extra}")
        if l2 < 0 or every < 1:
            raise InputError(f"l2 must not be negative and every at least 1, got {l2} and {every}")
        self.density = density
        self.extra = extra
        self.l2 = l2
        self.every = every
        self.ignore = tuple(ignore)
        #: Name -> mask (bool) of the forward pass.
        self.masks: dict[str, torch.Tensor] = {}
        self._backward: dict[str, torch.Tensor] = {}
        self._weights: dict[str, nn.Parameter] = {}
        self._dense: dict[str, torch.Tensor] = {}

    def on_start(self, run: Run) -> None:
        refuse_later_averages(self, run)
        self._weights = prunable(run.model, ignore=self.ignore)
        shapes = {name: tuple(one.shape) for name, one in self._weights.items()}
        self._forward_counts = kept_counts(shapes, self.density)
        self._backward_counts = kept_counts(shapes, min(self.density + self.extra, 1.0))
        self._choose()

    @torch.no_grad()
    def _choose(self) -> None:
        for name, one in self._weights.items():
            self.masks[name] = largest(one.abs(), self._forward_counts[name])
            self._backward[name] = largest(one.abs(), self._backward_counts[name])

    @torch.no_grad()
    def before_step(self, run: Run) -> None:
        if run.step % self.every == 0:
            self._choose()
        self._hide(self.masks)

    @torch.no_grad()
    def after_backward(self, run: Run) -> None:
        for name, one in self._weights.items():
            one.copy_(self._dense[name])
            if one.grad is not None:
                one.grad.mul_(self._backward[name])
                one.grad.add_(one * (self._backward[name] & ~self.masks[name]), alpha=self.l2)

    @torch.no_grad()
    def after_step(self, run: Run) -> None:
        # Weight decay and momentum would move the weights that rest.
        for name, one in self._weights.items():
            one.copy_(torch.where(self._backward[name], one, self._dense[name]))
        self._dense = {}

    @torch.no_grad()
    def _hide(self, masks: Mapping[str, torch.Tensor]) -> None:
        """Put the dense weights aside, and the masked ones in their place."""
        self._dense = {name: one.detach().clone() for name, one in self._weights.items()}
        for name, one in self._weights.items():
            one.mul_(masks[name])

    def before_evaluation(self, run: Run) -> None:
        self._hide({name: largest(one.abs(), self._forward_counts[name]) for name, one in self._weights.items()})

    @torch.no_grad()
    def after_evaluation(self, run: Run) -> None:
        for name, one in self._weights.items():
            one.copy_(self._dense[name])
        self._dense = {}

    def on_end(self, run: Run) -> None:
        self._choose()
        self._hide(self.masks)
        self._dense = {}

    def state(self) -> dict[str, torch.Tensor]:
        forward = {f"forward.{name}": one.to(torch.uint8) for name, one in self.masks.items()}
        return {**forward, **{f"backward.{name}": one.to(torch.uint8) for name, one in self._backward.items()}}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        for name in self._weights:
            self.masks[name] = state[f"forward.{name}"].bool()
            self._backward[name] = state[f"backward.{name}"].bool()
