"""From a trained model to a folder that is whole, loads again, goes on after a kill, and judges by unseen examples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from selftaught.audit import seen_ids
from selftaught.errors import InputError, ResumeError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.plans import (
    Channels,
    FineTune,
    Judging,
    Plan,
    Rewind,
    SparseStart,
    Supermask,
    compress,
    divide,
    headline,
    load_source,
    run_plan,
)
from selftaught.plans.comparison import rates
from selftaught.training import SGD, Progress, TrainConfig, evaluate, load_trained
from tests.plans.conftest import quick

PLAN = Plan(steps=(Channels(ratio=0.5), FineTune(training=TrainConfig(epochs=2, device="cpu"))))


def test_the_folder_is_whole_and_loads_again(trained: Path, digits: Examples, tmp_path: Path) -> None:
    source = load_source(str(trained))
    found = compress(source, digits, PLAN, out=tmp_path / "small", judging=quick())
    assert found.made.widths == {"2.weight": (64, 32), "4.weight": (32, 16)}
    again = load_trained(tmp_path / "small")
    test = found.parts.test
    np.testing.assert_array_equal(evaluate(again, test).scores, evaluate(found.made.model, test).scores)
    told = json.loads((tmp_path / "small" / "result.json").read_text())
    assert told["headline"] == headline(found.comparison)
    assert Plan(**told["plan"]) == PLAN
    assert Plan.from_json((tmp_path / "small" / "plan.json").read_text()) == PLAN
    assert len((tmp_path / "small" / "history.jsonl").read_text().splitlines()) == 2
    before, after = evaluate(source.model, test), evaluate(again, test)
    assert told["accuracy"]["before"] == pytest.approx(before.score)
    assert told["accuracy"]["after"] == pytest.approx(after.score)
    labels = np.asarray(test.labels)
    for place, one in enumerate(told["classes"]):
        assert one["before"] == pytest.approx(before.correct[labels == place].mean())
    assert any("seed churn" in one for one in told["warnings"])
    ledger = Ledger(tmp_path / "small" / "audit")
    np.testing.assert_array_equal(ledger.values("forgotten", test.ids), before.correct & ~after.correct)
    np.testing.assert_array_equal(ledger.values("gained", test.ids), ~before.correct & after.correct)
    assert (tmp_path / "small" / "audit" / "audit.json").is_file()
    # What the smaller model saw is known too, so that an audit of both folders leaves it out.
    assert set(seen_ids([tmp_path / "small"])) == set(seen_ids([trained]))
    smaller = load_source(str(tmp_path / "small"))
    assert smaller.make(1)[2].out_features == 32
    assert divide(smaller, digits, seed=5).told == "the parts of the model's own training"


def test_what_the_model_was_trained_on_never_judges_it(trained: Path, digits: Examples) -> None:
    source = load_source(str(trained))
    seen = set(seen_ids([trained]))
    parts = divide(source, digits)
    assert parts.told == "the parts of the model's own training"
    assert not parts.warning
    assert not seen & set(parts.test.ids)
    assert set(parts.train.ids) | set(parts.valid.ids) == seen
    known = np.isin(digits.ids, list(seen))
    other = divide(source, digits.take(np.flatnonzero(known)[:200].tolist() + np.flatnonzero(~known).tolist()))
    assert not seen & {*other.valid.ids, *other.test.ids}
    with pytest.raises(InputError, match="trained on all but"):
        divide(source, digits.take(known))
    kept_apart = divide(source, digits.take(known), test=digits.take(~known))
    assert set(kept_apart.test.ids) == set(digits.ids[~known])
    assert not set(kept_apart.valid.ids) & set(kept_apart.train.ids)


def test_a_run_that_was_stopped_goes_on_to_the_same_model(trained: Path, digits: Examples, tmp_path: Path) -> None:
    source = load_source(str(trained))
    whole = compress(source, digits, PLAN, out=tmp_path / "whole", judging=quick())
    steps = []

    def stop(progress: Progress) -> str | None:
        steps.append(progress.step)
        return "stop"

    slow = Plan(steps=(PLAN.steps[0], FineTune(training=TrainConfig(epochs=2, device="cpu", checkpoint_seconds=0))))
    cut = compress(source, digits, slow, out=tmp_path / "cut", judging=quick(), on_progress=stop)
    if steps:  # too fast to be stopped otherwise
        assert not cut.made.finished
    gone_on = compress(source, digits, slow, out=tmp_path / "cut", judging=quick())
    assert gone_on.made.finished
    for name, one in whole.made.model.state_dict().items():
        assert torch.equal(one, gone_on.made.model.state_dict()[name])
    with pytest.raises(ResumeError, match="asked for something else"):
        compress(source, digits, Plan(steps=(Channels(ratio=0.25),)), out=tmp_path / "cut", judging=quick())
    with pytest.raises(ResumeError, match="no run"):
        compress(source, digits, PLAN, out=tmp_path / "none", judging=quick(), resume=True)


def test_another_run_does_not_take_over_what_an_earlier_one_left(digits: Examples, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODEL_FILE.format(classes=10))
    name, out = f"{tmp_path}/mine.py:make", tmp_path / "out"
    first = load_source(name).model.state_dict()
    save_file(first, tmp_path / "one.safetensors")
    save_file({key: one + 0.1 for key, one in first.items()}, tmp_path / "two.safetensors")
    one, two = (load_source(name, weights=tmp_path / f"{word}.safetensors") for word in ("one", "two"))
    plan = Plan(steps=(Channels(ratio=0.5), FineTune(training=TrainConfig(steps=2, device="cpu"))))
    compress(one, digits, plan, out=out, judging=quick())
    with pytest.raises(ResumeError, match="something else \\(weights\\)"):
        compress(two, digits, plan, out=out, judging=quick())
    with pytest.raises(ResumeError, match="something else \\(examples\\)"):
        compress(one, digits.take(np.arange(500)), plan, out=out, judging=quick())
    few, kept = digits.take(np.arange(500)), [digits.take(np.arange(500, end)) for end in (560, 600)]
    compress(one, few, plan, out=tmp_path / "apart", judging=quick(), test=kept[0])
    with pytest.raises(ResumeError, match="something else \\(test\\)"):
        compress(one, few, plan, out=tmp_path / "apart", judging=quick(), test=kept[1])
    anew = compress(two, digits, plan, out=out, judging=quick(), resume=False).made.model.state_dict()
    fresh = compress(two, digits, plan, out=tmp_path / "other", judging=quick()).made.model.state_dict()
    assert all(torch.equal(anew[key], fresh[key]) for key in fresh)


@pytest.mark.parametrize("step", [SparseStart(method="set", amount=0.5), Rewind(amount=0.5), Supermask(amount=0.5)])
def test_what_begins_anew_sees_its_inputs_as_the_trained_one_does(
    trained: Path, digits: Examples, step: SparseStart | Rewind | Supermask
) -> None:
    """A folder does not hold the training data, from which the scaling of the inputs was made: that is kept."""
    source = load_source(str(trained))
    known, new = (dict(one.named_buffers()) for one in (source.model, source.make(1)))
    assert known.keys() == new.keys()
    assert all(torch.equal(one, new[name]) for name, one in known.items())
    tune = FineTune(training=TrainConfig(epochs=40, device="cpu", optimiser=SGD(lr=0.1)))
    made = run_plan(source.model, digits.take(np.arange(450)), Plan(steps=(step, tune)), make=source.make)
    assert evaluate(made.model.eval(), digits.take(np.arange(450, 600))).score > 0.8


def test_a_smaller_model_begins_anew_at_its_own_widths(trained: Path, digits: Examples, tmp_path: Path) -> None:
    compress(load_source(str(trained)), digits, PLAN, out=tmp_path / "small", judging=quick())
    small = load_source(str(tmp_path / "small"))
    first, second = (dict(small.make(seed).named_parameters()) for seed in (1, 2))
    for name, one in small.model.named_parameters():
        assert first[name].shape == one.shape
        assert not torch.equal(first[name], one)
        assert not torch.equal(first[name], second[name])
        bound = (6 / (1 + 5) / one.shape[1]) ** 0.5 if one.ndim > 1 else None  # torch's own for linear layers
        assert bound is None or 0.8 * bound < float(first[name].detach().abs().max()) <= bound


MODEL_FILE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.last = nn.Linear(32, {classes})
    def forward(self, inputs):
        return self.last(self.hidden(inputs.flatten(1)).relu())

def make():
    return Net()

def number():
    return 3
"""


def test_a_function_of_the_users_own(digits: Examples, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MODEL_FILE.format(classes=10))
    own = load_source(f"{path}:make")
    save_file({name: one + 0.5 for name, one in own.model.state_dict().items()}, tmp_path / "weights.safetensors")
    source = load_source(f"{path}:make", weights=tmp_path / "weights.safetensors")
    assert torch.equal(source.model.state_dict()["last.bias"], own.model.state_dict()["last.bias"] + 0.5)
    plan = Plan(steps=(Channels(ratio=0.5),))
    found = compress(source, digits, plan, out=tmp_path / "small", judging=quick())
    assert "not known" in found.warnings[0]
    again = load_source(f"{path}:make", weights=tmp_path / "small" / "model.safetensors")
    few = digits.take(np.arange(20))
    np.testing.assert_array_equal(evaluate(again.model, few).scores, evaluate(found.made.model, few).scores)
    with pytest.raises(InputError, match="name that function"):
        load_source(str(tmp_path / "small"))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("nothing", "there is no model"), ("no_such_module_x:make", "cannot be imported"),
        ("{0}/missing.py:make", "no file"), ("{0}/mine.py:made", "did you mean 'make'"),
        ("{0}/mine.py:number", "must return a torch module"), ("{0}/broken.py:make", "SyntaxError"),
        ("{0}", "holds no"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_had_is_one_line(tmp_path: Path, name: str, match: str) -> None:
    (tmp_path / "mine.py").write_text(MODEL_FILE.format(classes=10))
    (tmp_path / "broken.py").write_text("def make(:\n")
    with pytest.raises(InputError, match=match) as told:
        load_source(name.format(tmp_path))
    assert "\n" not in str(told.value)


def test_models_and_data_that_do_not_go_together(digits: Examples, iris_like: Examples, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODEL_FILE.format(classes=9))
    source = load_source(f"{tmp_path}/mine.py:make")
    with pytest.raises(InputError, match="10 classes"):
        compress(source, digits, PLAN, out=tmp_path / "out")
    with pytest.raises(InputError, match="does not take inputs"):
        compress(source, iris_like, PLAN, out=tmp_path / "out")
    (tmp_path / "mine.py").write_text(MODEL_FILE.format(classes=10))
    good = load_source(f"{tmp_path}/mine.py:make")
    with pytest.raises(InputError, match="no column of groups 'sex'"):
        compress(good, digits, PLAN, out=tmp_path / "out", judging=quick(groups=("sex",)))
    bad = good.model.state_dict()
    bad["hidden.weight"][0, 0] = float("nan")
    save_file(bad, tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match=r"1 of 2048 numbers of hidden\.weight are not finite"):
        load_source(f"{tmp_path}/mine.py:make", weights=tmp_path / "bad.safetensors")
    narrow = MODEL_FILE.format(classes=10) + "\n\ndef half():\n    return make().bfloat16()\n"
    (tmp_path / "narrow.py").write_text(narrow)
    with pytest.raises(InputError, match=r"hidden\.weight in bfloat16, .* in float32; give it \.float\(\)"):
        load_source(f"{tmp_path}/narrow.py:half")
    (tmp_path / "lazy.py").write_text("from torch import nn\n\ndef make():\n    return nn.LazyLinear(3)\n")
    with pytest.raises(InputError, match=r"weight without a size .*; run it on an input once before"):
        load_source(f"{tmp_path}/lazy.py:make")
    (tmp_path / "text.safetensors").write_text("pickle")
    with pytest.raises(InputError, match="no safetensors file"):
        load_source(f"{tmp_path}/mine.py:make", weights=tmp_path / "text.safetensors")
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="do not belong"):
        load_source(f"{tmp_path}/mine.py:make", weights=tmp_path / "other.safetensors")


def test_a_test_file_is_read_as_the_other_examples_are(digits: Examples, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODEL_FILE.format(classes=10))
    source, own, kept = load_source(f"{tmp_path}/mine.py:make"), digits.take(np.arange(400)), np.arange(400, 600)
    apart = digits.take(kept[np.asarray(digits.labels)[kept] > 2])
    # A file without the classes 0, 1 and 2 numbers the others from 0 on.
    fewer = replace(apart, labels=np.asarray(apart.labels) - 3, class_names=digits.class_names[3:])
    parts = divide(source, own, test=fewer)
    np.testing.assert_array_equal(parts.test.labels, apart.labels)
    assert parts.test.class_names == digits.class_names
    found = compress(source, own, Plan(steps=(Channels(),)), out=tmp_path / "out", test=fewer, judging=quick())
    assert [one.name for one in found.comparison.classes] == list(digits.class_names[3:])
    others = [
        (replace(apart, class_names=tuple("abcdefghij")), "a class 'a'"),
        (replace(apart, inputs=apart.inputs[:, :4]), "inputs of shape"),
        (replace(apart, feature_names=("one",)), "other columns"),
        (replace(apart, labels=None), "no classes"),
    ]
    for other, match in others:
        with pytest.raises(InputError, match=match):
            divide(source, own, test=other)
    halves = replace(own, groups={"half": np.arange(400) % 2})
    with pytest.raises(InputError, match="test examples have no column of groups 'half'"):
        compress(source, halves, PLAN, out=tmp_path / "none", test=apart, judging=quick(groups=("half",)))


@pytest.mark.parametrize("wrong", [{"batches": ()}, {"batches": (0,)}, {"rounds": 0}, {"threads": 0}])
def test_a_clock_that_cannot_run_is_refused_before_the_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Judging(**wrong)


def test_the_first_line_tells_a_gain_beyond_the_noise_there(trained: Path, digits: Examples, tmp_path: Path) -> None:
    found = compress(load_source(str(trained)), digits, Plan(steps=(Channels(),)), out=tmp_path, judging=quick())

    def timed(batch: int, realised: float, noise: float) -> Any:
        one = found.comparison.gains[0]
        return replace(one, batch=batch, noise=noise, rows=(one.rows[0], replace(one.rows[1], realised=realised)))

    def told(*gains: Any) -> str:
        return headline(replace(found.comparison, gains=gains))

    assert told(timed(1, 1.2, 1.05), timed(32, 1.4, 1.5)).startswith("1.20 x faster at batch 1,")
    assert told(timed(1, 1.2, 1.3), timed(32, 1.4, 1.5)).startswith("Nothing is gained in time")


def test_a_trained_model_knows_its_classes(trained: Path, digits: Examples, tmp_path: Path) -> None:
    renamed = Examples(
        digits.inputs, digits.labels, digits.ids, class_names=tuple(f"c{k}" for k in range(10)), name="renamed"
    )
    with pytest.raises(InputError, match="knows other classes"):
        compress(load_source(str(trained)), renamed, PLAN, out=tmp_path / "out")


@pytest.fixture
def iris_like() -> Examples:
    from selftaught import load

    return load("iris")


def test_zeros_that_gain_nothing_are_said_in_the_first_line(trained: Path, digits: Examples, tmp_path: Path) -> None:
    from selftaught.plans import Weights

    plan = Plan(steps=(Weights(amount=0.9, schedule="one-shot", ranking="per_layer"),))
    found = compress(load_source(str(trained)), digits, plan, out=tmp_path / "out", judging=quick())
    assert isinstance(found.made.model, nn.Module)
    gains = found.comparison.gains[0]
    if gains.rows[-1].realised < 1.1:  # of two rounds on a busy machine no more can be asked
        assert headline(found.comparison).startswith("Nothing is gained in time")
    assert gains.rows[-1].theoretical > 5


def test_examples_without_a_group_belong_to_none(digits: Examples) -> None:
    names = np.array([("young", "old", None, "", "nan")[k % 5] for k in range(len(digits))], object)
    found = rates(np.ones(len(digits), bool), replace(digits, groups={"age": names}), ("age",))
    assert [one for one in found if one.startswith("age")] == ["age nan", "age old", "age young"]
