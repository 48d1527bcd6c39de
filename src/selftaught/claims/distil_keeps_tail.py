"""`distil-keeps-tail`: a small student keeps more of the rare classes with a teacher than without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.known_data import at_hand
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "DistilKeepsTail"]

STUDENTS = ("pruned", "small")
ARMS = ("taught", "alone", "smoothed")


@dataclass(frozen=True)
class DistilKeepsTail:
    """Students of a teacher on a long-tailed set; all have as many epochs.

    Args:
        seeds: how many.
        epochs: of teacher and students.
        data: the images.
        largest, ratio, test: see `long_tail`.
        teacher, small: units or channels of the teacher's and of the small student's layers.
        density: of the pruned student, which is as wide as the teacher.
        temperature, alpha: of the distillation.
        lr: of AdamW.
        seed: the first seed.
    """

    seeds: int
    epochs: int
    data: str = "digits"
    largest: int = 120
    ratio: float = 0.05
    test: int = 40
    teacher: tuple[int, ...] = (64,)
    small: tuple[int, ...] = (16,)
    density: float = 0.1
    temperature: float = 4.0
    alpha: float = 0.9
    lr: float = 0.01
    seed: int = 0


def plan(config: DistilKeepsTail) -> list[Part]:
    """Return a part a seed."""
    if not at_hand(config.data):
        return []
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: DistilKeepsTail, part: Part) -> list[dict[str, Any]]:
    """Train a teacher, and each student with it, alone, and with labels as soft as the teacher's answers."""
    import numpy as np

    from selftaught.claims.long_tail import images, long_tail, network, recalls
    from selftaught.compress import Distillation, GradualPruning
    from selftaught.training import AdamW, TrainConfig, evaluate, fit
    from selftaught.training.devices import limited_threads

    seed = part["seed"]
    found = long_tail(images(config.data), largest=config.largest, ratio=config.ratio, test=config.test, seed=seed)
    train = found.train
    settings = TrainConfig(epochs=config.epochs, batch_size=32, optimiser=AdamW(lr=config.lr), seed=seed, device="cpu")
    rows = []
    with limited_threads(1):
        teacher = network(train, config.teacher, seed=seed)
        fit(teacher, train, settings)
        told = evaluate(teacher, train).scores / config.temperature
        shares = np.exp(told - told.max(axis=1, keepdims=True))
        shares = config.alpha * shares / shares.sum(axis=1, keepdims=True)
        shares[np.arange(len(shares)), train.labels] += 1 - config.alpha
        entropy = float(-(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=1).mean())
        smoothing = smoothing_of(entropy, train.num_classes)
        for student in ("teacher", *STUDENTS):
            for arm in ("alone",) if student == "teacher" else ARMS:
                model = teacher
                if student != "teacher":
                    widths = config.teacher if student == "pruned" else config.small
                    model = network(train, widths, seed=seed + 10**6)
                    added: list[Any] = [GradualPruning(config.density, every=10)] if student == "pruned" else []
                    added += [Distillation(teacher, config.temperature, config.alpha)] if arm == "taught" else []
                    own = settings.model_copy(update={"label_smoothing": smoothing if arm == "smoothed" else 0.0})
                    fit(model, train, own, callbacks=added)
                tested = evaluate(model, found.test)
                rows.append(
                    {
                        "student": student, "arm": arm, "seed": seed, "smoothing": round(smoothing, 4),
                        "head": recalls(tested.correct, tested.targets, found.head),
                        "tail": recalls(tested.correct, tested.targets, found.tail), "accuracy": tested.score,
                    }
                )  # fmt: skip
    return rows


def smoothing_of(entropy: float, classes: int) -> float:
    """Return the label smoothing whose labels have this entropy, in nats.

    >>> round(smoothing_of(0.0, 10), 6), round(smoothing_of(2.302585, 10), 3)
    (0.0, 0.999)
    """
    import math

    low, high = 0.0, 0.999
    for _ in range(60):
        middle = (low + high) / 2
        other = middle / classes
        own = 1 - middle + other
        told = -own * math.log(own) - (classes - 1) * (other * math.log(other) if other else 0.0)
        low, high = (middle, high) if told < entropy else (low, middle)
    return low


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the recall of rare classes with the teacher and without, paired by seed, for both students."""
    found = {(row["student"], row["arm"], row["seed"]): row for row in rows}
    seeds = sorted({seed for _, _, seed in found})
    whole = [s for s in seeds if all((student, arm, s) in found for student in STUDENTS for arm in ARMS)]
    verdict = combine(
        [
            gain(
                f"{student} student, recall of rare classes, with a teacher minus {what}",
                [found[student, "taught", s]["tail"] - found[student, arm, s]["tail"] for s in whole],
            )
            for student in STUDENTS
            for arm, what in (("alone", "without"), ("smoothed", "labels as soft"))
        ]
    )
    told = []
    for student, arm in (("teacher", "alone"), *((student, arm) for student in STUDENTS for arm in ARMS)):
        own = [found[student, arm, s] for s in whole if (student, arm, s) in found]
        if own:
            head, tail = (sum(row[what] for row in own) / len(own) for what in ("head", "tail"))
            told.append(f"{student} {arm} {head:.3f}, {tail:.3f}")
    if not told:
        return verdict
    return Verdict(verdict.status, (*verdict.findings, f"head, tail, not part of the rule: {'; '.join(told)}"))


CLAIM = Claim(
    name="distil-keeps-tail",
    sentence=(
        "A pruned and a small student of a teacher have more of the rare classes right than without the teacher, and "
        "than with labels that are smoothed as much."
    ),
    source="Stated here; distillation after Hinton, Vinyals and Dean, arXiv 1503.02531.",
    control="the same student without a teacher; with label smoothing of the same entropy as the teacher's answers",
    scales={
        "tiny": Scale(DistilKeepsTail(seeds=6, epochs=80), 60),
        "small": Scale(
            DistilKeepsTail(
                seeds=6, epochs=30, data="cifar10", largest=600, test=200, teacher=(64, 128, 128), small=(16, 32, 32),
                lr=0.003,
            ), 4000,
        ),
        "full": Scale(
            DistilKeepsTail(
                seeds=12, epochs=100, data="cifar10", largest=800, ratio=0.02, test=200, teacher=(64, 128, 128),
                small=(16, 32, 32), lr=0.003,
            ), 25000,
        ),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)  # fmt: skip
