"""Opponents: closed forms, and tuning that pays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.opponents import (
    constant_fitness,
    least_squares_fitness,
    linear_for,
    network_for,
    reference_fitness,
    tune,
)
from selftaught.programs.reference import evaluate_reference
from selftaught.programs.tasksets import TaskSet


def classes(count: int = 3) -> TaskSet:
    """Well separated classes in four dimensions."""
    rng = np.random.default_rng(0)
    centres = 3.0 * np.eye(4)[:count]
    labels = rng.integers(count, size=(2, 300))
    x = (centres[labels] + 0.3 * rng.standard_normal((2, 300, 4))).astype(np.float32)
    y = labels.astype(np.float32)
    return TaskSet(x[:, :200], y[:, :200], x[:, 200:], y[:, 200:], "accuracy", num_classes=count)


def test_constant_has_a_closed_form() -> None:
    tasks = builtin_tasks("ones", count=2, num_train=10, num_valid=10)
    assert constant_fitness(tasks).tolist() == [1.0, 1.0]
    tasks = builtin_tasks("linear_regression", count=1, num_train=50, num_valid=20)
    error = float(np.sqrt(np.mean((tasks.valid_y[0] - tasks.train_y[0].mean(dtype=np.float64)) ** 2)))
    assert constant_fitness(tasks)[0] == pytest.approx(1 - 2 / math.pi * math.atan(error), abs=1e-6)


def test_majority_class() -> None:
    tasks = classes()
    labels, counts = np.unique(tasks.train_y[0], return_counts=True)
    assert constant_fitness(tasks)[0] == (tasks.valid_y[0] == labels[counts.argmax()]).mean()


@pytest.mark.parametrize("fitness", [least_squares_fitness, reference_fitness])
def test_linear_models_solve_what_is_linear_and_not_the_rings(fitness: object) -> None:
    assert fitness(builtin_tasks("linear_regression", count=2, num_train=200, num_valid=50), 2).min() > 0.999
    assert fitness(classes(), 2).min() > 0.97
    assert fitness(builtin_tasks("rings", count=2, num_train=500, num_valid=200), 2).mean() < 0.65


def test_reference_of_one_class_is_the_constant() -> None:
    tasks = classes()
    single = TaskSet(tasks.train_x[:1], np.ones((1, 200), np.float32), tasks.valid_x[:1], tasks.valid_y[:1], "accuracy",
                     num_classes=3)  # fmt: skip
    assert reference_fitness(single).tolist() == constant_fitness(single).tolist()


@pytest.mark.parametrize("make", [lambda: linear_for(3, 0.05), lambda: network_for(3, 0.05, 0.1)])
def test_learners_of_several_classes_learn(make: object) -> None:
    tasks = classes()
    fitness = evaluate_reference(
        make(), tasks.train_x, tasks.train_y, tasks.valid_x, tasks.valid_y, metric="accuracy", num_classes=3,
        seeds=tasks.stream_seeds,
    )  # fmt: skip
    assert fitness.min() > 0.95


def test_tuning_beats_the_first_guess_and_depends_on_the_seed_only() -> None:
    evaluator = Evaluator(builtin_tasks("linear_regression", count=10, features=4, num_train=100, num_valid=100))
    first = float(evaluator.score(linear_for(0, 0.01)).mean())
    tuned = tune("linear", evaluator, evaluations=100, seconds=60.0, seed=0)
    assert tuned.evaluations == 100
    assert tuned.fitness > first
    assert tuned.fitness == pytest.approx(float(evaluator.score(tuned.program).mean()))
    assert tune("linear", evaluator, evaluations=100, seconds=60.0, seed=0) == tuned
    network = tune("net", evaluator, evaluations=60, seconds=60.0, seed=0)
    assert network.fitness >= float(evaluator.score(network_for(0, 0.01, 0.1)).mean())


def test_tuning_keeps_to_its_time() -> None:
    evaluator = Evaluator(builtin_tasks("linear_regression", count=10, features=4, num_train=100, num_valid=100))
    assert tune("linear", evaluator, evaluations=10**6, seconds=0.0, seed=0).evaluations == 1
