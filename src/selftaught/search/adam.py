"""Adam, for the few weights of a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adam"]

Weights = dict[str, NDArray[np.float64]]


class Adam:
    """Steps of a size that hardly depends on the unit of the objective (arXiv 1412.6980, algorithm 1).

    Args:
        rate: of a step.
        decay: of the first and the second moment.
        epsilon: added to the root of the second moment.
    """

    def __init__(self, rate: float, *, decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> None:
        self.rate = rate
        self.decay = decay
        self.epsilon = epsilon
        self._steps = 0
        self._first: Weights = {}
        self._second: Weights = {}

    def ascend(self, weights: Weights, slopes: Weights) -> Weights:
        """Return new weights, one step up."""
        self._steps += 1
        one, two = self.decay
        after: Weights = {}
        for name, slope in slopes.items():
            first = self._first[name] = one * self._first.get(name, np.zeros(1)) + (1 - one) * slope
            second = self._second[name] = two * self._second.get(name, np.zeros(1)) + (1 - two) * slope * slope
            mean = first / (1 - one**self._steps)
            spread = np.sqrt(second / (1 - two**self._steps))
            after[name] = weights[name] + self.rate * mean / (spread + self.epsilon)
        return after
