"""Optuna both ways: its samplers as searchers, our searchers as samplers, our studies in its storage."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import optuna
import pytest

from selftaught.errors import InputError
from selftaught.search import OptunaSearcher, search
from selftaught.search.optuna import SearcherSampler, export_study
from selftaught.search.registry import SEARCHERS
from selftaught.seeds import rng_for
from selftaught.trial import Score, Trial
from tests.search.landscapes import MIXED, PLAIN, hill, run

optuna.logging.set_verbosity(optuna.logging.WARNING)
COMPLETE = optuna.trial.TrialState.COMPLETE


def objective(trial: optuna.Trial) -> float:
    return hill({f"p{k}": trial.suggest_categorical(f"p{k}", [0, 1, 2, 3]) for k in range(5)})


@pytest.mark.parametrize("name", [name for name in SEARCHERS if name not in ("successive-halving", "optuna", "nsga2")])
def test_a_searcher_is_a_sampler(name: str) -> None:
    study = optuna.create_study(direction="maximize", sampler=SearcherSampler(name, seed=1))
    study.optimize(objective, n_trials=25)
    assert len(study.trials) == 25
    assert study.best_value >= 2


def test_a_sampler_asks_what_the_searcher_does() -> None:
    sampler = SearcherSampler("regularized-evolution", space=PLAIN, seed=4, population=5, sample=2)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=20)
    ours = search(hill, PLAIN, trials=20, searcher="regularized-evolution", seed=4,
                  options={"population": 5, "sample": 2}, repeats="evaluate")  # fmt: skip
    assert [trial.params for trial in study.trials] == [trial.candidate for trial in ours.trials]


def test_minimising_negates_once() -> None:
    sampler = SearcherSampler("regularized-evolution", space=PLAIN, seed=4, population=5, sample=2)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(lambda trial: -objective(trial), n_trials=40)
    assert study.best_value <= -4


def test_a_study_that_goes_on_does_not_repeat_its_first_trials(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    for again in (False, True):
        study = optuna.create_study(
            storage=storage, study_name="one", load_if_exists=again, sampler=SearcherSampler("random", seed=3)
        )
        study.optimize(objective, n_trials=6)
    texts = [str(trial.params) for trial in study.trials]
    assert len(set(texts)) > 8
    assert texts[:6] != texts[6:]


def test_numbers_are_choices_where_they_are_few_and_the_rest_is_drawn() -> None:
    def mixed(trial: optuna.Trial) -> float:
        whole = trial.suggest_int("whole", 2, 8, step=2)
        stepped = trial.suggest_float("stepped", 0.0, 1.0, step=0.25)
        free = trial.suggest_float("free", 0.0, 1.0)
        large = trial.suggest_int("large", 0, 10**6)
        return whole + stepped + 0 * (free + large)

    sampler = SearcherSampler("local-search", seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(mixed, n_trials=60)
    assert study.best_value == 9.0
    assert {p.name for p in sampler._searcher.space.parameters} == {"stepped", "whole"}
    assert len({trial.params["free"] for trial in study.trials}) == 60


@pytest.mark.parametrize("name", ["local-search", "pairwise"])
def test_threads_share_a_sampler_and_it_can_be_pickled(name: str) -> None:
    sampler = SearcherSampler(name, space=PLAIN, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=40, n_jobs=4)
    assert [trial.state for trial in study.trials] == [COMPLETE] * 40
    study.sampler = pickle.loads(pickle.dumps(sampler))  # noqa: S301
    study.optimize(objective, n_trials=5)
    assert len(study.trials) == 45


def test_pruned_and_failed_trials_are_taken_as_failed() -> None:
    def fails(trial: optuna.Trial) -> float:
        value = objective(trial)
        if trial.number % 3 == 1:
            raise optuna.TrialPruned
        if trial.number % 3 == 2:
            raise ArithmeticError
        return value

    sampler = SearcherSampler("regularized-evolution", space=PLAIN, seed=0, population=4, sample=2)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(fails, n_trials=30, catch=ArithmeticError)
    assert len(sampler._searcher._members) == 4
    assert {member.number % 3 for _, member in sampler._searcher._members} == {0}


def test_several_objectives_are_refused_by_name() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=SearcherSampler("random"))
    with pytest.raises(InputError, match="NSGAIISampler or TPESampler"):
        study.optimize(lambda trial: (objective(trial), 1.0), n_trials=1)


def test_trials_of_other_parameters_are_passed_over() -> None:
    study = optuna.create_study(direction="maximize", sampler=SearcherSampler("local-search", space=PLAIN, seed=0))
    study.add_trial(
        optuna.trial.create_trial(
            params={"other": 1}, distributions={"other": optuna.distributions.CategoricalDistribution([1])}, value=9.0
        )
    )
    study.optimize(objective, n_trials=5)
    assert len(study.trials) == 6


def test_a_parameter_whose_choices_change_is_an_error() -> None:
    study = optuna.create_study(direction="maximize", sampler=SearcherSampler("random", seed=0))
    study.optimize(lambda trial: float(trial.suggest_categorical("x", [1, 2])), n_trials=2)
    with pytest.raises(ValueError, match="dynamic value space"):
        study.optimize(lambda trial: float(trial.suggest_categorical("x", [1, 2, 3])), n_trials=1)


# ---- its samplers as searchers


def test_ordered_choices_are_offered_as_integers() -> None:
    searcher = OptunaSearcher(MIXED, sampler="tpe", n_startup_trials=5)
    run(searcher, 10, lambda c: float(c["depth"]))
    kinds = {name: type(found).__name__ for name, found in searcher._study.trials[-1].distributions.items()}
    assert kinds["depth"] == "IntDistribution"
    assert kinds["flag"] == "CategoricalDistribution"


def test_tpe_learns_a_hill() -> None:
    told = run(OptunaSearcher(PLAIN, sampler="tpe", seed=0), 60, hill)
    assert max(hill(trial.candidate) for trial in told) >= 4


def test_nsga2_finds_both_ends_of_a_front() -> None:
    def two(candidate: Any) -> Score:
        threes = sum(choice == 3 for choice in candidate.values())
        return Score(float(threes), {"cost": float(sum(candidate.values()))})

    goals = {"score": "maximise", "cost": "minimise"}
    study = search(two, PLAIN, trials=120, searcher="nsga2", seed=0, objectives=goals, options={"population_size": 20})
    front = {(t.score.value, t.score.metrics["cost"]) for t in study.pareto()}
    assert min(cost for _, cost in front) <= 2
    assert max(score for score, _ in front) >= 3
    assert search(two, PLAIN, trials=12, searcher="tpe", objectives=goals).pareto()


def test_a_score_that_is_minimised_is_one_of_several_objectives() -> None:
    def two(candidate: Any) -> Score:
        return Score(-hill(candidate), {"cost": float(sum(candidate.values()))})

    goals: dict[str, Any] = {"score": "minimise", "cost": "minimise"}
    study = search(two, PLAIN, trials=60, searcher="nsga2", objectives=goals, options={"population_size": 15})
    assert study.direction == "minimise"
    assert study.best_value == min(-hill(trial.candidate) for trial in study.trials)
    values = [(-trial.score.value, trial.score.metrics["cost"]) for trial in study.trials]
    unbeaten = {v for v in values if not any(w != v and w[0] <= v[0] and w[1] <= v[1] for w in values)}
    assert {(-trial.score.value, trial.score.metrics["cost"]) for trial in study.pareto()} == unbeaten
    exported = export_study(study, optuna.storages.InMemoryStorage())
    assert {tuple(trial.values) for trial in exported.best_trials} == unbeaten
    with pytest.raises(InputError, match="leave one out"):
        search(two, PLAIN, direction="minimise", objectives={**goals, "score": "maximise"}, searcher="nsga2")
    own = OptunaSearcher(PLAIN, sampler="nsga2", objectives=goals)
    with pytest.raises(InputError, match=r"make your searcher with objectives=\{'score': 'maximise'"):
        search(two, PLAIN, searcher=own, objectives=goals)


def test_a_package_that_a_sampler_lacks_is_named() -> None:
    class Lacking(optuna.samplers.RandomSampler):
        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            raise ImportError("Tried to import 'cmaes' but failed.\nInstall it.")

    searcher = OptunaSearcher(PLAIN, sampler=Lacking)
    with pytest.raises(InputError, match=r"lacks a package of its own: Tried to import 'cmaes' but failed\. Install"):
        searcher.ask(0)


# ---- export


def test_a_study_is_exported_whole(tmp_path: Path) -> None:
    def fails(candidate: Any) -> Score:
        if candidate["first"] == "c":
            raise ArithmeticError("c fails")
        return Score(float(candidate["depth"]), {"size": 2.0})

    study = search(fails, MIXED, trials=20, searcher="regularized-evolution", direction="minimise",
                   options={"population": 4, "sample": 2})  # fmt: skip
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    export_study(study, storage, name="ours")
    loaded = optuna.load_study(study_name="ours", storage=storage)
    assert loaded.direction == optuna.study.StudyDirection.MINIMIZE
    assert loaded.best_value == study.best_value == 1.0
    assert [trial.params for trial in loaded.trials] == [trial.candidate for trial in study.trials]
    states = [trial.state == COMPLETE for trial in loaded.trials]
    assert states == [trial.error is None for trial in study.trials]
    child = next(trial for trial in study.trials if trial.parent is not None)
    attributes = next(t for t in loaded.trials if t.user_attrs["number"] == child.number).user_attrs
    assert attributes["parent"] == child.parent
    assert {trial.user_attrs["metrics"]["size"] for trial in loaded.get_trials(states=[COMPLETE])} == {2.0}
    with pytest.raises(InputError, match="'ours' already"):
        export_study(study, storage, name="ours")


def test_several_objectives_are_exported_as_such() -> None:
    study = search(
        lambda c: Score(hill(c), {"cost": float(sum(c.values()))}), PLAIN, trials=8, searcher="tpe",
        objectives={"score": "maximise", "cost": "minimise"},
    )  # fmt: skip
    exported = export_study(study, optuna.storages.InMemoryStorage())
    assert len(exported.best_trials) == len(study.pareto())
    assert exported.trials[0].values == [study.trials[0].score.value, study.trials[0].score.metrics["cost"]]


def test_a_searcher_told_others_candidates_learns_from_them() -> None:
    searcher = OptunaSearcher(PLAIN, sampler="tpe", seed=0, n_startup_trials=2)
    for number in range(40):
        candidate = PLAIN.sample(rng_for(1, number))
        searcher.tell(Trial(number, candidate, score=Score(hill(candidate))))
    assert len(searcher._study.trials) == 40
