"""A network ready for a data set: its inputs scaled, its weights drawn from a seed; and the same from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.seeds import seed_for
from selftaught.spaces import Network, network_from_json, network_to_json
from selftaught.spaces.build import build
from selftaught.training.batches import as_inputs
from selftaught.training.checkpoint import load_tensors, save_tensors
from selftaught.training.models import Restore, Standardise
from selftaught.training.random_state import own_random_state

__all__ = ["input_shape", "load_model", "model_of", "outputs_of", "save_model"]


def input_shape(examples: Examples) -> tuple[int, ...]:
    """Return the shape of one input as a network sees it: (channels, height, width), or (features,).

    >>> from selftaught import load
    >>> input_shape(load("digits")), input_shape(load("iris"))
    ((1, 8, 8), (4,))
    """
    return tuple(as_inputs(torch.from_numpy(np.array(examples.inputs[:1]))).shape[1:])


def outputs_of(examples: Examples) -> int:
    """Return the number of classes, or 1 for a number.

    Raises:
        DataError: the examples have no labels.
    """
    if examples.labels is None:
        raise DataError(f"{examples.name!r} has no labels; a network needs to know what to predict")
    return examples.num_classes or 1


def model_of(network: Network, examples: Examples, *, seed: int = 0) -> nn.Sequential:
    """Return a network with inputs scaled by the examples' mean and deviation, and weights that follow from the seed.

    Images of another size are resized to the network's own first (bilinear, smoothed where they shrink).

    Args:
        network: what to build.
        examples: that it will be trained on.
        seed: of the initial weights.

    Raises:
        InputError: the network does not fit the examples.
    """
    wanted, there = tuple(network.input_shape), input_shape(examples)
    resized = len(wanted) == len(there) == 3 and wanted[0] == there[0]
    if not resized and np.prod(wanted) != np.prod(there):
        raise InputError(f"the network takes inputs of shape {wanted}, and {examples.name!r} has {there}")
    if network.outputs != outputs_of(examples):
        raise InputError(f"the network has {network.outputs} outputs, and {examples.name!r} {outputs_of(examples)}")
    shown = as_inputs(torch.from_numpy(np.array(examples.inputs))).to(torch.float64)
    axes = (0, 2, 3) if shown.ndim == 4 else (0,)
    deviation, mean = torch.std_mean(shown, dim=axes, correction=0)
    shape = (-1, 1, 1) if shown.ndim == 4 else mean.shape
    scaling = Standardise(mean.float().reshape(shape), deviation.float().reshape(shape))
    numbers = None
    if not examples.num_classes and examples.labels is not None:
        labels = examples.labels.astype(np.float64)
        numbers = (float(labels.mean()), float(labels.std()) or 1.0)
    with own_random_state(torch.device("cpu"), seed_for(seed, "weights", "network")):
        return _assembled(build(network), scaling, numbers, resolution=wanted[1] if len(wanted) == 3 else None)


class Resize(nn.Module):
    """Bring images to a side in pixels; those that have it pass through."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[2:] == (self.side, self.side):
            return images
        size = (self.side, self.side)
        return nn.functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def _assembled(
    network: nn.Module, scaling: nn.Module, numbers: tuple[float, float] | None, *, resolution: int | None
) -> nn.Sequential:
    model = nn.Sequential()
    if resolution is not None:
        model.add_module("resize", Resize(resolution))
    model.add_module("scaling", scaling)
    model.add_module("network", network)
    if numbers is not None:
        model.add_module("restore", Restore(*numbers))
    return model


def save_model(path: Path, model: nn.Module, network: Network, facts: Mapping[str, Any] | None = None) -> None:
    """Write weights and the network's description as one safetensors file, whole or not at all.

    Raises:
        MissingExtraError: safetensors is not installed.
    """
    save_tensors(path, model.state_dict(), {"network": json.loads(network_to_json(network)), **(facts or {})})


def load_model(path: Path | str) -> nn.Sequential:
    """Return the model that `save_model` wrote; nothing in the file is run.

    Raises:
        InputError: there is no such file.
        ResumeError: the file is damaged.
    """
    found = load_tensors(Path(path).expanduser())
    if found is None:
        raise InputError(f"there is no model {path}; give the model.safetensors of a search")
    tensors, facts = found
    network = network_from_json(json.dumps(facts.get("network")))
    if "scaling.mean" not in tensors:
        raise InputError(f"{path} is no model of a search: it lacks scaling.mean")
    scaling = Standardise(tensors["scaling.mean"], torch.ones_like(tensors["scaling.scale"]))
    model = _assembled(
        build(network), scaling, (0.0, 1.0) if "restore.mean" in tensors else None,
        resolution=network.input_shape[1] if len(network.input_shape) == 3 else None,
    )  # fmt: skip
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit its own network: {str(error).splitlines()[0]}") from None
    return model
