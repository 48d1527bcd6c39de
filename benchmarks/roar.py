"""Do explanations beat noise? Remove and retrain on CIFAR-10 at 16 x 16: every estimator beside its controls.

``python -m benchmarks.roar [--seeds 2] [--folder runs/roar] [--all]``.

4,000 training and 2,000 test images. The rows stay in the folder; the same command goes on there, and more seeds
are added to those that are there.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import selftaught
from selftaught.audit import ALL_ESTIMATORS, ESTIMATORS, Roar, RoarProgress, roar
from selftaught.examples import Examples
from selftaught.layers.image_tasks import shrink
from selftaught.seeds import rng_for
from selftaught.training import SGD, OneCycle, TrainConfig, small_cnn
from selftaught.training.devices import limited_threads

__all__ = ["images", "lines", "measure"]

TRAIN = 4000
WIDTHS = (16, 32, 64)
EPOCHS = 10


def images() -> tuple[Examples, Examples]:
    """Return 4,000 training and 2,000 test images of 16 x 16 pixels."""
    given = selftaught.load("cifar10", split="train")
    order = rng_for(0, "benchmarks", "roar").permutation(len(given))[:TRAIN]
    parts = given.take(np.sort(order)), selftaught.load("cifar10", split="test")
    train, test = (replace(one, inputs=shrink(one.inputs)) for one in parts)
    return train, test


def measure(seeds: int, folder: Path, *, every: bool = False) -> Roar:
    """Train and measure, and say so after every arm."""
    train, test = images()

    def say(progress: RoarProgress) -> None:
        left = "" if progress.seconds_left is None else f", about {progress.seconds_left:.0f} s left"
        print(f"  {progress.done} of {progress.total}, {progress.arm}, {progress.seconds:.0f} s{left}", flush=True)

    config = TrainConfig(
        epochs=EPOCHS, batch_size=64, optimiser=SGD(lr=0.1), schedule=OneCycle(), evaluate_every=EPOCHS, device="cpu"
    )
    with limited_threads(1):
        return roar(
            lambda seed: small_cnn(train, widths=WIDTHS, seed=seed), train, test, seeds=tuple(range(seeds)),
            estimators=tuple(ALL_ESTIMATORS) if every else ESTIMATORS, config=config, folder=folder, on_progress=say,
        )  # fmt: skip


def lines(found: Roar) -> list[str]:
    """Return a table in Markdown, then what it says."""
    shown = [f"unchanged images: {found.unchanged:.3f}", "", "| removed | " + " | ".join(found.arms) + " |"]
    shown.append("|---" * (len(found.arms) + 1) + "|")
    for retrained in (True, False):
        table = found.table(retrained=retrained)
        for fraction in found.fractions:
            cells = [f"{table[arm][fraction]:.3f}" for arm in found.arms]
            shown.append(f"| {fraction:.0%}{'' if retrained else ', not retrained'} | " + " | ".join(cells) + " |")
    return [*shown, "", *found.statements]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs") / "roar")
    parser.add_argument("--all", action="store_true", help="all twelve estimators")
    given = parser.parse_args()
    print("\n".join(lines(measure(given.seeds, given.folder, every=given.all))))


if __name__ == "__main__":
    main()
