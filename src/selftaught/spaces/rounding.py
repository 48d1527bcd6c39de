"""How scaled sizes become whole numbers, as in EfficientNet (arXiv 1905.11946 and its published networks)."""

from __future__ import annotations

import math

from selftaught.errors import InputError

__all__ = ["round_channels", "round_repeats", "round_resolution"]

_SLACK = 1e-9  # 50 * 1.1 is 55.00000000000001


def round_channels(channels: int, factor: float, multiple: int = 8) -> int:
    """Return the scaled channels as the nearest multiple that loses less than a tenth, and at least one multiple.

    A factor of 1 changes nothing, and one above 1 takes no channels away.

    Raises:
        InputError: the factor is not above 0, or the multiple below 1.

    >>> [round_channels(32, factor) for factor in (1.0, 1.1, 1.2, 2.0, 0.1)]
    [32, 32, 40, 64, 8]
    """
    _check(factor)
    if multiple < 1:
        raise InputError(f"the multiple of channels must be at least 1, got {multiple}")
    if factor == 1:
        return channels
    wanted = channels * factor
    rounded = max(multiple, int(wanted + multiple / 2) // multiple * multiple)
    rounded += multiple * (rounded < 0.9 * wanted)
    return max(rounded, channels) if factor > 1 else rounded


def round_repeats(repeats: int, factor: float) -> int:
    """Return the scaled repeats, rounded up, and at least 1.

    >>> [round_repeats(10, 1.1), round_repeats(3, 1.2), round_repeats(1, 0.3)]
    [11, 4, 1]
    """
    _check(factor)
    return max(1, math.ceil(repeats * factor - _SLACK))


def round_resolution(pixels: int, factor: float, total_stride: int = 1) -> int:
    """Return the scaled side of an image: the nearest whole number, when shrunk at least the network's total stride.

    It need not be a multiple of the stride: B1 has 240, B3 300.

    >>> round_resolution(224, 1.15), round_resolution(224, 0.1, 32)
    (258, 32)
    """
    _check(factor)
    return round(pixels * factor) if factor >= 1 else max(min(total_stride, pixels), round(pixels * factor))


def _check(factor: float) -> None:
    if not (math.isfinite(factor) and factor > 0):
        raise InputError(f"a factor must be above 0, got {factor}")
