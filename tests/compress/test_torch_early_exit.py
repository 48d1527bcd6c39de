"""Early exit: what is skipped is not run, thresholds against exhaustive search, regrouping, training of heads."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from selftaught import load
from selftaught.compress import (
    EarlyExit,
    TrainExits,
    calibrate_exits,
    choose_thresholds,
    exit_costs,
    exit_curve,
    fit_temperature,
    record_exits,
)
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training import AdamW, Callback, Run, TrainConfig, evaluate, fit, mlp, small_cnn


class Counting(nn.Module):
    """Passes on, and counts calls and examples."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.examples = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.examples += len(inputs)
        return inputs


class First(nn.Module):
    """A head that is as sure of class 0 as the first input says."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack((inputs[:, 0], torch.zeros(len(inputs))), dim=1)


def planted() -> tuple[EarlyExit, list[Counting]]:
    """Two exits that look at the first input; after each a counter. The model's own scores are of class 1."""
    counters = [Counting(), Counting(), Counting()]
    end = nn.Linear(3, 2)
    with torch.no_grad():
        end.weight.zero_()
        end.weight[1, 1] = 1.0  # tells the examples apart
        end.bias.copy_(torch.tensor([0.0, 5.0]))
    model = nn.Sequential(counters[0], nn.Identity(), counters[1], nn.Identity(), counters[2], end)
    early = EarlyExit(model, ["3", "1"], torch.zeros(1, 3)).eval()
    early.heads = nn.ModuleList([First(), First()])
    for one in counters:
        one.calls = one.examples = 0
    return early, counters


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


INPUTS = torch.tensor([[logit(p), k, 0.0] for k, p in enumerate((0.95, 0.7, 0.85, 0.6))])


def test_exits_stand_in_the_order_in_which_they_run() -> None:
    early, _ = planted()
    assert early.exits == ("1", "3")
    assert early.regroups


@pytest.mark.parametrize(("row", "exit_", "calls"), [(0, 0, [1, 0, 0]), (2, 1, [1, 1, 0]), (3, 2, [1, 1, 1])])
def test_one_example_leaves_and_the_rest_is_not_run(row: int, exit_: int, calls: list[int]) -> None:
    early, counters = planted()
    early.set_thresholds([0.9, 0.8])
    left = early.leave(INPUTS[row : row + 1])
    assert left.exits.tolist() == [exit_]
    assert [one.calls for one in counters] == calls
    assert int(left.scores.argmax()) == (exit_ == 2)
    assert all(not part._forward_hooks for part in early.model.modules()), "nothing stays on the model"


def test_a_batch_is_regrouped_and_gives_what_one_by_one_gives() -> None:
    early, counters = planted()
    early.set_thresholds([0.9, 0.8])
    left = early.leave(INPUTS)
    assert left.exits.tolist() == [0, 2, 1, 2]
    assert [one.examples for one in counters] == [4, 3, 2]
    alone = torch.cat([early(INPUTS[k : k + 1]) for k in range(4)])
    assert torch.allclose(left.scores, alone)
    for one in counters:
        one.examples = 0
    together = early.leave(INPUTS, regroup=False)
    assert [one.examples for one in counters] == [4, 4, 4]
    assert torch.equal(together.exits, left.exits)
    assert torch.allclose(together.scores, left.scores)


def test_when_all_have_left_the_batch_ends() -> None:
    early, counters = planted()
    early.set_thresholds([0.9, 0.5])
    assert early.leave(INPUTS, regroup=False).exits.tolist() == [0, 1, 1, 1]
    assert [one.calls for one in counters] == [1, 1, 0]


def test_closed_exits_give_the_model_itself(digits: Examples) -> None:
    model = small_cnn(digits, widths=(4, 4)).eval()
    early = EarlyExit(model, ["3"], torch.zeros(1, 1, 8, 8)).eval()
    assert np.array_equal(evaluate(early, digits).scores, evaluate(model, digits).scores)


class Skipping(nn.Module):
    """A shortcut around the exit: what follows depends on more than the exit's output."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.end = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.end(inputs + self.block(inputs))


def test_a_model_with_a_shortcut_around_an_exit_is_not_regrouped(iris: Examples) -> None:
    early = EarlyExit(Skipping(), ["block"], torch.from_numpy(iris.inputs[:4])).eval()
    assert not early.regroups
    early.set_thresholds([0.5])
    inputs = torch.from_numpy(iris.inputs)
    left = early.leave(inputs)  # all wait for the last
    alone = torch.cat([early(inputs[k : k + 1]) for k in range(150)])
    assert int((left.exits == 0).sum()) > 0
    assert torch.allclose(left.scores, alone, atol=1e-5)
    with pytest.raises(InputError, match="cannot be regrouped"):
        early.leave(inputs, regroup=True)


class Tokens(nn.Module):
    """(n, tokens, width), as transformers give."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix = nn.Embedding(9, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.end = nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.end(self.mix(self.embed(ids)).mean(1))


@pytest.mark.parametrize(("tokens", "taken"), [("mean", lambda one: one.mean(1)), ("last", lambda one: one[:, -1])])
def test_heads_of_tokens(tokens: Any, taken: Any) -> None:
    ids = torch.randint(0, 9, (5, 6))
    early = EarlyExit(Tokens().eval(), ["embed"], ids, tokens=tokens).eval()
    early.set_thresholds([0.0])
    own = early.model.embed(ids)  # type: ignore[operator,union-attr]
    assert torch.allclose(early(ids), early.heads[0][1](taken(own)))  # type: ignore[index]


def exhaustive(sure: Any, correct: Any, costs: Any, heads: Any, wanted: float) -> float:
    """The least cost over all thresholds that tell any two values apart."""
    best = np.inf
    for chosen in itertools.product(*([*np.unique(one), np.inf] for one in sure)):
        cost = right = 0.0
        for k in range(sure.shape[1]):
            for place, threshold in enumerate(chosen):
                cost += 0 if np.isinf(threshold) else heads[place]
                if sure[place, k] >= threshold:
                    cost, right = cost + costs[place], right + correct[place, k]
                    break
            else:
                cost, right = cost + costs[-1], right + correct[-1, k]
        if right / sure.shape[1] >= wanted - 1e-12:
            best = min(best, cost / sure.shape[1])
    return best


@pytest.mark.parametrize("seed", range(8))
def test_thresholds_are_the_cheapest_there_are(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    exits = 1 + seed % 2
    sure = drawn.uniform(size=(exits, 12)).astype(np.float32)
    correct = drawn.uniform(size=(exits + 1, 12)) < np.vstack([sure, np.full((1, 12), 0.9)])
    costs, heads = np.array([1.0, 2.5, 4.0])[-exits - 1 :], np.array([0.3, 0.2])[:exits]
    for wanted in (0.0, 0.5, float(correct[-1].mean()) - 0.1, float(correct[-1].mean())):
        found = choose_thresholds(sure, correct, costs, wanted, heads=heads)
        leaves = np.vstack([sure >= found[:, None], np.ones((1, 12), bool)]).argmax(0)
        asked = np.cumsum(np.where(np.isinf(found), 0, heads))
        cost = (costs + np.append(asked, asked[-1]))[leaves].mean()
        assert correct[leaves, np.arange(12)].mean() >= wanted - 1e-12
        assert cost == pytest.approx(exhaustive(sure, correct, costs, heads, wanted))


def test_many_exits_keep_what_is_wanted_and_cost_no_more_than_the_model() -> None:
    drawn = np.random.default_rng(3)
    sure = drawn.uniform(size=(4, 400)).astype(np.float32)
    correct = drawn.uniform(size=(5, 400)) < np.vstack([sure, np.full((1, 400), 0.95)])
    costs = np.arange(1.0, 6.0)
    found = choose_thresholds(sure, correct, costs, 0.9)
    leaves = np.vstack([sure >= found[:, None], np.ones((1, 400), bool)]).argmax(0)
    assert correct[leaves, np.arange(400)].mean() >= 0.9
    assert costs[leaves].mean() < 4


def test_the_temperature_of_scaled_scores_is_found() -> None:
    drawn = np.random.default_rng(1)
    scores = drawn.normal(size=(20000, 5)) * 2
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = (shares.cumsum(1) > drawn.uniform(size=(20000, 1))).argmax(1)
    assert fit_temperature(scores * 3, labels) == pytest.approx(3, rel=0.05)


@pytest.fixture(scope="module")
def trained() -> tuple[EarlyExit, Examples, Examples, Examples]:
    digits = load("digits")
    train, valid, test = (digits.take(np.arange(*ends)) for ends in ((0, 1000), (1000, 1400), (1400, 1797)))
    torch.manual_seed(0)
    early = EarlyExit(mlp(train, hidden=(32, 32), seed=1), ["3", "5"], torch.zeros(1, 1, 8, 8), seed=1)
    fit(early, train, TrainConfig(epochs=12, batch_size=64, optimiser=AdamW(lr=0.01)), callbacks=[TrainExits()])
    return early, train, valid, test


def test_calibration_holds_on_what_it_saw_and_is_what_the_module_does(
    trained: tuple[EarlyExit, Examples, Examples, Examples], tmp_path: Path
) -> None:
    early, _, valid, test = trained
    found = calibrate_exits(early, valid, lost=0.01)
    done = evaluate(early, valid)
    assert found.accuracy == pytest.approx(done.score)
    assert found.accuracy >= found.wanted == pytest.approx(found.full - 0.01)
    assert found.interval[0] < found.accuracy < found.interval[1]
    exits = record_exits(tmp_path, early, valid, model="early")
    assert found.shares == pytest.approx(np.bincount(exits, minlength=3) / 400)
    assert found.shares[2] < 0.9
    assert found.cost < 1
    ledger = Ledger(tmp_path)
    assert np.array_equal(ledger.values("exit", valid.ids, model="early"), exits)
    assert ledger.values("exit_correct", valid.ids, model="early").mean() == pytest.approx(found.accuracy)
    before = early.thresholds.clone()
    curve = exit_curve(early, valid, test, lost=(0.0, 0.05), examples=6, rounds=1, by="multiply_adds")
    assert torch.equal(early.thresholds, before)
    assert [one.lost for one in curve.points] == [None, 0.0, 0.05]
    assert curve.points[0].accuracy == pytest.approx(evaluate(early.model, test).score)
    assert curve.points[0].shares == (0, 0, 1)
    assert all(one.seconds > 0 and one.batched > 0 and one.regrouped for one in curve.points)
    assert str(curve).count("\n") == 3
    with pytest.raises(InputError, match="ask for that at most"):
        calibrate_exits(early, valid, accuracy=1.1)


def test_costs_are_counted_by_hand(trained: tuple[EarlyExit, Examples, Examples, Examples]) -> None:
    early = trained[0]
    counted = exit_costs(early, torch.zeros(1, 1, 8, 8))
    assert counted.ends == (64 * 32, 64 * 32 + 32 * 32, 64 * 32 + 32 * 32 + 32 * 10)
    assert counted.heads == (320, 320)
    timed = exit_costs(early, torch.zeros(1, 1, 8, 8), by="seconds", rounds=2)
    assert timed.ends[-1] > 0
    assert early.training, "left in the mode in which it was"


def test_the_loss_of_the_exits_is_added_and_frozen_features_stay(digits: Examples) -> None:
    config = TrainConfig(steps=5, batch_size=50)
    alone, early = mlp(digits, hidden=(8, 8), batch_norm=True), mlp(digits, hidden=(8, 8), batch_norm=True)
    fit(alone, digits, config)
    module = EarlyExit(early, ["4"], torch.zeros(1, 1, 8, 8))
    fit(module, digits, config, callbacks=[TrainExits(0.0)])
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), early.parameters(), strict=True))
    before = {name: one.clone() for name, one in early.state_dict().items()}
    head = [one.clone() for one in module.heads.parameters()]
    found = fit(module, digits, config.model_copy(update={"steps": 30}), callbacks=[TrainExits(frozen=True)])
    assert all(torch.equal(one, before[name]) for name, one in early.state_dict().items())
    assert all(not torch.equal(a, b) for a, b in zip(head, module.heads.parameters(), strict=True))
    assert found.history[-1]["loss"] < found.history[0]["loss"]
    assert all(one.requires_grad for one in early.parameters())


class Power(Callback):
    def __init__(self, steps: int | None) -> None:
        self.steps = steps

    def after_step(self, run: Run) -> None:
        if run.step == self.steps:
            raise ConnectionError


def test_a_run_that_was_cut_off_ends_bit_for_bit(digits: Examples, tmp_path: Path) -> None:
    def train(folder: Path | None, cut: int | None) -> EarlyExit:
        early = EarlyExit(small_cnn(digits, widths=(4, 4), dropout=0.2), ["3"], torch.zeros(1, 1, 8, 8))
        config = TrainConfig(epochs=2, batch_size=64, checkpoint_seconds=0)
        fit(early, digits, config, callbacks=[TrainExits(), Power(cut)], folder=folder)
        return early

    with pytest.raises(ConnectionError):
        train(tmp_path, 7)
    resumed, whole = train(tmp_path, None), train(None, None)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_what_cannot_have_exits_is_refused_in_a_line(iris: Examples) -> None:
    inputs = torch.from_numpy(iris.inputs[:2])
    with pytest.raises(InputError, match="no module 'blok'; did you mean 'block'"):
        EarlyExit(Skipping(), ["blok"], inputs)
    with pytest.raises(InputError, match="at least one module, each once"):
        EarlyExit(Skipping(), [], inputs)
    twice = nn.Sequential(shared := nn.Linear(4, 4), shared, nn.Linear(4, 3))
    with pytest.raises(InputError, match="more than once"):
        EarlyExit(twice, ["0"], inputs)
    idle = Skipping()
    idle.extra = nn.Linear(2, 2)
    with pytest.raises(InputError, match="extra does not run"):
        EarlyExit(idle, ["extra"], inputs)
    with pytest.raises(InputError, match="classifier"):
        EarlyExit(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1)), ["0"], inputs)
    early = EarlyExit(Skipping(), ["block"], inputs)
    with pytest.raises(InputError, match="1 thresholds are needed"):
        early.set_thresholds([0.5, 0.5])
    with pytest.raises(InputError, match="trains an EarlyExit, and the model is a Skipping"):
        fit(Skipping(), iris, TrainConfig(steps=1), callbacks=[TrainExits()])
    with pytest.raises(InputError, match="1 weights are needed"):
        fit(early, iris, TrainConfig(steps=1), callbacks=[TrainExits([1.0, 2.0])])


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("regroup", [True, False])
def test_who_is_exactly_as_sure_as_the_threshold_leaves(rows: int, regroup: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    early = EarlyExit(model, ["1"], torch.zeros(1, 4)).eval()
    with torch.no_grad():
        for one in early.heads.parameters():
            one.zero_()  # two classes alike: a top probability of a half
    for threshold, place in ((0.5, 0), (float(np.nextafter(np.float32(0.5), np.float32(1))), 1)):
        early.set_thresholds([threshold])
        assert early.leave(torch.randn(rows, 4), regroup=regroup).exits.tolist() == [place] * rows
