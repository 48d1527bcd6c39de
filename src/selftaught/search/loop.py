"""The loop: ask, evaluate, store, tell."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from selftaught.errors import InputError, ResumeError, require_one_of
from selftaught.runners import Inline, Objective, Outcome, Processes, Runner
from selftaught.search.registry import DEFAULT, make_searcher
from selftaught.search.rewards import Direction, as_told, values_of
from selftaught.search.searcher import Searcher, value_of
from selftaught.search.study import Study
from selftaught.spaces import Space
from selftaught.store import Store, open_store
from selftaught.trial import Score, Trial

__all__ = ["Repeats", "search"]

Repeats = Literal["reuse", "reuse-equal", "evaluate"]
_LOOK_BACK = 20  # trials that a warning about failures looks at
_STEP = 1.0  # seconds between two looks at the clock, where one matters


def search(
    objective: Objective,
    space: Space,
    *,
    trials: int = 100,
    searcher: str | Searcher = DEFAULT,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    seconds: float | None = None,
    trial_seconds: float | None = None,
    store: str | Store | None = None,
    study: str = "search",
    direction: Direction = "maximise",
    objectives: Mapping[str, Direction] | None = None,
    repeats: Repeats = "reuse",
    enqueue: Sequence[Any] = (),
    runner: Runner | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    how_to_repeat: Callable[[Trial], str] | None = None,
) -> Study:
    """Search a space for the candidate with the highest score.

    With a store every trial is written as it ends, and the same call goes on where the last one stopped, whatever
    stopped it: the searcher is told the stored trials in their order, and asks on. With one worker that is the search
    that would have been without the stop. What was at work then is asked for anew under the same numbers.

    Args:
        objective: candidate -> `Score` or a number; what it raises fails that trial alone.
        space: what may be proposed.
        trials: how many, repeats, failures and stored ones included.
        searcher: a name of `SEARCHERS`, or a searcher of your own that was told nothing yet.
        seed: of all random numbers of a searcher chosen by name.
        options: of a searcher chosen by name, such as {"population": 20}.
        workers: processes; 1 evaluates in this one.
        seconds: stop after so long; with several workers what is at work then is lost.
        trial_seconds: a trial that takes longer is stopped and has failed; needs processes (`workers` of 2 or more).
        store: a URL or the path of a SQLite file, an open `Store`, or None to keep nothing.
        study: the study's name in the store.
        direction: "minimise" negates scores once, on their way in.
        objectives: several things to search for: names of metrics, or "score" -> direction, which is then that of the
            study. The searcher must be one for several objectives.
        repeats: "reuse" the score of the same candidate, "reuse-equal" that of one with the same `Space.key`, or
            "evaluate" it anew, where scores are noisy. Repeats count as trials in any case.
        enqueue: candidates to try first.
        runner: one of your own, instead of `workers`; the caller closes it.
        on_trial: called with every trial that ends in this call.
        how_to_repeat: trial -> the command that repeats it alone, to be told with its error.

    Returns:
        The study; its trials are those of the store.

    Raises:
        InputError: an option out of its range, or a candidate of `enqueue` that is not of the space.
        ResumeError: the store holds a study of that name on another space or with another direction.

    >>> from selftaught.spaces import macro_stack
    >>> found = search(lambda stack: list(stack.values()).count("identity"), macro_stack(), trials=60)
    >>> len(found.trials), found.best_value > 4
    (60, True)
    """
    _check(trials, workers, seconds, trial_seconds, runner)
    require_one_of("direction", direction, get_args(Direction))
    require_one_of("repeats", repeats, get_args(Repeats))
    goals = dict(objectives or {})
    for name, way in goals.items():
        require_one_of(f"direction of {name}", way, get_args(Direction))
    if direction == "minimise" and goals.get("score") == "maximise":
        raise InputError("the direction is 'minimise', but objectives say that the score is maximised; leave one out")
    direction = goals.get("score", direction)
    told_goals = as_told(goals, direction)
    if isinstance(searcher, str):
        given: dict[str, Any] = {**(options or {}), "budget": trials, "objectives": told_goals}
        searcher = make_searcher(searcher, space, seed=seed, **given)
    elif options:
        raise InputError("options belong to a searcher chosen by its name; give them to your own when you make it")
    elif goals and not getattr(searcher, "objectives", None):
        raise InputError("this searcher takes one objective; for several choose nsga2 or tpe")
    elif goals and getattr(searcher, "objectives", None) != told_goals:
        raise InputError(f"make your searcher with objectives={told_goals}: it is told scores that are maximised")
    space = searcher.space  # one that adds a parameter, such as a budget, has candidates of its own
    for candidate in enqueue:
        space.validate(candidate)
    about = {"space": space.describe(), "name": space.name, "direction": direction, "objectives": goals, "seed": seed}
    with _ledger(store, study, about) as ledger, _runner(runner, objective, workers, trial_seconds) as at_work:
        loop = _Loop(
            space=space, searcher=searcher, runner=at_work, ledger=ledger, trials=trials,
            until=None if seconds is None else time.monotonic() + seconds, minimise=direction == "minimise",
            goals=told_goals, repeats=repeats, on_trial=on_trial,
            how_to_repeat=how_to_repeat or (lambda trial: f"study.evaluate({trial.number})"),
        )  # fmt: skip
        told = loop.run(enqueue)
    remarks = getattr(searcher, "remarks", None)
    said = tuple(remarks(len(told))) if remarks else ()
    return Study(space, told, direction, goals, said, objective, getattr(searcher, "budget_parameter", None))


def _check(trials: int, workers: int, seconds: float | None, trial_seconds: float | None, runner: Any) -> None:
    for name, number in (("trials", trials), ("workers", workers)):
        if number < 1:
            raise InputError(f"{name} must be at least 1, got {number}")
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds must be above 0, got {seconds}")
    if trial_seconds is not None and workers == 1 and runner is None:
        raise InputError("trial_seconds needs processes that can be stopped; give workers of 2 or more")


class _Ledger:
    """The trials of one study, in memory and in a store where there is one."""

    def __init__(self, store: Store | None, study: int) -> None:
        self._store, self._study = store, study

    def stored(self, space: Space) -> list[Trial]:
        """Return what earlier calls wrote, in the order in which trials ended."""
        if self._store is None:
            return []
        read = self._store.trials(self._study, order="told")
        return [replace(trial, candidate=space.from_json(trial.candidate)) for trial in read]

    def add(self, trial: Trial, space: Space) -> None:
        """Write a trial that has ended."""
        if self._store is not None:
            self._store.add(self._study, [replace(trial, candidate=space.to_json(trial.candidate))])


@contextmanager
def _ledger(store: str | Store | None, name: str, about: Mapping[str, Any]) -> Iterator[_Ledger]:
    if store is None:
        yield _Ledger(None, 0)
        return
    opened = open_store(store) if isinstance(store, str) else store
    try:
        study = opened.study(name, about)
        _compare(name, opened.settings(study), about)
        yield _Ledger(opened, study)
    finally:
        if isinstance(store, str):
            opened.close()


def _compare(name: str, stored: Any, wanted: Mapping[str, Any]) -> None:
    """Check that a stored study can be gone on with."""
    if not isinstance(stored, dict) or "space" not in stored:
        raise ResumeError(f"the stored study {name!r} is none of a search; choose another study name")
    for what in ("direction", "objectives"):
        if stored.get(what) != wanted[what]:
            raise ResumeError(
                f"the stored study {name!r} has {what} {stored.get(what)!r}, not {wanted[what]!r}; choose another name"
            )
    if stored["space"] == wanted["space"]:
        return
    before = {p["name"]: p for p in stored["space"]} if isinstance(stored["space"], list) else {}
    now = {p["name"]: p for p in wanted["space"]} if isinstance(wanted["space"], list) else {}
    for parameter in now:
        if parameter in before and before[parameter] != now[parameter]:
            raise ResumeError(
                f"the stored study {name!r} has parameter {parameter!r} with choices {before[parameter]['choices']}, "
                f"not {now[parameter]['choices']}; declare it conditional, or choose another study name"
            )
    raise ResumeError(f"the stored study {name!r} is of the space {stored.get('name')!r}; choose another study name")


@contextmanager
def _runner(given: Runner | None, objective: Objective, workers: int, limit: float | None) -> Iterator[Runner]:
    if given is not None:
        yield given
        return
    made: Runner = Inline(objective) if workers == 1 else Processes(objective, workers=workers, trial_seconds=limit)
    with made:
        yield made


@dataclass
class _Loop:
    """One search at work."""

    space: Space
    searcher: Searcher
    runner: Runner
    ledger: _Ledger
    trials: int
    until: float | None
    minimise: bool
    goals: Mapping[str, Direction]
    repeats: Repeats
    on_trial: Callable[[Trial], None] | None
    how_to_repeat: Callable[[Trial], str]
    told: list[Trial] = field(default_factory=list)
    at_work: dict[int, Trial] = field(default_factory=dict)
    _used: set[int] = field(default_factory=set)
    _free: int = 0
    _scores: dict[str, Score] = field(default_factory=dict)
    _warned: bool = False

    def run(self, enqueue: Sequence[Any]) -> list[Trial]:
        """Go on until the trials or the seconds are used up; return all trials in the order of their ending."""
        for trial in self.ledger.stored(self.space):
            self._take_in(trial)
        known = {self.space.encode(trial.candidate) for trial in self.told}
        waiting = [candidate for candidate in enqueue if self.space.encode(candidate) not in known]
        while True:
            while self._may_ask():
                self._begin(waiting)
            if not self.at_work or self._late():
                return self.told
            for outcome in self.runner.collect(self._patience()):
                if outcome.number in self.at_work:  # a runner of one's own may still hold trials of an earlier search
                    self._end(self.at_work.pop(outcome.number), outcome)

    def _may_ask(self) -> bool:
        room = len(self.at_work) < self.runner.workers
        return room and len(self.told) + len(self.at_work) < self.trials and not self._late()

    def _late(self) -> bool:
        return self.until is not None and time.monotonic() >= self.until

    def _patience(self) -> float | None:
        return None if self.until is None else min(_STEP, max(self.until - time.monotonic(), 0.0))

    def _begin(self, waiting: list[Any]) -> None:
        """Ask for the next trial and give it to the runner, or end it at once where its score is known."""
        while self._free in self._used:
            self._free += 1
        number = self._free
        self._used.add(number)
        trial = Trial(number, waiting.pop(0)) if waiting else self.searcher.ask(number)
        known = self._scores.get(self._meaning(trial)) if self.repeats != "evaluate" else None
        if known is not None:
            self._finish(replace(trial, score=known))
        else:
            self.at_work[number] = trial
            self.runner.submit(number, trial.candidate)

    def _meaning(self, trial: Trial) -> str:
        return (self.space.key if self.repeats == "reuse-equal" else self.space.encode)(trial.candidate)

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        """Make a whole trial of what the runner gave."""
        score, error = outcome.score, outcome.error
        if score is not None and self.minimise:
            score = replace(score, value=-score.value)
        ended = replace(trial, score=score, cost=outcome.seconds)
        if error is None and self.goals and values_of(ended, self.goals) is None:
            missing = [name for name in self.goals if name != "score" and name not in (score.metrics if score else {})]
            error = f"the score lacks {' and '.join(missing) or 'a finite value'}, which is an objective"
        if error is not None:
            ended = replace(ended, score=None, error=f"{error}; repeat it with: {self.how_to_repeat(ended)}")
        self._finish(ended)

    def _finish(self, trial: Trial) -> None:
        self.ledger.add(trial, self.space)
        self._take_in(trial)
        if self.on_trial is not None:
            self.on_trial(trial)
        self._warn_of_failures()

    def _take_in(self, trial: Trial) -> None:
        self._used.add(trial.number)
        self.told.append(trial)
        self.searcher.tell(trial)
        if trial.score is not None and value_of(trial) is not None:
            self._scores.setdefault(self._meaning(trial), trial.score)

    def _warn_of_failures(self) -> None:
        errors = [trial.error for trial in self.told[-_LOOK_BACK:] if trial.error is not None]
        if self._warned or len(self.told) < _LOOK_BACK or len(errors) <= _LOOK_BACK // 2:
            return
        self._warned = True
        ((reason, _),) = Counter(error.partition("; repeat it with")[0] for error in errors).most_common(1)
        warnings.warn(
            f"{len(errors)} of the last {_LOOK_BACK} trials failed, most often: {reason}", UserWarning, stacklevel=5
        )
