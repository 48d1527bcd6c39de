"""The winner's line of descent in a few lines: steps that gained much or brought a technique, and what they changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selftaught.cli.code_view import shorter_numbers
from selftaught.cli.quantities import clock, fitness

if TYPE_CHECKING:
    from selftaught.report import RunRecord, Step

__all__ = ["descent_lines"]

_DIGITS = 3


def descent_lines(run: RunRecord, *, most: int = 8) -> list[str]:
    """Return a headline and a line for each step that gained much or brought a technique, in their order.

    Args:
        run: with or without a history; without one there are no lines.
        most: steps to tell for what they gained, the first and the last (the winner) included; at least 2.
    """
    from selftaught.report import line_of_descent
    from selftaught.report.timeline import techniques_at

    line = line_of_descent(run)
    if not line.steps:
        return []
    inner = sorted(line.steps[1:-1], key=lambda step: -step.gain)[: most - 2]
    told = [step for step in line.steps if step is line.steps[0] or step is line.steps[-1] or step in inner]
    start = run.settings.get("start", "empty")
    origin = "the empty program" if start == "empty" else "the start"
    goal = "the winner" if line.reaches_winner else "the best improvement"
    which = "" if len(told) == len(line.steps) else "; those that gained most or brought a [technique]"
    links = "" if not line.gaps and line.certain else ", some across ancestors that were not kept"
    head = f"line of descent, {len(line.steps)} steps from {origin} to {goal}{links}{which}:"
    known: set[str] = set()
    lines = [head]
    for step in line.steps:
        here = techniques_at(run.timeline or (), step.record.programs, step.record.island)
        new = [name for name in here if name not in known]
        known.update(new)
        if step in told or new:
            lines.append(_told(step, new, first=step is line.steps[0]))
    return lines


def _told(step: Step, new: list[str], *, first: bool) -> str:
    gain = " " * 7 if first else f"{step.gain:+.4f}"
    words = [
        f"{name}: {', '.join(shorter_numbers(text, _DIGITS) for text in lines)}"
        for name in ("learn", "predict", "setup")
        if (lines := [one.text for one in step.changes if one.function == name and one.kind == "+"])
    ]
    gone = sum(one.kind == "-" for one in step.changes) - sum(one.kind == "+" for one in step.changes)
    brought = f"[{', '.join(new)}] " if new else ""
    changed = "; ".join(words) or _less(gone)
    return f"  {clock(step.record.elapsed):>6}  {fitness(step.record.fitness)}  {gain}  {brought}{changed}"


def _less(gone: int) -> str:
    return f"{gone} line{'s' * (gone != 1)} less"
