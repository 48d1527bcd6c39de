"""Targets that are searched for, protection, and what onnxruntime runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from selftaught.compress import ChannelGroup, channel_groups, load_onnx
from selftaught.errors import InputError, ResumeError
from selftaught.examples import Examples
from selftaught.plans import (
    Balance,
    Channels,
    Choosing,
    Compressed,
    FineTune,
    Kernels,
    LowBits,
    Onnx,
    Plan,
    Step,
    Target,
    TargetMissedError,
    TargetSearch,
    Weights,
    compress,
    divide,
    execution,
    load_source,
    protect,
    protecting,
    run_plan,
    target_of,
)
from selftaught.plans.balancing import balancing_shift, last_bias
from selftaught.plans.budgets import global_budget, sensitivity_budget, uniform_budget, widths_left
from selftaught.plans.comparison import largest_drop
from selftaught.plans.progress import Decisions
from selftaught.plans.protecting import at_risk, known_rates
from selftaught.plans.runtimes import InRuntime
from selftaught.plans.samples import sample_of
from selftaught.plans.target_search import SURE_ROUNDS
from selftaught.training import TrainConfig, evaluate, fit, mlp
from tests.plans.conftest import quick

WHOLE = 64 * 64 + 64 * 48 + 48 * 10  # multiply-adds of the dense model
TUNE = FineTune(training=TrainConfig(steps=10, device="cpu"))


@pytest.fixture(scope="module")
def model(digits: Examples) -> nn.Module:
    made = mlp(digits, hidden=(64, 48))
    fit(made, digits, TrainConfig(epochs=4, device="cpu"))
    return made.eval()


@pytest.mark.parametrize("text", ["latency", "speed=2x", "latency=2x", "latency=0x", "size=3parsec", "latency=-1ms"])
def test_a_target_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--target"):
        target_of(text)


def test_a_target_is_a_share_of_the_dense_cost_or_an_amount() -> None:
    assert target_of("size=0.25x").share(25, 200) == pytest.approx(0.5)
    assert target_of("size=50kB").share(25_000, 1) == pytest.approx(0.5)
    assert target_of("multiply-adds=1M").limit == 1e6
    assert str(target_of("latency=1.5ms")) == "latency=1.5ms"


def test_budgets_rise_with_their_amount_and_agree_with_what_is_pruned(model: nn.Module) -> None:
    groups = [one for one in channel_groups(model, torch.zeros(2, 1, 8, 8)) if not one.fixed]
    importance = {one: np.linspace(0.1, 1, one.width) for one in groups}
    lost = {"2.weight": 0.2, "4.weight": 0.0}
    for budget in (uniform_budget(groups), global_budget(importance), sensitivity_budget(groups, lost)):
        sums = [sum(widths_left(groups, budget(amount), 8)) for amount in (0.1, 0.4, 0.7, 0.9)]
        assert sums == sorted(sums, reverse=True)
        assert sums[0] > sums[-1]
    assert widths_left([ChannelGroup(("a",), 20, 20, "")], {"a": 0.0}, 16) == (20,)


def test_a_search_finds_the_least_that_holds(model: nn.Module, digits: Examples, tmp_path: Path) -> None:
    target = target_of("multiply-adds=0.5x")
    decisions = Decisions(tmp_path, {})
    searched = TargetSearch(
        model, digits, digits.take(np.arange(200)), target, round_to=16, decisions=decisions, trials=8
    )
    found = searched.candidates(3)
    assert found
    assert all(one.share <= 1 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for one in found:
        made = run_plan(model, digits, Plan(steps=(one.step,)))
        assert searched.cost_share(made.model) == pytest.approx(one.share)
        assert tuple(made.model[place].out_features for place in (2, 4)) == one.widths
    # An oracle: the first of equal shares whose multiply-adds, written out, are below the limit.
    steps = [widths_left(searched._groups, uniform_budget(searched._groups)(0.025 * k), 16) for k in range(1, 38)]
    first = next(one for one in steps if 64 * one[0] + one[0] * one[1] + one[1] * 10 <= 0.5 * 0.97 * WHOLE)
    held = searched._first_that_holds(uniform_budget(searched._groups))
    assert held is not None
    assert widths_left(searched._groups, held, 16) == first
    again = TargetSearch(
        model, digits, digits.take(np.arange(200)), target, round_to=16, trials=8,
        decisions=Decisions(tmp_path, {}), score=lambda one: pytest.fail("everything was decided"),
    )  # fmt: skip
    assert [one.widths for one in again.candidates(3)] == [one.widths for one in found]


def test_where_no_cut_holds_when_timed_for_longer_the_nearest_is_taken(model: nn.Module, digits: Examples) -> None:
    class Drifting(TargetSearch):
        def cost_share(self, model: nn.Module, *, rounds: int = SURE_ROUNDS) -> float:
            return super().cost_share(model, rounds=rounds) + 10 * (rounds == SURE_ROUNDS)

    searched = Drifting(model, digits, digits.take(np.arange(200)), target_of("multiply-adds=0.5x"), trials=8)
    (found,) = searched.candidates(3)
    kept = {name: share for name, share in searched._scores.items() if name.endswith(f" {SURE_ROUNDS}")}
    assert len(kept) > 1
    assert kept[f"share {found.widths} {SURE_ROUNDS}"] == min(kept.values())
    assert len(set(kept.values())) > 1


@pytest.mark.parametrize(
    "other", [{"batches": (1,)}, {"threads": 2}, {"protected": True}, {"target": target_of("size=0.5x")}]
)
def test_what_was_measured_for_another_question_is_not_taken_over(
    trained: Path, digits: Examples, tmp_path: Path, other: dict[str, Any]
) -> None:
    plan = Plan(steps=(Channels(round_to=8), TUNE))
    asked: dict[str, Any] = {"target": target_of("size=0.4x"), "batches": (8,)}
    source = load_source(str(trained))
    compress(source, digits, Choosing(plan, **asked), out=tmp_path, judging=quick())
    with pytest.raises(ResumeError, match="asked for something else"):
        compress(source, digits, Choosing(plan, **asked | other), out=tmp_path, judging=quick())


def test_a_search_goes_as_far_as_a_layer_may_lose(digits: Examples) -> None:
    """Of 40 channels 95 % leave 2, and nothing before that: 0.925 leaves 3."""
    dense = mlp(digits, hidden=(40,)).eval()
    target = Target(what="multiply-adds", limit=1.05 * 2 * (64 + 10), relative=False)
    found = TargetSearch(dense, digits, digits.take(np.arange(100)), target, round_to=1, trials=0).candidates(1)
    assert found[0].widths == (2,)


def test_what_cannot_be_reached_says_the_best(model: nn.Module, digits: Examples) -> None:
    searched = TargetSearch(model, digits, digits, target_of("size=0.001x"))
    with pytest.raises(TargetMissedError, match="the best is") as told:
        searched.candidates()
    assert told.value.exit_code == 1


def test_a_target_from_folder_to_folder(trained: Path, digits: Examples, tmp_path: Path) -> None:
    source = load_source(str(trained))
    plan = Plan(steps=(Channels(round_to=8), TUNE))
    target = target_of("size=0.5x")
    said: list[str] = []
    chooser = Choosing(plan, target=target, batches=(8,), say=said.append)
    found = compress(source, digits, chooser, out=tmp_path / "out", judging=quick(), target=target)
    assert found.share <= 1
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert told["target"] == {"wanted": "size=0.5x", "share": found.share, "reached": True}
    assert any("finalist" in one for one in said)
    same = compress(source, digits, chooser, out=tmp_path / "out", judging=quick(), target=target)
    assert same.made.widths == found.made.widths


def test_classes_at_risk_weigh_more(digits: Examples, model: nn.Module) -> None:
    found = at_risk({"a": (0.9, 5), "b": (0.9, 5), "c": (0.9, 5)}, {"a": (0.8, 5), "b": (0.9, 5), "c": (0.85, 5)})
    assert found["a"] > found["c"] > found["b"]
    groups = at_risk({"sex f": (0.9, 5), "sex m": (0.9, 5)}, {"sex f": (0.7, 5), "sex m": (0.9, 5)}, column="sex")
    assert set(groups) == {"f", "m"}
    rates = known_rates(model, (digits.take(np.arange(100)), digits.take(np.arange(100, 300))), "")
    right = evaluate(model, digits.take(np.arange(300))).correct
    labels = np.asarray(digits.labels)[:300]
    for place, name in enumerate(digits.class_names):
        assert rates[name][0] == pytest.approx(right[labels == place].mean())
        assert rates[name][1] == (labels == place).sum()


def test_protection_keeps_widths_and_is_a_plain_plan(model: nn.Module, digits: Examples, tmp_path: Path) -> None:
    train, valid = digits.take(np.arange(450)), digits.take(np.arange(450, 600))
    plan = Plan(steps=(Channels(ratio=0.75, round_to=8), TUNE))
    plain = run_plan(model, train, plan, valid=valid)
    found = protect(model, train, valid, plan, folder=tmp_path, decisions=Decisions(tmp_path, {}))
    assert found.widths == plain.widths
    looked_at = (train, valid)
    before = known_rates(model, looked_at, "")

    def drop(one: nn.Module) -> float:
        after = known_rates(one, looked_at, "")
        return max(before[name][0] - after[name][0] for name in before)

    assert drop(found.model) <= drop(plain.model) + 1e-9
    assert "its price" in found.notes[-1]
    repeated = run_plan(model, train, found.plan, valid=valid)
    for name, one in found.model.state_dict().items():
        torch.testing.assert_close(one, repeated.model.state_dict()[name])
    with pytest.raises(InputError, match="--protect fine-tunes"):
        protect(model, train, valid, Plan(steps=(Channels(),)))


@pytest.mark.parametrize("column", ["side", ""])
@pytest.mark.parametrize("resume", [None, False])
def test_what_protection_tries_and_how_much_it_trains(
    digits: Examples, model: nn.Module, monkeypatch: pytest.MonkeyPatch, column: str, resume: bool | None
) -> None:
    weighted: list[bool] = []
    plans: list[tuple[str, Compressed]] = []

    def recorded(*given: Any, **options: Any) -> Any:
        weighted.append(options["weights"] is not None)
        assert options["folder"] is not None  # so that a training that was done before is not done again
        return fit(*given, **options)

    def followed(*given: Any, **options: Any) -> Any:
        made = run_plan(*given, **options)
        plans.append((str(given[2]), made))
        return made

    monkeypatch.setattr(execution, "fit", recorded)
    monkeypatch.setattr(protecting, "run_plan", followed)
    sides = np.where(np.arange(len(digits)) % 3 == 0, "few", "many")
    grouped = Examples(digits.inputs, digits.labels, digits.ids, {"side": sides}, digits.class_names)
    train, valid = grouped.take(np.arange(450)), grouped.take(np.arange(450, 600))
    plan = Plan(steps=(TUNE, Weights(amount=0.5, schedule="one-shot"), Onnx()))
    found = protect(model, train, valid, plan, column=column, resume=resume)
    assert weighted[:3] == [False, False, bool(column)]  # the first training; the same again, and the second
    twice = "fine-tune on a budget, fine-tune on a budget"
    told = [one.replace(", weighted", "") for one, _ in plans]
    assert [one.startswith(twice) for one in told] == [False, True, False, True][: 2 if column else 4]
    assert ["balance" in one for one in told] == [False, False, True, True][: 2 if column else 4]
    assert all(one.endswith("balance, float32 in onnxruntime") for one in told[2:])
    before = known_rates(model, (train, valid), column)
    drops = [largest_drop(before, known_rates(made.runs, (train, valid), column)) for _, made in plans]
    assert found is plans[int(np.argmin(drops))][1]


@pytest.mark.parametrize("stopped", [1, 2, 3, 4, 5, 6])
def test_a_protection_that_is_stopped_is_not_finished(
    digits: Examples, model: nn.Module, monkeypatch: pytest.MonkeyPatch, stopped: int
) -> None:
    calls: list[int] = []

    def recorded(*given: Any, **options: Any) -> Any:
        calls.append(len(calls) + 1)
        return replace(fit(*given, **options), finished=calls[-1] != stopped)

    monkeypatch.setattr(execution, "fit", recorded)
    train, valid = digits.take(np.arange(450)), digits.take(np.arange(450, 600))
    assert not protect(model, train, valid, Plan(steps=(TUNE,))).finished
    assert calls[-1] == stopped


def test_a_column_without_a_group_protects_nobody(digits: Examples, model: nn.Module) -> None:
    nobody = replace(digits, groups={"side": np.array([None] * len(digits), object)})
    with pytest.raises(InputError, match="no example has a group in the column 'side'"):
        protect(model, nobody, nobody, Plan(steps=(TUNE,)), column="side")


def test_a_group_is_protected_by_its_column(digits: Examples, model: nn.Module) -> None:
    sides = np.where(np.arange(len(digits)) % 3 == 0, "few", "many")
    grouped = Examples(digits.inputs, digits.labels, digits.ids, {"side": sides}, digits.class_names)
    train, valid = grouped.take(np.arange(450)), grouped.take(np.arange(450, 600))
    found = protect(model, train, valid, Plan(steps=(Channels(ratio=0.75, round_to=8), TUNE)), column="side")
    assert found.plan.column == "side"
    assert "of a group" in found.notes[-1]


@pytest.mark.parametrize("step", [Onnx(), LowBits(how="dynamic")])
def test_what_onnxruntime_runs_is_what_is_judged(
    trained: Path, digits: Examples, tmp_path: Path, step: Onnx | LowBits
) -> None:
    plan = Plan(steps=(Channels(ratio=0.5), step))
    found = compress(load_source(str(trained)), digits, plan, out=tmp_path / "out", judging=quick())
    session = load_onnx(tmp_path / "out" / "model.onnx")
    rows = sample_of(digits, 16)
    scores = evaluate(found.made.runs, digits.take(np.arange(16))).scores
    np.testing.assert_allclose(session(rows).numpy(), scores, rtol=1e-4, atol=1e-4)
    row = found.comparison.gains[0].rows[-1]
    assert row.bytes == (tmp_path / "out" / "model.onnx").stat().st_size
    assert row.theoretical > 1.5


def test_a_search_times_what_the_plan_leaves(digits: Examples, model: nn.Module, trained: Path) -> None:
    low = LowBits(how="static")
    choosing = Choosing(Plan(steps=(TUNE, low)), target=target_of("latency=0.5x"), ignore=("2",))
    timed = choosing._runtime(divide(load_source(str(trained)), digits))
    assert timed is not None
    made = run_plan(model, digits, Plan(steps=(low,)), ignore=("2",))
    for one in (timed(model), made.runtime):
        assert isinstance(one, InRuntime)
        assert "2.weight (it is to be ignored)" in one.told


def test_layers_are_chosen_by_measurement(digits: Examples) -> None:
    model = mlp(digits, hidden=(32,)).eval()
    plan = Plan(steps=(Weights(amount=0.9, schedule="one-shot", ranking="per_layer"), Kernels(batches=(8,))))
    found = run_plan(model, digits, plan)
    assert "fastest form of each layer" in found.notes[-1]
    few = digits.take(np.arange(50))
    np.testing.assert_allclose(evaluate(found.runs, few).scores, evaluate(found.model, few).scores, atol=1e-4)


def test_rounding_while_fine_tuning(digits: Examples) -> None:
    model = mlp(digits, hidden=(32,)).eval()
    found = run_plan(model, digits, Plan(steps=(TUNE, LowBits(how="qat"))))
    assert found.runtime is not None
    assert found.runtime.told.startswith("static")


@pytest.mark.parametrize(
    ("steps", "match"), [((Onnx(), TUNE), "must be the last step"), ((LowBits(how="qat"),), "add fine-tune before")]
)
def test_what_runs_it_comes_last(steps: tuple[Step, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Plan(steps=steps)


def test_what_rounding_moved_is_what_the_shift_gives_back(digits: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    train, model = digits.take(np.arange(450)), mlp(digits, hidden=(32,))
    fit(model, train, TrainConfig(epochs=25, device="cpu"))
    model.eval()
    moved = torch.tensor([2.0, *[0.0] * 9])

    def rounded(module: nn.Module, examples: Examples, step: LowBits, **options: Any) -> InRuntime:
        return InRuntime(lambda inputs: module(inputs) - moved, module, b"")

    def bias(one: nn.Module) -> np.ndarray:
        found = last_bias(one)
        assert found is not None
        return np.array(found.detach().numpy())

    monkeypatch.setattr(execution, "in_onnxruntime", rounded)
    made = run_plan(model, train, Plan(steps=(Balance(), LowBits())))
    before, labels = evaluate(model, train).scores, np.asarray(train.labels, np.int64)
    wanted = balancing_shift(before, before - moved.numpy(), labels)
    np.testing.assert_allclose(bias(made.model) - bias(model), wanted, atol=1e-4)
    assert wanted[0] - wanted[1:].mean() == pytest.approx(2, abs=0.5)
    np.testing.assert_array_equal(bias(run_plan(model, train, Plan(steps=(Balance(),))).model), bias(model))
