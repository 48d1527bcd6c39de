"""Random numbers inside compiled code: xoshiro256** (Blackman and Vigna, 2018) on an array of four words."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.jit import compiled
from selftaught.seeds import seed_for

__all__ = ["below", "gaussian", "next_word", "start_stream", "uniform"]


def start_stream(seed: int, *path: str | int) -> NDArray[np.uint64]:
    """Return the state (4,) uint64 of an independent stream."""
    return np.array([seed_for(seed, *path, "word", word) for word in range(4)], np.uint64)


@compiled
def next_word(state):
    """Advance the state and return 64 random bits."""
    product = state[1] * np.uint64(5)
    result = ((product << np.uint64(7)) | (product >> np.uint64(57))) * np.uint64(9)
    shifted = state[1] << np.uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = (state[3] << np.uint64(45)) | (state[3] >> np.uint64(19))
    return result


@compiled
def below(state, limit):
    """Return an integer in [0, limit); the bias of the multiplication is below limit / 2^32."""
    return np.int64(((next_word(state) >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32))


@compiled
def uniform(state):
    """Return a float64 in [0, 1)."""
    return np.float64(next_word(state) >> np.uint64(11)) * 1.1102230246251565e-16


@compiled
def gaussian(state):
    """Return a standard normal deviate (Box and Muller)."""
    u = 1.0 - uniform(state)
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * uniform(state))
