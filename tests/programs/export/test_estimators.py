"""Evolved estimators: scikit-learn's own checks, pipelines, several classes, any number of columns, divergence."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

import selftaught
from selftaught.errors import DataError, DivergedError, InputError
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.export import EvolvedClassifier, EvolvedRegressor, given_program
from selftaught.programs.opponents import linear_for, network_for
from selftaught.programs.parse import parse_program
from selftaught.programs.text import format_program

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
COUNTER = """selftaught-program 1
setup:
    s2 = 0.001
    s5 = 0.01
predict:
    s3 = s3 + s2          # counts what it has predicted
    s1 = dot(v0, v1)
    s1 = s1 + s3
learn:
    s4 = s0 - s1
    s4 = s5 * s4
    v2 = s4 * v0
    v1 = v1 + v2
"""


@pytest.mark.parametrize(
    "estimator",
    [
        EvolvedRegressor(linear_learner(0.01)),
        EvolvedClassifier(linear_learner(0.05)),
        EvolvedClassifier(given_program(linear_for(3, 0.05), task="classes 3")),
        EvolvedRegressor(),
        EvolvedClassifier(),
    ],
    ids=["given regressor", "given one-vs-rest", "given classes", "default regressor", "default classifier"],
)
def test_scikit_learn_checks(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rows, programs with state, and checks that scikit-learn skips
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"] == []
    assert sum(r["status"] == "passed" for r in results) > 40


def test_they_are_public_by_name() -> None:
    assert selftaught.EvolvedClassifier is EvolvedClassifier
    assert selftaught.EvolvedRegressor is EvolvedRegressor


def test_a_pipeline_with_a_grid_search() -> None:
    pipeline = make_pipeline(MinMaxScaler(), EvolvedClassifier(linear_learner(0.1), random_state=0))
    network = network_for(3, 0.1, 0.3)
    grid = {"evolvedclassifier__epochs": [1, 10], "evolvedclassifier__program": [linear_learner(0.0001), network]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(*IRIS)
    assert search.best_params_ == {"evolvedclassifier__epochs": 10, "evolvedclassifier__program": network}
    assert search.best_score_ > 0.9
    assert search.predict(IRIS[0]).shape == (150,)


def test_clone_cross_validation_and_pickle() -> None:
    model = EvolvedRegressor(two_layer_network(0.01, 0.3), epochs=5, random_state=3)
    assert clone(model).get_params() == model.get_params()
    scores = cross_val_score(model, *DIABETES, cv=3)
    assert scores.min() > 0.3
    model.fit(*DIABETES)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - made in the line before
    assert np.array_equal(again.predict(DIABETES[0]), model.predict(DIABETES[0]))
    assert again.program_text_ == format_program(two_layer_network(0.01, 0.3))


@pytest.mark.filterwarnings("ignore:this program's prediction changes its memory")
def test_fit_evolves_a_program_and_compares_it() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = X @ rng.normal(size=4)
    model = EvolvedRegressor(random_state=0).fit(X, y)
    assert "two-layer network, tuned" in model.comparison_
    assert parse_program(model.program_text_).program == model.program_
    assert model.score(X, y) > 0.95
    assert np.array_equal(EvolvedRegressor(random_state=0).fit(X, y).predict(X), model.predict(X))
    with pytest.warns(UserWarning, match="too few to judge"):
        few = EvolvedRegressor(random_state=0).fit(X[:15], y[:15])
    assert few.comparison_ == ""
    assert few.program_ == linear_learner(0.01)


def test_several_classes_one_against_the_rest_and_at_once() -> None:
    rest = EvolvedClassifier(linear_learner(0.1), random_state=0).fit(*IRIS)
    assert rest.task_ == "binary"
    at_once = EvolvedClassifier(linear_for(3, 0.1), random_state=0).fit(*IRIS)
    assert at_once.task_ == "classes 3"
    for model in (rest, at_once):
        shares = model.predict_proba(IRIS[0])
        assert shares.shape == (150, 3)
        assert shares.sum(axis=1) == pytest.approx(1)
        assert model.score(*IRIS) > 0.75
    # One against the rest is what single models of the same rows and order learn.
    single = EvolvedClassifier(linear_learner(0.1), random_state=0).fit(IRIS[0], IRIS[1] == 2)
    lane = rest._learner.predict(rest._columns.apply(IRIS[0]))[:, 2]
    assert lane == pytest.approx(single.predict_proba(IRIS[0])[:, 1], abs=1e-6)


def test_any_number_of_columns() -> None:
    X, y = load_digits(return_X_y=True)
    wide = np.hstack([X, X[:, ::-1]])  # 128 columns: projected to 64
    model = EvolvedClassifier(linear_for(3, 0.02), epochs=3, random_state=0).fit(wide, y)
    assert model._columns.matrix.shape == (128, 64)
    assert model.score(wide, y) > 0.85
    one = EvolvedClassifier(linear_for(3, 0.1), random_state=0, epochs=20).fit(IRIS[0][:, 2:3], IRIS[1])  # 1 column
    assert one._columns.width == 3
    assert one.predict_proba(IRIS[0][:, 2:3]).shape == (150, 3)
    few = EvolvedClassifier(linear_learner(0.05), features=2, random_state=0).fit(*IRIS)
    assert few._columns.width == 2


def test_rows_are_predicted_alone_and_a_state_is_told() -> None:
    X, y = DIABETES
    with pytest.warns(UserWarning, match="changes its memory"):
        model = EvolvedRegressor(COUNTER, random_state=0).fit(X, y)
    order = np.random.default_rng(0).permutation(len(X))
    assert np.array_equal(model.predict(X)[order], model.predict(X[order]))
    assert np.array_equal(model.predict(X)[5:6], model.predict(X[5:6]))


def test_a_diverged_fit_names_the_row() -> None:
    X, y = DIABETES
    with pytest.raises(DivergedError, match=r"diverged at row \d+: .*scale the target"):
        EvolvedRegressor(linear_learner(100.0), random_state=0).fit(X, y)
    model = EvolvedRegressor(linear_learner(0.01)).partial_fit(X, y)
    with pytest.raises(DivergedError, match="at row 3:"):
        model.partial_fit(X[:5], [*y[:3], 1e6, y[4]])


def test_partial_fit_goes_on_and_keeps_the_scale() -> None:
    X, y = DIABETES
    parts = EvolvedRegressor(linear_learner(0.01)).partial_fit(X[:200], y[:200])
    before = parts.predict(X)
    parts.partial_fit(X[200:], y[200:])
    assert not np.array_equal(before, parts.predict(X))
    assert parts._columns.scale.centre == pytest.approx(X[:200].mean(axis=0))
    model = EvolvedClassifier(linear_learner(0.1))
    with pytest.raises(InputError, match="classes must be given"):
        model.partial_fit(*IRIS)
    model.partial_fit(IRIS[0][:50], IRIS[1][:50], classes=[0, 1, 2])
    assert model.predict_proba(IRIS[0]).shape == (150, 3)
    with pytest.raises(InputError, match="did not name"):
        model.partial_fit(IRIS[0][:2], [0, 7])


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (EvolvedClassifier(programs=0), "programs must be a whole number"),
        (EvolvedClassifier(linear_learner(), epochs=1.5), "epochs must be a whole number"),
        (EvolvedClassifier(features=65), "features must be at most 64"),
        (EvolvedClassifier(programs=None), "needs a budget"),
        (EvolvedClassifier(program="no_such.txt"), "there is no program"),
        (EvolvedClassifier(evolve_options={"tournamant": 3}), "did you mean 'tournament'"),
        (EvolvedClassifier(start="lineer"), "did you mean 'linear'"),
        (EvolvedRegressor(linear_for(3, 0.1)), "use EvolvedClassifier"),
    ],
)
def test_wrong_options_are_told_by_fit(model: Any, wanted: str) -> None:
    with pytest.raises(InputError, match=wanted):
        model.fit(*IRIS)
    with pytest.raises(DataError, match="one class only"):
        EvolvedClassifier(linear_learner()).fit(IRIS[0], np.zeros(150))


def test_a_run_folder_is_a_program(tmp_path: Path) -> None:
    (tmp_path / "program.txt").write_text(format_program(linear_for(3, 0.1), task="classes 3"), encoding="utf-8")
    assert EvolvedClassifier(tmp_path, random_state=0).fit(*IRIS).program_ == linear_for(3, 0.1)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_an_evolved_program_that_diverges_gives_way_to_the_linear_learner(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search judges programs on parts of the rows; one that breaks on all of them must not end in an error."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = x[:, 0] - x[:, 1] if not classes else np.digitize(x[:, 0], [0.0, 0.8][: classes - 1])
    broken = "v2 = 1 / v5" if classes == 3 else "s1 = log(s4)"
    program = f"selftaught-program 1\nsetup:\n    s4 = -1\npredict:\n    {broken}\nlearn:\n    pass\n"
    task = "classes 3" if classes == 3 else "binary" if classes else "regression"
    wild = given_program(program, task=task)
    monkeypatch.setattr(
        "selftaught.programs.export.estimators.search_program", lambda *_, **__: (wild, "a table"), raising=True
    )
    model = EvolvedClassifier(random_state=0) if classes else EvolvedRegressor(random_state=0)
    with pytest.warns(UserWarning, match="hand-written linear learner is fitted instead"):
        model.fit(x, y)
    assert model.score(x, y) > (0.6 if classes == 3 else 0.9)  # one pass over 60 rows; chance is at most 0.5
    assert model.comparison_ == ""
    with pytest.warns(UserWarning, match="hand-written linear learner is fitted instead"):
        model = clone(model).partial_fit(x, y, **({"classes": np.unique(y)} if classes else {}))
    assert model.partial_fit(x, y).score(x, y) > 0.7
    given = EvolvedClassifier(wild) if classes else EvolvedRegressor(wild)
    with pytest.raises(DivergedError):
        given.fit(x, y)
