"""What an audit returns: a number, how sure it is, and what chance alone gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Finding", "Verdict"]

#: "change" beyond chance, "seed churn" within it, "unclear" where the value is beyond and its interval is not, "no
#: null" where chance could not be measured.
Verdict = Literal["change", "unclear", "seed churn", "no null"]


@dataclass(frozen=True)
class Finding:
    """A measured value beside what chance alone gives.

    Args:
        name: what was measured.
        value: the value.
        interval: its 95 % interval; NaN where there is none.
        n: how many examples it rests on.
        seeds: how many models before and after.
        null: lowest and highest value that the same statistic took where nothing but the seed differed; None where it
            was not measured.
        rows: what lies under it: ids of examples, best first, or lines of a table.

    >>> Finding("change", 0.2, (0.1, 0.3), 100, (6, 6), (-0.05, 0.05)).verdict
    'change'
    >>> Finding("change", 0.04, (-0.1, 0.2), 100, (6, 6), (-0.05, 0.05)).verdict
    'seed churn'
    """

    name: str
    value: float
    interval: tuple[float, float]
    n: int
    seeds: tuple[int, int]
    null: tuple[float, float] | None
    rows: tuple[str | Mapping[str, Any], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Whether value and interval lie outside what chance gives; without an interval nothing is claimed."""
        if self.null is None or not all(map(math.isfinite, self.interval)):
            return "no null"
        low, high = self.interval
        least, most = self.null
        if low > most or high < least:
            return "change"
        return "seed churn" if least <= self.value <= most else "unclear"

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types; what is no number becomes None."""
        ends = [one if math.isfinite(one) else None for one in self.interval]
        return {
            "name": self.name, "value": self.value if math.isfinite(self.value) else None, "interval": ends,
            "n": self.n, "seeds": list(self.seeds), "null": None if self.null is None else list(self.null),
            "verdict": self.verdict, "rows": [one if isinstance(one, str) else dict(one) for one in self.rows],
        }  # fmt: skip
