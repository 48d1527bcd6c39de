"""`weight-inheritance`: a child that begins with its parent's weights is ahead after a short training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "WeightInheritance"]


@dataclass(frozen=True)
class WeightInheritance:
    """A parent a seed, and children that differ from it in one choice.

    Args:
        children: a parent.
        examples: of digits, to train on.
        epochs: of the parent, and of every child.
        long: epochs of the children from nothing that say which child is good; 0 leaves that out.
        width: of the networks.
        seeds: parents.
        seed: the first seed.
    """

    children: int
    examples: int
    epochs: tuple[int, int]
    long: int
    width: int
    seeds: int
    seed: int = 0


def plan(config: WeightInheritance) -> list[Part]:
    """Return a part a parent."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: WeightInheritance, part: Part) -> list[dict[str, Any]]:
    """Train a parent, then each child with and without its weights; return a row a child."""
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from selftaught.objectives import NetworkObjective, search_task
    from selftaught.seeds import rng_for
    from selftaught.spaces import find_space

    seed = part["seed"]
    space = find_space("nb201")
    parent = space.sample(rng_for(seed, "parent"))
    task = search_task("digits", seed=seed, examples=config.examples)
    first, short = config.epochs
    anew = NetworkObjective("nb201", task, epochs=short, width=config.width, cells=1, seed=seed, device="cpu")
    rows = []
    for k in range(config.children):
        child = space.mutate(parent, rng_for(seed, "child", k))
        with TemporaryDirectory() as folder:  # one for each child, so that it has no siblings to inherit from
            replace(anew, epochs=first, weights=folder)(parent)
            inherited = replace(anew, weights=folder)(child)
        longer = round(replace(anew, epochs=config.long)(child).value, 4) if config.long else None
        rows.append(
            {
                "seed": seed, "child": k, "inherited": round(inherited.value, 4), "anew": round(anew(child).value, 4),
                "numbers": int(inherited.metrics["inherited"]), "long": longer,
            }
        )  # fmt: skip
    return rows


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare both beginnings a parent at a time; tell which of the short scores orders children as long ones do."""
    seeds = sorted({row["seed"] for row in rows})
    gains, orders = [], {"inherited": [], "anew": []}  # type: ignore[var-annotated]
    for seed in seeds:
        mine = sorted((row for row in rows if row["seed"] == seed), key=lambda row: row["child"])
        gains.append(sum(float(row["inherited"]) - float(row["anew"]) for row in mine) / len(mine))
        for kind, found in orders.items():
            pairs = [(float(row[kind]), float(row["long"])) for row in mine if row["long"] is not None]
            found += [
                float((a[0] - b[0]) * (a[1] - b[1]) > 0)
                for k, a in enumerate(pairs)
                for b in pairs[:k]
                if a[1] != b[1]
            ]
    verdict = gain("points more validation accuracy with the parent's weights, equal epochs", gains, digits=2)
    told = [
        f"pairs of children in the order of their long trainings, {kind}: {sum(found):.0f} of {len(found)}"
        for kind, found in orders.items()
        if found
    ]
    return Verdict(verdict.status, (*verdict.findings, *told))


CLAIM = Claim(
    name="weight-inheritance",
    sentence=(
        "A cell that differs in one choice from a trained one, and begins with its weights, is more accurate on "
        "held-out digits after the same short training than the same cell from fresh weights."
    ),
    source=(
        "Large-Scale Evolution of Image Classifiers, arXiv 1703.01041, where children inherit their parents' weights; "
        "the comparison is ours."
    ),
    control="the same children from fresh weights, with as many epochs and the same order of examples",
    scales={
        "tiny": Scale(WeightInheritance(2, 1000, (4, 2), 0, 4, 5), 60),
        "small": Scale(WeightInheritance(6, 1000, (10, 2), 10, 8, 10), 3600),
        "full": Scale(WeightInheritance(10, 1000, (20, 3), 30, 16, 30), 80_000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
