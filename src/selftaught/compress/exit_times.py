"""What leaving early costs and saves: accuracy against measured time, and who leaves where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.compress.early_exit import EarlyExit
from selftaught.compress.exit_calibration import BATCH, Costs, calibrate_exits, example_inputs, labelled
from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training.costs import time_in_turns
from selftaught.training.devices import in_evaluation, limited_threads

__all__ = ["ExitCurve", "ExitPoint", "exit_curve", "record_exits"]


@dataclass(frozen=True)
class ExitPoint:
    """One setting of the thresholds, on test examples.

    Args:
        lost: accuracy that was allowed to be lost on the validation examples; None for the model without exits.
        thresholds: one an exit.
        accuracy: on the test examples.
        shares: of them that leave at each exit, the model's end last.
        seconds: of an example in a batch of one, the mean over examples, in the fastest round.
        batched: seconds of an example in a batch, where all wait for the slowest.
        regrouped: the same, where those that are left go on as a smaller batch; None where the model does not allow it.
    """

    lost: float | None
    thresholds: tuple[float, ...]
    accuracy: float
    shares: tuple[float, ...]
    seconds: float
    batched: float
    regrouped: float | None


@dataclass(frozen=True)
class ExitCurve:
    """Accuracy against measured time.

    Args:
        points: the model without exits first.
        batch: examples a batch in `batched` and `regrouped`.
        examples: that were timed.
        rounds: of timing.
    """

    points: tuple[ExitPoint, ...]
    batch: int
    examples: int
    rounds: int

    def __str__(self) -> str:
        lines = [f"{self.examples} examples, {self.rounds} rounds; ms an example: one by one, batches of {self.batch}"]
        for one in self.points:
            name = "no exits" if one.lost is None else f"lost {one.lost:.3f}"
            alone = "      -" if one.regrouped is None else f"{one.regrouped * 1e3:7.3f}"
            lines.append(
                f"{name:<10}  accuracy {one.accuracy:.4f}  {one.seconds * 1e3:7.3f}  {one.batched * 1e3:7.3f}, "
                f"regrouped {alone}  leave {' '.join(f'{share:.2f}' for share in one.shares)}"
            )
        return "\n".join(lines)


def exit_curve(
    early: EarlyExit,
    valid: Examples,
    test: Examples,
    *,
    lost: Sequence[float] = (0.0, 0.005, 0.01, 0.02, 0.05),
    by: Costs = "seconds",
    batch: int = 32,
    examples: int = 200,
    rounds: int = 5,
    threads: int = 1,
) -> ExitCurve:
    """Measure accuracy and time for some thresholds, each calibrated on validation examples; all are timed in turns.

    Args:
        early: with trained heads; its thresholds and temperatures are as before afterwards.
        valid: to calibrate on.
        test: to measure on.
        lost: accuracies that may be lost on `valid`.
        by: what the thresholds are to keep low; see `calibrate_exits`.
        batch: of the times at a batch.
        examples: of `test` that are timed, the first ones.
        rounds: of timing, after two that are not measured.
        threads: of torch, while it measures.

    Raises:
        InputError: an option is out of its range.
        DataError: there are no labels.
    """
    if min(batch, examples, rounds, threads) < 1 or not lost:
        told = f"{batch}, {examples}, {rounds} and {threads}"
        raise InputError(f"batch, examples, rounds and threads must be at least 1, got {told}")
    held = early.thresholds.clone(), early.temperatures.clone()
    timed = example_inputs(early, test.take(np.arange(min(examples, len(test)))))
    sizes = {"one": 1, "batched": batch, "regrouped": batch}
    settings: list[tuple[float | None, torch.Tensor, torch.Tensor]] = []

    def run(place: int, mode: str) -> None:
        _, thresholds, temperatures = settings[place]
        early.thresholds.copy_(thresholds)
        early.temperatures.copy_(temperatures)
        for part in timed.split(sizes[mode]):
            if place == 0:
                early.model(part)
            else:
                early.leave(part, regroup=mode == "regrouped")

    try:
        closed = torch.full_like(held[0], float("inf"))
        settings.append((None, closed, torch.ones_like(held[1])))
        for share in lost:
            calibrate_exits(early, valid, lost=share, by=by)
            settings.append((share, early.thresholds.clone(), early.temperatures.clone()))
        modes = [mode for mode in sizes if mode != "regrouped" or early.regroups]
        names = {f"{k}.{mode}": (k, mode) for k in range(len(settings)) for mode in modes}
        with limited_threads(threads), in_evaluation(early), torch.inference_mode():
            calls = {name: (lambda k=k, mode=mode: run(k, mode)) for name, (k, mode) in names.items()}
            seconds = time_in_turns(calls, rounds=rounds, device=timed.device)
        each = {name: min(found) / len(timed) for name, found in seconds.items()}
        points = []
        for k, (one, thresholds, temperatures) in enumerate(settings):
            early.thresholds.copy_(thresholds)
            early.temperatures.copy_(temperatures)
            right, exits = _left(early, test)
            shares = np.bincount(exits, minlength=len(early.exits) + 1) / len(exits)
            points.append(
                ExitPoint(
                    one, tuple(thresholds.tolist()), float(right.mean()), tuple(shares.tolist()), each[f"{k}.one"],
                    each[f"{k}.batched"], each.get(f"{k}.regrouped"),
                )
            )  # fmt: skip
    finally:
        early.thresholds.copy_(held[0])
        early.temperatures.copy_(held[1])
    return ExitCurve(tuple(points), batch, len(timed), rounds)


def record_exits(
    ledger: Ledger | str | os.PathLike[str], early: EarlyExit, examples: Examples, *, model: str = "model"
) -> NDArray[np.int64]:
    """Record at which exit each example leaves (`exit`) and whether it is right there (`exit_correct`); axis model.

    Args:
        ledger: a ledger or its folder.
        early: in any mode; left as it was.
        examples: labelled.
        model: what the model is called in the ledger.

    Returns:
        (n,) number of the exit; the model's own end counts as the last.

    Raises:
        DataError: there are no labels.
    """
    right, exits = _left(early, examples)
    held = ledger if isinstance(ledger, Ledger) else Ledger(ledger)
    held.record("exit", examples.ids, exits, model=model)
    held.record("exit_correct", examples.ids, right, model=model)
    return exits


def _left(early: EarlyExit, examples: Examples) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return for each example whether it is right, and its exit."""
    memory = labelled(early, examples)
    with in_evaluation(early), torch.inference_mode():
        found = [early.leave(one.inputs) for one in memory.in_order(BATCH)]
    scores = torch.cat([one.scores for one in found]).float().cpu().numpy()
    exits = torch.cat([one.exits for one in found]).cpu().numpy()
    return scores.argmax(axis=1) == np.asarray(examples.labels), exits
