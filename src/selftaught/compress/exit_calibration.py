"""Thresholds of early exits, calibrated for a wanted accuracy, and what each exit costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.compress.early_exit import NOBODY, EarlyExit, confidence_of
from selftaught.errors import DataError, InputError, require_one_of
from selftaught.examples import Examples
from selftaught.training.batches import InMemory
from selftaught.training.costs import count_flops, time_in_turns
from selftaught.training.devices import in_evaluation, limited_threads, model_device
from selftaught.training.evaluation import score_interval

__all__ = ["CalibratedExits", "ExitCosts", "calibrate_exits", "choose_thresholds", "exit_costs", "fit_temperature"]

BATCH = 512
Costs = Literal["multiply_adds", "seconds"]


@dataclass(frozen=True)
class CalibratedExits:
    """Thresholds, and what they give on the examples they were chosen on.

    Args:
        thresholds: one an exit; infinite where nobody leaves.
        temperatures: of each head's confidence, the model's end last.
        wanted: the accuracy asked for.
        accuracy: with these thresholds, never below `wanted`; chosen as the cheapest, so that on other examples it may
            be lower.
        interval: its 95 % interval (Wilson).
        full: accuracy of the model's own end.
        shares: of the examples that leave at each exit, the model's end last.
        cost: of an example in the mean, over that of the whole model without heads.
    """

    thresholds: tuple[float, ...]
    temperatures: tuple[float, ...]
    wanted: float
    accuracy: float
    interval: tuple[float, float]
    full: float
    shares: tuple[float, ...]
    cost: float


def calibrate_exits(
    early: EarlyExit,
    examples: Examples,
    *,
    accuracy: float | None = None,
    lost: float = 0.005,
    by: Costs = "multiply_adds",
    grid: int = 50,
) -> CalibratedExits:
    """Set temperatures and thresholds of a module's exits in place, the cheapest that keep an accuracy.

    Each head's scores are divided by the temperature with the least cross-entropy (Guo et al., arXiv 1706.04599), and
    `choose_thresholds` searches. The accuracy holds on these examples; give ones that nothing was trained on.

    Args:
        early: with trained heads.
        examples: labelled, for validation.
        accuracy: wanted; by default what the model's end has, less `lost`.
        lost: share of the examples.
        by: what is to be low: counted multiply-adds, or measured seconds of a batch of one (see `exit_costs`).
        grid: thresholds tried at each exit, quantiles of its confidence.

    Raises:
        InputError: an option is out of its range, or not even the model's end is as accurate as wanted.
        DataError: there are no labels.
    """
    given, labels = _scores(early, examples)
    if grid < 1 or lost < 0:
        raise InputError(f"grid must be at least 1 and lost not negative, got {grid} and {lost}")
    correct = given.argmax(dim=2).numpy() == labels
    full = float(correct[-1].mean())
    wanted = full - lost if accuracy is None else accuracy
    if not wanted <= full:
        raise InputError(f"the whole model has accuracy {full:.4f} on {examples.name!r}; ask for that at most")
    temperatures = [fit_temperature(one.numpy(), labels) for one in given]
    # As the module holds them, so that what is chosen here is what happens there.
    early.temperatures.copy_(torch.tensor(temperatures))
    sure = torch.stack([confidence_of(given[k], one) for k, one in enumerate(early.temperatures.tolist()[:-1])])
    one = example_inputs(early, examples.take(np.arange(1)))
    costs = exit_costs(early, one, by=by)
    ends = np.array(costs.ends)
    thresholds = choose_thresholds(sure.numpy(), correct, ends, wanted, heads=np.array(costs.heads), grid=grid)
    early.set_thresholds(thresholds.tolist())
    exits = _exits_of(sure.numpy(), thresholds)
    right = correct[exits, np.arange(len(exits))]
    return CalibratedExits(
        thresholds=tuple(thresholds.tolist()), temperatures=tuple(early.temperatures.tolist()), wanted=wanted,
        accuracy=float(right.mean()), interval=score_interval("accuracy", right, right), full=full,
        shares=tuple((np.bincount(exits, minlength=len(given)) / len(exits)).tolist()),
        cost=float(_totals(ends, np.array(costs.heads), thresholds)[exits].mean() / ends[-1]),
    )  # fmt: skip


def fit_temperature(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the temperature with the least mean cross-entropy of scores / T, from 1/20 to 20 (arXiv 1706.04599).

    Args:
        scores: (n, classes).
        labels: (n,) class numbers.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    held = np.asarray(scores, np.float64)
    own = held[np.arange(len(held)), labels]

    def loss(log: float) -> float:
        warm = np.exp(-log)
        return float((logsumexp(held * warm, axis=1) - own * warm).mean())

    found = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def choose_thresholds(
    sure: NDArray[Any],
    correct: NDArray[Any],
    costs: NDArray[Any],
    wanted: float,
    *,
    heads: NDArray[Any] | None = None,
    grid: int = 50,
) -> NDArray[np.float64]:
    """Return the thresholds with the least mean cost whose accuracy is at least what is wanted.

    With one or two exits all combinations of the grid are tried; with more, one exit after the other moves to where the
    cost falls most, from nobody leaving until nothing helps. Infinity is always on the grid.

    Args:
        sure: (exits, n) confidence of the heads, float32.
        correct: (exits + 1, n) whether each head, and the model's end, is right.
        costs: (exits + 1,) of going there.
        wanted: accuracy; the model's own end must have it.
        heads: (exits,) cost of asking each head, unless its exit is closed; nothing by default.
        grid: quantiles of each head's confidence that are tried.

    >>> sure = np.array([[0.9, 0.8, 0.6, 0.5]], np.float32)
    >>> correct = np.array([[True, True, False, False], [True, True, True, False]])
    >>> bool(0.6 < choose_thresholds(sure, correct, np.array([1.0, 4.0]), 0.75)[0] < 0.8)
    True
    """
    levels = [np.append(_between(one, grid), np.inf) for one in sure]
    exits = len(sure)
    asked = np.zeros(exits) if heads is None else heads
    best = np.full(exits, np.inf)

    def best_at(place: int, others: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        return _best_at(place, others, levels[place], sure, correct, costs, asked, wanted)

    if exits <= 2:
        found = (np.inf, best)
        for first in levels[0] if exits == 2 else [np.inf]:
            start = np.array([first, np.inf][-exits:])
            found = min(found, best_at(exits - 1, start), key=lambda one: one[0])
        return found[1]
    least = float(costs[-1])
    while True:
        tried = [best_at(place, best) for place in range(exits)]
        cost, moved = min(tried, key=lambda one: one[0])
        if not cost < least - 1e-12 * abs(least):
            return best
        least, best = cost, moved


def _best_at(
    place: int, others: NDArray[Any], levels: NDArray[Any], sure: NDArray[Any], correct: NDArray[Any],
    costs: NDArray[Any], heads: NDArray[Any], wanted: float,
) -> tuple[float, NDArray[np.float64]]:  # fmt: skip
    """Return the least cost, and the thresholds, when one exit moves and the others stay."""
    columns = np.arange(sure.shape[1])
    moved = others.copy()
    moved[place] = np.inf
    without = _exits_of(sure, moved)
    closed = _totals(costs, heads, moved)
    moved[place] = 0.0
    opened = _totals(costs, heads, moved)
    here = (sure[place] >= levels[:, None]) & (without > place)  # (levels, n) who would leave here
    right = np.where(here, correct[place], correct[without, columns]).mean(axis=1)
    cost = np.where(here, opened[place], opened[without]).mean(axis=1)
    cost[np.isinf(levels)] = closed[without].mean()
    cost[right < wanted - 1e-12] = np.inf
    chosen = int(cost.argmin())
    moved[place] = levels[chosen]
    return float(cost[chosen]), moved


def _totals(costs: NDArray[Any], heads: NDArray[Any], thresholds: NDArray[Any]) -> NDArray[np.float64]:
    """Return what leaving at each exit costs with all open heads up to there, (exits + 1,)."""
    asked = np.cumsum(np.where(np.isinf(thresholds), 0.0, heads))
    return np.asarray(costs + np.append(asked, asked[-1]), np.float64)


def _between(values: NDArray[Any], grid: int) -> NDArray[np.float64]:
    """Return thresholds between the values: below the least of them, and at so many quantiles."""
    own = np.unique(values)
    chosen = np.unique(np.linspace(0, len(own) - 1, min(grid, len(own))).round().astype(np.int64))
    upper = own[chosen].astype(np.float32)
    lower = np.where(chosen > 0, own[np.maximum(chosen - 1, 0)], 0).astype(np.float32)
    middle = ((upper.astype(np.float64) + lower) / 2).astype(np.float32)
    # Neighbours that no float32 lies between: the upper one itself.
    return np.asarray(np.where(middle > lower, middle, upper), np.float64)


def _exits_of(sure: NDArray[Any], thresholds: NDArray[Any]) -> NDArray[np.int64]:
    """Return the exit at which each example leaves; the number of exits where it does not."""
    leaves = np.vstack([sure >= thresholds[:, None], np.ones((1, sure.shape[1]), np.bool_)])
    return np.asarray(leaves.argmax(axis=0), np.int64)


@dataclass(frozen=True)
class ExitCosts:
    """What the parts of a model with exits cost, for one example.

    Args:
        ends: of the model up to each exit, without heads, the whole model last.
        heads: of each head.
    """

    ends: tuple[float, ...]
    heads: tuple[float, ...]


def exit_costs(
    early: EarlyExit, inputs: torch.Tensor, *, by: Costs = "multiply_adds", rounds: int = 50, threads: int = 1
) -> ExitCosts:
    """Return what one example costs up to each exit, and what each head costs.

    Args:
        early: left as it was.
        inputs: (n, ...) example inputs; the first is used.
        by: counted "multiply_adds", or measured "seconds", the least over turns: of the model alone, with one head that
            nobody leaves at, and with one that everybody leaves at.
        rounds, threads: of timing.

    Raises:
        InputError: `by` is neither.
    """
    require_one_of("by", by, get_args(Costs))
    exits = len(early.exits)
    before, one = early.thresholds.clone(), inputs[:1]

    def through(place: int, threshold: float) -> None:
        early.set_thresholds([threshold if other == place else float("inf") for other in range(exits)])

    settings = {"whole": (0, float("inf"))}
    settings |= {f"{name}.{k}": (k, level) for k in range(exits) for name, level in (("pass", NOBODY), ("leave", -1.0))}
    found = {}
    try:
        if by == "multiply_adds":
            for name, (place, level) in settings.items():
                through(place, level)
                found[name] = count_flops(early, one) / 2
        else:

            def call(place: int, level: float) -> Callable[[], object]:
                def run() -> None:
                    through(place, level)
                    early.leave(one)

                return run

            with limited_threads(threads), in_evaluation(early), torch.inference_mode():
                cases = {name: call(*setting) for name, setting in settings.items()}
                timed = time_in_turns(cases, rounds=rounds, device=one.device)
            found = {name: min(times) for name, times in timed.items()}
    finally:
        early.thresholds.copy_(before)
    heads = [max(found[f"pass.{k}"] - found["whole"], 0.0) for k in range(exits)]
    ends = [max(found[f"leave.{k}"] - heads[k], 0.0) for k in range(exits)]
    return ExitCosts((*ends, found["whole"]), tuple(heads))


def example_inputs(early: EarlyExit, examples: Examples) -> torch.Tensor:
    """Return all inputs as the model takes them."""
    memory = InMemory(examples, batch_size=1, device=model_device(early))
    found: torch.Tensor = next(iter(memory.in_order(len(examples)))).inputs
    return found


def _scores(early: EarlyExit, examples: Examples) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Return the scores of all heads and of the end, (exits + 1, n, classes), and the labels."""
    memory = labelled(early, examples)
    with in_evaluation(early), torch.inference_mode():
        parts = [torch.stack(early.all_scores(one.inputs)).float().cpu() for one in memory.in_order(BATCH)]
    return torch.cat(parts, dim=1), np.asarray(examples.labels, np.int64)


def labelled(early: EarlyExit, examples: Examples) -> InMemory:
    """Return examples where the model is.

    Raises:
        DataError: they have no classes.
    """
    memory = InMemory(examples, batch_size=BATCH, device=model_device(early))
    if memory.kind != "cross_entropy":
        raise DataError(f"{examples.name!r} has numbers for labels; early exit needs classes")
    return memory
