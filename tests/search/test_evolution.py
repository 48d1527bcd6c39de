"""Evolution: beside a slow reference, and where it must equal random search."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from selftaught.errors import InputError
from selftaught.search import RandomSearch, RegularizedEvolution
from selftaught.search.evolution import Removal
from selftaught.seeds import rng_for
from selftaught.spaces import ChoiceSpace, Parameter, nb201_cell
from selftaught.trial import Score, Trial
from tests.search.landscapes import PLAIN, rugged, run


def reference(trials: int, population: int, sample: int) -> list[Any]:
    """Ageing evolution as it is written down, with a queue."""
    members: deque[Trial] = deque()
    asked = []
    for number in range(trials):
        rng = rng_for(5, number)
        if len(members) < population:
            candidate = PLAIN.sample(rng)
        else:
            drawn = [members[int(place)] for place in rng.integers(population, size=sample)]
            best = drawn[0]
            for member in drawn[1:]:
                if rugged(PLAIN, member.candidate) > rugged(PLAIN, best.candidate):
                    best = member
            candidate = PLAIN.mutate(best.candidate, rng)
        asked.append(candidate)
        if len(members) == population:
            members.popleft()
        members.append(Trial(number, candidate))
    return asked


def test_it_is_the_reference() -> None:
    searcher = RegularizedEvolution(PLAIN, seed=5, population=8, sample=3)
    told = run(searcher, 60, lambda c: rugged(PLAIN, c))
    assert [trial.candidate for trial in told] == reference(60, 8, 3)


def test_up_to_the_population_it_is_random_search_and_says_so() -> None:
    evolution, control = RegularizedEvolution(PLAIN, seed=3, population=20), RandomSearch(PLAIN, seed=3)
    ours = run(evolution, 21, lambda c: rugged(PLAIN, c))
    random = run(control, 21, lambda c: rugged(PLAIN, c))
    assert [t.candidate for t in ours[:20]] == [t.candidate for t in random[:20]]
    assert ours[20].parent is not None
    assert evolution.remarks(20) == ["20 trials do not exceed the population of 20: this was random search"]
    assert evolution.remarks(21) == []


@pytest.mark.parametrize(("removal", "kept"), [("oldest", [2, 5, 3]), ("worst", [9, 5, 3])])
def test_who_leaves(removal: Removal, kept: list[float]) -> None:
    searcher = RegularizedEvolution(PLAIN, population=3, sample=1, removal=removal)
    for number, value in enumerate([9, 1, 2, 5, 3]):
        searcher.tell(Trial(number, PLAIN.sample(rng_for(number)), score=Score(value)))
    assert [value for value, _ in searcher._members] == kept


def test_the_worst_of_the_sample_leaves() -> None:
    searcher = RegularizedEvolution(PLAIN, population=4, sample=2, removal="worst-of-sample", seed=8)
    run(searcher, 4, lambda c: rugged(PLAIN, c))
    before = list(searcher._members)
    asked = searcher.ask(4)
    drawn = [before[int(place)] for place in rng_for(8, 4).integers(4, size=2)]
    assert asked.parent == max(drawn, key=lambda member: member[0])[1].number
    searcher.tell(Trial(4, asked.candidate, score=Score(0.0)))
    left = [member for member in before if member not in searcher._members]
    assert left == [min(drawn, key=lambda member: member[0])]


def test_a_child_differs_from_its_parent_in_one_choice() -> None:
    told = run(RegularizedEvolution(PLAIN, population=5, sample=2), 40, lambda c: rugged(PLAIN, c))
    candidates = {trial.number: trial.candidate for trial in told}
    for trial in told[5:]:
        assert trial.parent is not None
        parent = candidates[trial.parent]
        assert sum(parent[name] != choice for name, choice in trial.candidate.items()) == 1


def test_failures_are_no_members_and_do_not_age() -> None:
    searcher = RegularizedEvolution(PLAIN, population=3, sample=1)
    run(searcher, 3, lambda c: 1.0)
    before = list(searcher._members)
    for number, score in enumerate((None, Score(float("nan")), Score(float("inf"))), 3):
        searcher.tell(Trial(number, PLAIN.sample(rng_for(0)), score=score, error=None if score else "it failed"))
    assert searcher._members == before


def test_group_first_mutation_on_cells() -> None:
    searcher = RegularizedEvolution(nb201_cell(), population=2, sample=1, mutation="group-first")
    told = run(searcher, 600, lambda c: 0.0)
    candidates = [trial.candidate for trial in told]
    changed = [
        next(name for name in trial.candidate if trial.candidate[name] != candidates[trial.parent][name])
        for trial in told
        if trial.parent is not None
    ]
    assert changed.count("0->1") / len(changed) == pytest.approx(1 / 3, abs=0.07)
    assert changed.count("2->3") / len(changed) == pytest.approx(1 / 9, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, "population must be at least 2"),
        ({"sample": 0}, "sample must be at least 1"),
        ({"no_change": 1.0}, "no_change"),
        ({"removal": "youngest"}, "removal must be one of"),
        ({"mutation": "groupfirst"}, "did you mean 'group-first'"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RegularizedEvolution(PLAIN, **options)


def test_a_sample_larger_than_the_population_is_legal() -> None:
    trials = run(RegularizedEvolution(PLAIN, population=2, sample=50), 10, lambda c: rugged(PLAIN, c))
    # Fifty draws of two hold both but once in 2 ** 49: the parent is the better of the last two.
    for now in range(2, 10):
        latest = sorted(trials[now - 2 : now], key=lambda trial: trial.score.value if trial.score else 0.0)
        assert trials[now].parent == latest[-1].number


def test_nothing_to_mutate_is_an_error_at_once() -> None:
    with pytest.raises(InputError, match="no parameter with two choices"):
        RegularizedEvolution(ChoiceSpace("one", (Parameter("x", (1,)),)))
