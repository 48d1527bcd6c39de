"""Make a model smaller so that the class or group that loses most loses little, and say what that costs."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from selftaught.errors import InputError
from selftaught.examples import Examples
from selftaught.plans.balancing import last_bias
from selftaught.plans.comparison import largest_drop, rates
from selftaught.plans.execution import Compressed, run_plan
from selftaught.plans.plan import Balance, Channels, FineTune, Plan
from selftaught.plans.progress import Decisions
from selftaught.plans.samples import MANY, few_of
from selftaught.training import Progress, evaluate

__all__ = ["Rates", "at_risk", "known_rates", "protect"]

#: Name of a class or group -> (share of right answers, examples).
Rates = Mapping[str, tuple[float, int]]

STEEPNESS = 10.0  # ten points more lost than the mean: e times the weight
LIMITS = (0.5, 3.0)


def at_risk(before: Rates, after: Rates, *, column: str = "") -> dict[str, float]:
    """Return how much examples of each class or group should count: more where more was lost.

    The weight is exp(10 (drop - mean drop)), from 0.5 to 3; the multiplicative step of Sagawa et al., arXiv 1911.08731.

    Args:
        before, after: rates by name.
        column: of groups, whose name stands before each value.

    >>> at_risk({"a": (0.9, 9), "b": (0.9, 9)}, {"a": (0.7, 9), "b": (0.9, 9)})
    {'a': 2.7183, 'b': 0.5}
    """
    drops = {name: before[name][0] - after[name][0] for name in before}
    mean = sum(drops.values()) / len(drops)
    found = {name: math.exp(STEEPNESS * (drop - mean)) for name, drop in drops.items()}
    cut = len(column) + 1 if column else 0
    return {name[cut:]: round(min(max(one, LIMITS[0]), LIMITS[1]), 4) for name, one in found.items()}


def known_rates(model: nn.Module, parts: tuple[Examples, ...], column: str) -> dict[str, tuple[float, int]]:
    """Return a model's rates by class, or by group of a column, over training and validation examples together.

    Args:
        model: any module.
        parts: of the examples.
        column: of groups; the classes when empty.
    """
    sums: dict[str, tuple[float, int]] = {}
    for one in parts:
        found = rates(evaluate(model, one).correct, one, (column,) if column else ())
        for name, (share, count) in found.items():
            if bool(column) == (name not in one.class_names):
                right, n = sums.get(name, (0.0, 0))
                sums[name] = (right + share * count, n + count)
    return {name: (right / n, n) for name, (right, n) in sums.items()}


def protect(
    model: nn.Module,
    train: Examples,
    valid: Examples,
    plan: Plan,
    *,
    column: str = "",
    make: Callable[[int], nn.Module] | None = None,
    ignore: tuple[str, ...] = (),
    folder: Path | None = None,
    decisions: Decisions | None = None,
    name: str = "",
    resume: bool | None = None,
    threads: int = 1,
    on_progress: Callable[[Progress], str | None] | None = None,
) -> Compressed:
    """Do a plan so that the largest drop of any class or group is small, at the same widths and so the same latency.

    Channels are also ranked by the loss of the classes that a cut puts at risk, and the ranking is taken whose largest
    drop is smaller. The plan's fine-tuning is then done a second time, at half the rate. Between classes the last
    biases are shifted, after one fine-tuning and after both: weights of examples move them too, and too far. Between
    groups, which a bias cannot tell apart, examples of those that lost most count more the second time. Of what was
    tried the one with the smallest largest drop is kept. All is chosen by validation and at most 20,000 training
    examples, and what is found is an ordinary plan.

    Args:
        model: the dense module.
        train, valid: examples.
        plan: of which one step fine-tunes, and none begins anew.
        column: of groups to protect; the classes when empty.
        make, ignore, folder, resume, threads, on_progress: as in `run_plan`.
        decisions: of the run.
        name: that its decisions end with, where several plans are done in a run.

    Raises:
        InputError: the plan has no fine-tuning, or begins anew.
    """
    tunes = [place for place, one in enumerate(plan.steps) if isinstance(one, FineTune)]
    if len(tunes) != 1 or plan.steps[0].kind in ("start", "rewind", "supermask"):
        raise InputError("--protect fine-tunes a trained model; leave out --start, and give --epochs of at least 1")
    with _folder(folder, resume) as own:
        options: dict[str, Any] = {
            "valid": valid, "make": make, "ignore": ignore, "folder": own, "resume": resume, "threads": threads,
            "on_progress": on_progress,
        }  # fmt: skip
        looked_at = (few_of(train, most=MANY), valid)
        before = known_rates(model, looked_at, column)
        if not before:
            raise InputError(f"no example has a group in the column {column!r}; name another one, or none")

        def once(what: str, decide: Callable[[], Any]) -> Any:
            return decide() if decisions is None else decisions.once(what + name, decide)

        def drop(other: nn.Module) -> float:
            return largest_drop(before, known_rates(other, looked_at, column))

        place = tunes[0]
        steps = list(plan.steps)
        tune: FineTune = steps[place]  # type: ignore[assignment]
        plan = plan.model_copy(update={"column": column})
        channels = next((one for one in steps if isinstance(one, Channels)), None)
        if channels is not None:
            ranked = once("ranking", lambda: _ranking(model, train, plan, channels, before, column, ignore, looked_at))
            steps[steps.index(channels)] = Channels(**ranked)
            plan = plan.model_copy(update={"steps": tuple(steps)})
        first = run_plan(model, train, plan, **options)
        if not first.finished:
            return first
        told = once("first training", lambda: _told(first, valid, before, looked_at, column))
        weights = told["weights"] if column else tune.weights
        slower = tune.training.optimiser.model_copy(update={"lr": tune.training.optimiser.lr / 2})
        again = tune.training.model_copy(update={"optimiser": slower})
        rest = tune.model_copy(update={"training": again, "weights": weights})

        end = len(steps) - (steps[-1].kind in ("low-bits", "onnx", "kernels"))
        shifts = not column and last_bias(first.model) is not None
        tried = [first]
        for behind, last in (((rest,), ()), ((), (Balance(),)), ((rest,), (Balance(),)))[: 3 if shifts else 1]:
            whole = (*steps[: place + 1], *behind, *steps[place + 1 : end], *last, *steps[end:])
            longer = plan.model_copy(update={"steps": whole})
            tried.append(run_plan(model, train, longer, **{**options, "resume": None if own else resume}))
            if not tried[-1].finished:
                return tried[-1]
        drops = [told["drop"], *(drop(one.runs) for one in tried[1:])]
        after = min(drops)
        chosen = tried[drops.index(after)]
        if not column and not shifts:
            chosen.notes.append("protection: the model's last layer has no bias to shift")
        accuracy = evaluate(chosen.runs, valid).score
        spent = tried[1].seconds / max(first.seconds, 1e-9)
        chosen.notes.append(
            f"protection, on training and validation: largest drop of a {'group' if column else 'class'} "
            f"{100 * told['drop']:.1f} points without, {100 * after:.1f} with; its price: accuracy on validation "
            f"{told['accuracy']:.4f} without, {accuracy:.4f} with, and {spent:.1f} x the training"
        )
        return chosen


@contextmanager
def _folder(given: Path | None, resume: bool | None) -> Iterator[Path | None]:
    """Give a folder for checkpoints: what is tried shares its beginning, and that is trained once."""
    if given is not None or resume:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="selftaught-") as made:
        yield Path(made)


def _told(
    made: Compressed, valid: Examples, before: Rates, looked_at: tuple[Examples, ...], column: str
) -> dict[str, Any]:
    after = known_rates(made.runs, looked_at, column)
    return {
        "weights": at_risk(before, after, column=column) if column else {}, "drop": largest_drop(before, after),
        "accuracy": evaluate(made.runs, valid).score,
    }  # fmt: skip


def _ranking(
    model: nn.Module,
    train: Examples,
    plan: Plan,
    channels: Channels,
    before: Rates,
    column: str,
    ignore: tuple[str, ...],
    looked_at: tuple[Examples, ...],
) -> dict[str, Any]:
    """Return the channels' step with the ranking whose largest drop, before any fine-tuning, is smallest."""
    plain = run_plan(model, train, Plan(steps=(channels,), seed=plan.seed, column=column), ignore=ignore)
    after = known_rates(plain.model, looked_at, column)
    weights = at_risk(before, after, column=column)
    other = channels.model_copy(update={"importance": "taylor", "weights": weights})
    made = run_plan(model, train, Plan(steps=(other,), seed=plan.seed, column=column), ignore=ignore)
    found = largest_drop(before, known_rates(made.model, looked_at, column))
    better = other if found < largest_drop(before, after) else channels
    return better.model_dump(mode="json")
