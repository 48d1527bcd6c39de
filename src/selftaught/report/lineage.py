"""The line of descent: from the empty program to the winner, as far as the run recorded it.

A run keeps its improvements alone: programs better than all before them on their island. Most parents were not, so a
step of the line is one of four kinds, and says which:

- `child`: the parent is itself a recorded improvement;
- `gap`: the parent was not kept. The step is shown against the last improvement of the island that was born no later
  than that parent, which may be an ancestor of it;
- `first`: the program had no parent; it was made at the start of a population, from what the search began with;
- `chosen`: the winner itself, where it is no recorded improvement but one of the best programs that the selection tasks
  chose. It is shown against the last improvement of its island that was born no later than its parent, or, where a
  run did not tell its parent, against the best of its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from selftaught.report.code import NOTHING, Change, changes
from selftaught.report.record import Record, RunRecord

__all__ = ["Descent", "Step", "line_of_descent"]

Link = Literal["first", "child", "gap", "chosen"]


@dataclass(frozen=True)
class Step:
    """One step towards the winner.

    Args:
        record: the improvement.
        link: how it hangs together with the step before it.
        gain: fitness on the search tasks above the step before; above 0 for the first.
        changes: its lines beside those of the step before; of the first, beside the empty program.
    """

    record: Record
    link: Link
    gain: float
    changes: tuple[Change, ...]

    @property
    def changed(self) -> int:
        """How many lines came or went."""
        return sum(change.kind != " " for change in self.changes)


@dataclass(frozen=True)
class Descent:
    """The recorded ancestry of the winner.

    Args:
        steps: from the first to the last.
        reaches_winner: whether the last step is the winner itself; else it is the best improvement of the run, and
            nothing tells on which island and when the winner was found.
        certain: whether numbers name parents surely; with several islands a migrant may bear the number of another.
    """

    steps: tuple[Step, ...]
    reaches_winner: bool
    certain: bool

    @property
    def gaps(self) -> int:
        """How many steps are shown across ancestors that were not kept."""
        return sum(step.link in ("gap", "chosen") for step in self.steps)


def line_of_descent(run: RunRecord) -> Descent:
    """Follow the winner back to the empty program through what history.jsonl recorded.

    The winner is found by its text; of several with the same text the last is taken.
    """
    history = run.history
    body = _body(run.program)
    found = [record for record in history if _body(record.text) == body]
    chain: list[tuple[Record, Link]] = []
    current: Record | None = None
    if found:
        current = found[-1]
    elif run.born is not None and run.search is not None:
        programs, island, parent, move = run.born
        born = Record(programs, run.search, _elapsed_at(programs, island, history), parent, move, island, run.program)
        current, _ = _before(born, history)
        chain.append((born, "chosen"))
    elif run.islands == 1 and run.search is not None:
        # With one island the number of programs at the winner's birth is known, and with it the best of its time.
        older = [record for record in history if record.programs < run.best_after]
        current = max(older, key=lambda record: record.programs, default=None)
        if current is not None:
            chain.append((Record(run.best_after, run.search, current.elapsed, -1, -1, 0, run.program), "chosen"))
    if not found and not chain:
        current = max(history, key=lambda record: record.fitness, default=None)
    reaches = bool(found or chain)
    while current is not None:
        before, link = _before(current, history)
        chain.append((current, link))
        current = before
    steps, code, fitness = [], NOTHING, 0.0
    for record, link in reversed(chain):
        after = record.code
        steps.append(Step(record, link, record.fitness - fitness, tuple(changes(code, after))))
        code, fitness = after, record.fitness
    return Descent(tuple(steps), reaches_winner=reaches, certain=run.islands == 1)


def _before(record: Record, history: Sequence[Record]) -> tuple[Record | None, Link]:
    """Return the step before a record and the kind of link to it; births fall at every step, so this ends."""
    if record.parent < 0 or record.parent >= record.programs:
        return None, "first"
    older = [one for one in history if one.island == record.island and one.programs <= record.parent]
    if not older:
        return None, "gap"
    nearest = max(older, key=lambda one: one.programs)
    return nearest, "child" if nearest.programs == record.parent else "gap"


def _elapsed_at(programs: int, island: int, history: Sequence[Record]) -> float:
    """Return about when a program was proposed: between the records of its island in proportion to their numbers."""
    known = sorted((one.programs, one.elapsed) for one in history if one.island == island)
    before = max((one for one in known if one[0] <= programs), default=(0, 0.0))
    after = min((one for one in known if one[0] > programs), default=before)
    share = (programs - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0.0
    return before[1] + share * (after[1] - before[1])


def _body(text: str) -> str:
    """Return a program's text without the lines that declare slots and task, which do not change what it does."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join(line for line in lines if not line.startswith(("slots:", "task:", "selftaught-program")))
