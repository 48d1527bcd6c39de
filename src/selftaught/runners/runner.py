"""Where objectives are evaluated: the contract of a runner, and what every runner does with one candidate."""

from __future__ import annotations

import math
import numbers
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from selftaught.errors import InputError
from selftaught.trial import Score

__all__ = ["Objective", "Outcome", "Runner", "evaluate"]

#: candidate -> its score, as a number or with what else was measured
Objective = Callable[[Any], Score | float]


@dataclass(frozen=True)
class Outcome:
    """What came of a candidate.

    Args:
        number: of its trial.
        score: finite, or None where it failed.
        seconds: what the evaluation took.
        error: one line on why it failed, or None.
    """

    number: int
    score: Score | None
    seconds: float
    error: str | None = None


@runtime_checkable
class Runner(Protocol):
    """What evaluates candidates, some of them side by side.

    At most `workers` candidates are taken at a time: `submit` of one more is an InputError. `collect` waits until at
    least one has ended, or for `timeout` seconds, and returns all that have; each ends exactly once, whatever became
    of the process it ran in. With nothing at work it returns an empty list at once. `close` ends what is still at
    work; a runner is a context manager that closes itself.
    """

    @property
    def workers(self) -> int: ...
    def submit(self, number: int, candidate: Any) -> None: ...
    def collect(self, timeout: float | None = None) -> list[Outcome]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Runner: ...
    def __exit__(self, *_: object) -> None: ...


def evaluate(objective: Objective, number: int, candidate: Any) -> Outcome:
    """Evaluate one candidate here; whatever the objective raises becomes a line of text.

    >>> evaluate(lambda x: 1 / x, 0, 0).error.partition(" (")[0]
    'ZeroDivisionError: division by zero'
    """
    begun = time.perf_counter()
    try:
        score, error = _checked(objective(candidate)), None
    except Exception as raised:
        score, error = None, _line(raised)
    return Outcome(number, score, time.perf_counter() - begun, error)


def _checked(given: Any) -> Score:
    """Return a finite score, of Python's own numbers."""
    score = given if isinstance(given, Score) else None
    value = score.value if score is not None else given
    if isinstance(value, tuple | list):
        raise InputError(
            "the objective returned several values; return Score(value, metrics) and name the objectives, with a "
            "searcher for several: nsga2 or tpe"
        )
    if isinstance(value, bool) or not (isinstance(value, numbers.Real) or getattr(value, "ndim", None) == 0):
        raise InputError(f"the objective must return a Score or a number, got {type(value).__name__}")
    if not math.isfinite(float(value)):
        raise InputError(f"the score is {float(value)}, which is not finite")
    metrics = score.metrics if score is not None else {}
    return Score(float(value), {name: float(number) for name, number in metrics.items()})


def _line(error: Exception) -> str:
    """Say in one line what was raised and where."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if frame.filename != __file__]
    where = f" ({Path(outside[-1].filename).name}:{outside[-1].lineno})" if outside else ""
    kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
    return f"{kind}{' '.join(str(error).split())[:500]}{where}"
