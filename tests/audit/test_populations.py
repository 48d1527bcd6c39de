"""Populations: joined by id, modal labels by their definition, halves counted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from selftaught.audit import Population, halves, join, modal_labels
from selftaught.errors import DataError, InputError
from selftaught.seeds import rng_for


def names(n: int) -> np.ndarray:
    return np.array([f"e{k}" for k in range(n)])


@pytest.mark.parametrize(("models", "size"), [(2, 1), (4, 2), (5, 2), (6, 3), (7, 3), (6, 2)])
def test_halves_are_every_disjoint_pair_once(models: int, size: int) -> None:
    sets = list(itertools.combinations(range(models), size))
    expected = {frozenset(pair) for pair in itertools.combinations(sets, 2) if not set(pair[0]) & set(pair[1])}
    found = halves(models, size)
    assert len(found) == len(expected)
    assert {frozenset(pair) for pair in found} == expected


def test_too_many_halves_are_drawn_under_a_seed() -> None:
    found = halves(30)
    assert len(found) == 200
    assert all(len(set(one) | set(other)) == 30 for one, other in found)
    assert halves(30) == found != halves(30, seed=1)
    assert halves(1) == []


def test_modal_labels_follow_their_definition() -> None:
    shares = rng_for(0, "modal").dirichlet(np.ones(3), size=(4, 200))
    modes, ties = modal_labels(shares)
    for i in range(200):
        counts = np.bincount(shares[:, i].argmax(axis=1), minlength=3)
        best = [c for c in range(3) if counts[c] == counts.max()]
        assert modes[i] == max(best, key=lambda c: shares[:, i, c].mean())
        assert ties[i] == (len(best) > 1)
    assert 0 < ties.mean() < 1


def test_populations_are_joined_by_id() -> None:
    labels = np.arange(6) % 3
    one = Population.from_labels(labels, names(6), classes=3)
    order = np.array([5, 2, 0, 4])
    other = Population.from_labels(labels[order], np.append(names(6)[order][:3], "new"), classes=3)
    joined = join(one, other)
    assert joined.before.ids.tolist() == joined.after.ids.tolist() == ["e0", "e2", "e5"]
    assert np.array_equal(joined.before.predicted, joined.after.predicted)
    assert (joined.only_before, joined.only_after) == (3, 1)


def test_logits_become_their_softmax() -> None:
    logits = np.log([[[0.2, 0.3, 0.5]], [[0.6, 0.2, 0.2]]]) + 700
    assert np.allclose(Population.from_logits(logits, ["a"]).probabilities, [[[0.2, 0.3, 0.5]], [[0.6, 0.2, 0.2]]])


def test_bad_input_is_named() -> None:
    logits = np.zeros((2, 3, 2))
    logits[1, 0, 0] = np.nan
    with pytest.raises(DataError, match="model 1 has no finite scores for 1 examples"):
        Population.from_logits(logits, names(3))
    with pytest.raises(DataError, match="sum to 1"):
        Population.from_probabilities(np.ones((2, 3, 2)), names(3))
    with pytest.raises(InputError, match="stands twice"):
        Population.from_labels([0, 1], ["a", "a"], classes=2)
    with pytest.raises(InputError, match="ids must have shape"):
        Population.from_labels([0, 1], ["a"], classes=2)
    with pytest.raises(InputError, match="whole numbers from 0 to 1"):
        Population.from_labels([0, 2], ["a", "b"], classes=2)
    one = Population.from_labels([0, 1], ["a", "b"], classes=2)
    with pytest.raises(InputError, match="no id in common"):
        join(one, Population.from_labels([0], ["c"], classes=2))
    with pytest.raises(InputError, match="2 classes and population 3"):
        join(one, Population.from_labels([0], ["a"], classes=3))
