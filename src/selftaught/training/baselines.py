"""Cheap baselines, the floor that a network must beat to be worth its cost."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DataError
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training.evaluation import score_interval

__all__ = ["Baseline", "baselines"]

#: Numbers that the linear baseline is fitted to at most: rows are drawn when there are more.
MOST_NUMBERS = 4_000_000
MOST_STEPS = 200


@dataclass(frozen=True)
class Baseline:
    """A baseline's result on the test examples.

    Args:
        name: "majority" or "mean"; "logistic regression" or "ridge".
        score: accuracy or r2.
        low, high: 95 % interval over examples.
        rows: training examples it was fitted to.
    """

    name: str
    score: float
    low: float
    high: float
    rows: int


def baselines(train: Examples, test: Examples, *, seed: int = 0) -> list[Baseline]:
    """Fit the baselines and score them on test examples.

    For classes: the majority class, and logistic regression on standardised inputs. For numbers: the mean, and ridge
    regression. Rows are drawn when there are more than 4,000,000 numbers.

    Raises:
        DataError: there are no labels.

    >>> from selftaught import load
    >>> iris = load("iris")
    >>> [one.name for one in baselines(iris, iris)]
    ['majority', 'logistic regression']
    """
    if train.labels is None or test.labels is None:
        raise DataError(f"{train.name!r} has no labels; baselines need a target")
    size = max(int(np.prod(train.inputs.shape[1:])), 1)
    rows = rng_for(seed, "training", "baselines").permutation(len(train))[: max(MOST_NUMBERS // size, 20)]
    labels, truth = np.asarray(train.labels)[rows], np.asarray(test.labels)
    inputs, others = (one.reshape(len(one), -1).astype(np.float32) for one in (train.inputs[rows], test.inputs))
    if train.num_classes:
        common = np.full(len(test), np.bincount(np.asarray(train.labels).astype(np.int64)).argmax())
        found = [_judged("majority", "accuracy", truth, common, len(train))]
        # A class may be missing among drawn rows: then there may be nothing to tell apart.
        if len(np.unique(labels)) > 1:
            predicted = _linear(inputs, labels, others, classes=True)
            found.append(_judged("logistic regression", "accuracy", truth, predicted, len(rows)))
        return found
    mean = np.full(len(test), np.asarray(train.labels).mean())
    predicted = _linear(inputs, labels, others, classes=False)
    return [_judged("mean", "r2", truth, mean, len(train)), _judged("ridge", "r2", truth, predicted, len(rows))]


def _linear(inputs: NDArray[Any], labels: NDArray[Any], others: NDArray[Any], *, classes: bool) -> NDArray[Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_STEPS) if classes else Ridge())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is a floor, and may be unfinished
        return np.asarray(model.fit(inputs, labels).predict(others))


def _judged(
    name: str, metric: Any, truth: NDArray[Any], predicted: NDArray[Any], rows: int
) -> Baseline:
    if metric == "accuracy":
        right = predicted == truth
        low, high = score_interval("accuracy", right, right)
        return Baseline(name, float(right.mean()), low, high, rows)
    true = truth.astype(np.float64)
    total = float(np.square(true - true.mean()).sum())
    score = 1 - float(np.square(true - predicted).sum()) / total if total else 0.0
    low, high = score_interval("r2", true, predicted)
    return Baseline(name, score, low, high, rows)
