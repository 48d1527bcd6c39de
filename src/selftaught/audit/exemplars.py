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
        finding: `rate` minus `churn`, with the interval over examples and models; the plain rate where churn cannot be
            measured.
    """

    changed: NDArray[np.bool_]
    score: NDArray[np.float64]
    rate: float
    churn: float
    size: int
    ties: tuple[float, float]
    excess: NDArray[np.float64]
    finding: Finding


def pie(before: Population, after: Population, *, paired: bool = False, seed: int = 0) -> Exemplars:
    """Find the examples whose modal label changed (pruning identified exemplars), beside seed churn.

    "What Do Compressed Deep Neural Networks Forget?" (arXiv 1911.05248). How many there are depends on how many models
    vote, so the rate is compared with its null at the same number: half of the models before.

    Args:
        before, after: over the same examples in the same order, as `join` gives them.
        paired: the k-th model after was made from the k-th before, such as by pruning it; see `beyond_churn`.
        seed: of the draw of subsets, where there are too many to take all.

    Raises:
        InputError: the examples differ, or populations of other sizes are called paired.

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
        old != new, taxicab(before, after), (float(old_ties.mean()), float(new_ties.mean())), seed, paired=paired,
    )  # fmt: skip


def cie(
    before: Population, after: Population, *, top: float = 0.1, paired: bool = False, seed: int = 0
) -> Exemplars:
    """Find the examples whose mean probabilities moved furthest (taxicab distance), beside seed churn.

    "Characterising Bias in Compressed Models" (arXiv 2010.03058). The null sets the threshold: a distance that only
    `top` of the examples exceed between disjoint subsets of the models before. The rate is the share beyond it. The
    list holds the `top` share of the examples by distance.

    Args:
        before, after: over the same examples in the same order.
        top: share of the examples listed, and of those beyond the threshold by chance.
        paired: as for `pie`.
        seed: of the draw of subsets.

    Raises:
        InputError: the examples differ, `top` is no share, or populations of other sizes are called paired.
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

    return beyond_churn("CIE", before, after, means, beyond, listed, score, (0.0, 0.0), seed, paired=paired)


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
    *,
    paired: bool = False,
) -> Exemplars:
    """Compare subsets of two populations with disjoint subsets of the first, example by example.

    Where models after were made from those before, a child resembles its parent more than any other model does: subsets
    that share one differ less than seeds make them. So `paired` compares disjoint ones only, as the null does.

    The interval adds the variances of the examples' excess and of the models of either side: of what each model adds to
    the rate, as the rates of the subsets that it is in tell (Hájek's projection). Halves of one population hold each
    of its models, so that it cancels in the null when a model is unlike the others.

    Args:
        name: of what is measured.
        before, after: over the same examples.
        summarise: what a subset of a population's models says of all examples.
        differ: how far two such summaries are apart, (n,).
        changed, score, ties: as in `Exemplars`.
        seed: of the draw of subsets.
        paired: the k-th model after was made from the k-th before.

    Raises:
        InputError: populations of other sizes are called paired.
    """
    if paired and before.models != after.models:
        raise InputError(
            f"paired populations have a model after for each one before, got {before.models} and {after.models}"
        )
    size, n = _size(before, after), len(changed)
    splits = halves(before.models, size, seed=seed)
    # One model before has no halves: a plain comparison.
    old = {one: summarise(before, one) for one in sorted({one for pair in splits for one in pair}) or [(0,)]}
    if paired and splits:
        pairs = [pair for one, other in splits for pair in ((one, other), (other, one))]
    else:
        pairs = list(itertools.product(old, _subsets(after.models, size, seed)))
    if len(pairs) > 4 * MOST_SPLITS:
        drawn = rng_for(seed, "audit", "pairs", len(pairs)).choice(len(pairs), 4 * MOST_SPLITS, replace=False)
        pairs = [pairs[k] for k in sorted(drawn)]
    new = {one: summarise(after, one) for one in sorted({one for _, one in pairs})}
    between, rates = np.zeros(n), np.zeros(len(pairs))
    for place, (one, other) in enumerate(pairs):
        apart = differ(old[one], new[other])
        between += apart
        rates[place] = apart.mean()
    between /= len(pairs)
    within = [differ(old[one], old[other]) for one, other in splits]
    churn = np.mean(within, axis=0) if within else np.full(n, np.nan)
    excess = between - churn if within else between
    value = float(excess.mean())
    margin = _margin(excess, rates, pairs, (before.models, after.models))
    null = None
    if before.models >= LEAST_MODELS and after.models > 1:
        shares = np.mean(within, axis=1) - churn.mean()
        null = (float(shares.min()), float(shares.max()))
    name = f"{name} beyond seed churn" if within else f"{name}, seed churn unknown"
    order = np.argsort(-np.where(changed, score + 3, score), kind="stable")[: int(changed.sum())]
    finding = Finding(
        name, value, (value - margin, value + margin), n, (before.models, after.models), null,
        tuple(str(one) for one in before.ids[order]),
    )  # fmt: skip
    return Exemplars(changed, score, float(between.mean()), float(churn.mean()), size, ties, excess,
                     finding)  # fmt: skip


def _margin(
    excess: NDArray[np.float64], rates: NDArray[np.float64], pairs: list[tuple[Subset, Subset]], models: tuple[int, int]
) -> float:
    """Return half the width of the 95 % interval over examples and models, by Welch and Satterthwaite."""
    from scipy.stats import t as student

    if len(excess) < 2:
        return float("nan")
    parts = [(float(excess.var(ddof=1)) / len(excess), len(excess) - 1)]
    spread = float("nan")
    for side, count in enumerate(models):
        own = _spread(rates, [pair[side] for pair in pairs], count)
        spread = spread if np.isnan(own) else own  # all models in every subset: nothing told but by the other side
        if not np.isnan(spread):
            parts.append((spread / count, max(count - 1, 1)))
    variance = sum(one for one, _ in parts)
    if variance != variance:
        return float("nan")
    if variance < 1e-20:  # what is left of rounding
        return 0.0
    freedom = variance**2 / sum(one**2 / count for one, count in parts)
    return float(student.ppf(0.975, freedom) * variance**0.5)


def _spread(rates: NDArray[np.float64], subsets: list[Subset], models: int) -> float:
    """Return the variance over models of what each adds to a rate; NaN where every subset has them all."""
    inside = np.zeros((len(subsets), models), np.bool_)
    for row, one in enumerate(subsets):
        inside[row, list(one)] = True
    size = len(subsets[0])
    seen = inside.any(axis=0)
    if size == models or seen.sum() < 2:
        return float("nan")
    with_it = np.array([rates[rows].mean() for rows in inside[:, seen].T])
    # Of so many models, a subset with this one has the others less often: the share of its own part that shows.
    return float((with_it * size * (models - 1) / (models - size)).var(ddof=1))


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
