"""Shift the last layer's biases until no class has lost much more than the others."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.compress import fit_temperature
from selftaught.examples import Examples
from selftaught.plans.samples import MANY, few_of
from selftaught.training import evaluate

__all__ = ["balance", "balancing_shift", "last_bias"]

SMOOTHNESS = 50.0  # of the largest drop: a point more weighs half as much again
PULL = 0.002  # on the squared shift
STEPS = 100  # at most; the function is smooth and ten are the rule


def balance(
    model: nn.Module,
    dense: nn.Module,
    train: Examples,
    valid: Examples | None,
    *,
    strength: float = 1.0,
    runs: nn.Module | None = None,
) -> str:
    """Shift a model's last biases, in place, so that no class loses much more of its recall than the others.

    A threshold for each class (Hardt et al., arXiv 1610.02413, have them by group). It costs no time later, and
    what it gives one class it takes from others. Losses are measured on validation and at most 20,000 training
    examples; a shift that leaves the largest drop of a recall there as large as it was is not made.

    Args:
        model: changed in place.
        dense: what it is compared with.
        train, valid: examples with classes.
        strength: share of the shift that is applied.
        runs: what the model will be run as, where that is another one: rounding to few bits moves classes, too.

    Returns:
        What was done, or why nothing was, as a line.
    """
    bias = last_bias(model)
    if bias is None:
        return "balance: the model's last layer has no bias to shift"
    looked_at = [one for one in (few_of(train, most=MANY), valid) if one is not None]
    found = [(evaluate(dense, one), evaluate(runs or model, one)) for one in looked_at]
    before = np.concatenate([one.scores for one, _ in found])
    after = np.concatenate([one.scores for _, one in found])
    labels = np.concatenate([one.targets for one, _ in found])
    shift = balancing_shift(before, after, labels) * strength
    if _largest(before, after + shift, labels) >= _largest(before, after, labels):
        return "balance: no shift of the last biases made the largest drop of a class smaller, so nothing was shifted"
    kept = bias.detach().clone()
    few = train.take(np.arange(min(len(train), 8)))
    plain = evaluate(model, few).scores
    with torch.no_grad():
        bias.add_(torch.from_numpy(shift).to(bias))
    if np.abs(evaluate(model, few).scores - plain - shift).max() > 1e-3:  # it was not the layer of the scores after all
        with torch.no_grad():
            bias.copy_(kept)
        return "balance: the model's scores are not those of its last linear layer, so nothing was shifted"
    return ""


def balancing_shift(
    before: NDArray[np.float32], after: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return what to add to the scores of each class so that no class loses much more than the others.

    It lowers log sum_c exp(50 drop_c) / 50 plus a small pull to zero, where drop_c is the mean probability of the right
    class over the examples of class c, before less after the shift. Both models' scores are divided by a temperature of
    their own first, so that another confidence is no loss (Guo et al., arXiv 1706.04599). Recalls themselves vary more
    from one draw of examples to another than these means, and a shift fitted to them is noisier.

    Args:
        before, after: (n, classes) scores.
        labels: (n,) class numbers.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(300) % 3
    >>> scores = (rng.normal(0, 1, (300, 3)) + 2 * np.eye(3)[labels]).astype(np.float32)
    >>> worse = scores - np.array([1.0, 0.0, 0.0], np.float32)
    >>> shift = balancing_shift(scores, worse, labels)
    >>> bool(shift[0] > shift[1] + 0.5), bool(shift[0] > shift[2] + 0.5)
    (True, True)
    """
    own, classes = fit_temperature(after, labels), before.shape[1]
    rows = torch.from_numpy(np.eye(classes, dtype=np.float32)[labels])
    counts = rows.sum(0)
    rows, present = rows / counts.clamp(min=1), counts > 0

    def means(scores: torch.Tensor) -> torch.Tensor:
        return (rows * torch.softmax(scores, 1)).sum(0)

    wanted = means(torch.from_numpy(before / np.float32(fit_temperature(before, labels))))
    scores = torch.from_numpy(after / np.float32(own))
    shift = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([shift], max_iter=STEPS, line_search_fn="strong_wolfe")

    def lowered() -> torch.Tensor:
        drops = (wanted - means(scores + shift))[present]
        value: torch.Tensor = torch.logsumexp(SMOOTHNESS * drops, 0) / SMOOTHNESS + PULL * shift.square().sum()
        optimiser.zero_grad()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(lowered)
    found = shift.detach().numpy() * own
    return np.asarray(found - found.mean(), np.float32)


def _largest(before: NDArray[np.float32], after: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the largest drop of a class's recall."""
    fell = (before.argmax(1) == labels).astype(np.float64) - (after.argmax(1) == labels)
    return max(float(fell[labels == one].mean()) for one in np.unique(labels))


def last_bias(model: nn.Module) -> nn.Parameter | None:
    """Return the bias of the layer that gives a model's scores, or None where that is not plain to see.

    >>> found = last_bias(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    >>> None if found is None else tuple(found.shape)
    (3,)
    """
    layers = [one for one in model.modules() if not list(one.children())]
    last = next((one for one in reversed(layers) if not isinstance(one, nn.Identity | nn.Dropout)), None)
    return last.bias if isinstance(last, nn.Linear) else None
