"""How hard an example is, from what models made of it as they learned; every column is high where it is hard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError

__all__ = [
    "ColumnJudgement", "aum", "auroc", "el2n", "error_norm", "forgetting", "judge_columns", "label_quality", "margin",
    "max_prob", "mean_confidence", "variability", "within_class",
]  # fmt: skip

Floats = NDArray[np.floating]


def mean_confidence(given: Floats) -> NDArray[np.float64]:
    """Return one less the mean probability of the given label, (n,).

    Args:
        given: (T, n) probability of each example's label after T epochs, or epochs of several seeds.

    >>> mean_confidence(np.array([[0.5, 1.0], [1.0, 1.0]])).tolist()
    [0.25, 0.0]
    """
    return np.asarray(1 - _records(given).mean(axis=0))


def variability(given: Floats) -> NDArray[np.float64]:
    """Return the standard deviation over epochs of the label's probability, (n,).

    Dataset Cartography, arXiv 2009.10795.

    Args:
        given: (T, n) probability of each example's label.
    """
    return np.asarray(_records(given).std(axis=0))


def margin(scores: Floats, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the score of the given label less the largest other, (..., n).

    Args:
        scores: (..., n, C) logits or probabilities.
        labels: (n,) class numbers.

    >>> margin(np.array([[1.0, 3.0, 2.5]]), np.array([1])).tolist()
    [0.5]
    """
    _require_classes(labels, scores.shape[-1])
    others = np.array(scores, np.float64)
    rows = np.arange(len(labels))
    mine = others[..., rows, labels]
    others[..., rows, labels] = -np.inf
    return np.asarray(mine - others.max(axis=-1))


def aum(margins: Floats) -> NDArray[np.float64]:
    """Return minus the mean margin over the epochs, (n,): the area under the margin (arXiv 2001.10528).

    Args:
        margins: (T, n), as `margin` gives them.
    """
    return np.asarray(-_records(margins).mean(axis=0))


def error_norm(probabilities: Floats, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Euclidean distance of the probabilities from the label's, (..., n).

    >>> error_norm(np.array([[0.4, 0.6]]), np.array([1])).round(4).tolist()
    [0.5657]
    """
    _require_classes(labels, probabilities.shape[-1])
    wrong = np.array(probabilities, np.float64)
    wrong[..., np.arange(len(labels)), labels] -= 1
    return np.asarray(np.linalg.norm(wrong, axis=-1))


def el2n(norms: Floats) -> NDArray[np.float64]:
    """Return the mean over seeds of the error norm early in training, (n,) (arXiv 2107.07075).

    Args:
        norms: (S, n) error norm of S seeds after the same epoch.
    """
    return np.asarray(_records(norms).mean(axis=0))


def forgetting(correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how often each example went from right to wrong, (n,); infinite where it was never right.

    arXiv 1812.05159. There it is counted when the example is in the batch; here between records.

    Args:
        correct: (T, n) whether the example was right after T epochs.

    >>> forgetting(np.array([[1, 0], [0, 0], [1, 0]], bool)).tolist()
    [1.0, inf]
    """
    right = _records(correct).astype(bool)
    events = (right[:-1] & ~right[1:]).sum(axis=0)
    return np.where(right.any(axis=0), events, np.inf)


def max_prob(probabilities: Floats) -> NDArray[np.float64]:
    """Return one less the largest mean probability, (n,): the control, which knows no label.

    Args:
        probabilities: (S, n, C) of S models.
    """
    return np.asarray(1 - np.asarray(probabilities, np.float64).mean(axis=0).max(axis=-1))


def label_quality(out_of_fold: Floats, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return one less the mean out-of-fold probability of the given label, (n,): self-confidence (arXiv 1911.00068).

    Args:
        out_of_fold: (S, n, C) probabilities of models that did not learn from the example.
        labels: (n,) class numbers.
    """
    _require_classes(labels, out_of_fold.shape[-1])
    mean = np.asarray(out_of_fold, np.float64).mean(axis=0)
    return np.asarray(1 - mean[np.arange(len(labels)), labels])


def within_class(values: Floats, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the values less the mean of their class, divided by its standard deviation; 0 where a class is constant.

    A value that is not known (NaN) stays so, and counts for nothing.

    >>> within_class(np.array([1.0, 3.0, 7.0]), np.array([0, 0, 1])).tolist()
    [-1.0, 1.0, 0.0]
    """
    found = np.full(len(values), np.nan)
    for c in np.unique(labels):
        rows = (labels == c) & ~np.isnan(values)
        mine = np.asarray(values, np.float64)[rows]
        varied = len(mine) > 0 and np.ptp(mine) > 0  # a deviation may be a rounding error where nothing varies
        found[rows] = (mine - mine.mean()) / mine.std() if varied else 0.0
    return found


def auroc(values: Floats, truth: NDArray[np.bool_]) -> float:
    """Return the probability that a true example has the higher value than a false one, ties half.

    The area under the ROC curve; examples without a value (NaN) are left out; NaN where a side is empty.

    >>> auroc(np.array([1.0, 2.0, np.inf]), np.array([False, True, True]))
    1.0
    """
    from scipy.stats import rankdata

    known = ~np.isnan(values)
    ranks, true = rankdata(values[known]), np.asarray(truth, bool)[known]
    m, n = int(true.sum()), int((~true).sum())
    return float((ranks[true].sum() - m * (m + 1) / 2) / (m * n)) if m and n else float("nan")


@dataclass(frozen=True)
class ColumnJudgement:
    """How well a column of difficulty finds planted truth, beside its controls.

    Args:
        name: of the column.
        auroc: its own.
        controls: that of each control.
        agreement: rank correlation with the first control: near 1, the column adds nothing to it.
        trusted: whether it beats all controls, or is the best of them.
    """

    name: str
    auroc: float
    controls: Mapping[str, float]
    agreement: float
    trusted: bool

    def __str__(self) -> str:
        beside = ", ".join(f"{name} {value:.3f}" for name, value in self.controls.items())
        warning = "" if self.trusted else "; it does not beat them: prefer these"
        return f"{self.name}: AUROC {self.auroc:.3f} beside {beside}{warning}"


def judge_columns(
    columns: Mapping[str, Floats], truth: NDArray[np.bool_], *, controls: tuple[str, ...] = ("confidence", "max_prob")
) -> list[ColumnJudgement]:
    """Score columns of difficulty against planted truth, such as flipped labels, best first.

    Args:
        columns: name -> (n,) values, high where it is hard; the controls among them.
        truth: (n,) what was planted.
        controls: columns to beat; those that are not there, or have no value for either kind, are left out.

    Raises:
        InputError: no control is there, a length differs, or all examples are planted, or none.

    >>> columns = {"confidence": np.array([0.1, 0.9, 0.3]), "luck": np.array([1.0, 0.0, 2.0])}
    >>> for one in judge_columns(columns, np.array([False, True, False])):
    ...     print(one)
    confidence: AUROC 1.000 beside confidence 1.000
    luck: AUROC 0.000 beside confidence 1.000; it does not beat them: prefer these
    """
    from scipy.stats import rankdata

    for name, values in columns.items():
        if values.shape != truth.shape:
            raise InputError(f"{name} must have shape {truth.shape} like the truth, got {values.shape}")
    if np.all(truth) or not np.any(truth):
        told = f"{int(np.sum(truth))} of {len(truth)} are true"
        raise InputError(f"columns are judged by examples of both kinds, and {told}")
    beside = {name: auroc(columns[name], truth) for name in controls if name in columns}
    beside = {name: value for name, value in beside.items() if not np.isnan(value)}
    if not beside:
        raise InputError(f"columns need a control to be judged beside; give one of {', '.join(controls)}")
    first = columns[next(iter(beside))]
    found = []
    for name, values in columns.items():
        own = auroc(values, truth)
        known = ~(np.isnan(values) | np.isnan(first))
        pair = rankdata(values[known]), rankdata(first[known])
        varied = known.any() and all(np.ptp(one) > 0 for one in pair)
        agreement = float(np.corrcoef(*pair)[0, 1]) if varied else float("nan")
        best = max(beside.values())
        trusted = own >= best if name in beside else own > best
        found.append(ColumnJudgement(name, own, beside, agreement, trusted))
    return sorted(found, key=lambda one: (np.isnan(one.auroc), -one.auroc))


def _records(values: NDArray[np.generic]) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.ndim != 2 or not len(found):
        raise InputError(f"records must have shape (epochs or seeds, examples), got {found.shape}")
    return found


def _require_classes(labels: NDArray[np.int64], classes: int) -> None:
    """Check labels, as a negative one would count from the end.

    Raises:
        InputError: one is no class.
    """
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise InputError(f"labels must be class numbers from 0 to {classes - 1}; leave out examples without a label")
