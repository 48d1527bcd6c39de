"""`class-pairs`: what evolves on pairs of classes beats the learners written by hand on pairs it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "ClassPairs"]

PRESETS = {"digits": "digits", "cifar10": "projected_pairs"}
ENOUGH = 1_000_000  # programs after which losing counts against the claim
NAMES = {"linear": "the tuned linear learner", "net": "the tuned two-layer network"}


@dataclass(frozen=True)
class ClassPairs:
    """Searches on pairs of classes of an image set.

    Args:
        data: image sets; one that is not on this machine is left out.
        seeds: runs a set; other seeds make other tasks.
        programs: programs of a run.
        tuning: constants tried for each learner written by hand, on the search tasks.
        seed: the first seed.
        final: held-out tasks that score everything.
    """

    data: tuple[str, ...]
    seeds: int
    programs: int
    tuning: int
    seed: int = 0
    final: int = 64


def plan(config: ClassPairs) -> list[Part]:
    """Return a part a seed and image set that is here."""
    return [{"data": d, "seed": config.seed + k} for d in config.data if _present(d) for k in range(config.seeds)]


def _present(data: str) -> bool:
    """Say whether an image set can be read here; what does not come with the package is optional."""
    from selftaught import datasets
    from selftaught.errors import DataError

    if data in datasets.NAMES:
        return True
    try:
        datasets.load(data)
    except DataError:
        return False
    return True


def measure(config: ClassPairs, part: Part) -> list[dict[str, Any]]:
    """Evolve, tune both learners, score all three and scikit-learn's on the final tasks; return a row each."""
    from selftaught.claims.searching import Limits, problem_of, search, warm_up
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.opponents import reference_fitness, tune

    options = {"preset": PRESETS[part["data"]], "seed": part["seed"], "num_final": config.final}
    problem = problem_of(part["data"], options)
    warm_up(problem)
    found = search(problem, Limits(config.programs))
    rows: list[dict[str, Any]] = [{"arm": "evolved", **found}]
    final, known = Evaluator(problem.final), Evaluator(problem.search)
    for name in NAMES:
        tuned = tune(name, known, evaluations=config.tuning, seconds=float("inf"), seed=part["seed"])
        scores = final.score(tuned.program)
        rows.append(
            {
                "arm": name, "seed": part["seed"], "programs": tuned.evaluations, "fitness_search": tuned.fitness,
                "fitness_final": float(scores.mean()), "final_scores": [round(float(score), 6) for score in scores],
                "program": str(tuned.program),
            }
        )  # fmt: skip
    scores = reference_fitness(problem.final)
    rows.append(
        {
            "arm": "logistic regression", "seed": part["seed"], "fitness_final": float(scores.mean()),
            "final_scores": [round(float(score), 6) for score in scores],
        }
    )  # fmt: skip
    return [{"data": part["data"], **row} for row in rows]


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare with both learners on every image set, paired by seed; each comparison must hold."""
    verdicts, told = [], []
    for data in sorted({row["data"] for row in rows}):
        final = {(row["arm"], row["seed"]): row["fitness_final"] for row in rows if row["data"] == data}
        seeds = sorted(seed for arm, seed in final if arm == "evolved")
        searches = [row for row in rows if row["data"] == data and row["arm"] == "evolved"]
        patient = all(row["programs"] >= ENOUGH for row in searches)
        for name, words in (*NAMES.items(), ("logistic regression", "logistic regression")):
            both = [final["evolved", s] - final[name, s] for s in seeds if (name, s) in final]
            verdict = gain(f"{data}: evolved minus {words}", both, patient=patient)
            if name in NAMES:
                verdicts.append(verdict)
            else:  # scikit-learn's sees each task's rows as often as it likes: told, not part of the claim
                told += [line.rpartition(":")[0] + " (not part of the claim)" for line in verdict.findings]
    verdict = combine(verdicts)
    return Verdict(verdict.status, verdict.findings + tuple(told))


CLAIM = Claim(
    name="class-pairs",
    sentence=(
        "On pairs of classes held out from the search, an evolved program is more accurate than the linear learner and "
        "than the two-layer network written by hand, both tuned."
    ),
    source="Real et al., arXiv 2003.03384, section 4.2 (binary CIFAR-10: 84.06 % against 77.65 % and 82.22 %).",
    control="the linear learner and the two-layer network, their constants tuned on the same search tasks",
    scales={
        "tiny": Scale(ClassPairs(data=("digits",), seeds=5, programs=40_000, tuning=100), 35),
        "small": Scale(ClassPairs(data=("digits", "cifar10"), seeds=5, programs=200_000, tuning=500), 2400),
        "full": Scale(ClassPairs(data=("digits", "cifar10"), seeds=10, programs=3_000_000, tuning=2000), 60000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
