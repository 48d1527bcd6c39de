"""One candidate tried: what it was, where it came from, what it scored and cost, why it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Score", "Trial"]


@dataclass(frozen=True)
class Score:
    """A score, always maximised, and what else was measured.

    Args:
        value: the score.
        metrics: name -> number, for the record.
    """

    value: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """A line of the ledger of candidates.

    Args:
        number: counts the trials of a study from 0.
        candidate: what was tried, as text or plain data that JSON can hold.
        parent: number of the trial it came from, or None.
        score: its score, or None where it failed.
        cost: what it cost, in the study's unit (seconds unless the study says otherwise).
        error: why it failed, or None.

    >>> Trial(0, "s1 = 0", score=Score(0.5)).score.value
    0.5
    """

    number: int
    candidate: Any
    parent: int | None = None
    score: Score | None = None
    cost: float = 0.0
    error: str | None = None
