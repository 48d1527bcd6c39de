"""Lottery tickets: train, prune, set the weights that are left back, train again; two controls beside it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from selftaught.compress.densities import check_density
from selftaught.compress.prunable_weights import prunable
from selftaught.compress.ranking import Ranking, largest, masks_of
from selftaught.compress.scores import random_scores
from selftaught.errors import InputError
from selftaught.examples import Examples, Task
from selftaught.seeds import seed_for
from selftaught.training.callbacks import Callback, Masks
from selftaught.training.config import TrainConfig
from selftaught.training.fitting import Fitted, fit

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["Ticket", "rewind"]


@dataclass(frozen=True, eq=False)
class Ticket:
    """A lottery ticket and what it is compared with.

    Args:
        masks: name -> mask (bool).
        density: share of the prunable weights that is left.
        dense: the run without masks.
        rewound: its masks, and its weights of step `to_step`.
        new_weights: the same masks, other initial weights.
        random_masks: the same weights, random masks with the same density in each layer.
        finished: False where `on_progress` stopped a run; the arms that were not reached hold that run.
    """

    masks: Mapping[str, torch.Tensor]
    density: float
    dense: Fitted
    rewound: Fitted
    new_weights: Fitted
    random_masks: Fitted
    finished: bool = True

    @property
    def scores(self) -> dict[str, float]:
        """Validation score of each arm; empty when there was nothing to validate on, or not all arms were reached."""
        if not self.finished:
            return {}
        arms = {
            "dense": self.dense, "rewound": self.rewound, "new weights": self.new_weights,
            "random masks": self.random_masks,
        }  # fmt: skip
        return {name: arm.valid.score for name, arm in arms.items() if arm.valid is not None}


class _Keep(Callback):
    """Keeps the model's state after so many steps."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.state_dict: dict[str, torch.Tensor] = {}

    def on_start(self, run: Run) -> None:
        self._take(run)

    def after_step(self, run: Run) -> None:
        self._take(run)

    def _take(self, run: Run) -> None:
        if run.step == self.step:
            self.state_dict = copy.deepcopy(run.model.state_dict())

    def state(self) -> dict[str, torch.Tensor]:
        return self.state_dict

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.state_dict = dict(state)


def rewind(
    make: Callable[[int], nn.Module],
    data: Task | Examples | Iterable[Any],
    config: TrainConfig | None = None,
    *,
    density: float,
    to_step: int = 0,
    cuts: int = 1,
    ranking: Ranking = "global",
    valid: Examples | Iterable[Any] | None = None,
    ignore: Iterable[str] = (),
    allow_collapse: bool = False,
    folder: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    **more: Any,
) -> Ticket:
    """Find a lottery ticket (Frankle and Carbin, arXiv 1803.03635) and train it beside its two controls.

    The dense model is trained, its smallest weights are cut, the others go back to what they were after `to_step`
    steps, and they are trained again, cut by cut: after cut k the density is density^(k / cuts). An arm that starts
    from a later step takes that many steps fewer, so that no arm sees more training than the dense one; its schedule of
    learning rates and its order of examples begin anew.

    Args:
        make: makes the model with the initial weights of a seed.
        data: what to train on.
        config: of every arm; its seed is that of the weights too.
        density: share of the prunable weights that is left.
        to_step: where the weights go back to; 0 is the start.
        cuts: how many times to train, cut and go back.
        ranking: "global", "per_layer" or "erk".
        valid: what to judge on.
        ignore: names of parameters or modules that stay dense.
        allow_collapse: let a layer lose all its weights.
        folder: where checkpoints are kept, a folder an arm; none without it.
        resume: as in `fit`; True insists on a stored dense run.
        more: further arguments of `fit`, the same for all arms, such as `on_progress`.

    Raises:
        InputError: an option is out of its range, or a layer would collapse.
        ResumeError: as `fit` raises it.

    >>> from selftaught import load
    >>> from selftaught.training import mlp
    >>> iris = load("iris")
    >>> def make(seed):
    ...     return mlp(iris, hidden=(8,), seed=seed)
    >>> ticket = rewind(make, iris, TrainConfig(epochs=1), density=0.5, valid=iris)
    >>> sorted(ticket.scores)
    ['dense', 'new weights', 'random masks', 'rewound']
    """
    check_density(density)
    if cuts < 1 or to_step < 0:
        raise InputError(f"cuts must be at least 1 and to_step not negative, got {cuts} and {to_step}")
    config = config or TrainConfig()
    ignored = tuple(ignore)
    model = make(config.seed)
    keep = _Keep(to_step)
    others = list(more.pop("callbacks", ()))
    if others:
        raise InputError("a callback serves one run, and a ticket takes several; leave out callbacks")

    def place(name: str) -> dict[str, Any]:
        """Return where an arm keeps its checkpoints; only the first one can be insisted on."""
        own = None if folder is None else Path(folder) / name
        return {"folder": own, "resume": None if resume and name != "dense" else resume}

    dense = fit(model, data, config, valid=valid, callbacks=[keep], **place("dense"), **more)
    if not dense.finished:
        return Ticket({}, density, dense, dense, dense, dense, finished=False)
    if not keep.state_dict:
        raise InputError(f"to_step must be at most the {dense.steps} steps of the dense run, got {to_step}")
    later = _shorter(config, dense.steps - to_step) if to_step else config

    def arm(name: str, state: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor]) -> Fitted:
        own = make(config.seed)
        own.load_state_dict(dict(state))
        return fit(own, data, later, valid=valid, callbacks=[Masks(masks)], **place(name), **more)

    masks: dict[str, torch.Tensor] | None = None
    trained = dense
    for cut in range(1, cuts + 1):
        weights = prunable(trained.model, ignore=ignored)
        scores = {name: one.detach().abs() for name, one in weights.items()}
        if masks is not None:  # once out, always out
            scores = {name: one.masked_fill(~masks[name], -1.0) for name, one in scores.items()}
        masks = masks_of(scores, density ** (cut / cuts), ranking=ranking, allow_collapse=allow_collapse)
        trained = arm(f"cut-{cut}", keep.state_dict, masks)
        if not trained.finished:
            return Ticket(masks, density, dense, trained, trained, trained, finished=False)
    found = masks or {}
    drawn = random_scores(found, seed=seed_for(config.seed, "random masks"))
    shuffled = {name: largest(drawn[name], int(mask.sum())) for name, mask in found.items()}
    other = make(seed_for(config.seed, "new weights") % 2**31)
    fresh = arm("new-weights", copy.deepcopy(other.state_dict()), found)
    drawn_at_random = arm("random-masks", keep.state_dict, shuffled) if fresh.finished else fresh
    finished = drawn_at_random.finished
    return Ticket(found, density, dense, trained, new_weights=fresh, random_masks=drawn_at_random, finished=finished)


def _shorter(config: TrainConfig, steps: int) -> TrainConfig:
    if steps < 1:
        raise InputError("to_step leaves no step to train the ticket; take an earlier one")
    return TrainConfig(**{**config.model_dump(exclude={"epochs", "seconds"}), "steps": steps})
