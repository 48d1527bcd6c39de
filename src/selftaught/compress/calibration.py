"""The ranges of activations that 8 bits are spread over, from what a few batches give."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch

from selftaught.compress.integer_layers import Affine
from selftaught.errors import InputError

__all__ = ["CLIPPING", "Range", "affine_of", "covering"]

CLIPPING = ("mse", "percentile", "min-max")
#: Bins of a histogram, before it had to grow.
BINS = 2048
#: Share of the values at either end that a percentile leaves out.
TAIL = 1e-4
_LEVELS = 255


class Range:
    """A histogram of values that grows with them; its bins' width doubles when values lie outside.

    Zero is a border of two bins, so that values of one sign stay so.
    """

    def __init__(self) -> None:
        self.least, self.most = math.inf, -math.inf
        self._width = 0.0
        self._first = 0  # bins left of zero are negative
        self._counts = torch.zeros(0, dtype=torch.float64)

    @torch.no_grad()
    def add(self, values: torch.Tensor) -> None:
        """Count values of any shape.

        Raises:
            InputError: one is not finite.
        """
        flat = values.detach().reshape(-1).double()
        if not flat.numel():
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise InputError("there are activations that are NaN or infinite")
        self.least, self.most = min(self.least, low), max(self.most, high)
        if not self._width:
            reach = max(abs(low), abs(high))
            if reach == 0:
                return
            self._width = reach / BINS
        # With what was there before, however far off it is.
        while self._span(self.least, self.most) >= 4 * BINS:
            self._coarsen()
        places = torch.floor(flat / self._width).long()
        first = min(self._first, int(places.min())) if len(self._counts) else int(places.min())
        last = max(self._first + len(self._counts) - 1, int(places.max())) if len(self._counts) else int(places.max())
        grown = torch.zeros(last - first + 1, dtype=torch.float64)
        if len(self._counts):
            grown[self._first - first : self._first - first + len(self._counts)] = self._counts
        grown += torch.bincount(places - first, minlength=len(grown)).double()
        self._first, self._counts = first, grown

    def _span(self, low: float, high: float) -> float:
        return math.floor(high / self._width) - math.floor(low / self._width)

    def _coarsen(self) -> None:
        """Join the bins two by two."""
        self._width *= 2
        places = torch.div(torch.arange(len(self._counts)) + self._first, 2, rounding_mode="floor")
        if len(places):
            first = int(places[0])
            self._counts = torch.zeros(int(places[-1]) - first + 1, dtype=torch.float64).index_add_(
                0, places - first, self._counts
            )
            self._first = first

    @property
    def centres(self) -> torch.Tensor:
        """The middles of the bins, (bins,)."""
        return (torch.arange(len(self._counts), dtype=torch.float64) + self._first + 0.5) * self._width

    @property
    def counts(self) -> torch.Tensor:
        """How many values lie in each bin, (bins,)."""
        return self._counts

    def without_tails(self, share: float) -> tuple[float, float]:
        """Return the range without that share of the values at either end."""
        if not len(self._counts):
            return self.least, self.most
        sums = torch.cumsum(self._counts, 0) / self._counts.sum()
        low = int(torch.searchsorted(sums, share, right=True))
        high = int(torch.searchsorted(sums, 1 - share))
        edge = self._first * self._width
        last = min(high, len(sums) - 1)
        return max(self.least, edge + low * self._width), min(self.most, edge + (last + 1) * self._width)


def affine_of(
    found: Range, clipping: Literal["mse", "percentile", "min-max"] = "mse", *, power_of_two: bool = True
) -> Affine:
    """Return how values are held in 8 bits; zero is held exactly.

    Args:
        found: what was seen of the values.
        clipping: "min-max" leaves nothing out, "percentile" one value in 10,000 at either end, and "mse" what makes the
            mean squared error smallest.
        power_of_two: let the scale be a power of two, so that a product with it is exact.

    >>> seen = Range()
    >>> seen.add(torch.tensor([-1.0, 3.0]))
    >>> affine_of(seen, "min-max"), affine_of(seen, "min-max", power_of_two=False).zero
    (Affine(scale=0.03125, zero=32), 64)
    """
    low, high = min(found.least, 0.0), max(found.most, 0.0)
    if not high > low:
        return Affine(1.0, 0)
    if clipping == "min-max":
        return covering(low, high, power_of_two)
    if clipping == "percentile":
        low, high = found.without_tails(TAIL)
        return covering(min(low, 0.0), max(high, 0.0), power_of_two)
    centres, counts = found.centres, found.counts
    return min(_candidates(low, high, power_of_two), key=lambda one: _error(one, centres, counts))


def covering(low: float, high: float, power_of_two: bool) -> Affine:
    """Return how a range that holds zero is held whole, but for rounding at its ends."""
    if not high > low:
        return Affine(1.0, 0)
    step = (high - low) / _LEVELS
    if power_of_two:
        step = 2.0 ** math.ceil(math.log2(step))
    step = float(torch.tensor(max(step, 2.0**-100), dtype=torch.float32))
    return Affine(step, min(max(round(-low / step), 0), _LEVELS))


def _candidates(low: float, high: float, power_of_two: bool) -> Iterator[Affine]:
    """Give the whole range first, then ever smaller ones."""
    if not power_of_two:
        for part in range(20, 4, -1):
            yield covering(low * part / 20, high * part / 20, False)
        return
    whole = covering(low, high, True)
    yield whole
    for halvings in (1, 2, 3):
        step = whole.scale / 2**halvings
        zeros = {round(_LEVELS * -low / (high - low)), round(-low / step), _LEVELS - round(high / step)}
        for zero in sorted(zeros):
            if 0 <= zero <= _LEVELS:
                yield Affine(step, zero)


def _error(affine: Affine, centres: torch.Tensor, counts: torch.Tensor) -> float:
    held = torch.clamp(torch.round(centres / affine.scale) + affine.zero, 0, _LEVELS)
    return float((counts * ((held - affine.zero) * affine.scale - centres).square()).sum())
