"""Ids of examples: the content's hash plus an ordinal among identical rows, or the user's own."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError

__all__ = ["content_ids", "own_ids"]

_DIGEST_BYTES = 8


def content_ids(inputs: NDArray[Any]) -> NDArray[np.str_]:
    """Return an id for every row that depends on the row's content alone.

    The id is the BLAKE2b hash (8 bytes) of the row's dtype, shape and little-endian bytes, then the
    ordinal among identical rows in stored order. It stays the same when other rows come or go.

    Args:
        inputs: (n, ...) of any fixed-size dtype.

    >>> [text[-2:] for text in content_ids(np.array([[1.0], [2.0], [1.0]]))]
    ['-0', '-0', '-1']
    """
    rows = np.ascontiguousarray(inputs, dtype=inputs.dtype.newbyteorder("<"))
    header = hashlib.blake2b(f"{rows.dtype.str}{rows.shape[1:]}".encode(), digest_size=_DIGEST_BYTES)
    seen: dict[str, int] = {}
    ids = []
    for row in rows:
        hasher = header.copy()
        hasher.update(row.tobytes())
        digest = hasher.hexdigest()
        ordinal = seen.get(digest, 0)
        seen[digest] = ordinal + 1
        ids.append(f"{digest}-{ordinal}")
    return np.array(ids, dtype=np.str_)


def own_ids(values: list[Any], *, column: str) -> NDArray[np.str_]:
    """Return the user's ids as text.

    Raises:
        DataError: an id occurs twice.
    """
    ids = np.array([str(value) for value in values], dtype=np.str_)
    if len(set(ids.tolist())) < len(ids):
        first: dict[str, int] = {}
        for row, text in enumerate(ids.tolist(), start=1):
            if text in first:
                raise DataError(
                    f"id_column {column!r} must hold every id once, but {text[:60]!r} is in rows "
                    f"{first[text]} and {row}; choose another column or leave id_column out"
                )
            first[text] = row
    return ids
