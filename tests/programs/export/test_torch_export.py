"""Programs in torch: predictions agree with the reference interpreter, and an update rule's steps with Learn's."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris

from selftaught.cli import main
from selftaught.errors import InputError, MissingExtraError
from selftaught.programs import linear_learner, parse_program, two_layer_network
from selftaught.programs.export import EvolvedClassifier, EvolvedRegressor, to_module, to_optimizer, to_torch
from selftaught.programs.export.update_rule import update_rule
from selftaught.programs.live_form import live_form, scoring_part
from selftaught.programs.operators import IS_RANDOM, OPERATOR_SETS, OPERATORS
from selftaught.programs.opponents import linear_for, network_for
from selftaught.programs.program import Instruction, Program, Slots
from selftaught.programs.reference import LaneMemory, Streams, execute
from selftaught.programs.text import classes_of, format_program, smallest_slots
from tests.programs.export.agreement import FEATURES, small_tasks
from tests.programs.export.test_agreement import KINDS, module_of, programs
from tests.programs.strategies import fresh_instruction

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:this program's prediction changes its memory")

RATE = 0.05
ROWS = 40


def program_of(learn: str, *, setup: str = "", predict: str = "s1 = dot(v0, v1)", task: str = "regression") -> Program:
    """A program from lines with ; between them; s2 is a learning rate."""
    parts = {"setup": f"s2 = {RATE}; {setup}".strip("; "), "predict": predict, "learn": learn}
    lines = [f"{name}:\n    " + "\n    ".join(text.split("; ")) for name, text in parts.items()]
    text = "\n".join(["selftaught-program 1", "slots: 9 scalars, 9 vectors, 4 matrices", f"task: {task}", *lines])
    return parse_program(text).program


class Learning:
    """A program at work in the reference interpreter, one lane."""

    def __init__(self, program: Program, task: str, features: int = FEATURES) -> None:
        self.program, self.task = live_form(program, task=task), task
        self.several = bool(classes_of(task))
        self.memory = LaneMemory.zeros(smallest_slots(self.program.slots(), task), features, 1)
        self.streams = Streams(np.array([7], np.uint32))
        execute(self.program.setup, self.memory, self.streams)

    def learn(self, x: np.ndarray, y: float) -> None:
        self.memory.vectors[0] = x[:, None]
        execute(self.program.predict, self.memory, self.streams)
        m = self.memory
        with np.errstate(all="ignore"):
            if self.task == "binary":
                m.scalars[1] = 1 / (1 + np.exp(-m.scalars[1]))
            if self.several:
                powers = np.exp(m.vectors[2, :3] - m.vectors[2, :3].max(axis=0))
                m.vectors[2], m.vectors[2, :3] = 0, powers / powers.sum(axis=0)
        label = (m.vectors[1], int(y), 1.0) if self.several else (m.scalars, 0, y)
        label[0][label[1]] = label[2]
        execute(self.program.learn, m, self.streams)
        label[0][label[1]] = 0

    def scores(self, x: np.ndarray) -> np.ndarray:
        """What Predict leaves, for every row from the memory as it is."""
        held = self.memory
        memory = LaneMemory(*(np.tile(a, len(x)) for a in (held.scalars, held.vectors, held.matrices)))
        memory.vectors[0] = x.T
        execute(self.program.predict, memory, Streams(np.full(len(x), 7, np.uint32)))
        return memory.vectors[2, :3].T if self.several else memory.scalars[1]


def examples(task: str, seed: int = 0) -> Iterator[tuple[np.ndarray, float]]:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=FEATURES)
    for _ in range(ROWS):
        x = rng.normal(size=FEATURES).astype(np.float32)
        target = float(np.float32(x @ weights))
        yield x, target if task == "regression" else float(target > 0) if task == "binary" else float(rng.integers(3))


# ---- Predict


def draws(program: Program, kind: str) -> bool:
    return any(IS_RANDOM[i.op] for i in scoring_part(program, task=kind)[0].predict)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_agree_with_the_reference(kind: str) -> None:
    tasks = small_tasks(kind)
    chosen = [p for p in programs(kind) if not draws(p, kind)]
    assert len(chosen) >= 180  # 684 of the three kinds together
    wrong, varied = [], 0
    for program in chosen:
        learning = Learning(program, kind)
        for x, y in zip(tasks.train_x[0], tasks.train_y[0], strict=True):
            learning.learn(x, y)
        wanted = learning.scores(tasks.valid_x[0])
        module = to_module(program, task=kind, memory=learning.memory)
        found = module(torch.from_numpy(tasks.valid_x[0])).detach().numpy()
        assert (found.shape, found.dtype) == (wanted.shape, np.float32)
        varied += len(np.unique(wanted)) > 3
        if not np.allclose(found, wanted, rtol=1e-4, atol=1e-4, equal_nan=True):
            wrong.append((str(program), found, wanted))
    assert varied >= 60
    assert wrong == []


@pytest.mark.parametrize("first_depends", [False, True])
@pytest.mark.parametrize("second_depends", [False, True])
def test_every_operator_agrees_with_the_reference(first_depends: bool, second_depends: bool) -> None:
    """Operands that are the same for all examples, and others that are not, in every mixture."""
    fills = "s2 = gaussian(0, 1); v1 = gaussian(0, 1); m0 = gaussian(0, 1)"
    own = program_of("pass", setup=fills, predict="s3 = dot(v0, v1); v3 = m0 @ v0; m2 = outer(v3, v0)")
    carry = "v4 = m2 @ v3; s4 = dot(v4, v1); s5 = dot(v3, v1); s1 = s4 + s5; s1 = s1 + s3"
    x = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    depends, constant = {"s": 3, "v": 3, "m": 2, "": 0}, {"s": 2, "v": 1, "m": 0, "": 0}
    for operator in OPERATORS[1:]:
        if IS_RANDOM[operator.id]:
            continue
        in1 = (depends if first_depends else constant)[operator.in1]
        in2 = (depends if second_depends else constant)[operator.in2]
        tested = Instruction(operator.id, depends[operator.out], in1, in2, 0.3, 0.8, -0.5)
        program = Program(own.setup, (*own.predict, tested, *program_of("pass", predict=carry).predict))
        learning = Learning(program, "regression", 5)
        found = to_module(program, memory=learning.memory)(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(
            found, learning.scores(x), rtol=2e-4, atol=2e-4, equal_nan=True, err_msg=operator.name
        )


def test_any_number_of_features_and_one_example() -> None:
    for features in (1, 3, 17):
        learning = Learning(two_layer_network(0.1, 0.5), "regression", features)
        module = to_module(two_layer_network(0.1, 0.5), memory=learning.memory)
        x = np.random.default_rng(0).normal(size=(6, features)).astype(np.float32)
        np.testing.assert_allclose(module(torch.from_numpy(x)).detach(), learning.scores(x), rtol=1e-5, atol=1e-6)
        assert module(torch.from_numpy(x[0])).item() == pytest.approx(float(learning.scores(x)[0]), rel=1e-5)


def test_parameters_are_what_learn_changes_by_the_label() -> None:
    program = program_of(
        "s3 = s0 - s1; s3 = s2 * s3; v2 = s3 * v0; v1 = v1 + v2; v4 = v4 + v0; s6 = s6 + s7",
        setup="m1 = gaussian(0, 1); s7 = 0.5; v1 = gaussian(0, 1)",
        predict="v3 = m1 @ v0; v5 = v3 + v4; v5 = s6 * v5; s1 = dot(v3, v1); s4 = mean(v5); s1 = s1 + s4",
    )
    module = to_module(program, 4)
    assert [name for name, _ in module.named_parameters()] == ["v1"]
    assert {name for name, _ in module.named_buffers()} == {"m1", "v4", "s6"}
    assert module.m1.abs().max() > 0
    assert module.v4.abs().max() == 0
    module.v1.data.zero_()
    module.reset_parameters()
    assert module.v1.abs().max() > 0


def test_gradients_are_those_of_finite_differences() -> None:
    module = to_module(network_for(3, 0.1, 0.5), 4, task="classes 3").double()
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    names = [name for name, _ in module.named_parameters()]

    def scores(x: Any, *values: Any) -> Any:
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(scores, (x.requires_grad_(), *values))


def test_jumps_and_norms_at_zero_have_gradient_zero() -> None:
    for text in ("v2 = v0 * v1; v2 = step(v2); s1 = mean(v2)", "s1 = norm(v1)", "s1 = std(v1)"):
        module = to_module(program_of("s3 = s0 - s1; v3 = s3 * v0; v1 = v1 + v3", predict=text), 4)
        module(torch.ones(2, 4)).sum().backward()
        assert module.v1.grad.tolist() == [0, 0, 0, 0]


def test_a_prediction_with_state_is_made_from_the_memory_as_it_is() -> None:
    program = program_of("s3 = s0 - s1; v2 = s3 * v0; v1 = v1 + v2", setup="s5 = 1",
                         predict="s4 = s4 + s5; s6 = dot(v0, v1); s1 = s6 + s4")  # fmt: skip
    with pytest.warns(UserWarning, match="changes its memory"):
        module = to_module(program, 3)
    assert module(torch.zeros(4, 3)).tolist() == [1, 1, 1, 1]
    assert module(torch.zeros(4, 3)).tolist() == [1, 1, 1, 1]
    assert "changes its memory" in to_torch(program)


def test_what_predict_draws_is_new_for_every_row() -> None:
    program = program_of("pass", predict="v2 = gaussian(3, 0.5); m1 = uniform(-1, 3); s3 = gaussian(1, 0); "
                         "v3 = row_means(m1); v2 = v2 + v3; s1 = mean(v2); s1 = s1 * s3")  # fmt: skip
    module = to_module(program, 6)
    torch.manual_seed(0)
    found = module(torch.zeros(20_000, 6))
    assert found.mean().item() == pytest.approx(4, abs=0.02)
    assert found.var().item() == pytest.approx(0.25 / 6 + 16 / 12 / 36, rel=0.05)
    assert "draws random numbers" in to_torch(program)


@pytest.mark.parametrize("task", ["regression", "binary", "classes 3"])
def test_a_module_trains_exports_and_copies(task: str) -> None:
    program = network_for(classes_of(task), 0.1, 0.5)
    torch.manual_seed(0)
    module = to_module(program, 4, task=task)
    x = torch.randn(50, 4)
    goal = x[:, 0] * x[:, 1]
    loss: Callable[..., Any] = torch.nn.functional.mse_loss
    if task != "regression":
        several = task != "binary"
        goal = (goal > 0).long() if several else (goal > 0).float()
        loss = torch.nn.functional.cross_entropy if several else torch.nn.functional.binary_cross_entropy_with_logits
        probabilities = module.probabilities(x)
        total = probabilities.sum(dim=1) if several else probabilities
        assert bool(((total > 0) & (total < 1.001)).all())
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    before = loss(module(x), goal).item()
    for _ in range(60):
        optimiser.zero_grad()
        loss(module(x), goal).backward()
        optimiser.step()
    assert loss(module(x), goal).item() < 0.9 * before
    other = to_module(program, 4, task=task)
    other.load_state_dict(module.state_dict())
    assert torch.equal(copy.deepcopy(other)(x), module(x))
    batch = {"v0": {0: torch.export.Dim("n")}}
    exported = torch.export.export(module, (x,), dynamic_shapes=batch).module()
    torch.testing.assert_close(exported(x[:7]), module(x[:7]))
    assert torch.allclose(torch.func.vmap(module)(x), module(x), atol=1e-6)


def test_programs_of_many_operators_export_and_script() -> None:
    chosen = [p for p in programs("regression")[-200::20] if not draws(p, "regression")][:4]
    x = torch.randn(5, FEATURES)
    for program in chosen:
        module = to_module(program, FEATURES, task="regression")
        exported = torch.export.export(module, (x,), dynamic_shapes={"v0": {0: torch.export.Dim("n")}}).module()
        torch.testing.assert_close(exported(x[:3]), module(x[:3]), equal_nan=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's own word on its scripts
            scripted = torch.jit.script(module)
        torch.testing.assert_close(scripted(x), module(x), equal_nan=True)


# ---- estimators


def test_a_fitted_regression_is_a_module() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = EvolvedRegressor(two_layer_network(0.01, 0.2), random_state=0).fit(X, y)
    found = to_module(model)(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-4)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_fitted_classifier_is_a_module(classes: int) -> None:
    X, y = load_iris(return_X_y=True)
    for columns, labels in ((X, y), (X[:, 2:3], y), (X, y > 0)):
        if classes and len(np.unique(labels)) < 3:
            continue
        model = EvolvedClassifier(linear_for(classes, 0.1), random_state=0).fit(columns, labels)
        found = to_module(model).probabilities(torch.from_numpy(columns)).detach().numpy()
        np.testing.assert_allclose(found, model.predict_proba(columns), rtol=1e-4, atol=1e-5)


def test_projected_columns_are_part_of_the_module() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    wide = np.hstack([X, X[:, ::-1]]).astype(np.float64)
    model = EvolvedClassifier(linear_for(3, 0.02), random_state=0).fit(wide, y)
    found = to_module(model).probabilities(torch.from_numpy(wide)).detach().numpy()
    np.testing.assert_allclose(found, model.predict_proba(wide), rtol=1e-3, atol=1e-4)


# ---- Learn

STEP = "s3 = s0 - s1; s3 = s2 * s3; v2 = s3 * v0; v1 = v1 + v2"
RULES = {
    "gradient descent": program_of(STEP),
    "written the other way round": program_of("s3 = s1 - s0; v2 = s2 * v0; v2 = s3 * v2; v1 = v1 - v2"),
    "error in a vector": program_of("s3 = s0 - s1; s3 = s3 / s4; v3 = fill(s3); v2 = v3 * v0; v1 = v1 + v2",
                                    setup="s4 = 20"),
    "decayed rate": program_of(f"{STEP}; s2 = s2 * s4", setup="s4 = 0.95"),
    "rate of the step's number": program_of(
        "s5 = s5 + s6; s7 = s2 / s5; s3 = s0 - s1; s3 = s7 * s3; v2 = s3 * v0; v1 = v1 + v2", setup="s6 = 1"
    ),
    "clipped gradient": program_of(
        "s3 = s0 - s1; v2 = s3 * v0; v3 = fill(s4); v2 = minimum(v2, v3); v3 = fill(s5); v2 = maximum(v2, v3); "
        "v2 = s2 * v2; v1 = v1 + v2", setup="s4 = 0.3; s5 = -0.3",
    ),
    "normalised gradient": program_of(
        "s3 = s0 - s1; v2 = s3 * v0; s4 = norm(v2); s4 = s4 + s2; s4 = s2 / s4; v2 = s4 * v2; v1 = v1 + v2"
    ),
    "sign of the gradient": program_of(
        "s3 = s0 - s1; v2 = s3 * v0; v3 = step(v2); v4 = v5 - v2; v4 = step(v4); v3 = v3 - v4; v3 = s2 * v3; "
        "v1 = v1 + v3"
    ),
    "momentum": program_of(
        "s3 = s0 - s1; s3 = s2 * s3; v2 = s3 * v0; v3 = s4 * v3; v3 = v3 + v2; v1 = v1 + v3", setup="s4 = 0.7"
    ),
    "weight decay": program_of(f"v1 = s4 * v1; {STEP}", setup="s4 = 0.99"),
    "divided by what it has summed": program_of(
        "s3 = s0 - s1; v2 = s3 * v0; v3 = v2 * v2; v4 = v4 + v3; v5 = fill(s4); v5 = v5 + v4; v5 = v2 / v5; "
        "v5 = s2 * v5; v1 = v1 + v5", setup="s4 = 1",
    ),
    "memory that Setup fills": program_of(
        f"{STEP}; v3 = s4 * v3; v1 = v1 + v3", setup="s4 = 0.8; s5 = 0.1; v3 = fill(s5)"
    ),
    "averaged weights": program_of(
        "s3 = s0 - s1; s3 = s2 * s3; v2 = s3 * v0; v3 = v3 + v2; v4 = v3 - v1; v4 = s4 * v4; v1 = v1 + v4",
        setup="s4 = 0.2",
    ),
    "a bias": program_of(f"{STEP}; s5 = s5 + s3", predict="s1 = dot(v0, v1); s1 = s1 + s5"),
    "subtracted weights": program_of("s3 = s1 - s0; s3 = s2 * s3; v2 = s3 * v0; v1 = v1 + v2",
                                     predict="s4 = dot(v1, v0); s1 = s9 - s4".replace("s9", "s8")),
}  # fmt: skip


def assert_same_steps(program: Program, task: str, *, slot: str | None = None, tolerance: float = 1e-4) -> float:
    """Train a program in the reference interpreter, and its module with its rule; return how far it went."""
    learning = Learning(program, task)
    module = to_module(program, task=task, memory=learning.memory)
    first = {name: p.detach().clone() for name, p in module.named_parameters()}
    parameters = [p for name, p in module.named_parameters() if slot in (None, name)]
    optimiser = to_optimizer(program, task=task, slot=slot)(parameters)
    for x, y in examples(task):
        optimiser.zero_grad()
        score, label = module(torch.from_numpy(x)[None]), torch.tensor([y])
        if task == "regression":
            loss = ((score - label) ** 2).sum() / 2
        elif task == "binary":
            loss = torch.nn.functional.binary_cross_entropy_with_logits(score, label)
        else:
            loss = torch.nn.functional.cross_entropy(score, label.long())
        loss.backward()
        optimiser.step()
        learning.learn(x, y)
    far = 0.0
    for name, parameter in module.named_parameters():
        if slot in (None, name):
            wanted = learning.memory.slot(name[0], int(name[1:]))[..., 0]
            np.testing.assert_allclose(parameter.detach().numpy(), wanted, rtol=tolerance, atol=tolerance)
            far = max(far, (parameter.detach() - first[name]).abs().max().item())
    return far


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("task", ["regression", "binary"])
def test_the_steps_of_a_rule_are_those_of_the_program(name: str, task: str) -> None:
    assert assert_same_steps(RULES[name], task) > 0.01


@pytest.mark.parametrize(
    "learn",
    [
        "v3 = v1 - v2; v3 = s2 * v3; m1 = outer(v3, v0); m0 = m0 + m1",
        "v3 = v1 - v2; m1 = outer(v3, v0); m1 = s2 * m1; m2 = s4 * m2; m2 = m2 + m1; m0 = m0 + m2",
        "v3 = v1 - v2; m1 = outer(v3, v0); s5 = norm(m1); s5 = s5 + s4; m1 = s2 * m1; s5 = 1 / s5; m1 = s5 * m1; "
        "m0 = m0 + m1",
    ],
)
def test_the_steps_of_several_classes(learn: str) -> None:
    program = program_of(learn, setup="s4 = 0.6", predict="v2 = m0 @ v0", task="classes 3")
    assert assert_same_steps(program, "classes 3") > 0.01


def test_a_transposed_gradient_is_no_gradient() -> None:
    program = program_of("v3 = v1 - v2; v3 = s2 * v3; m1 = outer(v0, v3); m0 = m0 + m1", predict="v2 = m0 @ v0",
                         task="classes 3")  # fmt: skip
    with pytest.raises(InputError, match=r"'m1 = outer\(v0, v3\)' uses the features apart from its gradient"):
        to_optimizer(program, task="classes 3")


def test_classes_with_a_bias() -> None:
    program = program_of("v3 = v1 - v2; v3 = s2 * v3; m1 = outer(v3, v0); m0 = m0 + m1; v4 = v4 + v3",
                         predict="v2 = m0 @ v0; v2 = v2 + v4", task="classes 3")  # fmt: skip
    assert assert_same_steps(program, "classes 3") > 0.01


def test_one_layer_of_a_network_has_a_rule() -> None:
    program = two_layer_network(0.05, 0.5)
    with pytest.raises(InputError, match=r"of m0: the score is not linear in it.*slot='s2' or slot='v2'"):
        to_optimizer(program)
    assert update_rule(program, slot="v2").given == {"s3": pytest.approx(0.05)}
    assert update_rule(program, slot="v2").form[0] == "(w) + ((0.05) * (g))"


def learners_with_more_instructions(count: int) -> list[Program]:
    """Gradient descent with fresh instructions put into Learn anywhere, where it still is a rule, other than before."""
    rng = np.random.default_rng(3)
    operators = [op for op in OPERATOR_SETS["all"]["learn"] if "m" not in (o := OPERATORS[op]).out + o.in1 + o.in2]
    found: dict[Any, Program] = {}
    for _ in range(100 * count):
        learn = list(RULES["gradient descent"].learn)
        for _ in range(3):
            learn.insert(rng.integers(len(learn) + 1), fresh_instruction(rng, Slots(6, 5, 0), operators))
        program = replace(RULES["gradient descent"], learn=tuple(learn))
        try:
            rule = update_rule(program, slot="v1")
        except InputError:
            continue
        found.setdefault(rule.form, program)
        if len(found) == count:
            break
    return list(found.values())


def test_random_rules_step_as_their_programs() -> None:
    chosen, steady = learners_with_more_instructions(60), 0
    assert len(chosen) == 60
    for program in chosen:
        learning = Learning(program, "regression")
        for x, y in examples("regression"):
            learning.learn(x, y)
        size = np.abs(learning.memory.vectors[1]).max()
        if size < 1e3:  # the others diverge, and rounding with them
            steady += 1
            assert_same_steps(program, "regression", slot="v1", tolerance=2e-3 * max(1.0, float(size)))
    assert steady >= 35


@pytest.mark.parametrize("kind", KINDS)
def test_any_program_has_a_rule_or_a_reason(kind: str) -> None:
    for program in programs(kind)[::3]:
        text = to_torch(program, task=kind)
        assert ("class UpdateRule" in text) != ("o update rule" in text)


@pytest.mark.parametrize(
    ("learn", "wanted"),
    [
        ("s3 = s0 - s1; s4 = minimum(s3, s2); v2 = s4 * v0; v1 = v1 + v2", "'s4 = minimum(s3, s2)' uses the error"),
        ("s3 = s0 - s1; s4 = dot(v0, v0); s3 = s3 / s4; v2 = s3 * v0; v1 = v1 + v2", "'s4 = dot(v0, v0)' uses the fea"),
        ("s3 = s0 * s2; v2 = s3 * v0; v1 = v1 + v2", "uses the label"),
        (f"{STEP}; v3 = gaussian(0, 0.1); v1 = v1 + v3", "'v3 = gaussian(0, 0.1)' draws random numbers"),
        (f"{STEP}; v1[0.2] = 0.5", "has no form for parameters of any shape"),
        (
            "s3 = s0 - s1; v2 = s3 * v0; m1 = outer(v2, v2); v2 = m1 @ v2; v1 = v1 + v2",
            "has no form for parameters of any shape",
        ),
        (
            "s3 = s0 - s1; v2 = s3 * v0; m1 = outer(v2, v2); s4 = norm(m1); v2 = s4 * v2; v1 = v1 + v2",
            "'m1 = outer(v2, v2)' has no form",
        ),
        ("v3 = fill(s0); v1 = v1 + v3", "'v3 = fill(s0)' uses the label apart"),
        ("pass", "Predict reads nothing that Learn changes"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_line(learn: str, wanted: str) -> None:
    with pytest.raises(InputError) as told:
        to_optimizer(program_of(learn))
    assert wanted in str(told.value)
    assert "\n" not in str(told.value)
    text = to_torch(program_of(learn))
    assert "class UpdateRule" not in text
    assert "No update rule" in text


def test_several_rules_are_told_apart() -> None:
    program = program_of(f"{STEP}; s5 = s5 + s3; s5 = s5 * s4", setup="s4 = 0.9",
                         predict="s1 = dot(v0, v1); s1 = s1 + s5")  # fmt: skip
    with pytest.raises(InputError, match="have different ones; ask for one of them with slot='s5' or slot='v1'"):
        to_optimizer(program)
    assert update_rule(program, slot="v1").given == {"s2": pytest.approx(RATE)}
    assert sorted(update_rule(program, slot="s5").given.values()) == pytest.approx([RATE, 0.9])
    with pytest.raises(InputError, match="slot is one of the parameters s5, v1, got 'v7'"):
        to_optimizer(program, slot="v7")


def test_a_rule_is_an_optimiser_for_any_model() -> None:
    rule = to_optimizer(RULES["momentum"])
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(1, 3, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.LazyLinear(1))
    x = torch.randn(64, 1, 8)
    y = x.sum(dim=(1, 2))[:, None]
    model(x)
    unused = torch.nn.Parameter(torch.ones(2))
    groups = [{"params": [*model[0].parameters(), unused]}, {"params": model[3].parameters(), "s2": 0.01}]
    optimiser = rule(groups, s2=0.02)
    plain = copy.deepcopy(model)
    known = torch.optim.SGD(
        [{"params": plain[0].parameters()}, {"params": plain[3].parameters(), "lr": 0.01}], lr=0.02, momentum=0.7
    )

    def closure() -> Any:
        optimiser.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    first = optimiser.step(closure).item()
    for number in range(30):
        if number == 10:  # go on from a saved state
            saved = copy.deepcopy(optimiser.state_dict())
            optimiser = rule(groups, s2=0.5)
            optimiser.load_state_dict(saved)
        last = optimiser.step(closure)
    for _ in range(31):
        known.zero_grad()
        torch.nn.functional.mse_loss(plain(x), y).backward()
        known.step()
    assert last.item() < 0.5 * first
    # torch's momentum keeps the gradients and scales them; the program keeps the scaled ones: the same for one rate.
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert unused.tolist() == [1, 1]


# ---- the file and the command


def test_the_file_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "learner.py").write_text(to_torch(linear_learner(0.1)), encoding="utf-8")
    code = (
        "import sys, torch, learner\n"
        "model = learner.Predictor(3); optimiser = learner.UpdateRule(model.parameters(), s2=0.1)\n"
        "for i in range(200):\n"
        "    x = torch.randn(8, 3); optimiser.zero_grad()\n"
        "    ((model(x) - x @ torch.tensor([1., 2., 3.])) ** 2).mean().backward(); optimiser.step()\n"
        "print(model.v1[2].item(), 'selftaught' in sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    weight, ours = done.stdout.split()
    assert float(weight) == pytest.approx(3, abs=0.05)
    assert ours == "False"


def test_the_file_is_what_the_module_runs() -> None:
    names = module_of(to_torch(linear_for(3, 0.1), task="classes 3"))
    model = names["Predictor"](5, num_classes=4)
    assert model(torch.zeros(2, 5)).shape == (2, 4)
    with pytest.raises(ValueError, match="6 classes need as many features, got 5"):
        names["Predictor"](5, num_classes=6)


def test_the_text_needs_neither_torch_nor_the_engine() -> None:
    code = (
        "import sys; from selftaught.programs import linear_learner; from selftaught.programs.export import to_torch;"
        "to_torch(linear_learner(0.1)); print(*(name for name in ('torch', 'numba', 'sklearn') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for make in (lambda: to_module(linear_learner(), 4), lambda: to_optimizer(linear_learner())):
        with pytest.raises(MissingExtraError, match=r"pip install 'selftaught\[networks\]'"):
            make()


@pytest.mark.parametrize(
    ("arguments", "options", "wanted"),
    [
        ((linear_learner(),), {}, "needs its number of features"),
        ((linear_learner(), 0), {}, "num_features is a whole number"),
        ((linear_for(3, 0.1), 2), {"task": "classes 3"}, "classes 3 needs at least as many features"),
        ((linear_learner(),), {"memory": LaneMemory.zeros(Slots(2, 1, 0), 3, 1)}, "the memory has no slot v1"),
        ((linear_learner(),), {"memory": LaneMemory.zeros(Slots(2, 2, 0), 3, 1), "lane": 1}, "in lane 1"),
        ((linear_learner(), 4), {"memory": LaneMemory.zeros(Slots(2, 2, 0), 3, 1)}, "is that of the memory, 3"),
        ((EvolvedRegressor(),), {}, "is not fitted"),
        ((EvolvedRegressor(), 4), {}, "give nothing beside it"),
    ],
)
def test_wrong_arguments_are_told(arguments: Any, options: Any, wanted: str) -> None:
    with pytest.raises(InputError, match=wanted):
        to_module(*arguments, **options)


def test_the_command_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "program.txt").write_text(format_program(linear_learner(0.1)), encoding="utf-8")
    for words, code in ((["--to", "torch"], 0), (["--to", "torch", "--features", "4"], 2)):
        with pytest.raises(SystemExit) as left:
            main(["export", str(tmp_path), *words])
        assert left.value.code == code
    out, err = capsys.readouterr()
    assert out == to_torch(linear_learner(0.1))
    assert "leave out --features" in err
