"""How well a model does on examples: a score with its interval, and what it made of every single one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.examples import Examples, Task
from selftaught.seeds import seed_for
from selftaught.training.batches import InMemory, loader_batches
from selftaught.training.devices import in_evaluation, model_device
from selftaught.training.losses import Loss, as_scores

__all__ = ["Evaluation", "evaluate", "run_model", "score_interval"]

RESAMPLES = 2000


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's result on a set of examples.

    Args:
        metric: "accuracy", or "r2": the share of the targets' variance that predictions explain.
        score: its value; more is better.
        loss: mean loss.
        scores: (n, classes) or (n,): what the model gave, float32.
        losses: (n,) loss of each example.
        correct: (n,) whether each example was right; empty for numbers.
        targets: (n,) class numbers or numbers.
    """

    metric: Literal["accuracy", "r2"]
    score: float
    loss: float
    scores: NDArray[np.float32]
    losses: NDArray[np.float32]
    correct: NDArray[np.bool_]
    targets: NDArray[Any]

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the score over examples: Wilson's for accuracy, a bootstrap's for r2."""
        if self.metric == "accuracy":
            return score_interval("accuracy", self.correct, self.correct)
        return score_interval("r2", self.targets, self.scores)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Probability that the model gives to each example's label, (n,); empty for numbers."""
        return self._of_label(self._shares)

    @property
    def margin(self) -> NDArray[np.float32]:
        """Score of each example's label less the largest other, before the softmax, (n,); empty for numbers."""
        if self.metric != "accuracy":
            return np.zeros(0, np.float32)
        others = self.scores.copy()
        others[np.arange(len(others)), self.targets] = -np.inf
        return np.asarray(self._of_label(self.scores) - others.max(axis=1), np.float32)

    @property
    def error_norm(self) -> NDArray[np.float32]:
        """Euclidean distance of the probabilities from the label's, (n,), 0 to the root of 2; empty for numbers."""
        if self.metric != "accuracy":
            return np.zeros(0, np.float32)
        wrong = self._shares
        wrong[np.arange(len(wrong)), self.targets] -= 1
        return np.asarray(np.sqrt(np.square(wrong).sum(axis=1)), np.float32)

    @property
    def _shares(self) -> NDArray[np.float32]:
        shares = np.exp(self.scores - self.scores.max(axis=-1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=-1, keepdims=True), np.float32)

    def _of_label(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.metric != "accuracy":
            return np.zeros(0, np.float32)
        return np.asarray(values[np.arange(len(values)), self.targets], np.float32)


def evaluate(
    model: torch.nn.Module,
    data: Task | Examples | InMemory | Iterable[Any],
    *,
    batch_size: int = 1024,
    loss: Loss | None = None,
) -> Evaluation:
    """Run a model over examples without changing it.

    Args:
        model: any module; its mode is put back as it was.
        data: examples, a task (its validation part), or a data loader.
        batch_size: examples at a time.
        loss: what to call the loss; by default cross-entropy for classes and the squared difference for numbers.

    >>> from selftaught import load
    >>> from selftaught.training import linear
    >>> iris = load("iris")
    >>> evaluate(linear(iris), iris).metric
    'accuracy'
    """
    device = model_device(model)
    if isinstance(data, Task):
        data = data.valid
    if isinstance(data, Examples):
        data = InMemory(data, batch_size=batch_size, device=device)
    batches = data.in_order(batch_size) if isinstance(data, InMemory) else loader_batches(data, device)
    found: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    with in_evaluation(model), torch.inference_mode():
        for batch in batches:
            scores = run_model(model, batch.inputs).float()
            used = loss or _usual(batch.targets)
            found.append((scores, used.each(scores, batch.targets), batch.targets))
    scores, losses, targets = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    if targets.ndim > 1:
        targets = targets.argmax(axis=1)
    metric: Literal["accuracy", "r2"] = "accuracy" if targets.dtype.kind in "iu" else "r2"
    correct = scores.argmax(axis=1) == targets if metric == "accuracy" else np.zeros(0, np.bool_)
    if metric == "r2":
        scores = scores.reshape(len(targets))
    score = float(correct.mean()) if metric == "accuracy" else _r2(targets, scores)
    return Evaluation(metric, score, float(losses.mean()), scores, losses, correct, targets)


def run_model(model: torch.nn.Module, inputs: Any) -> torch.Tensor:
    """Return a model's scores for the inputs of a batch: a tensor, or keyword arguments."""
    return as_scores(model(**inputs) if isinstance(inputs, dict) else model(inputs))


def score_interval(
    metric: Literal["accuracy", "r2"], targets: NDArray[Any], predictions: NDArray[Any]
) -> tuple[float, float]:
    """Return the 95 % interval of a score over examples.

    Args:
        metric: "accuracy": Wilson's interval (JASA 22, 1927) of the share of true `predictions`, (n,) bool; "r2": the
            percentile bootstrap over examples (Efron, 1979), 2,000 resamples.
        targets: (n,), for r2.
        predictions: (n,).
    """
    if metric == "accuracy":
        from scipy.stats import binomtest

        found = binomtest(int(predictions.sum()), len(predictions)).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)
    rng = np.random.default_rng(seed_for(0, "training", "bootstrap", len(targets)))
    values = []
    for _ in range(RESAMPLES):
        rows = rng.integers(len(targets), size=len(targets))
        values.append(_r2(targets[rows], predictions[rows]))
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def _r2(targets: NDArray[Any], predictions: NDArray[Any]) -> float:
    true = targets.astype(np.float64)
    total = float(np.square(true - true.mean()).sum())
    wrong = float(np.square(true - predictions).sum())
    return 1 - wrong / total if total > 0 else 0.0


def _usual(targets: torch.Tensor) -> Loss:
    shares = targets.ndim > 1 and targets.shape[-1] > 1
    return Loss("cross_entropy" if shares or not targets.is_floating_point() else "squared")
