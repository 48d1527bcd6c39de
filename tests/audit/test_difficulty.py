"""Difficulty: closed forms, records joined by id, memorisation of models that are known, planted flips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from selftaught.audit import (
    aum,
    auroc,
    draw_subsets,
    el2n,
    error_norm,
    forgetting,
    judge_columns,
    label_quality,
    margin,
    max_prob,
    mean_confidence,
    measure_memorisation,
    memorisation,
    recorded_difficulty,
    variability,
    within_class,
)
from selftaught.errors import InputError
from selftaught.ledger import Ledger
from selftaught.seeds import rng_for

SHARES = rng_for(0, "shares").dirichlet(np.ones(4), size=(5, 30))  # epochs, examples, classes
LABELS = np.arange(30) % 4


def test_columns_by_their_definitions() -> None:
    for i, y in enumerate(LABELS):
        mine = SHARES[:, i, y]
        rivals = [max(SHARES[t, i, c] for c in range(4) if c != y) for t in range(5)]
        onehot = [float(c == y) for c in range(4)]
        assert mean_confidence(SHARES[:, np.arange(30), LABELS])[i] == pytest.approx(1 - sum(mine) / 5)
        spread = np.mean(mine**2) - np.mean(mine) ** 2
        assert variability(SHARES[:, np.arange(30), LABELS])[i] ** 2 == pytest.approx(spread)
        assert aum(margin(SHARES, LABELS))[i] == pytest.approx(-np.mean(mine - rivals))
        norms = [sum((SHARES[t, i, c] - onehot[c]) ** 2 for c in range(4)) ** 0.5 for t in range(5)]
        assert el2n(error_norm(SHARES, LABELS))[i] == pytest.approx(np.mean(norms))
        assert max_prob(SHARES)[i] == pytest.approx(1 - max(SHARES[:, i].mean(axis=0)))
        assert label_quality(SHARES, LABELS)[i] == pytest.approx(1 - np.mean(mine))


def test_the_worst_error_is_the_root_of_two_and_the_best_is_none() -> None:
    assert error_norm(np.eye(3), np.array([0, 1, 0])).tolist() == pytest.approx([0, 0, 2**0.5])


@given(st.lists(st.booleans(), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_forgetting_counts_the_falls(history: list[bool]) -> None:
    found = forgetting(np.array(history)[:, None])[0]
    assert found == ("".join("10"[not one] for one in history).count("10") if any(history) else np.inf)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.booleans()), min_size=2, max_size=30))
@settings(max_examples=60, deadline=None)
def test_auroc_is_scikit_learns(pairs: list[tuple[float, bool]]) -> None:
    values, truth = np.array([one for one, _ in pairs]), np.array([one for _, one in pairs])
    if truth.all() or not truth.any():
        assert np.isnan(auroc(values, truth))
    else:
        assert auroc(values, truth) == pytest.approx(roc_auc_score(truth, values))
        assert auroc(np.append(values, np.nan), np.append(truth, True)) == auroc(values, truth)


def test_within_a_class_values_have_mean_zero_and_deviation_one() -> None:
    found = within_class(SHARES[0, :, 0] + 5 * LABELS, LABELS)
    for c in range(4):
        assert found[c == LABELS].mean() == pytest.approx(0, abs=1e-12)
        assert found[c == LABELS].std() == pytest.approx(1)


def test_a_constant_class_is_zero_and_what_is_not_known_counts_for_nothing() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 2])
    found = within_class(np.array([0.1, 0.1, 0.1, 1.0, 3.0, np.nan, np.nan]), labels)
    assert found[:5].tolist() == [0, 0, 0, -1, 1]
    assert np.isnan(found[5:]).all()


@pytest.mark.parametrize("wrong", [-1, 4])
def test_labels_that_are_no_class_do_not_count_from_the_end(wrong: int) -> None:
    labels = np.where(np.arange(30) == 7, wrong, LABELS)
    for column in (margin, error_norm, label_quality):
        with pytest.raises(InputError, match="class numbers from 0 to 3"):
            column(SHARES, labels)


def test_a_column_is_trusted_only_beyond_its_controls() -> None:
    truth = np.arange(100) < 20
    rng = rng_for(0, "judged")
    columns = {
        "confidence": truth + rng.normal(0, 0.6, 100), "best": truth + rng.normal(0, 0.1, 100),
        "worse": truth + rng.normal(0, 3, 100), "constant": np.zeros(100),
    }  # fmt: skip
    found = {one.name: one for one in judge_columns(columns, truth)}
    assert next(iter(found)) == "best"
    assert {name: one.trusted for name, one in found.items()} == {
        "confidence": True, "best": True, "worse": False, "constant": False,
    }  # fmt: skip
    assert found["constant"].auroc == 0.5
    assert np.isnan(found["constant"].agreement)
    assert found["confidence"].agreement == pytest.approx(1)
    assert "does not beat" in str(found["worse"])
    with pytest.raises(InputError, match="need a control"):
        judge_columns({"best": columns["best"]}, truth)
    with pytest.raises(InputError, match="0 of 100 are true"):
        judge_columns(columns, np.zeros(100, bool))


def test_a_ledger_gives_the_columns_by_id(tmp_path: Path) -> None:
    ids = np.array([f"e{k}" for k in range(30)])
    ledger, rng = Ledger(tmp_path), rng_for(0, "ledger")
    values = {seed: rng.random((6, 30)) for seed in (3, 8)}
    for seed, shares in values.items():
        for t in rng.permutation(6):
            one = shares[t]
            made = {"confidence": one, "correct": one > 0.5, "margin": 2 * one - 1, "error_norm": 1 - one}
            for measure, values_of in made.items():
                ledger.record(measure, ids, values_of, model="mlp", seed=seed, epoch=int(2 * t + 1))
    order = rng.permutation(30)
    found = recorded_difficulty(ledger, [*ids[order], "unknown"])
    both = np.stack(list(values.values()))
    assert list(found) == ["confidence", "variability", "forgetting", "aum", "el2n"]
    assert all(np.isnan(column[-1]) for column in found.values())
    assert found["confidence"][:-1] == pytest.approx(1 - both.mean(axis=(0, 1))[order])
    assert found["variability"][:-1] == pytest.approx(both.std(axis=1).mean(axis=0)[order])
    assert found["aum"][:-1] == pytest.approx(1 - 2 * both.mean(axis=(0, 1))[order])
    assert found["el2n"][:-1] == pytest.approx(1 - both[:, 1].mean(axis=0)[order])  # the second of six records
    falls = ((both[:, :-1] > 0.5) & (both[:, 1:] <= 0.5)).sum(axis=1)
    learned = (both > 0.5).any(axis=1)
    expected = [falls[learned[:, i], i].mean() if learned[:, i].any() else np.inf for i in order]
    assert found["forgetting"][:-1] == pytest.approx(expected)


def test_a_ledger_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with pytest.raises(InputError, match="no measure 'confidence'"):
        recorded_difficulty(ledger, ["a"])
    for model in ("one", "two"):
        for measure in ("confidence", "correct"):
            ledger.record(measure, ["a"], np.ones(1), model=model, seed=0, epoch=1)
    with pytest.raises(InputError, match="models one, two; say which"):
        recorded_difficulty(ledger, ["a"])
    with pytest.raises(InputError, match="no model 'three'"):
        recorded_difficulty(ledger, ["a"], model="three")
    ledger.record("confidence", ["a"], np.ones(1), model="one", seed=1, epoch=2)
    with pytest.raises(InputError, match="other epochs"):
        recorded_difficulty(ledger, ["a"], model="one")


def test_subsets_have_their_size_and_their_seed() -> None:
    found = draw_subsets(50, models=20, share=0.7, seed=1)
    assert (found.sum(axis=1) == 35).all()
    assert np.array_equal(found, draw_subsets(50, models=20, share=0.7, seed=1))
    assert len(np.unique(found, axis=0)) == 20
    with pytest.raises(InputError, match="some of 50 examples in and some out"):
        draw_subsets(50, share=0.999)
    with pytest.raises(InputError, match="at least 2 models"):
        draw_subsets(50, models=1)


def test_the_nearest_neighbour_memorises_what_its_neighbours_contradict() -> None:
    # With itself among them, the nearest point is the example: always right. Without, it is a neighbour, and all
    # neighbours of a flipped example in a tight pile are of the other class.
    rng = rng_for(0, "neighbours")
    truth = np.arange(120) % 2
    points = 10.0 * truth + rng.normal(0, 0.1, 120)
    flipped = np.isin(np.arange(120), [4, 31, 90])
    labels = np.where(flipped, 1 - truth, truth)

    def learn(rows: np.ndarray, model: int) -> np.ndarray:
        return labels[rows[np.abs(points[:, None] - points[rows]).argmin(axis=1)]]

    found = measure_memorisation(learn, labels, models=60)
    assert (found.value[flipped] == 1).all()
    assert auroc(found.value, flipped) >= 0.95
    m, k = found.with_it, found.without_it
    assert (m + k == 60).all()
    assert found.error == pytest.approx(np.sqrt(0.25 / m + 0.25 / k))
    assert np.median(found.error) == pytest.approx(0.14, abs=0.01)


def test_memorisation_is_a_difference_of_shares() -> None:
    rng = rng_for(0, "memorised")
    right, inside = rng.random((20, 9)) < 0.6, rng.random((20, 9)) < 0.7
    inside[:, 8] = True
    found = memorisation(right, inside).value
    for i in range(8):
        assert found[i] == pytest.approx(right[inside[:, i], i].mean() - right[~inside[:, i], i].mean())
    assert np.isnan(found[8])


def test_a_model_that_learns_nothing_memorises_nothing() -> None:
    labels = np.arange(200) % 2
    found = measure_memorisation(lambda rows, k: rng_for(k, "coin").integers(0, 2, 200), labels, models=40)
    assert abs(found.value.mean()) < 0.02
    assert np.std(found.value / found.error) == pytest.approx(1, abs=0.15)  # the error is what chance does


def test_columns_without_values_are_last_and_no_control() -> None:
    truth = np.arange(100) < 10
    rng = rng_for(0, "no values")
    none = np.full(100, np.nan)
    columns = {"confidence": none, "max_prob": rng.random(100), "x": none, "best": truth + rng.normal(0, 0.1, 100)}
    found = judge_columns(columns, truth)
    assert [one.name for one in found][:2] == ["best", "max_prob"]
    assert [one.trusted for one in found] == [True, True, False, False]
    assert set(found[0].controls) == {"max_prob"}
    with pytest.raises(InputError, match="need a control"):
        judge_columns({"confidence": none, "best": columns["best"]}, truth)
