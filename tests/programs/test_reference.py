"""The reference interpreter against closed forms and plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from selftaught.errors import InputError, ProgramError
from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Program
from selftaught.programs.reference import LaneMemory, Streams, evaluate_reference, execute

D, N, V, F = 3, 40, 20, 4
SEEDS = np.arange(1, D + 1, dtype=np.uint32)


def _tasks(seed: int = 0, classes: int = 0) -> tuple[NDArray[Any], ...]:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(D, F, max(classes, 1)))
    x = rng.normal(size=(D, N + V, F)).astype(np.float32)
    scores = np.einsum("dnf,dfk->dnk", x, weights)
    y = np.argmax(scores, axis=2) if classes else scores[..., 0].astype(np.float32)
    return x[:, :N], y[:, :N], x[:, N:], y[:, N:]


def _program(setup: str = "pass", predict: str = "pass", learn: str = "pass", task: str = "regression") -> Program:
    text = f"selftaught-program 1\ntask: {task}\n"
    for name, body in (("setup", setup), ("predict", predict), ("learn", learn)):
        text += f"{name}:\n" + "".join(f"    {line}\n" for line in body.split("; "))
    return parse_program(text).program


def _atan_fitness(loss: Any) -> Any:
    return 1 - 2 / math.pi * np.arctan(loss)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_linear_learner_is_the_plain_loop(precision: Any) -> None:
    x, y, xv, yv = _tasks()
    orders = [np.arange(N), np.random.default_rng(1).permutation(N)]
    got = evaluate_reference(
        linear_learner(0.05), x, y, xv, yv, num_epochs=2, orders=orders, seeds=SEEDS, precision=precision
    )
    for d in range(D):
        w, best = np.zeros(F), 0.0
        for order in orders:
            for t in order:
                w += 0.05 * (y[d, t] - x[d, t] @ w) * x[d, t]
            best = max(best, _atan_fitness(np.sqrt(np.mean((yv[d] - xv[d] @ w) ** 2))))
        assert got[d] == pytest.approx(best, abs=1e-6)


def test_network_is_the_plain_loop() -> None:
    x, y, xv, yv = _tasks(3)
    capture = _program("v2 = gaussian(0, 0.5); m0 = gaussian(0, 0.5)", "s1 = dot(v2, v0)")
    net = two_layer_network(0.05, 0.5)
    got = evaluate_reference(net, x, y, xv, yv, seeds=SEEDS, precision="float64")
    memory = LaneMemory.zeros(capture.slots(), F, D, precision="float64")
    execute(capture.setup, memory, Streams(SEEDS))
    for d in range(D):
        out, hidden = memory.vectors[2, :, d].copy(), memory.matrices[0, :, :, d].copy()
        b1, b2 = np.zeros(F), 0.0
        for t in range(N):
            z = hidden @ x[d, t] + b1
            a = np.maximum(z, 0)
            delta = np.float64(np.float32(0.05)) * (y[d, t] - (a @ out + b2))
            back = delta * out * (z > 0)
            b2, out, b1, hidden = b2 + delta, out + delta * a, b1 + back, hidden + np.outer(back, x[d, t])
        predicted = np.maximum(xv[d] @ hidden.T + b1, 0) @ out + b2
        assert got[d] == pytest.approx(_atan_fitness(np.sqrt(np.mean((yv[d] - predicted) ** 2))), abs=1e-9)


def test_zero_program() -> None:
    x, y, xv, yv = _tasks()
    got = evaluate_reference(Program(), x, y, xv, yv, seeds=SEEDS)
    np.testing.assert_allclose(got, _atan_fitness(np.sqrt(np.mean(yv.astype(float) ** 2, axis=1))), atol=1e-7)


@pytest.mark.parametrize(("rmse", "fitness"), [(0, 1.0), (1, 0.5), (100, 0.006366)])
def test_fitness_of_a_known_error(rmse: float, fitness: float) -> None:
    x = np.zeros((1, 5, 2), np.float32)
    y = np.full((1, 5), rmse, np.float32)
    got = evaluate_reference(Program(), x, y, x, y, seeds=SEEDS[:1])
    assert got[0] == pytest.approx(fitness, abs=1e-6)


def test_no_training_examples() -> None:
    x, y, xv, yv = _tasks()
    got = evaluate_reference(linear_learner(), x[:, :0], y[:, :0], xv, yv, seeds=SEEDS)
    np.testing.assert_array_equal(got, evaluate_reference(Program(), x, y, xv, yv, seeds=SEEDS))


def test_a_task_stops_alone() -> None:
    x, y, xv, yv = _tasks()
    alone = evaluate_reference(linear_learner(), x, y, xv, yv, seeds=SEEDS)
    y = y.copy()
    y[1, 5] = 100.5
    got = evaluate_reference(linear_learner(), x, y, xv, yv, seeds=SEEDS)
    assert got[1] == 0
    assert got[[0, 2]].tolist() == alone[[0, 2]].tolist()
    y[1, 5] = 100
    assert evaluate_reference(Program(), x, y, xv, yv, seeds=SEEDS)[1] > 0  # exactly 100 is allowed


@pytest.mark.parametrize("value", ["s2 = 1 / s2", "s2 = log(s2); s2 = s2 - s2"])
def test_a_prediction_that_is_not_finite_stops(value: str) -> None:
    x, y, xv, yv = _tasks()
    program = _program(value, "s1 = s2 + s3")
    assert evaluate_reference(program, x, y, xv, yv, seeds=SEEDS, max_abs_error=np.inf).tolist() == [0, 0, 0]


def test_the_best_epoch_counts() -> None:
    x, y, xv, yv = _tasks()
    y, yv = 0 * y, 0 * yv
    drifting = _program("s3 = 0.25", "s1 = s4 + s5", "s4 = s4 + s3")  # predicts 0.25 times the examples seen
    got = evaluate_reference(drifting, x[:, :1], y[:, :1], xv, yv, num_epochs=4, seeds=SEEDS)
    np.testing.assert_allclose(got, _atan_fitness(0.25), atol=1e-7)


def test_a_large_error_in_validation_gives_zero_for_that_epoch_only() -> None:
    x, y, xv, yv = _tasks()
    y, yv = 0 * y, np.full_like(yv, 130)
    program = _program("s3 = 20", "s1 = s4 + s5", "s4 = s4 + s3")  # errors 110 and then 90
    run: dict[str, Any] = {"orders": [np.arange(1)] * 2, "seeds": SEEDS}
    one = evaluate_reference(program, x[:, :1], y[:, :1], xv, yv, num_epochs=1, **run)
    two = evaluate_reference(program, x[:, :1], y[:, :1], xv, yv, num_epochs=2, **run)
    assert one.tolist() == [0, 0, 0]
    np.testing.assert_allclose(two, _atan_fitness(90), atol=1e-7)


def test_stopping_in_a_later_epoch_keeps_the_best() -> None:
    x, y, xv, yv = _tasks()
    y, yv = 0 * y, 0 * yv
    growing = _program("s3 = 60", "s1 = s4 + s5", "s4 = s4 + s3")  # 60 in the first validation, 120 in epoch 3
    got = evaluate_reference(growing, x[:, :1], y[:, :1], xv, yv, num_epochs=5, seeds=SEEDS)
    np.testing.assert_allclose(got, _atan_fitness(60), atol=1e-7)
    back = _program("s3 = 120; s6 = 60", "s1 = s4 + s5", "s4 = s3 - s4; s3 = s3 - s6")
    assert evaluate_reference(back, x[:, :2], y[:, :2], xv, yv, num_epochs=5, seeds=SEEDS).tolist() == [0, 0, 0]


def test_validation_does_not_leak_into_training() -> None:
    x, y, xv, yv = _tasks()
    y, yv = 0 * y, 0 * yv
    # Predict counts its own calls: the second validation is call 3; call 4, had the first one been kept.
    program = _program("s3 = 1; s4 = 3", "s2 = s2 + s3; s1 = s2 - s4")
    got = evaluate_reference(program, x[:, :1], y[:, :1], xv[:, :1], yv[:, :1], num_epochs=2, seeds=SEEDS)
    assert got.tolist() == [1, 1, 1]


def test_labels_and_features_are_hidden_where_they_must_be() -> None:
    x, y, xv, yv = _tasks()
    peek = _program("s2 = norm(v0)", "s1 = s0 + s2", "pass")  # both read 0
    np.testing.assert_array_equal(
        evaluate_reference(peek, x, y, xv, yv, seeds=SEEDS), evaluate_reference(Program(), x, y, xv, yv, seeds=SEEDS)
    )
    told = _program("pass", "s1 = s2 + s3", "s2 = s0 + s3")  # predicts the last label
    last = y[:, -1:].astype(float)
    np.testing.assert_allclose(
        evaluate_reference(told, x, y, xv, yv, seeds=SEEDS),
        _atan_fitness(np.sqrt(np.mean((yv - last) ** 2, axis=1))),
        atol=1e-6,
    )


def test_losses_are_summed_in_float32_blocks() -> None:
    num = 3000
    x = np.zeros((1, num, 1), np.float32)
    y = np.full((1, num), 0.1, np.float32)
    blocks = 0.0
    for start in range(0, num, 1024):
        block = np.float32(0)
        for _ in range(min(1024, num - start)):
            block += np.float32(0.1) * np.float32(0.1)
        blocks += float(block)
    got = evaluate_reference(Program(), x[:, :0], y[:, :0], x, y, seeds=SEEDS[:1])
    assert got[0] == _atan_fitness(math.sqrt(blocks / num))


# Two classes


def test_accuracy() -> None:
    x, y, xv, yv = _tasks()
    labels, valid = (y > 0).astype(np.float32), (yv > 0).astype(np.float32)
    got = evaluate_reference(linear_learner(0.5), x, labels, xv, valid, metric="accuracy", seeds=SEEDS)
    for d in range(D):
        w = np.zeros(F)
        for t in range(N):
            w += 0.5 * (labels[d, t] - 1 / (1 + math.exp(-(x[d, t] @ w)))) * x[d, t]
        assert got[d] == pytest.approx(np.mean((xv[d] @ w > 0) == (valid[d] > 0.5)), abs=1e-12)


def test_the_sigmoid_is_stored() -> None:
    """With nothing live, s1 is the sigmoid of itself: class 0 for the first example (0.5), then class 1."""
    x, y, xv, _ = _tasks()
    ones = np.ones((D, V))
    got = evaluate_reference(Program(), x[:, :0], y[:, :0], xv, ones, metric="accuracy", seeds=SEEDS)
    np.testing.assert_allclose(got, (V - 1) / V)
    got = evaluate_reference(Program(), x[:, :1], 0 * y[:, :1], xv, ones, metric="accuracy", seeds=SEEDS)
    np.testing.assert_allclose(got, 1.0)


def test_a_nan_prediction_is_never_right() -> None:
    x, y, xv, _ = _tasks()
    bad = _program("s2 = log(s3); s2 = s2 - s2", "s1 = s2 + s3")
    zeros = np.zeros((D, V))
    got = evaluate_reference(bad, x[:, :0], y[:, :0], xv, zeros, metric="accuracy", seeds=SEEDS)
    assert got.tolist() == [0, 0, 0]


# Several classes

SOFTMAX = ("s2 = 0.5", "v2 = m0 @ v0", "v3 = v1 - v2; v3 = s2 * v3; m1 = outer(v3, v0); m0 = m0 + m1")


@pytest.mark.parametrize("metric", ["accuracy", "cross_entropy"])
def test_softmax_regression(metric: Any) -> None:
    k = 3
    x, y, xv, yv = _tasks(2, classes=k)
    program = _program(*SOFTMAX, task="classes 3")
    got = evaluate_reference(program, x, y, xv, yv, metric=metric, num_classes=k, seeds=SEEDS)
    for d in range(D):
        w = np.zeros((k, F))
        for t in range(N):
            p = np.exp(w @ x[d, t])
            w += 0.5 * np.outer(np.eye(k)[y[d, t]] - p / p.sum(), x[d, t])
        p = np.exp(xv[d] @ w.T)
        p /= p.sum(axis=1, keepdims=True)
        wanted = np.mean(np.argmax(p, axis=1) == yv[d])
        if metric == "cross_entropy":
            wanted = _atan_fitness(np.mean(-np.log(np.maximum(p[np.arange(V), yv[d]], 1e-7))))
        assert got[d] == pytest.approx(wanted, abs=1e-6)


def test_scores_without_learning_are_equal_and_ties_go_to_the_lowest() -> None:
    x, y, xv, yv = _tasks(2, classes=3)
    plain: dict[str, Any] = {"num_classes": 3, "seeds": SEEDS}
    got = evaluate_reference(Program(), x, y, xv, yv, metric="accuracy", **plain)
    np.testing.assert_allclose(got, np.mean(yv == 0, axis=1))
    got = evaluate_reference(Program(), x, y, xv, yv, metric="cross_entropy", **plain)
    np.testing.assert_allclose(got, _atan_fitness(math.log(3)), atol=1e-6)


def test_the_one_hot_label_is_hidden_from_predict_and_s0_stays_zero() -> None:
    x, y, xv, yv = _tasks(2, classes=3)
    plain: dict[str, Any] = {"metric": "cross_entropy", "num_classes": 3, "seeds": SEEDS}
    nothing = evaluate_reference(Program(), x, y, xv, yv, **plain)
    peek = _program("v3 = v1 + v4", "v2 = v1 + v3; v4 = fill(s5); v2 = v2 + v4", "s5 = s0 + s5", task="classes 3")
    np.testing.assert_array_equal(evaluate_reference(peek, x, y, xv, yv, **plain), nothing)


def test_scores_beyond_the_classes_become_zero() -> None:
    x, y, xv, yv = _tasks(2, classes=3)
    # Learn keeps the mean of v2: 1/4 over three probabilities and one zero. It is the next score of class 0.
    program = _program("v3[0.75] = 1000; v5[0] = 1", "v4 = s2 * v5; v2 = v4 + v3", "s2 = mean(v2)", task="classes 3")
    got = evaluate_reference(program, x, y, xv, yv, metric="cross_entropy", num_classes=3, seeds=SEEDS)
    p = np.exp([0.25, 0, 0])
    np.testing.assert_allclose(got, _atan_fitness(-np.log(p / p.sum())[yv].mean(axis=1)), atol=1e-6)


def test_classes_stop_on_scores_that_are_not_finite() -> None:
    x, y, xv, yv = _tasks(2, classes=3)
    bad = _program("s2 = 1 / s3", "v2 = fill(s2)", task="classes 3")
    got = evaluate_reference(bad, x, y, xv, yv, metric="accuracy", num_classes=3, seeds=SEEDS)
    assert got.tolist() == [0, 0, 0]


# Streams and errors


def test_lanes_are_independent() -> None:
    x, y, xv, yv = _tasks()
    whole = evaluate_reference(two_layer_network(), x, y, xv, yv, seeds=SEEDS)
    for d in range(D):
        part = slice(d, d + 1)
        alone = evaluate_reference(two_layer_network(), x[part], y[part], xv[part], yv[part], seeds=SEEDS[part])
        assert alone[0] == whole[d]
    other = evaluate_reference(two_layer_network(), x, y, xv, yv, seeds=SEEDS + 10)
    assert (other != whole).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "loss"}, "metric is 'rmse', 'accuracy' or 'cross_entropy', got 'loss'"),
        ({"metric": "cross_entropy"}, "needs num_classes"),
        ({"metric": "accuracy", "num_classes": 2}, "at least 3"),
        ({"metric": "accuracy", "num_classes": 12}, "12 classes need at least 12 features; project to num_features"),
        ({"metric": "accuracy", "num_classes": 3}, "whole numbers 0 to 2"),
        ({"seeds": np.zeros(D, np.uint32)}, "non-zero"),
        ({"seeds": np.ones(2, np.uint32)}, "one a task"),
        ({"num_epochs": 0}, "num_epochs is at least 1"),
        ({"num_epochs": 2, "orders": [np.arange(N)]}, "one an epoch"),
    ],
)
def test_wrong_options(changes: dict[str, Any], message: str) -> None:
    x, y, xv, yv = _tasks()
    with pytest.raises(InputError, match=message):
        evaluate_reference(Program(), x, y, xv, yv, **({"seeds": SEEDS} | changes))


def test_wrong_arrays() -> None:
    x, y, xv, yv = _tasks()
    with pytest.raises(InputError, match="shape"):
        evaluate_reference(Program(), x, y[:, 1:], xv, yv, seeds=SEEDS)
    with pytest.raises(InputError, match="validation examples"):
        evaluate_reference(Program(), x, y, xv[:, :0], yv[:, :0], seeds=SEEDS)
    with pytest.raises(InputError, match="differ"):
        evaluate_reference(Program(), x[..., :2], y, xv, yv, seeds=SEEDS)
    labels = _tasks(2, classes=3)
    with pytest.raises(ProgramError, match="v1 holds the label"):
        evaluate_reference(linear_learner(), *labels, metric="accuracy", num_classes=3, seeds=SEEDS)
