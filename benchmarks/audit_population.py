"""What an audit's populations cost: a pruned population trained together against its models one by one.

``python -m benchmarks.audit_population [--quick] [--rounds 3] [--out FILE]``. Ratios are of CPU seconds of one thread,
taken turn by turn in one run; the median of the rounds and their range are shown. Both sides prune by the same
schedule, and end at the same masks (tested).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe, load
from selftaught import load as load_data
from selftaught.compress import GradualPruning
from selftaught.examples import Examples
from selftaught.training import SGD, TrainConfig, fit, fit_population, mlp, small_cnn
from selftaught.training.devices import limited_threads

MEMBERS = 6
EVERY = 20


def images(side: int, count: int) -> Examples:
    """Return random images of three colours, as many of each of ten classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 10
    ids = np.arange(count).astype(str)
    pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return Examples(pixels, labels, ids, class_names=tuple("0123456789"), name=f"images {side}")


def cases() -> dict[str, tuple[Examples, Callable[[int], torch.nn.Module], int]]:
    """Return name -> (data, maker of a model, batch size)."""
    digits, small = load_data("digits"), images(16, 1280)
    return {
        "mlp 64-64-64-10, digits, batch 64": (digits, lambda k: mlp(digits, hidden=(64, 64), seed=k), 64),
        "cnn 16-32, digits, batch 32": (digits, lambda k: small_cnn(digits, widths=(16, 32), seed=k), 32),
        "cnn 16-32-48, 16 x 16 colour, batch 64": (small, lambda k: small_cnn(small, widths=(16, 32, 48), seed=k), 64),
    }


def measure(rounds: int, steps: int) -> list[dict[str, Any]]:
    """Return a row a case: seconds one by one over seconds together, dense and pruned."""
    rows = []
    for name, (data, make, batch) in cases().items():
        config = TrainConfig(steps=steps, batch_size=batch, optimiser=SGD(lr=0.05), device="cpu")
        for density in (1.0, 0.1):

            def pruning(density: float = density) -> list[GradualPruning]:
                return [] if density == 1 else [GradualPruning(density, every=min(EVERY, max(1, steps // 10)))]

            def together(make: Any = make, data: Any = data, config: Any = config, pruning: Any = pruning) -> Any:
                return fit_population(make, data, config, members=MEMBERS, callbacks=lambda k: pruning())

            def singles(make: Any = make, data: Any = data, config: Any = config, pruning: Any = pruning) -> None:
                for k in range(MEMBERS):
                    fit(make(k), data, config.model_copy(update={"seed": k}), callbacks=pruning())

            engine = together().engine
            ratios = []
            for _ in range(rounds):
                taken = []
                for work in (singles, together):
                    began = time.process_time()
                    work()
                    taken.append(time.process_time() - began)
                ratios.append(taken[0] / taken[1])
            rows.append({
                "case": name, "density": density, "members": MEMBERS, "engine": engine,
                "ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios),
            })  # fmt: skip
            row = rows[-1]
            print(f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}] one by one / together, {engine}, "
                  f"density {density:g}: {name}", flush=True)  # fmt: skip
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    with limited_threads(1):
        rows = measure(1 if chosen.quick else chosen.rounds, 8 if chosen.quick else 150)
    if chosen.out is not None:
        told = {"machine": describe(), "load": load(), "rows": rows}
        chosen.out.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
