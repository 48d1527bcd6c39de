"""Inputs of a small task: standardised columns, rotations of them, random projections of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError

__all__ = ["gaussian_matrix", "project", "random_rotation", "standardise"]

Matrix = NDArray[np.float32]
_BLOCK_VALUES = 4_000_000


def gaussian_matrix(rng: np.random.Generator, columns: int, features: int) -> Matrix:
    """Return a matrix (columns, features) of independent standard normal float32 numbers."""
    return rng.standard_normal((columns, features), dtype=np.float32)


def random_rotation(rng: np.random.Generator, features: int) -> Matrix:
    """Return a random orthogonal matrix (features, features), uniform over the group.

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q (Mezzadri 2007, section 5).
    """
    q, r = np.linalg.qr(rng.standard_normal((features, features)))
    return (q * np.where(np.diag(r) < 0, -1.0, 1.0)).astype(np.float32)


def project(inputs: NDArray[Any], rows: NDArray[np.int64], matrix: Matrix) -> Matrix:
    """Return the flattened inputs of these rows times a matrix, block by block so that memory stays small.

    Args:
        inputs: (n, ...) uint8 or float32.
        rows: (m,) row numbers.
        matrix: (columns, features).

    Returns:
        (m, features) float32.
    """
    columns = matrix.shape[0]
    projected = np.empty((len(rows), matrix.shape[1]), np.float32)
    step = max(1, _BLOCK_VALUES // columns)
    for start in range(0, len(rows), step):
        block = inputs[rows[start : start + step]].reshape(-1, columns).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            np.matmul(block, matrix, out=projected[start : start + step])
    return projected


def standardise(train: NDArray[Any], others: NDArray[Any]) -> tuple[Matrix, Matrix]:
    """Return both (., features) with the training rows' mean taken off, divided by their standard deviation.

    A column that is constant on the training rows is divided by 1. Sums are in float64.

    Raises:
        DataError: the values are too large for float32.

    >>> a, b = standardise(np.float32([[0, 5], [2, 5]]), np.float32([[4, 6]]))
    >>> a.tolist(), b.tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [[3.0, 1.0]])
    """
    centre = train.mean(axis=0, dtype=np.float64)
    spread = train.std(axis=0, dtype=np.float64)
    spread[(spread == 0) | (spread < 1e-7 * np.abs(centre))] = 1.0
    results = []
    for part in (train, others):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = ((part - centre) / spread).astype(np.float32)
        if not np.isfinite(scaled).all():
            raise DataError("the inputs are too large to be standardised in float32; rescale the columns")
        results.append(scaled)
    return results[0], results[1]
