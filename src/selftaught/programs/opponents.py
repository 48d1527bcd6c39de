"""What a discovered program is judged beside: the two learners written by hand, tuned, and scikit-learn's."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Program
from selftaught.programs.tasksets import TaskSet
from selftaught.programs.text import format_constant
from selftaught.seeds import rng_for

__all__ = [
    "MAX_TUNING", "OPPONENTS", "Tuned", "constant_fitness", "least_squares_fitness", "linear_for", "network_for",
    "reference_fitness", "tune",
]  # fmt: skip

MAX_TUNING = 2000  # evaluations an opponent's constants are tuned with, at most
LEARNING_RATES = (1e-4, 1.0)
SCALES = (1e-3, 1.0)
CHEAP_RATES = (0.01, 0.1)
BATCH = 8

_LINEAR_CLASSES = """\
selftaught-program 1
slots: 3 scalars, 4 vectors, 2 matrices
task: classes 3
setup:
    s2 = {learning_rate}
predict:
    v2 = m0 @ v0
learn:
    v3 = v1 - v2
    v3 = s2 * v3
    m1 = outer(v3, v0)
    m0 = m0 + m1
"""

_NETWORK_CLASSES = """\
selftaught-program 1
slots: 4 scalars, 10 vectors, 4 matrices
task: classes 3
setup:
    m0 = gaussian(0, {initial_scale})
    m1 = gaussian(0, {initial_scale})
    s3 = {learning_rate}
predict:
    v3 = m0 @ v0
    v3 = v3 + v4
    v5 = maximum(v3, v6)    # v6 is never written: zeros
    v2 = m1 @ v5
    v2 = v2 + v7
learn:
    v8 = v1 - v2
    v8 = s3 * v8
    v7 = v7 + v8
    m2 = transpose(m1)      # the output weights of the prediction
    v9 = m2 @ v8
    m3 = outer(v8, v5)
    m1 = m1 + m3
    v3 = step(v3)
    v9 = v3 * v9
    v4 = v4 + v9
    m3 = outer(v9, v0)
    m0 = m0 + m3
"""


def linear_for(num_classes: int, learning_rate: float) -> Program:
    """Return the linear learner for a kind of task; several classes get a matrix of weights."""
    if num_classes == 0:
        return linear_learner(learning_rate)
    text = _LINEAR_CLASSES.format(learning_rate=format_constant(learning_rate))
    return parse_program(text, "linear_learner").program


def network_for(num_classes: int, learning_rate: float, initial_scale: float) -> Program:
    """Return the two-layer network for a kind of task."""
    if num_classes == 0:
        return two_layer_network(learning_rate, initial_scale)
    text = _NETWORK_CLASSES.format(
        learning_rate=format_constant(learning_rate), initial_scale=format_constant(initial_scale)
    )
    return parse_program(text, "two_layer_network").program


def _linear(num_classes: int, constants: NDArray[np.float64]) -> Program:
    return linear_for(num_classes, float(constants[0]))


def _network(num_classes: int, constants: NDArray[np.float64]) -> Program:
    return network_for(num_classes, float(constants[0]), float(constants[1]))


#: name -> (how to make it of its constants, the constants' ranges)
OPPONENTS: dict[str, tuple[Callable[[int, NDArray[np.float64]], Program], tuple[tuple[float, float], ...]]] = {
    "linear": (_linear, (LEARNING_RATES,)),
    "net": (_network, (LEARNING_RATES, SCALES)),
}


@dataclass(frozen=True)
class Tuned:
    """An opponent with its best constants.

    Args:
        program: the program.
        fitness: mean fitness on the search tasks.
        evaluations: how many constants were tried.
    """

    program: Program
    fitness: float
    evaluations: int


def tune(name: str, evaluator: Evaluator, *, evaluations: int, seconds: float, seed: int) -> Tuned:
    """Choose an opponent's constants: log-uniform draws, then steps around the best that grow smaller.

    Args:
        name: a name of `OPPONENTS`.
        evaluator: of the search tasks.
        evaluations: programs to try, at most.
        seconds: stop then; a first batch is always tried.
        seed: seed of the draws.
    """
    make, ranges = OPPONENTS[name]
    low, high = np.log(np.array(ranges)).T
    rng = rng_for(seed, "opponents", name)
    classes = evaluator.tasks.num_classes
    best = np.log(np.array([CHEAP_RATES[0], 0.1][: len(ranges)]))
    best_fitness, tried = -1.0, 0
    stop = time.perf_counter() + seconds
    while tried < evaluations and (tried == 0 or time.perf_counter() < stop):
        count = min(BATCH, evaluations - tried) if tried else 1
        if tried == 0:
            points = best[None]
        elif tried < evaluations // 2:
            points = rng.uniform(low, high, (count, len(ranges)))
        else:
            width = 1.5 * 0.05 ** (tried / evaluations * 2 - 1)  # natural logarithms: 1.5, down to 0.075
            points = np.clip(best + width * rng.standard_normal((count, len(ranges))), low, high)
        fitness = evaluator.score_many([make(classes, np.exp(point)) for point in points]).mean(axis=1)
        tried += count
        top = int(fitness.argmax())
        if fitness[top] > best_fitness:
            best_fitness, best = float(fitness[top]), points[top]
    return Tuned(make(classes, np.exp(best)), best_fitness, tried)


def constant_fitness(tasks: TaskSet, count: int | None = None) -> NDArray[np.float64]:
    """Return the fitness (count,) of predicting the mean, or the most frequent class, of the training labels."""
    values = []
    for train, valid in zip(tasks.train_y[:count], tasks.valid_y[:count], strict=True):
        if tasks.metric == "rmse":
            values.append(_from_rmse(float(np.sqrt(np.mean((valid - train.mean(dtype=np.float64)) ** 2)))))
        else:
            classes, counts = np.unique(train, return_counts=True)
            if tasks.metric == "accuracy":
                values.append(float((valid == classes[counts.argmax()]).mean()))
            else:
                shares = dict(zip(classes.tolist(), (counts / counts.sum()).tolist(), strict=True))
                values.append(_from_loss(float(np.mean([-math.log(max(shares.get(v, 0.0), 1e-7)) for v in valid]))))
    return np.array(values)


def least_squares_fitness(tasks: TaskSet, count: int) -> NDArray[np.float64]:
    """Return the fitness (count,) of linear least squares on the first tasks; classes are fitted one-hot."""
    values = []
    for x, y, judged, truth in zip(
        tasks.train_x[:count], tasks.train_y[:count], tasks.valid_x[:count], tasks.valid_y[:count], strict=True
    ):
        inputs, others = (np.hstack([part, np.ones((len(part), 1))]) for part in (x, judged))
        if tasks.metric == "rmse":
            error = others @ np.linalg.lstsq(inputs, y, rcond=None)[0] - truth
            values.append(_from_rmse(float(np.sqrt(np.mean(error**2)))))
        else:
            classes = np.unique(y)
            weights = np.linalg.lstsq(inputs, (y[:, None] == classes).astype(float), rcond=None)[0]
            values.append(float((classes[(others @ weights).argmax(axis=1)] == truth).mean()))
    return np.array(values)


def reference_fitness(tasks: TaskSet, count: int | None = None, seconds: float = math.inf) -> NDArray[np.float64]:
    """Return the fitness of scikit-learn's logistic or ridge regression on tasks: trained and judged on their rows.

    Args:
        tasks: the task set.
        count: only the first so many tasks.
        seconds: stop after the task that passes this time; at least one task is done.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    values = []
    stop = time.perf_counter() + seconds
    for task in range(min(tasks.count, count or tasks.count)):
        x, y = tasks.train_x[task].astype(np.float64), tasks.train_y[task]
        judged, truth = tasks.valid_x[task].astype(np.float64), tasks.valid_y[task]
        if tasks.metric == "rmse":
            error = Ridge(alpha=1e-3).fit(x, y).predict(judged) - truth
            values.append(_from_rmse(float(np.sqrt(np.mean(error**2)))))
        elif np.ptp(y) == 0:
            values.append(float(constant_fitness(_single(tasks, task))[0]))
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = LogisticRegression(max_iter=500).fit(x, y.astype(np.int64))
            if tasks.metric == "accuracy":
                values.append(float((model.predict(judged) == truth).mean()))
            else:
                columns = {int(label): k for k, label in enumerate(model.classes_)}
                shares = model.predict_proba(judged)
                found = [shares[i, columns[int(v)]] if int(v) in columns else 0.0 for i, v in enumerate(truth)]
                values.append(_from_loss(float(np.mean([-math.log(max(p, 1e-7)) for p in found]))))
        if time.perf_counter() > stop:
            break
    return np.array(values)


def _single(tasks: TaskSet, task: int) -> TaskSet:
    from dataclasses import replace

    part = slice(task, task + 1)
    return replace(
        tasks, train_x=tasks.train_x[part], train_y=tasks.train_y[part], valid_x=tasks.valid_x[part],
        valid_y=tasks.valid_y[part], names=(),
    )  # fmt: skip


def _from_rmse(error: float) -> float:
    return 1.0 - 2.0 / math.pi * math.atan(error)


def _from_loss(loss: float) -> float:
    return 1.0 - 2.0 / math.pi * math.atan(loss)
