"""`structured-is-faster`: half of the channels removed, beside the same channels masked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.masked_is_not_faster import NETWORKS, drawn_network
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "StructuredIsFaster"]

LEAST, MOST = 3.0, 5.0  # times as fast


@dataclass(frozen=True)
class StructuredIsFaster:
    """Networks of three convolutions of which half of the channels go.

    Args:
        seeds: how many networks.
        widths: channels of the convolutions.
        ratio: share of the channels that goes.
        batch: examples of a pass.
        rounds: turns of each form.
        seed: the first seed.
    """

    seeds: int
    widths: tuple[int, ...] = (64, 128, 128)
    ratio: float = 0.5
    batch: int = 32
    rounds: int = 15
    seed: int = 0


def plan(config: StructuredIsFaster) -> list[Part]:
    """Return a part a seed."""
    return [{"seed": config.seed + k} for k in range(config.seeds)]


def measure(config: StructuredIsFaster, part: Part) -> list[dict[str, Any]]:
    """Time a network, the smaller one, and one with the same channels masked, in turns; return one row."""
    import copy
    import time

    from selftaught.compress import measure_gains, prune_channels

    dense, inputs = drawn_network(NETWORKS[1], config.widths, part["seed"])
    pruned = prune_channels(dense, inputs[:2], ratio=config.ratio)
    masked = copy.deepcopy(dense)
    for name, mask in pruned.masks.items():
        masked.get_parameter(name).mul_(mask)
    models = {"dense": dense, "removed": pruned.model.requires_grad_(False), "masked": masked}
    found = measure_gains(models, inputs, batch=config.batch, rounds=config.rounds, clock=time.thread_time)
    rows = {row.name: row for row in found.rows}
    return [
        {
            **part, "batch": config.batch, "least": LEAST, "most": MOST, "theoretical": rows["removed"].theoretical,
            "ratio": rows["removed"].realised, "masked_ratio": rows["masked"].realised, "noise": found.noise,
            "parameters": list(pruned.parameters),
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the speed with both ends of what is claimed, on a logarithmic scale."""
    if not rows:
        return Verdict("inconclusive", ("nothing was measured",))
    mean, masked, theoretical = (_mean([row[k] for row in rows]) for k in ("ratio", "masked_ratio", "theoretical"))
    said = f"{mean:.2f} times as fast with {theoretical:.2f} times fewer multiply-adds"
    found = combine(
        [
            gain(
                f"{said}; doublings beyond {rows[0]['least']:g} times",
                [math.log2(row["ratio"] / row["least"]) for row in rows], digits=2,
            ),
            gain(
                f"doublings below {rows[0]['most']:g} times",
                [math.log2(row["most"] / row["ratio"]) for row in rows], digits=2,
            ),
        ]
    )  # fmt: skip
    share = (mean - 1) / (theoretical - 1) if theoretical > 1 else 0.0
    told = f"not part of the rule: {share:.0%} of the theoretical gain; the same channels masked, {masked:.2f} times"
    return Verdict(found.status, (*found.findings, told))


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


CLAIM = Claim(
    name="structured-is-faster",
    sentence=(
        "Half of the channels removed from a network of three convolutions (64, 128, 128; 32 x 32; batch 32) make it 3 "
        "to 5 times as fast on one thread."
    ),
    source="Ours; Li et al., arXiv 1608.08710, for the removal of whole filters.",
    control="the same channels masked instead of removed, timed in turns, and the dense network against itself",
    scales={
        "tiny": Scale(StructuredIsFaster(seeds=6), 50),
        "small": Scale(StructuredIsFaster(seeds=12, rounds=60), 500),
        "full": Scale(StructuredIsFaster(seeds=24, rounds=200), 4000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
    timed=True,
)
