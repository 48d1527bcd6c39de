"""What removing and retraining found: accuracies of every arm, and what they say beside blurred noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.exemplars import LEAST_MODELS
from selftaught.audit.finding import Finding
from selftaught.audit.pixel_masks import Per
from selftaught.audit.population import halves

__all__ = ["BLUR", "BLURRED_RANDOM", "CONTROLS", "NONE", "RANDOM", "SOBEL", "Roar", "Row"]

Row = Mapping[str, Any]
BLUR = "+blur"
NONE, RANDOM, SOBEL, BLURRED_RANDOM = "none", "random", "sobel", "random+blur"
CONTROLS = (RANDOM, SOBEL, BLURRED_RANDOM)
READ_BESIDE = (
    "Blurring adds no information about the model and moves these accuracies all the same (arXiv 2304.13836), so the "
    "blurred controls are part of the result: an order of estimators without them says little."
)


@dataclass(frozen=True, eq=False)
class Roar:
    """Accuracies after removing what estimators point at, and training again.

    Args:
        rows: one for each arm, fraction and seed: "arm", "fraction", "seed", "accuracy" on changed test images after
            training on changed images, "without" of the model that was trained on unchanged ones. Arm "none", fraction
            0, is that model on unchanged images.
        estimators: what was measured beside the controls.
        fractions: of the pixels.
        seeds: of the trainings.
        keep: whether the marked pixels were kept and all others replaced.
        per: what was ranked.
        n: training and test images.
        finished: whether every arm was measured.
    """

    rows: tuple[Row, ...]
    estimators: tuple[str, ...]
    fractions: tuple[float, ...]
    seeds: tuple[int, ...]
    keep: bool
    per: Per
    n: tuple[int, int]
    finished: bool

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms but "none": controls, estimators, and the estimators blurred."""
        return (*CONTROLS, *(name for one in self.estimators for name in (one, one + BLUR)))

    def accuracies(self, arm: str, fraction: float, *, retrained: bool = True) -> NDArray[np.float64]:
        """Return an arm's accuracy for every seed, (seeds,); NaN where it is not measured."""
        column = "accuracy" if retrained else "without"
        found = {row["seed"]: row[column] for row in self.rows if (row["arm"], row["fraction"]) == (arm, fraction)}
        return np.array([found.get(seed, np.nan) for seed in self.seeds], np.float64)

    def against(self, arm: str, control: str, fraction: float) -> Finding:
        """Compare an arm with a control: the difference of their accuracies, paired by seed.

        The interval is Student's over the retrainings of one explained model. The null is the widest difference of
        the control from itself between halves of the seeds; it needs four of them.

        Args:
            arm, control: names of `arms`.
            fraction: of `fractions`.
        """
        mine, other = self.accuracies(arm, fraction), self.accuracies(control, fraction)
        apart = (mine - other)[np.isfinite(mine - other)]
        known = other[np.isfinite(other)]
        null = None
        if len(known) >= LEAST_MODELS:
            widest = max(abs(known[list(a)].mean() - known[list(b)].mean()) for a, b in halves(len(known)))
            null = (-float(widest), float(widest))
        done = "kept" if self.keep else "removed"
        return Finding(
            f"accuracy, {arm} less {control}, {fraction:.0%} {done}",
            float(apart.mean()) if len(apart) else math.nan, _interval(apart), self.n[1], (len(apart), len(known)),
            null,
            tuple(row for row in self.rows if row["fraction"] == fraction and row["arm"] in (arm, control)),
        )  # fmt: skip

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every estimator against blurred noise, noise and its own blur, for every fraction."""
        return tuple(
            self.against(one, control, fraction)
            for fraction in self.fractions for one in self.estimators
            for control in (BLURRED_RANDOM, RANDOM, one + BLUR)
        )  # fmt: skip

    @property
    def statements(self) -> tuple[str, ...]:
        """What the accuracies come to, in sentences; the last says how to read them."""
        found = [
            self._statement(one, control, fraction)
            for fraction in self.fractions for one in self.estimators for control in (BLURRED_RANDOM, RANDOM)
        ]  # fmt: skip
        told = [one for one in found if one]
        return (*told, READ_BESIDE) if told else ()

    def loses(self, estimator: str, fraction: float, *, to: str = BLURRED_RANDOM) -> bool:
        """Whether the whole interval says that a control found more than an estimator.

        After removing, more was found where the accuracy is lower; after keeping, where it is higher.
        """
        low, high = self.against(estimator, to, fraction).interval
        return high < 0 if self.keep else low > 0

    def _statement(self, estimator: str, control: str, fraction: float) -> str:
        found = self.against(estimator, control, fraction)
        if not math.isfinite(found.value):
            return ""
        noise = "blurred noise" if control == BLURRED_RANDOM else "random pixels"
        verb, more = ("keeping", "helps") if self.keep else ("removing", "hurts")
        low, high = found.interval
        seeds = f"{found.seeds[0]} seed{'s' if found.seeds[0] > 1 else ''}"
        shown = f"{fraction:.0%}: {found.value:+.3f}"
        shown += f" [{low:+.3f}, {high:+.3f}] over {seeds}" if math.isfinite(low) else f", {seeds}"
        worse = (found.value < 0) if self.keep else (found.value > 0)
        if math.isfinite(low) and low <= 0 <= high:
            return f"{estimator} is not told apart from {noise} ({shown})"
        if worse:
            more = more if math.isfinite(low) else f"{more}, in this single run,"
            return f"{verb} {noise} {more} more than {verb} what {estimator} points at ({shown})"
        more = more if math.isfinite(low) else f"{more}, in this single run,"
        return f"{verb} what {estimator} points at {more} more than {verb} {noise} ({shown})"

    def table(self, *, retrained: bool = True) -> dict[str, dict[float, float]]:
        """Return the mean accuracy over the seeds of every arm and fraction; NaN where nothing is measured."""
        return {arm: {one: _mean(self.accuracies(arm, one, retrained=retrained)) for one in self.fractions}
                for arm in self.arms}  # fmt: skip

    @property
    def unchanged(self) -> float:
        """Mean accuracy of the models on unchanged images."""
        return _mean(self.accuracies(NONE, 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""

        def numbers(values: Mapping[float, float]) -> dict[str, float | None]:
            return {f"{key:g}": value if math.isfinite(value) else None for key, value in values.items()}

        return {
            "unchanged": self.unchanged if math.isfinite(self.unchanged) else None, "keep": self.keep, "per": self.per,
            "n": list(self.n), "seeds": list(self.seeds), "finished": self.finished,
            "accuracy": {arm: numbers(values) for arm, values in self.table().items()},
            "without_retraining": {arm: numbers(values) for arm, values in self.table(retrained=False).items()},
            "findings": [one.to_dict() | {"rows": []} for one in self.findings],
            "statements": list(self.statements), "rows": [dict(one) for one in self.rows],
        }  # fmt: skip


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    from scipy.stats import t as student

    if len(values) < 2:
        return math.nan, math.nan
    found = np.asarray(values, np.float64)
    margin = float(student.ppf(0.975, len(found) - 1)) * float(found.std(ddof=1)) / len(found) ** 0.5
    return float(found.mean()) - margin, float(found.mean()) + margin
