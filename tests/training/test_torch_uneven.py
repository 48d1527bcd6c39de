"""Uneven treatment: emphasis and draws against slow references, a step by hand, what is spent, interruptions."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.seeds import rng_for
from selftaught.training import (
    SGD,
    AdamW,
    Batch,
    Callback,
    Constant,
    ForwardPass,
    RecordOutcomes,
    Run,
    TrainConfig,
    Uneven,
    emphasis,
    fit,
    linear,
    mlp,
    small_cnn,
)
from selftaught.training.uneven import drawn_rows

PLAIN = SGD(lr=0.5, momentum=0, nesterov=False, weight_decay=0)
numbers = st.lists(st.floats(0, 1e3), min_size=1, max_size=40)


class Rows(Callback):
    """Notes which examples each step saw; to be given after `Uneven`."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def change_batch(self, run: Run, batch: Batch) -> Batch:
        assert batch.rows is not None
        self.seen.append(batch.rows)
        return batch


def slow_emphasis(hard: np.ndarray, strength: float, cap: float) -> np.ndarray:
    raw = 1 - strength + strength * hard / hard.mean()
    low, high = 0.0, cap
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(cap, raw + middle).mean() < 1 else (low, middle)
    return np.minimum(cap, raw + high)


@given(numbers, st.floats(0, 1), st.floats(1, 10))
@example(values=[0.0, 87.0, 172.044921875], strength=1.0, cap=2.0)
@settings(max_examples=60, deadline=None)
def test_emphasis_is_what_bisection_finds(values: list[float], strength: float, cap: float) -> None:
    hard = np.round(values, 3)
    found = emphasis(hard, strength=strength, cap=cap)
    assert found.mean() == pytest.approx(1, abs=1e-9)
    assert found.min() >= 0
    assert found.max() <= cap + 1e-9
    assert (np.diff(found[np.argsort(hard, kind="stable")]) >= -1e-9).all(), "what is harder counts no less"
    if hard.mean() > 0:
        assert found == pytest.approx(slow_emphasis(hard, strength, cap), abs=1e-6)


def test_emphasis_by_hand() -> None:
    assert emphasis(np.array([1.0, 3.0]), cap=9).tolist() == [0.5, 1.5]
    assert emphasis(np.array([1.0, 3.0]), strength=0.5, cap=9).tolist() == [0.75, 1.25]
    assert emphasis(np.array([1.0, 3.0, np.nan]), cap=9).tolist() == [0.5, 1.5, 1.0]
    assert emphasis(np.zeros(3)).tolist() == [1, 1, 1]
    # The hardest quarter (4) is lowered to 1, and what it had goes to all: 0, 0, 0, 1 and a rest of 3/4.
    assert emphasis(np.array([0.0, 0, 0, 5]), cap=9, guard=0.25).tolist() == [0.75, 0.75, 0.75, 1.75]


@given(numbers, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_draws_are_as_many_as_expected(values: list[float], seed: int) -> None:
    expected = emphasis(np.array(values), cap=50.0)
    counts = np.bincount(drawn_rows(expected, rng_for(seed, "draw")), minlength=len(expected))
    assert counts.sum() == len(expected)
    assert (np.abs(counts - expected) < 1 + 1e-9).all()


def test_draws_are_fair_in_the_mean() -> None:
    expected = np.array([0.1, 0.5, 1.9, 0.75, 0.75])
    counts = np.mean(
        [np.bincount(drawn_rows(expected, rng_for(seed, "draw")), minlength=5) for seed in range(2000)], axis=0
    )
    assert counts == pytest.approx(expected, abs=5 * math.sqrt(0.25 / 2000))


def test_one_step_with_weights_by_hand(iris: Examples) -> None:
    model = linear(iris, seed=1)
    own = copy.deepcopy(model)
    hard = {one: float(k) for k, one in enumerate(iris.ids)}
    inputs, labels = torch.from_numpy(iris.inputs), torch.from_numpy(iris.labels.astype(np.int64))
    weights = torch.tensor(np.arange(150) / 74.5, dtype=torch.float32)  # the mean of 0 to 149 is 74.5
    given_ = torch.linspace(0.5, 1.5, 150)
    (functional.cross_entropy(own(inputs), labels, reduction="none") * weights * given_).mean().backward()
    config = TrainConfig(steps=1, batch_size=150, optimiser=PLAIN, schedule=Constant())
    fit(model, iris, config, weights=given_.numpy(), callbacks=[Uneven(hard)])
    for moved, one in zip(model.parameters(), own.parameters(), strict=True):
        assert torch.allclose(moved, one - 0.5 * one.grad, atol=1e-5)


def test_equal_difficulty_with_weights_is_the_even_run(digits: Examples) -> None:
    even, uneven = mlp(digits, hidden=(8,)), mlp(digits, hidden=(8,))
    config = TrainConfig(epochs=2, batch_size=64)
    fit(even, digits, config)
    fit(uneven, digits, config, callbacks=[Uneven(dict.fromkeys(digits.ids, 3.0))])
    for one, other in zip(even.parameters(), uneven.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_passes_draw_what_is_hard_more_often(digits: Examples) -> None:
    hard = {one: 3.0 if k < 100 else 0.5 for k, one in enumerate(digits.ids)}  # of 300; the mean is 4/3
    uneven, rows = Uneven(hard, how="passes"), Rows()
    fit(linear(digits), digits, TrainConfig(epochs=4, batch_size=64), callbacks=[uneven, rows])
    counts = np.bincount(torch.cat(rows.seen).numpy(), minlength=300)
    assert counts.sum() == 1200 == uneven.spent.trained == uneven.spent.even
    assert set(counts[:100]) <= set(range(8, 13))  # 2.25 times an epoch: 2 or 3 in each of four
    assert counts[:100].sum() == pytest.approx(900, abs=40)
    epochs = [tuple(torch.cat(rows.seen[k : k + 5]).tolist()) for k in range(0, 20, 5)]
    assert len(set(epochs)) == 4


def test_skipped_examples_are_in_no_step_and_are_counted(digits: Examples) -> None:
    hard = {one: 1.0 if k < 100 else 0.0 for k, one in enumerate(digits.ids)}
    uneven, rows = Uneven(hard, how="skip", share=1 / 3, cap=9), Rows()
    model = Counting(linear(digits))
    fit(model, digits, TrainConfig(epochs=2, batch_size=64), callbacks=[uneven, rows])
    # cap is 1 / share: exactly the hundred hard ones are left, each once an epoch.
    for first in (0, 5):
        assert sorted(torch.cat(rows.seen[first : first + 5]).tolist()) == list(range(100))
    assert model.examples == 200 == uneven.spent.trained
    assert uneven.spent.even == 600
    assert uneven.spent.share == pytest.approx(1 / 3)
    assert uneven.spent.multiply_adds(10) == 6000


class Counting(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.examples = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.examples += len(inputs)
        return self.model(inputs)


@pytest.mark.parametrize(
    ("by", "measure", "column"),
    [
        ("confidence", "confidence", lambda p: 1 - p[-1]),
        ("closeness", "confidence", lambda p: p[-1] * (1 - p[-1])),
        ("variability", "confidence", lambda p: p[-3:].std(axis=0)),
        ("loss", "loss", lambda p: p[-1]),
    ],
)
def test_what_was_recorded_is_what_counts_live_and_from_the_ledger(
    digits: Examples, tmp_path: Path, by: str, measure: str, column: Any
) -> None:
    order = np.random.default_rng(1).permutation(300)
    record = RecordOutcomes(tmp_path, digits.take(order), model="first")  # joined by id, not by place
    live = Uneven(record, by=by)
    fit(mlp(digits, hidden=(8,)), digits, TrainConfig(epochs=4, batch_size=64), callbacks=[record, live])
    told = np.array([Ledger(tmp_path).values(measure, digits.ids, epoch=epoch) for epoch in (1, 2, 3, 4)])
    wanted = emphasis(column(told))
    assert live.emphasis == pytest.approx(wanted, rel=1e-5)
    assert live.spent.recorded == 4 * 300
    later = Uneven(tmp_path, by=by, axes={"model": "first"})
    fit(mlp(digits, hidden=(8,)), digits, TrainConfig(steps=1), callbacks=[later])
    assert later.emphasis == pytest.approx(wanted, rel=1e-5)
    control = Uneven(tmp_path, by=by, shuffled=True)
    fit(mlp(digits, hidden=(8,)), digits, TrainConfig(steps=1), callbacks=[control])
    assert sorted(control.emphasis) == pytest.approx(sorted(wanted), rel=1e-5)
    assert not np.allclose(control.emphasis, wanted)


def test_the_guard_and_closeness_hold_back_wrong_labels(digits: Examples, tmp_path: Path) -> None:
    labels = digits.labels.copy()
    labels[:30] = (labels[:30] + 1) % 10
    flipped = Examples(digits.inputs, labels, digits.ids, class_names=digits.class_names)
    record = RecordOutcomes(tmp_path, flipped)
    config = TrainConfig(epochs=12, batch_size=64, optimiser=AdamW(lr=0.01))
    fit(mlp(flipped, hidden=(32,)), flipped, config, callbacks=[record])

    def of_wrong(**options: Any) -> float:
        uneven = Uneven(tmp_path, **options)
        fit(linear(flipped), flipped, TrainConfig(steps=1), callbacks=[uneven])
        return float(uneven.emphasis[:30].mean())

    unguarded = of_wrong(cap=20)
    assert unguarded > 3, "the mistaken are the hardest"
    assert of_wrong(cap=2) <= 2
    assert of_wrong(cap=20, guard=0.1) < 2
    assert of_wrong(cap=20, by="closeness") < unguarded / 1.5


class Power(Callback):
    """Fails after so many steps, as a power cut would."""

    def __init__(self, steps: int | None) -> None:
        self.steps = steps

    def change_loss(self, run: Run, seen: ForwardPass, value: torch.Tensor) -> torch.Tensor:
        if run.step == self.steps:
            raise ConnectionError
        return value


@pytest.mark.parametrize("how", ["weights", "passes", "skip"])
def test_a_run_that_was_cut_off_ends_bit_for_bit(digits: Examples, tmp_path: Path, how: Any) -> None:
    config = TrainConfig(epochs=3, batch_size=64, checkpoint_seconds=0, seed=2)

    def train(folder: Path, cut: int | None) -> tuple[nn.Module, Uneven]:
        model = small_cnn(digits, widths=(4, 4), dropout=0.2)
        record = RecordOutcomes(folder / "ledger", digits)
        uneven = Uneven(record, how=how)
        fit(model, digits, config, callbacks=[record, uneven, Power(cut)], folder=folder)
        return model, uneven

    with pytest.raises(ConnectionError):
        train(tmp_path / "cut", 7)
    (resumed, one), (whole, other) = train(tmp_path / "cut", None), train(tmp_path / "whole", None)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))
    assert one.spent == other.spent
    assert one.spent.share == pytest.approx(1 + 1 / 3 if how != "skip" else 2 / 3 + 1 / 3)
    assert np.array_equal(one.emphasis, other.emphasis)


def test_what_does_not_fit_is_refused_in_a_line(digits: Examples, tmp_path: Path) -> None:
    config = TrainConfig(steps=1)
    for wrong in ({"how": "pases"}, {"cap": 0.5}, {"strength": 2.0}, {"guard": 1.0}, {"share": 0.0}, {"memory": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Uneven({}, **wrong)
    record = RecordOutcomes(tmp_path, digits)
    with pytest.raises(InputError, match="before Uneven"):
        fit(linear(digits), digits, config, callbacks=[Uneven(record), record])
    with pytest.raises(InputError, match="by must be one of"):
        Uneven(record, by="forgetting")
    with pytest.raises(DataError, match="nothing is known of any of the 300"):
        fit(linear(digits), digits, config, callbacks=[Uneven({"nobody": 1.0})])
    with pytest.raises(InputError, match="not negative"):
        fit(linear(digits), digits, config, callbacks=[Uneven(dict.fromkeys(digits.ids, -1.0))])
    with pytest.raises(InputError, match="no measure 'confidence'"):
        fit(linear(digits), digits, config, callbacks=[Uneven(tmp_path / "none")])
    with pytest.raises(InputError, match="raise share or batch_size"):
        fit(linear(digits), digits, TrainConfig(steps=1, batch_size=4), callbacks=[Uneven({}, how="skip", share=0.1)])
    loader = [(torch.zeros(4, 64), torch.zeros(4, dtype=torch.int64))]
    with pytest.raises(InputError, match="data loader"):
        fit(linear(digits), loader, config, callbacks=[Uneven({})])


@pytest.mark.parametrize("epochs", [4, 5])
def test_the_record_at_the_end_is_counted_too(iris: Examples, tmp_path: Path, epochs: int) -> None:
    record = RecordOutcomes(tmp_path, iris, every=2)
    uneven = Uneven(record)
    fit(linear(iris), iris, TrainConfig(epochs=epochs, batch_size=30), callbacks=[record, uneven])
    assert uneven.spent.recorded == len(record.recorded("loss")) * len(iris)
