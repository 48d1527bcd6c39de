"""`masked-is-not-faster`: zeros in dense matrices against the same matrices without them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "MaskedIsNotFaster", "drawn_network"]

NETWORKS = ("linear 1024 x 1024", "three convolutions")
LABEL = "0 % realised"
WITHIN = 0.1  # of 1.00


@dataclass(frozen=True)
class MaskedIsNotFaster:
    """Networks of drawn weights, nine in ten of which are masked.

    Args:
        seeds: how many of each network.
        networks: of `NETWORKS`.
        widths: channels of the convolutions.
        density: share of weights that stay.
        batch: examples of a pass.
        rounds: turns of each form; ten times as many of a single layer, which takes a millisecond.
        seed: the first seed.
    """

    seeds: int
    networks: tuple[str, ...] = NETWORKS
    widths: tuple[int, ...] = (64, 128, 128)
    density: float = 0.1
    batch: int = 32
    rounds: int = 30
    seed: int = 0


def drawn_network(name: str, widths: Sequence[int], seed: int) -> tuple[Any, Any]:
    """Return a network with weights drawn by a seed, and inputs for it (n, ...); what is timed does not need data."""
    import numpy as np
    import torch
    from torch import nn

    from selftaught.examples import Examples
    from selftaught.seeds import rng_for
    from selftaught.training import small_cnn

    rng = rng_for(seed, "speed of networks", name)
    if name == NETWORKS[0]:
        layer = nn.Linear(1024, 1024)
        layer.weight.data.copy_(torch.from_numpy(rng.standard_normal((1024, 1024), dtype=np.float32) / 32))
        return layer.requires_grad_(False), torch.from_numpy(rng.standard_normal((32, 1024), dtype=np.float32))
    pixels = rng.integers(0, 256, (32, 32, 32, 3)).astype(np.uint8)
    ids = np.array([str(k) for k in range(32)])
    pictures = Examples(pixels, rng.integers(0, 10, 32), ids, class_names=tuple("0123456789"))
    model = small_cnn(pictures, widths=widths, seed=seed).requires_grad_(False).eval()
    return model, torch.from_numpy(pixels).permute(0, 3, 1, 2).float().contiguous() / 255


def plan(config: MaskedIsNotFaster) -> list[Part]:
    """Return a part a seed and network."""
    return [{"seed": config.seed + k, "network": name} for k in range(config.seeds) for name in config.networks]


def measure(config: MaskedIsNotFaster, part: Part) -> list[dict[str, Any]]:
    """Time a network and its masked copy in turns, the first one twice; return one row with the verdict given."""
    import copy
    import time

    from selftaught.compress import measure_gains, prune_weights

    dense, inputs = drawn_network(part["network"], config.widths, part["seed"])
    rounds = config.rounds * (10 if part["network"] == NETWORKS[0] else 1)
    masked = copy.deepcopy(dense)
    for name, mask in prune_weights(masked, config.density, ranking="per_layer").items():
        masked.get_parameter(name).mul_(mask)
    found = measure_gains(
        {"dense": dense, "masked": masked}, inputs, batch=config.batch, rounds=rounds, clock=time.thread_time
    )
    row = found.rows[1]
    return [
        {
            **part, "batch": config.batch, "theoretical": row.theoretical, "ratio": row.realised, "noise": found.noise,
            "labelled": row.verdict.startswith(LABEL),
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Say whether the speed lies within a tenth of 1.00, on both sides, and whether every row was labelled so."""
    verdicts = []
    for name in sorted({row["network"] for row in rows}):
        chosen = [row for row in rows if row["network"] == name]
        mean = math.exp(sum(math.log(row["ratio"]) for row in chosen) / len(chosen))
        least = min(row["theoretical"] for row in chosen)
        said = f"{name}, masked: {mean:.2f} times as fast with {least:.1f} times fewer multiply-adds"
        verdicts += [
            gain(f"{said}; below {1 + WITHIN:g} by", [1 + WITHIN - row["ratio"] for row in chosen], digits=3),
            gain(f"{name}, masked; above {1 - WITHIN:g} by", [row["ratio"] - 1 + WITHIN for row in chosen], digits=3),
        ]
    for name in NETWORKS if rows else ():
        if all(row["network"] != name for row in rows):
            verdicts.append(Verdict("inconclusive", (f"{name}: nothing was measured",)))
    labelled = sum(row["labelled"] for row in rows)
    if rows and labelled < len(rows):
        text = f'{len(rows) - labelled} of {len(rows)} measurements were not labelled "{LABEL}": inconclusive'
        verdicts.append(Verdict("inconclusive", (text,)))
    return combine(verdicts) if verdicts else Verdict("inconclusive", ("nothing was measured",))


CLAIM = Claim(
    name="masked-is-not-faster",
    sentence=(
        "Nine weights in ten set to zero in dense matrices change the speed by less than a tenth, on one thread, and "
        'are reported as "0 % realised".'
    ),
    source='Users and maintainers of torch.nn.utils.prune: "Pruning doesn\'t affect speed nor memory", pytorch #36214.',
    control="the same network without masks, timed in turns with it and with itself",
    scales={
        "tiny": Scale(MaskedIsNotFaster(seeds=6), 50),
        "small": Scale(MaskedIsNotFaster(seeds=12, rounds=60), 500),
        "full": Scale(MaskedIsNotFaster(seeds=24, rounds=200), 4000),
    },
    plan=plan,
    measure=measure,
    judge=judge,
    timed=True,
)
