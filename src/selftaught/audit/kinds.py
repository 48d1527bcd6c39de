"""Hard in which way: mislabelled (correct it), ambiguous (accept a soft label) or rare (collect more)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.difficulty import auroc
from selftaught.errors import InputError

__all__ = ["KINDS", "HardnessKinds", "Kind", "hardness_kinds", "kinds_matrix"]

Kind = Literal["mislabelled", "ambiguous", "rare"]
KINDS: tuple[Kind, ...] = ("mislabelled", "ambiguous", "rare")
CLEAR = 0.2  # of rank, by which the largest must lead
HARD = 0.8  # rank from which an example is hard in some way at all


@dataclass(frozen=True, eq=False)
class HardnessKinds:
    """Three columns, high where an example is hard in that way, and a verdict for each example.

    Args:
        mislabelled: how much more even the least sure seed, and the neighbours, are for one other class than for the
            given one; 0 where they are not.
        ambiguous: how evenly the given class and one other share the models' belief, and how much seeds disagree.
        rare: how far its own class is, and how late it was learned, where no other class claims it.
        verdict: (n,) the kind whose rank, from 0 to 1, is at least 0.8 and leads both others by 0.2; "unclear"
            elsewhere. It seldom errs and is often unclear, mostly between mislabelled and ambiguous.
    """

    mislabelled: NDArray[np.float64]
    ambiguous: NDArray[np.float64]
    rare: NDArray[np.float64]
    verdict: NDArray[np.str_]

    def column(self, kind: Kind) -> NDArray[np.float64]:
        """Return the column of a kind, (n,)."""
        return {"mislabelled": self.mislabelled, "ambiguous": self.ambiguous, "rare": self.rare}[kind]


def hardness_kinds(
    out_of_fold: NDArray[np.floating],
    labels: NDArray[np.int64],
    embedding: NDArray[np.floating],
    *,
    given: NDArray[np.floating] | None = None,
    neighbours: int = 10,
) -> HardnessKinds:
    """Tell mislabelled, ambiguous and rare examples apart.

    Args:
        out_of_fold: (S, n, C) probabilities of at least two seeds, by models that did not learn from the example.
        labels: (n,) given classes.
        embedding: (n, d) where alike examples are near: a layer's outputs, or standardised features.
        given: (T, n) probability of the given label during training, by models that did learn from the example;
            improves `rare`.
        neighbours: how many are looked at.

    Raises:
        InputError: shapes do not fit, a value is no number or a label no class, there is one seed, or there are no more
            examples than neighbours.
    """
    _require_fitting(out_of_fold, labels, embedding, given, neighbours)
    n, rows = len(labels), np.arange(len(labels))
    mean = np.asarray(out_of_fold, np.float64).mean(axis=0)
    others = mean.copy()
    others[rows, labels] = -1
    rival = others.argmax(axis=1)
    mine, theirs = mean[rows, labels], mean[rows, rival]
    nearest, far, far_own = _neighbourhood(np.asarray(embedding, np.float64), labels, neighbours)
    around_rival = (labels[nearest] == rival[:, None]).mean(axis=1)
    around_mine = (labels[nearest] == labels[:, None]).mean(axis=1)
    # What the least sure seed says: where seeds disagree the example is ambiguous, not mislabelled.
    agreed = np.min(np.asarray(out_of_fold)[:, rows, rival] - np.asarray(out_of_fold)[:, rows, labels], axis=0)
    mislabelled = np.maximum(agreed, 0) + np.maximum(around_rival - around_mine, 0)
    both = np.maximum(mine + theirs, 1e-12)
    votes = np.asarray(out_of_fold).argmax(axis=2)
    disagree = 1 - np.array([np.bincount(votes[:, i]).max() for i in range(n)]) / len(votes)
    ambiguous = both * _entropy(mine / both) + disagree
    # What is far from its own class alone may have a wrong label, unless no other class claims it.
    rare = _standard(far) + _standard(far_own) - _standard(around_rival * theirs)
    if given is not None:
        rare = rare + _standard(1 - np.asarray(given, np.float64).mean(axis=0)) * (1 - around_rival)
    ranks = np.stack([_rank(one) for one in (mislabelled, ambiguous, rare)])
    ordered = np.sort(ranks, axis=0)
    clear = (ordered[-1] - ordered[-2] >= CLEAR) & (ordered[-1] >= HARD)
    verdict = np.where(clear, np.array(KINDS)[ranks.argmax(axis=0)], "unclear")
    return HardnessKinds(mislabelled, ambiguous, rare, verdict)


def kinds_matrix(found: HardnessKinds, truths: Mapping[Kind, NDArray[np.bool_]]) -> dict[Kind, dict[Kind, float]]:
    """Return the AUROC of every column against every planted truth: matrix[column][truth].

    A column is right when it is the best one on its own truth.

    Args:
        found: the columns.
        truths: kind -> (n,) what was planted.
    """
    return {kind: {truth: auroc(found.column(kind), rows) for truth, rows in truths.items()} for kind in KINDS}


def _neighbourhood(
    embedding: NDArray[np.float64], labels: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the k nearest others, (n, k), and the log distances to the k-th other and the k-th of the same class."""
    from sklearn.neighbors import NearestNeighbors

    def nearest(points: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        distance, place = NearestNeighbors(n_neighbors=count).fit(points).kneighbors()  # without the point itself
        return distance, place

    distance, place = nearest(embedding, k)
    own = np.zeros(len(labels))
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        count = min(k, len(rows) - 1)
        # Alone in its class: as far as can be.
        own[rows] = nearest(embedding[rows], count)[0][:, -1] if count else np.inf
    finite = own[np.isfinite(own)]
    own = np.where(np.isfinite(own), own, finite.max(initial=distance.max()))
    least = 1e-12
    return place, np.log(distance[:, -1] + least), np.log(own + least)


def _entropy(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of a share and its rest in bits."""
    p = np.clip(share, 1e-12, 1 - 1e-12)
    return np.asarray(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    constant = np.ptp(values) == 0
    return np.zeros(len(values)) if constant else np.asarray((values - values.mean()) / values.std())


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 0 to 1."""
    from scipy.stats import rankdata

    return np.asarray((rankdata(values) - 1) / max(len(values) - 1, 1))


def _require_fitting(
    out_of_fold: NDArray[np.floating],
    labels: NDArray[np.int64],
    embedding: NDArray[np.floating],
    given: NDArray[np.floating] | None,
    neighbours: int,
) -> None:
    n = len(labels)
    if out_of_fold.ndim != 3 or out_of_fold.shape[1] != n or len(out_of_fold) < 2:
        raise InputError(f"out_of_fold must have shape (at least 2 seeds, {n}, classes), got {out_of_fold.shape}")
    classes = out_of_fold.shape[2]
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels must be class numbers from 0 to {classes - 1}, as out_of_fold has {classes} classes")
    for name, one in (("out_of_fold", out_of_fold), ("embedding", embedding), ("given", given)):
        if one is not None and not np.isfinite(one).all():
            raise InputError(f"{name} is not all numbers; leave those examples out")
    if embedding.ndim != 2 or len(embedding) != n:
        raise InputError(f"embedding must have shape ({n}, dimensions), got {embedding.shape}")
    if given is not None and (given.ndim != 2 or given.shape[1] != n):
        raise InputError(f"given must have shape (epochs, {n}), got {given.shape}")
    if not 1 <= neighbours < n:
        raise InputError(f"neighbours must be from 1 to {n - 1}, got {neighbours}")
