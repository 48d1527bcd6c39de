"""`quantised-forgets-less`: at the same accuracy, rounded weights change fewer examples than pruned ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.forgotten_examples import SMALL
from selftaught.claims.pruned_populations import PrunedPopulations, ladder
from selftaught.claims.statistics import gain

__all__ = ["CLAIM"]

BITS = (8, 6, 5, 4, 3, 2)
TINY = PrunedPopulations(seeds=5, levels=(0.0, 0.5, 0.7, 0.8))


def plan(config: PrunedPopulations) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: PrunedPopulations, part: Part) -> list[dict[str, Any]]:
    """Train two dense populations and a sparse one a level, round the second dense one; return a row a change.

    The second dense population has seeds of its own, as the sparse ones have: rounding the first would change its own
    models, and be spared what seeds do.
    """
    import numpy as np

    from selftaught.audit import Population, pie
    from selftaught.seeds import seed_for
    from selftaught.training import evaluate

    seed = int(part["seed"])
    rungs, kept, _ = ladder(config, seed, levels=config.levels)
    dense = rungs[0].population
    changed = {("pruned", one.sparsity): one.population for one in rungs[1:]}
    other = seed_for(seed, "second dense population") % 2**31
    fresh = ladder(config, other, levels=(0.0,), split=seed)[0][0].models
    for bits in BITS:
        scores = np.stack([evaluate(rounded(one, bits), kept).scores for one in fresh])
        changed["rounded", bits] = Population.from_logits(scores, kept.ids)
    rows = []
    for (how, amount), population in changed.items():
        found = pie(dense, population)
        rows.append({
            "seed": seed, "how": how, "amount": amount, "pie": round(found.rate, 5), "churn": round(found.churn, 5),
            "accuracy": round(float((population.predicted == kept.labels).mean()), 5),
            "dense": round(float((dense.predicted == kept.labels).mean()), 5),
        })  # fmt: skip
    return rows


def rounded(model: Any, bits: int) -> Any:
    """Return a copy with weights rounded to so many bits, symmetric around zero, with a scale an output channel."""
    made = copy.deepcopy(model)
    most = 2 ** (bits - 1) - 1
    for parameter in made.parameters():
        if parameter.ndim > 1:
            weight = parameter.data.flatten(1)
            scale = (weight.abs().amax(dim=1, keepdim=True) / most).clamp(min=1e-12)
            parameter.data = ((weight / scale).round() * scale).view_as(parameter.data)
    return made


def judge(rows: Sequence[Row]) -> Verdict:
    """At the accuracy of each pruned population, the rounded ones must have changed fewer examples.

    The rate of rounding at that accuracy is read between its two neighbours in accuracy, in a straight line; 8 bits and
    less. Levels whose accuracy lies outside those of all roundings are left out.
    """
    differences: list[float] = []
    told = []
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if row["seed"] == seed]
        curve = sorted((row["accuracy"], row["pie"]) for row in own if row["how"] == "rounded")
        gaps = []
        for row in own:
            if row["how"] == "pruned":
                at = _between(curve, row["accuracy"])
                gaps += [] if at is None else [row["pie"] - at]
        differences += [sum(gaps) / len(gaps)] if gaps else []
    if differences:
        eight = [row for row in rows if row["how"] == "rounded" and row["amount"] == 8]
        told = [
            "8 bits, not part of the rule: accuracy "
            f"{sum(row['accuracy'] for row in eight) / len(eight):.4f}, dense "
            f"{sum(row['dense'] for row in eight) / len(eight):.4f}; changed "
            f"{sum(row['pie'] for row in eight) / len(eight):.4f}, by seeds alone "
            f"{sum(row['churn'] for row in eight) / len(eight):.4f}"
        ] if eight else []  # fmt: skip
    verdict = combine([gain("rate of changed examples at equal accuracy, pruned less rounded weights", differences)])
    return Verdict(verdict.status, (*verdict.findings, *told))


def _between(curve: Sequence[tuple[float, float]], accuracy: float) -> float | None:
    for (low, one), (high, other) in pairwise(curve):
        if low <= accuracy <= high:
            return one if high == low else one + (other - one) * (accuracy - low) / (high - low)
    return None


CLAIM = Claim(
    name="quantised-forgets-less",
    sentence=(
        "At equal accuracy, networks whose trained weights are rounded to few bits, a scale an output channel, differ "
        "from dense ones on fewer examples than networks pruned while they train."
    ),
    source="Hooker et al., arXiv 1911.05248 and 2010.03058, who quantise to 8 and 16 bits after training.",
    control="pruned populations of the same accuracy, with as many models; all have seeds of their own",
    scales={
        "tiny": Scale(TINY, 60),
        "small": Scale(replace(TINY, **SMALL), 2400),
        "full": Scale(replace(TINY, **{**SMALL, "epochs": 30, "widths": (32, 64, 128)}, seeds=10), 30000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
