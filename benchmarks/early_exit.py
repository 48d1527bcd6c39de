"""Accuracy against time of the reference network with exits after its first two convolutions.

``python -m benchmarks.early_exit [--seed 0] [--folder runs/reference] [--epochs 3] [--joint]``.

The heads are trained on the trained network's features as they are, or with it. Thresholds are calibrated on the
validation images; accuracy is that of the test images, time that of one thread.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.reference_network import EPOCHS, FOLDER, reference_config, reference_images, reference_network
from selftaught.compress import EarlyExit, TrainExits, exit_curve
from selftaught.training import AdamW, Cosine, fit
from selftaught.training.devices import limited_threads

EXITS = ("3", "7")  # the ReLU of the first and of the second convolution


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--trained", type=int, default=EPOCHS, help="epochs of the reference network")
    parser.add_argument("--epochs", type=int, default=3, help="of the heads")
    parser.add_argument("--joint", action="store_true", help="train the network on with its heads")
    parser.add_argument("--examples", type=int, default=300, help="timed")
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    images = reference_images()
    model = reference_network(images, given.seed, folder=given.folder, epochs=given.trained)
    early = EarlyExit(model, EXITS, torch.zeros(1, 3, 32, 32), seed=given.seed)
    base = reference_config(given.seed, given.epochs)
    config = base.model_copy(update={"optimiser": AdamW(lr=0.003), "schedule": Cosine()})
    with limited_threads(1):
        fit(early, images.train, config, callbacks=[TrainExits(frozen=not given.joint)])
        print(exit_curve(early, images.valid, images.test, examples=given.examples, rounds=given.rounds))


if __name__ == "__main__":
    main()
