"""Run a search until what it found holds on unseen tasks, as the driver does, and say what that took."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.searches import Search
from selftaught.programs.evaluate import Evaluator
from selftaught.programs.program import Program

__all__ = ["solve", "warm_up"]

TARGET, NOTHING_NEW = 1, 2  # what a search's `run` returns

#: Unseen tasks are as large as the published ones, whatever the search tasks are.
SELECTION = {"train": 1000, "valid": 100}


def warm_up(*searches: Search) -> None:
    """Compile what these searches and the scoring of their finds need, so that no run's clock sees it."""
    for search in searches:
        search.run(16)
        Evaluator(search.task_set("selection", 1, **SELECTION)).score_many(search.best())


def solve(
    search: Search,
    target: float,
    *,
    most_programs: int,
    most_seconds: float = float("inf"),
    unseen: int = 100,
    chunk: int = 2_000,
) -> dict[str, Any]:
    """Search until a program reaches the target on selection tasks too; score it once on final tasks.

    When the best programs reach the target on the search tasks only, the target there is raised halfway to 1.
    CPU seconds are those of this thread for searching and selecting; making tasks and the final scoring are not
    in them.

    Args:
        search: a search that has not begun.
        target: the fitness to reach.
        most_programs: the search gives up after so many.
        most_seconds: or after so many CPU seconds, looked at every `chunk` programs.
        unseen: tasks of the selection and of the final set.
        chunk: programs between two looks at the clock.
    """
    selection = Evaluator(search.task_set("selection", unseen, **SELECTION))
    final = Evaluator(search.task_set("final", unseen, **SELECTION))
    search.aim(target)
    ended = ""
    start = time.thread_time()
    while not ended:
        done = search.counters()["programs"]
        stop = search.run(min(most_programs, done + chunk) if most_seconds < float("inf") else most_programs)
        if stop == TARGET:
            chosen, selected = _best_of(search, selection)
            if selected >= target:
                ended = "solved"
            search.aim((search.best_fitness() + 1.0) / 2.0)
        elif stop == NOTHING_NEW:
            ended = "nothing new"
        if not ended and (search.counters()["programs"] >= most_programs or time.thread_time() - start >= most_seconds):
            ended = "limit"
    if ended != "solved":
        chosen, selected = _best_of(search, selection)
    seconds = time.thread_time() - start
    scores = final.score(chosen)
    counters = search.counters()
    return {
        "seed": search.seed,
        "search": search.kind,
        "ended": ended,
        "solved": bool(ended == "solved" and scores.mean() >= target),
        "programs": counters["programs"],
        "evaluated": counters["evaluated"],
        "restarts": counters["restarts"],
        "cpu_seconds": round(seconds, 4),
        "fitness_search": search.best_fitness(),
        "fitness_selection": selected,
        "fitness_final": float(scores.mean()),
        "final_scores": [round(float(score), 6) for score in scores],
        "program": str(chosen),
    }


def _best_of(search: Search, selection: Evaluator) -> tuple[Program, float]:
    """Return the best program on the selection tasks, of the best on the search tasks, and its mean there."""
    best = search.best()
    means = selection.score_many(best).mean(axis=1)
    return best[int(means.argmax())], float(means.max())
