"""Fixed-size tables of what has been scored: 4-way buckets in one array, the oldest entry of a bucket goes.

A table is uint64 (places, 4): low and high half of the key (0, 0 is empty), the value's bits (float64), and
when it was written with the number of its hits (stamp * 2^16 + hits).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.jit import compiled

__all__ = ["count_hit", "new_memo", "recall", "remember", "value_at"]

WAYS = 4
ONE = np.uint64(1)


def new_memo(entries: int) -> NDArray[np.uint64]:
    """Return an empty table of at least `entries` places (a power of two)."""
    return np.zeros((1 << max(4, (int(entries) - 1).bit_length()), 4), np.uint64)


@compiled
def _bucket(memo, low):
    return np.int64(low & np.uint64(memo.shape[0] - 1)) & ~(WAYS - 1)


@compiled
def recall(memo, low, high):
    """Return the place of a key, or -1."""
    start = _bucket(memo, low)
    for place in range(start, start + WAYS):
        if memo[place, 0] == low and memo[place, 1] == high:
            return place
    return -1


@compiled
def value_at(memo, place):
    """Return the value stored at a place."""
    return np.uint64(memo[place, 2]).view(np.float64)


@compiled
def count_hit(memo, place):
    """Count one more hit of a place; return the hits so far (at most 65,535)."""
    if memo[place, 3] & np.uint64(0xFFFF) < np.uint64(0xFFFF):
        memo[place, 3] += ONE
    return np.int64(memo[place, 3] & np.uint64(0xFFFF))


@compiled
def remember(memo, low, high, value, stamp):
    """Write a key and its value over the oldest entry of its bucket."""
    start = _bucket(memo, low)
    oldest = start
    for place in range(start, start + WAYS):
        if memo[place, 0] == low and memo[place, 1] == high:
            oldest = place
            break
        if memo[place, 3] >> np.uint64(16) < memo[oldest, 3] >> np.uint64(16):
            oldest = place
    memo[oldest, 0] = low
    memo[oldest, 1] = high
    memo[oldest, 2] = np.float64(value).view(np.uint64)
    memo[oldest, 3] = np.uint64(stamp) << np.uint64(16)
