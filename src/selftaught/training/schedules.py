"""Learning rates over time: a factor of the largest rate for every step, as pure functions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Constant", "Cosine", "OneCycle"]


class _Schedule(BaseModel, ABC):
    """What all schedules share: they are frozen, and `factor` is a pure function."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @abstractmethod
    def factor(self, step: float, total: float) -> float:
        """Return what the largest rate is multiplied by.

        Args:
            step: steps done before this one, 0 to below `total`.
            total: steps of the whole run. A run with a budget in seconds counts time in thousandths of it.
        """


class Constant(_Schedule):
    """The same rate throughout, after a linear warm-up.

    Args:
        warmup: share of the steps in which the rate rises from nothing.

    >>> Constant(warmup=0.5).factor(0, 10), Constant().factor(9, 10)
    (0.2, 1.0)
    """

    name: Literal["constant"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)

    def factor(self, step: float, total: float) -> float:
        return _rise(step, self.warmup * total) or 1.0


class Cosine(_Schedule):
    """Half a cosine from the largest rate down, after a linear warm-up (Loshchilov and Hutter, arXiv 1608.03983).

    Args:
        warmup: share of the steps in which the rate rises from nothing.
        last: what is left of the rate at the end.

    >>> [round(Cosine().factor(step, 4), 4) for step in range(4)]
    [1.0, 0.8536, 0.5, 0.1464]
    """

    name: Literal["cosine"] = "cosine"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    last: float = Field(default=0.0, ge=0, le=1)

    def factor(self, step: float, total: float) -> float:
        start = self.warmup * total
        return _rise(step, start) or _cosine(1.0, self.last, (step - start) / (total - start))


class OneCycle(_Schedule):
    """Up and down again by two half cosines (Smith and Topin, arXiv 1708.07120; torch's `OneCycleLR`).

    Args:
        peak: share of the steps until the largest rate.
        start: the first rate, as a share of the largest.
        last: the rate at the end, as a share of the largest.

    >>> [round(OneCycle(peak=0.5).factor(step, 5), 3) for step in (0, 1.5, 4)]
    [0.04, 1.0, 0.0]
    """

    name: Literal["one-cycle"] = "one-cycle"
    peak: float = Field(default=0.3, gt=0, lt=1)
    start: float = Field(default=0.04, gt=0, le=1)
    last: float = Field(default=4e-6, ge=0, le=1)

    def factor(self, step: float, total: float) -> float:
        top = max(self.peak * total - 1, 0.0)
        if step < top:
            return _cosine(self.start, 1.0, step / top)
        end = total - 1
        return _cosine(1.0, self.last, (step - top) / (end - top)) if end > top else 1.0


def _rise(step: float, length: float) -> float:
    """Return the factor of a linear warm-up, or 0 when it is over."""
    return min((step + 1) / length, 1.0) if step < length else 0.0


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
