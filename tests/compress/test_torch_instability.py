"""Instability: what a cut takes away, beside evaluations by hand; the victims of each control; interruptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from selftaught.compress import GradualPruning, Instability
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training import Callback, Run, TrainConfig, evaluate, fit, mlp

CONFIG = TrainConfig(steps=20, batch_size=50)


class ByHand(Callback):
    """The accuracy after each step, without what the later callbacks do to the weights, and after all of them."""

    def __init__(self, examples: Examples, into: dict[int, float]) -> None:
        self.examples, self.into = examples, into

    def after_step(self, run: Run) -> None:
        self.into[run.step] = evaluate(run.model, self.examples).score


def test_each_cut_has_its_row(digits: Examples, tmp_path: Path) -> None:
    pruning = GradualPruning(0.05, every=4)
    watch = Instability(pruning, digits, ledger=tmp_path)
    before: dict[int, float] = {}
    after: dict[int, float] = {}
    added = [ByHand(digits, before), watch, pruning, ByHand(digits, after)]
    fit(mlp(digits, hidden=(16,)), digits, CONFIG, callbacks=added)
    assert [(cut.step, cut.density) for cut in watch.cuts] == pruning.cuts
    assert len(watch.cuts) == 3
    # Masks are applied once more before a cut, which moves no accuracy: what is out is zero but for the step's update.
    assert [cut.after for cut in watch.cuts] == [after[cut.step] for cut in watch.cuts]
    assert watch.cuts[0].before == before[watch.cuts[0].step]
    assert max(cut.instability for cut in watch.cuts) > 0.02
    frame = Ledger(tmp_path).read("lost_at_cut")
    assert frame.columns == ["id", "model", "seed", "step", "value"]
    for cut in watch.cuts:
        values = Ledger(tmp_path).values("lost_at_cut", digits.ids, step=cut.step)
        assert values.mean() == pytest.approx(cut.instability)
        assert set(values) <= {-1, 0, 1}
    assert not pruning.watchers


@pytest.mark.parametrize("by", ["magnitude", "random", "largest"])
def test_who_is_cut(digits: Examples, by: str) -> None:
    model = mlp(digits, hidden=(16,))
    weights = model[2].weight.detach().clone().abs()
    pruning = GradualPruning(0.25, start=0.0, end=0.9, every=18, first_density=0.25, by=by)
    fit(model, digits, CONFIG, callbacks=[pruning])
    kept = pruning.masks["2.weight"]
    assert int(kept.sum()) == 256
    if by == "magnitude":
        assert weights[kept].min() >= weights[~kept].max()
    elif by == "largest":
        assert weights[kept].max() <= weights[~kept].min()
    else:
        assert 0.8 < float(weights[kept].mean() / weights.mean()) < 1.2


class Power(Callback):
    def __init__(self, step: int | None) -> None:
        self.step = step

    def after_step(self, run: Run) -> None:
        if run.step == self.step:
            raise ConnectionError


@pytest.mark.parametrize("by", ["magnitude", "random"])
def test_a_run_that_was_cut_off_has_the_same_rows(digits: Examples, tmp_path: Path, by: str) -> None:
    def train(folder: Path | None, *more: Callback) -> tuple[torch.nn.Module, Instability]:
        model, pruning = mlp(digits, hidden=(16,)), GradualPruning(0.1, every=2, start=0.0, by=by)
        watch = Instability(pruning, digits, ledger=None if folder is None else folder / "ledger")
        config = CONFIG.model_copy(update={"checkpoint_seconds": 0})
        fit(model, digits, config, callbacks=[watch, pruning, *more], folder=folder)
        return model, watch

    with pytest.raises(ConnectionError):
        train(tmp_path, Power(12))
    (resumed, one), (whole, other) = train(tmp_path, Power(None)), train(None)
    assert one.cuts == other.cuts
    assert len(one.cuts) == 8
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))
    assert np.array_equal(
        Ledger(tmp_path / "ledger").values("lost_at_cut", digits.ids, step=14) == 1,
        other._lost[[cut.step for cut in other.cuts].index(14)] == 1,
    )


def test_what_cannot_be_watched_is_refused_in_a_line(digits: Examples) -> None:
    pruning = GradualPruning(0.1, every=2)
    with pytest.raises(InputError, match="after Instability"):
        fit(mlp(digits), digits, CONFIG, callbacks=[pruning, Instability(pruning, digits)])
    with pytest.raises(InputError, match="by must be one of"):
        GradualPruning(0.1, by="smallest")
    with pytest.raises(InputError, match="does not go with"):
        GradualPruning(0.1, by="random", regrow=True)
    numbers = Examples(digits.inputs, digits.labels.astype(np.float32), digits.ids)
    with pytest.raises(InputError, match="needs examples with classes"):
        fit(mlp(digits), digits, CONFIG, callbacks=[Instability(pruning, numbers), pruning])
