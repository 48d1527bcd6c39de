"""`batchnorm-only`: a random network of which nothing is trained but the scales and shifts of its normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "BatchNormOnly"]

ARMS = ("norm", "weights", "all")


@dataclass(frozen=True)
class BatchNormOnly:
    """Trainings of the pre-activation network in which all but some numbers stay as they were drawn.

    Args:
        seeds: how many.
        steps: of a training.
        data: the images.
        width: of the network.
        lr: the largest learning rate.
        seed: the first seed.
    """

    seeds: int
    steps: int
    data: str = "digits"
    width: int = 16
    lr: float = 0.5
    seed: int = 0


def plan(config: BatchNormOnly) -> list[Part]:
    """Return a part a seed and kind of training."""
    return [{"seed": config.seed + k, "trained": arm} for k in range(config.seeds) for arm in ARMS]


def measure(config: BatchNormOnly, part: Part) -> list[dict[str, Any]]:
    """Train the scales and shifts alone, or as many weights of the convolutions, or everything, from the same start."""
    import selftaught
    from selftaught.errors import DivergedError
    from selftaught.layers import Judge, Judging, batch_norm_relu, image_task, train_only
    from selftaught.seeds import rng_for
    from selftaught.training import SGD, TrainConfig, fit
    from selftaught.training.devices import limited_threads

    task = image_task(selftaught.load(config.data), seed=part["seed"])
    judging = Judging(width=config.width, seed=part["seed"])
    judge = Judge(task, judging)
    with limited_threads(judging.threads):
        network = judge.network(batch_norm_relu, "preactivation")
        numbers = train_only(network, part["trained"], rng_for(part["seed"], "weights that are trained"))
        settings = TrainConfig(
            steps=config.steps, batch_size=64, optimiser=SGD(lr=config.lr, weight_decay=0.0), channels_last=False,
            seed=part["seed"], device="cpu",
        )  # fmt: skip
        try:
            fit(network, task.train, settings)
            accuracy = judge.score(network, task.valid)
        except DivergedError:  # numbers that cannot be trained at this rate
            accuracy = 0.0
    return [{"trained": part["trained"], "seed": part["seed"], "numbers": numbers, "accuracy": accuracy}]


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare training the normalisations with training as many other numbers, paired by seed."""
    accuracy = {(row["trained"], row["seed"]): row["accuracy"] for row in rows}
    seeds = [s for s in sorted({seed for _, seed in accuracy}) if all((arm, s) in accuracy for arm in ARMS)]
    more = gain(
        "accuracy, scales and shifts trained, minus as many weights of the convolutions trained",
        [accuracy["norm", s] - accuracy["weights", s] for s in seeds],
    )
    if not seeds:
        return more
    means = {arm: sum(accuracy[arm, s] for s in seeds) / len(seeds) for arm in ARMS}
    told = ", ".join(f"{arm} {value:.4f}" for arm, value in means.items())
    return Verdict(more.status, (*combine([more]).findings, f"means, not part of the rule: {told}"))


CLAIM = Claim(
    name="batchnorm-only",
    sentence=(
        "In a random residual network, training nothing but the scales and shifts of batch normalisation gives "
        "more than training as many weights of its convolutions."
    ),
    source="Frankle, Schwab and Morcos, arXiv 2003.00152, figure 2.",
    control="as many weights of the convolutions, drawn at random, trained instead; everything trained, for comparison",
    scales={
        "tiny": Scale(BatchNormOnly(seeds=5, steps=300), 60),
        "small": Scale(BatchNormOnly(seeds=8, steps=600, data="cifar10"), 1200),
        "full": Scale(BatchNormOnly(seeds=16, steps=3000, data="cifar10", width=32), 20000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
