"""Search how much each layer loses until a target holds as measured, and take what forgets least."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import nn

from selftaught.compress import (
    ChannelGroup,
    channel_groups,
    channel_importance,
    count_multiply_adds,
    prune_channels,
    reestimate_normalisation,
    taylor_scores,
)
from selftaught.errors import InputError, SelftaughtError
from selftaught.examples import Examples
from selftaught.plans.budgets import (
    MOST,
    Budget,
    global_budget,
    sensitivities,
    sensitivity_budget,
    uniform_budget,
    widths_left,
)
from selftaught.plans.comparison import time_models
from selftaught.plans.plan import Channels
from selftaught.plans.progress import Decisions
from selftaught.plans.runtimes import InRuntime
from selftaught.plans.samples import sample_of
from selftaught.plans.target import Target
from selftaught.search import search
from selftaught.spaces import ChoiceSpace, Parameter
from selftaught.training import evaluate

__all__ = ["Candidate", "TargetMissedError", "TargetSearch"]

MARGIN = 0.97  # of the limit: what is measured again at the end must hold too
QUICK_ROUNDS = 8
SURE_ROUNDS = 20
STEP = 0.025
TRIALS = 12
MOST_LAYERS = 24  # that a search by layer tries to better


class TargetMissedError(SelftaughtError):
    """A target cannot be reached."""

    exit_code = 1


@dataclass(frozen=True)
class Candidate:
    """Widths that reach a target.

    Args:
        family: which budget they come from.
        step: the cut.
        widths: channels left in each group.
        share: of the limit that the cut takes, at the worst batch size.
        score: on validation, before any fine-tuning; what is searched for.
    """

    family: str
    step: Channels
    widths: tuple[int, ...]
    share: float
    score: float


@dataclass(eq=False)
class TargetSearch:
    """Finds cuts of channels that reach a target.

    The time of a network does not depend on its weights, so each candidate is timed before any training, in turns with
    the dense model, and only few are trained. Budgets of three kinds move by one number each (the same share
    everywhere; one threshold over all channels; layers that matter little lose more), each to the first amount that
    holds; from them regularized evolution goes on layer by layer.

    Args:
        model: the dense module, in evaluation mode.
        train: for statistics and scores.
        valid: what cuts are compared on.
        target: to reach.
        batches: sizes at which the latency must hold.
        threads: of the clock.
        round_to: widths are multiples of it.
        ignore: names of weights or modules that stay.
        score: of a cut model, larger is better; the accuracy on `valid` by default.
        decisions: of the run, or None.
        runtime: what turns a cut model into what is timed, such as a file in onnxruntime; torch by default.
        say: told each candidate, as a line.
    """

    model: nn.Module
    train: Examples
    valid: Examples
    target: Target
    batches: Sequence[int] = (1, 32)
    threads: int = 1
    round_to: int = 16
    ignore: tuple[str, ...] = ()
    score: Callable[[nn.Module], float] | None = None
    decisions: Decisions | None = None
    runtime: Callable[[nn.Module], nn.Module] | None = None
    say: Callable[[str], None] = lambda _: None
    trials: int = TRIALS
    seed: int = 0
    _scores: dict[str, Any] = field(default_factory=dict)

    def candidates(self, most: int = 2) -> list[Candidate]:
        """Return cuts that hold, the best by validation first.

        Args:
            most: how many.

        Raises:
            InputError: no layer has channels to remove.
            TargetMissedError: no budget reaches the target; with the best that was found.
        """
        self.sample = sample_of(self.train, 32)
        groups = [
            one for one in channel_groups(self.model, self.sample[:2], ignore=self.ignore)
            if not one.fixed and one.width > self.round_to
        ]  # fmt: skip
        if not groups:
            raise InputError(f"no layer has more than {self.round_to} channels that could be removed; try --round-to 1")
        self._groups = groups
        found: dict[tuple[int, ...], Candidate] = {}
        closest = (float("inf"), "")
        for family, budget in self._budgets().items():
            shares = self._first_that_holds(budget)
            if shares is None:
                closest = min(closest, (self._share(budget(MOST)), family))
                continue
            made = self._candidate(family, shares)
            self.say(f"{family}: widths {', '.join(map(str, made.widths))}, {100 * made.share:.0f} % of the limit, "
                     f"validation {made.score:.4f} before fine-tuning")  # fmt: skip
            if made.widths not in found or found[made.widths].score < made.score:
                found[made.widths] = made
        if not found:
            raise TargetMissedError(
                f"--target {self.target} cannot be reached by removing channels: the best is "
                f"{closest[0]:.2f} times the limit ({closest[1]}, 95 % of every layer gone)"
            )
        for one in self._by_layer(list(found.values())):
            found.setdefault(one.widths, one)
        ranked = sorted(found.values(), key=lambda one: -one.score)

        def for_sure(one: Candidate) -> float:  # timed for longer, once
            return self._share(cast("dict[str, float]", one.step.ratio), rounds=SURE_ROUNDS)

        sure = list(itertools.islice((one for one in ranked if for_sure(one) <= 1), most))
        return sure or [min(ranked, key=for_sure)]

    def _budgets(self) -> dict[str, Budget]:
        inputs = self.sample[:2]
        importance = {
            one: found for one, found in channel_importance(self.model, inputs, ignore=self.ignore).items()
            if one in self._groups
        }  # fmt: skip
        lost = self._once(
            "sensitivities",
            lambda: sensitivities(self.model, inputs, self._groups, self.valid, self.train, score=self.score),
        )
        return {
            "uniform": uniform_budget(self._groups), "global": global_budget(importance),
            "sensitivity": sensitivity_budget(self._groups, lost),
        }  # fmt: skip

    def _first_that_holds(self, budget: Budget) -> dict[str, float] | None:
        """Return the smallest budget whose measured cost is below the limit, by halving; None where none is."""
        steps: list[dict[str, float]] = []
        known: set[tuple[int, ...]] = set()
        for place in range(0 if self.runtime else 1, round(MOST / STEP) + 1):
            shares = budget(place * STEP) if place else dict.fromkeys((one.layers[0] for one in self._groups), 0.0)
            widths = widths_left(self._groups, shares, self.round_to)
            if widths not in known:
                known.add(widths)
                steps.append(shares)
        low, high = 0, len(steps) - 1
        if self._share(steps[high]) > MARGIN:
            return None
        while low < high:
            middle = (low + high) // 2
            if self._share(steps[middle]) <= MARGIN:
                high = middle
            else:
                low = middle + 1
        return steps[high]

    def _share(self, shares: dict[str, float], *, rounds: int = QUICK_ROUNDS) -> float:
        """Return what part of the limit a budget's model takes, at the worst batch size; each is measured once."""
        widths = widths_left(self._groups, shares, self.round_to)

        def measured() -> float:
            cut = prune_channels(self.model, self.sample[:2], ratio=self._named(shares), round_to=self.round_to,
                                 ignore=self.ignore).model  # fmt: skip
            return self.cost_share(cut if self.runtime is None else self.runtime(cut.eval()), rounds=rounds)

        return float(self._once(f"share {widths} {rounds}", measured))

    def cost_share(self, model: nn.Module, *, rounds: int = SURE_ROUNDS) -> float:
        """Return what part of the limit a model takes, at the worst batch size.

        Args:
            model: any module that takes the same inputs.
            rounds: of timing, where the target is a latency.
        """
        if self.target.what == "multiply-adds":
            plain = model.float_module if isinstance(model, InRuntime) else model
            counts = [count_multiply_adds(one, self.sample[:1]) for one in (plain, self.model)]
            return self.target.share(counts[0], counts[1])
        if self.target.what == "size":
            return self.target.share(_bytes(model), _bytes(self.model))
        both = {"dense": self.model, "cut": model}
        gains = time_models(both, self.sample, self.batches, rounds=rounds, threads=self.threads)
        return max(self.target.share(one.rows[1].seconds, one.rows[0].seconds) for one in gains)

    def _candidate(self, family: str, shares: dict[str, float]) -> Candidate:
        """Return a budget's cut by the ranking of channels that validation likes better."""
        best: tuple[float, str] | None = None
        for importance in ("l2", "taylor"):
            score = self._judged(shares, importance)
            if best is None or score > best[0]:
                best = (score, importance)
        score, importance = best or (0.0, "l2")
        step = Channels(ratio=self._named(shares), round_to=self.round_to, importance=importance)  # type: ignore[arg-type]
        return Candidate(family, step, widths_left(self._groups, shares, self.round_to), self._share(shares), score)

    def _judged(self, shares: dict[str, float], importance: str) -> float:
        def judged() -> float:
            scores = None
            if importance == "taylor":
                if "taylor" not in self._scores:
                    self._scores["taylor"] = taylor_scores(self.model, self.train, seed=self.seed)
                scores = self._scores["taylor"]
            cut = prune_channels(self.model, self.sample[:2], ratio=self._named(shares), round_to=self.round_to,
                                 scores=scores, ignore=self.ignore).model  # fmt: skip
            reestimate_normalisation(cut, self.train, batches=4, seed=self.seed)
            return self.score(cut) if self.score else evaluate(cut, self.valid).score

        widths = widths_left(self._groups, shares, self.round_to)
        return float(self._once(f"score {widths} {importance}", judged))

    def _by_layer(self, found: list[Candidate]) -> list[Candidate]:
        """Go on from budgets that hold by changing single layers; return what holds too."""
        groups: list[ChannelGroup] = self._groups
        if not 1 < len(groups) <= MOST_LAYERS or self.trials <= len(found):
            return []
        parameters = tuple(
            Parameter(one.layers[0], (*range(self.round_to, one.width, self.round_to), one.width), ordered=True)
            for one in groups
        )
        space = ChoiceSpace("widths", parameters)
        made: dict[tuple[int, ...], Candidate] = {}
        importance = max(found, key=lambda one: one.score).step.importance

        def objective(widths: Any) -> float:
            shares = {one.layers[0]: 1 - widths[one.layers[0]] / one.width for one in groups}
            share = self._share(shares)
            if share > MARGIN:
                raise InputError(f"{100 * share:.0f} % of the limit")
            score = self._judged(shares, importance)
            step = Channels(ratio=self._named(shares), round_to=self.round_to, importance=importance)
            kept = tuple(int(widths[one.layers[0]]) for one in groups)
            made[kept] = Candidate("layer by layer", step, kept, share, score)
            return score

        start = [{one.layers[0]: width for one, width in zip(groups, each.widths, strict=True)} for each in found]
        options = {"population": 6, "sample": 3}
        search(
            objective, space, trials=self.trials, searcher="regularized-evolution", options=options, enqueue=start,
            seed=self.seed,
        )  # fmt: skip
        return list(made.values())

    def _named(self, shares: dict[str, float]) -> dict[str, float]:
        return {name: round(one, 6) for name, one in shares.items()}

    def _once(self, name: str, decide: Callable[[], Any]) -> Any:
        if self.decisions is not None:
            return self.decisions.once(name, decide)
        if name not in self._scores:
            self._scores[name] = decide()
        return self._scores[name]


def _bytes(model: nn.Module) -> int:
    if isinstance(model, InRuntime):
        return len(model.data) or _bytes(model.float_module)
    held = {id(one): one for one in (*model.parameters(), *model.buffers())}.values()
    return sum(one.numel() * one.element_size() for one in held)
