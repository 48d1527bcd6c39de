"""Evolution and our own searcher against random search at equal trials: cells trained on digits, paired seeds.

``python -m benchmarks.cells_on_digits [--seeds 5] [--trials 30] [--searcher NAME ...] [--workers N] [--out FILE]``

What `selftaught search digits --space cells --control` does, for several seeds: the best two of each arm are trained
again with two seeds, one is chosen by validation, and looks at test once. Differences are in points, over seeds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, load
from benchmarks.programs import write
from selftaught.claims.statistics import mean_interval, sign_flip
from selftaught.objectives import SearchSettings, search_networks

__all__ = ["main", "measure"]

RESULTS = Path(__file__).resolve().parent / "results" / "cells_on_digits.json"
SEARCHERS = ("regularized-evolution", "pairwise")


def measure(searcher: str, seed: int, *, trials: int, workers: int, **settings: Any) -> dict[str, Any]:
    """Search once with a searcher and once at random; return what both found."""
    began, cpu = time.perf_counter(), time.process_time()
    asked = SearchSettings("digits", searcher=searcher, seed=seed, control=True, top=2, seeds=2, **settings)
    with tempfile.TemporaryDirectory() as folder:
        found = search_networks(asked, trials=trials, workers=workers, out=folder)
        row = {"searcher": searcher, "seed": seed, "trials": trials, "signal": found.study.best_value}
    if found.control is None:
        raise RuntimeError("there is no control")
    return row | {
        "valid": float(np.mean(found.winner.valid)), "valid_random": float(np.mean(found.control.valid)),
        "test": float(np.mean(found.winner.test)), "test_random": float(np.mean(found.control.test)),
        "test_by_hand": float(np.mean(found.hand_designed.test)),
        "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--searcher", action="append")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    results = {"machine": describe(), "load": load()[:1], "rows": rows}
    for searcher in chosen.searcher or SEARCHERS:
        for seed in range(chosen.first, chosen.first + chosen.seeds):
            rows.append(measure(searcher, seed, trials=chosen.trials, workers=chosen.workers, epochs=chosen.epochs))
            print(f"{searcher}, seed {seed}: {rows[-1]}", flush=True)
            write(results, chosen.out)
        mine = [row for row in rows if row["searcher"] == searcher]
        for what in ("valid", "test"):
            gained = [row[what] - row[f"{what}_random"] for row in mine]
            low, high = mean_interval(gained) if len(gained) > 1 else (float("nan"),) * 2
            print(f"{searcher} less random search, {what}: {np.mean(gained):+.2f} [{low:+.2f}, {high:+.2f}], "
                  f"p = {sign_flip(gained):.3g}, {len(gained)} seeds")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
