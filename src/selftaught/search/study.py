"""What a search leaves: its trials in the order in which they ended, and what they come to."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from selftaught.errors import InputError
from selftaught.runners import Objective
from selftaught.search.rewards import Direction, as_told, pareto_front
from selftaught.search.searcher import value_of
from selftaught.spaces import Space
from selftaught.trial import Trial

__all__ = ["Study"]


@dataclass(frozen=True)
class Study:
    """The ledger of one search.

    Scores in trials are always maximised: where the direction is "minimise" they are the objective's, negated.

    Args:
        space: what was searched.
        trials: in the order in which they ended; failed ones and repeats included.
        direction: "maximise" or "minimise", of the objective's score.
        objectives: what was searched for where it is several things: metric or "score" -> direction.
        remarks: what is worth knowing of the search, one sentence each.
        objective: what was evaluated, where it is at hand.
        budget: the parameter that says how much each trial might spend, where there is one.
    """

    space: Space
    trials: Sequence[Trial]
    direction: Direction = "maximise"
    objectives: Mapping[str, Direction] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    objective: Objective | None = field(default=None, repr=False)
    budget: str | None = None

    @cached_property
    def succeeded(self) -> list[Trial]:
        """Trials with a finite score."""
        return [trial for trial in self.trials if value_of(trial) is not None]

    @cached_property
    def failed(self) -> list[Trial]:
        """The others."""
        return [trial for trial in self.trials if value_of(trial) is None]

    @cached_property
    def eligible(self) -> list[Trial]:
        """The trials that a pick is made from: those that succeeded, on the largest budget where there are budgets."""
        if self.budget is None or not self.succeeded:
            return self.succeeded
        most = max(trial.candidate[self.budget] for trial in self.succeeded)
        return [trial for trial in self.succeeded if trial.candidate[self.budget] == most]

    @cached_property
    def best(self) -> Trial:
        """The eligible trial with the highest score, the first told on ties.

        Raises:
            InputError: every trial failed; with the commonest reason.
        """
        if not self.succeeded:
            reasons = Counter(trial.error or "no score" for trial in self.failed).most_common(1)
            said = f"all {len(self.trials)} failed, most often: {reasons[0][0]}" if reasons else "there are none"
            raise InputError(f"no trial has a score: {said}")
        return max(self.eligible, key=lambda trial: value_of(trial) or 0.0)

    def top(self, count: int = 5) -> list[Trial]:
        """Return the best eligible trials of different candidates, best first: what to train again on the full task."""
        ranked: dict[str, Trial] = {}
        for trial in sorted(self.eligible, key=lambda trial: -(value_of(trial) or 0.0)):
            ranked.setdefault(self.space.encode(trial.candidate), trial)
        return list(ranked.values())[:count]

    @property
    def best_value(self) -> float:
        """The best score as the objective gave it."""
        value = value_of(self.best) or 0.0
        return -value if self.direction == "minimise" else value

    @cached_property
    def repeats(self) -> int:
        """How many trials had a candidate that was tried before."""
        return len(self.trials) - len({self.space.encode(trial.candidate) for trial in self.trials})

    @cached_property
    def distinct(self) -> int:
        """How many candidates with different meanings were tried (`Space.key`)."""
        return len({self.space.key(trial.candidate) for trial in self.trials})

    def pareto(self, objectives: Mapping[str, Direction] | None = None) -> list[Trial]:
        """Return the trials that no other one beats in every objective; those of the study by default.

        Raises:
            InputError: no objectives were named.
        """
        chosen = objectives or self.objectives
        if not chosen:
            raise InputError('name the objectives, such as {"score": "maximise", "latency_ms": "minimise"}')
        return pareto_front(self.trials, as_told(chosen, self.direction))

    def evaluate(self, number: int) -> Any:
        """Evaluate the candidate of a trial again, here: what it raised before is raised as it is.

        Raises:
            InputError: there is no such trial, or the study has no objective.
        """
        if self.objective is None:
            raise InputError("the study holds no objective; call your own with trial.candidate")
        for trial in self.trials:
            if trial.number == number:
                return self.objective(trial.candidate)
        raise InputError(f"there is no trial {number}")

    def summary(self) -> str:
        """Return a few lines: the best, the cost, failures and repeats, and what is worth knowing."""
        lines = [f"{self.space.name}: {len(self.trials)} trials, {sum(trial.cost for trial in self.trials):.1f} s"]
        if self.succeeded:
            best = self.best
            lines.append(f"best {self.best_value:.6g}, trial {best.number}: {self.space.encode(best.candidate)}")
        if self.failed:
            reason, times = Counter(trial.error or "no score" for trial in self.failed).most_common(1)[0]
            lines.append(f"{len(self.failed)} failed; most often ({times}): {reason}")
        if self.repeats:
            lines.append(f"{self.repeats} repeated a candidate tried before; {self.distinct} different meanings")
        return "\n".join([*lines, *self.remarks])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        cells = [(trial.number, value_of(trial), self.space.encode(trial.candidate)) for trial in self.top(10)]
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(str(c))}</td>' for c in row)}</tr>" for row in cells)
        head = "".join(f"<th>{name}</th>" for name in ("trial", "score", "candidate"))
        return f"<pre>{html.escape(self.summary())}</pre><table><tr>{head}</tr>{rows}</table>"
