"""What `fit` costs over a loop written by hand, and what `fit_population` saves over eight single fits.

``python -m benchmarks.training [--quick] [--out FILE]``. Ratios are of CPU seconds of one thread, taken turn by turn in
one run; the median of the rounds and their range are shown.
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
from torch.nn import functional

from benchmarks.machine import describe, load
from selftaught import load as load_data
from selftaught.examples import Examples
from selftaught.training import Augment, TrainConfig, fit, fit_population, mlp, small_cnn, time_in_turns
from selftaught.training.augment import crop, flip
from selftaught.training.batches import as_inputs
from selftaught.training.devices import limited_threads
from selftaught.training.optimisers import make_optimiser

MEMBERS = 8
Maker = Callable[[int], torch.nn.Module]


def by_hand(model: torch.nn.Module, data: Examples, config: TrainConfig) -> float:
    """The loop that anyone writes, with the same optimiser, schedule, order of work and augmentation."""
    inputs, labels = torch.from_numpy(data.inputs), torch.from_numpy(np.asarray(data.labels))
    if any(isinstance(one, torch.nn.Conv2d) for one in model.modules()):
        model.to(memory_format=torch.channels_last)
    optimiser = make_optimiser(model, config.optimiser)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps or 1)
    generator = torch.Generator().manual_seed(0)
    model.train()
    step, total = 0, 0.0
    while step < (config.steps or 0):
        order = torch.randperm(len(labels), generator=generator)
        for rows in order.split(config.batch_size):
            images = as_inputs(inputs[rows])
            if config.augment is not None:
                images = crop(flip(images, generator), config.augment.crop, generator)
            loss = functional.cross_entropy(model(images), labels[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            scheduler.step()
            total += loss.item()
            step += 1
            if step == config.steps:
                break
    return total / step


def images(count: int) -> Examples:
    """Noise in the shape of CIFAR-10: what is timed does not depend on the content."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    names = tuple("0123456789")
    return Examples(pixels, rng.integers(0, 10, count), np.array([str(k) for k in range(count)]), class_names=names)


def loops(rounds: int, share: float) -> list[dict[str, Any]]:
    """Time `fit` against the loop by hand."""
    digits, pictures = load_data("digits"), images(512)
    cases: list[tuple[str, Maker, Examples, TrainConfig]] = [
        ("mlp 64-64, batch 64", lambda k: mlp(digits, hidden=(64, 64)), digits, _steps(300 * share, 64)),
        ("mlp 256-256, batch 128", lambda k: mlp(digits), digits, _steps(200 * share, 128)),
        ("cnn 8-16-16, 32 x 32, batch 32, flip and crop",
         lambda k: small_cnn(pictures, widths=(8, 16, 16)), pictures,
         _steps(20 * share, 32).model_copy(update={"augment": Augment(flip=True, crop=4)})),
    ]  # fmt: skip
    rows = []
    for name, make, data, config in cases:
        seconds = time_in_turns(
            {"hand": lambda make=make, data=data, config=config: by_hand(make(0), data, config),
             "fit": lambda make=make, data=data, config=config: fit(make(0), data, config)},
            rounds=rounds, clock=time.thread_time,
        )  # fmt: skip
        rows.append({"case": name, **_ratio(seconds["fit"], seconds["hand"]), "load": load()[:1]})
    return rows


def populations(rounds: int, share: float) -> list[dict[str, Any]]:
    """Time eight single fits against a population of eight, in each engine."""
    digits, pictures = load_data("digits"), images(512)
    cases: list[tuple[str, Maker, Examples, TrainConfig]] = [
        ("mlp 64, batch 32", lambda k: mlp(digits, hidden=(64,), seed=k), digits, _steps(60 * share, 32)),
        ("mlp 64-64, batch 64", lambda k: mlp(digits, hidden=(64, 64), seed=k), digits, _steps(60 * share, 64)),
        ("mlp 64-64, BatchNorm, dropout, batch 64",
         lambda k: mlp(digits, hidden=(64, 64), batch_norm=True, dropout=0.2, seed=k), digits, _steps(60 * share, 64)),
        ("mlp 256-256, batch 128", lambda k: mlp(digits, seed=k), digits, _steps(40 * share, 128)),
        ("cnn 8-16-16, 8 x 8, batch 32",
         lambda k: small_cnn(digits, widths=(8, 16, 16), seed=k), digits, _steps(30 * share, 32)),
        ("cnn 4-8-8, 32 x 32, batch 8",
         lambda k: small_cnn(pictures, widths=(4, 8, 8), seed=k), pictures, _steps(20 * share, 8)),
        ("cnn 64-128-128, 32 x 32, batch 32", lambda k: small_cnn(pictures, seed=k), pictures, _steps(3 * share, 32)),
    ]  # fmt: skip
    members = MEMBERS
    if share < 1:  # the last one takes minutes
        members = 2
        cases.pop()
    rows = []
    for name, make, data, config in cases:
        def singles(make: Maker = make, data: Examples = data, config: TrainConfig = config) -> None:
            for k in range(members):
                fit(make(k), data, config.model_copy(update={"seed": k}))

        def together(engine: Any, make: Maker = make, data: Examples = data, config: TrainConfig = config) -> Any:
            return lambda: fit_population(make, data, config, members=members, engine=engine)

        engines = ("layers", "vmap", "turns")
        timed = {"singles": singles, **{engine: together(engine) for engine in engines}}
        seconds = time_in_turns(timed, rounds=rounds, clock=time.thread_time)
        chosen = fit_population(make, data, config.model_copy(update={"steps": 1}), members=members).engine
        gains = {engine: _ratio(seconds["singles"], seconds[engine]) for engine in engines}
        rows.append({"case": name, "chosen": chosen, **gains, "load": load()[:1]})
    return rows


def _steps(count: float, batch: int) -> TrainConfig:
    return TrainConfig(steps=max(1, round(count)), batch_size=batch)


def _ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios), "seconds": min(above)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a miniature that only shows that everything runs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    rounds, share = (1, 0.02) if given.quick else (given.rounds, 1.0)
    with limited_threads(1):
        results = {"machine": describe(), "loops": loops(rounds, share), "populations": populations(rounds, share)}
    for row in results["loops"]:
        print(f"fit / by hand  {row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}]  {row['case']}")
    for row in results["populations"]:
        gains = ", ".join(f"{one} {row[one]['ratio']:.2f}" for one in ("layers", "vmap", "turns"))
        print(f"eight singles / population  {gains}; takes {row['chosen']}  {row['case']}")
    if given.out is not None:
        given.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
