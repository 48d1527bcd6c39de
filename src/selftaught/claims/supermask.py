"""`supermask`: random weights of which only the choice is learned do what trained weights do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Status, Verdict, combine
from selftaught.claims.sparse_starts import drawn_split
from selftaught.claims.statistics import LEAST_SEEDS, gain

__all__ = ["CLAIM", "Supermasks"]

ARMS = ("supermask", "dense", "random mask")
POINT = 0.01  # of accuracy, by which a supermask may be worse


@dataclass(frozen=True)
class Supermasks:
    """Masks found by edge-popup, beside trained weights and a mask drawn at random.

    Args:
        seeds: how many; each has its own split, weights and order.
        keep: share of each layer's weights that a mask keeps.
        epochs: of the scores, and of the trained weights.
        network: "mlp" of 300 and 100 units, or "small_cnn" of 64, 128 and 128 channels.
        data: the examples.
        held: how many of them judge; the others train.
        examples: at most so many are used.
        seed: the first seed.
    """

    seeds: int
    keep: float = 0.5
    epochs: int = 40
    network: Literal["mlp", "small_cnn"] = "mlp"
    data: str = "digits"
    held: int = 500
    examples: int = 12_000
    seed: int = 0


def plan(config: Supermasks) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: Supermasks, part: Part) -> list[dict[str, Any]]:
    """Find a mask, train the weights of the same network, draw a mask; count the weights that the search moved."""
    import torch

    from selftaught.compress import optimise_mask, prune_weights, random_weights
    from selftaught.training import SGD, TrainConfig, evaluate, fit, mlp, small_cnn
    from selftaught.training.devices import limited_threads

    seed = part["seed"]
    train, test = drawn_split(config.data, seed, held=config.held, examples=config.examples)
    settings = TrainConfig(
        epochs=config.epochs, batch_size=64, optimiser=SGD(lr=0.1, momentum=0.9, weight_decay=5e-4),
        evaluate_every=config.epochs, seed=seed, device="cpu",
    )  # fmt: skip
    with limited_threads(1):
        made = mlp(train, hidden=(300, 100), seed=seed) if config.network == "mlp" else small_cnn(train, seed=seed)
        found = optimise_mask(made, train, settings, keep=config.keep, valid=test)
        drawn = random_weights(made, keep=config.keep, seed=seed)
        masks = {name: mask.to(torch.bool) for name, mask in found.masks.items()}
        kept = dict(found.model.named_parameters())
        moved = sum(
            int((kept[name] != (one * masks[name] if name in masks else one)).sum())
            for name, one in drawn.named_parameters()
        )
        at_random = prune_weights(drawn, config.keep, method="random", ranking="per_layer", seed=seed)
        with torch.no_grad():
            for name, one in drawn.named_parameters():
                if name in at_random:
                    one.mul_(at_random[name])
        dense = fit(made, train, settings, valid=test)
    accuracy = {
        "supermask": found.fitted.valid.score if found.fitted.valid else 0.0,
        "dense": dense.valid.score if dense.valid else 0.0,
        "random mask": evaluate(drawn, test).score,
    }
    counts = {
        "supermask": sum(int(mask.sum()) for mask in masks.values()),
        "dense": sum(mask.numel() for mask in masks.values()),
        "random mask": sum(int(mask.sum()) for mask in at_random.values()),
    }
    return [
        {
            "seed": seed, "arm": arm, "accuracy": accuracy[arm], "kept": counts[arm] / counts["dense"],
            "moved": moved if arm == "supermask" else None,
        }
        for arm in ARMS
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare a mask to trained weights, within a point, and to a random mask, paired by seed; no weight may move."""
    accuracy = {(row["arm"], row["seed"]): row["accuracy"] for row in rows}
    seeds = [s for s in sorted({seed for _, seed in accuracy}) if all((arm, s) in accuracy for arm in ARMS)]
    close = gain(
        f"accuracy, supermask minus trained weights, above -{POINT:g}",
        [accuracy["supermask", s] - accuracy["dense", s] for s in seeds], margin=-POINT,
    )  # fmt: skip
    learned = gain(
        "accuracy, supermask minus a random mask of the same density",
        [accuracy["supermask", s] - accuracy["random mask", s] for s in seeds],
    )
    moved = [row["moved"] for row in rows if row["arm"] == "supermask"]
    still: Status = "inconclusive"
    if len(moved) >= LEAST_SEEDS:
        still = "refuted" if any(moved) else "reproduced"
    fixed = Verdict(still, (f"weights that the search moved: {sum(moved)} in {len(moved)} searches: {still}",))
    both = combine([close, learned, fixed])
    if not seeds:
        return both
    means = {arm: sum(accuracy[arm, s] for s in seeds) / len(seeds) for arm in ARMS}
    told = ", ".join(f"{arm} {value:.4f}" for arm, value in means.items())
    return Verdict(both.status, (*both.findings, f"means, not part of the rule: {told}"))


CLAIM = Claim(
    name="supermask",
    sentence=(
        "A mask of half the weights, learned over random weights of which none changes, is within a point of the "
        "accuracy of the same network with trained weights."
    ),
    source="Ramanujan et al., arXiv 1911.13299; the bar of a point, on a multi-layer perceptron, is ours.",
    control="a random mask of the same density over the same weights, never trained; the trained dense network",
    scales={
        "tiny": Scale(Supermasks(seeds=5), 60),
        "small": Scale(Supermasks(seeds=5, network="small_cnn", data="cifar10", held=2000, epochs=20), 12_000),
        "full": Scale(Supermasks(seeds=10, network="small_cnn", data="cifar10", held=2000, epochs=60), 70_000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
