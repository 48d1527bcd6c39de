"""The state of a training run, and its one step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch

from selftaught.errors import DivergedError, InputError
from selftaught.seeds import seed_for
from selftaught.training.augment import augment_images, mixed
from selftaught.training.batches import Batch, Source
from selftaught.training.callbacks import Callback
from selftaught.training.config import Augment, TrainConfig
from selftaught.training.evaluation import Evaluation, evaluate, run_model
from selftaught.training.losses import Loss
from selftaught.training.random_state import seed_of_step, seed_torch

__all__ = ["ForwardPass", "Run", "augmented", "train_step"]

BLOCK = 512  # steps whose learning rates are computed at once


@dataclass(frozen=True, slots=True)
class ForwardPass:
    """What a step's forward pass saw and gave, for callbacks that change the loss.

    Args:
        inputs: as the model saw them, augmented.
        targets: (n,) class numbers or numbers, or (n, classes) shares; mixed and weighted where the batch was mixed.
        weights: (n,) weight of each example's loss, or None.
        scores: (n, classes) or (n,) that the model gave, float32, with gradient.
        loss: of scores and targets.
        rows: (n,) row numbers of examples in memory; None for a loader's batch.
    """

    inputs: Any
    targets: torch.Tensor
    weights: torch.Tensor | None
    scores: torch.Tensor
    loss: Loss
    rows: torch.Tensor | None


@dataclass(eq=False)
class Run:
    """What a training run knows of itself; callbacks read it and may change the model.

    Args:
        model: the user's module, on the device.
        config: the settings.
        source: where batches come from.
        loss: what is lowered.
        optimiser: torch's, of the model's parameters.
        device: where all of it is.
        valid: validation examples, or a loader of them, or None.
        callbacks: in the order they are called.
        precision: what "auto" came to.
        step: steps done.
        epoch: epochs done.
        place: batches of the running epoch that are done.
        elapsed: seconds of training in earlier processes.
        history: a line an epoch.
        evaluation: of the epoch that has just ended, or None when it had none.
        reason: why the run ends before its budget, or "".
    """

    model: torch.nn.Module
    config: TrainConfig
    source: Source
    loss: Loss
    optimiser: torch.optim.Optimizer
    device: torch.device
    valid: Any
    callbacks: tuple[Callback, ...]
    precision: str = "float32"
    step: int = 0
    epoch: int = 0
    place: int = 0
    elapsed: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    evaluation: Evaluation | None = None
    reason: str = ""
    began: float = field(default_factory=time.perf_counter)
    loss_sum: torch.Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    loss_number: float = 0.0
    seen: int = 0

    def __post_init__(self) -> None:
        self.evaluation_seconds = 0.0
        self._evaluated = 0
        self._cleaning = ExitStack()
        self._generator = torch.Generator()
        self.model_stream, self.augment_stream = (seed_for(self.config.seed, name) for name in ("model", "augment"))
        self._factors: list[float] = []
        self._factors_from = 0
        self._rates = [float(group["lr"]) for group in self.optimiser.param_groups]
        self.loss_sum = self.loss_sum.to(self.device, torch.float32 if self.device.type == "mps" else torch.float64)
        epochs, batches = self.config.planned_epochs, self.source.batches
        self.total_steps = self.config.steps or (epochs * batches if epochs and batches else None)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, without those between an interruption and its resumption."""
        return self.elapsed + time.perf_counter() - self.began

    @property
    def progress(self) -> float:
        """Share of the budget that is used, 0 to 1."""
        if self.config.seconds is not None:
            return min(self.seconds / self.config.seconds, 1.0)
        if self.total_steps is not None:
            return self.step / self.total_steps
        return self.epoch / (self.config.planned_epochs or 1)

    @property
    def epochs_begun(self) -> int:
        """Epochs of which at least one batch is done."""
        return self.epoch + (self.place > 0)

    @property
    def loss_total(self) -> float:
        """Sum of the running epoch's losses over its examples; costs a wait for the device."""
        return self.loss_number + float(self.loss_sum)

    @property
    def lr(self) -> float:
        """The learning rate of the last step, of the first group of parameters."""
        return float(self.optimiser.param_groups[0]["lr"])

    def at_end(self, action: Callable[[], object]) -> None:
        """Have something done when the run is over, however it ends."""
        self._cleaning.callback(action)

    def clean(self) -> None:
        """Do what `at_end` was told, the last first."""
        self._cleaning.close()

    def stop(self, reason: str) -> None:
        """End after this step; the model and the history stay as they are."""
        self.reason = self.reason or reason

    def evaluate(self) -> Evaluation | None:
        """Evaluate the model on the validation examples, with averaged weights where there are some."""
        if self.valid is None:
            return None
        start = time.perf_counter()
        with self.for_evaluation():
            found = evaluate(self.model, self.valid, batch_size=self.evaluation_batch)
        self.evaluation_seconds = time.perf_counter() - start
        self._evaluated = len(found.targets)
        return found

    @property
    def seconds_an_example(self) -> float:
        """Seconds that the last evaluation took for each of its examples; 0 where there was none."""
        return self.evaluation_seconds / self._evaluated if self._evaluated else 0.0

    @property
    def evaluation_batch(self) -> int:
        """Examples at a time in evaluations."""
        return max(self.config.batch_size, 512)

    def evaluated_weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the weights that an evaluation uses."""
        with self.for_evaluation():
            return {name: one.detach().clone() for name, one in self.model.state_dict().items()}

    def for_evaluation(self) -> ExitStack:
        """Return a context in which the model has the weights that an evaluation uses."""
        stack = ExitStack()
        for callback in self.callbacks:
            callback.before_evaluation(self)
            stack.callback(callback.after_evaluation, self)
        return stack

    def set_rates(self) -> None:
        """Give the optimiser the learning rates of the coming step."""
        if self.config.seconds is not None:
            factor = self.config.schedule.factor(self.progress * 1000, 1000.0)
        elif self.total_steps is not None:
            factor = self._factor_ahead(self.total_steps)
        else:
            factor = self.config.schedule.factor(self.epoch, self.config.planned_epochs or 1)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _factor_ahead(self, total: int) -> float:
        """Return the schedule's factor; many are computed at once, which takes a third of the time of one by one."""
        place = self.step - self._factors_from
        if not 0 <= place < len(self._factors):
            schedule, place, self._factors_from = self.config.schedule, 0, self.step
            count = min(BLOCK, max(total - self.step, 1))
            self._factors = [schedule.factor(step, total) for step in range(self.step, self.step + count)]
        return self._factors[place]

    def forward(self, model: torch.nn.Module, inputs: Any) -> torch.Tensor:
        """Return a model's scores for a batch's inputs as float32, in the run's precision."""
        if self.precision == "bfloat16":
            with torch.autocast(self.device.type, torch.bfloat16):
                return run_model(model, inputs).float()
        return run_model(model, inputs)

    def check_finite(self) -> None:
        """Raise when the loss is no number any more; costs a wait for the device.

        Raises:
            DivergedError: it is not finite.
        """
        if not math.isfinite(self.loss_total):
            raise DivergedError(
                f"the loss is not finite in epoch {self.epoch + 1}, at the latest after step {self.step}; "
                "lower the learning rate, or clip the gradient with clip_norm"
            )


def train_step(run: Run, batch: Batch) -> None:
    """Take one step: prepare the batch, forward, backward, callbacks, clip, optimiser, callbacks.

    All random numbers of step t come from the seed and t, so a run that goes on from a checkpoint draws the same.
    """
    config = run.config
    # Dropout and the like draw from torch's own generator.
    seed_torch(seed_of_step(run.model_stream, run.step), run.device)
    for callback in run.callbacks:
        batch = callback.change_batch(run, batch)
    inputs, targets, weights, loss = prepared(run, batch)
    run.set_rates()
    for callback in run.callbacks:
        callback.before_step(run)
    run.optimiser.zero_grad(set_to_none=True)
    scores = run.forward(run.model, inputs)
    value = loss.mean(scores, targets, weights)
    if run.callbacks:
        seen = ForwardPass(inputs, targets, weights, scores, loss, batch.rows)
        for callback in run.callbacks:
            value = callback.change_loss(run, seen, value)
    value.backward()
    for callback in run.callbacks:
        callback.after_backward(run)
    if config.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), config.clip_norm)
    run.optimiser.step()
    run.step += 1
    run.place += 1
    # A number on the CPU, where reading it costs less than an operation; elsewhere reading would wait for the device.
    if run.device.type == "cpu":
        run.loss_number += value.item() * batch.size
    else:
        run.loss_sum += value.detach() * batch.size
    run.seen += batch.size
    for callback in run.callbacks:
        callback.after_step(run)


def prepared(run: Run, batch: Batch) -> tuple[Any, torch.Tensor, torch.Tensor | None, Loss]:
    """Return what the model sees of a batch: inputs, targets, weights and the loss for them."""
    augment = run.config.augment
    if augment is None:
        return batch.inputs, batch.targets, batch.weights, run.loss
    run._generator.manual_seed(seed_of_step(run.augment_stream, run.step))
    return augmented(batch, augment, run.loss, run.source.classes, run._generator)


def augmented(
    batch: Batch, augment: Augment, loss: Loss, classes: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, Loss]:
    """Return inputs, targets, weights and loss of an augmented batch.

    Mixing turns labels into shares. Smoothing and weights are put into them before, so that the mixed loss is the same
    mixture of the two examples' own losses.

    Raises:
        InputError: the inputs are not one tensor, or labels are to be mixed and the number of classes is not known.
    """
    if not isinstance(batch.inputs, torch.Tensor):
        raise InputError("augmentation needs batches whose inputs are one tensor; augment in the data loader instead")
    inputs, targets, weights = augment_images(batch.inputs, augment, generator), batch.targets, batch.weights
    if not (augment.mixup or augment.cutmix):
        return inputs, targets, weights, loss
    if targets.is_floating_point() and targets.ndim == 1:
        columns = torch.stack((targets, torch.ones_like(targets) if weights is None else weights), dim=1)
        inputs, columns = mixed(inputs, columns, augment, generator)
        return inputs, columns[:, 0], None if weights is None else columns[:, 1], loss
    if targets.ndim == 1:
        if not classes:
            raise InputError("mixing needs the number of classes; give examples, or a loader with one-hot labels")
        targets = torch.nn.functional.one_hot(targets, classes)
    shares = targets.to(inputs.dtype)
    shares = shares * (1 - loss.label_smoothing) + loss.label_smoothing / shares.shape[1]
    if weights is not None:
        shares = shares * weights[:, None]
    inputs, shares = mixed(inputs, shares, augment, generator)
    return inputs, shares, None, Loss(loss.kind, scale=loss.scale)
