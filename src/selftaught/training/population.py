"""`fit_population`: train many models of one shape at once, each as `fit` would train it alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from selftaught.errors import DivergedError, InputError
from selftaught.examples import Examples, Task
from selftaught.seeds import seed_for
from selftaught.training.batches import Batch, InMemory
from selftaught.training.callbacks import Callback
from selftaught.training.config import TrainConfig
from selftaught.training.devices import left_as_found, pick_device
from selftaught.training.evaluation import Evaluation, evaluate
from selftaught.training.losses import Loss
from selftaught.training.member_data import MemberData
from selftaught.training.members import MemberRuns
from selftaught.training.population_optimisers import PopulationOptimiser
from selftaught.training.random_state import own_random_state, seed_of_step
from selftaught.training.run import augmented
from selftaught.training.stack import Engine, Stack, pick_engine

__all__ = ["FittedPopulation", "fit_population"]

#: In what members may differ.
_OWN = ("seed", "optimiser")
_OWN_OF_OPTIMISER = ("lr", "weight_decay")


@dataclass(frozen=True, eq=False)
class FittedPopulation:
    """What came of a population; the models themselves were trained in place.

    Args:
        models: those that were given.
        configs: one a member.
        steps: of each member.
        seconds: of all of them together.
        losses: an epoch's mean training loss of each member, a tuple an epoch.
        valid: an evaluation a member, or empty.
        engine: how the members ran.
    """

    models: tuple[torch.nn.Module, ...]
    configs: tuple[TrainConfig, ...]
    steps: int
    seconds: float
    losses: tuple[tuple[float, ...], ...]
    valid: tuple[Evaluation, ...]
    engine: Engine


def fit_population(
    models: Sequence[torch.nn.Module] | Callable[[int], torch.nn.Module],
    data: Task | Examples | Sequence[Examples],
    config: TrainConfig | Sequence[TrainConfig] | None = None,
    *,
    members: int | None = None,
    valid: Examples | Sequence[Examples] | None = None,
    weights: NDArray[Any] | Mapping[str, float] | None = None,
    soft_targets: NDArray[Any] | None = None,
    callbacks: Callable[[int], Sequence[Callback]] | None = None,
    engine: Engine | None = None,
    on_epoch: Callable[[int, tuple[float, ...]], str | None] | None = None,
) -> FittedPopulation:
    """Train models of one shape together, in place.

    Each member has its own seed, and so its own order of examples, augmentation and dropout; its own BatchNorm
    statistics, learning rate and weight decay. It ends where `fit` with its settings would, but for rounding.

    Args:
        models: the members, or a function that makes member number 0, 1, ...
        data: what all of them are trained on; or examples of each member, which have one shape, number and kind of
            targets.
        config: settings of each member, which may differ in `seed` and in the optimiser's `lr` and `weight_decay`; or
            one for all, and member k has its seed plus k.
        members: how many, for a function.
        valid: what each is evaluated on at the end, for all or one a member; a task's validation part by default.
        weights: (n,) weight of each example's loss, or a mapping from ids.
        soft_targets: (n, classes) shares instead of the examples' labels.
        callbacks: gives the callbacks of member number 0, 1, ..., each its own; only such as touch nothing but
            parameters, gradients and buffers (`Callback.in_populations`): masks, gradual pruning, recorded outcomes.
        engine: "layers", "vmap" or "turns", see `Stack`; None takes what was measured to be fastest for such a model.
        on_epoch: called with the number of epochs done and the members' losses; "stop" ends the run.

    Raises:
        InputError: the models are not of one shape, the settings differ in what all must share, there are not as many
            data as members, a callback does not work in populations, or soft targets go with data of each member.
        DataError: members' data differ in shape, number or kind of targets.
        DivergedError: the loss of a member is not finite any more.

    >>> from selftaught import load
    >>> from selftaught.training import TrainConfig, fit_population, mlp
    >>> iris = load("iris")
    >>> found = fit_population(lambda k: mlp(iris, seed=k), iris, TrainConfig(epochs=3), members=4, valid=iris)
    >>> len(found.valid), found.steps
    (4, 6)
    """
    began = time.perf_counter()
    if callable(models):
        if members is None:
            raise InputError("a function that makes models needs their number: give members=")
        models = [models(number) for number in range(members)]
    if not models:
        raise InputError("a population needs at least one model, got none")
    configs = _configs(config, len(models))
    shared = configs[0]
    if isinstance(data, Task):
        valid, data = valid or data.valid, data.train
    device = pick_device(shared.device)
    with ExitStack() as entered:
        entered.enter_context(own_random_state(device))
        for model in models:
            entered.enter_context(left_as_found(model, device))
        source: InMemory | MemberData
        if isinstance(data, Examples):
            source = InMemory(data, batch_size=shared.batch_size, device=device, weights=weights,
                              soft_targets=soft_targets)  # fmt: skip
        elif soft_targets is not None or callbacks is not None:
            raise InputError("soft targets and callbacks need examples that all members share; give one data set")
        else:
            source = MemberData(_one_each(data, len(models), "data"), shared.batch_size, device, weights)
        chosen = engine or pick_engine(models[0], source.batch(torch.arange(source.batch_size, device=device)).inputs)
        losses, steps = _train(Stack(models, chosen, device), source, configs, callbacks, on_epoch, began)
        apart = [valid] * len(models) if valid is None or isinstance(valid, Examples) else _one_each(
            valid, len(models), "valid"
        )
        judged = tuple(evaluate(model, one) for model, one in zip(models, apart, strict=True) if one is not None)
    return FittedPopulation(
        models=tuple(models), configs=configs, steps=steps, seconds=time.perf_counter() - began, losses=losses,
        valid=judged, engine=chosen,
    )  # fmt: skip


def _one_each(data: Sequence[Examples], members: int, name: str) -> Sequence[Examples]:
    if len(data) != members:
        raise InputError(f"{members} models need {name} for all, or one for each; got {len(data)}")
    return data


def _train(
    stack: Stack,
    source: InMemory | MemberData,
    configs: tuple[TrainConfig, ...],
    callbacks: Callable[[int], Sequence[Callback]] | None,
    on_epoch: Callable[[int, tuple[float, ...]], str | None] | None,
    began: float,
) -> tuple[tuple[tuple[float, ...], ...], int]:
    """Take steps until the budget is used; return the losses of each epoch and the number of steps."""
    loss = Loss(source.kind, configs[0].label_smoothing, source.spread)
    runs = MemberRuns(stack, source if isinstance(source, InMemory) else None, configs, loss, callbacks)
    try:
        runs.start()
        found = _steps(stack, source, configs, loss, runs, on_epoch, began)
        runs.end()
        stack.unstack()
    finally:
        runs.clean()
    return found


def _steps(
    stack: Stack,
    source: InMemory | MemberData,
    configs: tuple[TrainConfig, ...],
    loss: Loss,
    runs: MemberRuns,
    on_epoch: Callable[[int, tuple[float, ...]], str | None] | None,
    began: float,
) -> tuple[tuple[tuple[float, ...], ...], int]:
    shared = configs[0]
    optimiser = PopulationOptimiser(stack, [one.optimiser for one in configs])
    history: list[tuple[float, ...]] = []
    epochs, step, slowest = shared.planned_epochs, 0, 0.0
    total = shared.steps or (epochs * source.batches if epochs else None)
    mixing = torch.Generator()
    over = False
    while not over:
        streams = [source.rows(one.seed, len(history)) for one in configs]
        sums, seen, place = torch.zeros(len(stack), device=source.device), 0, 0
        for rows in zip(*streams, strict=True):
            start = time.perf_counter()
            if shared.seconds is not None:
                factor = shared.schedule.factor(min((start - began) / shared.seconds, 1.0) * 1000, 1000.0)
            else:
                factor = shared.schedule.factor(step, total or 1)
            batches = _batches(source, rows, each=shared.augment is not None)
            found = _step(stack, batches, optimiser, configs, source, loss, factor, step, mixing, runs)
            step += 1
            runs.after_step()
            sums += found * len(rows[0])
            seen += len(rows[0])
            place += 1
            slowest = max(0.9 * slowest, time.perf_counter() - start)
            used = time.perf_counter() - began + slowest
            over = step >= total if total is not None else used >= (shared.seconds or 0.0)
            if over:
                break
        history.append(tuple((sums / max(seen, 1)).tolist()))
        _check_finite(history)
        runs.after_epoch(history[-1], whole=place == source.batches)
        over = over or (on_epoch is not None and on_epoch(len(history), history[-1]) == "stop")
    return tuple(history), step


def _batches(source: InMemory | MemberData, rows: Sequence[torch.Tensor], *, each: bool) -> list[Batch]:
    """Return a batch for each member, or one of all of them."""
    if not each:
        return [source.batch(torch.stack(list(rows)))]
    if isinstance(source, InMemory):
        return [source.batch(one) for one in rows]
    return [source.batch(one, member) for member, one in enumerate(rows)]


def _step(
    stack: Stack,
    batches: list[Batch],
    optimiser: PopulationOptimiser,
    configs: tuple[TrainConfig, ...],
    source: InMemory | MemberData,
    loss: Loss,
    factor: float,
    step: int,
    mixing: torch.Generator,
    runs: MemberRuns,
) -> torch.Tensor:
    """Take one step of all members; return the loss of each, (members,)."""
    shared, members = configs[0], len(stack)
    if shared.augment is None:
        batch = batches[0]
        inputs, targets, weights, lowered = batch.inputs, batch.targets, batch.weights, loss
    else:
        parts = []
        for one, own in zip(batches, configs, strict=True):
            mixing.manual_seed(seed_of_step(seed_for(own.seed, "augment"), step))
            parts.append(augmented(one, shared.augment, loss, source.classes, mixing))
        inputs, targets = torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])
        weights = None if parts[0][2] is None else torch.stack([part[2] for part in parts if part[2] is not None])
        lowered = parts[0][3]
    for generator, own in zip(stack.generators, configs, strict=True):
        generator.manual_seed(seed_of_step(seed_for(own.seed, "model"), step))
    runs.before_step()
    stack.gradients.zero_()
    narrow = torch.autocast(source.device.type, torch.bfloat16, enabled=shared.precision == "bfloat16")
    if stack.engine == "turns":
        # Backward follows at once, so that one member's activations are alive at a time.
        found = []
        for number in range(members):
            with narrow:
                own_scores = stack.forward_one(number, inputs[number])
            own_weights = None if weights is None else weights[number]
            found.append(lowered.mean(own_scores.float(), targets[number], own_weights))
            found[-1].backward()
        losses = torch.stack([one.detach() for one in found])
    else:
        with narrow:
            scores = stack.forward(inputs)
        each = lowered.each(scores.float().flatten(0, 1), targets.flatten(0, 1)).view(members, -1)
        losses = (each if weights is None else each * weights).mean(1)
        losses.sum().backward()
    runs.after_backward()
    if shared.clip_norm is not None:
        stack.clip(shared.clip_norm)
    optimiser.step(stack.gradients, factor)
    return losses.detach()


def _configs(config: TrainConfig | Sequence[TrainConfig] | None, members: int) -> tuple[TrainConfig, ...]:
    if config is None or isinstance(config, TrainConfig):
        first = config or TrainConfig()
        return tuple(first.model_copy(update={"seed": first.seed + number}) for number in range(members))
    found = tuple(config)
    if len(found) != members:
        raise InputError(f"{members} models need as many settings, got {len(found)}")
    shared = _shared(found[0])
    for number, one in enumerate(found):
        differing = [name for name, value in _shared(one).items() if shared.get(name) != value]
        if differing:
            raise InputError(
                f"members may differ in seed, lr and weight_decay, but {differing[0]} of number {number} differs too"
            )
    return found


def _shared(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that all members must share."""
    if config.precision == "auto":
        raise InputError("a population takes precision 'float32' or 'bfloat16', not 'auto'")
    settings = config.model_dump()
    own = {f"optimiser.{name}": value for name, value in settings["optimiser"].items() if name not in _OWN_OF_OPTIMISER}
    return {name: value for name, value in settings.items() if name not in _OWN} | own


def _check_finite(history: list[tuple[float, ...]]) -> None:
    for number, loss in enumerate(history[-1]):
        if not abs(loss) < float("inf"):
            raise DivergedError(
                f"the loss of member {number} is not finite in epoch {len(history)}; lower its learning rate, or clip "
                "the gradient with clip_norm"
            )
