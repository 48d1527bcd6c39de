"""The rule of compound scaling: how extra compute is split over depth, width and resolution (arXiv 1905.11946)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from selftaught.errors import InputError

__all__ = ["Rule", "rule_grid"]


@dataclass(frozen=True)
class Rule:
    """Depth alpha^phi, width beta^phi, resolution gamma^phi; cost grows about as (alpha beta^2 gamma^2)^phi.

    The defaults are the published ones, found for B0 by a grid. Real cost is not that power, since repeats and channels
    are rounded: measure it (`scale_to`).

    Args:
        alpha: of depth, at least 1.
        beta: of width, at least 1.
        gamma: of resolution, at least 1.

    Raises:
        InputError: a factor is below 1, or the cost would not grow.

    >>> round(Rule().growth, 3)
    1.92
    """

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 1):
                raise InputError(f"{name} must be at least 1, got {value}; to scale down say shrink=True")
        if not self.growth > 1:
            raise InputError("alpha, beta and gamma are all 1, so that the cost would not grow; raise one of them")

    @property
    def growth(self) -> float:
        """What the cost is multiplied by at phi = 1, before rounding: alpha * beta^2 * gamma^2."""
        return self.alpha * self.beta**2 * self.gamma**2

    def factors(self, phi: float) -> dict[str, float]:
        """Return the factors on depth, width and resolution.

        >>> Rule(2.0, 1.0, 1.0).factors(3)
        {'depth': 8.0, 'width': 1.0, 'resolution': 1.0}
        """
        return {"depth": self.alpha**phi, "width": self.beta**phi, "resolution": self.gamma**phi}

    def __str__(self) -> str:
        return f"alpha {self.alpha:g}, beta {self.beta:g}, gamma {self.gamma:g}"


def rule_grid(*, step: float = 0.05, slack: float = 0.1, resolution: bool = True) -> list[Rule]:
    """Return the rules on a grid from 1 upwards whose growth is 2 within the slack.

    Args:
        step: of the grid in each dimension.
        slack: largest difference of alpha * beta^2 * gamma^2 from 2.
        resolution: whether gamma is free; otherwise it is 1, as for tables.

    Raises:
        InputError: the step or slack is not above 0, or no rule is left.

    >>> Rule(1.2, 1.1, 1.15) in rule_grid()
    True
    """
    if not (step > 0 and slack > 0):
        raise InputError(f"step and slack must be above 0, got {step} and {slack}")

    def values(largest: float) -> list[float]:
        return [round(1 + k * step, 10) for k in range(int((largest - 1) / step + 1e-9) + 1)]

    most = 2 + slack
    found = [
        Rule(alpha, beta, gamma)
        for alpha in values(most)
        for beta in values(math.sqrt(most))
        for gamma in (values(math.sqrt(most)) if resolution else [1.0])
        if abs(alpha * beta**2 * gamma**2 - 2) <= slack + 1e-9
    ]
    if not found:
        raise InputError(f"no rule on a grid of step {step} is within {slack} of 2; take a smaller step")
    return found
