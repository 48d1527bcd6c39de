"""`invention`: what is not linear is learnt from empty programs, on tasks where a linear learner is at chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import more_often

__all__ = ["CLAIM", "Invention"]

#: data -> what its searches are given. At bias `free` the interaction has not been found within minutes.
FAMILIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "rings": MappingProxyType({"operators": "full", "bias": "free"}),
        "interaction": MappingProxyType({"operators": "network", "bias": "learner", "num_train": 200}),
    }
)
MOST_OF_CONTROL = 2_000_000  # programs of random search: a screened search proposes far more than it scores


@dataclass(frozen=True)
class Invention:
    """Searches from empty programs for what a linear learner cannot do.

    Args:
        data: built-in tasks.
        seeds: runs a task.
        programs: the most programs of a run.
        enough: programs after which a failure counts against the claim.
        seed: the first seed.
        target: fitness on search and selection tasks that ends a run.
        bar: mean fitness on the final tasks that counts as found; a linear learner has 0.5.
        unseen: selection tasks, and final tasks.
        tuning: learning rates tried for the linear learner.
    """

    data: tuple[str, ...]
    seeds: int
    programs: int
    seed: int = 0
    target: float = 0.8
    bar: float = 0.75
    unseen: int = 100
    enough: int = 2_000_000
    tuning: int = 40


def plan(config: Invention) -> list[Part]:
    """Return a part a seed and task."""
    return [{"data": d, **FAMILIES[d], "seed": config.seed + k} for k in range(config.seeds) for d in config.data]


def measure(config: Invention, part: Part) -> list[dict[str, Any]]:
    """Run evolution, random search with as many proposals and the tuned linear learner; return a row each."""
    from selftaught.claims.searching import Limits, problem_of, search, warm_up
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.opponents import tune

    options = {
        **{key: part[key] for key in FAMILIES[part["data"]]}, "seed": part["seed"],
        "sizes": "7/11/23", "slots": "5/9/2", "num_tasks": 16,
        "num_selection": config.unseen, "num_final": config.unseen,
    }  # fmt: skip
    problem = problem_of(part["data"], options)
    warm_up(problem)
    found = search(problem, Limits(config.programs), target=config.target)
    chance = problem_of(part["data"], {**options, "search": "random", "bias": "free"})
    control = search(chance, Limits(min(found["proposed"], MOST_OF_CONTROL)), target=config.target)
    known = Evaluator(problem.search)
    linear = tune("linear", known, evaluations=config.tuning, seconds=float("inf"), seed=part["seed"])
    scores = Evaluator(problem.final).score(linear.program)
    rows = [
        {"arm": "evolution", **found},
        {"arm": "random", **control},
        {
            "arm": "linear", "seed": part["seed"], "programs": linear.evaluations, "fitness_search": linear.fitness,
            "fitness_final": float(scores.mean()), "final_scores": [round(float(score), 6) for score in scores],
            "program": str(linear.program),
        },
    ]  # fmt: skip
    return [
        {
            "data": part["data"], **row, "limit": config.programs, "enough": config.enough, "bar": config.bar,
            "reached": row["fitness_final"] >= config.bar,
        }
        for row in rows
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare counts of runs that reach the bar on final tasks, for every task and both controls; each must hold."""
    verdicts = []
    for data in sorted({row["data"] for row in rows}):
        arms: dict[str, list[bool]] = {"evolution": [], "random": [], "linear": []}
        for row in rows:
            if row["data"] == data:
                arms[row["arm"]].append(row["fitness_final"] >= row["bar"])
        for name, words in (("random", "random search"), ("linear", "the tuned linear learner")):
            verdicts.append(
                more_often(
                    f"{data}: evolution reaches the bar", arms["evolution"], arms[name], claimed=1.0, than=words,
                    patient=all(row["limit"] >= row["enough"] for row in rows),
                )
            )  # fmt: skip
    return combine(verdicts)


CLAIM = Claim(
    name="invention",
    sentence=(
        "From empty programs, evolution finds learners of rings (two concentric shells; every operator, bias free) and "
        "of a multiplicative interaction (a network's operators, bias learner), on both of which a linear learner is "
        "at chance; random search does not."
    ),
    source="Ours, after Real et al., arXiv 2003.03384, section 4: what a linear model cannot do has to be invented.",
    control="random search with as many proposals (at most 2,000,000), and the linear learner, tuned",
    scales={
        "tiny": Scale(Invention(data=("rings", "interaction"), seeds=4, programs=80_000), 60),
        "small": Scale(Invention(data=("rings", "interaction"), seeds=6, programs=2_000_000), 2100),
        "full": Scale(Invention(data=("rings", "interaction"), seeds=20, programs=30_000_000), 100000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
