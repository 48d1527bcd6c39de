"""Torch's global generators put aside and given back, so that training never changes a user's random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["own_random_state", "seed_torch"]


@contextmanager
def own_random_state(device: torch.device, seed: int | None = None) -> Iterator[None]:
    """Keep torch's generators of the CPU and of the device as they are, whatever is drawn inside.

    Args:
        device: where the work is.
        seed: what the generators start from inside; None leaves them.

    >>> before = torch.get_rng_state()
    >>> with own_random_state(torch.device("cpu"), 1):
    ...     _ = torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            seed_torch(seed, device)
        yield


def seed_torch(seed: int, device: torch.device) -> None:
    """Set torch's own generators, of the CPU and of the device; what calls this has put the user's state aside."""
    torch.default_generator.manual_seed(seed % 2**63)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed % 2**63)
