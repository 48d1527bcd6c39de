"""Reference models: linear, a multi-layer perceptron for tables, and a small convolutional network.

All take inputs as they are stored (tables) or from 0 to 1 (images): the first layer scales them by the training
examples' own mean and deviation, so that a saved model needs nothing beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from selftaught.errors import InputError, did_you_mean
from selftaught.examples import Examples
from selftaught.seeds import seed_for
from selftaught.training.batches import as_inputs
from selftaught.training.random_state import own_random_state

__all__ = ["ModelName", "Standardise", "linear", "make_model", "mlp", "small_cnn"]

ModelName = Literal["linear", "mlp", "cnn"]


class Standardise(nn.Module):
    """Take off a mean and divide by a deviation, both stored with the model.

    Args:
        mean, deviation: of a shape that broadcasts against one example.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", torch.where(deviation > 1e-7, 1 / deviation.clamp(min=1e-7), 0.0))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs - self.mean) * self.scale


class Restore(nn.Module):
    """Bring predictions (n, 1) back to the target's own mean and deviation."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([mean], dtype=torch.float32))
        self.register_buffer("scale", torch.tensor([deviation], dtype=torch.float32))

    def forward(self, predictions: torch.Tensor) -> torch.Tensor:
        return predictions * self.scale + self.mean


def linear(examples: Examples, *, seed: int = 0) -> nn.Sequential:
    """Return one linear layer on scaled inputs: softmax regression, or linear regression.

    Args:
        examples: what it will be trained on; shapes, classes and scales are taken from them.
        seed: of the initial weights.
    """
    return mlp(examples, hidden=(), seed=seed)


def mlp(
    examples: Examples,
    *,
    hidden: Sequence[int] = (256, 256),
    dropout: float = 0.0,
    batch_norm: bool = False,
    seed: int = 0,
) -> nn.Sequential:
    """Return a multi-layer perceptron with ReLU; images are flattened.

    Args:
        examples: what it will be trained on; shapes, classes and scales are taken from them.
        hidden: units of each hidden layer.
        dropout: rate after each hidden layer.
        batch_norm: normalise before each ReLU.
        seed: of the initial weights.

    >>> from selftaught import load
    >>> mlp(load("iris"), hidden=(8,))(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """
    _check_rate(dropout)
    with _seeded(seed, "mlp"):
        layers: list[nn.Module] = [_scaling(examples), nn.Flatten()]
        width = int(np.prod(examples.inputs.shape[1:]))
        for units in hidden:
            layers.append(nn.Linear(width, units, bias=not batch_norm))
            layers += [nn.BatchNorm1d(units)] * batch_norm
            layers.append(nn.ReLU())
            layers += [nn.Dropout(dropout)] * (dropout > 0)
            width = units
        return nn.Sequential(*layers, *_head(examples, width))


def small_cnn(
    examples: Examples, *, widths: Sequence[int] = (64, 128, 128), dropout: float = 0.0, seed: int = 0
) -> nn.Sequential:
    """Return a small convolutional network: 3 x 3 convolutions with BatchNorm and ReLU, halved between them.

    With widths 64, 128, 128 and 32 x 32 colour images it takes 30.1 million multiply-adds an image.

    Args:
        examples: images it will be trained on.
        widths: channels of each convolution.
        dropout: rate before the last layer.
        seed: of the initial weights.

    Raises:
        InputError: the examples are no images, or too small to be halved so often.
    """
    shape = examples.inputs.shape[1:]
    if len(shape) < 2:
        raise InputError(f"a convolutional network takes images, but {examples.name!r} is a table; take mlp or linear")
    if not widths or min(shape[:2]) < 2 ** (len(widths) - 1):
        raise InputError(f"{len(widths)} convolutions do not fit images of {shape[0]} x {shape[1]} pixels")
    _check_rate(dropout)
    with _seeded(seed, "cnn"):
        layers: list[nn.Module] = [_scaling(examples)]
        channels = shape[2] if len(shape) == 3 else 1
        for place, width in enumerate(widths):
            layers += [nn.MaxPool2d(2)] * (place > 0)
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *[nn.Dropout(dropout)] * (dropout > 0)]
        return nn.Sequential(*layers, *_head(examples, channels))


def make_model(name: ModelName, examples: Examples, *, seed: int = 0) -> nn.Sequential:
    """Return a reference model by name: "linear", "mlp" or "cnn".

    Raises:
        InputError: there is no such model, or it does not fit the examples.
    """
    if name == "linear":
        return linear(examples, seed=seed)
    if name == "mlp":
        return mlp(examples, seed=seed)
    if name == "cnn":
        return small_cnn(examples, seed=seed)
    known = get_args(ModelName)
    raise InputError(f"model must be one of {', '.join(known)}, got {name!r}{did_you_mean(str(name), known)}")


def _seeded(seed: int, *path: str) -> AbstractContextManager[None]:
    """Draw initial weights from a generator of their own, and leave torch's as it was."""
    return own_random_state(torch.device("cpu"), seed_for(seed, "weights", *path))


def _scaling(examples: Examples) -> Standardise:
    """Scale each column of a table, each channel of images."""
    inputs = as_inputs(torch.from_numpy(examples.inputs.copy())).to(torch.float64)
    axes = (0,) if inputs.ndim == 2 else (0, 2, 3) if inputs.ndim == 4 else tuple(range(inputs.ndim))
    deviation, mean = torch.std_mean(inputs, dim=axes, correction=0)
    shape = (-1, 1, 1) if inputs.ndim == 4 else mean.shape
    return Standardise(mean.to(torch.float32).reshape(shape), deviation.to(torch.float32).reshape(shape))


def _check_rate(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise InputError(f"dropout must be from 0 to below 1, got {dropout}")


def _head(examples: Examples, width: int) -> list[nn.Module]:
    if examples.num_classes:
        return [nn.Linear(width, examples.num_classes)]
    if examples.labels is None:
        raise InputError(f"{examples.name!r} has no labels; a model needs to know what to predict")
    labels = examples.labels.astype(np.float64)
    return [nn.Linear(width, 1), Restore(float(labels.mean()), float(labels.std()) or 1.0)]
