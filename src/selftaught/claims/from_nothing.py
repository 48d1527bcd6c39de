"""What the claims "from nothing" share: evolution beside random search with as many proposals, by bias level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Part
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import more_often

__all__ = ["CONTROL", "FromNothing", "judge", "measure", "plan"]

CONTROL = (
    "random programs of the same operators, sizes and slots, as many as the search proposed: those it threw away "
    "unscored count too"
)


@dataclass(frozen=True)
class FromNothing:
    """Searches that begin with empty programs.

    Args:
        data: a built-in task.
        preset: operators, sizes and slots.
        biases: bias levels.
        seeds: runs a bias level.
        seed: the first seed.
        programs: the most programs of a run.
        enough: programs after which a failure counts against the claim.
        target: fitness on search and selection tasks that ends a run.
        bar: mean fitness on the final tasks that counts as found.
        unseen: selection tasks, and final tasks.
    """

    data: str
    preset: str
    biases: tuple[str, ...]
    seeds: int
    programs: int
    enough: int
    seed: int = 0
    target: float = 0.999
    bar: float = 0.999
    unseen: int = 100


def plan(config: FromNothing) -> list[Part]:
    """Return a part a seed and bias level."""
    return [{"bias": b, "seed": config.seed + k} for k in range(config.seeds) for b in config.biases]


def measure(config: FromNothing, part: Part) -> list[dict[str, Any]]:
    """Run one search, then random search with as many proposals; return both rows."""
    from selftaught.claims.searching import Limits, problem_of, search, warm_up

    options = {
        "preset": config.preset, "seed": part["seed"], "num_selection": config.unseen, "num_final": config.unseen,
    }  # fmt: skip
    problem = problem_of(config.data, {**options, "bias": part["bias"]})
    warm_up(problem)
    found = search(problem, Limits(config.programs), target=config.target)
    chance = problem_of(config.data, {**options, "search": "random"})
    control = search(chance, Limits(found["proposed"]), target=config.target)
    rows = [{"arm": "evolution", **found}, {"arm": "random", **control}]
    return [
        {
            **row, "bias": part["bias"], "limit": config.programs, "enough": config.enough, "bar": config.bar,
            "reached": row["fitness_final"] >= config.bar,
        }
        for row in rows
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare counts of runs that reach the bar on final tasks, at every bias level; each must hold."""
    verdicts = []
    for bias in sorted({row["bias"] for row in rows}):
        arms = {
            arm: [row["fitness_final"] >= row["bar"] for row in rows if (row["arm"], row["bias"]) == (arm, bias)]
            for arm in ("evolution", "random")
        }
        verdicts.append(
            more_often(
                f"bias {bias}: evolution reaches the bar", arms["evolution"], arms["random"], claimed=1.0,
                than="random search", patient=all(row["limit"] >= row["enough"] for row in rows),
            )
        )  # fmt: skip
    return combine(verdicts)
