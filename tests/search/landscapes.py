"""Scores that need no training: made up, or known to the end."""

from __future__ import annotations

from typing import Any

from selftaught.search import Searcher
from selftaught.seeds import rng_for
from selftaught.spaces import Candidate, ChoiceSpace, Parameter, Space
from selftaught.trial import Score, Trial

#: conditional, ordered and plain parameters
MIXED = ChoiceSpace(
    "mixed",
    (
        Parameter("depth", (1, 2, 3), ordered=True),
        Parameter("first", ("a", "b", "c")),
        Parameter("second", ("a", "b", "c"), when={"depth": (2, 3)}),
        Parameter("third", (0, 1, 2, 3), when={"depth": (3,)}, ordered=True),
        Parameter("flag", (False, True)),
    ),
)
#: without conditions, every parameter with a best choice of its own
PLAIN = ChoiceSpace("plain", tuple(Parameter(f"p{k}", (0, 1, 2, 3)) for k in range(5)))


def hill(candidate: Candidate) -> float:
    """The number of threes: every neighbour that is better leads to the top."""
    return float(sum(choice == 3 for choice in candidate.values()))


def rugged(space: Space, candidate: Candidate) -> float:
    """A random number a candidate."""
    return float(rng_for(0, "rugged", space.encode(candidate)).normal())


def run(searcher: Searcher, trials: int, score: Any, *, first: int = 0) -> list[Trial]:
    """Ask, score and tell so often; return the trials."""
    told = []
    for number in range(first, first + trials):
        asked = searcher.ask(number)
        told.append(Trial(number, asked.candidate, asked.parent, Score(score(asked.candidate))))
        searcher.tell(told[-1])
    return told
