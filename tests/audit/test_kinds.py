"""Rare, ambiguous and mislabelled examples, all planted: each column is best on its own truth."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier

from selftaught.audit import KINDS, hardness_kinds, kinds_matrix
from selftaught.errors import InputError
from selftaught.seeds import rng_for

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Three round classes in five dimensions; a thin cluster of class 0 far off; a mixture of 1 and 2; flips."""
    rng = rng_for(seed, "planted kinds")
    centres = 4 * np.eye(5)[:3]
    labels = np.arange(600) % 3
    points = centres[labels] + rng.normal(0, 0.8, (600, 5))
    rare = np.zeros(600, bool)
    rare[np.flatnonzero(labels == 0)[:12]] = True
    points[rare] = 4 * np.eye(5)[3] + rng.normal(0, 0.8, (12, 5))
    ambiguous = np.zeros(600, bool)
    ambiguous[np.flatnonzero(labels > 0)[:40]] = True
    points[ambiguous] = (centres[1] + centres[2]) / 2 + rng.normal(0, 0.5, (40, 5))
    mislabelled = ~rare & ~ambiguous & (rng.random(600) < 0.08)
    labels = np.where(mislabelled, (labels + rng.integers(1, 3, 600)) % 3, labels)
    return points, labels, {"mislabelled": mislabelled, "ambiguous": ambiguous, "rare": rare}


def out_of_fold(points: np.ndarray, labels: np.ndarray, seeds: int = 3) -> np.ndarray:
    return np.stack([
        cross_val_predict(
            MLPClassifier((16,), solver="lbfgs", alpha=0.3, max_iter=60, random_state=seed), points, labels,
            cv=StratifiedKFold(3, shuffle=True, random_state=seed), method="predict_proba",
        )
        for seed in range(seeds)
    ])  # fmt: skip


def dynamics(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    model = SGDClassifier(loss="log_loss", random_state=0)
    given = []
    for _ in range(10):
        model.partial_fit(points, labels, classes=np.arange(3))
        given.append(model.predict_proba(points)[np.arange(len(labels)), labels])
    return np.stack(given)


@pytest.mark.parametrize("with_dynamics", [False, True])
def test_each_column_is_best_on_its_own_truth(with_dynamics: bool) -> None:
    for seed in range(2):
        points, labels, truths = planted(seed)
        given = dynamics(points, labels) if with_dynamics else None
        found = hardness_kinds(out_of_fold(points, labels), labels, points, given=given)
        matrix = kinds_matrix(found, truths)
        for kind in KINDS:
            assert max(KINDS, key=lambda column: matrix[column][kind]) == kind
            assert matrix[kind][kind] > 0.85
            own = found.verdict[truths[kind]]
            assert np.mean(own == kind) > 0.05
            assert np.mean((own != kind) & (own != "unclear")) < 0.05
        easy = ~np.any(list(truths.values()), axis=0)
        assert np.mean(found.verdict[easy] == "unclear") > 0.7


def test_columns_without_anything_planted_say_nothing() -> None:
    points, labels, _ = planted(0)
    chance = {kind: rng_for(1, kind).random(600) < 0.1 for kind in KINDS}
    matrix = kinds_matrix(hardness_kinds(out_of_fold(points, labels, 2), labels, points), chance)
    assert all(abs(value - 0.5) < 0.15 for row in matrix.values() for value in row.values())


def test_a_class_of_one_is_rare() -> None:
    points = rng_for(0, "one").normal(size=(50, 2))
    labels = np.arange(50) % 2
    labels[7] = 2
    found = hardness_kinds(np.full((2, 50, 3), 1 / 3), labels, points, neighbours=5)
    assert found.rare.argmax() == 7


def test_wrong_shapes_are_named() -> None:
    points, labels = np.zeros((5, 2)), np.zeros(5, int)
    with pytest.raises(InputError, match="at least 2 seeds"):
        hardness_kinds(np.full((1, 5, 2), 0.5), labels, points)
    with pytest.raises(InputError, match="neighbours must be from 1 to 4"):
        hardness_kinds(np.full((2, 5, 2), 0.5), labels, points)
    with pytest.raises(InputError, match="embedding must have shape"):
        hardness_kinds(np.full((2, 5, 2), 0.5), labels, points[:4])
    with pytest.raises(InputError, match="given must have shape"):
        hardness_kinds(np.full((2, 5, 2), 0.5), labels, points, given=np.zeros(5), neighbours=2)
    with pytest.raises(InputError, match="class numbers from 0 to 1"):
        hardness_kinds(np.full((2, 5, 2), 0.5), labels + 2, points, neighbours=2)
    with pytest.raises(InputError, match="embedding is not all numbers"):
        hardness_kinds(np.full((2, 5, 2), 0.5), labels, points * np.nan, neighbours=2)
