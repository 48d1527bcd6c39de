"""Fixed-size tables of what has been scored: 4-way buckets in arrays, the oldest entry of a bucket goes."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from selftaught.programs.jit import compiled

__all__ = ["WAYS", "Memo", "new_memo", "recall", "remember"]

WAYS = 4

#: low, high: uint64 keys (0, 0 is empty); value: float64; stamp: int64, when it was written; hits: int64.
Memo = namedtuple("Memo", "low high value stamp hits")


def new_memo(entries: int) -> Memo:
    """Return an empty table of about `entries` places (a power of two)."""
    size = 1 << max(4, (int(entries) - 1).bit_length())
    return Memo(
        low=np.zeros(size, np.uint64), high=np.zeros(size, np.uint64), value=np.zeros(size), stamp=np.zeros(size, np.int64),
        hits=np.zeros(size, np.int32),
    )  # fmt: skip


@compiled
def recall(memo, low, high):  # type: ignore[no-untyped-def]
    """Return the place of a key, or -1."""
    start = np.int64(low & np.uint64(memo.low.shape[0] - 1)) & ~(WAYS - 1)
    for place in range(start, start + WAYS):
        if memo.low[place] == low and memo.high[place] == high:
            return place
    return -1


@compiled
def remember(memo, low, high, value, stamp):  # type: ignore[no-untyped-def]
    """Write a key and its value over the oldest entry of its bucket."""
    start = np.int64(low & np.uint64(memo.low.shape[0] - 1)) & ~(WAYS - 1)
    oldest = start
    for place in range(start, start + WAYS):
        if memo.low[place] == low and memo.high[place] == high:
            oldest = place
            break
        if memo.stamp[place] < memo.stamp[oldest]:
            oldest = place
    memo.low[oldest] = low
    memo.high[oldest] = high
    memo.value[oldest] = value
    memo.stamp[oldest] = stamp
    memo.hits[oldest] = 0
