"""`difficulty-measures`: which columns of difficulty find labels that were flipped, each beside mean confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

if TYPE_CHECKING:
    from selftaught.audit.input_gradients import Scalar
    from selftaught.examples import Examples

__all__ = ["CLAIM", "DifficultyMeasures", "drawn_images", "train_config"]

LEAST = 0.85
NEARLY = 0.01  # of AUROC, by which AUM may be behind EL2N and still be called level with it
SCALARS: tuple[Scalar, ...] = ("logit", "probability", "loss")


@dataclass(frozen=True)
class DifficultyMeasures:
    """Trainings on images of which some have another class's label.

    Args:
        seeds: draws of images and of flips.
        images: that are trained on.
        flipped: share of them with a wrong label.
        epochs: of each training.
        widths: of the convolutions.
        models: seeds of each population.
        batch_size: images a step.
        lr: the largest learning rate.
        data: the images.
        seed: the first seed.
    """

    seeds: int
    images: int = 800
    flipped: float = 0.1
    epochs: int = 15
    widths: tuple[int, ...] = (16, 32)
    models: int = 3
    batch_size: int = 32
    lr: float = 0.1
    data: str = "digits"
    seed: int = 0


def plan(config: DifficultyMeasures) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def drawn_images(data: str, number: int, seed: int) -> Examples:
    """Return so many images of at most 16 x 16 pixels, drawn by a seed."""
    import numpy as np

    import selftaught
    from selftaught.examples import Examples
    from selftaught.layers.image_tasks import shrink
    from selftaught.seeds import rng_for

    given = selftaught.load(data)
    images = given.take(np.sort(rng_for(seed, "images of difficulty").permutation(len(given))[:number]))
    return Examples(shrink(images.inputs), images.labels, images.ids, class_names=given.class_names, name=given.name)


def train_config(config: Any, seed: int) -> Any:
    """Return how the networks are trained: one rise and fall of the rate, on the CPU."""
    from selftaught.training import SGD, OneCycle, TrainConfig

    return TrainConfig(
        epochs=config.epochs, batch_size=config.batch_size, optimiser=SGD(lr=config.lr), schedule=OneCycle(),
        seed=seed, device="cpu",
    )  # fmt: skip


def measure(config: DifficultyMeasures, part: Part) -> list[dict[str, Any]]:
    """Flip labels, train, and return the AUROC of every column for finding the flips."""
    from dataclasses import replace

    import numpy as np

    from selftaught.audit import auroc, variance_of_gradients
    from selftaught.plans import Network, hard_examples
    from selftaught.seeds import rng_for
    from selftaught.training.devices import limited_threads

    seed = int(part["seed"])
    images = drawn_images(config.data, config.images, seed)
    rng = rng_for(seed, "flips")
    flipped = np.zeros(len(images), np.bool_)
    flipped[rng.permutation(len(images))[: round(config.flipped * len(images))]] = True
    shift = rng.integers(1, images.num_classes, len(images))
    true = np.asarray(images.labels, np.int64)
    given = replace(images, labels=np.where(flipped, (true + shift) % images.num_classes, true))
    with limited_threads(1):
        found = hard_examples(
            given, Network("cnn", hidden=config.widths), seeds=config.models, config=train_config(config, seed)
        )
        columns = dict(found.columns)
        for scalar in SCALARS:
            columns[f"vog of the {scalar}"] = variance_of_gradients(found.checkpoints, given, scalar=scalar)
    accuracy = float((found.out_of_fold.mean(axis=0).argmax(axis=1) == true).mean())
    return [{
        "seed": seed, "flips": int(flipped.sum()), "accuracy": round(accuracy, 5),
        "auroc": {name: round(auroc(column, flipped), 5) for name, column in columns.items()},
    }]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """AUM, EL2N and confidence find the flips, AUM as well as EL2N, EL2N better than forgetting."""
    found = [row["auroc"] for row in rows]
    verdict = combine([
        *(gain(f"AUROC of {name} for flipped labels, above {LEAST}", [one[name] for one in found], margin=LEAST)
          for name in ("aum", "el2n", "confidence")),
        gain(f"AUROC of AUM less EL2N, above -{NEARLY}", [one["aum"] - one["el2n"] for one in found], margin=-NEARLY),
        gain("AUROC of EL2N less forgetting", [one["el2n"] - one["forgetting"] for one in found]),
    ])  # fmt: skip
    if not found:
        return verdict
    mean = {name: sum(one[name] for one in found) / len(found) for name in found[0]}
    ordered = sorted(mean, key=lambda name: -mean[name])
    told = "mean AUROC, not part of the rule: " + ", ".join(f"{name} {mean[name]:.3f}" for name in ordered)
    rate = sum(row["accuracy"] for row in rows) / len(rows)
    return Verdict(verdict.status, (*verdict.findings, f"{told}; out-of-fold accuracy for the true labels {rate:.3f}"))


LARGE: dict[str, Any] = {
    "data": "cifar10", "images": 4400, "epochs": 30, "widths": (16, 32, 48), "batch_size": 64,
}  # fmt: skip
CLAIM = Claim(
    name="difficulty-measures",
    sentence=(
        "With a tenth of the labels flipped, AUM, EL2N and mean confidence find the flips with an AUROC of at least "
        "0.85, AUM as well as EL2N, and EL2N better than the count of forgetting events."
    ),
    source=(
        "Pleiss et al., arXiv 2001.10528; Paul et al., 2107.07075; Toneva et al., 1812.05159; Agarwal et al., "
        "2008.11600."
    ),
    control="mean confidence and the largest probability, which knows no label; every other column beside them",
    scales={
        "tiny": Scale(DifficultyMeasures(seeds=5), 50),
        "small": Scale(DifficultyMeasures(seeds=5, **LARGE), 1500),
        "full": Scale(DifficultyMeasures(seeds=10, **{**LARGE, "images": 10000, "models": 10}), 20000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
