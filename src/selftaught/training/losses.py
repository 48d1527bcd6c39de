"""Losses: one an example, and their mean, for class numbers, soft targets and numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import functional

from selftaught.errors import InputError

__all__ = ["Loss", "LossFunction", "as_scores"]

#: From scores and targets to one loss an example, shape (n,), or their mean.
LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Loss:
    """What training lowers.

    Args:
        kind: "cross_entropy" of scores (n, classes) with class numbers (n,) or shares (n, classes); "squared", the
            squared difference of predictions (n,) or (n, 1) and targets (n,); or a function of scores and targets that
            gives one loss an example, shape (n,), or a mean.
        label_smoothing: the share of every label that is spread over all classes.
        scale: what squared differences are divided by, such as the targets' variance.

    >>> Loss("squared").each(torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 2.0]))
    tensor([1., 0.])
    """

    kind: Literal["cross_entropy", "squared"] | LossFunction
    label_smoothing: float = 0.0
    scale: float = 1.0

    def each(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return one loss an example, shape (n,).

        Raises:
            InputError: the user's own function gives a mean only.
        """
        if self.kind == "squared":
            return (_column(scores) - targets.to(scores.dtype)).square() / self.scale
        if self.kind == "cross_entropy":
            return functional.cross_entropy(scores, targets, reduction="none", label_smoothing=self.label_smoothing)
        losses = self.kind(scores, targets)
        if losses.ndim == 0:
            raise InputError(
                "a loss for each example is needed here, but the function gave their mean; let it return shape (n,)"
            )
        return losses

    def mean(self, scores: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the mean loss; with weights (n,), the mean of weight times loss: 2 counts like the example twice."""
        if weights is not None:
            return (self.each(scores, targets) * weights).mean()
        if self.kind == "squared":
            return functional.mse_loss(_column(scores), targets.to(scores.dtype)) / self.scale
        if self.kind == "cross_entropy":
            return functional.cross_entropy(scores, targets, label_smoothing=self.label_smoothing)
        losses = self.kind(scores, targets)
        return losses.mean() if losses.ndim else losses


def as_scores(output: Any) -> torch.Tensor:
    """Return a model's scores from what it returned: a tensor, the entry or attribute `logits`, or the first part.

    Raises:
        InputError: there is no tensor in it.
    """
    if isinstance(output, torch.Tensor):
        return output
    found = output.get("logits") if isinstance(output, dict) else getattr(output, "logits", None)
    if found is None and isinstance(output, tuple | list) and output:
        found = output[0]
    if not isinstance(found, torch.Tensor):
        raise InputError(f"the model must return a tensor or something with logits, not {type(output).__name__}")
    return found


def _column(scores: torch.Tensor) -> torch.Tensor:
    return scores[..., 0] if scores.ndim > 1 and scores.shape[-1] == 1 else scores
