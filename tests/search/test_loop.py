"""The loop: what is stored, what goes on after a stop, what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from selftaught.errors import InputError, ResumeError
from selftaught.runners import Inline
from selftaught.search import SEARCHERS, RandomSearch, Study, SuccessiveHalving, search
from selftaught.seeds import rng_for
from selftaught.spaces import Candidate, ChoiceSpace, Parameter
from selftaught.store import open_store
from selftaught.trial import Score, Trial
from tests.search.landscapes import MIXED, PLAIN, hill, rugged

OURS = [name for name in SEARCHERS if name not in ("optuna", "nsga2")]


class Stop(BaseException):
    """What a kill looks like to the code that is running."""


@pytest.mark.parametrize("name", OURS)
def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    def score(candidate: Any) -> float:
        return rugged(MIXED, {k: v for k, v in candidate.items() if k != "budget"})

    options = {"options": {"population": 5}} if name == "regularized-evolution" else {}
    whole = search(score, MIXED, trials=30, searcher=name, seed=2, **options)
    calls = itertools.count()

    def stopped(candidate: Any) -> float:
        if next(calls) in (4, 9):
            raise Stop
        return score(candidate)

    path = str(tmp_path / "trials.db")
    again: dict[str, Any] = {"trials": 30, "searcher": name, "seed": 2, "store": path, **options}
    for _ in range(2):
        with pytest.raises(Stop):
            search(stopped, MIXED, **again)
    study = search(stopped, MIXED, **again)
    assert [(t.number, t.candidate, t.parent, t.score) for t in study.trials] == [
        (t.number, t.candidate, t.parent, t.score) for t in whole.trials
    ]
    assert len(search(stopped, MIXED, **again).trials) == 30, "a finished study is finished"
    assert len(search(score, MIXED, **{**again, "trials": 33}).trials) == 33


def test_the_store_holds_what_happened(tmp_path: Path) -> None:
    def fails(candidate: Any) -> Score:
        if candidate["first"] == "c":
            raise ArithmeticError("c fails")
        return Score(float(candidate["depth"]), {"size": 3.0})

    with open_store(str(tmp_path / "trials.db")) as store:
        study = search(fails, MIXED, trials=15, searcher="random", store=store, study="mine")
        stored = store.trials(store.study("mine"), order="told")
        assert store.settings(store.study("mine"))["space"] == MIXED.describe()
    assert [MIXED.from_json(trial.candidate) for trial in stored] == [trial.candidate for trial in study.trials]
    assert [(t.score, t.error, t.cost) for t in stored] == [(t.score, t.error, t.cost) for t in study.trials]
    failed = study.failed[0]
    assert failed.error is not None
    assert failed.error.startswith("ArithmeticError: c fails (test_loop.py:")
    assert failed.error.endswith(f"; repeat it with: study.evaluate({failed.number})")
    with pytest.raises(ArithmeticError, match="c fails"):
        study.evaluate(failed.number)


def test_a_gap_is_filled_with_its_own_number(tmp_path: Path) -> None:
    """What a killed process was at is asked for again, so that numbers have no holes."""
    path = str(tmp_path / "trials.db")
    search(hill, PLAIN, trials=3, searcher="random", store=path)
    with open_store(path) as store:
        study = store.study("search")
        store.add(study, [Trial(5, PLAIN.to_json(PLAIN.sample(rng_for(0))), score=Score(1.0))])
    found = search(hill, PLAIN, trials=7, searcher="random", store=path)
    assert [trial.number for trial in found.trials] == [0, 1, 2, 5, 3, 4, 6]


def test_two_processes_on_one_study_are_told_so(tmp_path: Path) -> None:
    path = str(tmp_path / "trials.db")

    def meanwhile(candidate: Any) -> float:
        with open_store(path) as store:
            if not store.trials(1):
                store.add(1, [Trial(0, PLAIN.to_json(candidate), score=Score(0.0))])
        return 1.0

    with pytest.raises(ResumeError, match="another process"):
        search(meanwhile, PLAIN, trials=3, store=path)


def test_repeats_are_trials_and_cost_nothing_unless_asked_for() -> None:
    def total(candidate: Candidate) -> str:
        return str(candidate["x"] + candidate["y"])  # type: ignore[operator]

    space = ChoiceSpace("tiny", (Parameter("x", (0, 1)), Parameter("y", (0, 1))), canonical=total)
    for repeats, evaluated in (("reuse", 4), ("reuse-equal", 3), ("evaluate", 40)):
        calls: list[Any] = []

        def score(candidate: Any, calls: list[Any] = calls) -> float:
            calls.append(candidate)
            return float(sum(candidate.values()))

        study = search(score, space, trials=40, searcher="random", repeats=repeats)  # type: ignore[arg-type]
        assert len(study.trials) == 40
        assert len(calls) == evaluated
        assert (study.repeats, study.distinct) == (36, 3)
        assert "36 repeated a candidate tried before; 3 different meanings" in study.summary()


def test_minimising_negates_once_at_the_door() -> None:
    study = search(hill, PLAIN, trials=30, searcher="random", direction="minimise")
    assert study.best_value == min(hill(trial.candidate) for trial in study.trials)
    assert study.best.score == Score(-study.best_value)


def test_candidates_of_ones_own_come_first_and_once(tmp_path: Path) -> None:
    own = [dict.fromkeys(("p0", "p1", "p2", "p3", "p4"), k) for k in (3, 2)]
    for trials in (4, 8):
        study = search(
            hill, PLAIN, trials=trials, searcher="regularized-evolution", enqueue=own, store=str(tmp_path / "t.db")
        )
        assert [trial.candidate for trial in study.trials[:2]] == own
        assert sum(trial.candidate in own for trial in study.trials) == 2
    with pytest.raises(InputError, match="no choice 7; the nearest is 3"):
        search(hill, PLAIN, enqueue=[{**own[0], "p0": 7}])


def test_more_than_half_failed_is_warned_of_once_with_the_commonest_error() -> None:
    calls = itertools.count()

    def fails(_: Any) -> float:
        k = next(calls)
        if k % 3 == 0:
            return 1.0
        raise OSError("disk full") if k % 3 == 1 or k % 2 else ValueError("rare")

    with pytest.warns(UserWarning, match="of the last 20 trials failed, most often: OSError: disk full") as caught:
        study = search(fails, PLAIN, trials=60, searcher="random", repeats="evaluate")
    assert len(caught) == 1
    assert f"{len(study.failed)} failed" in study.summary()


def test_a_study_without_a_success_says_why() -> None:
    with pytest.warns(UserWarning, match="trials failed"):
        study = search(lambda _: float("nan"), PLAIN, trials=20, searcher="random")
    with pytest.raises(InputError, match="all 20 failed, most often: the score is nan"):
        _ = study.best
    assert "20 failed" in str(study)
    with pytest.raises(InputError, match="there are none"):
        _ = Study(PLAIN, []).best


def test_several_values_are_refused_with_the_searchers_that_take_them() -> None:
    study = search(lambda _: (1.0, 2.0), PLAIN, trials=1)  # type: ignore[arg-type, return-value]
    assert "nsga2 or tpe" in str(study.trials[0].error)
    goals: dict[str, Any] = {"score": "maximise", "ms": "minimise"}
    with pytest.raises(InputError, match="nsga2 or tpe"):
        search(hill, PLAIN, searcher="regularized-evolution", objectives=goals)
    with pytest.raises(InputError, match="nsga2 or tpe"):
        search(hill, PLAIN, searcher=RandomSearch(PLAIN), objectives=goals)
    study = search(hill, PLAIN, trials=2, searcher="tpe", objectives=goals)
    assert "the score lacks ms, which is an objective" in str(study.trials[0].error)
    with pytest.raises(InputError, match="name the objectives"):
        search(hill, PLAIN, trials=2).pareto()


def test_a_stored_study_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    path = str(tmp_path / "t.db")
    search(hill, PLAIN, trials=2, store=path)
    changed = ChoiceSpace("plain", (Parameter("p0", (0, 1)), *PLAIN.parameters[1:]))
    with pytest.raises(ResumeError, match=r"parameter 'p0' with choices \[0, 1, 2, 3\], not \[0, 1\]; declare it cond"):
        search(hill, changed, trials=3, store=path)
    with pytest.raises(ResumeError, match="of the space 'plain'"):
        search(hill, MIXED, trials=3, store=path)
    with pytest.raises(ResumeError, match="direction 'maximise'"):
        search(hill, PLAIN, trials=3, store=path, direction="minimise")
    with open_store(path) as store:
        store.study("evolved", {"preset": "demo"})
    with pytest.raises(ResumeError, match="none of a search"):
        search(hill, PLAIN, trials=3, store=path, study="evolved")


def test_a_space_with_a_budget_is_searched_and_stored_with_it(tmp_path: Path) -> None:
    for _ in range(2):
        study = search(
            lambda c: float(c["budget"]), PLAIN, trials=20, searcher=SuccessiveHalving(PLAIN, budgets=(1, 2)),
            store=str(tmp_path / "t.db"),
        )  # fmt: skip
    assert study.best.candidate["budget"] == 2


def test_the_pick_is_made_on_the_largest_budget() -> None:
    """Here a score falls as the budget grows, as a loss of noise may: the small budgets' scores are not comparable."""
    study = search(
        lambda c: hill(c) - 10.0 * c["budget"], PLAIN, trials=40, searcher="successive-halving",
        options={"budgets": (1, 2, 4)},
    )  # fmt: skip
    assert {trial.candidate["budget"] for trial in study.trials} == {1, 2, 4}
    assert study.best.candidate["budget"] == 4
    assert {trial.candidate["budget"] for trial in study.top(20)} == {4}


def test_seconds_are_kept() -> None:
    """The clock is the objective's own count of calls, so that nothing waits."""
    now = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("selftaught.search.loop.time.monotonic", lambda: float(next(now)))
        study = search(hill, PLAIN, trials=10_000, seconds=60, searcher="random", repeats="evaluate")
    assert 5 < len(study.trials) < 60


def test_everyone_hears_of_every_trial() -> None:
    heard: list[Trial] = []
    study = search(hill, PLAIN, trials=10, runner=Inline(hill), on_trial=heard.append)
    assert heard == list(study.trials)
    assert "<table>" in study._repr_html_()
    assert search(hill, PLAIN, trials=5, searcher="regularized-evolution").remarks


def test_the_top_are_different_candidates_best_first() -> None:
    study = search(
        hill, PLAIN, trials=60, searcher="regularized-evolution", options={"population": 5, "no_change": 0.3}
    )
    top = study.top(4)
    values = [hill(trial.candidate) for trial in top]
    assert top[0] == study.best
    assert values == sorted(values, reverse=True)
    assert len({PLAIN.encode(trial.candidate) for trial in top}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"seconds": 0}, "seconds must be above 0"),
        ({"trial_seconds": 5}, "needs processes"),
        ({"searcher": "evolution"}, "searcher must be one of"),
        ({"direction": "maximize"}, "did you mean 'maximise'"),
        ({"repeats": "again"}, "repeats must be"),
        ({"objectives": {"ms": "down"}}, "direction of ms"),
        ({"searcher": RandomSearch(PLAIN), "options": {"a": 1}}, "options belong to"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        search(hill, PLAIN, **options)
