"""Plans: plain data, done step by step, equal to the steps' own functions."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from selftaught import load
from selftaught.compress import n_of_m_masks, prune_channels, reestimate_normalisation, sparsity
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.plans import (
    Balance,
    Blocks,
    Channels,
    FineTune,
    LowBits,
    NofM,
    Plan,
    Rewind,
    SparseStart,
    Step,
    Supermask,
    Weights,
    cuts_of,
    plan_of,
    run_plan,
    start_of,
)
from selftaught.plans.balancing import balance, balancing_shift, last_bias
from selftaught.plans.execution import example_weights
from selftaught.training import TrainConfig, evaluate, fit, mlp, small_cnn

TUNE = FineTune(training=TrainConfig(steps=8, device="cpu"))


@pytest.fixture(scope="module")
def model(digits: Examples) -> nn.Module:
    made = mlp(digits, hidden=(32, 32), batch_norm=True)
    fit(made, digits, TrainConfig(epochs=4, device="cpu"))
    return made.eval()


def test_channels_alone_are_what_prune_channels_does(model: nn.Module, digits: Examples) -> None:
    found = run_plan(model, digits, Plan(steps=(Channels(ratio=0.5),)))
    wanted = prune_channels(model, torch.zeros(2, 1, 8, 8)).model
    reestimate_normalisation(wanted, digits)
    np.testing.assert_array_equal(evaluate(found.model, digits).scores, evaluate(wanted, digits).scores)
    assert found.widths == {"2.weight": (32, 16), "5.weight": (32, 16)}
    assert not found.notes


def test_the_model_that_is_given_stays_as_it_was(model: nn.Module, digits: Examples) -> None:
    before = copy.deepcopy(model.state_dict())
    run_plan(model, digits, Plan(steps=(Channels(ratio=0.5), TUNE, Balance())), valid=digits)
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())


@pytest.mark.parametrize(
    ("steps", "density"),
    [
        ((Weights(amount=0.75, ranking="per_layer"), TUNE), 0.25), ((NofM(n=1, m=4), TUNE), 0.25),
        ((Weights(amount=0.9, schedule="one-shot"), TUNE), 0.1), ((Blocks(amount=0.5, size=8),), 0.5),
        ((Channels(ratio=0.5), NofM(n=2, m=4), TUNE), 0.5), ((SparseStart(method="rigl", amount=0.8), TUNE), 0.2),
        ((SparseStart(method="snip", amount=0.8), TUNE), 0.2), ((SparseStart(method="topkast", amount=0.8), TUNE), 0.2),
        ((Rewind(amount=0.8), TUNE), 0.2), ((Supermask(amount=0.75), TUNE), 0.25),
    ],
    ids=lambda value: value[0].kind if isinstance(value, tuple) else None,
)  # fmt: skip
def test_what_is_gone_stays_gone_through_every_step(
    model: nn.Module, digits: Examples, steps: tuple[Any, ...], density: float
) -> None:
    def make(seed: int) -> nn.Module:
        return mlp(digits, hidden=(32, 32), seed=seed)

    given = model if steps[0].kind not in ("start", "rewind", "supermask") else make(0)
    found = run_plan(given, digits, Plan(steps=steps), valid=digits, make=make)
    kept = [one for one in sparsity(found.model).layers if one.name != "8.weight"]
    total = sum(one.nonzero for one in sparsity(found.model).layers) / sum(
        one.weights for one in sparsity(found.model).layers
    )
    assert kept
    if steps[0].kind == "blocks":  # 10 outputs are no whole block
        assert total == pytest.approx(0.5, abs=0.06)
    else:
        assert total == pytest.approx(density, abs=0.02)
    assert not found.model.training


def test_masks_of_two_steps_hold_together(model: nn.Module, digits: Examples) -> None:
    found = run_plan(model, digits, Plan(steps=(NofM(n=2, m=4), Weights(amount=0.8), TUNE)))
    allowed = n_of_m_masks(model, 2, 4).masks
    for name, mask in allowed.items():
        assert not bool(found.model.get_parameter(name)[~mask].any())
    assert sparsity(found.model).of_prunable >= 0.8


def test_masks_of_all_steps_hold_in_a_second_training(model: nn.Module, digits: Examples) -> None:
    """As protection adds one behind the plan's own."""
    found = run_plan(model, digits, Plan(steps=(NofM(n=2, m=4), Weights(amount=0.2), TUNE, TUNE)))
    for name, mask in n_of_m_masks(model, 2, 4).masks.items():
        assert not bool(found.model.get_parameter(name)[~mask].any())


@pytest.mark.parametrize("method", ["set", "rigl", "topkast", "random"])
def test_what_is_to_be_ignored_stays_dense_from_the_start(method: Any, digits: Examples) -> None:
    plan = Plan(steps=(SparseStart(method=method, amount=0.8), TUNE))
    made = run_plan(mlp(digits, hidden=(16,)), digits, plan, make=lambda seed: mlp(digits, hidden=(16,), seed=seed),
                    ignore=("4",))  # fmt: skip
    densities = {one.name: one.density for one in sparsity(made.model).layers}
    assert densities["4.weight"] == 1
    assert densities["2.weight"] == pytest.approx(0.2, abs=0.01)


def test_nothing_to_remove_is_said(digits: Examples) -> None:
    found = run_plan(mlp(digits, hidden=(8,)), digits, Plan(steps=(Channels(ratio=0.5),)))
    assert "no channel could be removed" in found.notes[0]
    assert not found.widths


def test_a_plan_is_plain_data_both_ways() -> None:
    steps: tuple[Step, ...] = (
        Channels(ratio={"a": 0.5}, importance="taylor", weights={"x": 2.0}), Weights(), NofM(), Blocks(),
        FineTune(distil=0.9, weights={"x": 1.5}), Balance(strength=0.5),
    )  # fmt: skip
    plan = Plan(steps=steps, seed=3, column="sex")
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.to_json() == Plan.from_json(plan.to_json()).to_json()


@pytest.mark.parametrize(
    ("steps", "match"),
    [
        ((), "at least one step"), ((Channels(), SparseStart()), "must be the first step"),
        ((Weights(),), "add it behind"), ((SparseStart(),), "add fine-tune"),
        ((NofM(), Channels()), "channels must be removed before"),
        ((SparseStart(method="snip"), Channels(), TUNE), "channels must be removed before"),
        ((SparseStart(), Weights(), TUNE), "masks of its own"),
        ((Rewind(), FineTune(distil=0.5)), "training of its own"),
        ((Supermask(), FineTune(weights={"1": 2.0})), "training of its own"),
        ((Supermask(), TUNE, LowBits(how="qat")), "without rounding"),
    ],
)  # fmt: skip
def test_steps_in_an_impossible_order_are_refused(steps: tuple[Any, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Plan(steps=steps)


@pytest.mark.parametrize("text", ["{", "[]", '{"steps": [{"kind": "wish"}]}', '{"steps": [{"kind": "n:m", "n": 5}]}'])
def test_text_that_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Plan.from_json(text)


def test_words_become_steps() -> None:
    found = cuts_of("channels,magnitude", "0.25,0.5", schedule="one-shot", round_to=8)
    assert found == (Channels(ratio=0.25, round_to=8), Weights(amount=0.5, schedule="one-shot"))
    assert start_of("rewind", "0.7", cuts=2) == Rewind(amount=0.7, cuts=2)
    assert [one.kind for one in plan_of((Weights(),), None).steps] == ["magnitude"]
    for prune, amount in (("wish", None), ("channels", "1"), ("n:m", "0.5"), ("channels", "0.5,0.5"), ("", None)):
        with pytest.raises(InputError):
            cuts_of(prune, amount)


def test_a_shift_gives_back_what_one_class_lost() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(3000) % 3
    before = (rng.normal(0, 1, (3000, 3)) + 2 * np.eye(3)[labels]).astype(np.float32)
    moved = np.array([0.8, -0.4, -0.4], np.float32)
    shift = balancing_shift(before, before - moved, labels)
    recalls = [np.mean((before - moved + shift).argmax(1)[labels == c] == c) for c in range(3)]
    wanted = [np.mean(before.argmax(1)[labels == c] == c) for c in range(3)]
    assert max(a - b for a, b in zip(wanted, recalls, strict=True)) < 0.02
    plain = [np.mean((before - moved).argmax(1)[labels == c] == c) for c in range(3)]
    assert wanted[0] - plain[0] > 0.1


def test_a_shift_from_few_examples_holds_for_others() -> None:
    """500 examples: within two points of what 50,000 give; a shift fitted to shares of right answers: 4 points."""

    def made(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng, labels = np.random.default_rng(seed), np.arange(n) % 5
        before = (rng.normal(0, 1, (n, 5)) + 2 * np.eye(5)[labels]).astype(np.float32)
        moved = np.array([0.6, -0.3, 0, -0.3, 0])
        return before, (before - moved + rng.normal(0, 0.6, (n, 5))).astype(np.float32), labels

    before, after, labels = made(50_000, 99)

    def largest(shift: np.ndarray) -> float:
        answers = (before.argmax(1) == labels), ((after + shift).argmax(1) == labels)
        return float(max(answers[0][labels == c].mean() - answers[1][labels == c].mean() for c in range(5)))

    found = [largest(balancing_shift(*made(500, seed))) for seed in range(8)]
    assert np.mean(found) < largest(balancing_shift(before, after, labels)) + 0.02
    assert np.mean(found) < 0.4 * largest(np.zeros(5))


@pytest.mark.parametrize("sure", [0.3, 0.6, 2.0])
def test_another_confidence_is_no_loss(sure: float) -> None:
    rng, labels = np.random.default_rng(0), np.arange(5000) % 5
    before = (rng.normal(0, 1, (5000, 5)) + np.array([0.5, 1, 2, 3, 4]) * np.eye(5)[labels]).astype(np.float32)
    shift = balancing_shift(before, sure * before, labels)
    right = (before.argmax(1) == labels), ((sure * before + shift).argmax(1) == labels)
    assert max(right[0][labels == c].mean() - right[1][labels == c].mean() for c in range(5)) < 0.01


def test_a_shift_that_helps_nobody_is_not_made(digits: Examples) -> None:
    model = mlp(digits, hidden=(8,)).eval()
    kept = copy.deepcopy(model)
    assert "nothing was shifted" in balance(model, kept, digits, None)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), kept.parameters(), strict=True))


def test_balancing_refuses_a_layer_that_does_not_give_the_scores(digits: Examples) -> None:
    class Squared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(64, 10)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.last(inputs.flatten(1)).square()
            return result

    model = Squared()
    kept = model.last.bias.detach().clone()
    assert "nothing was shifted" in balance(model, Squared(), digits, None)
    assert torch.equal(model.last.bias, kept)
    assert last_bias(nn.Sequential(nn.Linear(2, 2), nn.ReLU())) is None


def test_weights_are_named_by_class_or_group(digits: Examples) -> None:
    found = example_weights(digits, {"3": 4.0}, "")
    assert found is not None
    labels = np.asarray(digits.labels)
    assert found.mean() == pytest.approx(1, abs=1e-5)
    assert found[labels == 3][0] / found[labels == 2][0] == pytest.approx(4)
    with pytest.raises(InputError, match="no class 'x'"):
        example_weights(digits, {"x": 1.0}, "")
    with pytest.raises(InputError, match="no column"):
        example_weights(digits, {"x": 1.0}, "sex")


def test_images_lose_channels_and_learn_from_the_dense_model(digits: Examples) -> None:
    network = small_cnn(digits, widths=(16, 32)).eval()
    tune = FineTune(training=TrainConfig(epochs=2, device="cpu"), distil=0.9)
    plan = Plan(steps=(Channels(ratio=0.5, round_to=8, importance="taylor"), tune))
    found = run_plan(network, digits.take(np.arange(200)), plan)
    assert dict(found.widths) == {"1.weight": (16, 8), "5.weight": (32, 16)}
    assert [(line["stage"], line["epoch"]) for line in found.history] == [(2, 1), (2, 2)]


@pytest.mark.parametrize("step", [Rewind(amount=0.5, cuts=2), Supermask(amount=0.5)], ids=["rewind", "supermask"])
def test_a_start_that_is_stopped_again_and_again_ends_as_if_it_had_not_been(
    step: Rewind | Supermask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selftaught.training.fitting.SECONDS_BETWEEN_REPORTS", 0.0)
    iris = load("iris")

    def make(seed: int) -> nn.Module:
        return mlp(iris, hidden=(8,), seed=seed)

    plan = Plan(steps=(step, FineTune(training=TrainConfig(steps=4, batch_size=64, device="cpu"))))
    whole = run_plan(make(0), iris, plan, valid=iris, make=make)
    stops = 0
    while True:
        found = run_plan(
            make(0), iris, plan, valid=iris, make=make, folder=tmp_path, on_progress=lambda _: "stop", resume=None
        )
        if found.finished:
            break
        stops += 1
        assert stops < 100
    assert stops >= (5 * 4 if isinstance(step, Rewind) else 4)  # every step of every arm
    assert found.notes == whole.notes
    for name, one in whole.model.state_dict().items():
        assert torch.equal(one, found.model.state_dict()[name])
