"""`fit`: train any module on any data; budgets, checkpoints and progress around the one step."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from selftaught.examples import Examples, Task
from selftaught.seeds import seed_for
from selftaught.training.batches import InMemory, source_of
from selftaught.training.callbacks import Callback
from selftaught.training.config import TrainConfig
from selftaught.training.devices import left_as_found, pick_device
from selftaught.training.evaluation import Evaluation, evaluate
from selftaught.training.losses import Loss, LossFunction
from selftaught.training.optimisers import make_optimiser
from selftaught.training.precision import pick_precision
from selftaught.training.random_state import own_random_state
from selftaught.training.resuming import Checkpoints
from selftaught.training.run import Run, train_step

__all__ = ["Fitted", "Progress", "fit"]

#: Makes an optimiser of the parameters it gets, as torch's classes do.
OptimiserFactory = Callable[[Any], torch.optim.Optimizer]
SECONDS_BETWEEN_REPORTS = 0.125


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        step, steps: done and planned; None where the budget is time.
        epoch, epochs: ended and planned.
        seconds: of training so far.
        seconds_left: an estimate from the rate so far, or None.
        examples_per_second: the rate.
        loss: mean training loss of the running epoch.
        score: the last validation score, or None.
    """

    step: int
    steps: int | None
    epoch: int
    epochs: int | None
    seconds: float
    seconds_left: float | None
    examples_per_second: float
    loss: float
    score: float | None


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came of a run; the model itself was trained in place.

    Args:
        model: the module that was given.
        config: the settings.
        steps, epochs: done, in all processes together.
        seconds: of training.
        history: a line an epoch: step, epoch, seconds, lr, loss, and what validation gave.
        valid: the evaluation of the final weights on the validation examples, or None.
        finished: whether the budget was used up or a callback ended the run; False when `on_progress` stopped it.
        reason: why it ended before its budget, or "".
        precision: of the forward passes.
    """

    model: torch.nn.Module
    config: TrainConfig
    steps: int
    epochs: int
    seconds: float
    history: tuple[Mapping[str, Any], ...]
    valid: Evaluation | None
    finished: bool
    reason: str
    precision: str


def fit(
    model: torch.nn.Module,
    data: Task | Examples | Iterable[Any],
    config: TrainConfig | None = None,
    *,
    valid: Examples | Iterable[Any] | None = None,
    weights: NDArray[Any] | Mapping[str, float] | None = None,
    soft_targets: NDArray[Any] | None = None,
    loss: LossFunction | None = None,
    optimiser: OptimiserFactory | None = None,
    callbacks: Sequence[Callback] = (),
    folder: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    on_progress: Callable[[Progress], str | None] | None = None,
    began: float | None = None,
) -> Fitted:
    """Train a model in place.

    Any module and any data: a `Task` (its validation part is used as such), `Examples`, or a data loader with batches
    of (inputs, labels), (inputs, labels, weights) or mappings. Torch's random generators are as before afterwards, and
    so are the model's device and modes. With a budget in epochs or steps the result is the same, bit for bit, for the
    same seed, machine and number of threads, also when the run was killed and resumed.

    Args:
        model: any module that returns scores (n, classes) or predictions (n,) or (n, 1).
        data: what to train on.
        config: the settings; see `TrainConfig`.
        valid: what to evaluate on after epochs.
        weights: (n,) weight of each example's loss, or a mapping from ids. A weight of 2 counts like the example twice.
        soft_targets: (n, classes) shares instead of the examples' labels.
        loss: from scores and targets to one loss an example or their mean; by default cross-entropy for classes and
            the squared difference, over the targets' variance, for numbers.
        optimiser: makes an optimiser of the model's parameters, instead of the settings' one; the schedule multiplies
            its learning rates.
        callbacks: what is added to the run; see `Callback`.
        folder: where checkpoints are kept; none without it.
        resume: True insists on a checkpoint, False starts over, None goes on where there is one.
        on_progress: called at most eight times a second; when it returns "stop" the run ends well and can go on later.
        began: the `time.perf_counter()` from which a budget in seconds counts; the call of `fit` by default.

    Raises:
        InputError: an argument is out of its range, or does not fit the others.
        DataError: the data do not fit.
        ResumeError: the folder holds a run with other settings or another model, or a damaged checkpoint.
        DivergedError: the loss is not finite any more.

    >>> from selftaught import load
    >>> from selftaught.training import TrainConfig, fit, mlp
    >>> digits = load("digits")
    >>> found = fit(mlp(digits, hidden=(32,)), digits, TrainConfig(epochs=2, batch_size=64))
    >>> found.epochs, found.history[-1]["loss"] < found.history[0]["loss"]
    (2, True)
    """
    began = time.perf_counter() if began is None else began
    config = config or TrainConfig()
    device = pick_device(config.device)
    if isinstance(data, Task) and valid is None:
        valid = data.valid
    # The generators are set aside before anything of the user's is called: a loader draws when it is asked for a batch.
    with own_random_state(device, seed_for(config.seed, "training")), left_as_found(model, device):
        source = source_of(
            data, batch_size=config.batch_size, device=device, weights=weights, soft_targets=soft_targets
        )
        lowered = Loss(loss or source.kind, config.label_smoothing, source.spread)
        _set_memory_format(model, config)
        made = make_optimiser(model, config.optimiser) if optimiser is None else optimiser(model.parameters())
        run = Run(
            model=model, config=config, source=source, loss=lowered, optimiser=made, device=device,
            valid=_in_memory(valid, config, device), callbacks=tuple(callbacks), began=began,
        )  # fmt: skip
        checkpoints = Checkpoints(folder, run, resume=resume)
        try:
            for callback in run.callbacks:
                callback.on_start(run)
            if not checkpoints.restore(run):
                run.precision = pick_precision(run)
            if config.seconds is not None:
                run.evaluate()  # only for the time it takes, which is kept free at the end
            stopped = _train(run, checkpoints, on_progress)
            if stopped:
                checkpoints.save(run)
            else:
                checkpoints.save(run, finished=True)
            for callback in run.callbacks:
                callback.on_end(run)
            final = _final_evaluation(run)
        finally:
            run.clean()
            checkpoints.close()
        return Fitted(
            model=model, config=config, steps=run.step, epochs=run.epoch, seconds=run.seconds,
            history=tuple(run.history), valid=final, finished=not stopped, reason=run.reason, precision=run.precision,
        )  # fmt: skip


def _train(run: Run, checkpoints: Checkpoints, on_progress: Callable[[Progress], str | None] | None) -> bool:
    """Take steps until the budget is used; return whether `on_progress` stopped the run before."""
    reports = _Reports(run, on_progress)
    while not checkpoints.finished and not _used_up(run, reports):
        for batch in run.source.epoch(run.config.seed, run.epoch, run.place):
            train_step(run, batch)
            if reports.due() and reports.tell() == "stop":
                return True
            checkpoints.save_when_due(run)
            if _used_up(run, reports) and run.place != run.source.batches:
                break
        else:
            _end_epoch(run)
            continue
        break
    if run.seen:
        _end_epoch(run, whole=False)
    return False


def _used_up(run: Run, reports: _Reports) -> bool:
    config = run.config
    if run.reason:
        return True
    if config.seconds is not None:
        reserve = reports.seconds_a_step + run.evaluation_seconds * (1 + bool(run.callbacks))
        reserve += sum(callback.seconds_at_end(run) for callback in run.callbacks)
        return run.seconds + reserve >= config.seconds
    if config.steps is not None:
        return run.step >= config.steps
    return run.epoch >= (config.planned_epochs or 0)


def _end_epoch(run: Run, *, whole: bool = True) -> None:
    """Write the epoch's line, evaluate where it is time, and begin the next one."""
    run.check_finite()
    run.epoch += whole
    line: dict[str, Any] = {
        "epoch": run.epoch + (not whole), "step": run.step, "seconds": round(run.seconds, 3), "lr": run.lr,
        "loss": run.loss_total / max(run.seen, 1),
    }  # fmt: skip
    last = run.epoch == run.config.planned_epochs or (run.total_steps is not None and run.step >= run.total_steps)
    due = run.epoch % run.config.evaluate_every == 0 or last or not whole
    run.evaluation = run.evaluate() if due else None
    if run.evaluation is not None:
        line |= {"valid_loss": run.evaluation.loss, f"valid_{run.evaluation.metric}": run.evaluation.score}
    run.history.append(line)
    run.place, run.seen = (0, 0) if whole else (run.place, 0)
    run.loss_sum.zero_()
    run.loss_number = 0.0
    for callback in run.callbacks:
        callback.after_epoch(run)


def _final_evaluation(run: Run) -> Evaluation | None:
    """Evaluate the final weights, which callbacks may have replaced."""
    if run.valid is None:
        return None
    if run.evaluation is not None and all(type(one).on_end is Callback.on_end for one in run.callbacks):
        return run.evaluation
    return evaluate(run.model, run.valid, batch_size=run.evaluation_batch)


class _Reports:
    """Progress, told at most eight times a second, and the time that steps and evaluations take."""

    def __init__(self, run: Run, on_progress: Callable[[Progress], str | None] | None) -> None:
        self._run = run
        self._tell = on_progress
        self._last = time.perf_counter()
        self._first = self._last
        self._first_step = run.step

    @property
    def seconds_a_step(self) -> float:
        steps = self._run.step - self._first_step
        return (time.perf_counter() - self._first) / steps if steps else 0.0

    def due(self) -> bool:
        return self._tell is not None and time.perf_counter() - self._last >= SECONDS_BETWEEN_REPORTS

    def tell(self) -> str | None:
        run = self._run
        run.check_finite()
        self._last = time.perf_counter()
        config = run.config
        if config.seconds is not None:
            left: float | None = max(config.seconds - run.seconds, 0.0)
        else:
            left = None if run.total_steps is None else (run.total_steps - run.step) * self.seconds_a_step
        size = config.batch_size if run.source.examples is None else min(config.batch_size, run.source.examples)
        score = next((line[key] for line in reversed(run.history) for key in line if key in _SCORES), None)
        progress = Progress(
            step=run.step, steps=run.total_steps, epoch=run.epoch, epochs=config.planned_epochs, seconds=run.seconds,
            seconds_left=left, examples_per_second=size / self.seconds_a_step if self.seconds_a_step else 0.0,
            loss=run.loss_total / max(run.seen, 1), score=score,
        )  # fmt: skip
        return None if self._tell is None else self._tell(progress)


_SCORES = ("valid_accuracy", "valid_r2")


def _in_memory(valid: Any, config: TrainConfig, device: torch.device) -> Any:
    if isinstance(valid, Task):
        valid = valid.valid
    if isinstance(valid, Examples):
        return InMemory(valid, batch_size=config.batch_size, device=device)
    return valid


def _set_memory_format(model: torch.nn.Module, config: TrainConfig) -> None:
    wanted = config.channels_last
    if wanted is None:
        wanted = any(isinstance(one, torch.nn.Conv2d) for one in model.modules())
    if wanted:
        model.to(memory_format=torch.channels_last)
