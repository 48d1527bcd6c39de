"""Torch's global generators put aside and given back, so that training never changes a user's random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["own_random_state", "seed_of_step", "seed_torch"]

_MASK = 2**64 - 1


def seed_of_step(stream: int, step: int) -> int:
    """Return the 63-bit seed of a step: SplitMix64 (Steele, Lea and Flood, 2014), of a stream's 64-bit seed.

    A hash of names, as `seed_for` makes, would take a twentieth of a small network's step.

    >>> seed_of_step(1, 0) == seed_of_step(1, 0), len({seed_of_step(1, step) for step in range(1000)})
    (True, 1000)
    """
    mixed = (stream + (step + 1) * 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) >> 1


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
