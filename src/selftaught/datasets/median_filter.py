"""Undo the lossless median filter of `*.med.npy.xz` image files."""

from __future__ import annotations

import io
import lzma
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.reading import file_bytes, reading
from selftaught.errors import DataError

__all__ = ["read_med", "undo_median_filter"]

_BATCH = 4096


def read_med(path: Path) -> NDArray[np.uint8]:
    """Return the RGB images (n, height, width, 3) of an xz-packed NumPy file of residuals (3, n, height, width).

    Raises:
        DataError: the file is missing or damaged, or does not hold such residuals.
    """
    data = file_bytes(path)
    with reading(path, "xz-packed NumPy file"):
        residuals = np.load(io.BytesIO(lzma.decompress(data)), allow_pickle=False)
    if residuals.dtype != np.uint8 or residuals.ndim != 4 or residuals.shape[0] != 3 or residuals.size == 0:
        raise DataError(
            f"{path} must hold uint8 residuals (3, n, height, width), not {residuals.dtype} {residuals.shape}"
        )
    return undo_median_filter(residuals)


def undo_median_filter(residuals: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return RGB images (n, height, width, 3) from filtered planes (3, n, height, width), modulo 256.

    Each pixel was replaced by its difference to the median of left, upper and (left + upper - upper left),
    the LOCO-I rule (Weinberger, Seroussi and Sapiro 2000); on the first row and column only the one
    neighbour counts. Before that, green had been taken off red and blue.
    """
    _, count, height, width = residuals.shape
    images = np.empty((count, height, width, 3), np.uint8)
    for start in range(0, count, _BATCH):
        stop = min(count, start + _BATCH)
        # Pixels first, so that one pixel of all images and colours is contiguous.
        planes = np.ascontiguousarray(residuals[:, start:stop].transpose(2, 3, 0, 1))
        np.cumsum(planes[0], axis=0, dtype=np.uint8, out=planes[0])
        np.cumsum(planes[:, 0], axis=0, dtype=np.uint8, out=planes[:, 0])
        for row in range(1, height):
            above = planes[row - 1].astype(np.int16)
            left = planes[row, 0].astype(np.int16)
            for column in range(1, width):
                left = (planes[row, column] + _predict(left, above[column], above[column - 1])) & 255
                planes[row, column] = left
        planes[:, :, 0] += planes[:, :, 1]
        planes[:, :, 2] += planes[:, :, 1]
        images[start:stop] = planes.transpose(3, 0, 1, 2)
    return images


def _predict(left: NDArray[Any], up: NDArray[Any], corner: NDArray[Any]) -> NDArray[Any]:
    lower, upper = np.minimum(left, up), np.maximum(left, up)
    gradient = left + up - corner
    predicted: NDArray[Any] = np.minimum(np.maximum(gradient, lower), upper)
    return predicted
