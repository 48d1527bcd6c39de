"""`layer-search-beats-random`: evolution of layers against random ones, at equal trained steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "LayerSearchBeatsRandom"]

ARMS = ("evolution", "random")
ENOUGH = 100_000  # trained steps from which a failure counts against the claim


@dataclass(frozen=True)
class LayerSearchBeatsRandom:
    """Searches that try batch normalisation with ReLU first, with two anchors.

    Args:
        seeds: of each searcher.
        budget: trained steps of a search, rejected layers included.
        population: of evolution.
        steps: of the training that a layer is scored by.
        check: of the short training before.
        ascent: of the gradient ascent.
        data: the images.
        width: of the anchors.
        seed: the first seed.
    """

    seeds: int
    budget: int
    population: int
    steps: int
    check: int
    ascent: int = 10
    data: str = "digits"
    width: int = 8
    seed: int = 0


def plan(config: LayerSearchBeatsRandom) -> list[Part]:
    """Return a part a seed and searcher."""
    return [{"seed": config.seed + k, "searcher": arm} for k in range(config.seeds) for arm in ARMS]


def measure(config: LayerSearchBeatsRandom, part: Part) -> list[dict[str, Any]]:
    """Search once; the best mean accuracy over the anchors, or 0 where no layer passed."""
    import selftaught
    from selftaught.layers import Judging, image_task, search_layer

    judging = Judging(
        width=config.width, steps=config.steps, check_steps=config.check, ascent_steps=config.ascent, seed=part["seed"]
    )
    found = search_layer(
        image_task(selftaught.load(config.data), seed=part["seed"]), trials=10**6, steps=config.budget,
        searcher=part["searcher"], population=config.population, tournament=min(5, config.population),
        start=("bn-relu",), judging=judging, seed=part["seed"],
    )  # fmt: skip
    best = found.ranked[0] if found.passed else None
    return [
        {
            "searcher": part["searcher"], "seed": part["seed"], "steps": found.steps, "layers": len(found.trials),
            "passed": len(found.passed), "accuracy": best.score.value if best and best.score else 0.0,
            "rejected": found.rejected,
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the best accuracies, paired by seed."""
    accuracy = {(row["searcher"], row["seed"]): row["accuracy"] for row in rows}
    seeds = [s for s in sorted({seed for _, seed in accuracy}) if all((arm, s) in accuracy for arm in ARMS)]
    long = all(row["steps"] >= ENOUGH for row in rows)
    return gain(
        "best mean accuracy, evolution minus random search at equal trained steps",
        [accuracy["evolution", s] - accuracy["random", s] for s in seeds], patient=long,
    )  # fmt: skip


CLAIM = Claim(
    name="layer-search-beats-random",
    sentence=(
        "Begun with batch normalisation and ReLU, and with as many trained steps, rejected layers "
        "included, evolution by the Pareto front of a tournament finds a better layer than random search, by the mean "
        "accuracy in two small networks."
    ),
    source="Liu et al., arXiv 2004.02967: evolution against random search; beginning with a known layer is ours.",
    control="random search that begins with the same layer, rejected by the same rules, with as many trained steps",
    scales={
        "tiny": Scale(LayerSearchBeatsRandom(seeds=5, budget=600, population=5, steps=60, check=60, ascent=5), 60),
        "small": Scale(LayerSearchBeatsRandom(seeds=6, budget=15_000, population=6, steps=100, check=100), 1500),
        "full": Scale(
            LayerSearchBeatsRandom(
                seeds=6, budget=400_000, population=30, steps=300, check=100, ascent=100, data="cifar10", width=16
            ),
            200_000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
