"""Where an outcome concentrates when nobody named a group: found on one half of the examples, tested on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.finding import Finding
from selftaught.audit.impact import LEAST_SIZE
from selftaught.audit.slice_candidates import Candidates, cluster_candidates, rule_candidates
from selftaught.audit.two_way import benjamini_hochberg
from selftaught.errors import InputError
from selftaught.seeds import rng_for

__all__ = ["Slice", "find_slices"]

TYPICAL = 9
MOST_OVERLAP = 0.5
PROPOSED = 0.05  # the one-sided p on the first half up to which a candidate goes to the second
DRAWS = 400


@dataclass(frozen=True, eq=False)
class Slice:
    """A part of the examples in which the outcome is more frequent than outside.

    Args:
        name: the rule, such as "age > 41 and region = south", or "cluster 3 of 10".
        members: (n,) who is in it, of both halves.
        inside, outside: mean outcome in it and outside, on the half that confirms.
        p: one-sided, on that half; exact for outcomes of 0 and 1, by the permutation variance for others.
        adjusted: `p` by Benjamini and Hochberg over everything that the first half proposed.
        finding: `inside` minus `outside` on the half that confirms, its interval over examples, and as null what sets
            of as many examples drawn at random gave; its rows are the ids of the nine most typical members.
    """

    name: str
    members: NDArray[np.bool_]
    inside: float
    outside: float
    p: float
    adjusted: float
    finding: Finding

    @property
    def typical(self) -> tuple[str, ...]:
        """Ids of the nine most typical members: those nearest to the slice's centre."""
        return tuple(str(one) for one in self.finding.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        return {
            "name": self.name, "size": int(self.members.sum()), "inside": self.inside, "outside": self.outside,
            "p": self.p, "adjusted": self.adjusted, "finding": self.finding.to_dict(),
        }  # fmt: skip


def find_slices(
    outcome: NDArray[Any],
    *,
    features: Mapping[str, NDArray[Any]] | None = None,
    embedding: NDArray[np.floating] | None = None,
    ids: Sequence[str] | NDArray[np.str_] | None = None,
    q: float = 0.05,
    least: int = LEAST_SIZE,
    models: tuple[int, int] = (1, 1),
    seed: int = 0,
) -> tuple[Slice, ...]:
    """Find parts of the examples in which an outcome is more frequent than outside.

    Candidates are the clusters of an embedding (k-means, of several numbers of clusters) and rules of one or two
    conditions on features: equal to a value, missing, or above or below a quartile. The first half of the examples,
    drawn by outcome, proposes those that look raised there; the second half tests all of these, at the false discovery
    rate q. Choosing and testing on the same examples would find slices in noise. Of slices that share more than half of
    the smaller one's members, that which the first half put forward most clearly is listed.

    Args:
        outcome: (n,) high where it is bad: 1 for an error or a changed label, or any number.
        features: name -> (n,) numbers or texts: columns of a table, of a ledger, groups. NaN and "" are missing.
        embedding: (n, d) where alike examples are near.
        ids: (n,) of the examples; their row numbers by default.
        q: false discovery rate.
        least: examples that a slice has in each half.
        models: before and after, for the finding.
        seed: of the halves, the clusters and the null.

    Returns:
        Confirmed slices, the largest difference first; none where nothing is confirmed.

    Raises:
        InputError: lengths differ, an outcome is not a number, there are neither features nor an embedding, or a half
            would have fewer than twice `least`.

    >>> rng = np.random.default_rng(0)
    >>> age, region = rng.integers(20, 60, 800), np.where(rng.random(800) < 0.5, "north", "south")
    >>> wrong = rng.random(800) < np.where((age > 50) & (region == "south"), 0.6, 0.05)
    >>> [one.name for one in find_slices(wrong, features={"age": age, "region": region})]
    ['age > 51 and region = south']
    """
    values = np.asarray(outcome, np.float64)
    n = len(values)
    names = np.arange(n).astype(str) if ids is None else np.asarray(ids, np.str_)
    _require_fitting(values, features, embedding, names, q, least)
    first = _first_half(values, seed)
    found = Candidates.none(n)
    if embedding is not None:
        found = found.joined(cluster_candidates(np.asarray(embedding, np.float64), least=2 * least, seed=seed))
    if features:
        found = found.joined(rule_candidates(features, values, first, least=least))
    enough = (found.members[:, first].sum(axis=1) >= least) & (found.members[:, ~first].sum(axis=1) >= least)
    outside = ~found.members
    enough &= (outside[:, first].sum(axis=1) > 0) & (outside[:, ~first].sum(axis=1) >= 2)  # something to compare with
    found = found.take(np.flatnonzero(enough))
    p_first = _raised(found.members[:, first], values[first])
    found, strength = found.take(np.flatnonzero(p_first <= PROPOSED)), p_first[p_first <= PROPOSED]
    if not len(found.names):
        return ()
    p = _raised(found.members[:, ~first], values[~first])
    adjusted = benjamini_hochberg(p)
    kept: list[int] = []
    for k in np.lexsort((found.members.sum(axis=1), strength)):
        if adjusted[k] <= q and all(_overlap(found.members[k], found.members[other]) <= MOST_OVERLAP for other in kept):
            kept.append(int(k))
    near = _places(features, embedding, n)
    slices = [
        _slice(found.names[k], found.members[k], values, first, float(p[k]), float(adjusted[k]), models, seed)
        for k in kept
    ]
    told = [
        replace(one, finding=replace(one.finding, rows=_typical(one.members, near, names))) for one in slices
    ]
    return tuple(sorted(told, key=lambda one: -one.finding.value))


def _first_half(values: NDArray[np.float64], seed: int) -> NDArray[np.bool_]:
    """Return which examples the search may see: every other one of those ordered by outcome, drawn among equals."""
    rng = rng_for(seed, "audit", "slices", len(values))
    order = np.lexsort((rng.random(len(values)), values))
    pairs = np.arange(len(values)) // 2
    side = rng.random(pairs[-1] + 1) < 0.5  # which of each pair
    first = np.zeros(len(values), np.bool_)
    first[order] = (np.arange(len(values)) % 2 == 0) == side[pairs]
    return first


def _raised(members: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the one-sided p of so high a mean in each set, were the members drawn at random, (candidates,)."""
    from scipy.stats import hypergeom, norm

    n, sizes = len(values), members.sum(axis=1)
    if np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):  # what differs is rounding
        return np.ones(len(members))
    sums = members @ values
    if np.isin(values, (0, 1)).all():
        return np.asarray(hypergeom.sf(np.round(sums) - 1, n, int(values.sum()), sizes))
    # The mean and variance over all ways to draw so many of them (sampling without replacement).
    spread = np.sqrt(np.maximum(sizes * (n - sizes) / max(n - 1, 1) * values.var(), 1e-30))
    return np.asarray(norm.sf((sums - sizes * values.mean()) / spread))


def _slice(
    name: str,
    members: NDArray[np.bool_],
    values: NDArray[np.float64],
    first: NDArray[np.bool_],
    p: float,
    adjusted: float,
    models: tuple[int, int],
    seed: int,
) -> Slice:
    mine, other = values[members & ~first], values[~members & ~first]
    value = float(mine.mean() - other.mean())
    margin = 1.96 * float(np.sqrt(mine.var(ddof=1) / len(mine) + other.var(ddof=1) / max(len(other), 1)))
    rng = rng_for(seed, "audit", "slices", "null", name)
    second = values[~first]
    total, m, n = float(second.sum()), len(mine), len(second)
    drawn = np.array([second[rng.choice(n, m, replace=False)].sum() for _ in range(DRAWS)])
    apart = drawn / m - (total - drawn) / (n - m)
    null = (float(apart.min()), float(apart.max()))
    finding = Finding(f"{name}: in it less outside", value, (value - margin, value + margin), m, models, null)
    return Slice(name, members, float(mine.mean()), float(other.mean()), p, adjusted, finding)


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(min(int(one.sum()), int(other.sum())), 1))


def _places(
    features: Mapping[str, NDArray[Any]] | None, embedding: NDArray[np.floating] | None, n: int
) -> NDArray[np.float64]:
    """Return where examples are: the embedding, or else the numbers among the features in standard units."""
    if embedding is not None:
        return np.asarray(embedding, np.float64).reshape(n, -1)
    columns = [np.nan_to_num(np.asarray(one, np.float64)) for one in (features or {}).values()
               if np.asarray(one).dtype.kind in "fiub"]  # fmt: skip
    if not columns:
        return np.zeros((n, 1))
    found = np.stack(columns, axis=1)
    return np.asarray((found - found.mean(axis=0)) / np.where(found.std(axis=0) > 0, found.std(axis=0), 1))


def _typical(members: NDArray[np.bool_], places: NDArray[np.float64], ids: NDArray[np.str_]) -> tuple[str, ...]:
    rows = np.flatnonzero(members)
    mine = places[rows]
    far = np.square(mine - mine.mean(axis=0)).sum(axis=1)
    return tuple(str(ids[k]) for k in rows[np.argsort(far, kind="stable")[:TYPICAL]])


def _require_fitting(
    values: NDArray[np.float64],
    features: Mapping[str, NDArray[Any]] | None,
    embedding: NDArray[np.floating] | None,
    ids: NDArray[np.str_],
    q: float,
    least: int,
) -> None:
    n = len(values)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(f"the outcome must be one finite number for each example, got shape {values.shape}")
    if not features and embedding is None:
        raise InputError("slices need features or an embedding to look along; give one of them")
    lengths = {"ids": len(ids), **{name: len(one) for name, one in (features or {}).items()}}
    if embedding is not None:
        lengths["the embedding"] = len(embedding)
        if embedding.ndim != 2 or not np.isfinite(embedding).all():
            raise InputError(f"an embedding must be finite numbers of shape ({n}, dimensions), got {embedding.shape}")
    for name, length in lengths.items():
        if length != n:
            raise InputError(f"{name} must have as many entries as the outcome, {n}, got {length}")
    if not 0 < q < 1:
        raise InputError(f"q must be between 0 and 1, got {q}")
    if least < 2:
        raise InputError(f"least must be at least 2, got {least}")
    if n < 4 * least:
        raise InputError(f"slices of {least} examples in each half need at least {4 * least} examples, got {n}")
