"""Small parts of charts: scales that can be read back, ticks, and elements whose every text is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

__all__ = ["Axis", "count_axis", "element", "fitness_axis", "linear_axis", "nice_ticks", "text"]

_SHAPES = ("line", "rect", "circle", "path")  # which HTML lets close themselves
NEAREST_ONE = 1e-6  # a stretched axis ends this near to 1


@dataclass(frozen=True)
class Axis:
    """A scale from values to units of the drawing.

    Args:
        low, high: the values at its two ends.
        start, end: where these lie in the drawing.
        kind: "linear"; "log" of the value; "near one": the log of the distance to 1, which spreads 0.9, 0.99, 0.999.
        ticks: the values to name.
    """

    low: float
    high: float
    start: float
    end: float
    kind: Literal["linear", "log", "near one"]
    ticks: tuple[float, ...]

    def _turned(self, value: float) -> float:
        if self.kind == "log":
            return math.log10(max(value, 1e-12))
        if self.kind == "near one":
            return -math.log10(max(1.0 - value, NEAREST_ONE))
        return value

    def place(self, value: float) -> float:
        """Return where a value lies, cut at the ends."""
        low, high = self._turned(self.low), self._turned(self.high)
        share = (self._turned(value) - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def value(self, place: float) -> float:
        """Return the value at a place: the inverse of `place`."""
        low, high = self._turned(self.low), self._turned(self.high)
        turned = low + (high - low) * (place - self.start) / (self.end - self.start)
        if self.kind == "log":
            return float(10.0**turned)
        return float(1.0 - 10.0**-turned) if self.kind == "near one" else turned


def nice_ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Return round values between two ends.

    >>> nice_ticks(0.0, 1.0)
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    if not high > low:
        return (low,)
    rough = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(step * number, 12) for number in range(first, last + 1))


def linear_axis(values: Iterable[float], start: float, end: float, *, pad: float = 0.06, most: int = 5) -> Axis:
    """Return a linear axis with a little room on both sides of the values."""
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    room = pad * (high - low) or 0.05 * max(abs(high), 1e-3)
    low, high = low - room, high + room
    return Axis(low, high, start, end, "linear", nice_ticks(low, high, most))


def fitness_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis for fitness up to 1, stretched near 1 where the best comes so near that a linear one hides it."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high > 0.985 and low < 0.95:
        nearest = min(1.0 - 10.0 ** -math.ceil(-math.log10(max(1.0 - high, NEAREST_ONE)) - 1e-9), 1 - NEAREST_ONE)
        names = [0.0, 0.5, 0.8, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]
        base = max([name for name in names if name <= low] or [0.0])
        inside = tuple(name for name in names if base <= name <= nearest + 1e-12)
        return Axis(base, nearest, start, end, "near one", inside)
    base = max((tick for tick in (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95) if tick <= low), default=0.0)
    # In twentieths: with a little room above the best, and never an axis without length.
    top = min(1.0, max(base + 0.05, math.ceil((high + 0.1 * (high - base)) * 20) / 20))
    return Axis(base, top, start, end, "linear", nice_ticks(base, top))


def count_axis(last: float, start: float, end: float) -> Axis:
    """Return a logarithmic axis from 1 to a count, with its powers of ten as ticks."""
    high = max(last, 10.0)
    powers = range(math.floor(math.log10(high) + 1e-9) + 1)
    every = 2 if len(powers) > 6 and abs(end - start) < 400 else 1
    return Axis(1.0, high, start, end, "log", tuple(10.0**power for power in powers[::every]))


def element(name: str, content: str = "", **attributes: object) -> str:
    """Return an SVG or HTML element; attributes are escaped, content is taken as it is.

    A trailing underscore of an attribute's name is dropped and others become hyphens; floats get two decimals.

    >>> element("path", class_="line", stroke_width=1.5)
    '<path class="line" stroke-width="1.50"/>'
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{words}/>" if name in _SHAPES and not content else f"<{name}{words}>{content}</{name}>"


def text(words: str, x: float, y: float, **attributes: object) -> str:
    """Return a text element with its words escaped."""
    return element("text", escape(words), x=x, y=y, **attributes)


def _written(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
