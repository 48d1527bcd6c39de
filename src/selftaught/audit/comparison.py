"""The whole audit of a change: who changed, who paid, and what of it is seed churn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.embeddings import columns_of, principal_components
from selftaught.audit.exemplars import LEAST_MODELS, Exemplars, SideBySide, accuracy_on, cie, pie, rank_examples
from selftaught.audit.finding import Finding
from selftaught.audit.impact import Impact, impacts, intersections, null_rejections
from selftaught.audit.population import Population, halves, join
from selftaught.audit.slices import Slice, find_slices
from selftaught.audit.two_way import change_of_means
from selftaught.errors import DataError, InputError, did_you_mean
from selftaught.examples import Examples

__all__ = ["Audit", "audit"]


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Args:
        n: examples compared.
        seeds: models before and after.
        accuracy: the change of the accuracy over all; None without labels.
        pie, cie: which examples changed.
        on_pie: accuracies on the examples of `pie` and off them; None without labels.
        overlap: share of the list of `cie` that is on that of `pie` too.
        impacts: a line for each class and group; empty without labels.
        null_rejections: how often the test of classes rejects between halves of the models before; NaN where unknown.
        ranking: ids of the examples, the furthest moved first.
        warnings: what a reader must know.
        slices: parts of the examples, named by nobody, in which more labels changed than seeds alone change; None where
            they were not asked for.
    """

    n: int
    seeds: tuple[int, int]
    accuracy: Finding | None
    pie: Exemplars
    cie: Exemplars
    on_pie: SideBySide | None
    overlap: float
    impacts: tuple[Impact, ...]
    null_rejections: float
    ranking: tuple[str, ...]
    warnings: tuple[str, ...]
    slices: tuple[Slice, ...] | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings: the accuracy, the examples, then classes and groups, then slices."""
        first = () if self.accuracy is None else (self.accuracy,)
        slices = (one.finding for one in self.slices or ())
        return (*first, self.pie.finding, self.cie.finding, *(one.finding for one in self.impacts), *slices)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit in JSON's own types; what is no number becomes None."""

        def number(value: float) -> float | None:
            return value if math.isfinite(value) else None

        def listed(found: Exemplars) -> dict[str, Any]:
            told = {"rate": number(found.rate), "churn": number(found.churn), "size": found.size}
            return {**told, "ties": list(found.ties), "finding": found.finding.to_dict()}

        sides = None if self.on_pie is None else {name: number(one) for name, one in vars(self.on_pie).items()}
        return {
            "n": self.n, "seeds": list(self.seeds),
            "accuracy": None if self.accuracy is None else self.accuracy.to_dict(),
            "pie": listed(self.pie), "cie": listed(self.cie), "accuracy_on_pie": sides, "overlap": number(self.overlap),
            "impacts": [one.to_dict() for one in self.impacts], "null_rejections": number(self.null_rejections),
            "slices": None if self.slices is None else [one.to_dict() for one in self.slices],
            "ranking": list(self.ranking), "warnings": list(self.warnings),
        }  # fmt: skip


def audit(
    before: Population,
    after: Population,
    examples: Examples,
    *,
    groups: Sequence[str] = (),
    q: float = 0.05,
    top: float = 0.1,
    slices: bool = False,
    embedding: NDArray[np.floating] | None = None,
    features: Mapping[str, NDArray[Any]] | None = None,
    paired: bool = False,
    seed: int = 0,
) -> Audit:
    """Compare two populations of models on the examples that both have.

    Args:
        before, after: joined with each other and the examples by id.
        examples: their labels and groups; without labels only the lists of changed examples are made.
        groups: columns of `examples.groups` to look at, and in pairs.
        q: false discovery rate of classes and groups.
        top: share of the examples on the list of `cie`.
        slices: look for parts of the examples in which more labels changed than seeds alone change, see `find_slices`.
        embedding: (n, d) of the examples, for the clusters among them; the principal components of the inputs by
            default.
        features: name -> (n,) of the examples, such as columns of a ledger, for the rules among them, beside the
            table's own columns, the groups and the class.
        paired: the k-th model after was made from the k-th before, such as by pruning it; see `pie`. Intervals of rates
            take the models for independent all the same, and are then too wide rather than too narrow.
        seed: of draws, where there are too many subsets of models to take all.

    Raises:
        InputError: nothing is in common, a group is unknown, populations of other sizes are called paired, or there are
            fewer than 120 examples to find slices among.
        DataError: the examples predict a number, or groups are asked for without labels.
    """
    if examples.labels is not None and not examples.num_classes:
        raise DataError(f"{examples.name!r} predicts a number; an audit compares classes")
    if examples.labels is None and groups:
        raise DataError(f"{examples.name!r} has no labels, so rates of groups are unknown; leave groups out")
    for name in groups:
        if name not in examples.groups:
            known = ", ".join(examples.groups) or "none"
            raise InputError(f"there is no group {name!r}{did_you_mean(name, examples.groups)}; there are: {known}")
    joined = join(before, after)
    place = {str(one): k for k, one in enumerate(examples.ids)}
    there = np.array([str(one) in place for one in joined.before.ids])
    if not there.any():
        raise InputError(f"no id of {before.name} is in {examples.name!r}; give the data that was predicted")
    old, new = joined.before.take(there), joined.after.take(there)
    rows = np.array([place[str(one)] for one in old.ids])
    data = examples.take(rows)
    left = joined.only_before + joined.only_after + int((~there).sum())
    warned = _warnings(before, after, left)
    changed, moved = pie(old, new, paired=paired, seed=seed), cie(old, new, top=top, paired=paired, seed=seed)
    overlap = float(changed.changed[moved.changed].mean())
    seeds = old.models, new.models
    found = None
    if slices:
        mine = {name: np.asarray(values)[rows] for name, values in (features or {}).items()}
        found = find_slices(
            changed.excess, features={**columns_of(data), **mine} or None, ids=data.ids, q=q, models=seeds, seed=seed,
            embedding=principal_components(data.inputs) if embedding is None else np.asarray(embedding)[rows],
        )  # fmt: skip
    if data.labels is None:
        return Audit(len(data), seeds, None, changed, moved, None, overlap, (), float("nan"),
                     tuple(rank_examples(old, new)), warned, found)  # fmt: skip
    labels = data.labels.astype(np.int64)
    chosen = {name: data.groups[name] for name in groups}
    lines = impacts(
        old, new, labels, groups={**chosen, **intersections(chosen)}, class_names=data.class_names, q=q, seed=seed
    )
    return Audit(
        len(data), seeds, _accuracy(old, new, labels, seed), changed, moved,
        accuracy_on(changed.changed, old, new, labels), overlap, tuple(lines),
        null_rejections(old, labels, seed=seed), tuple(rank_examples(old, new)), warned, found,
    )  # fmt: skip


def _accuracy(before: Population, after: Population, labels: np.ndarray[Any, Any], seed: int) -> Finding:
    old, new = ((one.predicted == labels).astype(np.float64) for one in (before, after))
    found = change_of_means(old, new, np.ones(len(labels), np.bool_))
    null = None
    if before.models >= LEAST_MODELS and after.models > 1:
        means = old.mean(axis=1)
        apart = [abs(means[list(a)].mean() - means[list(b)].mean()) for a, b in halves(before.models, seed=seed)]
        null = (-float(max(apart)), float(max(apart)))
    return Finding("accuracy", found.change, found.interval, len(labels), (before.models, after.models), null)


def _warnings(before: Population, after: Population, left: int) -> tuple[str, ...]:
    found = []
    if min(before.models, after.models) == 1:
        found.append("one model on a side: seed churn cannot be told from change")
    if 1 < before.models < LEAST_MODELS:
        found.append(f"{before.models} models before: nothing is claimed; {LEAST_MODELS} are needed")
    if left:
        found.append(f"{left} predictions have no counterpart by id and are left out")
    return tuple(found)
