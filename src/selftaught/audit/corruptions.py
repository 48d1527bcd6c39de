"""Corrupted inputs: does a change of models cost more where inputs are noisy, blurred, pale or incomplete?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.exemplars import LEAST_MODELS
from selftaught.audit.finding import Finding
from selftaught.audit.population import Population, halves
from selftaught.audit.two_way import change_of_means
from selftaught.errors import DataError, InputError, require_one_of
from selftaught.examples import Examples
from selftaught.seeds import rng_for

__all__ = ["CORRUPTIONS", "STRENGTHS", "TABLE_CORRUPTIONS", "Robustness", "corrupt", "corruption_names", "robustness"]

STRENGTHS = (1, 2, 3)
#: Of images, at strengths 1, 2 and 3, in shares of the range of their values; blur in pixels.
CORRUPTIONS: dict[str, tuple[float, float, float]] = {
    "noise": (0.05, 0.1, 0.2),
    "blur": (0.5, 1.0, 1.5),
    "contrast": (0.6, 0.4, 0.2),
    "brightness": (0.1, 0.2, 0.3),
}
#: Of tables: noise in deviations of the column; the share of the columns that are mixed up, or replaced by their mean.
TABLE_CORRUPTIONS: dict[str, tuple[float, float, float]] = {
    "noise": (0.1, 0.3, 1.0),
    "permuted": (0.1, 0.25, 0.5),
    "missing": (0.1, 0.25, 0.5),
}
_RESAMPLES = 400


def corruption_names(examples: Examples) -> tuple[str, ...]:
    """Return the corruptions of such examples: of images, or of a table."""
    return tuple(CORRUPTIONS if examples.inputs.ndim > 2 else TABLE_CORRUPTIONS)


def corrupt(examples: Examples, kind: str, strength: int, *, seed: int = 0) -> Examples:
    """Return the examples with corrupted inputs, all at once.

    Images: Gaussian noise; Gaussian blur; contrast about each image's own mean; brightness; values stay in the range of
    the given ones. Tables: Gaussian noise; columns permuted over the examples; columns replaced by their mean, as
    imputation would. Which columns those are is drawn once; a higher strength takes them and more.

    Args:
        examples: images or a table.
        kind: one of `corruption_names`.
        strength: 1, 2 or 3.
        seed: of noise and columns.

    Returns:
        Examples with the same ids and float32 inputs; images stored as uint8 are divided by 255, as models take them.

    Raises:
        InputError: there is no such corruption or strength.

    >>> from selftaught import load
    >>> float(corrupt(load("digits"), "contrast", 3).inputs.std() / (load("digits").inputs / 255).std()) < 0.5
    True
    """
    require_one_of("corruption", kind, corruption_names(examples))
    if strength not in STRENGTHS:
        raise InputError(f"strength must be 1, 2 or 3, got {strength}")
    given = np.asarray(examples.inputs, np.float32) / np.float32(255 if examples.inputs.dtype == np.uint8 else 1)
    rng = rng_for(seed, "audit", "corruption", kind)
    if given.ndim > 2:
        found = _image(given, kind, CORRUPTIONS[kind][strength - 1], rng)
    else:
        found = _table(given, kind, TABLE_CORRUPTIONS[kind][strength - 1], rng)
    return replace(examples, inputs=np.asarray(found, np.float32))


@dataclass(frozen=True)
class Robustness:
    """What a change cost on inputs of one corruption, beside what it cost on clean ones.

    Args:
        corruption, strength: which.
        before, after: mean accuracy on corrupted inputs.
        relative: the change on corrupted inputs as a share of `before`; NaN where that is 0.
        ratio: `relative` divided by the same on clean inputs: above 1, the change costs more here. NaN where the change
            on clean inputs is not told apart from none, so that it would divide by noise.
        ratio_interval: its 95 % interval, by resampling models and examples.
        finding: the change on corrupted inputs less that on clean ones, with an interval over models and examples, and
            the widest that halves of the models before differ by as null.
    """

    corruption: str
    strength: int
    before: float
    after: float
    relative: float
    ratio: float
    ratio_interval: tuple[float, float]
    finding: Finding

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types; what is no number becomes None."""

        def number(value: float) -> float | None:
            return value if np.isfinite(value) else None

        return {
            "corruption": self.corruption, "strength": self.strength, "before": self.before, "after": self.after,
            "relative": number(self.relative), "ratio": number(self.ratio),
            "ratio_interval": [number(one) for one in self.ratio_interval], "finding": self.finding.to_dict(),
        }  # fmt: skip


def robustness(
    before: Callable[[Examples], Population],
    after: Callable[[Examples], Population],
    examples: Examples,
    *,
    kinds: Sequence[str] | None = None,
    strengths: Sequence[int] = STRENGTHS,
    seed: int = 0,
    on_done: Callable[[str, int], None] | None = None,
) -> tuple[Robustness, ...]:
    """Run both populations on corrupted inputs, and compare the change there with that on clean ones.

    Args:
        before, after: from examples to what the models say of them, such as `population_of_models` of their folders.
        examples: with classes.
        kinds: of `corruption_names`; all by default.
        strengths: of 1, 2, 3.
        seed: of the corruptions and the resampling.
        on_done: called with each corruption and strength that is done.

    Raises:
        DataError: the examples have no classes.
        InputError: a corruption or strength is unknown.
    """
    if examples.labels is None or not examples.num_classes:
        raise DataError(f"{examples.name!r} has no classes; a change of accuracy needs them")
    labels = examples.labels.astype(np.int64)

    def right(data: Examples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        old, new = ((of(data).predicted == labels).astype(np.float64) for of in (before, after))
        return old, new

    for kind in kinds or ():
        require_one_of("corruption", kind, corruption_names(examples))
    clean = right(examples)
    found = []
    for kind, one in itertools.product(kinds or corruption_names(examples), strengths):
        data = corrupt(examples, kind, one, seed=seed)
        found.append(_robustness(kind, one, clean, right(data), seed))
        if on_done is not None:
            on_done(kind, one)
    return tuple(found)


Sides = tuple[NDArray[np.float64], NDArray[np.float64]]


def _robustness(kind: str, strength: int, clean: Sides, corrupted: Sides, seed: int) -> Robustness:
    """Compare two pairs of (K, n) outcomes."""
    every = np.ones(clean[0].shape[1], np.bool_)
    apart = change_of_means(corrupted[0] - clean[0], corrupted[1] - clean[1], every)
    old, new = (float(one.mean()) for one in corrupted)
    models = len(clean[0]), len(clean[1])
    null = None
    if models[0] >= LEAST_MODELS and models[1] > 1:
        means = (corrupted[0] - clean[0]).mean(axis=1)
        widest = max(abs(float(means[list(a)].mean() - means[list(b)].mean())) for a, b in halves(models[0], seed=seed))
        null = (-widest, widest)
    name = f"accuracy lost to {kind} {strength} beyond clean inputs"
    finding = Finding(name, apart.change, apart.interval, len(every), models, null)
    ratio, interval = _ratio(clean, corrupted, seed)
    return Robustness(kind, strength, old, new, (new - old) / old if old else float("nan"), ratio, interval, finding)


def _ratio(clean: Sides, corrupted: Sides, seed: int) -> tuple[float, tuple[float, float]]:
    """Return the relative change on corrupted inputs over that on clean ones, with its percentile interval."""
    nan = float("nan")
    low, high = change_of_means(*clean, np.ones(clean[0].shape[1], np.bool_)).interval
    if not (low > 0 or high < 0):
        return nan, (nan, nan)

    def ratio(means: Sequence[float]) -> float:
        """Of the accuracies before and after on clean, then on corrupted inputs."""
        a, b, c, d = means
        return (d - c) / c / ((b - a) / a) if a and c and a != b else nan

    value = ratio([float(one.mean()) for one in (*clean, *corrupted)])
    rng, n = rng_for(seed, "audit", "corruption", "resample"), clean[0].shape[1]
    drawn = []
    for _ in range(_RESAMPLES):
        weights = np.bincount(rng.integers(n, size=n), minlength=n) / n
        rows = [rng.integers(len(one), size=len(one)) for one in clean]
        drawn.append(ratio([float((one[rows[k % 2]] @ weights).mean()) for k, one in enumerate((*clean, *corrupted))]))
    known = np.array(drawn)[np.isfinite(drawn)]
    if len(known) < 0.95 * _RESAMPLES:
        return value, (nan, nan)
    ends = np.quantile(known, (0.025, 0.975))
    return value, (float(ends[0]), float(ends[1]))


def _image(images: NDArray[np.float32], kind: str, size: float, rng: np.random.Generator) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter1d

    low, high = float(images.min()), float(images.max())
    if kind == "blur":
        return np.asarray(gaussian_filter1d(gaussian_filter1d(images, size, axis=1), size, axis=2), np.float32)
    if kind == "noise":
        found = images + size * (high - low) * rng.standard_normal(images.shape, np.float32)
    elif kind == "contrast":
        mean = images.mean(axis=tuple(range(1, images.ndim)), keepdims=True)
        found = mean + size * (images - mean)
    else:
        found = images + size * (high - low)
    return np.asarray(np.clip(found, low, high))


def _table(rows: NDArray[np.float32], kind: str, size: float, rng: np.random.Generator) -> NDArray[np.float32]:
    if kind == "noise":
        return np.asarray(rows + size * rows.std(axis=0) * rng.standard_normal(rows.shape, np.float32))
    columns = rng.permutation(rows.shape[1])
    chosen = columns[: max(1, round(size * rows.shape[1]))]
    found = rows.copy()
    if kind == "missing":
        found[:, chosen] = rows[:, chosen].mean(axis=0)
        return found
    for column in chosen:
        found[:, column] = rows[rng.permutation(len(rows)), column]
    return found
