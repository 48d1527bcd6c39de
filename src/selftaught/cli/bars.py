"""Horizontal bars on one scale, with a mark at the value to beat."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.text import Text

__all__ = ["axis", "bar", "scale"]

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def scale(values: Iterable[float]) -> tuple[float, float]:
    """Return the ends of a scale for fitness: from a round number below the smallest value up to 1.

    >>> scale([0.953, 0.981])
    (0.9, 1.0)
    """
    finite = [value for value in values if math.isfinite(value)]
    lowest = min(finite, default=0.0)
    for low in (0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.2):
        if lowest >= low + 0.1 * (1 - low):
            return low, 1.0
    return 0.0, 1.0


def bar(
    value: float,
    ends: tuple[float, float],
    width: int,
    *,
    mark: float | None = None,
    style: str = "",
    plain: bool = False,
) -> Text:
    """Draw a value as a bar of `width` cells; `mark` is a value at which a thin line is drawn.

    Args:
        value: what to show; cut at the ends of the scale.
        ends: the values at the left and the right end.
        width: cells.
        mark: a second value.
        style: a Rich style for the bar.
        plain: use ASCII alone.
    """
    share = _share(value, ends)
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    solid = "#" * min(width, full + (rest >= 4)) if plain else "█" * full + _EIGHTHS[rest] * (rest > 0)
    cells = solid.ljust(width)
    text = Text()
    place = -1 if mark is None else min(width - 1, int(_share(mark, ends) * width))
    for number, cell in enumerate(cells):
        if number == place:
            text.append("|" if plain else "│", "yellow" if cell == " " else f"{style} reverse")
        else:
            text.append(cell, style)
    return text


def axis(ends: tuple[float, float], width: int) -> Text:
    """Name the two ends of a scale in a line of `width` cells."""
    left, right = (f"{end:g}" for end in ends)
    return Text(left + " " * max(1, width - len(left) - len(right)) + right, "dim")


def _share(value: float, ends: tuple[float, float]) -> float:
    if not math.isfinite(value):
        return 0.0
    return min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))
