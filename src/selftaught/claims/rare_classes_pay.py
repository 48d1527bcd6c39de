"""`rare-classes-pay`: of the classes, those with few training images lose more of their recall by pruning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict
from selftaught.claims.forgotten_examples import SMALL
from selftaught.claims.pruned_populations import PrunedPopulations, level_rows
from selftaught.claims.statistics import gain

__all__ = ["CLAIM"]

JUDGED = 0.9
TINY = PrunedPopulations(seeds=6, levels=(0.0, JUDGED))


def plan(config: PrunedPopulations) -> list[Part]:
    """Return a part a seed, with rare classes of its own."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: PrunedPopulations, part: Part) -> list[dict[str, Any]]:
    """Train a dense and a sparse population; return what became of rare and common classes."""
    rows = level_rows(config, int(part["seed"]))
    names = ("seed", "sparsity", "accuracy", "rare_before", "rare_change", "common_before", "common_change")
    return [{name: row[name] for name in names} for row in rows if row["sparsity"]]


def judge(rows: Sequence[Row]) -> Verdict:
    """The raw fall of the rare classes' recall at 90 % must be the larger one."""
    own = [row for row in rows if row["sparsity"] == JUDGED]
    verdict = gain(
        "fall of recall at 90 % sparsity, rare classes less common ones",
        [row["common_change"] - row["rare_change"] for row in own],
    )
    if not own:
        return verdict
    mean = {name: sum(row[name] for row in own) / len(own) for name in
            ("rare_before", "rare_change", "common_before", "common_change")}  # fmt: skip

    def told(kind: str) -> str:
        before, change = mean[f"{kind}_before"], mean[f"{kind}_change"]
        share = f" ({change / before:+.0%} of it)" if before else ""
        return f"{kind} classes {before:.3f} {change:+.3f}{share}"

    beside = f"recall, not part of the rule: {told('rare')}; {told('common')}"
    return Verdict(verdict.status, (*verdict.findings, beside))


CLAIM = Claim(
    name="rare-classes-pay",
    sentence=(
        "Where two of ten classes have about a sixth of the training images of the others, pruning 90 % of the "
        "weights costs them more recall than the others: raw changes, on a test in which all classes are alike."
    ),
    source="Hooker et al., arXiv 2010.03058; Paganini, arXiv 2009.09936.",
    control="the common classes of the same populations",
    scales={
        "tiny": Scale(TINY, 50),
        "small": Scale(replace(TINY, **SMALL, seeds=8), 1500),
        "full": Scale(replace(TINY, **{**SMALL, "epochs": 30, "widths": (32, 64, 128)}, seeds=12), 20000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
