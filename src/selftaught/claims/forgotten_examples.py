"""`forgotten-examples`: pruning changes the answers for some examples, more than seeds do, and it is wrong on those."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.pruned_populations import PrunedPopulations, level_rows
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "SMALL"]

MIDDLE, HIGH, HIGHEST = 0.5, 0.9, 0.95
LEAST_GAP = 0.15  # by which the sparse models are worse on the changed examples
MOST_REJECTIONS = 0.1  # of tests at level 0.05 where nothing but the seed differs

#: 13 to 24 thousand parameters on images of 16 x 16: eight classes of 600 and two of 100.
SMALL: dict[str, Any] = {
    "data": "cifar10", "common": 600, "rare": 100, "kept": 400, "epochs": 14, "widths": (16, 32, 48), "batch_size": 64,
}  # fmt: skip


def plan(config: PrunedPopulations) -> list[Part]:
    """Return a part a seed: all its levels are compared with one dense population."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: PrunedPopulations, part: Part) -> list[dict[str, Any]]:
    """Train a population a level; return a row a level."""
    return level_rows(config, int(part["seed"]))


def judge(rows: Sequence[Row]) -> Verdict:
    """All must hold: the rate rises, clears its null at 90 %, what changed is what is wrong, the test is honest."""
    at: dict[float, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        if row.get("pie") is not None:
            at[row["sparsity"]][row["seed"]] = row
    seeds = sorted(set(at[MIDDLE]) & set(at[HIGH]) & set(at[HIGHEST]))
    high = [at[HIGH][s] for s in seeds]
    verdict = combine([
        gain("rate of changed examples (PIE), 90 % less 50 % sparsity",
             [at[HIGH][s]["pie"] - at[MIDDLE][s]["pie"] for s in seeds]),
        gain("the same, 95 % less 90 %", [at[HIGHEST][s]["pie"] - at[HIGH][s]["pie"] for s in seeds]),
        gain("rate of changed examples at 90 %, less that between halves of the dense models",
             [row["pie"] - row["churn"] for row in high]),
        gain("accuracy of the models at 90 % off the changed examples less that on them, above 0.15",
             [row["sparse_off"] - row["sparse_on"] for row in high
              if None not in (row["sparse_on"], row["sparse_off"])], margin=LEAST_GAP),
        gain("0.10 less the share of tests at level 0.05 that reject between halves of the dense models",
             [MOST_REJECTIONS - row["rejections"] for row in high if row["rejections"] is not None]),
    ])  # fmt: skip
    told = []
    for level in sorted(level for level in at if at[level]):
        own = list(at[level].values())
        mean = {name: sum(row[name] or 0.0 for row in own) / len(own) for name in
                ("accuracy", "pie", "churn", "dense_on", "dense_off", "sparse_on", "sparse_off")}  # fmt: skip
        told.append(
            f"{100 * level:g} % sparsity, not part of the rule: accuracy {mean['accuracy']:.3f}; changed "
            f"{mean['pie']:.3f}, by seeds alone {mean['churn']:.3f}; on the changed and off them dense "
            f"{mean['dense_on']:.3f} / {mean['dense_off']:.3f}, sparse {mean['sparse_on']:.3f} / "
            f"{mean['sparse_off']:.3f}"
        )
    return Verdict(verdict.status, (*verdict.findings, *told))


CLAIM = Claim(
    name="forgotten-examples",
    sentence=(
        "Pruning half of the weights or more changes the modal label of more examples the more is pruned; at 90 % "
        "more change than by seeds alone, and the pruned networks are at least 15 points less accurate on those."
    ),
    source="Hooker et al., arXiv 1911.05248 and 2010.03058; the null and the rule are ours.",
    control="the same rate between halves of the dense population, at the same number of models",
    scales={
        "tiny": Scale(PrunedPopulations(seeds=5), 50),
        "small": Scale(PrunedPopulations(seeds=5, **SMALL), 1800),
        "full": Scale(PrunedPopulations(seeds=10, **{**SMALL, "epochs": 30, "widths": (32, 64, 128)}), 30000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
