"""`few-examples-invite-noise`: what evolution adds to a network depends on what the tasks lack.

Three experiments, each beside a control that differs in one thing: few examples should bring noise, few steps a
learning rate that decays, many classes a learning rate made of the mean weight. The original ran each on projected
CIFAR-10 for days; here digits, fewer features and fewer examples stand in, in the same proportions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import more_often

__all__ = ["CLAIM", "EXPERIMENTS", "Adaptation"]


@dataclass(frozen=True)
class Experiment:
    """Two arms that differ in one thing.

    Args:
        technique: a name of `techniques.TECHNIQUES`.
        claimed: the source's rate of programs with it, and that of its control.
        changed: options of the arm that the claim is about.
        control: the same options of the other arm.
    """

    technique: str
    claimed: tuple[float, float]
    changed: Mapping[str, Any]
    control: Mapping[str, Any]


_PAIRS = {"task": "pairs", "features": 8, "num_train": 200, "epochs": 10}
_WIDE = {"features": 16, "num_train": 200, "epochs": 2}
#: The source: 80 x 100 examples x epochs against 800 x 100; 800 x 10 against 800 x 100; ten classes against two.
EXPERIMENTS: Mapping[str, Experiment] = {
    "few examples": Experiment("noise", (8 / 30, 0.0), {**_PAIRS, "num_train": 20}, _PAIRS),
    "few steps": Experiment("rate decay", (1.0, 3 / 30), {**_PAIRS, "epochs": 1}, _PAIRS),
    "many classes": Experiment(
        "rate from weights", (24 / 30, 0.0), {**_WIDE, "task": "classes"}, {**_WIDE, "task": "pairs"}
    ),
}


@dataclass(frozen=True)
class Adaptation:
    """Searches that start from the two-layer network.

    Args:
        seeds: runs an arm.
        programs: programs of a run.
        enough: programs after which a technique that did not appear counts against the claim.
        seed: the first seed.
        tasks: search tasks.
        unseen: selection tasks, and final tasks.
        data: an image set with ten classes.
    """

    seeds: int
    programs: int
    seed: int = 0
    tasks: int = 16
    unseen: int = 32
    data: str = "digits"
    enough: int = 1_000_000


def plan(config: Adaptation) -> list[Part]:
    """Return a part a seed, experiment and arm."""
    return [
        {"experiment": name, "arm": arm, "seed": config.seed + k}
        for k in range(config.seeds)
        for name in EXPERIMENTS
        for arm in ("changed", "control")
    ]


def measure(config: Adaptation, part: Part) -> list[dict[str, Any]]:
    """Run one search; say which techniques the winner shows."""
    from selftaught.claims.searching import Limits, problem_of, search, warm_up
    from selftaught.claims.techniques import TECHNIQUES
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.live_form import without_dead_code
    from selftaught.programs.opponents import network_for
    from selftaught.programs.parse import parse_program
    from selftaught.programs.text import format_program

    experiment = EXPERIMENTS[part["experiment"]]
    options = experiment.changed if part["arm"] == "changed" else experiment.control
    classes = 10 if options["task"] == "classes" else 0
    start = network_for(classes, 0.01, 0.1)
    kind = f"classes {classes}" if classes else "binary"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.txt"
        path.write_text(format_program(start, task=kind) + "\n", encoding="utf-8")
        problem = problem_of(
            config.data,
            {
                **options, "operators": "full", "sizes": "7/11/23", "slots": "6/12/5", "population": 100,
                "num_tasks": config.tasks, "num_selection": config.unseen, "num_final": config.unseen,
                "num_valid": 60, "seed": part["seed"], "start": str(path),
            },
        )  # fmt: skip
        warm_up(problem)
        found = search(problem, Limits(config.programs))
    winner = without_dead_code(parse_program(found["program"], "winner").program, several_classes=bool(classes))
    start_scores = Evaluator(problem.final).score(start)
    return [
        {
            **part, "technique": experiment.technique, "claimed": experiment.claimed[0],
            "limit": config.programs, "enough": config.enough, "options": dict(options),
            "fitness_start": float(start_scores.mean()),
            "techniques": {name: shows(winner) for name, shows in TECHNIQUES.items()}, **found,
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare how often winners show each experiment's technique with its control; each must hold."""
    verdicts = []
    for name in sorted({row["experiment"] for row in rows}):
        chosen = [row for row in rows if row["experiment"] == name]
        technique, claimed = chosen[0]["technique"], chosen[0]["claimed"]
        arms = {
            arm: [bool(row["techniques"][technique]) for row in chosen if row["arm"] == arm]
            for arm in ("changed", "control")
        }
        patient = all(row["limit"] >= row["enough"] for row in chosen)
        what = f"{name} bring {technique}"
        verdicts.append(more_often(what, arms["changed"], arms["control"], claimed=claimed, patient=patient))
    return combine(verdicts) if verdicts else Verdict("inconclusive", ("nothing was measured",))


CLAIM = Claim(
    name="few-examples-invite-noise",
    sentence=(
        "Starting from the two-layer network, evolution adds noise when examples are few, a learning rate that decays "
        "when steps are few, and a learning rate made of the mean weight when classes are many, more often than "
        "without that lack."
    ),
    source=(
        "Real et al., arXiv 2003.03384, section 4.3: noise in 8 of 30 runs against 0 of 30, decay in 30 against 3, "
        "the mean weight in 24 against 0."
    ),
    control="the same search on tasks with more examples, more steps, or two classes",
    scales={
        "tiny": Scale(Adaptation(seeds=4, programs=6000), 60),
        "small": Scale(Adaptation(seeds=10, programs=100_000), 1800),
        "full": Scale(Adaptation(seeds=30, programs=2_000_000), 100000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
