"""Running statistics of normalisations taken anew, as a cut leaves other activations behind."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from selftaught.errors import DataError, InputError
from selftaught.examples import Examples, Task
from selftaught.training.batches import source_of
from selftaught.training.devices import in_evaluation, model_device
from selftaught.training.evaluation import run_model
from selftaught.training.random_state import own_random_state

__all__ = ["reestimate_normalisation"]


def reestimate_normalisation(
    model: nn.Module, data: Task | Examples | Iterable[Any], *, batches: int = 10, batch_size: int = 256, seed: int = 0
) -> int:
    """Take the running means and variances of a model's batch normalisations anew, in place, without other change.

    They are forgotten, and become the plain average over the batches; dropout and all else are in evaluation mode.

    Args:
        model: any module.
        data: a task (its training part), examples or a data loader.
        batches: at most so many.
        batch_size: of examples; a loader brings its own.
        seed: of the examples' order.

    Returns:
        How many normalisations have running statistics.

    Raises:
        InputError: batches is below 1.
        DataError: there is no batch. Here and on any other failure the statistics stay as they were.

    >>> from selftaught import load
    >>> layer = nn.BatchNorm1d(4)
    >>> reestimate_normalisation(layer, load("iris"), batches=1, batch_size=150)
    1
    >>> [round(one, 2) for one in layer.running_mean.tolist()]
    [5.84, 3.06, 3.76, 1.2]
    """
    if batches < 1:
        raise InputError(f"batches must be at least 1, got {batches}")
    layers: list[Any] = [
        one for one in model.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm) and one.track_running_stats
    ]
    if not layers:
        return 0
    device = model_device(model)
    momenta = [layer.momentum for layer in layers]
    before = [copy.deepcopy(dict(layer.named_buffers())) for layer in layers]
    try:
        with in_evaluation(model), own_random_state(device, seed), torch.no_grad():
            for layer in layers:
                layer.reset_running_stats()
                layer.momentum = None  # the plain average over all batches
                layer.train()
            source = source_of(data, batch_size=batch_size, device=device)
            seen = 0
            for batch in itertools.islice(source.epoch(seed, 0, 0), batches):
                run_model(model, batch.inputs)
                seen += 1
        if not seen:
            raise DataError("the data give no batch, so statistics cannot be taken anew")
    except BaseException:
        for layer, buffers in zip(layers, before, strict=True):
            for name, one in layer.named_buffers():
                one.copy_(buffers[name])
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    return len(layers)
