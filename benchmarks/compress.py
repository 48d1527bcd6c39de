"""Sparse starts and sparse training on digits.

``python -m benchmarks.compress [--density 0.03] [--seeds 3] [--only snip rigl]``.

1,297 images train a multi-layer perceptron 64-300-100-10 for 40 epochs, 500 judge it. Every method has the same
initial weights, order and settings.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from selftaught import load
from selftaught.compress import SET, GradualPruning, RigL, TopKAST, prune_weights, rewind
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training import SGD, Callback, Masks, TrainConfig, fit, mlp

EVERY = 25


def config(seed: int) -> TrainConfig:
    return TrainConfig(epochs=40, batch_size=64, optimiser=SGD(lr=0.1, momentum=0.9), evaluate_every=40, seed=seed)


def make(train: Examples, seed: int) -> nn.Module:
    return mlp(train, hidden=(300, 100), seed=seed)


def callbacks(density: float, train: Examples) -> dict[str, Callable[[nn.Module, int], list[Callback]]]:
    def start(**options: object) -> Callable[[nn.Module, int], list[Callback]]:
        def masks(model: nn.Module, seed: int) -> list[Callback]:
            return [Masks(prune_weights(model, density, data=train, seed=seed, allow_collapse=True, **options))]  # type: ignore[arg-type]

        return masks

    return {
        "dense": lambda model, seed: [],
        "random": start(method="random"),
        "erk": start(method="random", ranking="erk"),
        "magnitude": start(method="magnitude"),
        "snip": start(method="snip"),
        "grasp": start(method="grasp"),
        "synflow": start(method="synflow"),
        "set": lambda model, seed: [SET(density, every=EVERY)],
        "rigl": lambda model, seed: [RigL(density, every=EVERY)],
        "topkast": lambda model, seed: [TopKAST(density, extra=min(density, 1 - density))],
        "gradual": lambda model, seed: [GradualPruning(density, ranking="global", allow_collapse=True)],
    }


def score(train: Examples, test: Examples, seed: int, added: Callable[[nn.Module, int], list[Callback]]) -> float:
    model = make(train, seed)
    found = fit(model, train, config(seed), valid=test, callbacks=added(model, seed))
    return found.valid.score if found.valid is not None else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--density", type=float, default=0.03)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=())
    given = parser.parse_args()
    torch.set_num_threads(1)
    digits = load("digits")
    order = rng_for(0, "benchmark of compression").permutation(len(digits))
    train, test = digits.take(order[:1297]), digits.take(order[1297:])
    for name, added in callbacks(given.density, train).items():
        if given.only and name not in given.only:
            continue
        began = time.perf_counter()
        scores = [score(train, test, seed, added) for seed in range(given.seeds)]
        tell(name, scores, began)
    if not given.only or "rewind" in given.only:
        began = time.perf_counter()
        common = {"density": given.density, "valid": test, "allow_collapse": True}
        tickets = [
            rewind(lambda one: make(train, one), train, config(seed), **common).scores for seed in range(given.seeds)
        ]
        for arm in ("rewound", "new weights", "random masks"):
            tell(arm, [ticket[arm] for ticket in tickets], began)


def tell(name: str, scores: list[float], began: float) -> None:
    spread = f"{np.min(scores):.3f} to {np.max(scores):.3f}"
    print(f"{name:<12} {statistics.fmean(scores):.3f} ({spread}), {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
