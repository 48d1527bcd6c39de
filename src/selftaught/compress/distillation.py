"""Distillation: a student learns what its teacher makes of the same inputs, and how far they agree is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.training.batches import InMemory
from selftaught.training.callbacks import Callback
from selftaught.training.devices import left_as_found
from selftaught.training.evaluation import Evaluation, evaluate

if TYPE_CHECKING:
    from selftaught.training.run import ForwardPass, Run

__all__ = ["Agreement", "Distillation", "agreement", "distillation_loss"]


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor, *, temperature: float = 4.0) -> torch.Tensor:
    """Return T^2 KL(softmax(teacher / T) || softmax(student / T)) of each example (arXiv 1503.02531, section 2).

    The factor T^2 keeps the size of the gradient where it is as T grows.

    Args:
        student, teacher: scores (n, classes) before the softmax.
        temperature: T, above 0.

    Returns:
        (n,), in nats.

    >>> scores = torch.tensor([[0.0, 2.0]])
    >>> distillation_loss(scores, scores).tolist()
    [0.0]
    """
    told = functional.log_softmax(teacher / temperature, dim=1)
    given = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(given, told, reduction="none", log_target=True).sum(dim=1) * temperature**2


@dataclass(frozen=True)
class Agreement:
    """How far a student says what its teacher says.

    Args:
        examples: how many.
        agreement: share of them to which both give the same class.
        student, teacher: accuracy of each.
    """

    examples: int
    agreement: float
    student: float
    teacher: float


def agreement(
    student: nn.Module, teacher: nn.Module, examples: Examples, *, ids: Iterable[str] | None = None
) -> Agreement:
    """Compare the classes that two models give, over all examples or those of some ids.

    Args:
        student, teacher: classifiers, left as they were.
        examples: labelled.
        ids: of the examples that count; all by default.

    Raises:
        DataError: no example has one of the ids.

    >>> from selftaught import load
    >>> from selftaught.training import linear
    >>> iris = load("iris")
    >>> model = linear(iris)
    >>> agreement(model, model, iris, ids=iris.ids[:10]).agreement
    1.0
    """
    rows = np.arange(len(examples)) if ids is None else rows_of(examples.ids, ids)
    chosen = examples.take(rows)
    return _compared(evaluate(student, chosen), evaluate(teacher, chosen), np.arange(len(chosen)))


def rows_of(known: NDArray[Any], ids: Iterable[str]) -> NDArray[np.int64]:
    """Return the row numbers of examples that have one of these ids.

    Raises:
        DataError: none has.
    """
    wanted = [str(one) for one in ids]
    found = np.flatnonzero(np.isin(known.astype(str), wanted))
    if len(found) == 0:
        raise DataError(f"none of the {len(wanted)} ids is among the {len(known)} examples; give ids of these")
    return found


def _compared(student: Evaluation, teacher: Evaluation, rows: NDArray[np.int64]) -> Agreement:
    same = student.scores.argmax(axis=1) == teacher.scores.argmax(axis=1)
    return Agreement(
        len(rows), float(same[rows].mean()), float(student.correct[rows].mean()), float(teacher.correct[rows].mean())
    )


class Distillation(Callback):
    """Train a student on what its teacher makes of the same inputs (Hinton, Vinyals and Dean, arXiv 1503.02531).

    The loss is alpha T^2 KL(softmax(teacher / T) || softmax(student / T)) + (1 - alpha) times the loss of `fit`. The
    teacher is in evaluation mode, gets no gradient, sees the batch as it was augmented, and is as before afterwards.
    The weights of examples count in both parts.

    Where validation examples are given, an epoch's line of the history holds `valid_agreement`, the share of them to
    which student and teacher give the same class; with `ids`, also `valid_agreement_on_ids` and `valid_accuracy_on_ids`
    over those among them.

    Args:
        teacher: any classifier of the same inputs and classes.
        temperature: T, above 0.
        alpha: weight of the teacher, 0 to 1.
        only: ids of the training examples to which the teacher is asked; the others have the loss of `fit` alone. All
            by default.
        ids: of validation examples that are watched.

    Raises:
        InputError: an option is out of its range; in `fit`, the scores of student and teacher differ in shape, teacher
            and student share weights, or `only` comes with mixed examples or a data loader.
        DataError: in `fit`, no example has one of the ids.

    >>> from selftaught import load
    >>> from selftaught.training import TrainConfig, fit, mlp
    >>> iris = load("iris")
    >>> teacher = mlp(iris, hidden=(32,), seed=1)
    >>> found = fit(mlp(iris, hidden=(4,)), iris, TrainConfig(epochs=1), valid=iris, callbacks=[Distillation(teacher)])
    >>> 0 <= found.history[-1]["valid_agreement"] <= 1
    True
    """

    def __init__(
        self,
        teacher: nn.Module,
        temperature: float = 4.0,
        alpha: float = 0.9,
        *,
        only: Iterable[str] | None = None,
        ids: Iterable[str] | None = None,
    ) -> None:
        if not temperature > 0:
            raise InputError(f"temperature must be above 0, got {temperature}")
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha must be from 0 to 1, got {alpha}")
        self.teacher = teacher
        self.temperature = temperature
        self.alpha = alpha
        self.only = None if only is None else [str(one) for one in only]
        self.ids = None if ids is None else [str(one) for one in ids]
        self._told: torch.Tensor | None = None
        self._taught: torch.Tensor | None = None
        self._on_valid: Evaluation | None = None
        self._watched: NDArray[np.int64] | None = None

    def on_start(self, run: Run) -> None:
        own = {id(one) for one in run.model.parameters()}
        if any(id(one) in own for one in self.teacher.parameters()):
            raise InputError("teacher and student share weights; give a copy.deepcopy of the model as its teacher")
        held = left_as_found(self.teacher, run.device)
        held.__enter__()
        run.at_end(lambda: held.__exit__(None, None, None))
        self.teacher.eval()
        source, augment = run.source, run.config.augment
        if self.only is not None:
            if not isinstance(source, InMemory):
                raise InputError("only= names examples by id, which a data loader does not have; give examples")
            if augment is not None and (augment.mixup or augment.cutmix):
                raise InputError("only= cannot tell mixed examples apart; leave out mixup and cutmix")
            self._taught = torch.zeros(source.examples, device=run.device)
            self._taught[torch.from_numpy(rows_of(source.ids, self.only)).to(run.device)] = 1
        if isinstance(source, InMemory) and augment is None and (run.total_steps or 0) >= source.batches:
            # The same inputs come again every epoch: what the teacher says of them is asked once.
            self._told = torch.cat([self._ask(run, one.inputs) for one in source.in_order(run.evaluation_batch)])
        if self.ids is not None:
            if not isinstance(run.valid, InMemory):
                raise InputError("ids= names validation examples; give them as valid=, or leave out ids")
            self._watched = rows_of(run.valid.ids, self.ids)

    def change_loss(self, run: Run, seen: ForwardPass, value: torch.Tensor) -> torch.Tensor:
        told = self._ask(run, seen.inputs) if self._told is None or seen.rows is None else self._told[seen.rows]
        if seen.scores.ndim != 2 or told.shape != seen.scores.shape:
            raise InputError(
                f"teacher and student must give scores of one shape (n, classes), got {tuple(told.shape)} and "
                f"{tuple(seen.scores.shape)}"
            )
        each = distillation_loss(seen.scores, told, temperature=self.temperature)
        # Mixed shares hold the weights of the examples they are mixed of.
        weights = seen.targets.sum(dim=1) if seen.weights is None and seen.targets.ndim == 2 else seen.weights
        if weights is not None:
            each = each * weights
        if self._taught is None or seen.rows is None:
            return self.alpha * each.mean() + (1 - self.alpha) * value
        taught = self._taught[seen.rows]
        own = seen.loss.each(seen.scores, seen.targets)
        own = own if seen.weights is None else own * seen.weights
        # What others added to the loss stays as it is.
        return value + (self.alpha * taught * (each - own)).mean()

    @torch.no_grad()
    def _ask(self, run: Run, inputs: Any) -> torch.Tensor:
        return run.forward(self.teacher, inputs)

    def after_epoch(self, run: Run) -> None:
        if run.evaluation is None or run.evaluation.metric != "accuracy":
            return
        if self._on_valid is None:
            self._on_valid = evaluate(self.teacher, run.valid, batch_size=run.evaluation_batch)
        told, line = self._on_valid, run.history[-1]
        if not np.array_equal(told.targets, run.evaluation.targets):
            raise InputError("the loader of validation examples gives another order each time; turn its shuffling off")
        line["valid_agreement"] = _compared(run.evaluation, told, np.arange(len(told.targets))).agreement
        if self._watched is not None:
            found = _compared(run.evaluation, told, self._watched)
            line |= {"valid_agreement_on_ids": found.agreement, "valid_accuracy_on_ids": found.student}
