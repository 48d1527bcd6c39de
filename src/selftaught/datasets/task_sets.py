"""Make many small tasks of one data set, so that a program must learn the kind of data, not one split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from selftaught.datasets.class_pairs import (
    NUM_PROJECTIONS,
    Role,
    allowed_pairs,
    check_classes,
    default_sizes,
    pair_rows,
)
from selftaught.datasets.projections import gaussian_matrix, project, random_rotation, standardise
from selftaught.datasets.set_apart import draw_rows, set_apart, strata
from selftaught.errors import DataError, InputError, did_you_mean
from selftaught.examples import Examples, Metric, Task
from selftaught.seeds import rng_for

__all__ = ["Kind", "tasks"]

Kind = Literal["pairs", "classes", "regression"]
Rows = NDArray[np.int64]

_COUNTS: dict[str, int] = {"search": 16, "selection": 32, "final": 64}
_METRICS: dict[str, tuple[Metric, ...]] = {
    "pairs": ("accuracy", "cross_entropy"),
    "classes": ("accuracy", "cross_entropy"),
    "regression": ("rmse",),
}
DEFAULT_FEATURES = 16
MAX_OWN_COLUMNS = 64


@dataclass(frozen=True)
class _Plan:
    """What all tasks of a set share."""

    examples: Examples
    kind: Kind
    role: Role
    seed: int
    features: int
    num_train: int
    num_valid: int
    metric: Metric
    free: Rows
    test: Rows
    identity: bool
    """Whether task 0 has the columns themselves."""


def tasks(
    examples: Examples,
    *,
    kind: Kind | None = None,
    features: int | None = None,
    count: int | None = None,
    seed: int = 0,
    role: Role = "search",
    num_train: int | None = None,
    num_valid: int | None = None,
    metric: Metric | None = None,
) -> list[Task]:
    """Make `count` small tasks of a data set, all of one size, number of features and metric.

    `valid` is what a task is judged on. A fifth of the rows (at most 5,000) is set apart once, by `seed` alone: search
    and selection tasks train and validate on the other rows; a final task trains on the other rows and its `valid`
    holds set-apart rows. `test` is always None: the final tasks play that part.

    Kinds:
        pairs: two classes i < j, label 1 for i and 0 for j. Final tasks use held-out pairs (nine fixed ones for 10
            classes, else a seeded fifth of the pairs); with two classes there is one pair for all roles.
        classes: all classes; two give labels 0 and 1, more give labels 0..K-1 and need at least K features.
        regression: targets standardised on the training rows.

    Inputs are float32 (n, features). Images are projected by a Gaussian matrix, one of 100 a role, then
    standardised on the training rows. Columns of a table are standardised, then rotated at random, or projected
    when `features` is smaller than the number of columns; task 0 has the columns themselves when all are kept.

    Args:
        examples: labelled examples, from `load`.
        kind: by default "pairs" for images with classes, "classes" for tables with classes, else "regression".
        features: number of inputs; by default a table's columns when at most 64, else 16 (the number of classes when
            that is larger and kind is "classes").
        count: number of tasks; by default 16 to search, 32 to select, 64 final ones.
        seed: the seed of everything.
        role: "search", "selection" or "final"; their random streams differ.
        num_train, num_valid: rows a task; by default at most 8,000 and 1,000 for pairs, 1,000 and 500 otherwise.
        metric: "accuracy" (default) or "cross_entropy" for classes, "rmse" for regression.

    Returns:
        Tasks with labels float32 (two classes, regression) or int64 (more classes), ids and groups kept.

    Raises:
        InputError: an argument is out of its range.
        DataError: the examples do not fit the kind, or a class or the whole set is too small.

    >>> from selftaught.datasets import load
    >>> tasks(load("iris"), count=2)[1].train
    Examples('iris/search/1', n=72, shape=(4,), 3 classes)
    """
    plan = _plan(examples, kind, features, seed, role, num_train, num_valid, metric)
    number = _COUNTS[role] if count is None else _whole("count", count, 1)
    make = _pair_task if plan.kind == "pairs" else _whole_task
    return [make(plan, t) for t in range(number)]


def _plan(
    examples: Examples,
    kind: Kind | None,
    features: int | None,
    seed: int,
    role: Role,
    num_train: int | None,
    num_valid: int | None,
    metric: Metric | None,
) -> _Plan:
    if role not in _COUNTS:
        raise InputError(f"role must be one of {', '.join(_COUNTS)}, got {role!r}{did_you_mean(str(role), _COUNTS)}")
    chosen = _kind(examples, kind)
    if metric is not None and metric not in _METRICS[chosen]:
        raise InputError(f"metric must be {' or '.join(_METRICS[chosen])} for kind {chosen!r}, got {metric!r}")
    width = _features(examples, chosen, features)
    free, test = set_apart(examples, seed=seed)
    if chosen == "pairs" and (num_train is None or num_valid is None):
        usual = default_sizes(examples, free, test)
    else:
        usual = min(1000, len(free) * 3 // 5), min(500, len(free) // 5, len(test))
    trained = usual[0] if num_train is None else _whole("num_train", num_train, 2)
    judged = usual[1] if num_valid is None else _whole("num_valid", num_valid, 1)
    if chosen == "pairs":
        check_classes(examples, free, test, num_train=trained, num_valid=judged)
    elif trained + judged > len(free) or judged > len(test):
        raise DataError(
            f"{examples.name!r} has {len(free)} rows to train and validate on and {len(test)} set apart "
            "for the final test, too few "
            f"for num_train={trained} and num_valid={judged}; ask for fewer"
        )
    return _Plan(
        examples=examples,
        kind=chosen,
        role=role,
        seed=seed,
        features=width,
        num_train=trained,
        num_valid=judged,
        metric=metric or _METRICS[chosen][0],
        free=free,
        test=test,
        identity=examples.inputs.ndim == 2 and width == examples.inputs.shape[1],
    )


def _whole(option: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{option} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def _kind(examples: Examples, kind: Kind | None) -> Kind:
    if kind is not None and kind not in get_args(Kind):
        raise InputError(
            f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}{did_you_mean(str(kind), get_args(Kind))}"
        )
    if examples.labels is None:
        raise DataError(f"{examples.name!r} has no labels; tasks need a target")
    if kind is None:
        if not examples.num_classes:
            return "regression"
        return "classes" if examples.inputs.ndim == 2 else "pairs"
    if kind == "regression" and examples.num_classes:
        raise DataError(
            f"{examples.name!r} has {examples.num_classes} classes; use kind='classes' or 'pairs', or "
            "load it with task='regression' (--task regression)"
        )
    if kind != "regression" and not examples.num_classes:
        raise DataError(
            f"{examples.name!r} has a regression target; use kind='regression', or load it with task='classification'"
        )
    return kind


def _features(examples: Examples, kind: Kind, features: int | None) -> int:
    columns = int(np.prod(examples.inputs.shape[1:]))
    is_table = examples.inputs.ndim == 2
    classes = examples.num_classes if kind == "classes" and examples.num_classes > 2 else 0
    if classes > columns:
        raise DataError(
            f"{classes} classes need at least {classes} features, but {examples.name!r} has {columns} "
            "columns; learn two at a time (kind='pairs', --task pairs)"
        )
    if features is None:
        return columns if is_table and columns <= MAX_OWN_COLUMNS else min(columns, max(DEFAULT_FEATURES, classes))
    width = _whole("features", features, 1)
    if width > columns:
        raise DataError(
            f"features={width} is more than the {columns} {'columns' if is_table else 'pixels'} of "
            f"{examples.name!r}; ask for at most {columns}"
        )
    if width < classes:
        raise DataError(f"{classes} classes need at least {classes} features; use features={classes} or more")
    return width


def _pair_task(plan: _Plan, number: int) -> Task:
    examples, classes = plan.examples, strata(plan.examples)
    rng = rng_for(plan.seed, "tasks", "pairs", plan.role, number)
    pairs = allowed_pairs(examples.num_classes, role=plan.role, seed=plan.seed)
    pair = pairs[rng.integers(len(pairs))]
    projection = int(rng.integers(NUM_PROJECTIONS))
    if plan.role == "final":
        (train,) = pair_rows(rng, plan.free, classes, pair, [plan.num_train])
        (valid,) = pair_rows(rng, plan.test, classes, pair, [plan.num_valid])
    else:
        train, valid = pair_rows(rng, plan.free, classes, pair, [plan.num_train, plan.num_valid])
    names = (examples.class_names[pair[1]], examples.class_names[pair[0]])
    labels = tuple((classes[rows] == pair[0]).astype(np.float32) for rows in (train, valid))
    name = f"{examples.name}/{plan.role}/{number}/{pair[0]}-{pair[1]}"
    return _task(plan, name, number, train, valid, labels, names, projection)


def _whole_task(plan: _Plan, number: int) -> Task:
    examples, classes = plan.examples, strata(plan.examples)
    rng = rng_for(plan.seed, "tasks", plan.kind, plan.role, number)
    train = draw_rows(rng, plan.free, classes, plan.num_train)
    left = plan.test if plan.role == "final" else np.setdiff1d(plan.free, train, assume_unique=True)
    valid = draw_rows(rng, left, classes, plan.num_valid)
    targets = np.asarray(examples.labels)
    labels: tuple[NDArray[Any], ...]
    if plan.kind == "regression":
        columns = targets.astype(np.float64)[:, None]
        labels = tuple(part[:, 0] for part in standardise(columns[train], columns[valid]))
    else:
        dtype = np.float32 if examples.num_classes == 2 else np.int64
        labels = tuple(targets[rows].astype(dtype) for rows in (train, valid))
    projection = int(rng.integers(NUM_PROJECTIONS))
    return _task(
        plan, f"{examples.name}/{plan.role}/{number}", number, train, valid, labels, examples.class_names, projection
    )


def _task(
    plan: _Plan,
    name: str,
    number: int,
    train: Rows,
    valid: Rows,
    labels: tuple[NDArray[Any], ...],
    class_names: tuple[str, ...],
    projection: int,
) -> Task:
    inputs = _inputs(plan, number, train, valid, projection)
    parts = []
    for rows, part_inputs, part_labels in zip((train, valid), inputs, labels, strict=True):
        parts.append(
            Examples(
                inputs=part_inputs,
                labels=part_labels,
                ids=plan.examples.ids[rows],
                groups={group: values[rows] for group, values in plan.examples.groups.items()},
                class_names=class_names,
                feature_names=plan.examples.feature_names if plan.identity and number == 0 else (),
                name=name,
            )
        )
    return Task(train=parts[0], valid=parts[1], test=None, metric=plan.metric, name=name)


def _inputs(plan: _Plan, number: int, train: Rows, valid: Rows, projection: int) -> tuple[NDArray[Any], NDArray[Any]]:
    inputs = plan.examples.inputs
    columns = int(np.prod(inputs.shape[1:]))
    if inputs.ndim > 2:
        matrix = gaussian_matrix(
            rng_for(plan.seed, "tasks", "projection", plan.role, projection), columns, plan.features
        )
        return standardise(project(inputs, train, matrix), project(inputs, valid, matrix))
    scaled = standardise(inputs[train], inputs[valid])
    if plan.identity and number == 0:
        return scaled
    rng = rng_for(plan.seed, "tasks", "matrix", plan.role, number)
    if plan.features == columns:
        rotation = random_rotation(rng, columns)
        return scaled[0] @ rotation, scaled[1] @ rotation
    matrix = gaussian_matrix(rng, columns, plan.features)
    return standardise(scaled[0] @ matrix, scaled[1] @ matrix)
