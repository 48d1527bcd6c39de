"""Where a model runs, and how it is left as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from selftaught.errors import InputError

__all__ = ["in_evaluation", "left_as_found", "limited_threads", "model_device", "pick_device"]


def pick_device(name: str) -> torch.device:
    """Return a device by its name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        InputError: torch knows no such device, or it is not there.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"device {name!r} cannot be used ({first}); say device='auto' or 'cpu'") from None
    return device


def model_device(model: torch.nn.Module) -> torch.device:
    """Return where a model's first parameter or buffer is; the CPU when it has none."""
    tensor = next(iter(model.parameters()), None)
    if tensor is None:
        tensor = next(iter(model.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


@contextmanager
def left_as_found(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Move a model to a device and into training mode, and put device and modes back at the end."""
    before = model_device(model)
    with _same_modes(model):
        model.to(device)
        model.train()
        try:
            yield
        finally:
            model.to(before)


@contextmanager
def in_evaluation(*models: torch.nn.Module) -> Iterator[None]:
    """Have models in evaluation mode, and their modes as before afterwards."""
    with _same_modes(*models):
        for model in models:
            model.eval()
        yield


@contextmanager
def _same_modes(*models: torch.nn.Module) -> Iterator[None]:
    modes = {part: part.training for model in models for part in model.modules()}
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads of the processor, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
