"""`small-batch-layer`: small batches do batch normalisation more harm than EvoNorm-S0, which ignores the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "SmallBatchLayer"]

LARGE, SMALL = 64, 4
ARMS = ("batch-norm", "evonorm-s0")


@dataclass(frozen=True)
class SmallBatchLayer:
    """Trainings in which layers see 64 examples at a time, or 4; a step always has 64.

    Args:
        seeds: how many.
        steps: of a training.
        data: the images.
        train: how many to train on, at most.
        width: of the network.
        lr: the largest learning rate.
        seed: the first seed.
    """

    seeds: int
    steps: int
    data: str = "digits"
    train: int = 1200
    width: int = 8
    lr: float = 0.1
    seed: int = 0


def plan(config: SmallBatchLayer) -> list[Part]:
    """Return a part a seed and layer."""
    return [{"seed": config.seed + k, "layer": arm} for k in range(config.seeds) for arm in ARMS]


def measure(config: SmallBatchLayer, part: Part) -> list[dict[str, Any]]:
    """Train the pre-activation network with large and with small parts of the batch."""
    import selftaught
    from selftaught.layers import Judge, Judging, batch_norm_relu, image_task, in_ghost_batches, layer_maker
    from selftaught.spaces import PUBLISHED_LAYERS

    task = image_task(selftaught.load(config.data), seed=part["seed"], num_train=config.train)
    layers = batch_norm_relu if part["layer"] == "batch-norm" else layer_maker(PUBLISHED_LAYERS[part["layer"]])
    judge = Judge(task, Judging(width=config.width, batch_size=LARGE, lr=config.lr, seed=part["seed"]))
    rows = []
    for batch in (LARGE, SMALL):
        accuracy = judge.accuracy(in_ghost_batches(layers, batch), "preactivation", config.steps)
        rows.append({"layer": part["layer"], "batch": batch, "seed": part["seed"], "accuracy": accuracy})
    return rows


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare what batch normalisation loses to what EvoNorm-S0 loses, paired by seed."""
    accuracy = {(row["layer"], row["batch"], row["seed"]): row["accuracy"] for row in rows}
    seeds = sorted({seed for _, _, seed in accuracy})
    whole = [s for s in seeds if all((arm, batch, s) in accuracy for arm in ARMS for batch in (LARGE, SMALL))]
    lost = {arm: [accuracy[arm, LARGE, s] - accuracy[arm, SMALL, s] for s in whole] for arm in ARMS}
    drops = gain(f"accuracy that batch normalisation loses from {LARGE} examples to {SMALL}", lost["batch-norm"])
    more = gain(
        "and more than EvoNorm-S0 loses", [a - b for a, b in zip(lost["batch-norm"], lost["evonorm-s0"], strict=True)]
    )
    verdict = combine([drops, more])
    if not whole:
        return verdict
    kept = sum(lost["evonorm-s0"]) / len(whole)
    return Verdict(verdict.status, (*verdict.findings, f"EvoNorm-S0 itself loses {kept:+.4f}, not part of the rule"))


CLAIM = Claim(
    name="small-batch-layer",
    sentence=(
        "Where layers see 4 examples of a batch of 64 at a time instead of all, a network with batch normalisation "
        "loses accuracy, and more than the same network with EvoNorm-S0."
    ),
    source="Liu et al., arXiv 2004.02967, section 5.4: EvoNorm-S layers keep their accuracy at small batches.",
    control="the same network with EvoNorm-S0, which does not look at the batch",
    scales={
        "tiny": Scale(SmallBatchLayer(seeds=6, steps=80), 60),
        "small": Scale(SmallBatchLayer(seeds=6, steps=600, data="cifar10", train=8000, width=16), 1800),
        "full": Scale(SmallBatchLayer(seeds=12, steps=8000, data="cifar10", train=40000, width=16), 50000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
