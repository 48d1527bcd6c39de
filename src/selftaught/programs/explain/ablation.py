"""What every instruction is worth: the fitness lost when it goes, on unseen tasks, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from selftaught.programs.explain.places import keep_live, places, without
from selftaught.programs.explain.scoring import Scorer, spread_of
from selftaught.programs.program import Program
from selftaught.programs.text import format_instruction

__all__ = ["Drop", "ablate"]


@dataclass(frozen=True)
class Drop:
    """The fitness lost when one instruction is taken out.

    Args:
        function: "setup", "predict" or "learn".
        line: the instruction's number in the function of the live form, from 0.
        text: the instruction.
        drop: mean fitness of the program minus that without the instruction; below 0 where it does harm.
        low, high: 95 % bootstrap interval over tasks.
    """

    function: str
    line: int
    text: str
    drop: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return dict(self.__dict__)


def ablate(program: Program, scorer: Scorer, *, seed: int = 0) -> tuple[Drop, ...]:
    """Take every instruction of the live form out, one at a time, and measure what that costs.

    All variants are scored in one batch an evaluation seed, on the same tasks and random streams as the whole
    program, so a drop is a paired difference.

    Args:
        program: the program; only its live form counts.
        scorer: the tasks and evaluation seeds.
        seed: of the bootstrap.

    Returns:
        One `Drop` an instruction of the live form, Setup first.
    """
    live = keep_live(program, scorer.kind)
    found = list(places(live))
    if not found:
        return ()
    variants = [live, *(without(live, [place]) for place, _ in found)]
    fitness = scorer.score(variants)
    lost = fitness[0] - fitness[1:]
    low, high = spread_of(lost, seed=seed)
    return tuple(
        Drop(*place, format_instruction(instruction), float(lost[i].mean()), float(low[i]), float(high[i]))
        for i, (place, instruction) in enumerate(found)
    )
