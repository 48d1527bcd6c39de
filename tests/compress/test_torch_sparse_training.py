"""Masks that change while a model trains: gradual pruning, SET, RigL, Top-KAST; and the gradient flow through them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from selftaught.compress import (
    SET,
    GradientFlow,
    GradualPruning,
    RigL,
    TopKAST,
    cubic_density,
    gradient_flow,
    prunable,
)
from selftaught.compress.densities import kept_counts
from selftaught.compress.sparse_training import dropped_share
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.training import (
    SGD,
    AdamW,
    Callback,
    EarlyStopping,
    Ema,
    Fitted,
    Masks,
    Run,
    TrainConfig,
    evaluate,
    fit,
    mlp,
)

CONFIG = TrainConfig(steps=40, batch_size=50, optimiser=SGD(lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=False))


class Watch(Callback):
    """Keeps masks of another callback, weights, gradients and momenta after each step."""

    def __init__(self, watched: Callback) -> None:
        self.watched = watched
        self.masks: list[dict[str, torch.Tensor]] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.slopes: list[dict[str, torch.Tensor]] = []
        self.momenta: list[dict[str, torch.Tensor]] = []

    def on_start(self, run: Run) -> None:
        self.held = prunable(run.model)

    def after_backward(self, run: Run) -> None:
        self.slopes.append({name: one.grad.clone() for name, one in self.held.items() if one.grad is not None})
        self.momenta.append(
            {
                name: run.optimiser.state[one]["momentum_buffer"].clone()
                for name, one in self.held.items()
                if "momentum_buffer" in run.optimiser.state[one]
            }
        )

    def after_step(self, run: Run) -> None:
        self.masks.append({name: one.bool().clone() for name, one in self.watched.masks.items()})  # type: ignore[attr-defined]
        self.weights.append({name: one.detach().clone() for name, one in self.held.items()})


def trained(digits: Examples, *callbacks: Callback, config: TrainConfig = CONFIG) -> tuple[torch.nn.Module, Fitted]:
    model = mlp(digits, hidden=(20,))
    return model, fit(model, digits, config, callbacks=list(callbacks))


def test_gradual_pruning_follows_the_schedule_exactly(digits: Examples) -> None:
    gradual = GradualPruning(0.1, start=0.25, end=0.75, every=5)
    watch = Watch(gradual)
    trained(digits, gradual, watch)
    assert [step for step, _ in gradual.cuts] == [10, 15, 20, 25, 30]
    assert [density for _, density in gradual.cuts] == pytest.approx([1.0, 1 - 0.9 * 0.578125, 0.2125, 0.1140625, 0.1])
    for step in range(1, 41):
        cut = step - step % 5  # between cuts the masks stay
        density = cubic_density(cut, begin=10, every=5, cuts=4, first=1.0, last=0.1)
        masks, weights = watch.masks[step - 1], watch.weights[step - 1]
        for name, mask in masks.items():
            assert int(mask.sum()) == round(density * mask.numel())
            assert torch.equal(weights[name] * mask, weights[name])
            if step > 1:
                assert not bool((mask & ~watch.masks[step - 2][name]).any()), "once out, always out"


def test_weights_come_back_with_their_value_when_they_may(digits: Examples) -> None:
    gradual = GradualPruning(0.5, start=0.1, end=0.9, every=2, first_density=0.5, regrow=True)
    watch = Watch(gradual)
    trained(digits, gradual, watch, config=CONFIG)
    back = 0
    for before, after, weights in zip(watch.masks[:-1], watch.masks[1:], watch.weights[1:], strict=True):
        for name in before:
            grown = after[name] & ~before[name]
            back += int(grown.sum())
            assert bool((weights[name][grown] != 0).all())
            assert int(after[name].sum()) == round(0.5 * grown.numel())
    assert back > 0


@pytest.mark.parametrize("callback", [GradualPruning(1.0, every=2), RigL(1.0, every=5), SET(1.0, every=5)])
def test_density_one_is_the_dense_run_bit_for_bit(digits: Examples, callback: Callback) -> None:
    dense, _ = trained(digits)
    masked, _ = trained(digits, callback)
    other = masked.state_dict()
    assert all(torch.equal(one, other[name]) for name, one in dense.state_dict().items())


@pytest.mark.parametrize("kind", [SET, RigL])
def test_rounds_keep_every_layers_count_and_move_the_planned_share(digits: Examples, kind: type[RigL]) -> None:
    method = kind(0.2, every=5)
    watch = Watch(method)
    trained(digits, method, watch)
    counts = kept_counts({name: tuple(one.shape) for name, one in watch.held.items()}, 0.2, "erk")
    assert [step for step, _ in method.rounds] == [5, 10, 15, 20, 25]  # until step 30
    for step in range(1, 41):
        for name, mask in watch.masks[step - 1].items():
            assert int(mask.sum()) == counts[name]
            if step < 2:
                continue
            before = watch.masks[step - 2][name]
            moved = int((before & ~mask).sum())
            share = dropped_share(step - 1, last_step=30) if step - 1 in (5, 10, 15, 20, 25) else 0.0
            assert moved == min(int(share * counts[name]), mask.numel() - counts[name])
            dropped, grown = before & ~mask, mask & ~before
            weights = watch.weights[step - 2][name].abs()
            if moved:
                assert float(weights[dropped].max()) <= float(weights[before & mask].min())
                momentum = watch.momenta[step - 1][name]
                assert bool((momentum[dropped | grown] == 0).all())
                assert bool((momentum[before & mask] != 0).any())
                lr, slope = watch_lr(step - 1), watch.slopes[step - 1][name]
                assert torch.allclose(watch.weights[step - 1][name][grown], -lr * slope[grown], atol=1e-7)


def watch_lr(step: int) -> float:
    return 0.1 * CONFIG.schedule.factor(step, 40)


def test_rigl_grows_where_the_dense_gradient_is_largest(digits: Examples) -> None:
    class Dense(Watch):
        """Stands before RigL, so that it sees the gradient before it is masked."""

    method = RigL(0.2, every=5)
    watch = Dense(method)
    trained(digits, watch, method)
    for step, _ in method.rounds:
        for name, slope in watch.slopes[step].items():
            before, after = watch.masks[step - 1][name], watch.masks[step][name]
            grown, rest = after & ~before, ~after & ~before
            if bool(grown.any()) and bool(rest.any()):
                assert float(slope.abs()[grown].min()) >= float(slope.abs()[rest].max())


def test_adam_forgets_both_of_its_moments(digits: Examples) -> None:
    class Moments(Callback):
        def on_start(self, run: Run) -> None:
            self.zeros: list[bool] = []
            self.before: dict[str, torch.Tensor] = {}

        def before_step(self, run: Run) -> None:
            self.before = {name: mask.bool().clone() for name, mask in method.masks.items()}

        def after_backward(self, run: Run) -> None:
            for name, one in prunable(run.model).items():
                changed = method.masks[name].bool() != self.before[name]
                if bool(changed.any()):
                    state = run.optimiser.state[one]
                    self.zeros += [bool((state[key][changed] == 0).all()) for key in ("exp_avg", "exp_avg_sq")]

    method, moments = RigL(0.2, every=5), Moments()
    trained(digits, method, moments, config=TrainConfig(steps=20, batch_size=50, optimiser=AdamW()))
    assert moments.zeros
    assert all(moments.zeros)


def test_top_kast_runs_sparse_trains_its_superset_and_leaves_the_rest_alone(digits: Examples) -> None:
    method = TopKAST(0.2, extra=0.2, l2=0.0, every=4)
    seen: list[int] = []

    class Forward(Callback):
        def before_step(self, run: Run) -> None:
            seen.append(int(torch.count_nonzero(run.model[2].weight)))  # type: ignore[index]

    watch = Watch(method)
    model, _ = trained(digits, method, Forward(), watch)
    size = model[2].weight.numel()  # type: ignore[index]
    assert set(seen) == {round(0.2 * size)}
    for before, after in zip(watch.weights, watch.weights[1:], strict=False):
        moved = int((before["2.weight"] != after["2.weight"]).sum())
        assert round(0.2 * size) < moved <= round(0.4 * size)
    for step in range(4, 40, 4):  # a new choice, of the largest there were
        dense = watch.weights[step - 1]["2.weight"].abs()
        chosen = watch.masks[step]["2.weight"]
        assert float(dense[chosen].min()) >= float(dense[~chosen].max())
    assert int(torch.count_nonzero(model[2].weight)) == round(0.2 * size)  # type: ignore[index]
    assert torch.equal(model[2].weight != 0, method.masks["2.weight"])  # type: ignore[index]


def test_top_kast_draws_only_its_extra_weights_to_zero(digits: Examples) -> None:
    method = TopKAST(0.2, extra=0.2, l2=0.5, every=100)
    plain = TopKAST(0.2, extra=0.2, l2=0.0, every=100)
    watches = [Watch(method), Watch(plain)]
    models = [mlp(digits, hidden=(20,)) for _ in watches]
    for model, one, watch in zip(models, (method, plain), watches, strict=True):
        fit(model, digits, TrainConfig(steps=1, batch_size=50), callbacks=[one, watch])
    start = mlp(digits, hidden=(20,))[2].weight.detach()
    extra = (watches[0].slopes[0]["2.weight"] - watches[1].slopes[0]["2.weight"]) / 0.5
    chosen = extra != 0
    assert int(chosen.sum()) == round(0.4 * start.numel()) - round(0.2 * start.numel())
    assert torch.allclose(extra[chosen], start[chosen], atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GradualPruning(0.2, start=0.1, end=0.9, every=3, regrow=True),
        lambda: GradualPruning(0.2, start=0.1, end=0.9, every=3),
        lambda: SET(0.2, every=3),
        lambda: RigL(0.2, every=3),
        lambda: TopKAST(0.2, every=3),
    ],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(make, digits: Examples, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    config = TrainConfig(steps=20, batch_size=50, optimiser=SGD(lr=0.1, momentum=0.9), checkpoint_seconds=0)

    class Crash(Callback):
        def __init__(self, at: int) -> None:
            self.at = at

        def before_step(self, run: Run) -> None:
            if run.step == self.at:
                raise KeyboardInterrupt

    whole, parts = mlp(digits, hidden=(20,)), mlp(digits, hidden=(20,))
    flows = [GradientFlow(), GradientFlow()]
    fit(whole, digits, config, callbacks=[make(), flows[0], Crash(99)], valid=digits)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, digits, config, callbacks=[make(), GradientFlow(), Crash(11)], folder=tmp_path, valid=digits)
    parts = mlp(digits, hidden=(20,))
    fit(parts, digits, config, callbacks=[make(), flows[1], Crash(99)], folder=tmp_path, resume=True, valid=digits)
    other = parts.state_dict()
    assert all(torch.equal(one, other[name]) for name, one in whole.state_dict().items())
    assert flows[0].history == flows[1].history


def test_the_flow_is_the_mean_norm_of_masked_gradients(digits: Examples) -> None:
    masks = {name: torch.rand(one.shape) < 0.3 for name, one in prunable(mlp(digits, hidden=(20,))).items()}
    held = Masks(masks)
    dense, sparse, watch = GradientFlow(every=7), GradientFlow(masks, every=7), Watch(held)
    by_callback = GradientFlow(held, every=7)
    trained(digits, watch, dense, sparse, by_callback, held)
    assert [step for step, _ in sparse.history] == [0, 7, 14, 21, 28, 35]
    for place, step in enumerate(range(0, 40, 7)):
        slopes = watch.slopes[step]
        whole = sum(float(one.norm()) for one in slopes.values()) / 2
        masked = sum(float((one * masks[name]).norm()) for name, one in slopes.items()) / 2
        assert dense.history[place][1] == pytest.approx(whole, rel=1e-5)
        assert sparse.history[place][1] == by_callback.history[place][1] == pytest.approx(masked, rel=1e-5)


def test_options_out_of_range_are_refused(digits: Examples) -> None:
    for wrong in (
        lambda: GradualPruning(0.5, start=0.9, end=0.1),
        lambda: GradualPruning(0.5, first_density=0.4),
        lambda: RigL(0.0),
        lambda: SET(0.5, alpha=2),
        lambda: TopKAST(0.5, extra=0.6),
        lambda: GradientFlow(every=0),
        lambda: GradientFlow(Callback()),
    ):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(InputError, match="take a smaller every, or more steps"):
        trained(digits, GradualPruning(0.5, every=100))
    with pytest.raises(InputError, match="RigL needs a number of planned steps"):
        trained(digits, RigL(0.5), config=TrainConfig(seconds=1.0))
    with pytest.raises(InputError, match="did you mean"):
        trained(digits, GradientFlow({"2.weigh": torch.ones(1)}))


@pytest.mark.parametrize(
    "make", [lambda: GradualPruning(0.2, every=3), lambda: RigL(0.2, every=5), lambda: TopKAST(0.2)]
)
def test_averages_are_sparse_too(make, digits: Examples) -> None:  # type: ignore[no-untyped-def]
    method = make()
    counts: list[int] = []

    class Evaluated(Callback):
        def before_evaluation(self, run: Run) -> None:
            counts.append(int(torch.count_nonzero(run.model[2].weight)))  # type: ignore[index]

    model = mlp(digits, hidden=(20,))
    found = fit(model, digits, CONFIG, callbacks=[Ema(0.9), method, Evaluated()], valid=digits)
    assert torch.equal(model[2].weight != 0, method.masks["2.weight"].bool())
    assert counts[-1] == int(method.masks["2.weight"].sum())
    assert found.valid is not None
    assert found.valid.score == evaluate(model, digits).score
    with pytest.raises(InputError, match=f"list Ema before {type(make()).__name__}"):
        trained(digits, make(), Ema(0.9))


def test_masks_with_a_plan_and_early_stopping_exclude_each_other(digits: Examples) -> None:
    for method in (GradualPruning(0.2, every=3), SET(0.2)):
        with pytest.raises(InputError, match="leave out EarlyStopping"):
            fit(mlp(digits), digits, CONFIG, callbacks=[EarlyStopping(2), method], valid=digits)


def test_no_gradient_has_no_flow() -> None:
    with pytest.raises(InputError, match="at least one layer"):
        gradient_flow({})


def test_a_schedule_may_begin_with_the_run(digits: Examples) -> None:
    gradual = GradualPruning(0.5, start=0.0, end=1.0, every=20)
    trained(digits, gradual)
    assert [step for step, _ in gradual.cuts] == [0, 20, 40]
