"""`cell-transfer`: the cell that is best in a small network is better than most in a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.known_data import table_at_hand
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "CellTransfer"]


@dataclass(frozen=True)
class CellTransfer:
    """Cells drawn at random, each trained small and large.

    Args:
        cells: drawn a seed and trained.
        drawn: cells a seed of the published table, where it is at hand.
        examples: of digits, to train the small networks on.
        epochs: of small and of large networks.
        widths: of small and of large networks.
        repeats: cells a stage of small and of large networks.
        seeds: draws.
        seed: the first seed.
    """

    cells: int
    drawn: int
    examples: int
    epochs: tuple[int, int]
    widths: tuple[int, int]
    repeats: tuple[int, int]
    seeds: int
    seed: int = 0


def plan(config: CellTransfer) -> list[Part]:
    """Return a part a seed and kind of data."""
    kinds = ["digits", *(["nb201"] if table_at_hand("nb201") else [])]
    return [{"data": data, "seed": config.seed + k} for data in kinds for k in range(config.seeds)]


def measure(config: CellTransfer, part: Part) -> list[dict[str, Any]]:
    """Score cells small and large; return the pick by the small score beside the mean of all."""
    pairs = _trained(config, part["seed"]) if part["data"] == "digits" else _tabled(config, part["seed"])
    small, large = [a for a, _ in pairs], [b for _, b in pairs]
    return [
        {
            "data": part["data"], "seed": part["seed"], "cells": len(pairs), "pick": large[small.index(max(small))],
            "mean": sum(large) / len(large), "best": max(large), "spearman": _spearman(small, large),
        }
    ]  # fmt: skip


def _trained(config: CellTransfer, seed: int) -> list[tuple[float, float]]:
    from selftaught.objectives import NetworkObjective, search_task
    from selftaught.seeds import rng_for
    from selftaught.spaces import find_space

    space = find_space("nb201")
    rng = rng_for(seed, "cell transfer")
    tasks = search_task("digits", seed=seed, examples=config.examples), search_task("digits", seed=seed)
    small, large = (
        NetworkObjective("nb201", task, epochs=epochs, width=width, cells=repeats, seed=seed, device="cpu")
        for task, epochs, width, repeats in zip(tasks, config.epochs, config.widths, config.repeats, strict=True)
    )
    drawn = [space.sample(rng) for _ in range(config.cells)]
    return [(round(small(cell).value, 4), round(large(cell).value, 4)) for cell in drawn]


def _tabled(config: CellTransfer, seed: int) -> list[tuple[float, float]]:
    """Return short trainings on CIFAR-10 beside full ones on ImageNet16-120, of random cells of the table."""
    from selftaught.claims.known_spaces import known_space
    from selftaught.seeds import rng_for

    known = known_space("nb201")
    rows = rng_for(seed, "cell transfer").choice(len(known.rows), config.drawn, replace=False)
    small, large = known.columns["c10_val_12"][rows], known.columns["in16_test_200"][rows]
    return [(float(a), float(b)) for a, b in zip(small, large, strict=True)]


def _spearman(small: Sequence[float], large: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(small) < 3 or len(set(small)) < 2 or len(set(large)) < 2:
        return None
    return round(float(spearmanr(small, large).statistic), 4)


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the pick by the small score with the mean cell; tell how the orders agree, and what is lost."""
    verdicts, told = [], []
    for data in sorted({row["data"] for row in rows}):
        mine = sorted((row for row in rows if row["data"] == data), key=lambda row: row["seed"])
        gains = [float(row["pick"]) - float(row["mean"]) for row in mine]
        verdicts.append(gain(f"{data}: points the pick is better than a random cell, both large", gains, digits=2))
        ranks = [float(row["spearman"]) for row in mine if row["spearman"] is not None]
        lost = [float(row["best"]) - float(row["pick"]) for row in mine]
        mean = f"{sum(ranks) / len(ranks):.2f}" if ranks else "unknown"
        told.append(
            f"{data}: rank correlation of small and large {mean}; the pick is {sum(lost) / len(lost):.2f} points "
            "behind the best of its draw"
        )
    found = combine(verdicts) if verdicts else Verdict("inconclusive", ("nothing was measured",))
    return Verdict(found.status, (*found.findings, *told))


CLAIM = Claim(
    name="cell-transfer",
    sentence=(
        "Of cells drawn at random, the one with the best score in a small network after a short training is better "
        "than the mean of them in a larger network trained longer: on digits, and, where the table of NAS-Bench-201 is "
        "at hand, from 12 epochs on CIFAR-10 to 200 epochs on ImageNet16-120."
    ),
    source=(
        "Learning Transferable Architectures for Scalable Image Recognition, arXiv 1707.07012; NAS-Bench-201, arXiv "
        "2001.00326, where the accuracies of cells on its data sets are correlated."
    ),
    control="a cell drawn at random from the same draw: the mean of all of them, large",
    scales={
        "tiny": Scale(CellTransfer(4, 50, 1000, (2, 4), (4, 8), (1, 1), 5), 60),
        "small": Scale(CellTransfer(10, 100, 1000, (3, 10), (8, 16), (1, 3), 10), 7200),
        "full": Scale(CellTransfer(30, 200, 1000, (3, 30), (8, 32), (1, 5), 20), 300_000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
)
