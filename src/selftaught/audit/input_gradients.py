"""Variance of gradients: how much what a model looks at in an input moves from checkpoint to checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.errors import DataError, InputError, require_one_of
from selftaught.examples import Examples
from selftaught.training import InMemory
from selftaught.training.devices import in_evaluation
from selftaught.training.losses import as_scores

__all__ = ["Of", "Scalar", "gradient_variance", "variance_of_gradients"]

Scalar = Literal["logit", "probability", "loss"]
Of = Literal["label", "predicted"]


def variance_of_gradients(
    checkpoints: Sequence[torch.nn.Module],
    examples: Examples,
    *,
    scalar: Scalar = "logit",
    of: Of = "label",
    batch_size: int = 256,
) -> NDArray[np.float64]:
    """Return the variance of gradients of each example, (n,): "Estimating Example Difficulty" (arXiv 2008.11600).

    The gradient of a scalar in the input, averaged over channels, is taken at every checkpoint. A pixel's value is the
    standard deviation over the checkpoints, an example's the mean over pixels. Take early, late or all checkpoints for
    the stages of the paper, and `within_class` for its normalised form. What it says depends on the scalar, and the
    paper's text (logit) and its script (probability) differ in it. The loss knows the label: no independent discovery.

    Args:
        checkpoints: at least two models, in any order; they are not changed.
        examples: inputs, and labels where the scalar needs them.
        scalar: whose gradient: the logit, the probability, or the cross-entropy of a class.
        of: the given label, or the class that each checkpoint predicts.
        batch_size: examples at a time.

    Raises:
        InputError: there are fewer than two checkpoints, or an option is unknown.
        DataError: the examples have no classes, or a model's output does not depend on its input by gradients.
    """
    require_one_of("scalar", scalar, ("logit", "probability", "loss"))
    require_one_of("of", of, ("label", "predicted"))
    if len(checkpoints) < 2:
        raise InputError(f"variance of gradients needs at least 2 checkpoints, got {len(checkpoints)}")
    if examples.labels is None or not examples.num_classes:
        raise DataError(f"{examples.name!r} has no classes; variance of gradients is defined for classes")
    data = InMemory(examples, batch_size=batch_size, device=torch.device("cpu"))
    found = []
    for batch in data.in_order(batch_size):
        maps = [_gradient(model, batch.inputs, batch.targets, scalar, of).numpy() for model in checkpoints]
        found.append(gradient_variance(np.stack(maps)))
    return np.concatenate(found)


def gradient_variance(gradients: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean over pixels of the standard deviation over checkpoints, (n,).

    Args:
        gradients: (T, n, channels, height, width), or (T, n, features) for tables.

    >>> float(gradient_variance(np.array([[[1.0, 0.0]], [[3.0, 0.0]]]))[0])
    0.5
    """
    maps = np.asarray(gradients, np.float64)
    if maps.ndim == 5:
        maps = maps.mean(axis=2)
    spread = maps.std(axis=0)
    return np.asarray(spread.reshape(len(spread), -1).mean(axis=1))


def _gradient(
    model: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor, scalar: Scalar, of: Of
) -> torch.Tensor:
    device = next((one.device for one in model.parameters()), torch.device("cpu"))
    with in_evaluation(model), torch.enable_grad():
        seen = inputs.detach().to(device).clone().requires_grad_(True)
        scores = as_scores(model(seen))
        chosen = labels.to(device) if of == "label" else scores.argmax(dim=1)
        if scalar != "logit":
            scores = torch.log_softmax(scores, dim=1)
        values = scores.gather(1, chosen[:, None])[:, 0]
        values = values.exp() if scalar == "probability" else -values if scalar == "loss" else values
        gradient = None
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), seen, allow_unused=True)
    if gradient is None:
        raise DataError("a model's output does not depend on its input by gradients; give the float model")
    return gradient.detach().cpu()
