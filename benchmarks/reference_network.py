"""The network that compression is measured on: three convolutions (64, 128, 128), trained on 10,000 images of CIFAR-10.

``python -m benchmarks.reference_network [--seeds 0 1 2 3 4] [--folder runs/reference] [--epochs 25]``.

Each seed trains once and is kept as a file of its own; what is there is not trained again. 9,000 images train, 1,000
are for every choice (the same for all seeds), and the 2,000 of the test set are for one look at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import selftaught
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training import SGD, Augment, OneCycle, TrainConfig, evaluate, fit, small_cnn
from selftaught.training.devices import limited_threads
from selftaught.writing import write_atomically

__all__ = ["FOLDER", "Images", "kept_or_made", "reference_config", "reference_images", "reference_network"]

FOLDER = Path("runs") / "reference"
VALID = 1000
EPOCHS = 25


@dataclass(frozen=True)
class Images:
    """Images to train on, to choose by, and to look at once."""

    train: Examples
    valid: Examples
    test: Examples


def reference_images() -> Images:
    """Return 9,000, 1,000 and 2,000 images of 32 x 32 pixels in ten classes."""
    given = selftaught.load("cifar10", split="train")
    order = rng_for(0, "reference network, validation").permutation(len(given))
    return Images(
        train=given.take(np.sort(order[VALID:])),
        valid=given.take(np.sort(order[:VALID])),
        test=selftaught.load("cifar10", split="test"),
    )


def reference_config(seed: int, epochs: int = EPOCHS) -> TrainConfig:
    """Return how the reference network is trained."""
    return TrainConfig(
        epochs=epochs, batch_size=64, optimiser=SGD(lr=0.1), schedule=OneCycle(), evaluate_every=epochs, seed=seed,
        augment=Augment(flip=True, crop=4), channels_last=True, device="cpu",
    )  # fmt: skip


def reference_network(images: Images, seed: int, *, folder: Path = FOLDER, epochs: int = EPOCHS) -> nn.Sequential:
    """Return the trained network of a seed, in evaluation mode; train it where the folder does not have it yet."""

    def made(model: nn.Sequential) -> None:
        fit(model, images.train, reference_config(seed, epochs))

    return kept_or_made(folder / f"seed{seed}-epochs{epochs}.safetensors", small_cnn(images.train, seed=seed), made)


def kept_or_made(path: Path, model: nn.Sequential, make: Callable[[nn.Sequential], None]) -> nn.Sequential:
    """Return a model, in evaluation mode, with the weights of a file; where there is none, make them and write it.

    Args:
        path: of the file.
        model: of the right shapes.
        make: gives the model its weights, on one thread.
    """
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval()
    with limited_threads(1):
        make(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: one.contiguous() for name, one in model.state_dict().items()}, partial)
    partial.rename(path)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    given = parser.parse_args()
    images = reference_images()
    found = {}
    for seed in given.seeds:
        began = time.perf_counter()
        model = reference_network(images, seed, folder=given.folder, epochs=given.epochs)
        with torch.no_grad(), limited_threads(1):
            found[seed] = evaluate(model, images.valid).score
        print(f"seed {seed}: validation {found[seed]:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
    place = given.folder / f"scores-epochs{given.epochs}.json"
    held = json.loads(place.read_text()) if place.exists() else {}
    write_atomically(place, json.dumps(held | {str(seed): one for seed, one in found.items()}).encode())


if __name__ == "__main__":
    main()
