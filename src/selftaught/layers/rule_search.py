"""The search for an update rule: every candidate trains a small network, at the best of a few learning rates."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from selftaught.errors import DivergedError, InputError, require_one_of
from selftaught.examples import Task
from selftaught.layers.rule_text import rule_optimiser
from selftaught.search import ParetoEvolution, RandomSearch, Searcher, Study, search
from selftaught.seeds import seed_for
from selftaught.spaces import KNOWN_RULES, Candidate, rule_space
from selftaught.training import TrainConfig, evaluate, fit, mlp
from selftaught.training.devices import limited_threads
from selftaught.trial import Score, Trial

__all__ = ["RuleJudge", "search_rule"]

RATES = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class RuleJudge:
    """Trains a small perceptron with a rule; the score is the best validation accuracy over the learning rates.

    Args:
        task: of classes.
        steps: of each training.
        rates: learning rates to try; rules differ in the size of their steps by orders of magnitude.
        hidden: units of the hidden layers.
        batch_size: examples a step.
        seed: of initial weights and of the order of examples, the same for every rule.
    """

    task: Task
    steps: int = 100
    rates: Sequence[float] = RATES
    hidden: Sequence[int] = (32,)
    batch_size: int = 64
    seed: int = 0

    def __call__(self, candidate: Candidate) -> Score:
        """Score a rule.

        Raises:
            InputError: the step does not depend on the gradient, or training diverges at every rate.
        """
        space = rule_space(sum(name.endswith(" op") for name in candidate))
        graph = space.graph(candidate)
        # The gradient may come by way of a memory.
        values = graph.reached_from(*(space.needed(graph) if space.needed else graph).outputs.values())
        if graph.inputs.index("g") not in values:
            raise InputError("structure: the step does not depend on the gradient")
        found: dict[str, float] = {}
        make = rule_optimiser(candidate)
        with limited_threads(1):
            for rate in self.rates:
                try:
                    found[f"lr {rate:g}"] = self.accuracy(lambda given, lr=rate: make(given, lr=lr))
                except DivergedError:
                    continue
        if not found:
            raise InputError("non-finite: training diverged at every learning rate")
        return Score(max(found.values()), found)

    def accuracy(self, optimiser: Callable[..., torch.optim.Optimizer]) -> float:
        """Train the perceptron with any optimiser, given its parameters; return the validation accuracy.

        Raises:
            DivergedError: the loss is not finite.
        """
        model = mlp(self.task.train, hidden=self.hidden, seed=self.seed)
        settings = TrainConfig(
            steps=self.steps, batch_size=self.batch_size, seed=seed_for(self.seed, "rules") % 2**63, device="cpu"
        )
        fit(model, self.task.train, settings, optimiser=optimiser)
        found = evaluate(model, self.task.valid)
        if not math.isfinite(found.loss):
            raise DivergedError("the network's loss is not finite")
        return found.score


def search_rule(
    judge: RuleJudge,
    *,
    trials: int = 50,
    seconds: float | None = None,
    searcher: Literal["evolution", "random"] = "evolution",
    population: int = 30,
    start: Sequence[str | Candidate] = ("momentum",),
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
) -> Study:
    """Search for an update rule.

    The idea of "Symbolic Discovery of Optimization Algorithms" (arXiv 2302.06675) over expressions, by the engine of
    every other search: rules that mean the same are trained once, and a stored search goes on where it stopped.

    Args:
        judge: what a rule is tried on.
        trials: rules to try.
        seconds: stop after so long.
        searcher: "evolution", or "random", its control.
        population: of evolution; the oldest leaves.
        start: rules to try first, as candidates or names of `KNOWN_RULES`.
        seed: of the search.
        folder: where the trials are kept.
        on_trial: called with every trial that ends.

    Returns:
        The study; `study.best.candidate` is the rule, `rule_file` writes it.

    Raises:
        InputError: an option is out of its range.
        ResumeError: the folder holds another search.
    """
    require_one_of("searcher", searcher, ("evolution", "random"))
    space = rule_space()
    first: list[Candidate] = []
    for one in start:
        if isinstance(one, str):
            require_one_of("start", one, KNOWN_RULES)
        first.append(dict(KNOWN_RULES[one] if isinstance(one, str) else one))
    proposes: Searcher = RandomSearch(space, seed=seed)
    if searcher == "evolution":
        proposes = ParetoEvolution(
            space, seed=seed, population=population, tournament=3, fill="mutants" if first else "random"
        )
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
    return search(
        judge, space, trials=trials, searcher=proposes, seed=seed, seconds=seconds, enqueue=first,
        repeats="reuse-equal", on_trial=on_trial, study="update rules",
        store=None if folder is None else str(Path(folder) / "trials.db"),
    )  # fmt: skip
