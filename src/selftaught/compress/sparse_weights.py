"""The layout that the sparse kernels work on: slices of rows of nearly equal length, by blocks of columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["SlicedWeights", "column_blocks", "slice_weights"]

GROUP = 512  # rows, at least, that are sorted among themselves: what one thread may work on
MOST_GROUPS = 16
LEAST_COLUMNS = 256  # of a block: with 32 vectors of a batch they fill a first-level cache of 32 KB
LEAST_ENTRIES = 24  # of a row in a block, on average: shorter loops cost more than the cache gives


@dataclass(frozen=True, eq=False)
class SlicedWeights:
    """A sparse matrix in slices of L rows; entry k of row c of slice s is at `starts[s] + k * L + c`.

    Args:
        shape: (rows, columns).
        lanes: L.
        starts: (slices + 1,) int64, multiples of L.
        rows: (slices, L) int32, the row of each lane; an empty lane, only in the last group, has the number `rows`.
        columns: (entries,) uint16 or uint32.
        weights: (entries,) float32; what fills a slice up is 0 at a column that the slice holds anyway.
        groups: (groups, 4) int64: first and last slice, first row and the row after the last.
        nonzero: entries that are not zero.
    """

    shape: tuple[int, int]
    lanes: int
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    columns: NDArray[np.uint16] | NDArray[np.uint32]
    weights: NDArray[np.float32]
    groups: NDArray[np.int64]
    nonzero: int


def column_blocks(rows: int, columns: int, nonzero: int) -> int:
    """Return into how many blocks the columns are split, so that activations stay in the first-level cache.

    >>> column_blocks(1024, 1024, 104858), column_blocks(1024, 1024, 10486), column_blocks(64, 64, 400)
    (4, 1, 1)
    """
    a_row = nonzero / max(rows, 1)
    return max(1, min(columns // LEAST_COLUMNS, int(a_row // LEAST_ENTRIES)))


def slice_weights(weights: NDArray[np.float32], lanes: int, *, blocks: int | None = None) -> SlicedWeights:
    """Lay a matrix out in slices.

    Args:
        weights: (rows, columns); what is exactly 0 is left out.
        lanes: L.
        blocks: of columns; None is `column_blocks`.
    """
    rows, columns = weights.shape
    nonzero = int(np.count_nonzero(weights))
    number = column_blocks(rows, columns, nonzero) if blocks is None else blocks
    edges = np.linspace(0, columns, number + 1).astype(np.int64)
    starts, groups = [0], []
    lines: list[NDArray[np.int64]] = []
    parts: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    size = max(GROUP, -(-rows // MOST_GROUPS))
    size += -size % lanes
    for begin in range(0, rows, size):
        end = min(begin + size, rows)
        first = len(lines)
        for left, right in pairwise(edges):
            block = weights[begin:end, left:right]
            for order, chosen, values in _slices(block, lanes):
                lines.append(np.where(order < 0, end, order + begin))
                parts.append((chosen + left, values))
                starts.append(starts[-1] + values.size)
        groups.append((first, len(lines), begin, end))
    empty = (np.zeros(0, np.int64), np.zeros(0, np.float32))
    held = np.concatenate([one.ravel() for one, _ in parts] or [empty[0]])
    return SlicedWeights(
        shape=(rows, columns),
        lanes=lanes,
        starts=np.array(starts, np.int64),
        rows=np.array(lines, np.int32).reshape(-1, lanes),
        columns=held.astype(np.uint16) if columns <= 1 << 16 else held.astype(np.uint32),
        weights=np.concatenate([one.ravel() for _, one in parts] or [empty[1]]).astype(np.float32),
        groups=np.array(groups, np.int64).reshape(-1, 4),
        nonzero=nonzero,
    )


def _slices(
    block: NDArray[np.float32], lanes: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Return rows (L,), columns and values (length, L) of each slice of a block; -1 is an empty lane."""
    counts = np.count_nonzero(block, axis=1)
    order = np.argsort(-counts, kind="stable")
    found = []
    for top in range(0, len(order), lanes):
        mine = order[top : top + lanes]
        length = int(counts[mine].max())
        if length == 0:  # sorted: nothing follows either
            break
        columns = np.zeros((length, lanes), np.int64)
        values = np.zeros((length, lanes), np.float32)
        columns[:] = np.flatnonzero(block[mine[0]])[0]
        for lane, row in enumerate(mine):
            places = np.flatnonzero(block[row])
            columns[: len(places), lane] = places
            values[: len(places), lane] = block[row, places]
        rows = np.full(lanes, -1, np.int64)
        rows[: len(mine)] = mine
        found.append((rows, columns, values))
    return found
