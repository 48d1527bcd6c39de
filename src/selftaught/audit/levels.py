"""What each step of a change costs: an audit of every level against the first, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selftaught.audit.comparison import Audit, audit
from selftaught.audit.impact import LEAST_SIZE, Impact
from selftaught.audit.population import Population
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples

__all__ = ["Level", "Sweep", "sweep"]


@dataclass(frozen=True, eq=False)
class Level:
    """One level beside the first.

    Args:
        name: of the level, such as "90 %".
        amount: of the change where it is a number, such as the share of zeros; NaN otherwise.
        accuracy: mean over the models; NaN without labels.
        deviation: standard deviation of the models' accuracies; NaN for a single model.
        audit: against the first level; None for the first itself.
    """

    name: str
    amount: float
    accuracy: float
    deviation: float
    audit: Audit | None

    @property
    def worse(self) -> tuple[Impact, ...]:
        """Classes and groups that significantly lost recall or accuracy, the largest loss first."""
        if self.audit is None:
            return ()
        lost = [
            one
            for one in self.audit.impacts
            if one.significant and one.measure in ("recall", "accuracy") and one.finding.value < 0
        ]
        return tuple(sorted(lost, key=lambda one: one.finding.value))

    @property
    def hurt(self) -> Impact | None:
        """The class or group with the largest raw loss of recall or accuracy, of those large enough to be tested."""
        asked = () if self.audit is None else self.audit.impacts
        known = [one for one in asked if one.measure in ("recall", "accuracy") and math.isfinite(one.finding.value)]
        tested = [one for one in known if one.finding.n >= LEAST_SIZE]
        return min(tested or known, key=lambda one: one.finding.value, default=None)

    @property
    def not_ruled_out(self) -> float:
        """The largest loss of a tested class or group that its interval still allows; NaN where nothing is tested."""
        asked = () if self.audit is None else self.audit.impacts
        ends = [one.finding.interval[0] for one in asked if one.measure in ("recall", "accuracy") and one.p == one.p]
        return -min(ends) if ends else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types; what is no number becomes None."""

        def number(value: float) -> float | None:
            return value if math.isfinite(value) else None

        hurt = self.hurt
        return {
            "name": self.name, "amount": number(self.amount), "accuracy": number(self.accuracy),
            "deviation": number(self.deviation), "worse": [one.where for one in self.worse],
            "hurt": None if hurt is None else {"where": hurt.where, "change": hurt.finding.value},
            "not_ruled_out": number(self.not_ruled_out), "audit": None if self.audit is None else self.audit.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sweep:
    """Levels of a change, the first being what the others are compared with.

    Args:
        data: name of the examples.
        levels: from the first on, in the order of the change.
    """

    data: str
    levels: tuple[Level, ...]

    @property
    def tested(self) -> bool:
        """Whether any class or group could be told from chance: not with too few models, or examples."""
        asked = [one for level in self.levels if level.audit is not None for one in level.audit.impacts]
        return any(one.verdict not in ("no null", "too few") for one in asked)

    @property
    def safest(self) -> Level:
        """The last level before the first one at which a class or group is significantly worse.

        Nobody lost more than chance there, as far as so many models and examples can tell: `not_ruled_out` of the level
        says how large a loss would have gone unseen. Where nothing could be `tested` it is the last level.
        """
        found = self.levels[0]
        for one in self.levels[1:]:
            if one.worse:
                break
            found = one
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything in JSON's own types; `safest` is None where nothing could be tested."""
        return {
            "data": self.data, "tested": self.tested, "safest": self.safest.name if self.tested else None,
            "levels": [one.to_dict() for one in self.levels],
        }  # fmt: skip


def sweep(
    populations: Mapping[float, Population] | Sequence[Population],
    examples: Examples,
    *,
    groups: Sequence[str] = (),
    q: float = 0.05,
    top: float = 0.1,
    paired: bool = False,
    seed: int = 0,
) -> Sweep:
    """Audit every level of a change against the first.

    Args:
        populations: amount of the change -> population, such as sparsity, where the smallest is the first; or
            populations in their order.
        examples: with labels.
        groups, q, top, paired, seed: as for `audit`, which is done for each level by itself.

    Raises:
        InputError: there are fewer than two levels, or `audit` refuses.
        DataError: the examples have no labels.

    >>> import numpy as np
    >>> from selftaught import load
    >>> iris = load("iris")
    >>> rng = np.random.default_rng(0)
    >>> def made(harm):
    ...     logits = rng.normal(0, 1, (6, 150, 3))
    ...     logits[:, np.arange(150), iris.labels] += 2.5 - harm * (iris.labels == 1)
    ...     return Population.from_logits(logits, iris.ids)
    >>> found = sweep({0: made(0), 0.5: made(0), 0.9: made(3)}, iris)
    >>> found.safest.name, [one.where for one in found.levels[2].worse]
    ('50 %', ['class versicolor'])
    """
    named: list[tuple[str, float, Population]]
    if isinstance(populations, Mapping):
        named = [(f"{100 * one:g} %" if one else "dense", one, populations[one]) for one in sorted(populations)]
    else:
        named = [(one.name, float("nan"), one) for one in populations]
    if len(named) < 2:
        raise InputError(f"a sweep compares two levels or more, got {len(named)}")
    if examples.labels is None:
        raise DataError(f"{examples.name!r} has no labels, so nobody can be said to have lost; compare two by audit")
    first = named[0][2]
    found = []
    for name, amount, population in named:
        told = None if population is first else audit(
            first, population, examples, groups=groups, q=q, top=top, paired=paired, seed=seed
        )  # fmt: skip
        right = _accuracies(population, examples)
        deviation = float(right.std(ddof=1)) if len(right) > 1 else float("nan")
        found.append(Level(name, amount, float(right.mean()), deviation, told))
    return Sweep(examples.name, tuple(found))


def _accuracies(population: Population, examples: Examples) -> np.ndarray[Any, Any]:
    place = {str(one): k for k, one in enumerate(examples.ids)}
    there = np.array([str(one) in place for one in population.ids])
    if examples.labels is None or not there.any():
        return np.full(population.models, np.nan)
    labels = examples.labels[[place[str(one)] for one in population.ids[there]]]
    return np.asarray((population.predicted[:, there] == labels).mean(axis=1))
