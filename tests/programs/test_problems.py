"""Problems: three sets of tasks that share nothing."""

from __future__ import annotations

import numpy as np
import pytest

from selftaught.datasets import load, tasks
from selftaught.errors import DataError, InputError
from selftaught.programs.problems import Problem, find_source, make_problem, source_of
from selftaught.programs.settings import resolve_settings


def problem(source: str, **options: object) -> Problem:
    name, digest, examples = source_of(find_source(source, None))
    return make_problem(resolve_settings(name, digest, options, rows=len(examples) if examples else 0), examples)


def rows_of(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in x.reshape(-1, x.shape[-1])}


def test_sets_of_a_recipe_are_disjoint() -> None:
    made = problem("linear", preset="demo")
    sets = [rows_of(np.concatenate([t.train_x, t.valid_x], axis=1)) for t in (made.search, made.selection, made.final)]
    assert [t.count for t in (made.search, made.selection, made.final)] == [10, 100, 100]
    assert made.selection.train_x.shape[1:] == (1000, 4)
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


def test_final_rows_of_data_are_never_searched() -> None:
    examples = load("iris")
    seen = {i for role in ("search", "selection") for t in tasks(examples, role=role, count=4)
            for part in (t.train, t.valid) for i in part.ids}  # fmt: skip
    final = {i for t in tasks(examples, role="final", count=4) for i in t.valid.ids}
    assert final
    assert not final & seen


def test_digits_pairs_of_the_final_tasks_are_held_out() -> None:
    made = problem("digits", preset="digits", num_tasks=8)
    pairs = [{name.rsplit("/", 1)[1] for name in t.names} for t in (made.search, made.selection, made.final)]
    assert made.search.train_x.shape == (8, 200, 16)
    assert not pairs[2] & (pairs[0] | pairs[1])


def test_random_streams_inside_programs_differ_between_roles() -> None:
    made = problem("linear", preset="demo")
    seeds = {t.seed for t in (made.search, made.selection, made.final)}
    assert len(seeds) == 3


def test_text_kind() -> None:
    assert problem("linear", preset="demo").text_kind == "regression"
    assert problem("rings").text_kind == "binary"
    assert problem("iris").text_kind == "classes 3"


def test_digest_follows_the_content() -> None:
    iris = load("iris")
    first = source_of(iris)[1]
    assert source_of(iris.take(np.arange(150)))[1] == first
    assert source_of(iris.take(np.arange(149)))[1] != first


def test_warning_for_a_wide_target() -> None:
    made = problem("increment", num_train=2000, num_valid=10)
    assert "standardise" in made.warnings()[0]
    assert problem("linear", preset="demo").warnings() == []


def test_unknown_source_names_the_nearest_task() -> None:
    with pytest.raises(DataError, match="did you mean 'linear") as caught:
        source_of("linear_regresion")
    assert "\n" not in str(caught.value)


def test_target_does_not_apply_to_a_recipe() -> None:
    with pytest.raises(InputError, match="target cannot be given with the built-in task"):
        source_of("rings", target="y")


def test_several_classes_need_three_vectors() -> None:
    with pytest.raises(InputError, match="at least 3 vectors"):
        problem("iris", slots="4/2/1")
