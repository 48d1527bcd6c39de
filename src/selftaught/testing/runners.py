"""The contract of a runner."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from selftaught.errors import InputError
from selftaught.runners import Objective, Outcome, Runner
from selftaught.testing.contract import expect, refused
from selftaught.trial import Score

__all__ = ["check_runner"]

Make = Callable[[Objective], Runner]


def check_runner(make: Make, *, own_processes: bool = False) -> None:
    """Check the contract of a runner: everything taken ends once, errors become text, no more is taken than fits.

    Args:
        make: objective -> a fresh runner, which is closed after use.
        own_processes: True where trials run in processes of their own: then one that is killed loses itself alone.

    Raises:
        ContractError: which rule is broken.

    >>> from selftaught.runners import Inline
    >>> check_runner(Inline)
    """
    with make(_objective) as runner:
        expect(runner.workers >= 1, "a runner has at least one worker")
        expect(runner.collect() == [], "with nothing at work, collect returns at once")
        for number in range(runner.workers):
            runner.submit(number, {"x": number})
        with refused("no more is taken than there are workers"):
            runner.submit(99, {"x": 0})
        ended = _collected(runner, runner.workers)
        expect([e.number for e in ended] == list(range(runner.workers)), "everything ends once")
        expect([e.score for e in ended] == [Score(2.0 * n, {"x": float(n)}) for n in range(runner.workers)], "scores")
        expect(all(e.error is None and e.seconds >= 0 for e in ended), "what succeeded has no error")
        for wrong in ("raise", "nan", "text", "several"):
            runner.submit(50, {"x": wrong})
            (outcome,) = _collected(runner, 1)
            expect(outcome.score is None and bool(outcome.error), f"a failure has an error ({wrong})")
            expect("\n" not in (outcome.error or ""), "an error is one line")
        if own_processes:
            _check_deaths(runner)
        runner.submit(60, {"x": 1})
        expect(_collected(runner, 1)[0].score == Score(2.0, {"x": 1.0}), "a runner goes on after failures")


def _check_deaths(runner: Runner) -> None:
    """A process that is killed, or ends, loses its own trial only."""
    for number, way in enumerate(("kill", "exit"), 70):
        others = list(range(80, 80 + runner.workers - 1))
        runner.submit(number, {"x": way})
        for other in others:
            runner.submit(other, {"x": 1})
        ended = {outcome.number: outcome for outcome in _collected(runner, runner.workers)}
        expect(ended[number].score is None and bool(ended[number].error), f"a trial whose process died fails ({way})")
        expect(all(ended[other].error is None for other in others), f"other trials go on ({way})")


def _collected(runner: Runner, count: int) -> list[Outcome]:
    found: list[Outcome] = []
    while len(found) < count:
        some = runner.collect()
        expect(bool(some), "collect waits until something has ended")
        found += some
    return sorted(found, key=lambda outcome: outcome.number)


def _objective(candidate: Any) -> Any:
    x = candidate["x"]
    if x == "raise":
        raise InputError("made to fail\nin two lines")
    if x == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if x == "exit":
        os._exit(3)
    if isinstance(x, str):
        return {"nan": float("nan"), "text": "text", "several": (1.0, 2.0)}[x]
    return Score(2.0 * x, {"x": x})
