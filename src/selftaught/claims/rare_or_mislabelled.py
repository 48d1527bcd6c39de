"""`rare-or-mislabelled`: three columns that tell why an example is hard, each on a truth that was planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.difficulty_measures import drawn_images, train_config
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "RareOrMislabelled"]

KINDS = ("mislabelled", "ambiguous", "rare")


@dataclass(frozen=True)
class RareOrMislabelled:
    """Images with flipped labels, means of two images, and two classes that are rare; everything at once.

    Args:
        seeds: draws.
        images: of the common classes and those that are to become rare, before anything is planted.
        kept: share of the two rare classes' images that is kept.
        mislabelled: share of the other images with a wrong label.
        ambiguous: share of the other images that become the mean of two of different classes, with a label of one.
        epochs: of each training.
        widths: of the convolutions.
        models: seeds of each population.
        batch_size: images a step.
        lr: the largest learning rate.
        data: the images.
        seed: the first seed.
    """

    seeds: int
    images: int = 1000
    kept: float = 0.17
    mislabelled: float = 0.05
    ambiguous: float = 0.05
    epochs: int = 15
    widths: tuple[int, ...] = (16, 32)
    models: int = 3
    batch_size: int = 32
    lr: float = 0.1
    data: str = "digits"
    seed: int = 0


def plan(config: RareOrMislabelled) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def planted(config: RareOrMislabelled, seed: int) -> tuple[Any, dict[str, Any]]:
    """Return the images with what was planted, and where: kind -> (n,) truths."""
    from dataclasses import replace

    import numpy as np

    from selftaught.seeds import rng_for

    drawn = drawn_images(config.data, config.images, seed)
    rng = rng_for(seed, "planted kinds")
    labels = np.asarray(drawn.labels, np.int64)
    few = np.isin(labels, rng.permutation(drawn.num_classes)[:2])
    images = drawn.take(np.flatnonzero(~few | (rng.random(len(drawn)) < config.kept)))
    labels = np.asarray(images.labels, np.int64).copy()
    rare = few[~few | np.isin(drawn.ids, images.ids)]
    inputs = images.inputs.copy()
    order = rng.permutation(np.flatnonzero(~rare))
    flips, mixed = np.split(order, [round(config.mislabelled * len(order))])
    mixed = mixed[: round(config.ambiguous * len(order))]
    plain = np.setdiff1d(np.flatnonzero(~rare), mixed)
    for row in mixed:
        other = rng.choice(plain[labels[plain] != labels[row]])
        inputs[row] = ((inputs[row].astype(np.float64) + images.inputs[other]) / 2).astype(inputs.dtype)
        labels[row] = labels[rng.choice([row, other])]
    shift = rng.integers(1, images.num_classes, len(flips))
    labels[flips] = (labels[flips] + shift) % images.num_classes
    rows = np.arange(len(images))
    truths = {"mislabelled": np.isin(rows, flips), "ambiguous": np.isin(rows, mixed), "rare": rare}
    return replace(images, inputs=inputs, labels=labels), truths


def measure(config: RareOrMislabelled, part: Part) -> list[dict[str, Any]]:
    """Plant, train, and return the AUROC of every column on every truth."""
    import numpy as np

    from selftaught.audit import kinds_matrix
    from selftaught.plans import Network, hard_examples
    from selftaught.training.devices import limited_threads

    seed = int(part["seed"])
    images, truths = planted(config, seed)
    with limited_threads(1):
        found = hard_examples(
            images, Network("cnn", hidden=config.widths), seeds=config.models, config=train_config(config, seed)
        )
    matrix = kinds_matrix(found.kinds, truths)  # type: ignore[arg-type]
    verdicts = {
        kind: {said: int(np.sum(found.kinds.verdict[rows] == said)) for said in (*KINDS, "unclear")}
        for kind, rows in truths.items()
    }
    return [{
        "seed": seed, "n": len(images), "verdicts": verdicts,
        "auroc": {column: {truth: round(value, 5) for truth, value in row.items()} for column, row in matrix.items()},
    }]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Each column must be the best of the three on its own truth."""
    found = [row["auroc"] for row in rows]

    def lead(kind: str) -> list[float]:
        others = [one for one in KINDS if one != kind]
        return [one[kind][kind] - max(one[other][kind] for other in others) for one in found]

    verdict = combine([gain(f"AUROC on {kind} images, the column of that name less the best other", lead(kind))
                       for kind in KINDS])  # fmt: skip
    if not found:
        return verdict
    told = []
    for column in KINDS:
        means = [f"{truth} {sum(one[column][truth] for one in found) / len(found):.3f}" for truth in KINDS]
        told.append(f"mean AUROC of {column}, not part of the rule: {', '.join(means)}")
    return Verdict(verdict.status, (*verdict.findings, *told))


LARGE: dict[str, Any] = {
    "data": "cifar10", "images": 6000, "epochs": 20, "widths": (16, 32, 48), "batch_size": 64,
}  # fmt: skip
CLAIM = Claim(
    name="rare-or-mislabelled",
    sentence=(
        "With flipped labels, means of two images and two rare classes in one training set, the column of each kind "
        "finds its own better than the columns of the other two kinds do."
    ),
    source="Ours; what hard examples are made of: Hooker et al., arXiv 1911.05248, section 5.",
    control="the other two columns on the same truth",
    scales={
        "tiny": Scale(RareOrMislabelled(seeds=5), 50),
        "small": Scale(RareOrMislabelled(seeds=5, **LARGE), 1500),
        "full": Scale(RareOrMislabelled(seeds=10, **{**LARGE, "images": 10000, "epochs": 30}), 12000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
