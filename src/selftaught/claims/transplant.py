"""`transplant`: what program evolution found, put into a PyTorch network, makes it better than it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "TransplantSettings"]

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
FOUND = ("bilinear", "normalised")


@dataclass(frozen=True)
class TransplantSettings:
    """Trainings of a perceptron with 32 hidden units, plain and with what was found, at five rates each.

    Args:
        seeds: how many.
        steps: of a training, 64 examples each.
        data: the images.
        train: images to train on, at most.
        seed: the first seed.
    """

    seeds: int
    steps: int
    data: str = "digits"
    train: int = 8000
    seed: int = 0


def plan(config: TransplantSettings) -> list[Part]:
    """Return a part a seed and arm."""
    return [{"seed": config.seed + k, "arm": arm} for k in range(config.seeds) for arm in ("plain", *FOUND)]


def measure(config: TransplantSettings, part: Part) -> list[dict[str, Any]]:
    """Train at every rate; the rate is chosen on validation images, and test images are looked at for that one."""
    import selftaught
    from selftaught.layers import image_task, transplanted

    task = image_task(selftaught.load(config.data), seed=part["seed"], num_train=config.train)
    tried = {rate: transplanted(task, part["arm"], rate, steps=config.steps, seed=part["seed"]) for rate in RATES}
    best = max(RATES, key=lambda rate: tried[rate]["valid"])
    return [{"arm": part["arm"], "seed": part["seed"], "rate": best, **tried[best]}]


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare test accuracies to the plain network's, paired by seed."""
    test = {(row["arm"], row["seed"]): row["test"] for row in rows}
    seeds = [s for s in sorted({seed for _, seed in test}) if all((arm, s) in test for arm in ("plain", *FOUND))]
    names = {"bilinear": "with a bilinear term", "normalised": "with normalised gradients"}
    return combine(
        [
            gain(f"test accuracy {names[arm]} minus plain", [test[arm, s] - test["plain", s] for s in seeds])
            for arm in FOUND
        ]
    )


CLAIM = Claim(
    name="transplant",
    sentence=(
        "A bilinear term beside a small perceptron, and a rule that normalises its gradients, both as program "
        "evolution finds them, each make it better on test images than plain gradient descent, all at the best of five "
        "rates."
    ),
    source="Real et al., arXiv 2003.03384, section 4.2: the evolved program's techniques; the transplant is ours.",
    control="the same perceptron with the same first weights, trained by plain gradient descent, its rate chosen alike",
    scales={
        "tiny": Scale(TransplantSettings(seeds=6, steps=150), 60),
        "small": Scale(TransplantSettings(seeds=8, steps=1000, data="fashion-mnist"), 900),
        "full": Scale(TransplantSettings(seeds=12, steps=4000, data="cifar10", train=40000), 20000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
