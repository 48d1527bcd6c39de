"""Local search: it reaches the top of a hill, starts again, and goes the same way with any number of workers."""

from __future__ import annotations

from typing import Any

import pytest

from selftaught.errors import InputError
from selftaught.search import LocalSearch
from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Parameter
from selftaught.trial import Score, Trial
from tests.search.landscapes import PLAIN, hill, rugged, run


class Recorded(LocalSearch):
    """Notes where it moved to."""

    def _move(self, candidate: Any, value: float, number: int) -> None:
        self.__dict__.setdefault("path", []).append(self.space.encode(candidate))
        super()._move(candidate, value, number)


def path(seed: int, workers: int, trials: int) -> list[str]:
    """Where a search moved to; workers end in an order of their own."""
    searcher = Recorded(PLAIN, seed=seed)
    at_work: dict[int, Trial] = {}
    number = 0
    while number < trials:
        while len(at_work) < workers:
            at_work[number] = searcher.ask(number)
            number += 1
        ended = list(at_work)[int(rng_for(seed, "who", number, workers).integers(len(at_work)))]
        trial = at_work.pop(ended)
        searcher.tell(Trial(ended, trial.candidate, trial.parent, Score(rugged(PLAIN, trial.candidate))))
    return list(searcher.__dict__["path"])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("workers", [2, 5, 30])
def test_the_path_does_not_depend_on_the_number_of_workers(workers: int, seed: int) -> None:
    """Thirty are more than a candidate has neighbours, so some look elsewhere."""
    alone, many = path(seed, 1, 150), path(seed, workers, 150 + 40 * workers)
    shared = min(len(alone), len(many))
    assert shared >= 4
    assert many[:shared] == alone[:shared]


def test_it_climbs_a_hill_to_the_top_and_starts_again() -> None:
    told = run(LocalSearch(PLAIN, seed=1), 200, hill)
    values = [hill(trial.candidate) for trial in told]
    top = values.index(5.0)
    assert top < 80
    starts = [trial for trial in told[top + 1 :] if trial.parent is None]
    assert starts, "the top has no better neighbour"
    assert told[top + 1 :].index(starts[0]) == len(PLAIN.neighbours(told[top].candidate))


def test_a_move_goes_to_a_strictly_better_neighbour() -> None:
    told = run(LocalSearch(PLAIN, seed=2), 80, lambda c: rugged(PLAIN, c))
    by_number = {trial.number: trial for trial in told}
    parents = [trial.parent for trial in told if trial.parent is not None]
    for trial in told:
        if trial.parent is not None:
            parent = by_number[trial.parent].candidate
            assert sum(parent[name] != choice for name, choice in trial.candidate.items()) == 1
    moves = [number for k, number in enumerate(parents) if k == 0 or number != parents[k - 1]]
    values = [by_number[number].score.value for number in moves]
    grandparents = [by_number[number].parent for number in moves]
    for value, grand in zip(values, grandparents, strict=True):
        if grand is not None:
            assert value > by_number[grand].score.value


def test_a_flat_landscape_is_left() -> None:
    told = run(LocalSearch(PLAIN), 40, lambda c: 1.0)
    assert [trial.number for trial in told if trial.parent is None] == [0, 16, 32]


def test_a_start_that_fails_is_replaced() -> None:
    searcher = LocalSearch(PLAIN)
    first = searcher.ask(0)
    searcher.tell(Trial(0, first.candidate, error="it failed"))
    assert searcher.ask(1).parent is None
    assert searcher.ask(1).candidate != first.candidate


def test_a_trial_that_never_ends_is_asked_for_again() -> None:
    searcher = LocalSearch(PLAIN)
    lost = searcher.ask(0).candidate
    for number in range(1, 150):
        trial = searcher.ask(number)
        if trial.candidate == lost:
            break
        searcher.tell(Trial(number, trial.candidate, score=Score(0.0)))
    assert number == 100


def test_a_space_without_neighbours_is_an_error_at_once() -> None:
    with pytest.raises(InputError, match="no neighbours"):
        LocalSearch(ChoiceSpace("one", (Parameter("x", (1,)),)))
