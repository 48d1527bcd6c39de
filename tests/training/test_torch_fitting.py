"""`fit`: one step by hand, weights, soft targets, any data, seeds, budgets, and what is left as it was found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.errors import DataError, DivergedError, InputError
from selftaught.examples import Examples, Task
from selftaught.training import SGD, Augment, Callback, Constant, Cosine, Run, TrainConfig, evaluate, fit, mlp
from selftaught.training.losses import Loss

PLAIN = SGD(lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)


def table(inputs: np.ndarray, labels: np.ndarray, classes: int = 0) -> Examples:
    ids = np.array([str(number) for number in range(len(inputs))])
    names = tuple(str(one) for one in range(classes))
    return Examples(inputs.astype(np.float32), labels, ids, class_names=names)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_one_step_of_regression_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20).astype(np.float32)
    model = nn.Linear(3, 1, bias=False)
    start = model.weight.detach().numpy().astype(np.float64)[0]
    fit(model, table(x, y), TrainConfig(steps=1, batch_size=20, optimiser=PLAIN, schedule=Constant()))
    gradient = 2 / 20 * x.T @ (x @ start - y) / np.var(y)
    assert model.weight.detach().numpy()[0] == pytest.approx(start - 0.1 * gradient, abs=1e-5)


def test_cross_entropy_with_smoothed_labels_by_hand() -> None:
    scores = torch.tensor([[2.0, 1.0, -1.0]])
    log_shares = [float(one) - math.log(sum(math.exp(s) for s in (2.0, 1.0, -1.0))) for one in scores[0]]
    wanted = -(0.8 + 0.2 / 3) * log_shares[1] - 0.2 / 3 * (log_shares[0] + log_shares[2])
    assert float(Loss("cross_entropy", 0.2).mean(scores, torch.tensor([1]))) == pytest.approx(wanted, abs=1e-6)


def test_a_weight_of_2_is_the_example_twice_and_0_is_its_absence() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(4, 3)), np.array([0, 1, 0, 1])
    steps = []
    for rows, weights in (([0, 1, 2, 3], [2.0, 1.0, 1.0, 0.0]), ([0, 0, 1, 2], None)):
        model = nn.Linear(3, 2)
        with torch.no_grad():
            model.weight.fill_(0.1)
            model.bias.zero_()
        config = TrainConfig(steps=1, batch_size=4, optimiser=PLAIN, schedule=Constant())
        fit(model, table(x[rows], y[rows], 2), config, weights=None if weights is None else np.array(weights))
        steps.append(model.weight.detach())
    assert torch.allclose(steps[0], steps[1], atol=1e-6)


def test_weights_by_id_and_soft_targets_that_are_one_hot(iris: Examples) -> None:
    config = TrainConfig(epochs=2, batch_size=32)
    plain, named, soft = (mlp(iris, hidden=(8,)) for _ in range(3))
    fit(plain, iris, config)
    fit(named, iris, config, weights={str(iris.ids[0]): 1.0})
    fit(soft, iris, config, soft_targets=np.eye(3)[iris.labels])
    for other in (named, soft):
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(plain.parameters(), other.parameters(), strict=True))
    doubled = mlp(iris, hidden=(8,))
    fit(doubled, iris, config, weights={str(one): 2.0 for one in iris.ids[:75]})
    assert not torch.allclose(doubled[2].weight, plain[2].weight, atol=1e-3)


def test_mixed_losses_are_the_mixture_of_the_examples_own_losses() -> None:
    """With weights and smoothing: share w_i l_i + (1 - share) w_j l_j, on scores that do not depend on the inputs."""
    scores = torch.tensor([[0.5, -0.3, 0.1], [0.5, -0.3, 0.1], [0.5, -0.3, 0.1]])
    targets, weights, loss = torch.tensor([0, 1, 2]), torch.tensor([1.0, 3.0, 0.5]), Loss("cross_entropy", 0.1)
    from selftaught.training.batches import Batch
    from selftaught.training.run import augmented

    batch = Batch(torch.eye(3), targets, weights, 3)
    mixed, shares, left, used = augmented(batch, Augment(mixup=0.5), loss, 3, torch.Generator().manual_seed(4))
    each = loss.each(scores, targets) * weights
    assert left is None
    assert used.each(scores, shares) == pytest.approx(mixed @ each, abs=1e-6)
    assert not torch.equal(mixed, torch.eye(3))


def test_the_same_seed_repeats_bit_for_bit_and_another_does_not(digits: Examples) -> None:
    config = TrainConfig(epochs=2, batch_size=64, augment=Augment(crop=1, mixup=0.2), label_smoothing=0.1)
    found = []
    for seed in (3, 3, 4):
        model = mlp(digits, hidden=(16,), dropout=0.3)
        fit(model, digits, config.model_copy(update={"seed": seed}))
        found.append(weights_of(model))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_the_users_random_numbers_modes_and_device_stay(digits: Examples) -> None:
    model = mlp(digits, hidden=(16,), dropout=0.5)
    model.eval()
    model[0].train()
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fit(model, digits, TrainConfig(steps=3, augment=Augment(flip=True)), valid=digits)
    mlp(digits)
    assert torch.equal(torch.rand(3), wanted)
    assert [model.training, model[0].training, model[1].training] == [False, True, False]


def test_any_module_and_loader(iris: Examples) -> None:
    inputs, labels = torch.from_numpy(iris.inputs), torch.from_numpy(np.asarray(iris.labels))
    weights = torch.ones(len(labels))

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, values: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.layer(values) * scale[:, None]}

    def collate(rows: list[Any]) -> dict[str, torch.Tensor]:
        x, y, w = (torch.stack(part) for part in zip(*rows, strict=True))
        return {"values": x, "scale": w, "labels": y}

    data = torch.utils.data.TensorDataset(inputs, labels, weights)
    by_name = torch.utils.data.DataLoader(data, batch_size=50, shuffle=True, collate_fn=collate)
    pairs = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), batch_size=50, shuffle=True)
    triples = torch.utils.data.DataLoader(data, batch_size=50, shuffle=True)
    for model, loader in ((Named(), by_name), (nn.Linear(4, 3), pairs), (nn.Linear(4, 3), triples)):
        found = fit(model, loader, TrainConfig(epochs=12, optimiser=SGD(lr=0.05)), valid=loader)
        assert found.steps == 36
        assert found.valid is not None
        assert found.valid.score > 0.8
        assert evaluate(model, loader).score == found.valid.score


def test_a_shuffling_loader_repeats_under_a_seed(iris: Examples) -> None:
    data = torch.utils.data.TensorDataset(torch.from_numpy(iris.inputs), torch.from_numpy(np.asarray(iris.labels)))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(found))
        loader = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
        model = mlp(iris, hidden=(8,))
        fit(model, loader, TrainConfig(epochs=1, seed=seed))
        found.append(weights_of(model))
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_budgets_in_epochs_steps_and_seconds(digits: Examples) -> None:
    by_epochs = fit(mlp(digits, hidden=(8,)), digits, TrainConfig(epochs=2, batch_size=100))
    assert (by_epochs.epochs, by_epochs.steps) == (2, 6)
    by_steps = fit(mlp(digits, hidden=(8,)), digits, TrainConfig(steps=7, batch_size=100))
    assert (by_steps.epochs, by_steps.steps) == (2, 7)
    assert [line["step"] for line in by_steps.history] == [3, 6, 7]
    by_time = fit(mlp(digits, hidden=(8,)), digits, TrainConfig(seconds=0.3, batch_size=100), valid=digits)
    assert by_time.steps > 0
    assert by_time.history[-1]["lr"] < 0.1
    with pytest.raises(InputError, match="epochs and seconds are both budgets"):
        TrainConfig(epochs=1, seconds=2)


def test_the_rate_of_every_step_is_the_schedules(digits: Examples) -> None:
    rates: list[float] = []

    class Watch(Callback):
        def after_step(self, run: Run) -> None:
            rates.append(run.lr)

    config = TrainConfig(steps=6, optimiser=SGD(lr=0.2), schedule=Cosine(warmup=0.5), batch_size=100)
    fit(mlp(digits, hidden=()), digits, config, callbacks=[Watch()])
    assert rates == pytest.approx([0.2 * Cosine(warmup=0.5).factor(step, 6) for step in range(6)])


def test_clipping_bounds_the_step(digits: Examples) -> None:
    moved = []
    for clip in (None, 1e-3):
        model = mlp(digits, hidden=())
        before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        fit(model, digits, TrainConfig(steps=1, optimiser=PLAIN, schedule=Constant(), clip_norm=clip))
        moved.append(float((nn.utils.parameters_to_vector(model.parameters()).detach() - before).norm()))
    assert moved[0] > 1e-2
    assert moved[1] == pytest.approx(1e-4, rel=1e-3)


def test_a_task_is_judged_on_its_validation_part(iris: Examples) -> None:
    rows = np.random.default_rng(0).permutation(150)
    task = Task(iris.take(rows[:100]), iris.take(rows[100:]), None, "accuracy")
    found = fit(mlp(iris, hidden=(16,)), task, TrainConfig(epochs=20, batch_size=32, optimiser=SGD()))
    assert found.valid is not None
    assert len(found.valid.correct) == 50
    low, high = found.valid.interval()
    assert low < found.valid.score < high
    assert found.valid.score > 0.85
    assert found.history[-1]["valid_accuracy"] == found.valid.score


def test_bfloat16_trains_and_auto_decides(digits: Examples) -> None:
    model = mlp(digits, hidden=(32,))
    config = TrainConfig(epochs=8, batch_size=50, precision="bfloat16", optimiser=SGD())
    found = fit(model, digits, config, valid=digits)
    assert found.valid is not None
    assert found.valid.score > 0.9
    assert next(model.parameters()).dtype == torch.float32
    before = weights_of(model)
    automatic = fit(model, digits, TrainConfig(steps=1, precision="auto", optimiser=SGD(lr=1e-12)))
    assert automatic.precision in ("float32", "bfloat16")
    assert all(torch.allclose(before[name], one) for name, one in model.state_dict().items())


def test_a_stop_from_outside_ends_well(digits: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selftaught.training.fitting.SECONDS_BETWEEN_REPORTS", 0.0)
    seen = []

    def watch(progress: Any) -> str | None:
        seen.append(progress)
        return "stop" if progress.step == 5 else None

    found = fit(mlp(digits, hidden=(8,)), digits, TrainConfig(steps=50, batch_size=100), on_progress=watch)
    assert (found.finished, found.steps) == (False, 5)
    assert seen[-1].steps == 50
    assert seen[-1].seconds_left > 0
    assert seen[-1].examples_per_second > 0


def test_a_loss_that_is_no_number_is_told() -> None:
    x, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64, dtype=np.float32)
    with pytest.raises(DivergedError, match="lower the learning rate"):
        fit(nn.Linear(4, 1), table(x, y), TrainConfig(epochs=200, optimiser=SGD(lr=1e6), schedule=Constant()))


def test_wrong_use_is_one_line(iris: Examples) -> None:
    with pytest.raises(InputError, match="not int"):
        fit(nn.Linear(4, 3), 3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="once only"):
        fit(nn.Linear(4, 3), iter([(torch.zeros(2, 4), torch.zeros(2))]))
    with pytest.raises(DataError, match="no labels"):
        fit(nn.Linear(4, 3), Examples(iris.inputs, None, iris.ids))
    with pytest.raises(DataError, match=r"weights must have shape \(150,\)"):
        fit(nn.Linear(4, 3), iris, weights=np.ones(3))
    with pytest.raises(InputError, match="device 'nowhere' cannot be used"):
        fit(nn.Linear(4, 3), iris, TrainConfig(device="nowhere"))
    with pytest.raises(InputError, match="batch_sise"):
        TrainConfig(batch_sise=3)
    with pytest.raises(InputError, match="resume=True needs a folder"):
        fit(nn.Linear(4, 3), iris, resume=True)
