"""Many small tasks of one data set: oracles by hand, disjointness, sizes, errors."""

from __future__ import annotations

import tracemalloc
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selftaught.datasets import load, tasks
from selftaught.datasets.arrays import examples_from_arrays
from selftaught.datasets.class_pairs import HELD_OUT_OF_TEN, allowed_pairs
from selftaught.datasets.projections import project, random_rotation
from selftaught.datasets.set_apart import draw_rows, set_apart, strata
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples, Task
from selftaught.seeds import rng_for

ROLES = ("search", "selection", "final")


def table(n: int, columns: int, classes: int, *, seed: int = 0) -> Examples:
    rng = rng_for(seed, "table")
    inputs = rng.normal(3.0, 2.0, (n, columns))
    labels = rng.normal(size=n) if classes == 0 else np.arange(n) % classes
    names = tuple(f"c{k}" for k in range(classes)) if classes else None
    return examples_from_arrays(inputs, labels, name="table", class_names=names)


def ids_of(made: list[Task], part: str) -> set[str]:
    return {text for task in made for text in getattr(task, part).ids.tolist()}


SETS = {
    "digits": load("digits"),
    "iris": load("iris"),
    "breast_cancer": load("breast_cancer"),
    "diabetes": load("diabetes"),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", [0, 1])
def test_test_rows_are_seen_by_final_tasks_only(name: str, seed: int) -> None:
    made = {role: tasks(SETS[name], role=role, seed=seed, count=8) for role in ROLES}
    _, test = set_apart(SETS[name], seed=seed)
    apart = set(SETS[name].ids[test].tolist())
    assert ids_of(made["final"], "valid") <= apart
    for role in ROLES:
        assert not ids_of(made[role], "train") & apart
        for task in made[role]:
            assert task.test is None
            assert not set(task.train.ids.tolist()) & set(task.valid.ids.tolist())
            assert len(set(task.train.ids.tolist())) == len(task.train)
            assert len(set(task.valid.ids.tolist())) == len(task.valid)
    for role in ("search", "selection"):
        assert not ids_of(made[role], "valid") & apart
    shapes = {(t.train.inputs.shape, t.valid.inputs.shape, t.metric) for role in ROLES for t in made[role]}
    assert len(shapes) == 1
    assert all(t.train.inputs.dtype == t.valid.inputs.dtype == np.float32 for role in ROLES for t in made[role])


@pytest.mark.parametrize("name", SETS)
def test_tasks_are_a_function_of_the_seed_and_of_nothing_else(name: str) -> None:
    one, more, other = (tasks(SETS[name], count=c, seed=s) for c, s in ((3, 5), (6, 5), (3, 6)))
    for a, b, c in zip(one, more, other, strict=False):
        assert np.array_equal(a.train.inputs, b.train.inputs)
        assert a.valid.ids.tolist() == b.valid.ids.tolist()
        assert a.train.ids.tolist() != c.train.ids.tolist()
    assert one[0].train.ids.tolist() != one[1].train.ids.tolist()


@pytest.mark.parametrize("name", SETS)
def test_training_inputs_are_standardised(name: str) -> None:
    for task in tasks(SETS[name], count=3):
        assert np.allclose(task.train.inputs.mean(axis=0), 0, atol=1e-4)
        if name == "digits":
            assert np.allclose(task.train.inputs.std(axis=0), 1, atol=1e-4)
        # A rotation keeps the total variance of standardised columns.
        assert np.isclose(task.train.inputs.var(axis=0).sum(), task.train.inputs.shape[1], rtol=1e-3)


def test_numbers_of_tasks_and_sizes_of_the_digits() -> None:
    assert [len(tasks(SETS["digits"], role=role)) for role in ROLES] == [16, 32, 64]
    task = tasks(SETS["digits"], count=1)[0]
    assert task.train.inputs.shape == (200, 16)
    assert task.valid.inputs.shape == (60, 16)
    assert task.metric == "accuracy"


@pytest.mark.parametrize("role", ROLES)
def test_a_pair_task_equals_its_recipe(role: str) -> None:
    digits = SETS["digits"]
    row_of = {text: row for row, text in enumerate(digits.ids.tolist())}
    for task in tasks(digits, role=role, count=4, features=5, num_train=40, num_valid=20, seed=3):  # type: ignore[arg-type]
        first, second = (int(text) for text in task.name.split("/")[-1].split("-"))
        assert first < second
        assert task.train.class_names == (str(second), str(first))
        flat = digits.inputs.reshape(len(digits), -1).astype(np.float64)
        train, valid = ([row_of[text] for text in part.ids.tolist()] for part in (task.train, task.valid))
        for part, rows in ((task.train, train), (task.valid, valid)):
            assert part.labels is not None
            assert part.labels.dtype == np.float32
            assert digits.labels is not None
            assert part.labels.tolist() == [float(digits.labels[row] == first) for row in rows]
            assert set(digits.labels[rows].tolist()) == {first, second}
            assert part.labels.sum() == len(rows) / 2
        # The inputs are an affine map of the pixels, the same for training and validation rows.
        design = np.c_[flat[train + valid], np.ones(len(train + valid))]
        found = np.r_[task.train.inputs, task.valid.inputs]
        solution, *_ = np.linalg.lstsq(design, found, rcond=None)
        assert np.allclose(design @ solution, found, atol=1e-3)


def test_projections_come_from_a_hundred_and_differ_between_roles() -> None:
    inputs = {role: tasks(SETS["digits"], role=role, count=60) for role in ("search", "selection")}
    assert len({t.name for made in inputs.values() for t in made}) == 120
    pairs = {t.name.split("/")[-1] for t in inputs["search"]}
    assert len(pairs) > 15


def test_held_out_pairs_of_ten_classes() -> None:
    assert allowed_pairs(10, role="final", seed=7) == list(HELD_OUT_OF_TEN)
    for role in ("search", "selection"):
        pairs = allowed_pairs(10, role=role, seed=7)  # type: ignore[arg-type]
        assert len(pairs) == 36
        assert not set(pairs) & set(HELD_OUT_OF_TEN)
    held = {f"{i}-{j}" for i, j in HELD_OUT_OF_TEN}
    assert {t.name.split("/")[-1] for t in tasks(SETS["digits"], role="final", count=64)} <= held
    assert not {t.name.split("/")[-1] for t in tasks(SETS["digits"], count=64)} & held


@given(st.integers(3, 25), st.integers(0, 50))
def test_held_out_pairs_share_nothing_with_the_others(classes: int, seed: int) -> None:
    search, selection, final = (set(allowed_pairs(classes, role=role, seed=seed)) for role in ROLES)  # type: ignore[arg-type]
    assert search == selection
    assert search
    assert not search & final
    assert search | final == set(combinations(range(classes), 2))
    if classes != 10:
        assert len(final) == max(1, round(0.2 * classes * (classes - 1) / 2))


def test_two_classes_have_one_pair_for_all_roles() -> None:
    assert {tuple(allowed_pairs(2, role=role, seed=0)) for role in ROLES} == {((0, 1),)}  # type: ignore[arg-type]
    made = tasks(SETS["breast_cancer"], kind="pairs", count=2)
    assert made[0].name == "breast_cancer/search/0/0-1"
    assert made[0].train.class_names == ("benign", "malignant")


def test_the_first_table_task_has_the_columns_themselves() -> None:
    for role in ROLES:
        first, second = tasks(SETS["iris"], role=role, count=2)  # type: ignore[arg-type]
        row_of = {text: row for row, text in enumerate(SETS["iris"].ids.tolist())}
        raw = [
            SETS["iris"].inputs[[row_of[t] for t in part.ids.tolist()]].astype(float)
            for part in (first.train, first.valid)
        ]
        mean, std = raw[0].mean(axis=0), raw[0].std(axis=0)
        assert np.allclose(first.train.inputs, (raw[0] - mean) / std, atol=1e-5)
        assert np.allclose(first.valid.inputs, (raw[1] - mean) / std, atol=1e-5)
        assert first.train.feature_names == SETS["iris"].feature_names
        assert second.train.feature_names == ()
        raw = [
            SETS["iris"].inputs[[row_of[t] for t in part.ids.tolist()]].astype(float)
            for part in (second.train, second.valid)
        ]
        scaled = (raw[1] - raw[0].mean(axis=0)) / raw[0].std(axis=0)
        assert not np.allclose(second.valid.inputs, scaled, atol=0.1)
        # A rotation keeps lengths.
        assert np.allclose(np.linalg.norm(second.valid.inputs, axis=1), np.linalg.norm(scaled, axis=1), atol=1e-4)


def test_labels_by_kind() -> None:
    two = tasks(SETS["breast_cancer"], count=1)[0]
    assert two.train.labels is not None
    assert two.train.labels.dtype == np.float32
    assert set(two.train.labels.tolist()) == {0.0, 1.0}
    three = tasks(SETS["iris"], count=1)[0]
    assert three.train.labels is not None
    assert three.train.labels.dtype == np.int64
    assert np.bincount(three.train.labels).tolist() == [24, 24, 24]
    number = tasks(SETS["diabetes"], count=1)[0]
    assert number.metric == "rmse"
    assert number.train.labels is not None
    assert number.valid.labels is not None
    assert number.train.labels.dtype == np.float32
    assert np.isclose(number.train.labels.mean(), 0, atol=1e-5)
    assert np.isclose(number.train.labels.std(), 1, atol=1e-5)
    truth = dict(zip(SETS["diabetes"].ids.tolist(), SETS["diabetes"].labels, strict=True))  # type: ignore[arg-type]
    train, valid = (np.array([truth[t] for t in part.ids.tolist()], float) for part in (number.train, number.valid))
    assert np.allclose(number.valid.labels, (valid - train.mean()) / train.std(), atol=1e-4)


def test_a_wide_table_is_projected_and_many_classes_widen_the_projection() -> None:
    assert tasks(table(200, 65, 2), count=1)[0].train.inputs.shape[1] == 16
    assert tasks(table(200, 64, 2), count=1)[0].train.inputs.shape[1] == 64
    assert tasks(table(400, 65, 20), count=1)[0].train.inputs.shape[1] == 20
    narrow = tasks(table(200, 6, 2), count=2, features=3)
    assert narrow[0].train.inputs.shape == (96, 3)
    assert narrow[0].train.feature_names == ()
    assert tasks(load("digits"), kind="classes", count=1)[0].train.inputs.shape == (862, 16)


def test_default_sizes_of_large_tables_and_of_large_image_sets() -> None:
    big = tasks(table(5000, 3, 2), count=1)[0]
    assert (len(big.train), len(big.valid)) == (1000, 500)
    images = Examples(
        np.zeros((50_000, 1, 1), np.uint8),
        np.arange(50_000) % 10,
        np.arange(50_000).astype(str),
        class_names=tuple("abcdefghij"),
    )
    task = tasks(images, features=1, count=1, role="final")[0]
    assert (len(task.train), len(task.valid)) == (8000, 1000)


def test_groups_go_along_with_their_rows() -> None:
    base = table(100, 3, 2)
    examples = Examples(
        base.inputs, base.labels, base.ids, {"row": np.arange(100)}, base.class_names, base.feature_names
    )
    task = tasks(examples, count=1, role="final")[0]
    for part in (task.train, task.valid):
        assert base.ids[part.groups["row"]].tolist() == part.ids.tolist()


def test_constant_columns_and_rare_classes_do_not_break_a_task() -> None:
    inputs = np.c_[np.ones(200), np.arange(200) * 1e-3, np.full(200, 1e6)]
    labels = np.zeros(200, int)
    labels[:3] = 1
    examples = examples_from_arrays(inputs, labels, name="rare", class_names=("common", "rare"))
    for role in ROLES:
        for task in tasks(examples, role=role, count=4, num_train=50, num_valid=20):  # type: ignore[arg-type]
            assert np.isfinite(task.train.inputs).all()
            assert np.isfinite(task.valid.inputs).all()
            assert set(np.asarray(task.train.labels).tolist()) == {0.0, 1.0}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 5), st.floats(0.05, 0.95))
def test_draws_are_stratified_exact_and_without_repeats(counts: list[int], seed: int, share: float) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(classes))
    size = max(1, int(share * len(rows)))
    drawn = draw_rows(rng_for(seed), rows, classes, size)
    assert len(drawn) == len(set(drawn.tolist())) == size
    found = np.bincount(classes[drawn], minlength=len(counts))
    if size >= len(counts):
        assert found.min() >= 1
    exact = size * np.array(counts) / len(rows)
    assert (np.abs(found - exact) <= len(counts)).all()


def test_the_set_apart_rows_are_a_stratified_fifth_at_most_five_thousand() -> None:
    digits = SETS["digits"]
    free, test = set_apart(digits, seed=0)
    assert sorted([*free.tolist(), *test.tolist()]) == list(range(1797))
    assert len(test) == 359
    shares = np.bincount(strata(digits)[test]) / np.bincount(strata(digits))
    assert np.allclose(shares, 0.2, atol=0.01)
    large = Examples(np.zeros((40_000, 1), np.float32), np.zeros(40_000, np.float32), np.arange(40_000).astype(str))
    assert len(set_apart(large, seed=0)[1]) == 5000


def test_rotations_are_orthogonal_and_projections_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rotation = random_rotation(rng_for(0), 9).astype(float)
    assert np.allclose(rotation @ rotation.T, np.eye(9), atol=1e-6)
    inputs = rng_for(1).integers(0, 256, (50, 6, 4), dtype=np.uint8)
    matrix = rng_for(2).standard_normal((24, 3), dtype=np.float32)
    rows = rng_for(3).permutation(50)[:33]
    expected = inputs.reshape(50, -1)[rows].astype(float) @ matrix
    for values in (4_000_000, 24 * 7, 1):
        monkeypatch.setattr("selftaught.datasets.projections._BLOCK_VALUES", values)
        assert np.allclose(project(inputs, rows, matrix), expected, rtol=1e-4, atol=1e-2)


def test_projecting_needs_little_memory() -> None:
    images = Examples(
        np.zeros((6000, 32, 32, 3), np.uint8) + np.arange(6000, dtype=np.uint8)[:, None, None, None],
        np.arange(6000) % 2,
        np.arange(6000).astype(str),
        class_names=("a", "b"),
    )
    tracemalloc.start()
    tasks(images, count=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # all rows as float32 would take 59 MB, as float64 twice that


@pytest.mark.parametrize(
    ("examples", "options", "words"),
    [
        (
            table(240, 4, 12),
            {},
            "12 classes need at least 12 features, but 'table' has 4 columns; learn two at a time (kind='pairs'",
        ),
        (table(240, 20, 12), {"features": 8}, "12 classes need at least 12 features; use features=12 or more"),
        (table(240, 4, 2), {"features": 5}, "features=5 is more than the 4 columns"),
        (SETS["digits"], {"features": 65}, "more than the 64 pixels"),
        (SETS["digits"], {"num_train": 400}, "class '0' of 'digits' has 178 examples, 36 of them set apart"),
        (table(40, 3, 4), {"kind": "pairs"}, "class 'c0' of 'table' has 10 examples; pairs need at least 20"),
        (table(19, 3, 2), {}, "has 19 examples; at least 20"),
        (table(100, 3, 2), {"num_train": 90}, "80 rows to train and validate on"),
        (table(100, 3, 2), {"num_train": 10, "num_valid": 30}, "20 set apart"),
        (table(100, 3, 2), {"kind": "regression"}, "has 2 classes; use kind='classes'"),
        (table(100, 3, 0), {"kind": "pairs"}, "has a regression target"),
        (Examples(np.zeros((30, 2), np.float32), None, np.arange(30).astype(str)), {}, "has no labels"),
        (table(100, 3, 2), {"kind": "pair"}, "did you mean 'pairs'"),
        (table(100, 3, 2), {"role": "finale"}, "did you mean 'final'"),
        (table(100, 3, 2), {"metric": "rmse"}, "metric must be accuracy or cross_entropy"),
        (table(100, 3, 0), {"metric": "accuracy"}, "metric must be rmse"),
        (table(100, 3, 2), {"count": 0}, "count must be a whole number of at least 1"),
        (table(100, 3, 2), {"features": 2.5}, "features must be a whole number"),
        (table(100, 3, 2), {"num_train": True}, "num_train must be"),
        (table(100, 3, 2), {"num_valid": 0}, "num_valid must be"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(examples: Examples, options: dict[str, Any], words: str) -> None:
    with pytest.raises((DataError, InputError)) as caught:
        tasks(examples, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_many_classes_makes_pairs_on_request() -> None:
    made = tasks(table(600, 4, 12), kind="pairs", count=3)
    assert all(t.train.inputs.shape[1] == 4 for t in made)
    assert made[0].train.feature_names == ("x0", "x1", "x2", "x3")


def test_cross_entropy_is_passed_on() -> None:
    assert tasks(SETS["iris"], count=1, metric="cross_entropy")[0].metric == "cross_entropy"
