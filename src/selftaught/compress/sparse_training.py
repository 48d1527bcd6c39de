"""Training that is sparse from the start and moves its weights: SET and RigL."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from selftaught.compress.densities import Distribution, check_density, kept_counts
from selftaught.compress.gradual import planned_steps
from selftaught.compress.prunable_weights import prunable
from selftaught.compress.ranking import largest
from selftaught.compress.scores import random_scores
from selftaught.errors import InputError
from selftaught.seeds import seed_for
from selftaught.training.callbacks import Masks

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["SET", "RigL", "SparseTraining", "clear_momentum", "dropped_share"]


def dropped_share(step: int, *, last_step: int, alpha: float = 0.3) -> float:
    """Return the share of a layer's weights that is moved at a step (RigL, arXiv 1911.11134, section 3).

    f(t) = alpha / 2 (1 + cos(pi t / T_end)).

    >>> dropped_share(0, last_step=100), round(dropped_share(50, last_step=100), 3), dropped_share(100, last_step=100)
    (0.3, 0.15, 0.0)
    """
    return alpha / 2 * (1 + math.cos(math.pi * step / last_step))


@torch.no_grad()
def clear_momentum(optimiser: torch.optim.Optimizer, parameter: nn.Parameter, places: torch.Tensor) -> None:
    """Set what an optimiser remembers of some weights to zero: all its tensors of the parameter's shape.

    Args:
        optimiser: any of torch's.
        parameter: one of its parameters.
        places: mask (bool) of the parameter's shape.
    """
    for one in optimiser.state.get(parameter, {}).values():
        if isinstance(one, torch.Tensor) and one.shape == parameter.shape:
            one.masked_fill_(places, 0)


class SparseTraining(Masks, ABC):
    """What SET and RigL share: a random sparse start, and rounds in which each layer drops and grows as many weights.

    A round drops the smallest magnitudes, after the gradient is known and before the step. New weights start at zero
    and take part in that step; what the optimiser remembers of dropped and of new weights is cleared. A weight
    that is dropped in a round cannot grow back in it. The number of weights of each layer never changes.

    Args:
        density: share of the prunable weights.
        every: steps between rounds.
        alpha: share of a layer's weights that the first round moves; see `dropped_share`.
        until: share of the planned steps after which the masks stay.
        distribution: "erk" or "per_layer".
        ignore: names of parameters or modules that stay dense.

    Raises:
        InputError: an option is out of its range; in `fit`, the budget has no steps to plan with, or there is early
            stopping.
    """

    name = "sparse training"
    in_populations = False  # it clears what the optimiser remembers

    def __init__(
        self,
        density: float,
        *,
        every: int = 100,
        alpha: float = 0.3,
        until: float = 0.75,
        distribution: Distribution = "erk",
        ignore: Iterable[str] = (),
    ) -> None:
        super().__init__({})
        check_density(density)
        if every < 1:
            raise InputError(f"every must be at least 1 step, got {every}")
        if not (0 <= alpha <= 1 and 0 < until <= 1):
            raise InputError(f"alpha must be from 0 to 1 and until above 0, at most 1, got {alpha} and {until}")
        self.density = density
        self.every = every
        self.alpha = alpha
        self.until = until
        self.distribution = distribution
        self.ignore = tuple(ignore)
        #: (steps done, weights moved) of every round of this process.
        self.rounds: list[tuple[int, int]] = []
        self._weights: dict[str, nn.Parameter] = {}

    def on_start(self, run: Run) -> None:
        self._weights = prunable(run.model, ignore=self.ignore)
        self._last_step = max(round(self.until * planned_steps(run, self.name)), 1)
        counts = kept_counts(
            {name: tuple(one.shape) for name, one in self._weights.items()}, self.density, self.distribution
        )
        scores = random_scores(self._weights, seed=seed_for(run.config.seed, self.name))
        self.masks = {name: largest(scores[name], count) for name, count in counts.items()}
        super().on_start(run)

    def after_backward(self, run: Run) -> None:
        if 0 < run.step < self._last_step and run.step % self.every == 0:
            self._move(run)
        super().after_backward(run)

    @torch.no_grad()
    def _move(self, run: Run) -> None:
        share = dropped_share(run.step, last_step=self._last_step, alpha=self.alpha)
        masks, moved = {}, 0
        for name, one in self._weights.items():
            mask = self.masks[name].bool()
            active = int(mask.sum())
            number = min(int(share * active), mask.numel() - active)
            kept = largest(one.abs().masked_fill(~mask, -1.0), active - number)
            wanted = self.growth(name, one, run).masked_fill(mask, -1.0)
            grown = largest(wanted, number)
            masks[name] = kept | grown
            one.masked_fill_(~kept, 0)
            clear_momentum(run.optimiser, one, (mask & ~kept) | grown)
            moved += number
        self.replace(masks)
        self.rounds.append((run.step, moved))

    @abstractmethod
    def growth(self, name: str, weight: nn.Parameter, run: Run) -> torch.Tensor:
        """Return a score, not negative, of each weight that may grow: the largest do."""

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.replace({name: one.bool() for name, one in state.items()})


class SET(SparseTraining):
    """Sparse evolutionary training: grow at random (Mocanu et al., arXiv 1707.04780).

    Arguments as of `SparseTraining`.

    >>> SET(0.1).every
    100
    """

    name = "SET"

    def growth(self, name: str, weight: nn.Parameter, run: Run) -> torch.Tensor:
        """Return random scores."""
        return random_scores({name: weight}, seed=seed_for(run.config.seed, self.name, run.step))[name]


class RigL(SparseTraining):
    """Rigged lottery: grow where the dense gradient is largest (Evci et al., arXiv 1911.11134).

    Arguments as of `SparseTraining`. The gradient is that of the step's batch. List it before other callbacks that
    change gradients.

    >>> RigL(0.1).alpha
    0.3
    """

    name = "RigL"

    def growth(self, name: str, weight: nn.Parameter, run: Run) -> torch.Tensor:
        """Return the magnitude of the dense gradient."""
        return torch.zeros_like(weight) if weight.grad is None else weight.grad.abs()
