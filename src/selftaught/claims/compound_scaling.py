"""`compound-scaling`: at equal cost, scaling depth, width and resolution together beats any one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict
from selftaught.claims.known_data import at_hand
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "CompoundScaling"]

_ARMS = ("compound", "depth", "width", "resolution")


@dataclass(frozen=True)
class CompoundScaling:
    """Trainings of one network scaled in four ways to the same multiply-accumulates.

    Args:
        data: "digits" or "cifar10"; nothing is measured where it is not at hand.
        resolution: pixels of the network that is scaled; images are resized to it.
        stem: channels of its first convolution; others follow.
        times: cost of the scaled networks over its own.
        examples: to train on; None takes all.
        epochs: of every training.
        seeds: of weights, order and split.
        seed: the first seed.
    """

    data: str
    resolution: int
    stem: int
    times: float
    examples: int | None
    epochs: int
    seeds: int
    seed: int = 0


def plan(config: CompoundScaling) -> list[Part]:
    """Return a part a seed and way."""
    return [{"arm": arm, "seed": config.seed + k} for k in range(config.seeds) for arm in _ARMS]


def measure(config: CompoundScaling, part: Part) -> list[dict[str, Any]]:
    """Train one scaled network; return its accuracy on validation examples and its cost."""
    from selftaught.objectives import rule_points, search_task
    from selftaught.objectives.rule_learning import SINGLE, NetworkScorer
    from selftaught.spaces import Rule, Stack, Stage

    row = {"arm": part["arm"], "seed": part["seed"], "data": config.data}
    if not at_hand(config.data):
        return [{**row, "macs": 0, "accuracy": 0.0, "reached": False}]
    task = search_task(config.data, seed=part["seed"], examples=config.examples)
    shape = task.train.inputs.shape
    base = Stack(
        (
            Stage(1, 3, 1, 1, config.stem), Stage(2, 3, 2, 3, config.stem * 3 // 2),
            Stage(2, 3, 2, 3, config.stem * 5 // 2),
        ),
        stem=config.stem, head=config.stem * 8, stem_stride=1, resolution=config.resolution,
        inputs=shape[3] if len(shape) > 3 else 1, outputs=task.train.num_classes, activation="silu",
    )  # fmt: skip
    rule = Rule() if part["arm"] == "compound" else SINGLE[part["arm"]]
    points, _ = rule_points(base, config.times * base.cost().macs, rules=[rule])
    point = next((one for one in points if one.rule == rule), None)
    row["base_macs"] = base.cost().macs
    if point is None:
        return [{**row, "macs": 0, "accuracy": 0.0, "reached": False}]
    accuracy = NetworkScorer(task, epochs=config.epochs)(point.network, part["seed"])
    return [{**row, "macs": point.macs, "accuracy": round(accuracy, 4), "reached": True}]


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the compound network with the mean of the single dimensions, seed by seed; tell of each."""
    reached = [row for row in rows if row["reached"]]
    found = {(row["arm"], row["seed"]): float(row["accuracy"]) for row in reached}
    seeds = sorted({seed for arm, seed in found if all((other, seed) in found for other in _ARMS)})
    singles = [arm for arm in _ARMS if arm != "compound"]
    gains = [found["compound", s] - sum(found[arm, s] for arm in singles) / len(singles) for s in seeds]
    verdict = gain("points more than the mean single dimension at equal multiply-accumulates", gains, digits=2)
    told = []
    for arm in _ARMS:
        values = [found[arm, seed] for seed in seeds]
        macs = [row["macs"] for row in reached if row["arm"] == arm]
        if values:
            told.append(f"{arm}: {sum(values) / len(values):.2f} at {sum(macs) / len(macs):,.0f} multiply-accumulates")
    return Verdict(verdict.status, (*verdict.findings, *told))


CLAIM = Claim(
    name="compound-scaling",
    sentence=(
        "At equal multiply-accumulates and epochs, a network scaled in depth, width and resolution together (1.2, 1.1, "
        "1.15) is more accurate on held-out examples than the mean of those scaled in one dimension alone."
    ),
    source=(
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, arXiv 1905.11946: on ImageNet 81.1 "
        "against 78.9 to 79.1 per cent from B0, with 12 to 19 per cent more multiply-accumulates."
    ),
    control="the same network scaled in one dimension alone, at equal counted cost, with the same seeds and split",
    scales={
        "tiny": Scale(CompoundScaling("digits", 8, 16, 4.0, None, 5, 5), 60),
        "small": Scale(CompoundScaling("cifar10", 16, 16, 4.0, 10_000, 10, 5), 7200),
        "full": Scale(CompoundScaling("cifar10", 16, 24, 4.0, None, 30, 10), 90_000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
