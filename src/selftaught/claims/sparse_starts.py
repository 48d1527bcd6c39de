"""`sparse-starts`: ways to a sparse network, in the order in which they keep its accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

if TYPE_CHECKING:
    from torch import nn

    from selftaught.examples import Examples
    from selftaught.training import Callback

__all__ = ["ARMS", "CLAIM", "REFERENCE", "SparseStarts", "drawn_split"]

#: Accuracy on digits with 3 % of the weights, three seeds, measured before this package was written: the order.
REFERENCE: Mapping[str, float] = {
    "gradual": 0.981, "synflow": 0.973, "rewound": 0.972, "rigl": 0.968, "snip": 0.966, "grasp": 0.955,
    "new weights": 0.951, "set": 0.844, "erk": 0.695, "random": 0.258, "magnitude": 0.078,
}  # fmt: skip
#: What is trained in a part; "ticket" is the dense network, its ticket, and the ticket's two controls.
ARMS = (
    "ticket", "random", "erk", "magnitude", "snip", "grasp", "synflow", "set", "rigl", "top-kast", "gradual",
)  # fmt: skip
INFORMED = ("snip", "grasp", "synflow")  # starts that look at the network or at data
JUDGED = 0.03  # the density of the rule
ALL = (0.1, JUDGED, 0.01)
LEAST = 0.8  # rank correlation


@dataclass(frozen=True)
class SparseStarts:
    """Trainings of a multi-layer perceptron of 300 and 100 units, sparse in other ways to the same density.

    Args:
        seeds: how many; each has its own split, initial weights and order.
        densities: shares of the weights that are left; the rule reads 0.03.
        epochs: of each training.
        every: steps between rounds of SET and RigL.
        data: the examples.
        held: how many of them judge; the others train.
        examples: at most so many are used.
        seed: the first seed.
    """

    seeds: int
    densities: tuple[float, ...] = (JUDGED,)
    epochs: int = 40
    every: int = 25
    data: str = "digits"
    held: int = 500
    examples: int = 12_000
    seed: int = 0


def drawn_split(data: str, seed: int, *, held: int, examples: int) -> tuple[Examples, Examples]:
    """Return what trains and what judges, drawn anew for each seed from at most so many examples."""
    import selftaught
    from selftaught.seeds import rng_for

    whole = selftaught.load(data)
    order = rng_for(seed, "sparse starts").permutation(len(whole))[:examples]
    return whole.take(order[held:]), whole.take(order[:held])


def plan(config: SparseStarts) -> list[Part]:
    """Return a part a seed, density and way."""
    return [
        {"seed": config.seed + k, "density": density, "arm": arm}
        for density in config.densities
        for k in range(config.seeds)
        for arm in ARMS
    ]


def measure(config: SparseStarts, part: Part) -> list[dict[str, Any]]:
    """Train one way; a row has the accuracy, and the weights that are left as a share of all."""
    from selftaught.compress import rewind, sparsity
    from selftaught.errors import DivergedError
    from selftaught.training import SGD, TrainConfig, fit, mlp
    from selftaught.training.devices import limited_threads

    seed, density = part["seed"], part["density"]
    train, test = drawn_split(config.data, seed, held=config.held, examples=config.examples)
    settings = TrainConfig(
        epochs=config.epochs, batch_size=64, optimiser=SGD(lr=0.1, momentum=0.9), evaluate_every=config.epochs,
        seed=seed, device="cpu",
    )  # fmt: skip

    def make(own: int) -> nn.Module:
        return mlp(train, hidden=(300, 100), seed=own)

    with limited_threads(1):
        if part["arm"] == "ticket":
            ticket = rewind(make, train, settings, density=density, valid=test, allow_collapse=True)
            fitted = {
                "dense": ticket.dense, "rewound": ticket.rewound, "new weights": ticket.new_weights,
                "layers' densities at random": ticket.random_masks,
            }  # fmt: skip
        else:
            model = make(seed)
            added = _callbacks(part["arm"], model, train, density, seed, config.every)
            try:
                fitted = {part["arm"]: fit(model, train, settings, valid=test, callbacks=added)}
            except DivergedError:  # weights that cannot be trained at this rate
                return [{**part, "accuracy": 0.0, "kept": 0.0}]
    return [
        {
            "seed": seed, "density": density, "arm": arm, "accuracy": one.valid.score if one.valid else 0.0,
            "kept": 1 - sparsity(one.model).of_prunable,
        }
        for arm, one in fitted.items()
    ]  # fmt: skip


def _callbacks(
    arm: str, model: nn.Module, train: Examples, density: float, seed: int, every: int
) -> list[Callback]:
    """Return what makes a training sparse in one of the ways."""
    from selftaught.compress import SET, GradualPruning, RigL, TopKAST, prune_weights
    from selftaught.training import Masks

    if arm == "set":
        return [SET(density, every=every)]
    if arm == "rigl":
        return [RigL(density, every=every)]
    if arm == "top-kast":
        return [TopKAST(density, extra=min(density, 1 - density))]
    if arm == "gradual":
        return [GradualPruning(density, ranking="global", allow_collapse=True)]
    ways: dict[str, Any] = {"method": "random", "ranking": "erk"} if arm == "erk" else {"method": arm}
    return [Masks(prune_weights(model, density, data=train, seed=seed, allow_collapse=True, **ways))]


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the order to the reference, and starts that look at anything to random masks, both paired by seed."""
    found = {(row["density"], row["seed"], row["arm"]): row["accuracy"] for row in rows}
    seeds = [
        seed
        for seed in sorted({one for density, one, _ in found if density == JUDGED})
        if all((JUDGED, seed, arm) in found for arm in REFERENCE)
    ]
    order = gain(
        f"rank correlation with the reference order at density {JUDGED:g}, minus {LEAST}",
        [_correlation([found[JUDGED, seed, arm] for arm in REFERENCE]) - LEAST for seed in seeds],
    )
    informed = gain(
        "accuracy, mean of SNIP, GraSP and SynFlow, minus random masks",
        [
            float(np.mean([found[JUDGED, seed, arm] for arm in INFORMED])) - found[JUDGED, seed, "random"]
            for seed in seeds
        ],
    )
    both = combine([order, informed])
    return Verdict(both.status, (*both.findings, *_told(found)))


def _told(found: Mapping[tuple[float, int, str], float]) -> list[str]:
    """Return the means of each density, best first."""
    told = []
    for density in sorted({one for one, _, _ in found}, reverse=True):
        arms = sorted({arm for one, _, arm in found if one == density})
        means = {arm: float(np.mean([v for (d, _, a), v in found.items() if (d, a) == (density, arm)])) for arm in arms}
        ranked = sorted(means, key=lambda arm: -means[arm])
        told.append(
            f"means at density {density:g}, not part of the rule: "
            + ", ".join(f"{arm} {means[arm]:.3f}" for arm in ranked)
        )
    return told


def _correlation(accuracies: Sequence[float]) -> float:
    """Return Spearman's rank correlation with the reference; 0 where nothing differs."""
    from scipy.stats import spearmanr

    if np.ptp(accuracies) == 0:
        return 0.0
    return float(spearmanr(accuracies, list(REFERENCE.values())).statistic)


CLAIM = Claim(
    name="sparse-starts",
    sentence=(
        "With 3 % of its weights a multi-layer perceptron keeps its accuracy by way of gradual pruning, SynFlow, "
        "rewinding, RigL and SNIP, less of it by GraSP, new weights under the ticket's mask and SET, and loses it with "
        "random masks and with the largest initial weights: in this order, with a rank correlation above 0.8."
    ),
    source=(
        "Methods: arXiv 1710.01878, 2006.05467, 1803.03635, 1911.11134, 1810.02340, 2002.07376 and 1707.04780; the "
        "order is that of an earlier measurement of ours."
    ),
    control="random masks of the same density, over all layers and by layer; the dense network beside them",
    scales={
        "tiny": Scale(SparseStarts(seeds=5), 60),
        "small": Scale(SparseStarts(seeds=5, densities=ALL, data="cifar10", held=2000, every=100), 6000),
        "full": Scale(SparseStarts(seeds=10, densities=ALL, epochs=100, data="cifar10", held=2000, every=100), 30_000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
