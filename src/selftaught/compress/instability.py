"""Instability: how much accuracy each cut of a pruning takes away, measured right before and right after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.compress.gradual import GradualPruning
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training.batches import InMemory
from selftaught.training.callbacks import Callback
from selftaught.training.evaluation import evaluate

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["Cut", "Instability"]


@dataclass(frozen=True)
class Cut:
    """One cut.

    Args:
        step: steps done when it came.
        density: that was left after it, of the prunable weights.
        before, after: accuracy on the examples right before and right after.
    """

    step: int
    density: float
    before: float
    after: float

    @property
    def instability(self) -> float:
        """Accuracy before less accuracy after (Bartoldson et al., arXiv 1906.03728, section 3)."""
        return self.before - self.after


class Instability(Callback):
    """Record the instability of every cut of a `GradualPruning` in the same run (arXiv 1906.03728).

    The model is evaluated twice a cut; averages of weights are not used, since the cut is of the weights themselves.

    Args:
        pruning: what cuts; give it in the same list of callbacks, after this one, so that a cut before the first step
            is seen too.
        examples: labelled with classes, held out, for the accuracy.
        ledger: a ledger or its folder; at the end of the run the measure `lost_at_cut` gets a row for each example and
            cut, 1 where the cut took a right answer away, -1 where it gave one, else 0; axes model, seed and step.
        model: what the model is called there.

    Raises:
        InputError: in `fit`, `pruning` is not after this in the list, or the labels are numbers.

    >>> from selftaught import load
    >>> from selftaught.training import TrainConfig, fit, mlp
    >>> digits = load("digits")
    >>> pruning = GradualPruning(0.1, every=5)
    >>> watch = Instability(pruning, digits)
    >>> found = fit(mlp(digits, hidden=(16,)), digits, TrainConfig(steps=40), callbacks=[watch, pruning])
    >>> [cut.step for cut in watch.cuts]
    [12, 17, 22, 27]
    """

    def __init__(
        self,
        pruning: GradualPruning,
        examples: Examples,
        *,
        ledger: Ledger | str | os.PathLike[str] | None = None,
        model: str = "model",
    ) -> None:
        self.pruning = pruning
        self.examples = examples
        self.ledger = Ledger(ledger) if isinstance(ledger, str | os.PathLike) else ledger
        self.model = model
        #: one a cut, in their order
        self.cuts: list[Cut] = []
        self._lost: list[NDArray[np.int8]] = []
        self._data: InMemory | None = None

    def on_start(self, run: Run) -> None:
        place = next(k for k, one in enumerate(run.callbacks) if one is self)
        if not any(one is self.pruning for one in run.callbacks[place + 1 :]):
            raise InputError("the pruning that is watched must be in callbacks, after Instability")
        self._data = InMemory(self.examples, batch_size=1, device=run.device)
        if self._data.kind != "cross_entropy":
            raise InputError("instability is a loss of accuracy; it needs examples with classes")
        self.pruning.watchers.append(self._watch)
        run.at_end(lambda: self.pruning.watchers.remove(self._watch))

    def _watch(self, run: Run) -> Callable[[], object]:
        before = self._correct(run)

        def tell() -> None:
            after = self._correct(run)
            step, density = self.pruning.cuts[-1]
            # A run that goes on makes a first cut anew before its checkpoint is loaded, which brings these rows back.
            self.cuts.append(Cut(step, density, float(before.mean()), float(after.mean())))
            self._lost.append(before.astype(np.int8) - after.astype(np.int8))

        return tell

    def _correct(self, run: Run) -> NDArray[np.bool_]:
        if self._data is None:
            raise InputError("Instability watches a run of fit; give it in callbacks")
        return evaluate(run.model, self._data, batch_size=run.evaluation_batch).correct

    def on_end(self, run: Run) -> None:
        if self.ledger is None or not self.cuts:
            return
        ids = np.tile(self.examples.ids, len(self.cuts))
        steps = np.repeat([cut.step for cut in self.cuts], len(self.examples))
        self.ledger.record(
            "lost_at_cut", ids, np.concatenate(self._lost), model=self.model, seed=run.config.seed, step=steps
        )

    def state(self) -> dict[str, torch.Tensor]:
        rows = [(cut.step, cut.density, cut.before, cut.after) for cut in self.cuts]
        lost = np.array(self._lost, np.int8).reshape(len(rows), -1)
        return {"cuts": torch.tensor(rows, dtype=torch.float64).reshape(-1, 4), "lost": torch.from_numpy(lost)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.cuts = [Cut(int(step), *rest) for step, *rest in state["cuts"].tolist()]
        self._lost = list(state["lost"].cpu().numpy())
