"""`protected-compression`: at the same widths, the class that loses most loses at most half as much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.sparse_starts import drawn_split
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "ProtectedCompression"]

ARMS = ("plain", "longer", "distilled", "protected")


@dataclass(frozen=True)
class ProtectedCompression:
    """A trained network that loses channels, fine-tuned plainly, twice as long, by its dense self, and with protection.

    Args:
        seeds: how many; each has its own split, weights and order.
        network: "mlp" of 64 and 64 units, or "small_cnn" of 64, 128 and 128 channels.
        ratio: share of the channels that go.
        round_to: widths left are a multiple of it.
        epochs: of the dense training.
        tuning: epochs of fine-tuning; protection takes up to twice as many, stated in the rows.
        lr: of fine-tuning.
        data: the examples.
        held: how many of them judge.
        examples: at most so many are used.
        seed: the first seed.
    """

    seeds: int
    network: Literal["mlp", "small_cnn"] = "mlp"
    ratio: float = 0.875
    round_to: int = 8
    epochs: int = 20
    tuning: int = 4
    lr: float = 0.05
    data: str = "digits"
    held: int = 900
    examples: int = 12_000
    seed: int = 0


def plan(config: ProtectedCompression) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: ProtectedCompression, part: Part) -> list[dict[str, Any]]:
    """Train the dense network, cut it once for each arm, and take the largest drop of a recall on unseen examples."""
    import numpy as np

    from selftaught.plans import Channels, FineTune, Plan, protect, run_plan
    from selftaught.plans.comparison import largest_drop, rates
    from selftaught.seeds import rng_for
    from selftaught.training import SGD, TrainConfig, evaluate, fit, mlp, small_cnn
    from selftaught.training.devices import limited_threads

    seed = part["seed"]
    known, test = drawn_split(config.data, seed, held=config.held, examples=config.examples)
    order = rng_for(seed, "protected compression, validation").permutation(len(known))
    valid, train = (known.take(np.sort(rows)) for rows in np.split(order, [len(known) // 5]))

    def settings(epochs: int, lr: float) -> TrainConfig:
        return TrainConfig(
            epochs=epochs, batch_size=64, optimiser=SGD(lr=lr), evaluate_every=epochs, seed=seed, channels_last=False,
            device="cpu",
        )  # fmt: skip

    with limited_threads(1):
        made = mlp(train, hidden=(64, 64), seed=seed) if config.network == "mlp" else small_cnn(train, seed=seed)
        dense = fit(made, train, settings(config.epochs, 0.1)).model.eval()
        before = evaluate(dense, test)
        shares = rates(before.correct, test)
        rows = []
        for arm in ARMS:
            tune = FineTune(training=settings(config.tuning, config.lr), distil=0.9 if arm == "distilled" else 0.0)
            again = (FineTune(training=settings(config.tuning, config.lr / 2)),) if arm == "longer" else ()
            steps = Plan(steps=(Channels(ratio=config.ratio, round_to=config.round_to), tune, *again), seed=seed)
            found = protect(dense, train, valid, steps) if arm == "protected" else run_plan(dense, train, steps)
            after = evaluate(found.model, test)
            rows.append(
                {"seed": seed, "arm": arm, "drop": largest_drop(shares, rates(after.correct, test)),
                 "accuracy": after.score, "dense": before.score, "widths": [list(one) for one in found.widths.values()],
                 "plan": str(found.plan)}
            )  # fmt: skip
    return rows


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare half the largest drop without protection to the largest drop with it, paired by seed."""
    held = {(row["arm"], row["seed"]): row for row in rows}
    seeds = [s for s in sorted({seed for _, seed in held}) if all((arm, s) in held for arm in ARMS)]
    seeds = [s for s in seeds if held["plain", s]["widths"] == held["protected", s]["widths"]]
    half = gain(
        "half the largest drop of a class without protection, minus the largest with it",
        [held["plain", s]["drop"] / 2 - held["protected", s]["drop"] for s in seeds],
    )
    if not seeds:
        return half

    def mean(arm: str, name: str) -> float:
        return sum(float(held[arm, s][name]) for s in seeds) / len(seeds)

    told = [f"{arm} {mean(arm, 'drop'):.4f} (accuracy {mean(arm, 'accuracy'):.4f})" for arm in ARMS]
    dense = f"dense accuracy {mean('plain', 'dense'):.4f}"
    means = f"means of the largest drop, not part of the rule: {', '.join(told)}; {dense}"
    return Verdict(half.status, (*combine([half]).findings, means))


CLAIM = Claim(
    name="protected-compression",
    sentence=(
        "A network that loses channels can keep its classes: with protection the largest drop of a class's recall is "
        "at most half of that without, at the same widths."
    ),
    source="Ours; the harm is that of Hooker et al., arXiv 1911.05248 and 2010.03058.",
    control="the same cut, fine-tuned without protection; as long as protection takes; with the dense one as teacher",
    scales={
        "tiny": Scale(ProtectedCompression(seeds=8), 60),
        "small": Scale(
            ProtectedCompression(
                seeds=5, network="small_cnn", ratio=0.5, round_to=16, epochs=12, data="cifar10", held=2000
            ),
            5000,
        ),
        "full": Scale(
            ProtectedCompression(
                seeds=10, network="small_cnn", ratio=0.5, round_to=16, epochs=30, tuning=10, data="cifar10", held=2000
            ),
            30_000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
