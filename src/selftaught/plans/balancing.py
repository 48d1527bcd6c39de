"""Shift the last layer's biases until no class has lost much more than the others."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.examples import Examples
from selftaught.plans.samples import few_of
from selftaught.training import evaluate

__all__ = ["balance", "balancing_shift", "last_bias"]

SHARPNESS = 5.0  # of the softmax that stands for the largest score
SMOOTHNESS = 50.0  # of the largest drop: a point of recall more weighs half as much again
PULL = 0.002  # on the squared shift
STEPS = 300
MOST = 20_000  # training examples that are looked at


def balance(
    model: nn.Module, dense: nn.Module, train: Examples, valid: Examples | None, *, strength: float = 1.0
) -> str:
    """Shift a model's last biases, in place, so that the largest drop of a class's recall is small.

    A threshold for each class (Hardt et al., arXiv 1610.02413, have them by group). It costs no time later, and
    what it gives one class it takes from others. Drops are measured on validation and at most 20,000 training examples:
    a drop of three points needs about a thousand examples of the class to be told from noise.

    Args:
        model: changed in place.
        dense: what it is compared with.
        train, valid: examples with classes.
        strength: share of the shift that is applied.

    Returns:
        What was done, or why nothing was, as a line.
    """
    bias = last_bias(model)
    if bias is None:
        return "balance: the model's last layer has no bias to shift"
    looked_at = [one for one in (few_of(train, most=MOST), valid) if one is not None]
    found = [(evaluate(dense, one), evaluate(model, one)) for one in looked_at]
    before = np.concatenate([one.scores for one, _ in found])
    after = np.concatenate([one.scores for _, one in found])
    labels = np.concatenate([one.targets for one, _ in found])
    shift = balancing_shift(before, after, labels) * strength
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
    """Return what to add to the scores of each class so that the largest drop of a recall is least.

    It lowers log sum_c exp(50 drop_c) / 50 plus a small pull to zero, where drop_c is the recall before less that after
    the shift, with a steep softmax in the place of the largest score.

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
    classes = before.shape[1]
    rows = torch.from_numpy(np.eye(classes, dtype=np.float32)[labels])
    counts = rows.sum(0).clamp(min=1)
    scores, truth = torch.from_numpy(after), torch.from_numpy(labels.astype(np.int64))
    recalls = (rows * torch.from_numpy(before.argmax(1) == labels)[:, None]).sum(0) / counts
    present = rows.sum(0) > 0
    shift = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.Adam([shift], lr=0.02)
    # The soft recall is not the hard one: what they differ by without a shift is taken off.
    hard = (rows * (scores.argmax(1) == truth)[:, None]).sum(0) / counts
    with torch.no_grad():
        gap = hard - _soft(scores, truth, rows, counts)
    with torch.enable_grad():
        for _ in range(STEPS):
            drops = (recalls - gap - _soft(scores + shift, truth, rows, counts))[present]
            value = torch.logsumexp(SMOOTHNESS * drops, 0) / SMOOTHNESS + PULL * shift.square().sum()
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    found = shift.detach()
    return np.asarray((found - found.mean()).numpy(), np.float32)


def _soft(scores: torch.Tensor, truth: torch.Tensor, rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    shares = torch.softmax(SHARPNESS * scores, 1)[torch.arange(len(truth)), truth]
    return (rows * shares[:, None]).sum(0) / counts


def last_bias(model: nn.Module) -> nn.Parameter | None:
    """Return the bias of the layer that gives a model's scores, or None where that is not plain to see.

    >>> found = last_bias(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    >>> None if found is None else tuple(found.shape)
    (3,)
    """
    layers = [one for one in model.modules() if not list(one.children())]
    last = next((one for one in reversed(layers) if not isinstance(one, nn.Identity | nn.Dropout)), None)
    return last.bias if isinstance(last, nn.Linear) else None
