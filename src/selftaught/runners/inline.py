"""Evaluate in this process, one candidate at a time."""

from __future__ import annotations

from typing import Any

from selftaught.errors import InputError
from selftaught.runners.runner import Objective, Outcome, evaluate

__all__ = ["Inline"]


class Inline:
    """Runs candidates here, when they are collected.

    Args:
        objective: candidate -> score.

    >>> with Inline(lambda candidate: candidate["x"] * 2.0) as runner:
    ...     runner.submit(0, {"x": 3})
    ...     runner.collect()[0].score.value
    6.0
    """

    workers = 1

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._waiting: tuple[int, Any] | None = None

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, number: int, candidate: Any) -> None:
        """Take a candidate."""
        if self._waiting is not None:
            raise InputError(f"trial {self._waiting[0]} is at work and there is 1 worker; collect it first")
        self._waiting = (number, candidate)

    def collect(self, timeout: float | None = None) -> list[Outcome]:
        """Evaluate what was taken, however long it lasts."""
        if self._waiting is None:
            return []
        (number, candidate), self._waiting = self._waiting, None
        return [evaluate(self._objective, number, candidate)]

    def close(self) -> None:
        """Forget what was not collected."""
        self._waiting = None
