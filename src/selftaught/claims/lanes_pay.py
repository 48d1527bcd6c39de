"""`lanes-pay`: sixteen tasks in the lanes of one pass against one task at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "LanesPay"]

TIMES = 4.0  # how many times faster the claim says
HAND = {"linear learner": "linear", "two-layer network": "network"}


@dataclass(frozen=True)
class LanesPay:
    """Programs timed with 16 lanes and with one.

    Args:
        programs: "linear learner", "two-layer network" or names of `populations.KINDS`.
        features: values of F.
        seeds: tasks and populations drawn anew so many times.
        seed: the first seed.
        bred: programs a population is bred with.
        repeats: turns of each side.
        seconds: CPU seconds of a turn.
        rows: training examples a task.
    """

    programs: tuple[str, ...]
    features: tuple[int, ...]
    seeds: int
    seed: int = 0
    bred: int = 2000
    repeats: int = 3
    seconds: float = 0.1
    rows: int = 1000


def plan(config: LanesPay) -> list[Part]:
    """Return a part a seed, program and F."""
    return [
        {"program": name, "features": f, "seed": config.seed + k}
        for k in range(config.seeds)
        for f in config.features
        for name in config.programs
    ]


def measure(config: LanesPay, part: Part) -> list[dict[str, Any]]:
    """Time both kernels on 16 tasks in turns, dead instructions included on both sides; return one row."""
    from selftaught.claims.populations import batch_of, population
    from selftaught.claims.timing import rates, scoring
    from selftaught.programs.baselines import linear_learner, two_layer_network
    from selftaught.programs.builtin import builtin_tasks

    if part["program"] in HAND:
        program = linear_learner() if HAND[part["program"]] == "linear" else two_layer_network()
        batch = batch_of(program, 4)
        tasks = builtin_tasks(
            "linear_regression", count=16, features=part["features"], num_train=config.rows, seed=part["seed"]
        )
    else:
        batch, tasks, _ = population(
            part["program"], programs=config.bred, features=part["features"], seed=part["seed"], rows=config.rows
        )
    passes = {
        "lanes": scoring(batch, tasks, 16, live=False),
        "scalar": scoring(batch, tasks, 1, live=False),
    }
    found = rates(passes, repeats=config.repeats, seconds=config.seconds)
    return [
        {
            **part, "times": TIMES, "lanes_per_second": found["lanes"], "scalar_per_second": found["scalar"],
            "ratio": found["lanes"] / found["scalar"],
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the ratio of speeds with the claimed one, on a logarithmic scale, for each kind of program."""
    verdicts = []
    for name, features in sorted({(row["program"], row["features"]) for row in rows}):
        chosen = [row for row in rows if (row["program"], row["features"]) == (name, features)]
        mean = math.exp(sum(math.log(row["ratio"]) for row in chosen) / len(chosen))
        beyond = [math.log2(row["ratio"] / row["times"]) for row in chosen]
        verdicts.append(
            gain(
                f"{name}, F = {features}: {mean:.1f} times as fast; doublings beyond {chosen[0]['times']:g} times",
                beyond, digits=2,
            )
        )  # fmt: skip
    return combine(verdicts) if verdicts else Verdict("inconclusive", ("nothing was measured",))


CLAIM = Claim(
    name="lanes-pay",
    sentence=(
        "Running a program on 16 tasks at once, a task a lane, is at least 4 times as fast as running it on the tasks "
        "one by one with the same kernel."
    ),
    source="Ours: the kernel's design, one pass over the instructions for 16 tasks.",
    control="the same kernel with one lane, timed in turns on the same core",
    scales={
        "tiny": Scale(LanesPay(programs=("linear learner", "two-layer network"), features=(4,), seeds=5), 20),
        "small": Scale(
            LanesPay(programs=(*HAND, "bred from the network"), features=(4, 8), seeds=7, bred=5000, seconds=0.3), 240
        ),
        "full": Scale(
            LanesPay(
                programs=(*HAND, "bred from the network", "random, all operators"), features=(4, 8, 16), seeds=10,
                bred=20_000, repeats=5, seconds=0.5,
            ), 3600,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
    timed=True,
)  # fmt: skip
