"""All searchers by name: a new one is a line here; the tests run over all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from selftaught.errors import InputError, did_you_mean, require_one_of
from selftaught.search.evolution import RegularizedEvolution
from selftaught.search.halving import SuccessiveHalving
from selftaught.search.local_search import LocalSearch
from selftaught.search.optuna_searcher import OptunaSearcher
from selftaught.search.pairwise import PairwiseThompson
from selftaught.search.pareto_evolution import ParetoEvolution
from selftaught.search.policy_gradient import PolicyGradient
from selftaught.search.random_search import RandomSearch
from selftaught.search.rewards import Direction
from selftaught.search.searcher import Searcher
from selftaught.spaces import Space

__all__ = ["DEFAULT", "SEARCHERS", "make_searcher"]

#: what a search uses where none is named: the best of ours on NAS-Bench-201 at 100 evaluations
DEFAULT = "pairwise"

SEARCHERS: Mapping[str, Callable[..., Searcher]] = {
    "random": RandomSearch,
    "regularized-evolution": RegularizedEvolution,
    "pareto-evolution": ParetoEvolution,
    "policy-gradient": PolicyGradient,
    "local-search": LocalSearch,
    "pairwise": PairwiseThompson,
    "successive-halving": SuccessiveHalving,
    "tpe": partial(OptunaSearcher, sampler="tpe"),
    "nsga2": partial(OptunaSearcher, sampler="nsga2"),
    "optuna": OptunaSearcher,
}


def make_searcher(
    name: str,
    space: Space,
    *,
    seed: int = 0,
    budget: int | None = None,
    objectives: Mapping[str, Direction] | None = None,
    **options: Any,
) -> Searcher:
    """Return a searcher by its name.

    Args:
        name: of `SEARCHERS`.
        space: what may be proposed.
        seed: of all random numbers.
        budget: trials that the search will have, for searchers whose defaults depend on it.
        objectives: metric or "score" -> direction, where there are several.
        options: the searcher's own.

    Raises:
        InputError: an unknown name or option, or several objectives for a searcher of one.

    >>> from selftaught.spaces import macro_stack
    >>> make_searcher("regularized-evolution", macro_stack(), budget=50, sample=5).sample
    5
    """
    require_one_of("searcher", name, SEARCHERS)
    make = SEARCHERS[name]
    known = set(inspect.signature(make).parameters) - {"space", "seed"}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(make).parameters.values())
    for option in options:
        if option not in known and not takes_any:
            raise InputError(f"searcher {name!r} has no option {option!r}{did_you_mean(option, known)}")
    if objectives and "objectives" not in known:
        raise InputError(f"searcher {name!r} takes one objective; for several choose nsga2 or tpe")
    told = {"budget": budget, "objectives": objectives or None}
    return make(space, seed=seed, **options, **{k: v for k, v in told.items() if k in known and v is not None})
