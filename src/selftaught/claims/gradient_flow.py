"""`gradient-flow`: which sparse start trains best can be seen early, in the gradient that reaches its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.known_data import at_hand
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "GradientFlowPredicts"]

#: (method, ranking): all starts have the same number of weights
STARTS = (
    ("random", "global"), ("random", "per_layer"), ("random", "erk"), ("magnitude", "per_layer"), ("magnitude", "erk"),
    ("snip", "global"), ("snip", "per_layer"), ("snip", "erk"), ("grasp", "global"), ("grasp", "per_layer"),
    ("synflow", "global"), ("synflow", "erk"),
)  # fmt: skip


@dataclass(frozen=True)
class GradientFlowPredicts:
    """Trainings of sparse starts with as many weights each.

    Args:
        seeds: how many.
        steps: of a training.
        early: steps over which the flow is averaged.
        data: the images.
        train: examples to train on; all others, at most 2,000, are for the test.
        widths: units or channels of the network's layers.
        density: of every start.
        lr: of SGD.
        seed: the first seed.
    """

    seeds: int
    steps: int
    early: int = 20
    data: str = "digits"
    train: int = 1200
    widths: tuple[int, ...] = (100, 50)
    density: float = 0.05
    lr: float = 0.1
    seed: int = 0


def plan(config: GradientFlowPredicts) -> list[Part]:
    """Return a part a seed and start."""
    if not at_hand(config.data):
        return []
    starts = [{"method": method, "ranking": ranking} for method, ranking in STARTS]
    return [{"seed": config.seed + k, **start} for k in range(config.seeds) for start in starts]


def measure(config: GradientFlowPredicts, part: Part) -> list[dict[str, Any]]:
    """Train one sparse start; keep its flow early on, the plain norm of its gradient, and its test accuracy."""
    from selftaught.claims.long_tail import images, network
    from selftaught.compress import GradientFlow, prune_weights
    from selftaught.seeds import rng_for
    from selftaught.training import SGD, Callback, Masks, TrainConfig, evaluate, fit
    from selftaught.training.devices import limited_threads

    class Norm(Callback):
        """The norm of the whole gradient, of weights that are masked and of biases too."""

        def __init__(self) -> None:
            self.values: list[float] = []

        def after_backward(self, run: Any) -> None:
            if run.step < config.early:
                slopes = (one.grad for one in run.model.parameters() if one.grad is not None)
                self.values.append(sum(float(one.square().sum()) for one in slopes) ** 0.5)

    seed, data = part["seed"], images(config.data)
    order = rng_for(seed, "claims", "gradient flow").permutation(len(data))
    train, test = data.take(order[: config.train]), data.take(order[config.train : config.train + 2000])
    settings = TrainConfig(steps=config.steps, batch_size=64, optimiser=SGD(lr=config.lr), seed=seed, device="cpu")
    with limited_threads(1):
        model = network(train, config.widths, seed=seed)
        masks = prune_weights(
            model, config.density, method=part["method"], ranking=part["ranking"], data=train, allow_collapse=True,
            seed=seed,
        )  # fmt: skip
        plain, flow = Norm(), GradientFlow(masks)
        fit(model, train, settings, callbacks=[plain, flow, Masks(masks)])
        accuracy = evaluate(model, test).score
    early = [value for step, value in flow.history if step < config.early]
    return [
        {
            **part, "accuracy": accuracy,
            "flow": sum(early) / len(early), "norm": sum(plain.values) / len(plain.values),
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Correlate early flow, and plain norm, with final accuracy over the starts of each seed."""
    from scipy.stats import spearmanr

    found: dict[str, list[float]] = {"flow": [], "norm": []}
    starts = {(row["method"], row["ranking"]) for row in rows}
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if row["seed"] == seed]
        if len(own) < max(3, len(starts)):
            continue
        for what, values in found.items():
            flat = any(len({row[one] for row in own}) == 1 for one in (what, "accuracy"))
            ranked = 0.0 if flat else spearmanr([row[what] for row in own], [row["accuracy"] for row in own]).statistic
            values.append(float(ranked))
    ahead = [a - b for a, b in zip(found["flow"], found["norm"], strict=True)]
    verdict = combine(
        [
            gain("rank correlation of early flow and final accuracy (by chance 0)", found["flow"], digits=2),
            gain("rank correlation of early flow minus that of the plain norm of the gradient", ahead, digits=2),
        ]
    )  # fmt: skip
    if not found["norm"]:
        return verdict
    told = f"the plain norm's own: {sum(found['norm']) / len(found['norm']):+.2f}, not part of the rule"
    return Verdict(verdict.status, (*verdict.findings, told))


CLAIM = Claim(
    name="gradient-flow",
    sentence=(
        "Among sparse starts with as many weights, the effective gradient flow of the first steps ranks the final "
        "accuracies, better than the plain norm of the gradient does."
    ),
    source="Tessera, Hooker and Rosman, arXiv 2102.01670.",
    control="the plain norm of the whole gradient; a random ranking, whose correlation is 0",
    scales={
        "tiny": Scale(GradientFlowPredicts(seeds=6, steps=300), 60),
        "small": Scale(
            GradientFlowPredicts(
                seeds=6, steps=1500, early=50, data="cifar10", train=8000, widths=(32, 64, 64),
            ), 8000,
        ),
        "full": Scale(
            GradientFlowPredicts(
                seeds=12, steps=6000, early=100, data="cifar10", train=10000, widths=(64, 128, 128),
            ), 150000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)  # fmt: skip
