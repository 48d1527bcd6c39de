"""Evolution over several scores: the tournament's front against brute force, ageing, and what fills a population."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from selftaught.errors import InputError
from selftaught.search import ParetoEvolution, search
from selftaught.seeds import rng_for
from selftaught.spaces import macro_stack
from selftaught.trial import Score, Trial

SPACE = macro_stack()
BOTH: Any = {"left": "maximise", "right": "maximise"}


def told(searcher: ParetoEvolution, scores: list[tuple[float, float]]) -> list[Trial]:
    trials = []
    for k, (left, right) in enumerate(scores):
        candidate = SPACE.sample(rng_for(0, "told", k))
        trials.append(Trial(k, candidate, score=Score((left + right) / 2, {"left": left, "right": right})))
        searcher.tell(trials[-1])
    return trials


def parents(searcher: ParetoEvolution, count: int = 400) -> Counter[int | None]:
    return Counter(searcher.ask(1000 + k).parent for k in range(count))


def test_parents_are_random_members_of_the_front() -> None:
    """A tournament of everyone: the front of all, each about as often, the dominated never."""
    searcher = ParetoEvolution(SPACE, objectives=BOTH, population=5, tournament=60)
    told(searcher, [(0.9, 0.1), (0.5, 0.5), (0.1, 0.9), (0.4, 0.4), (0.1, 0.5)])
    found = parents(searcher)
    assert set(found) == {0, 1, 2}
    assert min(found.values()) > 90


def test_a_small_tournament_lets_the_dominated_win_sometimes() -> None:
    searcher = ParetoEvolution(SPACE, objectives=BOTH, population=3, tournament=1)
    told(searcher, [(0.9, 0.9), (0.5, 0.5), (0.1, 0.1)])
    assert set(parents(searcher)) == {0, 1, 2}


def test_the_mean_picks_one() -> None:
    searcher = ParetoEvolution(SPACE, objectives=BOTH, population=3, tournament=60, winner="mean")
    told(searcher, [(0.9, 0.0), (0.5, 0.5), (0.1, 0.8)])
    assert set(parents(searcher)) == {1}


def test_the_oldest_leaves_and_failures_do_not_count() -> None:
    searcher = ParetoEvolution(SPACE, objectives=BOTH, population=2, tournament=60)
    told(searcher, [(0.9, 0.9), (0.5, 0.5)])
    searcher.tell(Trial(2, SPACE.sample(rng_for(1)), error="quality: 0.1"))
    searcher.tell(Trial(3, SPACE.sample(rng_for(2)), score=Score(0.9, {"left": 0.9})))  # one score is missing
    assert set(parents(searcher)) == {0}
    searcher.tell(Trial(4, SPACE.sample(rng_for(3)), score=Score(0.2, {"left": 0.2, "right": 0.2})))
    assert set(parents(searcher)) == {1}


def test_what_fills_the_population() -> None:
    for fill, parent in (("random", None), ("mutants", 0)):
        searcher = ParetoEvolution(SPACE, objectives=BOTH, population=9, tournament=9, fill=fill)  # type: ignore[arg-type]
        assert searcher.ask(100).parent is None
        told(searcher, [(0.9, 0.9)])
        assert set(parents(searcher, 20)) == {parent}


def test_it_climbs_two_scores() -> None:
    """Zeros and twos of a stack: the front of all compromises is reached far beyond chance."""

    def objective(stack: Any) -> Score:
        kinds = list(stack.values())
        counts = {"left": kinds.count("identity"), "right": kinds.count("mbconv_k5_e6")}
        return Score(sum(counts.values()) / 2, counts)

    ends = {}
    for name, searcher in (
        ("evolution", ParetoEvolution(SPACE, objectives=BOTH, population=20, tournament=5)),
        ("random", ParetoEvolution(SPACE, objectives=BOTH, population=1000)),
    ):
        study = search(objective, SPACE, trials=150, searcher=searcher, objectives=BOTH)
        ends[name] = sum(trial.score.value >= 3.5 for trial in study.trials if trial.score)
    assert ends["evolution"] > 2 * ends["random"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [({"population": 1}, "population must be at least 2"), ({"tournament": 0}, "tournament must be at least 1"),
     ({"winner": "best"}, "winner must be one of front, mean"), ({"fill": "x"}, "fill must be one of random, mutants")],
)  # fmt: skip
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ParetoEvolution(SPACE, **options)
