"""What can be added to a training run: averages of weights, masks, schedules of dropout, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from selftaught.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from selftaught.training.batches import Batch
    from selftaught.training.run import ForwardPass, Run

__all__ = [
    "Callback", "DropoutSchedule", "EarlyStopping", "Ema", "Masks", "StochasticDepth", "refuse_later_averages",
]  # fmt: skip


class Callback:
    """What a run calls; every method does nothing until it is overridden.

    The order is that of the list given to `fit`. What a callback remembers it gives as tensors in `state` and takes
    back in `load_state`, so that a run that was killed goes on as if nothing had happened. One callback serves one run.

    Attributes:
        in_populations: whether it works in `fit_population`: it touches nothing but parameters, gradients and buffers.
    """

    in_populations: bool = False

    def on_start(self, run: Run) -> None:
        """Called once, on the device, in training mode, before a checkpoint is loaded."""

    def change_batch(self, run: Run, batch: Batch) -> Batch:
        """Called first in a step, before the batch is augmented; what it returns is what the step sees."""
        return batch

    def before_step(self, run: Run) -> None:
        """Called before each forward pass."""

    def change_loss(self, run: Run, seen: ForwardPass, value: torch.Tensor) -> torch.Tensor:
        """Called after the forward pass with the loss so far; what it returns is what is lowered."""
        return value

    def after_backward(self, run: Run) -> None:
        """Called when the gradients are there, before they are clipped and used."""

    def after_step(self, run: Run) -> None:
        """Called when the weights have changed; `run.step` counts the steps done."""

    def before_evaluation(self, run: Run) -> None:
        """Called before the model is evaluated within the run."""

    def after_evaluation(self, run: Run) -> None:
        """Called after that, in the reverse order of the list."""

    def after_epoch(self, run: Run) -> None:
        """Called when the epoch's line of the history is complete; the line is `run.history[-1]`."""

    def on_end(self, run: Run) -> None:
        """Called once when the training is over, before the last evaluation."""

    def seconds_at_end(self, run: Run) -> float:
        """Return how long `on_end` will take, which a budget in seconds keeps free."""
        return 0.0

    def state(self) -> dict[str, torch.Tensor]:
        """Return what has to be remembered."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` gave."""


class Ema(Callback):
    """Average the weights over the steps: a <- decay a + (1 - decay) w (Polyak and Juditsky 1992).

    Evaluations within the run use the average, and at the end it becomes the model's weights. Buffers such as running
    statistics are averaged as well; those that hold whole numbers are copied.

    Args:
        decay: 0 to below 1.
        warm: let the decay rise as (1 + step) / (10 + step), so that the first weights are forgotten sooner.
    """

    def __init__(self, decay: float = 0.999, *, warm: bool = True) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"decay must be from 0 to below 1, got {decay}")
        self.decay = decay
        self.warm = warm
        self._average: dict[str, torch.Tensor] = {}
        self._aside: dict[str, torch.Tensor] = {}

    def on_start(self, run: Run) -> None:
        self._average = {name: one.detach().clone() for name, one in run.model.state_dict().items()}

    @torch.no_grad()
    def after_step(self, run: Run) -> None:
        decay = min(self.decay, (1 + run.step) / (10 + run.step)) if self.warm else self.decay
        averages, weights = [], []
        for name, one in run.model.state_dict().items():
            if one.is_floating_point():
                averages.append(self._average[name])
                weights.append(one)
            else:
                self._average[name].copy_(one)
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def before_evaluation(self, run: Run) -> None:
        self._aside = {name: one.detach().clone() for name, one in run.model.state_dict().items()}
        run.model.load_state_dict(self._average)

    def after_evaluation(self, run: Run) -> None:
        run.model.load_state_dict(self._aside)
        self._aside = {}

    def on_end(self, run: Run) -> None:
        run.model.load_state_dict(self._average)

    def state(self) -> dict[str, torch.Tensor]:
        return dict(self._average)

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        for name, one in self._average.items():
            one.copy_(state[name])


def refuse_later_averages(callback: Callback, run: Run) -> None:
    """Check that no callback after this one puts averages in place of the weights that this one has made sparse.

    Raises:
        InputError: one does.
    """
    if any(isinstance(one, Ema) for one in run.callbacks[run.callbacks.index(callback) + 1 :]):
        raise InputError(f"list Ema before {type(callback).__name__}, so that the averages are made sparse too")


class Masks(Callback):
    """Keep weights at zero where a mask is zero: gradient times mask before the step, weight times mask after it.

    Averages and weights that other callbacks, listed before it, put in their place are masked as well.

    Args:
        masks: name of a parameter -> zeros and ones of its shape, or a truth each. A parameter that is shared has one
            mask for all its uses.

    Raises:
        InputError: in `fit`, there is no such parameter, a shape differs, or an Ema is listed after it.
    """

    in_populations = True

    def __init__(self, masks: Mapping[str, torch.Tensor]) -> None:
        self.masks = dict(masks)
        self._held: list[tuple[nn.Parameter, torch.Tensor]] = []

    def on_start(self, run: Run) -> None:
        refuse_later_averages(self, run)
        named = dict(run.model.named_parameters())
        for name, mask in self.masks.items():
            if name not in named:
                raise InputError(f"there is no parameter {name!r} to mask{did_you_mean(name, named)}")
            if mask.shape != named[name].shape:
                raise InputError(
                    f"the mask of {name} must have shape {tuple(named[name].shape)}, got {tuple(mask.shape)}"
                )
        self._held = [(named[name], mask.to(named[name])) for name, mask in self.masks.items()]
        self.apply()

    def replace(self, masks: Mapping[str, torch.Tensor]) -> None:
        """Take other masks of the same parameters while the run goes on, and apply them."""
        for place, name in enumerate(self.masks):
            parameter, _ = self._held[place]
            self.masks[name] = masks[name]
            self._held[place] = (parameter, masks[name].to(parameter))
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Set the masked weights to zero."""
        for parameter, mask in self._held:
            parameter.mul_(mask)

    @torch.no_grad()
    def after_backward(self, run: Run) -> None:
        for parameter, mask in self._held:
            if parameter.grad is not None:
                parameter.grad.mul_(mask)

    def after_step(self, run: Run) -> None:
        self.apply()

    def before_evaluation(self, run: Run) -> None:
        self.apply()

    def on_end(self, run: Run) -> None:
        self.apply()

    def state(self) -> dict[str, torch.Tensor]:
        return {name: mask.to(torch.uint8) for name, mask in self.masks.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.replace(state)


class DropoutSchedule(Callback):
    """Move the rate of all dropout layers from one value to another over the run, in a straight line.

    The layers' own rates come back at the end.

    Args:
        first, last: rates at the start and at the end.
    """

    def __init__(self, first: float, last: float) -> None:
        if not (0 <= first < 1 and 0 <= last < 1):
            raise InputError(f"rates of dropout must be from 0 to below 1, got {first} and {last}")
        self.first = first
        self.last = last
        self._layers: list[Any] = []

    def on_start(self, run: Run) -> None:
        self._layers = [one for one in run.model.modules() if isinstance(one, nn.modules.dropout._DropoutNd)]
        if not self._layers:
            raise InputError("the model has no dropout layer whose rate could be scheduled")
        for layer in self._layers:
            run.at_end(_setter(layer, layer.p))

    def before_step(self, run: Run) -> None:
        rate = self.first + (self.last - self.first) * run.progress
        for layer in self._layers:
            layer.p = rate


def _setter(layer: Any, rate: float) -> Callable[[], None]:
    def put_back() -> None:
        layer.p = rate

    return put_back


class StochasticDepth(Callback):
    """Drop whole residual branches at random, each example its own (Huang et al., arXiv 1603.09382).

    The output of a branch is set to zero for an example with a rate that rises in a straight line from the first branch
    to the last, and is divided by the share kept; only while training.

    Args:
        branches: names of the modules whose outputs are added to the shortcuts, first to last.
        last: rate of the last branch; branch l of L has l / L of it.
    """

    def __init__(self, branches: Sequence[str], last: float = 0.2) -> None:
        if not 0 <= last < 1:
            raise InputError(f"the rate of stochastic depth must be from 0 to below 1, got {last}")
        self.branches = list(branches)
        self.last = last

    def on_start(self, run: Run) -> None:
        modules = dict(run.model.named_modules())
        for place, name in enumerate(self.branches, start=1):
            if name not in modules:
                raise InputError(f"the model has no module {name!r}{did_you_mean(name, modules)}")
            rate = self.last * place / len(self.branches)
            run.at_end(modules[name].register_forward_hook(_dropping(rate)).remove)


def _dropping(rate: float) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
    def drop(module: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor:
        if not module.training or rate == 0:
            return output
        shape = (len(output),) + (1,) * (output.ndim - 1)
        kept = torch.rand(shape, device=output.device) >= rate
        return output * kept / (1 - rate)

    return drop


class EarlyStopping(Callback):
    """End the run when the validation score has not risen for some evaluations, and go back to the best weights.

    Args:
        patience: evaluations without a better score.
        least: by how much a score must be better to count.
    """

    def __init__(self, patience: int = 10, *, least: float = 0.0) -> None:
        if patience < 1:
            raise InputError(f"patience must be at least 1, got {patience}")
        self.patience = patience
        self.least = least
        self.best = -float("inf")
        self.best_step = 0
        self._waited = 0
        self._weights: dict[str, torch.Tensor] = {}

    def on_start(self, run: Run) -> None:
        if run.valid is None:
            raise InputError("early stopping needs validation examples; give valid= or a task")

    def after_epoch(self, run: Run) -> None:
        if run.evaluation is None:
            return
        if not self._weights or run.evaluation.score > self.best + self.least:
            self.best, self.best_step, self._waited = run.evaluation.score, run.step, 0
            self._weights = run.evaluated_weights()
            return
        self._waited += 1
        if self._waited >= self.patience:
            run.stop("early stopping")

    def on_end(self, run: Run) -> None:
        if self._weights:
            run.model.load_state_dict(self._weights)

    def state(self) -> dict[str, torch.Tensor]:
        numbers = torch.tensor([self.best, self.best_step, self._waited], dtype=torch.float64)
        return {"numbers": numbers, **{f"weights.{name}": one for name, one in self._weights.items()}}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        best, step, waited = state["numbers"].tolist()
        self.best, self.best_step, self._waited = best, int(step), int(waited)
        self._weights = {
            name.removeprefix("weights."): one for name, one in state.items() if name.startswith("weights.")
        }
