"""Do what a plan says, step by step."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.compress import (
    SET,
    Distillation,
    GradientFlow,
    GradualPruning,
    QuantisationAware,
    RigL,
    TopKAST,
    block_masks,
    n_of_m_masks,
    optimise_mask,
    prune_channels,
    prune_weights,
    reestimate_normalisation,
    rewind,
    taylor_scores,
)
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.plans.balancing import balance
from selftaught.plans.plan import (
    Balance,
    Blocks,
    Channels,
    FineTune,
    Kernels,
    LowBits,
    NofM,
    Onnx,
    Plan,
    Rewind,
    SparseStart,
    Supermask,
    Weights,
)
from selftaught.plans.runtimes import InRuntime, in_onnxruntime, with_kernels
from selftaught.plans.samples import sample_of
from selftaught.training import Callback, Masks, Progress, TrainConfig, evaluate, fit

__all__ = ["Compressed", "example_weights", "run_plan"]


def _topkast(density: float, *, ignore: tuple[str, ...]) -> TopKAST:
    return TopKAST(density, extra=min(density, 1 - density), ignore=ignore)


_MOVING: Mapping[str, Callable[..., Masks | TopKAST]] = {"set": SET, "rigl": RigL, "topkast": _topkast}


@dataclass(eq=False)
class Compressed:
    """What a plan made of a model.

    Args:
        model: the smaller or sparser module, in evaluation mode; the given one stays as it was.
        plan: that was done.
        runtime: the same in onnxruntime, in few bits where the plan says so; None where torch runs it.
        history: a line an epoch of each fine-tuning, with the step's number under "stage".
        widths: name of a weight -> (channels before, after), of layers that lost some.
        left_dense: name of a weight -> why it kept its channels, or how many of its weights no pattern covers.
        notes: a line for what a reader must know, such as a step that changed nothing.
        flow: the effective gradient flow of a training with masks, (step, value).
        seconds: of training.
        finished: False where `on_progress` stopped a training.
    """

    model: nn.Module
    plan: Plan
    runtime: InRuntime | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    widths: dict[str, tuple[int, int]] = field(default_factory=dict)
    left_dense: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    flow: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = True

    @property
    def runs(self) -> nn.Module:
        """What is evaluated and timed: the model in onnxruntime where the plan asks for it, else in torch."""
        return self.model if self.runtime is None else self.runtime


def run_plan(
    model: nn.Module,
    train: Examples,
    plan: Plan,
    *,
    valid: Examples | None = None,
    make: Callable[[int], nn.Module] | None = None,
    ignore: tuple[str, ...] = (),
    folder: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    threads: int = 1,
    on_progress: Callable[[Progress], str | None] | None = None,
) -> Compressed:
    """Do the steps of a plan on a copy of a model.

    Args:
        model: the dense, trained module; it is the teacher where a step distils.
        train: what it is trained on.
        plan: the steps.
        valid: what trainings are watched on, and classes balanced by beside `train`.
        make: seed -> the same module with new weights; for steps that begin anew.
        ignore: names of weights or modules that stay as they are.
        folder: where trainings keep checkpoints, a folder a step; none without it.
        resume: as in `fit`.
        threads: of onnxruntime, where a step leaves a file.
        on_progress: as in `fit`.

    Raises:
        InputError, DataError, ResumeError, DivergedError: as the steps' own functions do.

    >>> from selftaught import load
    >>> from selftaught.plans import Channels, FineTune, Plan
    >>> from selftaught.training import TrainConfig, mlp
    >>> digits = load("digits")
    >>> plan = Plan(steps=(Channels(ratio=0.5), FineTune(training=TrainConfig(epochs=1))))
    >>> found = run_plan(mlp(digits, hidden=(32, 32)), digits, plan)
    >>> found.widths, len(found.history)
    ({'2.weight': (32, 16), '4.weight': (32, 16)}, 1)
    """
    done = Compressed(copy.deepcopy(model).eval(), plan)
    state = _State(model, train, valid, make, ignore, plan)
    for place, step in enumerate(plan.steps):
        own = None if folder is None else Path(folder) / f"step-{place + 1}"
        if isinstance(step, FineTune):
            _tune(state, done, step, place, own, resume, on_progress)
            if not done.finished:
                break
        elif isinstance(step, Channels):
            _cut_channels(state, done, step)
        elif isinstance(step, Weights | NofM | Blocks):
            _mask(state, done, step)
        elif isinstance(step, Kernels):
            _at_rest(done, model)
            done.runtime = with_kernels(done.model, sample_of(train, 32), batches=step.batches, threads=threads)
            done.notes += [done.runtime.told]
        elif isinstance(step, LowBits | Onnx):
            _at_rest(done, model)
            done.runtime = _in_onnxruntime(state, done.model, step, threads)
            done.notes += [done.runtime.told] if done.runtime.told else []
        elif isinstance(step, Balance):
            after, runs = plan.steps[place + 1 :][:1], None
            if after and isinstance(after[0], LowBits):
                _at_rest(done, model)
                runs = _in_onnxruntime(state, done.model, after[0], threads)
            told = balance(done.model, model, train, valid, strength=step.strength, runs=runs)
            done.notes += [told] if told else []
        else:
            _begin_anew(state, done, step, {"folder": own, "resume": resume, "on_progress": on_progress})
            if not done.finished:
                break
    return _at_rest(done, model)


def _in_onnxruntime(state: _State, model: nn.Module, step: LowBits | Onnx, threads: int) -> InRuntime:
    return in_onnxruntime(
        model, state.train, step, ignore=state.ignore, threads=threads, seed=state.plan.seed
    )


def _at_rest(done: Compressed, model: nn.Module) -> Compressed:
    """Return what was done, with the model in evaluation mode and its weights in the memory format of the given one.

    A training may have changed the format, and a gain of time by that alone would pass for one by the plan.
    """
    done.model.eval()
    if all(one.is_contiguous() for one in model.parameters()):
        done.model.to(memory_format=torch.contiguous_format)
    return done


@dataclass(eq=False)
class _State:
    """What steps hand on to each other: above all, what must hold while the next training runs."""

    dense: nn.Module
    train: Examples
    valid: Examples | None
    make: Callable[[int], nn.Module] | None
    ignore: tuple[str, ...]
    plan: Plan
    masks: dict[str, torch.Tensor] = field(default_factory=dict)
    gradual: Weights | None = None
    moving: SparseStart | None = None


def example_weights(examples: Examples, weights: Mapping[str, float], column: str) -> NDArray[np.float32] | None:
    """Return how much each example counts, with mean 1, or None where all count the same.

    Args:
        examples: with classes.
        weights: name of a class, or of a value of the column -> weight; 1 where it is not named.
        column: of groups; the classes when empty.

    Raises:
        InputError: there is no such column, class or value.
    """
    if not weights:
        return None
    if column:
        if column not in examples.groups:
            raise InputError(f"{examples.name!r} has no column of groups {column!r}")
        names = np.array([str(one) for one in examples.groups[column]])
    else:
        names = np.array(examples.class_names)[np.asarray(examples.labels, np.int64)]
    unknown = set(weights) - {str(one) for one in (names if column else examples.class_names)}
    if unknown and not column:
        raise InputError(f"there is no class {sorted(unknown)[0]!r} to weight; there are {examples.class_names}")
    found = np.array([weights.get(str(one), 1.0) for one in names], np.float32)
    return np.asarray(found / found.mean(), np.float32)


def _cut_channels(state: _State, done: Compressed, step: Channels) -> None:
    scores = None
    if step.importance == "taylor":
        weights = example_weights(state.train, step.weights, state.plan.column)
        scores = taylor_scores(done.model, state.train, weights=weights, seed=state.plan.seed)
    found = prune_channels(
        done.model, sample_of(state.train), ratio=step.ratio, round_to=step.round_to, scores=scores,
        ignore=state.ignore,
    )  # fmt: skip
    done.model = found.model
    done.widths |= dict(found.widths)
    done.left_dense |= {
        name: why for name, why in found.left_dense.items() if not (isinstance(step.ratio, dict) and "ratio 0," in why)
    }
    if not found.widths:
        reason = next(iter(done.left_dense.values()), "no layer has channels to remove")
        done.notes.append(f"no channel could be removed ({reason})")
    reestimate_normalisation(done.model, state.train, seed=state.plan.seed)


def _mask(state: _State, done: Compressed, step: Weights | NofM | Blocks) -> None:
    if isinstance(step, Weights) and step.schedule == "gradual":
        state.gradual = step
        return
    if isinstance(step, Weights):
        masks: Mapping[str, torch.Tensor] = prune_weights(
            done.model, 1 - step.amount, ranking=step.ranking, ignore=state.ignore
        )
    else:
        found = (
            n_of_m_masks(done.model, step.n, step.m, ignore=state.ignore)
            if isinstance(step, NofM)
            else block_masks(done.model, 1 - step.amount, size=step.size, ignore=state.ignore)
        )
        masks = found.masks
        told = {name: f"{count} weights at the edges are in no pattern" for name, count in found.dense.items()}
        done.left_dense |= told
    state.masks = _together(state.masks, masks)
    _apply(done.model, state.masks)
    reestimate_normalisation(done.model, state.train, seed=state.plan.seed)


def _together(before: Mapping[str, torch.Tensor], more: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return masks that keep what both keep; what was out before stays out."""
    both = {name: mask & before[name] if name in before else mask for name, mask in more.items()}
    return {**before, **both}


def _apply(model: nn.Module, masks: Mapping[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)


def _begin_anew(
    state: _State, done: Compressed, step: SparseStart | Rewind | Supermask, options: Mapping[str, Any]
) -> None:
    if state.make is None:
        raise InputError(f"a plan with {step.kind} begins with new weights; give make=, which builds the model anew")
    seed = state.plan.seed
    done.model = state.make(seed)
    if isinstance(step, SparseStart):
        if step.method in _MOVING:
            state.moving = step
            return
        ranking = "erk" if step.method == "random" and step.ranking == "global" else step.ranking
        state.masks = prune_weights(
            done.model, 1 - step.amount, method=step.method, ranking=ranking, data=state.train,  # type: ignore[arg-type]
            ignore=state.ignore, seed=seed,
        )  # fmt: skip
        _apply(done.model, state.masks)
        return
    config = _next_training(state.plan)
    if isinstance(step, Rewind):
        ticket = rewind(
            state.make, state.train, config, density=1 - step.amount, cuts=step.cuts, ranking=step.ranking,
            valid=state.valid, ignore=state.ignore, **options,
        )  # fmt: skip
        done.finished = ticket.finished
        done.model, state.masks = ticket.rewound.model, dict(ticket.masks)
        fitted = ticket.rewound
        told = ", ".join(f"{name} {score:.4f}" for name, score in ticket.scores.items())
        done.notes += [f"validation of the ticket and its controls: {told}"] if told else []
    else:
        found = optimise_mask(
            done.model, state.train, config, keep=1 - step.amount, valid=state.valid, ignore=state.ignore, **options
        )
        done.finished = found.fitted.finished
        done.model, state.masks, fitted = found.model, dict(found.masks), found.fitted
    done.history += [{"stage": 1, **line} for line in fitted.history]
    done.seconds += fitted.seconds


def _every(train: Examples, config: TrainConfig) -> int:
    """Return the steps between cuts: 20, or fewer where the training is so short that there would not be eight."""
    batches = max(len(train) // min(config.batch_size, len(train)), 1)
    steps = config.steps or (config.planned_epochs or 1) * batches
    return max(min(20, int(0.4 * steps) // 8), 1)


def _next_training(plan: Plan) -> Any:
    return next((one.training for one in plan.steps if isinstance(one, FineTune)), FineTune().training)


def _tune(
    state: _State,
    done: Compressed,
    step: FineTune,
    place: int,
    folder: Path | None,
    resume: bool | None,
    on_progress: Callable[[Progress], str | None] | None,
) -> None:
    if place and isinstance(state.plan.steps[place - 1], Rewind | Supermask):
        return  # the training that these steps did is this one
    callbacks: list[Callback] = []
    held: Masks | TopKAST | None = None
    if state.moving is not None:
        held = _MOVING[state.moving.method](1 - state.moving.amount, ignore=state.ignore)
    elif state.gradual is not None:
        held = GradualPruning(
            1 - state.gradual.amount, ranking=state.gradual.ranking, every=_every(state.train, step.training),
            ignore=state.ignore,
        )  # fmt: skip
    elif state.masks:
        held = Masks(state.masks)
    flow = None
    if held is not None:
        callbacks.append(held)
        flow = GradientFlow(held, every=max(len(state.train) // step.training.batch_size, 1))
        callbacks.append(flow)
    if state.gradual is not None and state.masks:
        callbacks.append(Masks(state.masks))
    if any(isinstance(one, LowBits) and one.how == "qat" for one in state.plan.steps):
        callbacks.append(QuantisationAware())
    if step.distil:
        teacher = copy.deepcopy(state.dense).eval()
        right = state.train.ids[evaluate(teacher, state.train).correct] if step.distil_on == "right" else None
        callbacks.append(Distillation(teacher, temperature=step.temperature, alpha=step.distil, only=right))
    found = fit(
        done.model, state.train, step.training, valid=state.valid, callbacks=callbacks, folder=folder, resume=resume,
        weights=example_weights(state.train, step.weights, state.plan.column), on_progress=on_progress,
    )  # fmt: skip
    if held is not None:
        found_masks = {name: mask.bool() for name, mask in held.masks.items()}
        state.masks = _together(state.masks, found_masks)
        _apply(done.model, state.masks)
        state.gradual = state.moving = None
    if flow is not None:
        done.flow += [(int(at), float(value)) for at, value in flow.history]
    done.history += [{"stage": place + 1, **line} for line in found.history]
    done.seconds += found.seconds
    done.finished = found.finished
