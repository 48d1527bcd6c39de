"""One search as a claim measures it: until what was found holds on unseen tasks, or a limit; then scored once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selftaught.examples import Examples
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.problems import Problem
    from selftaught.programs.program import Program
    from selftaught.programs.search import Island

__all__ = ["Limits", "problem_of", "search", "warm_up"]

SECONDS_A_LOOK = 0.2  # of searching, about, between two looks at the limits


@dataclass(frozen=True)
class Limits:
    """When a search gives up.

    Args:
        programs: after so many programs.
        cpu_seconds: or after so many CPU seconds of this thread; infinite where rows must not depend on the machine.
    """

    programs: int
    cpu_seconds: float = float("inf")


def problem_of(data: str, options: Mapping[str, Any], examples: Examples | None = None) -> Problem:
    """Return the tasks of a search.

    Args:
        data: a built-in task, or what the examples are called.
        options: as `evolve` takes them.
        examples: the data, or None for a built-in task.
    """
    from selftaught.programs.problems import make_problem, source_of
    from selftaught.programs.settings import resolve_settings

    name, digest, loaded = source_of(data if examples is None else examples)
    settings = resolve_settings(name, digest, options, rows=0 if loaded is None else len(loaded))
    return make_problem(settings, loaded)


def warm_up(problem: Problem) -> None:
    """Compile what a search of this problem needs, so that no clock sees it."""
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.search import Island

    island = Island(problem.settings, problem.search)
    island.run(16)
    programs = [program for program, *_ in island.best()]
    for tasks in (problem.selection, problem.final):
        Evaluator(tasks).score_many(programs)


def search(problem: Problem, limits: Limits, *, target: float = 2.0) -> dict[str, Any]:
    """Search on one thread, choose on the selection tasks, score once on the final ones; return a row.

    When the best programs reach the target on the search tasks only, the target there is raised halfway to 1.
    `cpu_seconds` are those of this thread for searching and selecting. `proposed` counts every program that was
    thought of: scored, remembered, thrown away or screened.

    Args:
        problem: its settings say what kind of search.
        limits: when to give up.
        target: the fitness on search and selection tasks that ends it; above 1 never.
    """
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.search import DONE, EXHAUSTED, Island

    island = Island(problem.settings, problem.search)
    island.target = target
    selection = Evaluator(problem.selection)
    ended, chosen, selected, pace = "", None, 0.0, 1 << 12
    start = time.thread_time()
    while not ended:
        looked = time.perf_counter()
        stop = island.run(limits.programs, pace)
        pace = _paced(pace, time.perf_counter() - looked)
        if stop == DONE:
            chosen, selected = _best_of(island, selection)
            if selected >= target:
                ended = "solved"
            island.target = (island.best_fitness() + 1.0) / 2.0
        elif stop == EXHAUSTED:
            ended = "nothing new"
        if not ended and (island.programs >= limits.programs or time.thread_time() - start >= limits.cpu_seconds):
            ended = "limit"
    if chosen is None or ended != "solved":
        chosen, selected = _best_of(island, selection)
    seconds = time.thread_time() - start
    scores = Evaluator(problem.final).score(chosen)
    counts = island.counts()
    return {
        "seed": problem.settings.seed,
        "search": problem.settings.search,
        "bias": problem.settings.bias,
        "ended": ended,
        "programs": counts["programs"],
        "proposed": counts["programs"] + _in_vain(problem, counts),
        "cpu_seconds": round(seconds, 4),
        "fitness_search": island.best_fitness(),
        "fitness_select": selected,
        "fitness_final": float(scores.mean()),
        "final_scores": [round(float(score), 6) for score in scores],
        "program": str(chosen),
    }


def _paced(steps: int, seconds: float) -> int:
    """Return train steps of the next call, so that Ctrl-C and the clock are looked at often enough."""
    return int(min(max(steps * min(max(SECONDS_A_LOOK / max(seconds, 1e-6), 0.2), 4.0), 256), 1 << 50))


def _in_vain(problem: Problem, counts: Mapping[str, int]) -> int:
    """Return proposals that never became programs; the other searches count every one."""
    if problem.settings.search != "live":
        return 0
    return counts["rejected"] + counts["screened"] + counts["key_hits"]


def _best_of(island: Island, selection: Evaluator) -> tuple[Program, float]:
    """Return the best program on the selection tasks, of the best on the search tasks, and its mean there."""
    best = [program for program, *_ in island.best()]
    means = selection.score_many(best).mean(axis=1)
    return best[int(means.argmax())], float(means.max())
