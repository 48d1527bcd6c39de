"""`nb201-budget`: what each searcher finds on NAS-Bench-201 with so many evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Status, Verdict
from selftaught.claims.known_data import table_at_hand
from selftaught.claims.statistics import LEAST_SEEDS

__all__ = ["CLAIM", "EXPECTED", "Nb201Budget"]

#: (searcher, evaluations) -> mean test accuracy on CIFAR-10 after 200 epochs, 500 seeds; an independent implementation
EXPECTED: Mapping[tuple[str, int], float] = {
    ("random", 50): 93.46, ("random", 100): 93.75, ("random", 200): 93.87, ("random", 500): 94.00,
    ("regularized-evolution", 50): 93.55, ("regularized-evolution", 100): 93.92, ("regularized-evolution", 200): 94.12,
    ("regularized-evolution", 500): 94.30, ("local-search", 50): 93.88, ("local-search", 100): 94.16,
    ("local-search", 200): 94.29, ("local-search", 500): 94.37,
}  # fmt: skip
_OPTIONS: Mapping[str, dict[str, int]] = {"regularized-evolution": {"population": 10, "sample": 3}}
_BLOCK = 20  # searches a part


@dataclass(frozen=True)
class Nb201Budget:
    """Searches on the published table.

    Args:
        budgets: evaluations of a search.
        blocks: of 20 searches each, a searcher and budget.
        seed: the first seed.
    """

    budgets: tuple[int, ...]
    blocks: int
    seed: int = 0
    searches: int = _BLOCK


def plan(config: Nb201Budget) -> list[Part]:
    """Return a part a searcher, budget and block."""
    return [
        {"searcher": searcher, "trials": trials, "seed": config.seed + block}
        for block in range(config.blocks)
        for searcher, trials in EXPECTED
        if trials in config.budgets
    ]


def measure(config: Nb201Budget, part: Part) -> list[dict[str, Any]]:
    """Search on 12-epoch validation accuracies; return the picks' 200-epoch test accuracies on CIFAR-10."""
    if not table_at_hand("nb201"):
        return [{**part, "accuracies": []}]
    from selftaught.claims.known_spaces import known_space, search_known

    known = known_space("nb201")
    found = [
        search_known(
            known, part["searcher"], seed=1000 * part["seed"] + k, trials=part["trials"],
            options=_OPTIONS.get(part["searcher"]),
        )["c10_test_200"]
        for k in range(config.searches)
    ]  # fmt: skip
    return [{**part, "accuracies": found}]


def judge(rows: Sequence[Row]) -> Verdict:
    """Ask every mean to be within four standard errors of the expected one."""
    found: dict[tuple[str, int], list[float]] = {}
    blocks = len({row["seed"] for row in rows if row["accuracies"]})
    for row in rows:
        found.setdefault((row["searcher"], row["trials"]), []).extend(map(float, row["accuracies"]))
    told, wrong = [], 0
    for key in sorted(found):
        values = found[key]
        if len(values) < 2:
            continue
        mean = sum(values) / len(values)
        error = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
        off = abs(mean - EXPECTED[key]) > 4 * error + 0.005  # the expected means are rounded to 0.01
        wrong += off
        told.append(
            f"{key[0]}, {key[1]} evaluations: {mean:.2f} over {len(values)} searches, standard error {error:.3f}, "
            f"expected {EXPECTED[key]:.2f}{': off' if off else ''}"
        )
    status: Status = "inconclusive"
    if blocks >= LEAST_SEEDS and told:
        status = "refuted" if wrong else "reproduced"
    first = f"{wrong} of {len(told)} means are off by more than four standard errors: {status}"
    return Verdict(status, (first, *told) if told else ("the table of NAS-Bench-201 is not at hand",))


CLAIM = Claim(
    name="nb201-budget",
    sentence=(
        "On the cells of NAS-Bench-201, searched on 12-epoch validation accuracy, random search, ageing evolution "
        "(population 10, sample 3) and local search find picks whose 200-epoch test accuracies have, at each number of "
        "evaluations, the means that an independent implementation gave."
    ),
    source=(
        "NAS-Bench-201, arXiv 2001.00326: 93.70 for random search and 93.92 for evolution in 12,000 s, which is about "
        "100 evaluations; the means by evaluations are those of an independent implementation, 500 seeds each."
    ),
    control="random search with as many evaluations, on edges and operations shuffled by the same seeds",
    scales={
        "tiny": Scale(Nb201Budget((50, 100), 3), 40),
        "small": Scale(Nb201Budget((50, 100, 200), 10), 400),
        "full": Scale(Nb201Budget((50, 100, 200, 500), 25), 3000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
