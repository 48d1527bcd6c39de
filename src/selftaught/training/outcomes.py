"""What a model makes of every example as it learns, kept for the ledger."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training.batches import InMemory
from selftaught.training.callbacks import Callback
from selftaught.training.evaluation import evaluate

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["RecordOutcomes"]

MEASURES = ("loss", "correct", "confidence", "margin", "error_norm")


class RecordOutcomes(Callback):
    """Record loss, correctness, confidence, margin and error norm of each example; axes model, seed and epoch.

    Confidence is the label's probability, margin its score less the largest other, error norm the distance of all
    probabilities from the label's; for numbers there is the loss alone.

    The rows go to the ledger when the run ends. Until then they are part of the checkpoint, so a run that was killed
    loses none and records none twice. Averaged weights are used where there are some.

    Args:
        ledger: a ledger or its folder.
        examples: whose outcomes; those trained on, or others.
        model: what the model is called in the ledger.
        every: epochs between records; the last epoch is always recorded.
    """

    in_populations = True

    def __init__(
        self, ledger: Ledger | str | os.PathLike[str], examples: Examples, *, model: str = "model", every: int = 1
    ) -> None:
        if every < 1:
            raise InputError(f"every must be at least 1, got {every}")
        self.ledger = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
        self.examples = examples
        self.model = model
        self.every = every
        self._rows: dict[str, torch.Tensor] = {}
        self._data: InMemory | None = None
        self._seen = -1

    def recorded(self, measure: str) -> dict[int, NDArray[Any]]:
        """Return what this run has recorded of a measure so far: epoch -> (n,) values in the examples' order."""
        found = {name.partition(".")[2]: one for name, one in self._rows.items() if name.startswith(f"{measure}.")}
        return {int(epoch): one.numpy() for epoch, one in found.items()}

    def on_start(self, run: Run) -> None:
        self._data = InMemory(self.examples, batch_size=1, device=run.device)

    def after_epoch(self, run: Run) -> None:
        if run.epoch % self.every == 0:
            self._look(run)

    def on_end(self, run: Run) -> None:
        if self._seen != run.step:
            self._look(run)
        for measure in MEASURES:
            parts = {int(name.partition(".")[2]): one for name, one in self._rows.items() if name.startswith(measure)}
            if not parts:
                continue
            epochs = np.repeat(np.array(sorted(parts)), len(self.examples))
            ids, values = np.tile(self.examples.ids, len(parts)), torch.cat([parts[one] for one in sorted(parts)])
            self.ledger.record(
                measure, ids, values.numpy(), model=self.model, seed=run.config.seed, epoch=epochs
            )

    def seconds_at_end(self, run: Run) -> float:
        return run.seconds_an_example * len(self.examples)

    def _look(self, run: Run) -> None:
        if self._data is None:
            return
        with run.for_evaluation():
            found = evaluate(run.model, self._data, batch_size=run.evaluation_batch)
        self._seen = run.step
        epoch = run.epochs_begun
        self._rows[f"loss.{epoch}"] = torch.from_numpy(found.losses)
        if found.metric == "accuracy":
            self._rows[f"correct.{epoch}"] = torch.from_numpy(found.correct)
            self._rows[f"confidence.{epoch}"] = torch.from_numpy(found.confidence)
            self._rows[f"margin.{epoch}"] = torch.from_numpy(found.margin)
            self._rows[f"error_norm.{epoch}"] = torch.from_numpy(found.error_norm)

    def state(self) -> dict[str, torch.Tensor]:
        return dict(self._rows)

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self._rows = {name: one.cpu() for name, one in state.items()}
