"""Gradual magnitude pruning while a model trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import nn

from selftaught.compress.densities import check_density, cubic_density
from selftaught.compress.prunable_weights import prunable
from selftaught.compress.ranking import Ranking, masks_of
from selftaught.compress.scores import random_scores
from selftaught.errors import InputError, did_you_mean, require_one_of
from selftaught.seeds import seed_for
from selftaught.training.callbacks import EarlyStopping, Masks

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["GradualPruning", "planned_steps"]

Victims = Literal["magnitude", "random", "largest"]


class GradualPruning(Masks):
    """Prune the smallest weights bit by bit while the model trains (Zhu and Gupta, arXiv 1710.01878).

    The density follows the cubic schedule `cubic_density` from `start` to `end`, and stays where it is afterwards.

    Args:
        density: share of the prunable weights that is left at the end.
        start, end: shares of the planned steps between which weights are cut.
        every: steps between cuts.
        first_density: before `start`.
        ranking: "per_layer", "global" or "erk"; see `masks_of`.
        by: which weights are cut: the smallest by "magnitude"; or, as controls, at "random" or the "largest".
        regrow: False, a weight that is out stays out. True, masked weights keep their last value aside, all are ranked,
            and one that comes back has that value again.
        ignore: names of parameters or modules that stay dense.
        allow_collapse: let a layer lose all its weights.
        densities: name of a parameter -> share that is left in it at the end, instead of the one that ranking gives.
            Layers that are not named keep `density`; needs ranking "per_layer".

    Raises:
        InputError: an option is out of its range; in `fit`, the budget has no steps to plan with, or too few, or there
            is early stopping.

    >>> GradualPruning(0.1, every=10).every
    10
    """

    def __init__(
        self,
        density: float,
        *,
        start: float = 0.3,
        end: float = 0.7,
        every: int = 20,
        first_density: float = 1.0,
        ranking: Ranking = "per_layer",
        by: Victims = "magnitude",
        regrow: bool = False,
        ignore: Iterable[str] = (),
        allow_collapse: bool = False,
        densities: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__({})
        for one in (density, *(densities or {}).values()):
            check_density(one)
        if densities and ranking != "per_layer":
            raise InputError(f"densities of layers go with ranking 'per_layer', got {ranking!r}")
        check_density(first_density)
        if density > first_density:
            raise InputError(f"density {density} must not be above first_density {first_density}")
        if not 0 <= start < end <= 1:
            raise InputError(f"start and end must be shares of the run, 0 <= start < end <= 1, got {start} and {end}")
        if every < 1:
            raise InputError(f"every must be at least 1 step, got {every}")
        self.density = density
        self.start = start
        self.end = end
        self.every = every
        self.first_density = first_density
        require_one_of("by", by, get_args(Victims))
        if regrow and by != "magnitude":
            raise InputError(f"regrow=True lets weights grow back by magnitude; it does not go with by={by!r}")
        self.ranking = ranking
        self.by = by
        self.regrow = regrow
        self.ignore = tuple(ignore)
        self.allow_collapse = allow_collapse
        self.densities = dict(densities or {})
        #: (steps done, density) of every cut of this process.
        self.cuts: list[tuple[int, float]] = []
        #: Called with the run before a cut; what that gives is called after it.
        self.watchers: list[Callable[[Run], Callable[[], object]]] = []
        self._aside: dict[str, torch.Tensor] = {}
        self._weights: dict[str, nn.Parameter] = {}

    def on_start(self, run: Run) -> None:
        self._weights = prunable(run.model, ignore=self.ignore)
        for name in self.densities:
            if name not in self._weights:
                raise InputError(f"there is no weight {name!r} to prune{did_you_mean(name, self._weights)}")
        steps = planned_steps(run, "gradual pruning")
        self._begin = round(self.start * steps)
        self._number = (round(self.end * steps) - self._begin) // self.every
        if self._number < 1:
            raise InputError(
                f"{steps} steps leave no cut every {self.every} steps between {self.start:g} and {self.end:g} of them; "
                "take a smaller every, or more steps"
            )
        self.masks = {name: torch.ones_like(one, dtype=torch.bool) for name, one in self._weights.items()}
        if self.regrow:
            self._aside = {name: one.detach().clone() for name, one in self._weights.items()}
        super().on_start(run)
        if self._begin == 0 or self.first_density < 1:
            self._watched_cut(run)

    def after_step(self, run: Run) -> None:
        super().after_step(run)
        past = run.step - self._begin
        if 0 <= past <= self._number * self.every and past % self.every == 0:
            self._watched_cut(run)

    def _watched_cut(self, run: Run) -> None:
        told = [watch(run) for watch in self.watchers]
        self._cut(run.step, run.config.seed)
        for tell in told:
            tell()

    @torch.no_grad()
    def _cut(self, step: int, seed: int) -> None:
        density = self._planned(step, self.density)
        held = {name: mask.bool() for name, mask in self.masks.items()}
        if self.regrow:
            for name, one in self._weights.items():
                self._aside[name] = torch.where(held[name], one, self._aside[name])
            scores = {name: one.abs() for name, one in self._aside.items()}
        else:
            if self.by == "random":
                scores = random_scores(self._weights, seed=seed_for(seed, "gradual pruning", step))
            else:
                scores = {name: one.abs() for name, one in self._weights.items()}
                if self.by == "largest":
                    scores = {name: 1 / (1 + one) for name, one in scores.items()}
            # A weight that is out ranks below one that happens to be zero.
            scores = {name: one.masked_fill(~held[name], -1.0) for name, one in scores.items()}
        masks = masks_of(
            {name: one for name, one in scores.items() if name not in self.densities}, density, ranking=self.ranking,
            allow_collapse=self.allow_collapse,
        )  # fmt: skip
        for name, last in self.densities.items():
            masks |= masks_of({name: scores[name]}, self._planned(step, last))
        if self.regrow:
            for name, one in self._weights.items():
                one.copy_(torch.where(masks[name] & ~held[name], self._aside[name], one))
        self.replace(masks)
        self.cuts.append((step, density))

    def _planned(self, step: int, last: float) -> float:
        return cubic_density(
            step, begin=self._begin, every=self.every, cuts=self._number, first=self.first_density, last=last
        )

    def state(self) -> dict[str, torch.Tensor]:
        aside = {f"aside.{name}": one for name, one in self._aside.items()}
        return {**{f"mask.{name}": one for name, one in super().state().items()}, **aside}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        for name in self._aside:
            self._aside[name] = state[f"aside.{name}"].to(self._aside[name])
        self.replace({name: state[f"mask.{name}"].bool() for name in self.masks})


def planned_steps(run: Run, purpose: str) -> int:
    """Return the steps that a run plans to take.

    Raises:
        InputError: its budget is time, nobody knows the length of its data, or another callback may end it before and
            go back to weights of other masks.
    """
    if any(isinstance(one, EarlyStopping) for one in run.callbacks):
        raise InputError(f"{purpose} follows a plan over the whole run; leave out EarlyStopping")
    if run.total_steps is None:
        raise InputError(f"{purpose} needs a number of planned steps; give a budget in steps or epochs, not seconds")
    return run.total_steps
