"""When each technique appeared in a run, and what the step that brought it gained.

The names come from timeline.json, which whoever can run programs has written; this only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from selftaught.report.record import Moment, RunRecord

__all__ = ["Appearance", "appearances", "techniques_at"]


@dataclass(frozen=True)
class Appearance:
    """A technique's first appearance in a best program of the run.

    Args:
        name: of the technique.
        programs: proposed on the island by then.
        elapsed: seconds since the start.
        fitness: of the program, on the search tasks.
        before: the best fitness of the run until then, 0 at the beginning.
        island: where.
        kept: whether the winner still has it; None where the winner was not explained.
        worth: what the winner loses without it on unseen tasks, or None.
    """

    name: str
    programs: int
    elapsed: float
    fitness: float
    before: float
    island: int
    kept: bool | None
    worth: float | None

    @property
    def gain(self) -> float:
        """What the step that brought it gained, with all else that the step changed."""
        return self.fitness - self.before


def appearances(run: RunRecord) -> tuple[Appearance, ...]:
    """Return the first appearance of each technique, in order of time; empty without timeline.json.

    Only programs count that were the best of the run over all islands when they were found.
    """
    explained = run.explanation
    worth = {one.name: one.gain for one in explained.techniques} if explained else {}
    found: dict[str, Appearance] = {}
    best = 0.0
    for moment in sorted(run.timeline or (), key=lambda one: one.elapsed):
        if moment.fitness <= best and best > 0.0:
            continue
        for name in moment.techniques:
            if name not in found:
                found[name] = Appearance(
                    name, moment.programs, moment.elapsed, moment.fitness, best, moment.island,
                    None if explained is None else name in worth, worth.get(name),
                )  # fmt: skip
        best = moment.fitness
    return tuple(found.values())


def techniques_at(moments: Sequence[Moment], programs: int, island: int) -> tuple[str, ...]:
    """Return the techniques of one improvement, named by its island and its number there."""
    for moment in moments:
        if moment.programs == programs and moment.island == island:
            return moment.techniques
    return ()
