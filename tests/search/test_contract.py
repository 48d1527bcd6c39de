"""Every searcher keeps the contract, the replay law above all; and the contract finds what breaks it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from selftaught.errors import InputError
from selftaught.search import SEARCHERS, BaseSearcher, PairwiseThompson, Searcher, make_searcher
from selftaught.spaces import Space, macro_stack
from selftaught.testing import ContractError, check_replay_in_a_new_process, check_searcher, check_space
from selftaught.trial import Trial
from tests.search.landscapes import MIXED, PLAIN

#: name -> searcher and options: the settings of each in which all of it is at work within 30 trials
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random", {}),
    "ageing": ("regularized-evolution", {"population": 6, "sample": 3}),
    "worst leaves": ("regularized-evolution", {"population": 6, "sample": 3, "removal": "worst", "no_change": 0.2}),
    "worst of sample leaves": ("regularized-evolution", {"population": 6, "sample": 3, "removal": "worst-of-sample"}),
    "group first": ("regularized-evolution", {"population": 6, "sample": 3, "mutation": "group-first"}),
    "pareto": ("pareto-evolution", {"population": 6, "tournament": 3}),
    "pareto, mutants": ("pareto-evolution", {"population": 6, "fill": "mutants", "winner": "mean"}),
    "reinforce": ("policy-gradient", {}),
    "ppo": ("policy-gradient", {"algorithm": "ppo", "batch": 5, "entropy": 0.01}),
    "autoregressive": ("policy-gradient", {"policy": "autoregressive", "units": 8}),
    "autoregressive ppo": ("policy-gradient", {"policy": "autoregressive", "units": 8, "algorithm": "ppo", "batch": 5}),
    "local-search": ("local-search", {}),
    "pairwise": ("pairwise", {"initial": 5}),
    "pairwise that forgets": ("pairwise", {"initial": 5, "most": 12}),
    "successive-halving": ("successive-halving", {"budgets": (1, 2, 4), "eta": 2}),
    "tpe": ("tpe", {"n_startup_trials": 5}),
    "nsga2": ("nsga2", {"population_size": 4}),
    "quasi-random": ("optuna", {"sampler": "qmc"}),
    "optuna's own class": ("optuna", {"sampler": optuna.samplers.RandomSampler}),
}


def maker(name: str, space: Space) -> Callable[[int], Searcher]:
    searcher, options = VARIANTS[name]
    return lambda seed: make_searcher(searcher, space, seed=seed, **options)


def test_every_searcher_of_the_registry_has_a_variant() -> None:
    assert {searcher for searcher, _ in VARIANTS.values()} == set(SEARCHERS)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("space", [PLAIN, MIXED], ids=lambda space: space.name)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_searcher_keeps_the_contract(name: str, space: Space) -> None:
    check_searcher(maker(name, space), trials=24)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_replay_in_a_new_process() -> None:
    """All at once: starting a process takes longer than a replay."""

    def each(seed: int) -> Searcher:
        return _All([maker(name, space)(seed) for space in (PLAIN, MIXED) for name in VARIANTS])

    check_replay_in_a_new_process(each, trials=24)


class _All:
    """Searchers side by side: each is asked and told its own candidates."""

    def __init__(self, searchers: list[Searcher]) -> None:
        self.searchers = searchers
        self.space: Any = _Side(searchers)

    def ask(self, number: int) -> Trial:
        return Trial(number, [searcher.ask(number).candidate for searcher in self.searchers])

    def tell(self, trial: Trial) -> None:
        for searcher, candidate in zip(self.searchers, trial.candidate, strict=True):
            searcher.tell(Trial(trial.number, candidate, score=trial.score, error=trial.error))


class _Side:
    def __init__(self, searchers: list[Searcher]) -> None:
        self.searchers = searchers

    def encode(self, candidates: list[Any]) -> str:
        return "/".join(s.space.encode(c) for s, c in zip(self.searchers, candidates, strict=True))


class Broken(BaseSearcher):
    """Keeps one rule less."""

    def __init__(self, rule: str, seed: int) -> None:
        super().__init__(macro_stack(), seed=seed if rule != "seed" else 0)
        self.rule = rule
        self.asks = 0

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        self.asks += 1
        if self.rule == "global randomness":
            return self.space.sample(np.random.default_rng(random.getrandbits(32))), None
        if self.rule == "state of its own":
            return self.space.sample(np.random.default_rng(self.asks // 3)), None
        if self.rule == "invalid":
            return {"layer 1": "identity"}, None
        return self.space.sample(rng), 999 if self.rule == "parent" else None

    def tell(self, trial: Trial) -> None:
        if self.rule != "told twice":
            super().tell(trial)


@pytest.mark.parametrize("rule", ["global randomness", "state of its own", "invalid", "parent", "told twice", "seed"])
def test_the_contract_finds_what_is_broken(rule: str) -> None:
    with pytest.raises((ContractError, InputError)):
        check_searcher(lambda seed: Broken(rule, seed))


def test_the_contract_finds_hashes_that_another_process_makes_otherwise() -> None:
    class Hashing(BaseSearcher):
        def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
            return self.space.sample(np.random.default_rng(abs(hash("text")) + number)), None

    check_searcher(lambda seed: Hashing(PLAIN, seed=seed) if seed == 0 else PairwiseThompson(PLAIN, seed=seed))
    with pytest.raises(ContractError, match="new process"):
        check_replay_in_a_new_process(lambda seed: Hashing(PLAIN, seed=seed), trials=2)


def test_an_unknown_searcher_or_option_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'random'"):
        make_searcher("randon", PLAIN)
    with pytest.raises(InputError, match="no option 'populaton'; did you mean 'population'"):
        make_searcher("regularized-evolution", PLAIN, populaton=3)
    with pytest.raises(InputError, match="nsga2 or tpe"):
        make_searcher("random", PLAIN, objectives={"score": "maximise", "ms": "minimise"})
    with pytest.raises(InputError, match="sampler must be one of"):
        make_searcher("optuna", PLAIN, sampler="tpf")
    with pytest.raises(InputError, match="does not take these options"):
        make_searcher("tpe", PLAIN, no_such_option=1)
    with pytest.raises(InputError, match="made already"):
        make_searcher("optuna", PLAIN, sampler=optuna.samplers.RandomSampler())


class Strings:
    """A space of another kind: words of three letters."""

    name = "words"

    def size(self) -> int:
        return 27

    def sample(self, rng: np.random.Generator) -> str:
        return "".join("abc"[k] for k in rng.integers(3, size=3))

    def mutate(self, word: str, rng: np.random.Generator) -> str:
        near = self.neighbours(word)
        return near[int(rng.integers(len(near)))]

    def neighbours(self, word: str) -> list[str]:
        return [word[:k] + other + word[k + 1 :] for k in range(3) for other in "abc" if other != word[k]]

    def validate(self, word: Any) -> None:
        if not isinstance(word, str) or len(word) != 3 or set(word) - set("abc"):
            raise InputError(f"a word has three letters of abc, got {word!r}")

    def encode(self, word: str) -> str:
        return word

    def decode(self, text: str) -> str:
        return text

    key = to_json = encode
    from_json = decode

    def describe(self) -> Any:
        return ["words"]


def test_a_space_of_another_kind_is_searched_too() -> None:
    check_space(Strings())
    for name, options in (
        ("random", {}),
        ("regularized-evolution", {"population": 4, "sample": 2}),
        ("local-search", {}),
    ):
        check_searcher(lambda seed, name=name, options=options: make_searcher(name, Strings(), seed=seed, **options))
    for name in ("pairwise", "policy-gradient", "successive-halving", "tpe"):
        with pytest.raises(InputError, match="needs a ChoiceSpace, got Strings"):
            make_searcher(name, Strings())
