"""Distillation: the loss against torch's own, one step by hand, agreement by counting, and runs that were cut off."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from selftaught.compress import Distillation, agreement, distillation_loss
from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.training import (
    SGD,
    AdamW,
    Augment,
    Callback,
    Constant,
    Run,
    TrainConfig,
    evaluate,
    fit,
    linear,
    mlp,
    small_cnn,
)

ONE_STEP = TrainConfig(
    steps=1, batch_size=10**6, optimiser=SGD(lr=0.5, momentum=0, nesterov=False, weight_decay=0), schedule=Constant()
)


@given(st.integers(0, 2**31), st.sampled_from([0.5, 1.0, 4.0, 20.0]))
@settings(max_examples=20, deadline=None)
def test_the_loss_is_torchs_divergence_times_the_square_of_the_temperature(seed: int, temperature: float) -> None:
    drawn = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(7, 5, generator=drawn, dtype=torch.float64) * 3 for _ in range(2))
    wanted = nn.KLDivLoss(reduction="batchmean")(
        functional.log_softmax(student / temperature, 1), functional.softmax(teacher / temperature, 1)
    )
    found = distillation_loss(student, teacher, temperature=temperature)
    assert float(found.mean()) == pytest.approx(float(wanted) * temperature**2, rel=1e-9)
    shifted = distillation_loss(student + 3.0, teacher - 1.0, temperature=temperature)
    assert torch.allclose(found, shifted), "scores count up to a constant"


def test_two_classes_by_hand() -> None:
    # p = (3/4, 1/4) and q = (1/2, 1/2) at T = 2
    teacher = torch.tensor([[2 * np.log(3.0), 0.0]], dtype=torch.float64)
    wanted = 4 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert float(distillation_loss(torch.zeros(1, 2, dtype=torch.float64), teacher, temperature=2.0)) == pytest.approx(
        wanted, rel=1e-12
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_one_step_goes_down_the_stated_loss(iris: Examples, weighted: bool) -> None:
    student, teacher = linear(iris, seed=1), mlp(iris, hidden=(8,), seed=2)
    weights = np.linspace(0, 2, len(iris)) if weighted else None
    own = copy.deepcopy(student)
    inputs, labels = torch.from_numpy(iris.inputs), torch.from_numpy(iris.labels.astype(np.int64))
    each = 0.7 * 9 * nn.KLDivLoss(reduction="none", log_target=True)(
        functional.log_softmax(own(inputs) / 3, 1), functional.log_softmax(teacher(inputs).detach() / 3, 1)
    ).sum(1) + 0.3 * functional.cross_entropy(own(inputs), labels, reduction="none")
    (each if weights is None else each * torch.from_numpy(weights).float()).mean().backward()
    fit(student, iris, ONE_STEP, weights=weights, callbacks=[Distillation(teacher, 3, 0.7)])
    for moved, one in zip(student.parameters(), own.parameters(), strict=True):
        assert torch.allclose(moved, one - 0.5 * one.grad, atol=1e-5)


def test_only_the_named_examples_have_the_teacher(iris: Examples) -> None:
    student, teacher = linear(iris, seed=1), mlp(iris, hidden=(8,), seed=2)
    own = copy.deepcopy(student)
    inputs, labels = torch.from_numpy(iris.inputs), torch.from_numpy(iris.labels.astype(np.int64))
    each = functional.cross_entropy(own(inputs), labels, reduction="none")
    told = distillation_loss(own(inputs[:50]), teacher(inputs[:50]).detach(), temperature=2)
    each = torch.cat([0.4 * each[:50] + 0.6 * told, each[50:]])
    each.mean().backward()
    fit(student, iris, ONE_STEP, callbacks=[Distillation(teacher, 2, 0.6, only=iris.ids[:50])])
    for moved, one in zip(student.parameters(), own.parameters(), strict=True):
        assert torch.allclose(moved, one - 0.5 * one.grad, atol=1e-5)


def test_alpha_0_is_the_run_without_a_teacher(digits: Examples) -> None:
    alone, taught = small_cnn(digits, widths=(4, 4)), small_cnn(digits, widths=(4, 4))
    config = TrainConfig(steps=4, batch_size=50)
    fit(alone, digits, config)
    fit(taught, digits, config, callbacks=[Distillation(small_cnn(digits, widths=(8, 8), seed=3), alpha=0.0)])
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), taught.parameters(), strict=True))


class Watched(nn.Module):
    """Passes on, and notes what it saw and in what mode."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[tuple[torch.Tensor, bool]] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen.append((inputs.detach().clone(), self.model.training))
        return self.model(inputs)


def test_the_teacher_sees_the_augmented_inputs_in_evaluation_mode_and_stays_as_it_was(digits: Examples) -> None:
    teacher = Watched(small_cnn(digits, widths=(4, 4), dropout=0.5, seed=1)).train()
    student = Watched(small_cnn(digits, widths=(4, 4)))
    before = {name: one.clone() for name, one in teacher.state_dict().items()}
    config = TrainConfig(steps=3, batch_size=50, augment=Augment(crop=1, mixup=0.4))
    fit(student, digits, config, callbacks=[Distillation(teacher)])
    assert len(teacher.seen) == len(student.seen) == 3
    for (told, mode), (given_, _) in zip(teacher.seen, student.seen, strict=True):
        assert torch.equal(told, given_)
        assert not mode
    assert teacher.training
    assert all(torch.equal(one, before[name]) for name, one in teacher.state_dict().items())
    assert all(one.grad is None for one in teacher.parameters())


def test_a_student_comes_to_agree_with_a_teacher_whose_labels_are_wrong(iris: Examples) -> None:
    wrong = Examples(iris.inputs, (iris.labels + 1) % 3, iris.ids, class_names=iris.class_names)
    teacher, student = mlp(iris, hidden=(16,), seed=2), mlp(iris, hidden=(16,), seed=3)
    config = TrainConfig(steps=150, batch_size=50, optimiser=AdamW(lr=0.02))
    fit(teacher, wrong, config)
    found = fit(student, iris, config, valid=iris, callbacks=[Distillation(teacher, alpha=1.0, ids=iris.ids[:50])])
    last = found.history[-1]
    same = evaluate(student, iris).scores.argmax(1) == evaluate(teacher, iris).scores.argmax(1)
    assert last["valid_agreement"] == same.mean() > 0.95
    assert last["valid_accuracy"] < 0.1
    assert last["valid_agreement_on_ids"] == same[:50].mean()
    told = agreement(student, teacher, iris, ids=iris.ids[:50])
    assert (told.examples, told.agreement) == (50, same[:50].mean())
    assert told.student == last["valid_accuracy_on_ids"]


class Power(Callback):
    """Fails after so many steps, as a power cut would."""

    def __init__(self, steps: int | None) -> None:
        self.steps = steps

    def after_step(self, run: Run) -> None:
        if run.step == self.steps:
            raise ConnectionError


@pytest.mark.parametrize("augment", [None, Augment(crop=1, mixup=0.3)])
def test_a_run_that_was_cut_off_ends_bit_for_bit(digits: Examples, tmp_path: Path, augment: Augment | None) -> None:
    config = TrainConfig(epochs=2, batch_size=64, checkpoint_seconds=0, augment=augment, seed=2)

    def train(folder: Path | None, cut: int | None) -> nn.Module:
        model = small_cnn(digits, widths=(4, 4), dropout=0.2)
        added = [Distillation(small_cnn(digits, widths=(8, 8), seed=5)), Power(cut)]
        fit(model, digits, config, valid=digits, callbacks=added, folder=folder)
        return model

    with pytest.raises(ConnectionError):
        train(tmp_path, 7)
    resumed, whole = train(tmp_path, None), train(None, None)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_what_cannot_be_distilled_is_refused_in_a_line(iris: Examples) -> None:
    student, config = linear(iris), TrainConfig(steps=1)
    for wrong in ({"temperature": 0.0}, {"alpha": 1.5}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            Distillation(linear(iris), **wrong)
    with pytest.raises(InputError, match="share weights"):
        fit(student, iris, config, callbacks=[Distillation(student)])
    with pytest.raises(InputError, match=r"one shape \(n, classes\), got \(128, 5\) and \(128, 3\)"):
        fit(student, iris, config, callbacks=[Distillation(nn.Linear(4, 5))])
    mixing = config.model_copy(update={"augment": Augment(mixup=0.2)})
    with pytest.raises(InputError, match="mixed"):
        fit(student, iris, mixing, callbacks=[Distillation(linear(iris), only=iris.ids)])
    loader = [(torch.from_numpy(iris.inputs), torch.from_numpy(iris.labels))]
    with pytest.raises(InputError, match="data loader"):
        fit(student, loader, config, callbacks=[Distillation(linear(iris), only=iris.ids)])
    with pytest.raises(DataError, match="none of the 1 ids"):
        agreement(student, linear(iris), iris, ids=["nobody"])
