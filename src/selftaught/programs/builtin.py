"""Built-in tasks with known answers: linear, affine, a two-layer teacher, rings, a multiplicative interaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError, did_you_mean
from selftaught.examples import Metric
from selftaught.programs.tasksets import TaskSet
from selftaught.seeds import rng_for

__all__ = ["BUILTIN", "builtin_tasks"]

Draw = tuple[NDArray[Any], NDArray[Any]]
Recipe = Callable[[np.random.Generator, np.random.Generator, int, int], Draw]


def _linear(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
    x, w = data.standard_normal((rows, features)), parameters.standard_normal(features)
    return x, x @ w


def _affine(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
    x, w = data.standard_normal((rows, features)), parameters.standard_normal(features)
    return x, x @ w + parameters.standard_normal()


def _teacher(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
    """Two layers with ReLU; units 0 and 2 are inactive, as in the original's data."""
    x = data.standard_normal((rows, features))
    first, second = parameters.standard_normal((features, features)), parameters.standard_normal(features)
    for unit in (0, 2):
        if unit < features:
            first[unit] = 0.0
            second[unit] = 0.0
    return x, np.maximum(x @ first.T, 0.0) @ second


def _rings(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
    """Two concentric shells of equal weight; each task draws which of them is class 1.

    A linear learner is at chance: both classes are symmetric about the origin.
    """
    direction = data.standard_normal((rows, features))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    outer = data.random(rows) < 0.5
    radius = np.where(outer, 2.0, 1.0) + 0.15 * data.standard_normal(rows)
    labels = outer if parameters.random() < 0.5 else ~outer
    return direction * radius[:, None], labels.astype(float)


def _interaction(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
    """y = 1 where (a.x)(b.x) > 0 for two orthonormal directions a, b drawn for each task.

    A linear learner is at chance: the label does not change when x is replaced by -x.
    """
    x = data.standard_normal((rows, features))
    basis, _ = np.linalg.qr(parameters.standard_normal((features, features)))
    return x, ((x @ basis[:, 0]) * (x @ basis[:, 1 % features]) > 0).astype(float)


def _constant(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
    return data.standard_normal((rows, features)), np.full(rows, parameters.standard_normal())


def _fixed(value: float) -> Recipe:
    def draw(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
        return data.standard_normal((rows, features)), np.full(rows, value)

    return draw


def _increment(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
    """Example t is the vector of all t * 0.1; its target is t * 0.1 + 1."""
    t = np.arange(rows)[:, None] * 0.1
    return np.repeat(t, features, axis=1), t[:, 0] + 1.0


def _as_classes(recipe: Recipe) -> Recipe:
    def draw(parameters: np.random.Generator, data: np.random.Generator, rows: int, features: int) -> Draw:
        x, y = recipe(parameters, data, rows, features)
        return x, (y > 0).astype(float)

    return draw


#: name -> (recipe, metric)
BUILTIN: Mapping[str, tuple[Recipe, Metric]] = {
    "linear_regression": (_linear, "rmse"),
    "affine_regression": (_affine, "rmse"),
    "two_layer_teacher": (_teacher, "rmse"),
    "linear_classification": (_as_classes(_linear), "accuracy"),
    "affine_classification": (_as_classes(_affine), "accuracy"),
    "two_layer_classification": (_as_classes(_teacher), "accuracy"),
    "rings": (_rings, "accuracy"),
    "interaction": (_interaction, "accuracy"),
    "constant": (_constant, "rmse"),
    "zeros": (_fixed(0.0), "rmse"),
    "ones": (_fixed(1.0), "rmse"),
    "increment": (_increment, "rmse"),
}


def builtin_tasks(
    kind: str,
    *,
    count: int = 16,
    features: int = 4,
    num_train: int = 1000,
    num_valid: int = 100,
    seed: int = 0,
    role: str = "search",
    noise: float = 0.0,
    num_epochs: int = 1,
) -> TaskSet:
    """Make a set of tasks from a recipe; tasks of other roles and seeds are other tasks.

    Args:
        kind: a name of `BUILTIN`.
        count: D, the number of tasks.
        features: F, 1 to 64.
        num_train: training examples a task.
        num_valid: validation examples a task.
        seed: seed of everything.
        role: "search", "selection" or "final"; the sets are disjoint by construction.
        noise: standard deviation of Gaussian noise on the target (on the label's side of 0 for classes: none).
        num_epochs: passes over the training examples.

    Raises:
        InputError: an unknown kind or a number out of its range.

    >>> builtin_tasks("linear_regression", count=2, num_train=10, num_valid=5).train_x.shape
    (2, 10, 4)
    """
    if kind not in BUILTIN:
        raise InputError(
            f"unknown built-in task {kind!r}; choose from {', '.join(BUILTIN)}{did_you_mean(kind, BUILTIN)}"
        )
    for name, value in (("count", count), ("features", features), ("num_train", num_train), ("num_valid", num_valid)):
        if value < 1 or (name == "features" and value > 64):
            raise InputError(f"{name} must be {'1 to 64' if name == 'features' else 'at least 1'}, got {value}")
    recipe, metric = BUILTIN[kind]
    rows = num_train + num_valid
    x = np.empty((count, rows, features), np.float32)
    y = np.empty((count, rows), np.float32)
    for task in range(count):
        data = rng_for(seed, kind, role, "data", task)
        inputs, targets = recipe(rng_for(seed, kind, role, "parameters", task), data, rows, features)
        if noise and metric == "rmse":
            targets = targets + noise * data.standard_normal(rows)
        x[task], y[task] = inputs, targets
    return TaskSet(
        train_x=x[:, :num_train], train_y=y[:, :num_train], valid_x=x[:, num_train:], valid_y=y[:, num_train:],
        metric=metric, seed=seed, num_epochs=num_epochs, names=tuple(f"{kind} {role} {t}" for t in range(count)),
    )  # fmt: skip
