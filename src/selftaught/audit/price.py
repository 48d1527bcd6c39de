"""What a mitigation costs: accuracy over all, on the examples found and in every group, before and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.comparison import audit
from selftaught.audit.exemplars import taxicab
from selftaught.audit.finding import Finding
from selftaught.audit.impact import Impact
from selftaught.audit.population import Population, halves
from selftaught.audit.two_way import change_of_means
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples

__all__ = ["Price", "found_change", "group_offsets", "price", "shift_groups"]

LEAST_MODELS = 4


@dataclass(frozen=True, eq=False)
class Price:
    """A mitigation beside what it mends: the compressed population before it and after it.

    Args:
        name: what was done.
        n: examples it is judged on, on which nothing was chosen.
        accuracy: the change over all.
        found: the change on the examples found, see `found_change`.
        impacts: classes and groups.
        sides: accuracy before and after, over all and on the examples found.
    """

    name: str
    n: int
    accuracy: Finding
    found: Finding
    impacts: tuple[Impact, ...]
    sides: Mapping[str, tuple[float, float]]

    @property
    def losers(self) -> tuple[Impact, ...]:
        """Classes and groups that the mitigation itself significantly hurt."""
        told = [one for one in self.impacts if one.significant and one.measure in ("recall", "accuracy")]
        return tuple(one for one in told if one.finding.value < 0)

    @property
    def holds(self) -> bool:
        """Whether the examples found gained beyond their null and no class or group lost beyond its own."""
        return self.found.verdict == "change" and self.found.value > 0 and not self.losers

    @property
    def lines(self) -> list[dict[str, Any]]:
        """A line for all examples, those found, each class and each group, in JSON's own types."""

        def told(where: str, finding: Finding, before: float, after: float, verdict: str) -> dict[str, Any]:
            numbers = {"before": before, "after": after, "low": finding.interval[0], "high": finding.interval[1]}
            known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
            return {"name": self.name, "where": where, "n": finding.n, **known, "verdict": verdict}

        found = [told("all", self.accuracy, *self.sides["all"], self.accuracy.verdict),
                 told("examples found", self.found, *self.sides["found"], self.found.verdict)]  # fmt: skip
        for one in self.impacts:
            if one.measure in ("recall", "accuracy"):
                verdict = one.finding.verdict if one.significant or one.finding.verdict != "change" else "unclear"
                found.append(told(one.where, one.finding, one.before, one.after, verdict))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        return {"name": self.name, "n": self.n, "holds": self.holds, "lines": self.lines}

    @property
    def headline(self) -> str:
        """What was done, and what came of it, in a line."""
        if self.holds:
            return f"{self.name}: the examples found gain, and nobody is shown to lose"
        if self.losers:
            return f"{self.name}: it hurts " + ", ".join(one.where for one in self.losers)
        return f"{self.name}: no gain on the examples found beyond chance"

    def __str__(self) -> str:
        rows = []
        for one in self.lines:
            if one["before"] is not None:
                ends = "" if one["low"] is None else f" [{one['low']:+.3f}, {one['high']:+.3f}]"
                change = one["after"] - one["before"]
                rows.append(f"  {one['where']}: {one['before']:.3f} -> {one['after']:.3f}, {change:+.3f}{ends}, "
                            f"{one['verdict']}")  # fmt: skip
        return "\n".join([self.headline, *rows])


def price(
    name: str,
    dense: Population,
    before: Population,
    after: Population,
    examples: Examples,
    *,
    groups: Sequence[str] = (),
    top: float = 0.1,
    q: float = 0.05,
) -> Price:
    """Return what a mitigation costs, on examples on which nothing of it was chosen.

    Args:
        name: what was done.
        dense: the population before compression.
        before: compressed, without the mitigation.
        after: compressed, with it.
        examples: labelled, over which all three stand in this order.
        groups, q: as for `audit`.
        top: share of the examples that is found.

    Raises:
        DataError: the examples have no labels.
        InputError: the populations are not over these examples.
    """
    if examples.labels is None:
        raise DataError(f"{examples.name!r} has no labels, so nothing can be priced")
    for one in (dense, before, after):
        if not np.array_equal(one.ids, examples.ids):
            raise InputError(f"{one.name} is not over these examples; take them by id first")
    labels = examples.labels.astype(np.int64)
    told = audit(before, after, examples, groups=groups, q=q)
    finding, sides = found_change(dense, before, after, labels, top=top)
    right = [float((one.predicted == labels).mean()) for one in (before, after)]
    if told.accuracy is None:
        raise DataError(f"{examples.name!r} has no labels, so nothing can be priced")
    return Price(name, told.n, told.accuracy, finding, told.impacts, {"all": (right[0], right[1]), "found": sides})


def found_change(
    dense: Population, before: Population, after: Population, labels: NDArray[np.int64], *, top: float = 0.1
) -> tuple[Finding, tuple[float, float]]:
    """Return how accuracy changed on the examples that compression moved, judged by models that did not choose them.

    The examples on which some models did badly are those on which they were also unlucky: chosen and judged by the same
    models, any second population would look better there. So one half of the compressed models chooses by taxicab
    distance to the dense ones, the other half is what "before" means, and both take turns. The null is what comes of it
    where the second population is of the same kind: the other half against itself, split.

    Returns:
        The finding, and the accuracy before and after on the examples found.

    Raises:
        InputError: there are fewer than two models before.
    """
    if before.models < 2:
        raise InputError("examples found need two compressed models or more: some that choose and some that judge")
    right_before, right_after = ((one.predicted == labels).astype(np.float64) for one in (before, after))
    half = before.models // 2
    parts = list(range(half)), list(range(half, before.models))
    changes, lows, nulls, shown = [], [], [], []
    for choosing, judging in (parts, parts[::-1]):
        listed = _furthest(dense, before, choosing, top)
        found = change_of_means(right_before[judging], right_after, listed)
        changes.append(found.change)
        lows.append(found.change - found.interval[0])
        shown.append((found.before, found.after))
        own = right_before[judging][:, listed].mean(axis=1)
        if before.models >= LEAST_MODELS:
            nulls += [abs(own[list(a)].mean() - own[list(b)].mean()) for a, b in halves(len(judging))]
    value, margin = float(np.mean(changes)), float(np.mean(lows))
    widest = float(max(nulls)) if nulls else None
    n = max(1, round(top * len(labels)))
    finding = Finding(
        "accuracy on the examples found", value, (value - margin, value + margin), n, (before.models, after.models),
        None if widest is None else (-widest, widest),
    )  # fmt: skip
    return finding, (float(np.mean([one for one, _ in shown])), float(np.mean([one for _, one in shown])))


def group_offsets(
    population: Population,
    labels: NDArray[np.int64],
    groups: NDArray[Any],
    *,
    least: int = 30,
    even: bool = False,
) -> dict[Any, NDArray[np.float64]]:
    """Fit thresholds for each group: what is added to the log probability of each class there.

    The offsets are those of the largest likelihood with the model as it is (bias-corrected scaling, Alexandari et al.,
    ICML 2020, with the slope held at 1): in each group the mean probability of a class then equals its share. With two
    classes this is one threshold a group. Smaller groups than `least`, and classes without an example in a
    group, get no offset of their own.

    Args:
        population: over the examples that the offsets are chosen on.
        labels: (n,).
        groups: (n,) values.
        least: examples a group needs.
        even: count every class alike, which moves thresholds towards rare classes (arXiv 2007.07314).

    Returns:
        Value of the group -> (C,) offsets.
    """
    from scipy.optimize import minimize

    mean = np.log(np.clip(population.probabilities.mean(axis=0), 1e-7, 1.0))
    found = {}
    for value in np.unique(groups):
        rows = np.flatnonzero(groups == value)
        counts = np.bincount(labels[rows], minlength=mean.shape[1])
        if len(rows) < least:
            continue
        weights = (1 / counts[labels[rows]] / np.count_nonzero(counts)) if even else np.full(len(rows), 1 / len(rows))
        own, there = mean[rows], counts > 0
        target = np.bincount(labels[rows], weights=weights, minlength=mean.shape[1]).astype(np.float64)

        def loss(
            free: NDArray[np.float64],
            own: NDArray[np.float64] = own,
            weights: NDArray[np.float64] = weights,
            target: NDArray[np.float64] = target,
            there: NDArray[np.bool_] = there,
        ) -> tuple[float, NDArray[np.float64]]:
            scores = own + np.where(there, free, 0.0)
            top = scores.max(axis=1, keepdims=True)
            shares = np.exp(scores - top)
            total = shares.sum(axis=1, keepdims=True)
            value = float((weights * (top + np.log(total))[:, 0]).sum() - (target * np.where(there, free, 0.0)).sum())
            gradient = np.where(there, (weights[:, None] * shares / total).sum(axis=0) - target, 0.0)
            # A little pull to zero: adding one number to all classes changes nothing.
            return value + 5e-5 * float(free @ free), gradient + 1e-4 * free

        solved = minimize(loss, np.zeros(mean.shape[1]), jac=True, method="L-BFGS-B")
        found[value] = np.where(there, np.asarray(solved.x), 0.0)
    return found


def shift_groups(
    population: Population, groups: NDArray[Any], offsets: Mapping[Any, NDArray[np.float64]]
) -> Population:
    """Return the population with the offsets of each example's group added to its log probabilities.

    Args:
        population: over any examples.
        groups: (n,) their values.
        offsets: from `group_offsets`; groups without any stay as they are.
    """
    classes = population.probabilities.shape[2]
    added = np.stack([offsets.get(value, np.zeros(classes)) for value in groups.tolist()])
    return Population.from_logits(
        np.log(np.clip(population.probabilities, 1e-12, 1.0)) + added, population.ids, population.name
    )


def _furthest(dense: Population, compressed: Population, models: list[int], top: float) -> NDArray[np.bool_]:
    own = Population(compressed.probabilities[models], compressed.ids, compressed.name)
    moved = taxicab(dense, own)
    listed = np.zeros(len(moved), np.bool_)
    listed[np.argsort(-moved, kind="stable")[: max(1, round(top * len(moved)))]] = True
    return listed
