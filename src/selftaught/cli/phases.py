"""What an evolution is doing, in words."""

from __future__ import annotations

__all__ = ["phase_text"]

_PHASES = {
    "compile": "getting ready",
    "baselines": "measuring cheap baselines, the floor to beat",
    "search": "searching",
    "select": "scoring the best finds on other tasks",
    "final": "scoring the winner once, on tasks that nothing has seen",
    "done": "done",
}


def phase_text(phase: str, message: str | None) -> str:
    """Return the message of a progress report, or else what its phase means.

    >>> phase_text("select", None)
    'scoring the best finds on other tasks'
    """
    return message or _PHASES.get(phase, phase)
