"""`nonlinear-setup`: a network that lost its first weights gets them back, and many tasks make them general."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "NonlinearSetup"]


@dataclass(frozen=True)
class NonlinearSetup:
    """Searches that start from the two-layer network without the draws of its weights.

    Args:
        seeds: runs with one task, and as many with several.
        programs: programs of a run, with either number of tasks.
        seed: the first seed.
        many: search tasks of the runs with several.
        unseen: selection tasks, and final tasks.
    """

    seeds: int
    programs: int
    seed: int = 0
    many: int = 16
    unseen: int = 100


def plan(config: NonlinearSetup) -> list[Part]:
    """Return a part a seed and number of tasks."""
    return [{"tasks": d, "seed": config.seed + k} for k in range(config.seeds) for d in (1, config.many)]


def measure(config: NonlinearSetup, part: Part) -> list[dict[str, Any]]:
    """Run one search of Setup; the program it starts from is scored on the same final tasks."""
    from selftaught.claims.searching import Limits, problem_of, search, warm_up
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.search import start_program

    options = {
        "preset": "nonlinear_test", "seed": part["seed"], "num_tasks": part["tasks"],
        "num_selection": config.unseen, "num_final": config.unseen,
    }  # fmt: skip
    problem = problem_of("two_layer_teacher", options)
    warm_up(problem)
    start = start_program(problem.settings)
    broken = float(Evaluator(problem.final).score(start).mean()) if start is not None else 0.0
    found = search(problem, Limits(config.programs))
    return [{"tasks": part["tasks"], "many": part["tasks"] > 1, "fitness_start": broken, **found}]


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the final fitness with many tasks to that before, and to that with one task, paired by seed."""
    final = {(row["many"], row["seed"]): row["fitness_final"] for row in rows}
    start = {row["seed"]: row["fitness_start"] for row in rows}
    both = sorted(seed for many, seed in final if many and (False, seed) in final)
    count = max((row["tasks"] for row in rows), default=0)
    better = gain(
        f"final fitness with {count} search tasks minus that before", [final[True, s] - start[s] for s in both]
    )
    general = gain(
        f"final fitness with {count} search tasks minus that with one", [final[True, s] - final[False, s] for s in both]
    )
    return combine([better, general])


CLAIM = Claim(
    name="nonlinear-setup",
    sentence=(
        "Evolving nothing but the Setup of a two-layer network that lost its first weights makes it better on unseen "
        "tasks, and more so with 16 search tasks than with one."
    ),
    source="Real et al., arXiv 2003.03384, section 4.1: with one task the weights are hard-coded, with many learnt.",
    control="the network before, and the same search with as many programs on one search task",
    scales={
        "tiny": Scale(NonlinearSetup(seeds=6, programs=50_000), 25),
        "small": Scale(NonlinearSetup(seeds=10, programs=300_000), 200),
        "full": Scale(NonlinearSetup(seeds=30, programs=2_000_000), 4000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
