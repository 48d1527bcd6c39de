"""Which classes and sub-groups a change helped or hurt: raw, relative and normalised, tested against seed churn."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.finding import Finding
from selftaught.audit.population import Population, halves
from selftaught.audit.two_way import MeanChange, benjamini_hochberg, change_of_means, welch
from selftaught.errors import InputError

__all__ = ["LEAST_SIZE", "Impact", "Measure", "impacts", "intersections", "named", "null_rejections"]

LEAST_SIZE = 30  # smaller groups are listed without a test
LEAST_MODELS = 4
#: "recall" is the share of a class that is right; the other rates are those of a class against all others.
Measure = Literal["accuracy", "recall", "false positive rate", "false negative rate"]


@dataclass(frozen=True)
class Impact:
    """What became of one rate in one class, group or intersection.

    Args:
        where: such as "class cat", "sex = female" or "sex = female, class 1".
        measure: which rate.
        before, after: mean over the models; NaN without an example.
        rest: the same rate before and after outside the class or group; NaN without an example.
        relative: the raw change divided by `before`; NaN where that is 0.
        normalised: the raw change less that of the reference: of the accuracy over all examples for recall and accuracy
            (the form of arXiv 1911.05248), of the same rate outside the group for the others. It can turn a class that
            was lost into a gain, so read the raw change first.
        p: Welch's over the models, of the raw change; NaN where it was not tested.
        normalised_p: the same of the normalised change, the paper's own test.
        adjusted: `p` by Benjamini and Hochberg, over all tests of one call.
        finding: the raw change, its interval over models and examples, its null between halves of the models before.
        significant: `adjusted` is at most q and the interval lies outside the null.
    """

    where: str
    measure: Measure
    before: float
    after: float
    rest: tuple[float, float]
    relative: float
    normalised: float
    p: float
    normalised_p: float
    adjusted: float
    finding: Finding
    significant: bool

    @property
    def verdict(self) -> str:
        """The finding's, "unclear" for a change that is none among so many tests; "too few" below 30 examples."""
        if self.finding.n < LEAST_SIZE:
            return "too few"
        said = self.finding.verdict
        return "unclear" if said == "change" and not self.significant else said

    @property
    def difference(self) -> tuple[float, float]:
        """The rate less that of the rest, before and after."""
        return self.before - self.rest[0], self.after - self.rest[1]

    @property
    def ratio(self) -> tuple[float, float]:
        """The rate divided by that of the rest, before and after; NaN where that is 0."""
        old, new = (one or float("nan") for one in self.rest)
        return self.before / old, self.after / new

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types; what is no number becomes None."""
        numbers = ("before", "after", "relative", "normalised", "p", "normalised_p", "adjusted")
        told = {name: None if np.isnan(getattr(self, name)) else getattr(self, name) for name in numbers}
        return {
            "where": self.where, "measure": self.measure, **told, "significant": self.significant,
            "verdict": self.verdict,
            "rest": [None if np.isnan(one) else one for one in self.rest],
            "raw": self.finding.to_dict(),
        }  # fmt: skip


def impacts(
    before: Population,
    after: Population,
    labels: NDArray[np.int64],
    *,
    groups: Mapping[str, NDArray[Any]] | None = None,
    class_names: tuple[str, ...] = (),
    q: float = 0.05,
    seed: int = 0,
) -> list[Impact]:
    """Measure what a change did to every class, and to every sub-group.

    Classes: recall. Groups: accuracy, and the false positive and false negative rate of each class in each group (of
    the second class alone where there are two). All are tested together, at the false discovery rate q.

    Args:
        before, after: over the same examples in the same order.
        labels: (n,) class numbers.
        groups: column -> (n,) values; see `intersections` for their combinations.
        class_names: of the C classes.
        q: false discovery rate.
        seed: of the draw of halves, where there are too many to take all.

    Raises:
        InputError: lengths differ, or a label is no class.
    """
    classes = before.probabilities.shape[2]
    _require_fitting(before, after, labels, groups or {}, classes)
    names = class_names or tuple(str(c) for c in range(classes))
    splits = halves(before.models, seed=seed) if before.models >= LEAST_MODELS else []
    found = [_impact(*one, splits) for one in _questions(before, after, labels, groups or {}, names)]
    adjusted = benjamini_hochberg(np.array([one.p for one in found]))
    return [
        replace(one, adjusted=float(p), significant=bool(p <= q and one.finding.verdict == "change"))
        for one, p in zip(found, adjusted, strict=True)
    ]


def intersections(groups: Mapping[str, NDArray[Any]], *, least: int = LEAST_SIZE) -> dict[str, NDArray[np.str_]]:
    """Return every pair of columns as one column of its own.

    Pairs of values in fewer than `least` examples are "", as are those of which one is missing. Where two pairs would
    read alike, their values stand in quotes.

    Args:
        groups: column -> (n,) values.
        least: examples that a pair of values needs.

    >>> found = intersections({"sex": np.array(["f", "m"]), "old": np.array([1, 0])}, least=1)
    >>> found["sex and old"].tolist()
    ['f and 1', 'm and 0']
    """
    found = {}
    for (one, left), (other, right) in itertools.combinations(groups.items(), 2):
        pairs = list(zip(map(str, left), map(str, right), strict=True))
        told = named(left) & named(right)
        counts = Counter(pair for pair, known in zip(pairs, told, strict=True) if known)
        alike = Counter(f"{a} and {b}" for a, b in counts)
        names = {
            (a, b): f"{a} and {b}" if alike[f"{a} and {b}"] == 1 else f"{a!r} and {b!r}"
            for (a, b), count in counts.items() if count >= least
        }  # fmt: skip
        found[f"{one} and {other}"] = np.array(
            [names.get(pair, "") if known else "" for pair, known in zip(pairs, told, strict=True)], np.str_
        )
    return found


def null_rejections(before: Population, labels: NDArray[np.int64], *, level: float = 0.05, seed: int = 0) -> float:
    """Return how often the test of the classes' recall rejects where only seeds differ: between halves of a population.

    About `level` is right; NaN where halves have fewer than two models.
    """
    right = (before.predicted == labels).astype(np.float64)
    tests = []
    for one, other in halves(before.models, seed=seed):
        for c in np.unique(labels):
            rows = labels == c
            tests.append(welch(right[list(one)][:, rows].mean(axis=1), right[list(other)][:, rows].mean(axis=1)))
    known = np.array([p for p in tests if not np.isnan(p)])
    return float((known < level).mean()) if len(known) else float("nan")


Outcome = tuple[NDArray[np.float64], NDArray[np.float64]]
Question = tuple[str, Measure, Outcome, NDArray[np.bool_], NDArray[np.bool_]]


def _outcomes(
    before: Population, after: Population, judge: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
) -> Outcome:
    return judge(before.predicted).astype(np.float64), judge(after.predicted).astype(np.float64)


def _questions(
    before: Population,
    after: Population,
    labels: NDArray[np.int64],
    groups: Mapping[str, NDArray[Any]],
    names: tuple[str, ...],
) -> Iterator[Question]:
    """Give each rate: where, which, its (K, n) outcomes, the examples it counts, and the examples of the rest."""
    right = _outcomes(before, after, lambda predicted: predicted == labels)
    for c, name in enumerate(names):
        yield f"class {name}", "recall", right, labels == c, labels != c
    asked = range(len(names)) if len(names) > 2 else (1,)
    for column, values in groups.items():
        known = named(values)
        told = np.asarray(values).astype(np.str_) if np.asarray(values).dtype.kind == "O" else np.asarray(values)
        for value in np.unique(told[known]):
            inside = np.asarray(told == value) & known
            place = f"{column} = {value}"
            yield place, "accuracy", right, inside, ~inside
            for c in asked:
                is_c = labels == c
                said = _outcomes(before, after, lambda predicted, c=c: predicted == c)  # type: ignore[misc]
                missed = 1 - said[0], 1 - said[1]
                yield f"{place}, class {names[c]}", "false positive rate", said, inside & ~is_c, ~inside & ~is_c
                yield f"{place}, class {names[c]}", "false negative rate", missed, inside & is_c, ~inside & is_c


def named(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values name a group: neither "" nor NaN nor None does.

    >>> named(np.array(["f", "", None], object)).tolist()
    [True, False, False]
    """
    if np.asarray(values).dtype.kind == "O":
        return np.array([one is not None and one == one and one != "" for one in values], np.bool_)
    if values.dtype.kind in "US":
        return np.asarray(values != "")
    return ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), np.bool_)


def _impact(
    where: str,
    measure: Measure,
    outcome: Outcome,
    rows: NDArray[np.bool_],
    rest: NDArray[np.bool_],
    splits: list[tuple[tuple[int, ...], tuple[int, ...]]],
) -> Impact:
    old, new = outcome
    n, seeds, nan = int(rows.sum()), (len(old), len(new)), float("nan")
    if not n:
        empty = Finding(f"{measure} of {where}", nan, (nan, nan), 0, seeds, None)
        return Impact(where, measure, nan, nan, (nan, nan), nan, nan, nan, nan, nan, empty, False)
    raw = change_of_means(old, new, rows)
    reference = np.ones(len(rows), np.bool_) if measure in ("accuracy", "recall") else rest
    beside: MeanChange | None = change_of_means(old, new, rows, reference=reference) if reference.any() else None
    others = (float(old[:, rest].mean()), float(new[:, rest].mean())) if rest.any() else (nan, nan)
    tested = n >= LEAST_SIZE
    null = None
    if splits and tested and len(new) > 1:
        means = old[:, rows].mean(axis=1)
        widest = max(abs(float(means[list(one)].mean() - means[list(other)].mean())) for one, other in splits)
        null = (-widest, widest)
    finding = Finding(f"{measure} of {where}", raw.change, raw.interval, n, seeds, null)
    return Impact(
        where, measure, raw.before, raw.after, others, raw.change / raw.before if raw.before else nan,
        beside.change if beside else nan, raw.p if tested else nan, beside.p if beside and tested else nan, nan,
        finding, False,
    )  # fmt: skip


def _require_fitting(
    before: Population, after: Population, labels: NDArray[np.int64], groups: Mapping[str, NDArray[Any]], classes: int
) -> None:
    n = len(before.ids)
    if not np.array_equal(before.ids, after.ids):
        raise InputError(f"{before.name} and {after.name} have other examples; bring them together with join")
    for name, values in {"labels": labels, **groups}.items():
        if np.shape(values) != (n,):
            raise InputError(f"{name} must have shape ({n},) like the examples, got {np.shape(values)}")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels must be class numbers from 0 to {classes - 1}")
