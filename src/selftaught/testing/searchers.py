"""The contract of a searcher, the replay law above all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from selftaught.runners import Processes
from selftaught.search import Searcher
from selftaught.seeds import rng_for, seed_for
from selftaught.spaces import Space
from selftaught.testing.contract import expect, refused
from selftaught.trial import Score, Trial

__all__ = ["check_replay_in_a_new_process", "check_searcher"]

Make = Callable[[int], Searcher]


def check_searcher(make: Make, *, trials: int = 30) -> None:
    """Check the contract of a searcher.

    Candidates are valid; asking twice gives the same; a number is told once; failed trials and trials that were never
    asked for are taken; and the replay law holds after every trial, with failures, with several trials at work that
    end in another order, and from one seed to the next only if the seed is the same.

    Args:
        make: seed -> a fresh searcher.
        trials: how many to run.

    Raises:
        ContractError: which rule is broken.

    >>> from selftaught.search import RandomSearch
    >>> from selftaught.spaces import macro_stack
    >>> check_searcher(lambda seed: RandomSearch(macro_stack(), seed=seed))
    """
    _check_numbers(make)
    told = _check_one_worker(make, trials)
    _check_several_workers(make, trials)
    _check_strangers(make)
    other = make(1)
    for trial in told:
        other.tell(trial)
    same = [made.ask(trials).candidate for made in (_told(make, told), other)]
    first = [[made.ask(k).candidate for k in range(5)] for made in (make(0), make(1))]
    few = make(0).space.size() < 10
    expect(few or first[0] != first[1] or same[0] != same[1], "another seed asks other candidates")


def check_replay_in_a_new_process(make: Make, *, trials: int = 20) -> None:
    """Check that a fresh searcher in another process, with other hashes, asks the same next candidate.

    Args:
        make: seed -> a fresh searcher; it is sent to the other process by value.
        trials: told before.

    Raises:
        ContractError: it asks another.
    """
    searcher = make(0)
    told = _run(searcher, range(trials))
    space = searcher.space

    def fingerprint(history: Sequence[Trial]) -> float:
        return _mark(space, _told(make, history).ask(trials).candidate)

    with Processes(fingerprint, workers=1) as other:
        other.submit(0, told)
        (outcome,) = other.collect()
    expect(outcome.error is None, f"replay in a new process failed: {outcome.error}")
    here = _mark(space, searcher.ask(trials).candidate)
    expect(outcome.score is not None and outcome.score.value == here, "replay in a new process asks the same")


def _mark(space: Space, candidate: Any) -> float:
    return float(seed_for(0, space.encode(candidate)) % 2**52)


def _score(space: Space, candidate: Any) -> Score:
    """Return a made-up score that depends on the candidate alone."""
    return Score(float(rng_for(0, "landscape", space.encode(candidate)).normal()) + 10.0)


def _finished(space: Space, trial: Trial, *, number: int | None = None) -> Trial:
    """Return a trial as it ends: every seventh fails, every ninth has no finite score."""
    k = trial.number if number is None else number
    score = Score(float("nan")) if k % 9 == 8 else _score(space, trial.candidate)
    error = "made to fail" if k % 7 == 6 else None
    return Trial(k, trial.candidate, trial.parent, None if error else score, 0.0, error)


def _run(searcher: Searcher, numbers: Sequence[int]) -> list[Trial]:
    told = []
    for number in numbers:
        told.append(_finished(searcher.space, searcher.ask(number)))
        searcher.tell(told[-1])
    return told


def _told(make: Make, history: Sequence[Trial]) -> Searcher:
    fresh = make(0)
    for trial in history:
        fresh.tell(trial)
    return fresh


def _check_numbers(make: Make) -> None:
    searcher = make(0)
    trial = searcher.ask(3)
    expect(trial.number == 3 and trial.score is None and trial.error is None, "ask gives an open trial of its number")
    searcher.space.validate(trial.candidate)
    expect(searcher.ask(3) == trial, "asking for a number again gives the same trial")
    with refused("a negative number is refused"):
        searcher.ask(-1)
    searcher.tell(_finished(searcher.space, trial))
    with refused("a number is told once"):
        searcher.tell(_finished(searcher.space, trial))
    with refused("a number that was told is not asked for again"):
        searcher.ask(3)


def _check_one_worker(make: Make, trials: int) -> list[Trial]:
    searcher, told = make(0), list[Trial]()
    for number in range(trials):
        asked = searcher.ask(number)
        searcher.space.validate(asked.candidate)
        expect(asked.parent is None or asked.parent in {t.number for t in told}, "a parent is a trial that was told")
        expect(_told(make, told).ask(number) == asked, f"replay: a fresh searcher asks another trial {number}")
        told.append(_finished(searcher.space, asked))
        searcher.tell(told[-1])
    return told


def _check_several_workers(make: Make, trials: int) -> None:
    """Four trials at work at a time, ending in another order; replayed whenever nothing is at work."""
    searcher, told = make(0), list[Trial]()
    for first in range(0, trials, 4):
        at_work = [searcher.ask(number) for number in range(first, first + 4)]
        for place in rng_for(0, "order", first).permutation(4):
            told.append(_finished(searcher.space, at_work[place]))
            searcher.tell(told[-1])
        fresh = _told(make, told)
        expect(fresh.ask(first + 4) == searcher.ask(first + 4), "replay: trials that ended in another order")


def _check_strangers(make: Make) -> None:
    """Candidates of the user's own, told without being asked for."""
    searcher = make(0)
    for k in range(5):
        candidate = searcher.space.sample(rng_for(7, "stranger", k))
        searcher.tell(Trial(100 + k, candidate, score=_score(searcher.space, candidate)))
    searcher.space.validate(searcher.ask(0).candidate)
    with refused("a candidate of another space is refused"):
        searcher.tell(Trial(200, {"no such parameter": 1}, score=Score(1.0)))
