"""An image as the bytes of a PNG file."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError

__all__ = ["png", "shown_channels"]


def png(image: NDArray[Any]) -> bytes:
    """Return an image as a PNG file (W3C Recommendation, third edition): 8 bits, grey or RGB, without a filter.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3); uint8, or floats, which are stretched from their least to their largest
            value unless they lie from 0 to 1.

    Raises:
        InputError: it has another shape.

    >>> png(np.zeros((2, 3), np.uint8))[1:4]
    b'PNG'
    """
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise InputError(f"an image must have shape (H, W), (H, W, 1) or (H, W, 3), got {np.shape(image)}")
    if pixels.dtype != np.uint8:
        numbers = np.nan_to_num(pixels.astype(np.float64))
        low, high = float(numbers.min()), float(numbers.max())
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
        pixels = np.clip((numbers - low) / (high - low or 1.0) * 255, 0, 255).round().astype(np.uint8)
    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def shown_channels(image: NDArray[Any]) -> NDArray[Any]:
    """Return the channels of an image, (H, W) or (H, W, C), that a picture has: the first three, or the first one.

    >>> [shown_channels(np.zeros((2, 3, channels))).shape for channels in (1, 2, 3, 4)]
    [(2, 3, 1), (2, 3, 1), (2, 3, 3), (2, 3, 3)]
    """
    return image if image.ndim < 3 else image[..., : 3 if image.shape[2] >= 3 else 1]
