"""`sparse-kernel`: a linear layer with one weight in ten, in this library's kernel against dense and sparse rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from selftaught.claims.claim import Claim, Part, Scale
from selftaught.claims.evidence import Row, Verdict, combine
from selftaught.claims.statistics import gain

__all__ = ["CLAIM", "SparseKernel"]

#: Batch size -> how many times faster than dense the claim says.
TIMES = {1: 1.5, 32: 4.0}
TOLERANCE = 1e-5  # of the sum of absolute terms: what float32 sums in another order differ by


@dataclass(frozen=True)
class SparseKernel:
    """Layers drawn anew for each seed, all forms of one timed in turns on one thread.

    Args:
        seeds: how many matrices.
        size: inputs and outputs of the layer.
        density: share of weights that are not zero, at places drawn at random.
        batches: keys of `TIMES`.
        repeats: turns of each form.
        seconds: CPU seconds of a turn.
        seed: the first seed.
    """

    seeds: int
    size: int = 1024
    density: float = 0.1
    batches: tuple[int, ...] = (1, 32)
    repeats: int = 12
    seconds: float = 0.02
    seed: int = 0


def plan(config: SparseKernel) -> list[Part]:
    """Return a part a seed and batch size."""
    return [{"seed": config.seed + k, "batch": batch} for k in range(config.seeds) for batch in config.batches]


def measure(config: SparseKernel, part: Part) -> list[dict[str, Any]]:
    """Time dense, sparse and torch's sparse rows in turns, dense twice; return one row.

    A turn repeats one form for some CPU seconds of the one thread; the best turn counts. `worst` is the largest error
    of an output against float64, over the sum of its terms' absolute values.
    """
    import torch
    from torch import nn

    from selftaught.claims.timing import rates
    from selftaught.compress import SparseLinear
    from selftaught.compress.alternative_layers import CsrLinear
    from selftaught.seeds import rng_for
    from selftaught.training.devices import limited_threads

    rng = rng_for(part["seed"], "sparse kernel", config.size)
    shape = (config.size, config.size)
    weight = rng.standard_normal(shape, dtype="float32") * (rng.random(shape) < config.density)
    inputs = torch.from_numpy(rng.standard_normal((part["batch"], config.size), dtype="float32"))
    dense = nn.Linear(config.size, config.size, bias=False).requires_grad_(False)
    dense.weight.copy_(torch.from_numpy(weight.astype("float32")))
    sparse, rows = SparseLinear(dense), CsrLinear(dense)

    def passing(form: nn.Module) -> Callable[[], float]:
        return lambda: float(len(form(inputs)) > 0)

    forms = {"dense": dense, "sparse": sparse, "csr": rows, "again": dense}
    passes = {name: passing(form) for name, form in forms.items()}
    with limited_threads(1), torch.inference_mode():
        terms = inputs.double().abs() @ dense.weight.double().abs().T
        wrong = (sparse(inputs).double() - inputs.double() @ dense.weight.double().T).abs()
        worst = float((wrong / terms.clamp(min=1e-30)).max())
        found = rates(passes, repeats=config.repeats, seconds=config.seconds)
    return [
        {
            **part, "size": config.size, "density": config.density, "times": TIMES[part["batch"]],
            "dense_seconds": 1 / found["dense"], "ratio": found["sparse"] / found["dense"],
            "csr_ratio": found["csr"] / found["dense"], "dense_ratio": found["again"] / found["dense"],
            "different": worst > TOLERANCE,
        }
    ]  # fmt: skip


def judge(rows: Sequence[Row]) -> Verdict:
    """Compare the ratio of speeds with the claimed one, on a logarithmic scale, at each batch size."""
    verdicts, told = [], []
    for batch in sorted({row["batch"] for row in rows}):
        chosen = [row for row in rows if row["batch"] == batch]
        beyond = [math.log2(row["ratio"] / row["times"]) for row in chosen]
        mean, rows_of_torch, dense = (_mean([row[k] for row in chosen]) for k in ("ratio", "csr_ratio", "dense_ratio"))
        what = f"batch {batch}: {mean:.1f} times as fast as dense; doublings beyond {chosen[0]['times']:g} times"
        verdicts.append(gain(what, beyond, digits=2))
        told.append(
            f"batch {batch}, not part of the rule: torch's sparse rows {rows_of_torch:.2f} times as fast as dense, "
            f"dense again {dense:.2f} times"
        )
    for batch in set(TIMES) - {row["batch"] for row in rows} if rows else ():
        verdicts.append(Verdict("inconclusive", (f"batch {batch}: nothing was measured",)))
    different = sum(row["different"] for row in rows)
    if different:
        verdicts.append(Verdict("refuted", (f"{different} layers give other outputs than dense: refuted",)))
    if not verdicts:
        return Verdict("inconclusive", ("nothing was measured",))
    found = combine(verdicts)
    return Verdict(found.status, (*found.findings, *told))


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


CLAIM = Claim(
    name="sparse-kernel",
    sentence=(
        "On one thread, a linear layer of 1024 x 1024 with nine weights in ten at zero, at no particular places, runs "
        "at least 1.5 times as fast as dense at batch 1 and at least 4 times at batch 32."
    ),
    source=(
        "Ours: slices of sorted rows (SELL-C-sigma, arXiv 1307.6209) and a kernel compiled for the machine; that such "
        "sparsity can pay on processors: Elsen et al., arXiv 1911.09723."
    ),
    control="the same layer in dense form and in torch's sparse rows, timed in turns on the same thread",
    scales={
        "tiny": Scale(SparseKernel(seeds=8), 30),
        "small": Scale(SparseKernel(seeds=16, seconds=0.05), 120),
        "full": Scale(SparseKernel(seeds=32, repeats=30, seconds=0.1), 1200),
    },
    plan=plan,
    measure=measure,
    judge=judge,
    timed=True,
)
