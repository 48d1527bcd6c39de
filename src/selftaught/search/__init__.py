"""Search a space: who proposes, the loop, and what it leaves.

>>> from selftaught.search import search
>>> from selftaught.spaces import macro_stack
>>> study = search(lambda stack: list(stack.values()).count("identity"), macro_stack(), trials=40, searcher="random")
>>> len(study.trials)
40
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selftaught.lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from selftaught.search.evolution import RegularizedEvolution
    from selftaught.search.halving import SuccessiveHalving
    from selftaught.search.local_search import LocalSearch
    from selftaught.search.loop import search
    from selftaught.search.optuna_searcher import OptunaSearcher
    from selftaught.search.pairwise import PairwiseThompson
    from selftaught.search.pareto_evolution import ParetoEvolution
    from selftaught.search.policy_gradient import PolicyGradient
    from selftaught.search.random_search import RandomSearch
    from selftaught.search.registry import SEARCHERS, make_searcher
    from selftaught.search.rewards import LatencyReward, pareto_front
    from selftaught.search.searcher import BaseSearcher, Searcher, value_of
    from selftaught.search.study import Study

__all__ = [
    "search",
    "Study",
    "Searcher",
    "BaseSearcher",
    "value_of",
    "SEARCHERS",
    "make_searcher",
    "RandomSearch",
    "RegularizedEvolution",
    "ParetoEvolution",
    "PolicyGradient",
    "LocalSearch",
    "PairwiseThompson",
    "SuccessiveHalving",
    "OptunaSearcher",
    "LatencyReward",
    "pareto_front",
]

_HOMES = {
    "search": "loop",
    "Study": "study",
    "Searcher": "searcher",
    "BaseSearcher": "searcher",
    "value_of": "searcher",
    "SEARCHERS": "registry",
    "make_searcher": "registry",
    "RandomSearch": "random_search",
    "RegularizedEvolution": "evolution",
    "ParetoEvolution": "pareto_evolution",
    "PolicyGradient": "policy_gradient",
    "LocalSearch": "local_search",
    "PairwiseThompson": "pairwise",
    "SuccessiveHalving": "halving",
    "OptunaSearcher": "optuna_searcher",
    "LatencyReward": "rewards",
    "pareto_front": "rewards",
}

__getattr__, __dir__ = _lazy_names(__name__, _HOMES, globals())
