"""The names of explanations that can be measured, and their settings; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from selftaught.errors import require_one_of

__all__ = ["ALL_ESTIMATORS", "ESTIMATORS", "Estimator", "read_estimator"]

Base = Literal["gradient", "integrated-gradients", "guided-backprop"]
Smoothing = Literal["smoothgrad", "smoothgrad-squared", "vargrad"]
STEPS = 16  # of integrated gradients
SAMPLES = 15  # noisy copies
NOISE = 0.3  # their noise, in standard deviations of the data

_BASES: tuple[Base, ...] = ("gradient", "integrated-gradients", "guided-backprop")
_SMOOTHINGS: tuple[Smoothing, ...] = ("smoothgrad", "smoothgrad-squared", "vargrad")


@dataclass(frozen=True)
class Estimator:
    """An explanation: what is computed, and how it is averaged over noisy copies of the image.

    Args:
        name: such as "gradient" or "gradient+vargrad".
        base: what is computed.
        smoothing: None, or the mean, mean of squares or variance over noisy copies.
        samples, noise: how many copies, and their noise in standard deviations of the data.
    """

    name: str
    base: Base
    smoothing: Smoothing | None = None
    samples: int = SAMPLES
    noise: float = NOISE


#: Every estimator by name: three, and each of them smoothed in three ways.
ALL_ESTIMATORS: dict[str, Estimator] = {
    one.name: one
    for base in _BASES
    for one in (Estimator(base, base), *(Estimator(f"{base}+{more}", base, more) for more in _SMOOTHINGS))
}
#: Those that are measured by default; smoothed integrated gradients take sixteen times as long as smoothed gradients.
ESTIMATORS: tuple[str, ...] = (*_BASES, *(f"gradient+{more}" for more in _SMOOTHINGS))


def read_estimator(name: str) -> Estimator:
    """Return an estimator by its name.

    Raises:
        InputError: there is no such estimator.

    >>> read_estimator("gradient+vargrad").smoothing
    'vargrad'
    """
    require_one_of("estimator", name, ALL_ESTIMATORS)
    return ALL_ESTIMATORS[name]
