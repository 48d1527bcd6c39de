"""Numbers as people like to read them: 2,104,332 programs, 0:48, 0.9812."""

from __future__ import annotations

import math

__all__ = ["clock", "count", "fitness", "short_count"]


def clock(seconds: float | None) -> str:
    """Write a time as minutes and seconds, or hours, minutes and seconds.

    >>> clock(72.4), clock(3700)
    ('1:12', '1:01:40')
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def count(number: float) -> str:
    """Write a count with separators.

    >>> count(2104332)
    '2,104,332'
    """
    return f"{round(number):,}"


def short_count(number: float) -> str:
    """Write a count in at most five characters and a unit.

    >>> short_count(950), short_count(182_340), short_count(2_104_332)
    ('950', '182 k', '2.10 M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f} {unit}"
    return f"{round(number)}"


def fitness(value: float | None) -> str:
    """Write a fitness with four decimals, and more where it would round to 1.

    >>> fitness(0.98123), fitness(0.99998), fitness(1.0)
    ('0.9812', '0.999980', '1.0000')
    """
    if value is None or not math.isfinite(value):
        return "-"
    if 0.99995 <= value < 1:
        return f"{math.floor(value * 1e6) / 1e6:.6f}"
    return f"{value:.4f}"
