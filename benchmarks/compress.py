"""Sparse starts and sparse training on digits.

``python -m benchmarks.compress [--density 0.03 ...] [--seeds 5] [--only snip rigl] [--seed 0]``.

What the claim ``sparse-starts`` measures, at any density and for any of its ways: 1,297 images train a multi-layer
perceptron 64-300-100-10 for 40 epochs, 500 judge it. Every way has the same split, initial weights, order and settings.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict

from selftaught.claims import CLAIMS
from selftaught.claims.sparse_starts import ARMS, SparseStarts
from selftaught.claims.statistics import mean_interval

CLAIM = CLAIMS["sparse-starts"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--density", type=float, nargs="+", default=[0.03])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--only", nargs="*", choices=ARMS, default=ARMS)
    given = parser.parse_args()
    config = SparseStarts(seeds=given.seeds, densities=tuple(given.density), seed=given.seed)
    parts = [part for part in CLAIM.plan(config) if part["arm"] in given.only]
    for density, way in dict.fromkeys((part["density"], part["arm"]) for part in parts):
        began, found = time.perf_counter(), defaultdict(list)
        for part in parts:
            if (part["density"], part["arm"]) == (density, way):
                for row in CLAIM.measure(config, part):
                    found[row["arm"]].append(row["accuracy"])
        for arm, scores in found.items():
            low, high = mean_interval(scores)
            print(
                f"{density:<6g} {arm:<28} {statistics.fmean(scores):.3f} [{low:.3f}, {high:.3f}], "
                f"{time.perf_counter() - began:.0f} s", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
