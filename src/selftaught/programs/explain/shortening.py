"""A shorter program that does the same: remove, rewire and round what costs no more than chance does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.explain.bits import Language
from selftaught.programs.explain.places import keep_live, places, without
from selftaught.programs.explain.scoring import Scorer, spread_of
from selftaught.programs.explain.simpler import fewer_digits, removals, rewirings
from selftaught.programs.explain.unseen import some_tasks
from selftaught.programs.program import Program
from selftaught.seeds import rng_for

__all__ = ["Shortening", "shorten"]

FEW = 24  # programs of at most so many instructions also lose two at a time
SCREENED = 48  # rewirings that go on to all tasks, the best on a few
CONTROLS = 16  # random removals


@dataclass(frozen=True)
class Shortening:
    """A shorter program, and what it gave up.

    Args:
        program: the shorter program, in live form.
        floor: the largest loss of mean fitness that counts as none.
        bits_before, bits_after: description lengths of the live form and of the shorter program.
        given_up: mean fitness lost, on tasks that guided nothing.
        low, high: its 95 % bootstrap interval over tasks.
        control: mean fitness lost by taking out as many instructions at random, the mean of 16 draws.
        before, after: numbers of instructions of the live form and of the shorter program.
    """

    program: Program
    floor: float
    bits_before: float
    bits_after: float
    given_up: float
    low: float
    high: float
    control: float
    before: int
    after: int


def shorten(
    program: Program,
    guide: Scorer,
    confirm: Scorer,
    report: Scorer,
    *,
    language: Language | None = None,
    floor: float | None = None,
    seed: int = 0,
    tell: Callable[[str], None] | None = None,
) -> Shortening:
    """Shorten a program while its fitness stays within the noise floor of the whole program's.

    Greedy: of all single removals (then rewirings, then removals of pairs) the one with the smallest loss goes,
    as long as the loss against the *first* program is within the floor, so losses do not add up. Then every constant
    is rounded to the fewest digits. Of the programs on this way the shortest is taken whose loss is within the floor on
    `confirm` as well; what is told about it is measured on `report`.

    Args:
        program: what to shorten.
        guide, confirm, report: three scorers of disjoint tasks of one kind.
        language: what bits are counted in; all operators and the program's own slots by default.
        floor: the loss that counts as none; measured on `guide` by default.
        seed: of the control and of the bootstrap.
        tell: called with a few words at every step.
    """
    live = keep_live(program, guide.kind)
    language = language or Language.of(program)
    say = tell or (lambda words: None)
    if floor is None:
        say("measuring what chance alone moves")
        floor = guide.floor(live)
    walk = _Walk(live, guide, floor, say)
    walk.shrink()
    say("rounding constants")
    walk.round()
    say("confirming the shorter program on other tasks")
    short = _confirmed(walk.way, confirm, floor)
    fitness = report.score([live, short])
    lost = fitness[:1] - fitness[1:]
    low, high = spread_of(lost, seed=seed)
    return Shortening(
        program=short, floor=floor, bits_before=language.bits(live), bits_after=language.bits(short),
        given_up=float(lost.mean()), low=float(low[0]), high=float(high[0]),
        control=_control(live, len(live) - len(short), report, seed), before=len(live), after=len(short),
    )  # fmt: skip


class _Walk:
    """The way from a program to shorter ones; `way` holds every program on it, the first included."""

    def __init__(self, live: Program, guide: Scorer, floor: float, say: Callable[[str], None]) -> None:
        self.way, self._say = [live], say
        self._guide, self._floor = guide, floor
        self._first = float(guide.score([live]).mean())
        few = min(16, guide.tasks.count)
        self._few = Scorer(some_tasks(guide.tasks, 0, few), seeds=1)
        self._first_of_few = float(self._few.score([live]).mean())

    @property
    def _now(self) -> Program:
        return self.way[-1]

    def shrink(self) -> None:
        """Take instructions out until every way to do so costs more than the floor."""
        kind = self._guide.kind
        while len(self._now):
            self._say(f"shortening: {len(self._now)} of {len(self.way[0])} instructions")
            moved = self._step(removals(self._now, kind)) or self._step(self._screened(rewirings(self._now, kind)))
            if not moved and len(self._now) <= FEW:
                moved = self._step(self._screened(removals(self._now, kind, together=2)))
            if not moved:
                return

    def round(self) -> None:
        """Round every constant to the fewest digits within the floor."""
        for place, instruction in list(places(self._now)):
            for number in range(len(instruction.constants)):
                rounded = [changed for _, changed in fewer_digits(self._now, place, number)]
                if rounded:
                    losses = self._losses(rounded)
                    fine = np.flatnonzero(losses <= self._floor)
                    if len(fine):
                        self.way.append(rounded[int(fine[0])])

    def _losses(self, programs: list[Program]) -> NDArray[np.float64]:
        losses: NDArray[np.float64] = self._first - self._guide.score(programs).mean(axis=1)
        return losses

    def _step(self, candidates: Iterable[Program]) -> bool:
        """Go on to the candidate with the smallest loss, the shorter one of equals, if it is within the floor."""
        found = list(dict.fromkeys(candidates))
        if not found:
            return False
        losses = self._losses(found)
        best = min(range(len(found)), key=lambda i: (max(losses[i], 0.0), len(found[i])))
        if losses[best] > self._floor:
            return False
        self.way.append(found[best])
        return True

    def _screened(self, candidates: Iterable[Program]) -> list[Program]:
        """Return the candidates that do best on a few tasks and do not fail there."""
        found = list(dict.fromkeys(candidates))
        if len(found) <= SCREENED:
            return found
        losses = self._first_of_few - self._few.score(found).mean(axis=1)
        order = np.lexsort(([len(p) for p in found], losses.round(6)))
        return [found[int(i)] for i in order[:SCREENED]]


def _confirmed(way: list[Program], confirm: Scorer, floor: float) -> Program:
    """Return the last program of the way whose loss on the confirming tasks is within the floor."""
    fitness = confirm.score(way).mean(axis=1)
    fine = np.flatnonzero(fitness[0] - fitness <= floor)
    return way[int(fine[-1])]


def _control(live: Program, removed: int, report: Scorer, seed: int) -> float:
    """Return the mean loss of random removals of so many instructions."""
    if not removed:
        return 0.0
    every = [place for place, _ in places(live)]
    rng = rng_for(seed, "explain", "control")
    variants = [
        without(live, [every[i] for i in rng.choice(len(every), removed, replace=False)]) for _ in range(CONTROLS)
    ]
    fitness = report.score([live, *variants]).mean(axis=1)
    return float(fitness[0] - fitness[1:].mean())
