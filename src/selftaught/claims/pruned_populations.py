"""Populations at levels of sparsity, trained on images of which two classes are rare: what several claims measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selftaught.examples import Examples

__all__ = ["PrunedPopulations", "image_split", "ladder", "level_rows"]

RARE = 2


@dataclass(frozen=True)
class PrunedPopulations:
    """Networks trained dense and with gradual magnitude pruning, the same share in every layer.

    Args:
        seeds: ladders, each on a split of its own.
        levels: shares of weights that are zero; the first is dense.
        models: of a population.
        common, rare: training images of a common and of a rare class; two classes are rare, others at other seeds.
        kept: images a class that are kept apart, at most.
        epochs: of each training.
        widths: of the convolutions.
        batch_size: images a step.
        lr: the largest learning rate.
        data: the images.
        seed: the first seed.
    """

    seeds: int
    levels: tuple[float, ...] = (0.0, 0.5, 0.9, 0.95)
    models: int = 6
    common: int = 80
    rare: int = 14
    kept: int = 90
    epochs: int = 15
    widths: tuple[int, ...] = (16, 32)
    batch_size: int = 32
    lr: float = 0.1
    data: str = "digits"
    seed: int = 0


def image_split(config: Any, seed: int) -> tuple[Examples, Examples, tuple[int, int]]:
    """Return the training images, the kept ones with every class alike, and the two rare classes."""
    import numpy as np

    import selftaught
    from selftaught.examples import Examples
    from selftaught.layers.image_tasks import shrink
    from selftaught.seeds import rng_for

    given = selftaught.load(config.data, split="all") if config.data == "cifar10" else selftaught.load(config.data)
    images = Examples(shrink(given.inputs), given.labels, given.ids, class_names=given.class_names, name=given.name)
    labels = np.asarray(images.labels)
    order = rng_for(seed, "pruned populations").permutation(len(images))
    first, second = (int(c) for c in rng_for(seed, "rare classes").permutation(images.num_classes)[:RARE])
    least = int(np.bincount(labels).min()) - config.common
    train, kept = [], []
    for c in range(images.num_classes):
        own = order[labels[order] == c]
        train.append(own[: config.rare if c in (first, second) else config.common])
        kept.append(own[config.common :][: min(config.kept, least)])
    return images.take(np.sort(np.concatenate(train))), images.take(np.sort(np.concatenate(kept))), (first, second)


def ladder(
    config: PrunedPopulations, seed: int, *, levels: Sequence[float], split: int | None = None
) -> tuple[Any, Examples, tuple[int, int]]:
    """Train the ladder of a seed; return its rungs, the kept images and the rare classes.

    Args:
        config: what is trained.
        seed: of the trainings.
        levels: of sparsity.
        split: seed of the split, where it is another.
    """
    from selftaught.plans import Network, train_ladder
    from selftaught.training import SGD, OneCycle, TrainConfig
    from selftaught.training.devices import limited_threads

    train, kept, rare = image_split(config, split if split is not None else seed)
    settings = TrainConfig(
        epochs=config.epochs, batch_size=config.batch_size, optimiser=SGD(lr=config.lr), schedule=OneCycle(),
        seed=seed, device="cpu",
    )  # fmt: skip
    with limited_threads(1):
        rungs = train_ladder(
            train, kept, Network("cnn", hidden=config.widths), levels=levels, models=config.models, config=settings
        )
    return rungs, kept, rare


def level_rows(config: PrunedPopulations, seed: int) -> list[dict[str, Any]]:
    """Return a row a level: what was forgotten against the dense population beside its null, and which classes paid."""
    from selftaught.audit import sweep

    rungs, kept, rare = ladder(config, seed, levels=config.levels)
    found = sweep({one.sparsity: one.population for one in rungs}, kept)
    rows: list[dict[str, Any]] = []
    for level in found.levels:
        row: dict[str, Any] = {
            "seed": seed, "sparsity": level.amount, "accuracy": round(level.accuracy, 5),
            "deviation": round(level.deviation, 5), "kept": len(kept),
        }  # fmt: skip
        told = level.audit
        if told is not None and told.on_pie is not None:
            classes = [one for one in told.impacts if one.measure == "recall"]
            lost = {kind: [one.finding.value for c, one in enumerate(classes) if (c in rare) == is_rare]
                    for kind, is_rare in (("rare", True), ("common", False))}  # fmt: skip
            before = {kind: [one.before for c, one in enumerate(classes) if (c in rare) == is_rare]
                      for kind, is_rare in (("rare", True), ("common", False))}  # fmt: skip
            on = told.on_pie
            row |= {
                "pie": round(told.pie.rate, 5), "churn": round(told.pie.churn, 5),
                "verdict": told.pie.finding.verdict, "pie_all": round(float(told.pie.changed.mean()), 5),
                "dense_on": _number(on.before_on), "dense_off": _number(on.before_off),
                "sparse_on": _number(on.after_on), "sparse_off": _number(on.after_off),
                "overlap": _number(told.overlap), "rejections": _number(told.null_rejections),
                "significant": sum(one.significant for one in classes), "safest": found.safest.name,
                **{f"{kind}_before": _number(sum(ones) / len(ones)) for kind, ones in before.items()},
                **{f"{kind}_change": _number(sum(ones) / len(ones)) for kind, ones in lost.items()},
            }  # fmt: skip
        rows.append(row)
    return rows


def _number(value: float) -> float | None:
    """Return a number for JSON; None where there is none, such as the accuracy on an empty list."""
    return None if value != value else round(float(value), 5)
