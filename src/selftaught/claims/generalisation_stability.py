"""`generalisation-stability`: the more accuracy the cuts of a pruning take away, the better the network tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.known_data import at_hand
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "GeneralisationStability"]

VICTIMS = ("magnitude", "random", "largest")


@dataclass(frozen=True)
class GeneralisationStability:
    """Trainings that are pruned to the same density: by whom they cut, and in how many cuts.

    Args:
        seeds: how many.
        epochs: of a training.
        data: the images.
        train: examples to train on; the next `valid` are for the instability, all others for the test, at most 2,000.
        widths: units or channels of the network's layers.
        density: at the end.
        cuts: numbers of cuts between 20 % and 60 % of the steps.
        lr: of SGD.
        seed: the first seed.
    """

    seeds: int
    epochs: int
    data: str = "digits"
    train: int = 600
    valid: int = 300
    widths: tuple[int, ...] = (64,)
    density: float = 0.5
    cuts: tuple[int, ...] = (2, 10)
    lr: float = 0.1
    seed: int = 0


def plan(config: GeneralisationStability) -> list[Part]:
    """Return a part a seed and way to cut; 0 cuts is the training that is not pruned."""
    if not at_hand(config.data):
        return []
    ways = [("none", 0), *((by, cuts) for by in VICTIMS for cuts in config.cuts)]
    return [{"seed": config.seed + k, "by": by, "cuts": cuts} for k in range(config.seeds) for by, cuts in ways]


def measure(config: GeneralisationStability, part: Part) -> list[dict[str, Any]]:
    """Train, cut on the way, and test once."""
    from selftaught.claims.long_tail import images, network
    from selftaught.compress import GradualPruning, Instability
    from selftaught.seeds import rng_for
    from selftaught.training import SGD, TrainConfig, evaluate, fit
    from selftaught.training.devices import limited_threads

    seed, data = part["seed"], images(config.data)
    order = rng_for(seed, "claims", "generalisation").permutation(len(data))
    ends = (config.train, config.train + config.valid, config.train + config.valid + 2000)
    train, valid, test = (data.take(order[a:b]) for a, b in zip((0, *ends), ends, strict=False))
    settings = TrainConfig(epochs=config.epochs, batch_size=32, optimiser=SGD(lr=config.lr), seed=seed, device="cpu")
    steps = config.epochs * (len(train) // 32 + (len(train) % 32 > 1))
    with limited_threads(1):
        model, added, told = network(train, config.widths, seed=seed), [], []
        if part["cuts"]:
            every = max(1, int(0.4 * steps) // part["cuts"])
            pruning = GradualPruning(config.density, start=0.2, end=0.6, every=every, by=part["by"])
            watch = Instability(pruning, valid)
            added = [watch, pruning]
            fit(model, train, settings, callbacks=added)
            told = [cut.instability for cut in watch.cuts]
        else:
            fit(model, train, settings)
        accuracy = evaluate(model, test).score
    return [
        {
            "by": part["by"], "cuts": part["cuts"], "seed": seed, "events": len(told),
            "instability": sum(told) / len(told) if told else 0.0, "worst": max(told, default=0.0),
            "accuracy": accuracy,
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Correlate instability with test accuracy within each seed, and compare the least stable cuts with none."""
    from scipy.stats import spearmanr

    seeds = sorted({row["seed"] for row in rows})
    ways = {(row["by"], row["cuts"]) for row in rows}
    correlations, more, random_more = [], [], []
    for seed in seeds:
        own = {(row["by"], row["cuts"]): row for row in rows if row["seed"] == seed}
        pruned = [own[way] for way in sorted(own) if way[1]]
        if set(own) != ways or ("none", 0) not in own or len(pruned) < 3:
            continue
        unstable = [row["instability"] for row in pruned]
        accuracy = [row["accuracy"] for row in pruned]
        flat = len(set(unstable)) == 1 or len(set(accuracy)) == 1
        correlations.append(0.0 if flat else float(spearmanr(unstable, accuracy).statistic))
        top = max(pruned, key=lambda row: row["instability"])
        more.append(top["accuracy"] - own["none", 0]["accuracy"])
        chance = [row["accuracy"] for row in pruned if row["by"] == "random"]
        random_more.append(top["accuracy"] - sum(chance) / len(chance) if chance else 0.0)
    verdict = combine(
        [
            gain("rank correlation of instability and test accuracy over ways to cut", correlations, digits=2),
            gain("test accuracy, least stable cuts minus no pruning", more),
            gain("test accuracy, least stable cuts minus random cuts of the same densities", random_more),
        ]
    )
    told = []
    for by, cuts in sorted(ways):
        own_rows = [row for row in rows if (row["by"], row["cuts"]) == (by, cuts)]
        lost, accuracy_ = (sum(row[what] for row in own_rows) / len(own_rows) for what in ("instability", "accuracy"))
        told.append(f"{by} in {cuts}: {lost:+.3f}, {accuracy_:.4f}")
    if not told:
        return verdict
    line = f"mean instability of a cut and test accuracy, not part of the rule: {'; '.join(told)}"
    return Verdict(verdict.status, (*verdict.findings, line))


CLAIM = Claim(
    name="generalisation-stability",
    sentence=(
        "Among prunings to the same density, those whose cuts take more accuracy away end with more test accuracy, and "
        "with more than without pruning."
    ),
    source="Bartoldson, Morcos, Barbu and Erlebacher, arXiv 1906.03728.",
    control="weights cut at random at the same densities; no pruning",
    scales={
        "tiny": Scale(GeneralisationStability(seeds=8, epochs=30), 60),
        "small": Scale(
            GeneralisationStability(
                seeds=6, epochs=20, data="cifar10", train=6000, valid=1000, widths=(32, 64, 64),
            ), 5000,
        ),
        "full": Scale(
            GeneralisationStability(
                seeds=12, epochs=60, data="cifar10", train=8000, valid=1000, widths=(64, 128, 128),
            ), 60000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)  # fmt: skip
