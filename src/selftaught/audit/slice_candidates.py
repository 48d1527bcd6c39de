"""What may be a slice: clusters of an embedding, and rules of one or two conditions on columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.seeds import seed_for

__all__ = ["Candidates", "cluster_candidates", "rule_candidates"]

CLUSTERS = (5, 10, 20)
QUARTILES = (0.25, 0.5, 0.75)
MOST_VALUES = 20  # of a column of texts, the most frequent first
MOST_CONDITIONS = 200  # that are paired; of more, those that the first half finds most raised
MOST_PAIRS = 2000  # of conditions, likewise


@dataclass(frozen=True, eq=False)
class Candidates:
    """Named sets of examples.

    Args:
        names: of the sets.
        members: (sets, n).
    """

    names: tuple[str, ...]
    members: NDArray[np.bool_]

    @classmethod
    def none(cls, n: int) -> Candidates:
        """Return no set of n examples."""
        return cls((), np.zeros((0, n), np.bool_))

    def joined(self, other: Candidates) -> Candidates:
        """Return the sets of both."""
        return Candidates((*self.names, *other.names), np.concatenate([self.members, other.members]))

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """Return the sets with these numbers."""
        return Candidates(tuple(self.names[k] for k in rows), self.members[rows])


def cluster_candidates(embedding: NDArray[np.float64], *, least: int, seed: int = 0) -> Candidates:
    """Return the clusters of k-means with 5, 10 and 20 centres, where the examples are enough for so many.

    The clusters know nothing of the outcome, so all examples have a part in them.

    Args:
        embedding: (n, d).
        least: examples a cluster should have on average.
        seed: of the first centres.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    names: list[str] = []
    found = [np.zeros((0, len(embedding)), np.bool_)]
    for k in CLUSTERS:
        if len(embedding) < k * least or len(np.unique(embedding, axis=0)) < k:
            continue
        start = seed_for(seed, "audit", "clusters", k) % 2**32
        with threadpool_limits(1):
            number = KMeans(k, n_init=3, random_state=start).fit_predict(embedding)
        names += [f"cluster {c} of {k}" for c in range(k)]
        found.append(number[None] == np.arange(k)[:, None])
    return Candidates(tuple(names), np.concatenate(found))


def rule_candidates(
    features: Mapping[str, NDArray[Any]], values: NDArray[np.float64], first: NDArray[np.bool_], *, least: int
) -> Candidates:
    """Return rules of one condition, and of two on different columns, of at least so many examples in the first half.

    Quartiles, and which conditions and pairs are taken where there are too many, depend on the first half alone.

    Args:
        features: name -> (n,).
        values: (n,) the outcome.
        first: (n,) the examples that the search may see.
        least: examples of the first half in a rule.
    """
    columns, names, members = [], [], []
    for place, (column, given) in enumerate(features.items()):
        for name, rows in _conditions(column, np.asarray(given), first):
            inside = int(rows[first].sum())
            if least <= inside <= int(first.sum()) - 1:
                columns.append(place)
                names.append(name)
                members.append(rows)
    if not names:
        return Candidates.none(len(values))
    ones, where = np.stack(members), np.array(columns)
    order = np.argsort(-_standard(ones[:, first], values[first]), kind="stable")[:MOST_CONDITIONS]
    single = Candidates(tuple(names), ones)
    paired = single.take(np.sort(order))
    where = where[np.sort(order)]
    # Sizes and sums of all pairs at once, by the product of their indicators.
    seen = paired.members[:, first].astype(np.float32)
    sizes = (seen @ seen.T).round()
    sums = (seen * values[first].astype(np.float32)) @ seen.T
    a, b = np.nonzero(np.triu(sizes >= least, 1) & (where[:, None] != where[None]))
    # A pair that takes nothing off one of its conditions is that condition.
    alone = np.diag(sizes)
    a, b = (one[(sizes[a, b] < alone[a]) & (sizes[a, b] < alone[b])] for one in (a, b))
    mean, spread, n = float(values[first].mean()), float(values[first].std()) or 1.0, int(first.sum())
    m = sizes[a, b]
    score = (sums[a, b] - m * mean) / np.sqrt(np.maximum(m * (n - m) / max(n - 1, 1), 1e-9)) / spread
    chosen = np.sort(np.argsort(-score, kind="stable")[:MOST_PAIRS])
    a, b = a[chosen], b[chosen]
    if not len(a):
        return single
    both = Candidates(
        tuple(f"{paired.names[i]} and {paired.names[j]}" for i, j in zip(a, b, strict=True)),
        paired.members[a] & paired.members[b],
    )
    return single.joined(both)


def _conditions(
    column: str, values: NDArray[Any], first: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Give the conditions on a column: its values where they are texts or few, else sides of its quartiles."""
    if values.dtype.kind in "fiub":
        numbers = values.astype(np.float64)
        missing = ~np.isfinite(numbers)
        seen = numbers[first & ~missing]
        yield f"{column} is missing", missing
        different = np.unique(seen)
        if len(different) <= 2:
            for one in different:
                yield f"{column} = {one:g}", numbers == one
            return
        for edge in np.unique(np.quantile(seen, QUARTILES, method="lower")):
            yield f"{column} > {edge:.4g}", ~missing & (numbers > edge)
            yield f"{column} <= {edge:.4g}", ~missing & (numbers <= edge)
        return
    texts = values.astype(np.str_)
    known, counts = np.unique(texts[first], return_counts=True)
    for one in known[np.argsort(-counts, kind="stable")[:MOST_VALUES]]:
        yield (f"{column} = {one}" if re.search(r"\S", str(one)) else f"{column} is missing"), texts == one


def _standard(members: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each set's sum is above what sets of its size have on average, in standard deviations."""
    n, sizes = len(values), members.sum(axis=1)
    spread = np.sqrt(np.maximum(sizes * (n - sizes) / max(n - 1, 1), 1e-9)) * (values.std() or 1.0)
    return np.asarray((members @ values - sizes * values.mean()) / spread)
