"""What callbacks see of a population: each member as a run of its own, whose model lies in the memory of them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from selftaught.errors import InputError
from selftaught.training.batches import InMemory
from selftaught.training.callbacks import Callback
from selftaught.training.config import TrainConfig
from selftaught.training.losses import Loss
from selftaught.training.run import Run
from selftaught.training.stack import Stack

__all__ = ["MemberRuns"]


class MemberRuns:
    """The members' runs, with the calls that `fit` makes; nothing at all without callbacks.

    A callback may read and change parameters, gradients and buffers of `run.model`, which are views. It finds no state
    in `run.optimiser`: the population has one optimiser for all members.

    Args:
        stack: the members.
        source: the data that all of them share; None where each has its own, and no callbacks.
        configs: one a member.
        loss: what is lowered.
        callbacks: from the number of a member to its own callbacks, each new; None for none.

    Raises:
        InputError: a callback does not work in populations, or serves two members.
    """

    def __init__(
        self,
        stack: Stack,
        source: InMemory | None,
        configs: Sequence[TrainConfig],
        loss: Loss,
        callbacks: Callable[[int], Sequence[Callback]] | None,
    ) -> None:
        self.runs: list[Run] = []
        if callbacks is None or source is None:
            return
        own = [tuple(callbacks(number)) for number in range(len(stack))]
        _check([one for part in own for one in part])
        for number, config in enumerate(configs):
            model = stack.member(number)
            # Holds the rates that a run reads; steps are taken by the population's own.
            rates = torch.optim.SGD(stack.parameters_of(model), lr=config.optimiser.lr)
            self.runs.append(
                Run(
                    model=model, config=config, source=source, loss=loss, optimiser=rates, device=source.device,
                    valid=None, callbacks=own[number], precision=config.precision,
                )
            )

    def start(self) -> None:
        """Begin all runs."""
        for run in self.runs:
            for callback in run.callbacks:
                callback.on_start(run)

    def before_step(self) -> None:
        for run in self.runs:
            for callback in run.callbacks:
                callback.before_step(run)

    def after_backward(self) -> None:
        for run in self.runs:
            for callback in run.callbacks:
                callback.after_backward(run)

    def after_step(self) -> None:
        """Count the step, and tell the callbacks."""
        for run in self.runs:
            run.step += 1
            run.place += 1
            for callback in run.callbacks:
                callback.after_step(run)

    def after_epoch(self, losses: Sequence[float], *, whole: bool) -> None:
        """End an epoch; `whole` says whether all its batches were seen."""
        for run, loss in zip(self.runs, losses, strict=False):
            run.epoch += whole
            run.history.append({"epoch": run.epoch + (not whole), "step": run.step, "loss": loss})
            run.place = 0 if whole else run.place
            for callback in run.callbacks:
                callback.after_epoch(run)

    def end(self) -> None:
        """End all runs."""
        for run in self.runs:
            for callback in run.callbacks:
                callback.on_end(run)

    def clean(self) -> None:
        """Do what the runs were told to do at their ends, however they end."""
        for run in self.runs:
            run.clean()


def _check(callbacks: Sequence[Callback]) -> None:
    for one in callbacks:
        if not one.in_populations:
            raise InputError(f"{type(one).__name__} does not work in a population; train the models one by one with it")
    if len({id(one) for one in callbacks}) < len(callbacks):
        raise InputError("each member of a population needs callbacks of its own; make new ones for each number")
