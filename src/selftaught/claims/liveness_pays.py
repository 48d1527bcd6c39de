"""`liveness-pays`: evolved populations scored with and without their dead instructions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "LivenessPays"]

TIMES = 2.0  # how many times faster the claim says
TOLERANCE = 1e-5  # instructions that are fused into one round once instead of twice


@dataclass(frozen=True)
class LivenessPays:
    """Populations of the classic search, which keeps dead instructions.

    Args:
        kinds: names of `populations.KINDS`.
        features: F.
        seeds: populations of a kind.
        programs: proposed before a population is looked at.
        seed: the first seed.
        repeats: turns of each side.
        seconds: CPU seconds of a turn.
        rows: training examples a task.
    """

    kinds: tuple[str, ...]
    features: int
    seeds: int
    programs: int
    seed: int = 0
    repeats: int = 3
    seconds: float = 0.2
    rows: int = 1000


def plan(config: LivenessPays) -> list[Part]:
    """Return a part a seed and kind."""
    return [{"kind": kind, "seed": config.seed + k} for k in range(config.seeds) for kind in config.kinds]


def measure(config: LivenessPays, part: Part) -> list[dict[str, Any]]:
    """Breed a population and time its scoring both ways in turns; return one row.

    `different` counts programs whose mean fitness differs between both ways, of those whose live part draws no
    random numbers: liveness that changed what a program means would show there, and refutes the claim.
    """
    import numpy as np

    from selftaught.claims.populations import population
    from selftaught.claims.timing import rates, scoring
    from selftaught.programs.evaluate import Evaluator
    from selftaught.programs.live_form import without_dead_code
    from selftaught.programs.operators import IS_RANDOM
    from selftaught.programs.program import Program

    batch, tasks, best = population(
        part["kind"], programs=config.programs, features=config.features, seed=part["seed"], rows=config.rows
    )
    codes, sizes, slots = batch
    evaluator = Evaluator(tasks, lanes=16)
    kept, all_run = (evaluator.score_codes(codes, sizes, slots, live=live).mean(axis=1) for live in (True, False))
    programs = [without_dead_code(Program.decode(code, size)) for code, size in zip(codes, sizes, strict=True)]
    sure = np.array([not any(IS_RANDOM[i.op] for _, lines in p.functions() for i in lines) for p in programs])
    passes = {"live": scoring(batch, tasks, 16, live=True), "all": scoring(batch, tasks, 16, live=False)}
    found = rates(passes, repeats=config.repeats, seconds=config.seconds)
    return [
        {
            **part, "times": TIMES, "members": len(codes), "best_fitness": best,
            "live_per_second": found["live"], "all_per_second": found["all"], "ratio": found["live"] / found["all"],
            "compared": int(sure.sum()), "different": int((np.abs(kept - all_run)[sure] > TOLERANCE).sum()),
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the ratio of speeds with the claimed one, on a logarithmic scale, for each kind of population."""
    verdicts = []
    for kind in sorted({row["kind"] for row in rows}):
        chosen = [row for row in rows if row["kind"] == kind]
        mean = math.exp(sum(math.log(row["ratio"]) for row in chosen) / len(chosen))
        beyond = [math.log2(row["ratio"] / row["times"]) for row in chosen]
        verdicts.append(
            gain(f"{kind}: {mean:.1f} times as fast; doublings beyond {chosen[0]['times']:g} times", beyond, digits=2)
        )
    different = sum(row["different"] for row in rows)
    if different:
        verdicts.append(Verdict("refuted", (f"{different} programs mean something else without dead code: refuted",)))
    return combine(verdicts) if verdicts else Verdict("inconclusive", ("nothing was measured",))


_WANTED = ("bred with all operators, linear tasks", "bred with all operators, teacher tasks", "bred from the network")

CLAIM = Claim(
    name="liveness-pays",
    sentence=(
        "Scoring populations of a search that grows programs of all operators is at least twice as fast when dead "
        "instructions are dropped first, and every program that draws no random numbers keeps its fitness."
    ),
    source="Ours: a backward pass over slots; the original program of arXiv 2003.03384 runs dead instructions.",
    control="the same kernel on the same populations, dead instructions run, timed in turns on the same core",
    scales={
        "tiny": Scale(LivenessPays(kinds=_WANTED[1:], features=4, seeds=8, programs=5000), 45),
        "small": Scale(LivenessPays(kinds=_WANTED, features=4, seeds=7, programs=10_000), 300),
        "full": Scale(LivenessPays(kinds=_WANTED, features=8, seeds=10, programs=50_000, repeats=5, seconds=1.0), 3600),
    },
    plan=plan,
    measure=measure,
    judge=judge,
    timed=True,
)
