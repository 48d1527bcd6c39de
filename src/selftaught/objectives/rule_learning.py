"""Learn how to split extra compute for a network of one's own: a grid of rules at equal measured cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from selftaught.errors import InputError
from selftaught.examples import Task
from selftaught.objectives.models import model_of
from selftaught.objectives.schedules import usual_training
from selftaught.search import search
from selftaught.seeds import seed_for
from selftaught.spaces import ChoiceSpace, Network, Parameter, Rule, rule_grid, scale_to
from selftaught.spaces.build import cost_of
from selftaught.training import TrainConfig, fit
from selftaught.training.devices import limited_threads
from selftaught.trial import Score, Trial

__all__ = ["LearnedRule", "NetworkScorer", "RulePoint", "learn_rule", "rule_points"]

#: all compute to one dimension: twice the cost at phi = 1
SINGLE = {"depth": Rule(2.0, 1.0, 1.0), "width": Rule(1.0, 2**0.5, 1.0), "resolution": Rule(1.0, 1.0, 2**0.5)}


@dataclass(frozen=True)
class NetworkScorer:
    """Network and seed -> accuracy in per cent on the validation examples, after training.

    Args:
        task: what to train on and to be judged by.
        epochs: of every training.
        device: a name of torch's.
        threads: of torch on a CPU.
    """

    task: Task
    epochs: int = 10
    device: str = "auto"
    threads: int = 1

    def __call__(self, network: Network, seed: int) -> float:
        config = dict(usual_training(self.task.train, epochs=self.epochs, device=self.device))
        with limited_threads(self.threads):
            model = model_of(network, self.task.train, seed=seed)
            settings = TrainConfig(**{**config, "seed": seed_for(seed, "rule") % 2**63})
            fitted = fit(model, self.task.train, settings, valid=self.task.valid)
        if fitted.valid is None:
            raise InputError("rules are judged on validation examples; the task has none")
        return 100 * fitted.valid.score


@dataclass(frozen=True)
class RulePoint:
    """A rule, the network that it makes at the common cost, and how it did.

    Args:
        rule: the split.
        network: scaled.
        macs: multiply-accumulates, counted on the network.
        scores: one a seed, in the order of the seeds; empty before training.
    """

    rule: Rule
    network: Any
    macs: int
    scores: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Mean score over seeds."""
        return float(np.mean(self.scores))

    @property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval of the mean over seeds."""
        return _interval(self.scores)


@dataclass(frozen=True)
class LearnedRule:
    """What a grid of rules came to.

    Args:
        rule: the best one; a single dimension where no other one beats the best of those beyond the interval.
        best: the point with the best mean.
        single: the best point of a single dimension.
        gain: mean gain of the best over the best single dimension, over paired seeds, with its 95 % interval.
        points: the whole grid.
        remarks: what is worth knowing, one sentence each.
    """

    rule: Rule
    best: RulePoint
    single: RulePoint
    gain: tuple[float, float, float]
    points: Sequence[RulePoint]
    remarks: tuple[str, ...] = ()


def rule_points(
    network: Network, macs: float, *, rules: Sequence[Rule] | None = None, tolerance: float = 0.05
) -> tuple[list[RulePoint], list[Rule]]:
    """Scale a network by every rule to the same measured cost.

    Args:
        network: what is scaled.
        macs: multiply-accumulates that every network is to have.
        rules: by default the grid of `rule_grid`; all to one dimension is always among them.
        tolerance: largest relative difference from `macs`.

    Returns:
        A point for each rule that comes near enough, and the rules that rounding keeps away.

    Raises:
        InputError: the cost is not above the network's own, or the network is no stack of stages.

    >>> from selftaught.spaces import efficientnet
    >>> points, missed = rule_points(efficientnet("b0"), 8e8, rules=[Rule()])
    >>> [round(point.macs / 8e8, 2) for point in points], len(missed)
    ([1.04, 0.98, 1.0, 0.98], 0)
    """
    with_resolution = len(network.input_shape) > 1
    wanted = [rule for name, rule in SINGLE.items() if with_resolution or name != "resolution"]
    given = rules if rules is not None else rule_grid(resolution=with_resolution)
    points, missed, seen = [], [], set()
    for rule in [*given, *wanted]:
        if rule in seen:
            continue
        seen.add(rule)
        scaled = scale_to(network, macs * (1 + tolerance), cost=lambda one: cost_of(one).macs, rule=rule)
        if scaled.cost < macs * (1 - tolerance):
            missed.append(rule)
        else:
            points.append(RulePoint(rule, scaled.network, int(scaled.cost)))
    return points, missed


@dataclass(frozen=True)
class _PointObjective:
    """Rule, by its text -> mean score over seeds; each seed's is a metric."""

    points: Mapping[str, RulePoint]
    score: Callable[[Any, int], float]
    seeds: tuple[int, ...]

    def __call__(self, candidate: Mapping[str, Any]) -> Score:
        point = self.points[candidate["rule"]]
        scores = [self.score(point.network, seed) for seed in self.seeds]
        return Score(float(np.mean(scores)), {f"seed {k}": score for k, score in enumerate(scores)})


def learn_rule(
    network: Network,
    score: Callable[[Any, int], float],
    *,
    macs: float | None = None,
    rules: Sequence[Rule] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    tolerance: float = 0.05,
    searcher: str | None = None,
    trials: int | None = None,
    workers: int = 1,
    store: str | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> LearnedRule:
    """Find how to split extra compute over depth, width and resolution, at equal measured cost (arXiv 1905.11946).

    Args:
        network: small, to be scaled to twice its cost.
        score: network and seed -> score, larger being better; `NetworkScorer` trains it.
        macs: cost of every point; twice the network's own by default.
        rules: the grid.
        seeds: at least three.
        tolerance: largest relative difference of a point's cost.
        searcher: a name of `selftaught.search.SEARCHERS`, which tries `trials` points instead of all.
        trials: for the searcher.
        workers: processes.
        store: as `search` takes it, so that the same call goes on after a stop.
        on_trial: called with every point that ends.

    Raises:
        InputError: fewer than three seeds, or no point comes near the cost.

    >>> from selftaught.spaces import PerceptronNetwork
    >>> found = learn_rule(PerceptronNetwork((64, 64), features=64, outputs=10), lambda one, seed: len(one.widths))
    >>> found.rule == SINGLE["depth"]
    True
    """
    if len(set(seeds)) < 3:
        raise InputError(f"a rule wants at least three different seeds, got {list(seeds)}")
    base = cost_of(network).macs
    points, missed = rule_points(network, macs or 2.0 * base, rules=rules, tolerance=tolerance)
    by_text = {str(point.rule): point for point in points}
    singles = {str(rule) for rule in SINGLE.values()} & set(by_text)
    if not singles:
        raise InputError("no single dimension comes near the cost; give a larger macs or tolerance")
    space = ChoiceSpace("rules", (Parameter("rule", tuple(by_text)),))
    first = [{"rule": text} for text in (by_text if searcher is None else sorted(singles))]
    study = search(
        _PointObjective(by_text, score, tuple(seeds)), space, trials=max(trials or 0, len(first)),
        searcher=searcher or "random", workers=workers, store=store, study="rules", enqueue=first, on_trial=on_trial,
    )  # fmt: skip
    told = {
        trial.candidate["rule"]: tuple(trial.score.metrics[f"seed {k}"] for k in range(len(seeds)))
        for trial in study.succeeded
        if trial.score is not None
    }
    done = [replace(by_text[text], scores=scores) for text, scores in told.items()]
    alone = [point for point in done if str(point.rule) in singles]
    if not alone:
        raise InputError(f"no single dimension could be scored: {study.failed[0].error}")
    return _concluded(done, alone, missed, network)


def _concluded(
    done: Sequence[RulePoint], alone: Sequence[RulePoint], missed: Sequence[Rule], network: Network
) -> LearnedRule:
    best, single = (max(points, key=lambda point: point.mean) for points in (done, alone))
    gains = [a - b for a, b in zip(best.scores, single.scores, strict=True)]
    low, high = _interval(gains)
    remarks = []
    if best.rule != single.rule and low <= 0:
        remarks.append("the best split does not beat the best single dimension beyond the interval")
    if missed:
        remarks.append(f"{len(missed)} rules were left out: rounding keeps their cost away")
    if len(network.input_shape) == 1:
        remarks.append("a table has no resolution: depth and width only")
    chosen = best.rule if low > 0 else single.rule
    return LearnedRule(chosen, best, single, (float(np.mean(gains)), low, high), tuple(done), tuple(remarks))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean."""
    from scipy.stats import t

    mean, count = float(np.mean(values)), len(values)
    half = float(t.ppf(0.975, count - 1)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return mean - half, mean + half
