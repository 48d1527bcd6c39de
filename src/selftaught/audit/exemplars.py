"""Examples whose answer changed: by modal label (PIE), and by mean probabilities (CIE), beside seed churn."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.finding import Finding
from selftaught.audit.population import MOST_SPLITS, Population, halves, modal_labels
from selftaught.errors import InputError
from selftaught.seeds import rng_for

__all__ = ["Exemplars", "Models", "SideBySide", "accuracy_on", "beyond_churn", "cie", "pie", "rank_examples", "taxicab"]

class Models(Protocol):
    """What K models say about the same examples, whatever it is."""

    @property
    def ids(self) -> NDArray[np.str_]:
        """The examples, (n,)."""

    @property
    def models(self) -> int:
        """How many models, K."""


LEAST_MODELS = 4  # with fewer before, halves are single models, and no change is claimed
Subset = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Which examples changed, and how much of that is seed churn.

    Args:
        changed: (n,) whether the example is on the list, all models of both sides taken.
        score: (n,) what ranks the examples, largest change first.
        rate: share of changed examples between subsets of `size` models of either side; NaN for CIE with one model
            before, whose threshold is not known.
        churn: the same between disjoint subsets of the models before; NaN where it cannot be measured.
        size: models in a subset.
        ties: share of examples with a tie for the modal label, before and after.
        excess: (n,) how often each example changed between the subsets, less how often between those before; the plain
            share where churn cannot be measured. Where nothing but the seed differs it is 0 on average.
        finding: `rate` minus `churn`, with the interval over examples (the null holds what seeds do); the plain rate
            where churn cannot be measured.
    """

    changed: NDArray[np.bool_]
    score: NDArray[np.float64]
    rate: float
    churn: float
    size: int
    ties: tuple[float, float]
    excess: NDArray[np.float64]
    finding: Finding


def pie(before: Population, after: Population, *, seed: int = 0) -> Exemplars:
    """Find the examples whose modal label changed (pruning identified exemplars), beside seed churn.

    "What Do Compressed Deep Neural Networks Forget?" (arXiv 1911.05248). How many there are depends on how many models
    vote, so the rate is compared with its null at the same number: half of the models before.

    Args:
        before, after: over the same examples in the same order, as `join` gives them.
        seed: of the draw of subsets, where there are too many to take all.

    Raises:
        InputError: the examples differ.

    >>> ids = [str(k) for k in range(40)]
    >>> before = Population.from_labels(np.zeros((4, 40), int), ids, classes=2)
    >>> after = Population.from_labels(np.array([[0] * 30 + [1] * 10] * 4), ids, classes=2)
    >>> found = pie(before, after)
    >>> found.rate, found.churn, found.finding.verdict
    (0.25, 0.0, 'change')
    """
    _require_same(before, after)

    def modes(population: Population, subset: Subset) -> NDArray[np.int64]:
        return modal_labels(population.probabilities[list(subset)])[0]

    (old, old_ties), (new, new_ties) = modal_labels(before.probabilities), modal_labels(after.probabilities)
    return beyond_churn(
        "PIE", before, after, modes, lambda one, other: (one != other).astype(np.float64),
        old != new, taxicab(before, after), (float(old_ties.mean()), float(new_ties.mean())), seed,
    )  # fmt: skip


def cie(before: Population, after: Population, *, top: float = 0.1, seed: int = 0) -> Exemplars:
    """Find the examples whose mean probabilities moved furthest (taxicab distance), beside seed churn.

    "Characterising Bias in Compressed Models" (arXiv 2010.03058). The null sets the threshold: a distance that only
    `top` of the examples exceed between disjoint subsets of the models before. The rate is the share beyond it. The
    list holds the `top` share of the examples by distance.

    Args:
        before, after: over the same examples in the same order.
        top: share of the examples listed, and of those beyond the threshold by chance.
        seed: of the draw of subsets.

    Raises:
        InputError: the examples differ, or `top` is no share.
    """
    _require_same(before, after)
    if not 0 < top < 1:
        raise InputError(f"top must be between 0 and 1, got {top}")

    def means(population: Population, subset: Subset) -> NDArray[np.float64]:
        return np.asarray(population.probabilities[list(subset)].mean(axis=0))

    def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.abs(one - other).sum(axis=1))

    score = taxicab(before, after)
    listed = np.zeros(len(score), np.bool_)
    listed[np.argsort(-score, kind="stable")[: max(1, round(top * len(score)))]] = True
    size = _size(before, after)
    splits = halves(before.models, size, seed=seed)
    apart = [distance(means(before, one), means(before, other)) for one, other in splits]
    threshold = float(np.quantile(np.concatenate(apart), 1 - top)) if apart else None

    def beyond(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        if threshold is None:  # one model before: nothing says how far is far
            return np.full(len(one), np.nan)
        return (distance(one, other) > threshold).astype(np.float64)

    return beyond_churn("CIE", before, after, means, beyond, listed, score, (0.0, 0.0), seed)


def taxicab(before: Population, after: Population) -> NDArray[np.float64]:
    """Return the taxicab distance of the mean probabilities of each example, (n,), from 0 to 2.

    >>> one = Population.from_probabilities([[0.8, 0.2]], ["a"])
    >>> float(taxicab(one, Population.from_probabilities([[0.5, 0.5]], ["a"])).round(6)[0])
    0.6
    """
    _require_same(before, after)
    moved = before.probabilities.mean(axis=0) - after.probabilities.mean(axis=0)
    return np.asarray(np.abs(moved).sum(axis=1))


def rank_examples(before: Population, after: Population) -> list[str]:
    """Return the ids, the furthest moved first: for a person to look at, without labels or groups."""
    order = np.argsort(-taxicab(before, after), kind="stable")
    return [str(one) for one in before.ids[order]]


@dataclass(frozen=True)
class SideBySide:
    """Mean accuracy of the models on a list of examples and off it; NaN where there are none."""

    before_on: float
    before_off: float
    after_on: float
    after_off: float


def accuracy_on(
    listed: NDArray[np.bool_], before: Population, after: Population, labels: NDArray[np.int64]
) -> SideBySide:
    """Return the accuracies of both populations on the listed examples and on the others.

    Args:
        listed: (n,).
        before, after: over the same examples.
        labels: (n,) class numbers.
    """

    def share(population: Population, rows: NDArray[np.bool_]) -> float:
        right = population.predicted[:, rows] == labels[rows]
        return float(right.mean()) if right.size else float("nan")

    return SideBySide(
        share(before, listed), share(before, ~listed), share(after, listed), share(after, ~listed)
    )


def beyond_churn(
    name: str,
    before: Models,
    after: Models,
    summarise: Callable[[Any, Subset], NDArray[Any]],
    differ: Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]],
    changed: NDArray[np.bool_],
    score: NDArray[np.float64],
    ties: tuple[float, float],
    seed: int,
) -> Exemplars:
    """Compare subsets of two populations with disjoint subsets of the first, example by example.

    Args:
        name: of what is measured.
        before, after: over the same examples.
        summarise: what a subset of a population's models says of all examples.
        differ: how far two such summaries are apart, (n,).
        changed, score, ties: as in `Exemplars`.
        seed: of the draw of subsets.
    """
    size, n = _size(before, after), len(changed)
    splits = halves(before.models, size, seed=seed)
    old = {subset: summarise(before, subset) for subset in sorted({one for pair in splits for one in pair})}
    if not old:  # one model before: a plain comparison
        old = {(0,): summarise(before, (0,))}
    new = [summarise(after, subset) for subset in _subsets(after.models, size, seed)]
    pairs = list(itertools.product(old, range(len(new))))
    if len(pairs) > 4 * MOST_SPLITS:
        drawn = rng_for(seed, "audit", "pairs", len(pairs)).choice(len(pairs), 4 * MOST_SPLITS, replace=False)
        pairs = [pairs[k] for k in sorted(drawn)]
    between = np.zeros(n)
    for subset, k in pairs:
        between += differ(old[subset], new[k])
    between /= len(pairs)
    within = [differ(old[one], old[other]) for one, other in splits]
    churn = np.mean(within, axis=0) if within else np.full(n, np.nan)
    excess = between - churn if within else between
    value = float(excess.mean())
    margin = 1.96 * float(excess.std(ddof=1)) / np.sqrt(n) if n > 1 else float("nan")
    null = None
    if before.models >= LEAST_MODELS and after.models > 1:
        rates = np.mean(within, axis=1) - churn.mean()
        null = (float(rates.min()), float(rates.max()))
    name = f"{name} beyond seed churn" if within else f"{name}, seed churn unknown"
    order = np.argsort(-np.where(changed, score + 3, score), kind="stable")[: int(changed.sum())]
    finding = Finding(
        name, value, (value - margin, value + margin), n, (before.models, after.models), null,
        tuple(str(one) for one in before.ids[order]),
    )  # fmt: skip
    return Exemplars(changed, score, float(between.mean()), float(churn.mean()), size, ties, excess,
                     finding)  # fmt: skip


def _size(before: Models, after: Models) -> int:
    return max(1, min(before.models // 2, after.models))


def _subsets(models: int, size: int, seed: int) -> list[Subset]:
    every = itertools.islice(itertools.combinations(range(models), size), MOST_SPLITS + 1)
    found = list(every)
    if len(found) <= MOST_SPLITS:
        return found
    rng = rng_for(seed, "audit", "subsets", models, size)
    return [tuple(sorted(int(k) for k in rng.permutation(models)[:size])) for _ in range(MOST_SPLITS)]


def _require_same(before: Population, after: Population) -> None:
    same = before.probabilities.shape[1:] == after.probabilities.shape[1:] and np.array_equal(before.ids, after.ids)
    if not same:
        raise InputError(f"{before.name} and {after.name} have other examples; bring them together with join")
