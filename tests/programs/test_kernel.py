"""Whole programs on the lane kernel against the reference interpreter, closed forms and plain loops."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from selftaught.programs.baselines import linear_learner, two_layer_network
from selftaught.programs.builtin import builtin_tasks
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.fusion import FUSED
from selftaught.programs.operators import OPERATORS
from selftaught.programs.parse import parse_program
from selftaught.programs.program import Instruction, Program, Slots
from selftaught.programs.reference import evaluate_reference
from selftaught.programs.tasksets import TaskSet
from tests.programs.oracles import leave_label_alone, live_form
from tests.programs.strategies import NO_RANDOM, random_program

CLOSE = 1e-5
SLOTS = Slots(8, 6, 3)


def reference(
    program: Program, tasks: TaskSet, *, towards: float | None = None, labels: float | None = None, **options: Any
) -> NDArray[np.float64]:
    """The reference's fitness; inputs or labels may be moved to the next float32 towards a number."""
    x_train, y_train, x_valid, y_valid = tasks.train_x, tasks.train_y, tasks.valid_x, tasks.valid_y
    if towards is not None:
        x_train, x_valid = (np.nextafter(x, np.float32(towards)) for x in (x_train, x_valid))
    if labels is not None:
        y_train, y_valid = (np.nextafter(y, np.float32(labels)) for y in (y_train, y_valid))
    return evaluate_reference(
        program, x_train, y_train, x_valid, y_valid, metric=tasks.metric, num_classes=tasks.num_classes,
        num_epochs=tasks.num_epochs, orders=tasks.epoch_orders, seeds=tasks.stream_seeds, **options,
    )  # fmt: skip


def is_chaotic(
    program: Program, tasks: TaskSet, wanted: NDArray[Any], lanes: NDArray[np.bool_], **options: Any
) -> bool:
    """Whether on these tasks rounding alone moves the reference by as much as we look for."""
    moved = [reference(program, tasks, precision="float64", **options)]
    for side in (np.inf, -np.inf):
        moved.append(reference(program, tasks, towards=side, **options))
        if tasks.metric == "rmse":
            moved.append(reference(program, tasks, labels=side, **options))
    return bool((np.max(abs(np.array(moved) - wanted), axis=0)[lanes] > CLOSE).all())


def class_tasks(metric: Any, *, count: int = 16, features: int = 4, classes: int = 3, num_epochs: int = 1) -> TaskSet:
    """Tasks whose class is the largest of linear scores."""
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(count, 45, features)).astype(np.float32)
    y = np.argmax(np.einsum("dnf,dfk->dnk", x, rng.normal(size=(count, features, classes))), axis=2).astype(np.float32)
    return TaskSet(x[:, :30], y[:, :30], x[:, 30:], y[:, 30:], metric, num_classes=classes, num_epochs=num_epochs)


def tasks_of(name: str, num_epochs: int = 1) -> TaskSet:
    return builtin_tasks(name, count=16, features=4, num_train=20, num_valid=10, num_epochs=num_epochs)


# ---- random programs

CASES = {
    "regression": (tasks_of("linear_regression"), SLOTS, (5, 8, 10), 5000),
    "binary": (tasks_of("two_layer_classification"), SLOTS, (5, 8, 10), 2000),
    "few-slots": (tasks_of("two_layer_teacher"), Slots(4, 3, 1), (5, 8, 10), 1000),
    "long": (tasks_of("affine_regression", 3), SLOTS, (10, 20, 30), 500),
    "epochs": (tasks_of("affine_regression", 3), Slots(5, 4, 2), (5, 8, 10), 500),
    "classes": (class_tasks("accuracy"), SLOTS, (5, 8, 10), 500),
    "entropy": (class_tasks("cross_entropy", num_epochs=2), SLOTS, (5, 8, 10), 500),
}


@pytest.mark.parametrize("case", CASES)
def test_random_programs(case: str) -> None:
    """10,000 programs over all operators: equal fitness, or rounding alone moves the reference as far."""
    tasks, slots, sizes, count = CASES[case]
    rng = np.random.default_rng(count)
    programs = [random_program(rng, slots, sizes) for _ in range(count)]
    if tasks.num_classes:
        programs = [leave_label_alone(program) for program in programs]
    fitness = Evaluator(tasks, slots, lanes=16).score_many(programs)
    assert ((fitness >= 0) & (fitness <= 1)).all()
    known = cache(lambda program: reference(program, tasks))
    chaotic = 0
    telling = 0
    for program, got in zip(programs, fitness, strict=True):
        live = live_form(program, classes=bool(tasks.num_classes))
        wanted = known(live)
        telling += len(np.unique(wanted)) > 1
        apart = abs(got - wanted) > CLOSE
        if apart.any():
            assert is_chaotic(live, tasks, wanted, apart), f"{live}\nkernel {got}\nreference {wanted}"
            chaotic += 1
    assert telling > count // 4
    assert chaotic <= count // 100


def test_random_programs_that_stop_early() -> None:
    """With a small limit most tasks stop in training, each at its own example."""
    tasks = tasks_of("linear_regression", 2)
    rng = np.random.default_rng(8)
    programs = [random_program(rng, SLOTS, (5, 8, 10)) for _ in range(400)]
    fitness = Evaluator(tasks, SLOTS, lanes=16, max_abs_error=3.0).score_many(programs)
    mixed = 0
    for program, got in zip(programs, fitness, strict=True):
        live = live_form(program)
        wanted = reference(live, tasks, max_abs_error=3.0)
        mixed += 0 < (wanted == 0).sum() < 16
        apart = abs(got - wanted) > CLOSE
        assert not apart.any() or is_chaotic(live, tasks, wanted, apart, max_abs_error=3.0), str(live)
    assert mixed > 40


@pytest.mark.parametrize("metric", ["rmse", "accuracy", "cross_entropy"])
def test_dead_instructions_change_nothing(metric: str) -> None:
    """Without random fills the program as written and its live form agree to the last bit."""
    tasks = {
        "rmse": tasks_of("two_layer_teacher"), "accuracy": tasks_of("affine_classification"),
        "cross_entropy": class_tasks("cross_entropy"),
    }[metric]  # fmt: skip
    rng = np.random.default_rng(1)
    programs = [random_program(rng, SLOTS, (5, 8, 10), NO_RANDOM) for _ in range(700)]
    programs += [random_program(rng, Slots(5, 4, 2), (5, 10, 15), NO_RANDOM) for _ in range(300)]
    if tasks.num_classes:
        programs = [leave_label_alone(program) for program in programs]
    evaluator = Evaluator(tasks, SLOTS, lanes=16)
    live, whole = (evaluator.score_many(programs, live=live) for live in (True, False))
    assert (live == whole).all()
    assert sum(len(np.unique(scores)) > 1 for scores in live) > 150


def pair_programs(first: int, second: int, link: int, rng: np.random.Generator, count: int) -> list[Program]:
    """Programs that run two instructions one after the other, over any two slots a type, and read what they leave."""
    a, b = OPERATORS[first], OPERATORS[second]
    fills = [Instruction(63, v, c0=0.1, c1=0.5) for v in (1, 2, 3)] + [Instruction(64, m, c1=0.5) for m in (0, 1, 2)]
    fills.append(Instruction(56, 2, c0=0.7))
    programs = []
    for _ in range(count):
        in1, in2, other, label = (int(slot) for slot in rng.integers(0, 3, 4))
        out, out2 = (int(slot) for slot in rng.integers(1, 3, 2))
        inputs = (out, other) if link == 1 else (other, out)
        pair = (Instruction(first, out, in1, in2), Instruction(second, out2, *inputs))
        reads = [Instruction(27, 3, out2, 0)] if b.out == "v" else [Instruction(34, 3, out2)] if b.out == "m" else []
        if not reads:
            reads = [Instruction(1, 3, out2, 0)]
        reads.append(Instruction(1, 1, 3, 2))
        if label:  # and what the first of the two left, else nobody stores it
            reads += [Instruction(27, 3, out, 0) if a.out == "v" else Instruction(34, 3, out), Instruction(1, 1, 1, 3)]
        programs.append(Program(tuple(fills), (*pair, *reads), (*pair, Instruction(1, 2, 0, 2))))
    return programs


@pytest.mark.parametrize(
    "pair", FUSED, ids=lambda pair: f"{OPERATORS[pair[0]].name}-{OPERATORS[pair[1]].name}-{pair[2]}"
)
def test_pairs_that_may_be_fused(pair: tuple[int, int, int]) -> None:
    """Whichever slots the two share, and whether or not anybody reads the first's result."""
    tasks = builtin_tasks("linear_regression", count=16, features=5, num_train=1, num_valid=1)
    programs = pair_programs(*pair, np.random.default_rng(pair), 40)
    slots = Slots(4, 4, 3)
    fitness = Evaluator(tasks, slots, lanes=16, max_abs_error=1e6).score_many(programs)
    for program, got in zip(programs, fitness, strict=True):
        wanted = reference(live_form(program), tasks, max_abs_error=1e6)
        np.testing.assert_allclose(got, wanted, atol=CLOSE, err_msg=str(program))
    assert len(np.unique(fitness)) > 100


# ---- programs by hand


def test_the_zero_program_has_a_closed_form() -> None:
    tasks = builtin_tasks("linear_regression", count=20, features=4, num_train=50, num_valid=2100)
    rms = np.sqrt(np.mean(tasks.valid_y.astype(np.float64) ** 2, axis=1))
    np.testing.assert_allclose(Evaluator(tasks).score(Program()), 1 - 2 / math.pi * np.arctan(rms), atol=1e-6)


@pytest.mark.parametrize(("count", "features", "lanes"), [(16, 4, None), (3, 1, 8), (5, 17, 16), (10, 64, 16)])
def test_the_linear_learner_is_the_plain_loop(count: int, features: int, lanes: int | None) -> None:
    rate = 0.1 / features
    tasks = builtin_tasks("linear_regression", count=count, features=features, num_train=200, num_valid=50)
    fitness = Evaluator(tasks, lanes=lanes).score(linear_learner(rate))
    for task in range(count):
        weights = np.zeros(features)
        for x, y in zip(tasks.train_x[task].astype(float), tasks.train_y[task].astype(float), strict=True):
            weights += rate * (y - x @ weights) * x
        error = tasks.valid_y[task] - tasks.valid_x[task] @ weights
        assert fitness[task] == pytest.approx(1 - 2 / math.pi * math.atan(math.sqrt(np.mean(error**2))), abs=1e-6)


@pytest.mark.parametrize("features", [1, 2, 3, 5, 6, 7, 8, 11, 13, 16, 33, 64])
def test_the_network_at_many_feature_counts(features: int) -> None:
    tasks = builtin_tasks("two_layer_teacher", count=3, features=features, num_train=30, num_valid=10, num_epochs=2)
    network = two_layer_network(0.5 / features**2, 0.1)
    got = Evaluator(tasks, lanes=16, max_abs_error=1e6).score(network)
    np.testing.assert_allclose(got, reference(network, tasks, max_abs_error=1e6), atol=1e-5)


MATRIX_STEPS = (
    "m0 = gaussian(0, 0.5)", "m1 = uniform(-1, 1)", "v1 = gaussian(0.5, 0.3)", "m2 = m0 @ m1", "m2 = m2 @ m2",
    "m0 = transpose(m2)", "m0 = transpose(m0)", "v1 = m0 @ v1", "m1 = outer(v1, v1)", "m1 = m1 - m0",
    "v2 = column_norms(m1)", "v3 = row_norms(m1)", "v4 = row_stds(m1)", "v1 = v2 + v3", "v1 = v1 - v4",
    "m2[0.9, 0.3] = 2", "v1[0.99] = 1", "v2 = row_means(m2)", "v1 = v1 * v2", "s2 = norm(v1)", "s2 = 1 / s2",
    "v1 = s2 * v1",
)  # fmt: skip


@pytest.mark.parametrize("features", [1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14, 15, 16, 17, 33])
def test_matrices_at_many_feature_counts(features: int) -> None:
    """Random fills, aliased products and element writes in Setup; the prediction reads all of it."""
    body = "".join(f"    {line}\n" for line in MATRIX_STEPS)
    text = f"selftaught-program 1\ntask: regression\nsetup:\n{body}predict:\n    s1 = dot(v1, v0)\n    s1 = sin(s1)\n"
    program = parse_program(text + "learn:\n    pass\n").program
    assert live_form(program) == program
    tasks = builtin_tasks("ones", count=16, features=features, num_train=3, num_valid=9)
    got = Evaluator(tasks, lanes=16).score(program)
    assert len(np.unique(got)) == 16
    np.testing.assert_allclose(got, reference(program, tasks), atol=1e-5)


@pytest.mark.parametrize("combination", ["mean", "median"])
def test_many_validation_examples_are_summed_in_blocks(combination: Any) -> None:
    tasks = builtin_tasks("affine_regression", count=3, features=2, num_train=20, num_valid=2500, num_epochs=2)
    got = Evaluator(tasks, combine=combination).score(linear_learner(0.05))
    np.testing.assert_allclose(got, reference(linear_learner(0.05), tasks), atol=1e-6)


@pytest.mark.parametrize("metric", ["accuracy", "cross_entropy"])
@pytest.mark.parametrize(("features", "classes"), [(4, 3), (4, 4), (12, 10), (17, 11)])
def test_a_softmax_learner(metric: Any, features: int, classes: int) -> None:
    text = f"""\
selftaught-program 1
task: classes {classes}
setup:
    s2 = 0.1
predict:
    v2 = m0 @ v0
learn:
    v3 = v1 - v2
    v3 = s2 * v3
    m1 = outer(v3, v0)
    m0 = m0 + m1
"""
    tasks = class_tasks(metric, features=features, classes=classes, num_epochs=3)
    program = parse_program(text).program
    got = Evaluator(tasks, lanes=16).score(program)
    np.testing.assert_allclose(got, reference(program, tasks), atol=1e-5)
    assert got.mean() > Evaluator(tasks, lanes=16).score(Program()).mean() + 0.05


# ---- lanes and padding


@pytest.fixture(scope="module")
def some_programs() -> list[Program]:
    rng = np.random.default_rng(2)
    programs = [random_program(rng, SLOTS, (5, 8, 10)) for _ in range(60)]
    return [linear_learner(0.1), two_layer_network(0.05, 0.3), Program(), *programs]


@pytest.mark.parametrize("count", [1, 7, 16, 21, 40])
def test_lanes_and_padding_change_no_bit(count: int, some_programs: list[Program]) -> None:
    """Every task's fitness is the same in any kernel, beside any other tasks."""
    tasks = builtin_tasks("affine_regression", count=count, features=4, num_train=20, num_valid=10, num_epochs=2)
    slots = Slots(8, 9, 3)
    wanted = Evaluator(tasks, slots, lanes=16).score_many(some_programs)
    assert wanted.shape == (len(some_programs), count)
    for lanes in (1, 8, 32):
        assert (Evaluator(tasks, slots, lanes=lanes).score_many(some_programs) == wanted).all(), lanes


def test_padding_starts_failed_and_shares_task_0() -> None:
    """Else the kernel would go on for lanes that nobody looks at."""
    tasks = builtin_tasks("linear_regression", count=5, features=3, num_train=4, num_valid=2, num_epochs=2)
    packed = tasks.packed(8)
    assert packed.alive.tolist() == [[-1] * 5 + [0] * 3]
    assert packed.train.ctypes.data % 64 == packed.valid.ctypes.data % 64 == 0
    assert (packed.train[0, ..., 5:] == packed.train[0, ..., :1]).all()
    np.testing.assert_array_equal(packed.train[0, :, :3, 4], tasks.train_x[4])
    np.testing.assert_array_equal(packed.valid[0, :, 3, 4], tasks.valid_y[4])
    assert sorted(packed.orders[1]) == sorted(packed.orders[0])
    assert (packed.orders[:, -1] == -1).all()
    assert (packed.orders[0, :4] == np.arange(4) * packed.train.strides[1]).all()


def test_a_task_alone_scores_as_among_others() -> None:
    tasks = builtin_tasks("affine_regression", count=5, features=4, num_train=20, num_valid=10)
    rng = np.random.default_rng(6)
    fixed = [linear_learner(0.1), *(random_program(rng, SLOTS, (5, 8, 10), NO_RANDOM) for _ in range(100))]
    wanted = Evaluator(tasks, SLOTS).score_many(fixed)
    for number in range(5):
        parts = (part[number : number + 1] for part in (tasks.train_x, tasks.train_y, tasks.valid_x, tasks.valid_y))
        alone = TaskSet(*parts, "rmse")
        assert (Evaluator(alone, SLOTS).score_many(fixed)[:, 0] == wanted[:, number]).all()


def test_a_batch_scores_as_one_by_one(some_programs: list[Program]) -> None:
    evaluator = Evaluator(tasks_of("linear_regression"), Slots(8, 9, 3), lanes=16)
    batch = evaluator.score_many(some_programs)
    for program, wanted in zip(some_programs, batch, strict=True):
        assert (evaluator.score(program) == wanted).all()
