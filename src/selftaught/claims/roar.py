"""`roar`: removing what explanations point at, beside removing noise and blurred noise, and training again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.known_data import at_hand
from selftaught.claims.statistics import gain, mean_interval

__all__ = ["CLAIM", "Roar"]

NONE, RANDOM, BLURRED = "none", "random", "random+blur"
FRACTIONS = (0.5, 0.9)


@dataclass(frozen=True)
class Roar:
    """Trainings of a small convolutional network on images of at most 16 x 16 pixels, some of them replaced.

    Args:
        seeds: how many; each has its own split of the data, its own explained network and its own random pixels.
        data: the images.
        widths: of the network's convolutions.
        epochs: of every training.
        train: the most images to train on.
        test: the most images to test on.
        estimators: that are measured beside the controls.
        seed: the first seed.
    """

    seeds: int
    data: str = "digits"
    widths: tuple[int, ...] = (8, 16)
    epochs: int = 10
    train: int = 4000
    test: int = 2000
    estimators: tuple[str, ...] = (
        "gradient", "integrated-gradients", "guided-backprop", "gradient+smoothgrad", "gradient+smoothgrad-squared",
        "gradient+vargrad",
    )  # fmt: skip
    seed: int = 0


def plan(config: Roar) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: Roar, part: Part) -> list[dict[str, Any]]:
    """Train a network, explain it, and train on what every arm leaves of the images."""
    import selftaught
    from selftaught.audit import roar
    from selftaught.layers import image_task
    from selftaught.training import SGD, OneCycle, TrainConfig, small_cnn
    from selftaught.training.devices import limited_threads

    data = config.data if at_hand(config.data) else "digits"
    task = image_task(selftaught.load(data), seed=part["seed"], num_train=config.train, num_test=config.test)
    if task.test is None:  # never of an image task
        return []
    settings = TrainConfig(
        epochs=config.epochs, batch_size=64, optimiser=SGD(lr=0.1), schedule=OneCycle(), channels_last=False,
        device="cpu",
    )  # fmt: skip
    with limited_threads(1):
        found = roar(
            lambda seed: small_cnn(task.train, widths=config.widths, seed=seed), task.train, task.test,
            estimators=config.estimators, fractions=FRACTIONS, seeds=(part["seed"],), config=settings,
        )  # fmt: skip
    return [{"data": data, **row} for row in found.rows]


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare blurred random pixels with random ones, and training again with not doing so, paired by seed."""
    accuracy = {(row["arm"], row["fraction"], row["seed"]): row["accuracy"] for row in rows}
    without = {(row["arm"], row["fraction"], row["seed"]): row["without"] for row in rows}
    seeds = sorted({seed for _, _, seed in accuracy})
    verdicts = []
    for part in FRACTIONS:
        both = [s for s in seeds if (RANDOM, part, s) in accuracy and (BLURRED, part, s) in accuracy]
        verdicts.append(gain(
            f"accuracy, random pixels removed minus blurred random ones, {part:.0%}",
            [accuracy[RANDOM, part, s] - accuracy[BLURRED, part, s] for s in both],
        ))  # fmt: skip
    most, arms = max(FRACTIONS), sorted({arm for arm, _, _ in accuracy} - {NONE})
    least = {}
    for s in seeds:
        apart = [accuracy[arm, most, s] - without[arm, most, s] for arm in arms if (arm, most, s) in accuracy]
        if apart:
            least[s] = min(apart)
    verdicts.append(gain(
        f"accuracy with retraining minus without, {most:.0%} removed, in the arm where that is least",
        list(least.values()),
    ))  # fmt: skip
    found = combine(verdicts)
    told = [
        _beside(arm, part, accuracy, seeds) for part in FRACTIONS for arm in arms if arm not in (RANDOM, BLURRED)
    ]
    return Verdict(found.status, (*found.findings, *(one for one in told if one)))


def _beside(arm: str, part: float, accuracy: dict[tuple[str, float, int], float], seeds: Sequence[int]) -> str:
    """Say how an arm does beside random pixels and blurred random ones; not part of the rule."""
    words = []
    for control in (RANDOM, BLURRED):
        apart = [accuracy[arm, part, s] - accuracy[control, part, s] for s in seeds
                 if (arm, part, s) in accuracy and (control, part, s) in accuracy]  # fmt: skip
        if not apart:
            return ""
        low, high = mean_interval(apart)
        said = "found more than" if high < 0 else "found less than" if low > 0 else "is not told apart from"
        words.append(f"{said} {control} ({sum(apart) / len(apart):+.3f} [{low:+.3f}, {high:+.3f}])")
    return f"{part:.0%}, not part of the rule: {arm} {' and '.join(words)}"


CLAIM = Claim(
    name="roar",
    sentence=(
        "Removing pixels that blurred random scores mark costs a network that is trained again more than removing "
        "random pixels, and without training again the accuracy falls further than with it."
    ),
    source="Hooker et al., arXiv 1806.10758; its controls: arXiv 2304.13836.",
    control="random pixels, one mask for each image; the network that was trained on unchanged images",
    scales={
        "tiny": Scale(Roar(seeds=6), 60),
        "small": Scale(Roar(seeds=6, data="cifar10", widths=(16, 32, 64)), 1200),
        "full": Scale(Roar(seeds=8, data="cifar10", widths=(32, 64, 128), epochs=20, train=8000), 15000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
