"""`uneven-training`: a smaller network that spends more on what is uncertain against a larger one treated evenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.known_data import at_hand
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "UnevenTraining"]

#: arm -> (network, how it is treated, share of flipped labels)
ARMS: dict[str, tuple[str, str, bool]] = {
    "small even": ("small", "even", False),
    "small uneven": ("small", "weights", False),
    "small shuffled": ("small", "shuffled", False),
    "small passes": ("small", "passes", False),
    "small skip": ("small", "skip", False),
    "large even": ("large", "even", False),
    "small even, flips": ("small", "even", True),
    "small uneven, flips": ("small", "weights", True),
    "small closeness, flips": ("small", "closeness", True),
}
RULE = ("small even", "small uneven", "small shuffled", "large even")
MARGIN = 0.01
FLIPPED = 0.1


@dataclass(frozen=True)
class UnevenTraining:
    """Trainings on a long-tailed set, all with the same number of multiply-adds.

    Args:
        seeds: how many.
        epochs: of the small network, treated evenly; the others take what costs as much.
        data: the images.
        largest, ratio, test: see `long_tail`.
        small, large: units or channels of the two networks' layers.
        every: epochs between records of what is uncertain; their cost counts.
        share: of the examples that are left where the sure are skipped.
        cap: the most that one example may count.
        lr: of AdamW.
        seed: the first seed.
    """

    seeds: int
    epochs: int
    data: str = "digits"
    largest: int = 120
    ratio: float = 0.05
    test: int = 40
    small: tuple[int, ...] = (16,)
    large: tuple[int, ...] = (64,)
    every: int = 2
    share: float = 0.5
    cap: float = 3.0
    lr: float = 0.01
    seed: int = 0


def plan(config: UnevenTraining) -> list[Part]:
    """Return a part a seed and arm."""
    if not at_hand(config.data):
        return []
    return [{"seed": config.seed + k, "arm": arm} for k in range(config.seeds) for arm in ARMS]


def measure(config: UnevenTraining, part: Part) -> list[dict[str, Any]]:
    """Train one network with as many multiply-adds as all others; test its common and its rare classes."""
    import tempfile

    import torch

    from selftaught.claims.long_tail import images, long_tail, network, recalls, with_flips
    from selftaught.training import (
        AdamW,
        RecordOutcomes,
        TrainConfig,
        Uneven,
        count_flops,
        evaluate,
        fit,
    )  # fmt: skip
    from selftaught.training.batches import as_inputs
    from selftaught.training.devices import limited_threads

    size, treated, flipped = ARMS[part["arm"]]
    seed = part["seed"]
    found = long_tail(images(config.data), largest=config.largest, ratio=config.ratio, test=config.test, seed=seed)
    train = with_flips(found.train, FLIPPED, seed=seed) if flipped else found.train

    one = as_inputs(torch.from_numpy(train.inputs[:1].copy()))
    small = network(train, config.small, seed=seed)
    model = small if size == "small" else network(train, config.large, seed=seed)
    adds, own_adds = count_flops(small, one) // 2, count_flops(model, one) // 2
    trained = config.share if treated == "skip" else 1.0
    recorded = 0.0 if treated == "even" else 1 / (3 * config.every)
    epochs = max(1, round(config.epochs * adds / own_adds / (trained + recorded)))
    settings = TrainConfig(epochs=epochs, batch_size=32, optimiser=AdamW(lr=config.lr), seed=seed, device="cpu")
    with limited_threads(1), tempfile.TemporaryDirectory() as folder:
        record = RecordOutcomes(folder, train, every=config.every)
        how: Any = treated if treated in ("passes", "skip") else "weights"
        by = "closeness" if treated == "closeness" else "confidence"
        uneven = Uneven(record, how=how, by=by, cap=config.cap, share=config.share, shuffled=treated == "shuffled")
        fit(model, train, settings, callbacks=[] if treated == "even" else [record, uneven])
        tested = evaluate(model, found.test)
    spent = 3 * epochs * len(train) if treated == "even" else uneven.spent.multiply_adds(1)
    return [
        {
            "arm": part["arm"], "seed": seed, "epochs": epochs, "multiply_adds": int(spent * own_adds),
            "head": recalls(tested.correct, tested.targets, found.head),
            "tail": recalls(tested.correct, tested.targets, found.tail), "accuracy": tested.score,
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the small network, treated unevenly, with the large one and with its own control, paired by seed."""
    found = {(row["arm"], row["seed"]): row for row in rows}
    seeds = [s for s in sorted({seed for _, seed in found}) if all((arm, s) in found for arm in RULE)]

    def ahead(arm: str, other: str, what: str) -> list[float]:
        return [found[arm, s][what] - found[other, s][what] for s in seeds]

    verdict = combine(
        [
            gain("recall of rare classes, uneven minus by chance", ahead("small uneven", "small shuffled", "tail")),
            gain(
                f"recall of rare classes, small uneven minus large even, at least {-MARGIN:+.2f}",
                ahead("small uneven", "large even", "tail"), margin=-MARGIN,
            ),
            gain(
                f"recall of common classes, small uneven minus large even, at least {-MARGIN:+.2f}",
                ahead("small uneven", "large even", "head"), margin=-MARGIN,
            ),
        ]
    )  # fmt: skip
    told = []
    for arm in ARMS:
        own = [found[arm, s] for s in seeds if (arm, s) in found]
        if own:
            means = (sum(row[what] for row in own) / len(own) for what in ("head", "tail", "multiply_adds"))
            told.append("{}: {:.3f}, {:.3f}, {:.2e}".format(arm, *means))
    if not told:
        return verdict
    return Verdict(
        verdict.status,
        (*verdict.findings, f"head, tail, multiply-adds, not part of the rule; {'; '.join(told)}"),
    )


CLAIM = Claim(
    name="uneven-training",
    sentence=(
        "At equal compute, a smaller network that spends more on what it is unsure of does as well as one of four "
        "times its width that treats all alike, on common and on rare classes, and better on rare ones than with the "
        "same weights given by chance."
    ),
    source="Stated here; the treatment after Chang et al., arXiv 1704.07433, and Jiang et al., arXiv 1910.00762.",
    control=(
        "the same small network with equal weights; with the same weights given to examples by chance; a larger one; "
        "all with as many multiply-adds, records included"
    ),
    scales={
        "tiny": Scale(UnevenTraining(seeds=8, epochs=60), 60),
        "small": Scale(
            UnevenTraining(
                seeds=6, epochs=40, data="cifar10", largest=600, ratio=0.05, test=200, small=(16, 32, 32),
                large=(64, 128, 128), lr=0.003,
            ), 3000,
        ),
        "full": Scale(
            UnevenTraining(
                seeds=12, epochs=120, data="cifar10", largest=800, ratio=0.02, test=200, small=(16, 32, 32),
                large=(64, 128, 128), lr=0.003,
            ), 18000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)  # fmt: skip
