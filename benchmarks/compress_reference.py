"""The reference network made smaller: structured, in 8 bits, and with the class that loses most protected.

``python -m benchmarks.compress_reference [--seeds 0 1 2 3 4] [--folder runs/reference] [--ratio X] [--only ARM ...]``.

The networks of `benchmarks.reference_network` must be there. Every arm fine-tunes on the same 9,000 images, chooses by
the same 1,000, and is looked at once on the 2,000 of the test set, and with ``--whole FOLDER`` on the 48,000 images of
the whole CIFAR-10 that are in no part of the small one; a row an arm and seed is added to the file as it is measured,
and rows that are there are not measured again. ``--choose`` looks at no test image and times nothing: it prints what
validation says.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import selftaught
from benchmarks.machine import describe, kind, load
from benchmarks.reference_network import EPOCHS, FOLDER, Images, reference_images, reference_network
from selftaught.claims.statistics import mean_interval
from selftaught.datasets.local_files import DATA_VARIABLE
from selftaught.examples import Examples
from selftaught.plans import Channels, Compressed, FineTune, LowBits, Plan, Step, compare, protect, run_plan
from selftaught.training import SGD, Augment, Cosine, Evaluation, TrainConfig, evaluate
from selftaught.training.batches import as_inputs
from selftaught.training.devices import limited_threads

OUT = Path("benchmarks") / "results" / "compress_reference.jsonl"
#: plain: channels cut, fine-tuned; longer: twice as long, as protection may take; dense: nothing is cut.
ARMS = ("plain", "distilled", "protected", "longer", "dense")
BATCH = 32


@dataclass(frozen=True)
class Settings:
    """What is cut from which network, and how long it is fine-tuned.

    Args:
        ratio: share of each layer's channels that goes.
        epochs: of fine-tuning.
        dense_epochs: of the network's own training.
        rounds: of timing.
        augmented: whether images are flipped and cropped at random while it is fine-tuned.
    """

    ratio: float
    epochs: int
    dense_epochs: int
    rounds: int
    augmented: bool = True

    @property
    def key(self) -> tuple[float, int, int, bool]:
        return self.ratio, self.epochs, self.dense_epochs, self.augmented


def training(seed: int, epochs: int, *, augmented: bool = True) -> TrainConfig:
    return TrainConfig(
        epochs=epochs, batch_size=64, optimiser=SGD(lr=0.05), schedule=Cosine(), evaluate_every=epochs, seed=seed,
        augment=Augment(flip=augmented, crop=4 * augmented), channels_last=True, device="cpu",
    )  # fmt: skip


@contextmanager
def data_folder(folder: Path) -> Iterator[None]:
    before = os.environ.get(DATA_VARIABLE)
    os.environ[DATA_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[DATA_VARIABLE]
        if before is not None:
            os.environ[DATA_VARIABLE] = before


def other_images(folder: Path, images: Images) -> Examples:
    """Return the images of the whole set, for training and test, that are in no part of the small one: 48,000.

    The largest of ten drops is mostly noise at 200 images a class, and still half noise at 800.
    """
    with data_folder(folder):
        whole = [selftaught.load("cifar10", split=split) for split in ("train", "test")]
    held = np.concatenate([one.ids for one in (images.train, images.valid, images.test)])
    rest = [one.take(np.flatnonzero(~np.isin(one.ids, held))) for one in whole]
    return Examples(
        np.concatenate([one.inputs for one in rest]), np.concatenate([np.asarray(one.labels) for one in rest]),
        np.concatenate([one.ids for one in rest]), class_names=rest[0].class_names, name="other images of cifar10",
    )  # fmt: skip


def drops(before: Evaluation, after: Evaluation, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return accuracies, and how far the recall of each class fell."""
    fell = {
        name: float(before.correct[before.targets == k].mean() - after.correct[after.targets == k].mean())
        for k, name in enumerate(classes)
    }
    return {"n": len(after.targets), "before": before.score, "after": after.score, "drops": fell}


def made_by(
    arm: str, dense: nn.Module, seed: int, images: Images, settings: Settings, work: Path | None, *more: Step
) -> Compressed:
    """Do what an arm does to the network of a seed, and further steps."""
    tune = FineTune(
        training=training(
            seed, settings.epochs * 2 if arm == "longer" else settings.epochs, augmented=settings.augmented
        ),
        distil=0.9 if arm == "distilled" else 0.0,
    )
    steps = (tune,) if arm == "dense" else (Channels(ratio=settings.ratio), tune)
    plan = Plan(steps=(*steps, *more), seed=seed)
    place = None if work is None else work / "-".join(map(str, (arm, seed, *settings.key)))
    if arm == "protected":
        return protect(dense, images.train, images.valid, plan, folder=place)
    return run_plan(dense, images.train, plan, valid=images.valid, folder=place)


def versions(
    arm: str, dense: nn.Module, seed: int, images: Images, settings: Settings, work: Path | None
) -> Iterator[tuple[str, Compressed]]:
    """Give what an arm makes, in torch and in 8 bits; protection is another where the model runs in 8 bits."""
    made = made_by(arm, dense, seed, images, settings, work)
    yield "torch", made
    if arm == "protected":
        yield "int8", made_by(arm, dense, seed, images, settings, work, LowBits())
    else:
        yield "int8", run_plan(made.model, images.train, Plan(steps=(LowBits(),), seed=seed))


def measure(
    arm: str, seed: int, images: Images, folder: Path, settings: Settings, work: Path | None, others: Examples | None
) -> list[dict[str, Any]]:
    dense = reference_network(images, seed, folder=folder, epochs=settings.dense_epochs)
    with limited_threads(1):
        before = evaluate(dense, images.test)
        others_before = None if others is None else evaluate(dense, others)
        rows, trained = [], 0.0
        for name, made in versions(arm, dense, seed, images, settings, work):
            runs, trained = made.runs, made.seconds or trained  # the second of two versions may only be quantised
            sample = as_inputs(torch.from_numpy(images.test.inputs[:BATCH].copy()))
            found = compare(
                dense, runs, (before, evaluate(runs, images.test)), images.test, sample=sample, batches=(1, BATCH),
                rounds=settings.rounds,
            )  # fmt: skip
            told = found.to_dict()
            valid = evaluate(runs, images.valid).score - evaluate(dense, images.valid).score
            unseen = None
            if others is not None and others_before is not None:
                unseen = drops(others_before, evaluate(runs, others), others.class_names)
            rows.append(
                {"arm": arm, "runtime": name, "seed": seed, **asdict(settings), "plan": str(made.plan),
                 "accuracy": told["accuracy"], "classes": told["classes"], "largest_drop": told["largest_drop"],
                 "others": unseen, "valid_change": valid, "seconds": round(trained, 1), "notes": made.notes,
                 "latency": [
                     {"batch": one.batch, "noise": one.noise, **asdict(one.rows[-1]), "dense": one.rows[0].seconds}
                     for one in found.gains
                 ]}
            )  # fmt: skip
    return rows


def choose(arm: str, seed: int, images: Images, folder: Path, settings: Settings, work: Path | None) -> str:
    """Return what validation says of an arm: changes of accuracy and largest drops, in points."""
    dense = reference_network(images, seed, folder=folder, epochs=settings.dense_epochs)
    with limited_threads(1):
        before = evaluate(dense, images.valid)
        parts = [f"seed {seed}, {arm}, {settings.key}: dense {before.score:.4f}"]
        for name, made in versions(arm, dense, seed, images, settings, work):
            found = drops(before, evaluate(made.runs, images.valid), images.valid.class_names)
            change = 100 * (found["after"] - found["before"])
            parts.append(f"{name} {change:+.2f}, largest drop {100 * max(found['drops'].values()):.1f}")
    return "; ".join(parts)


def key_of(row: dict[str, Any]) -> tuple[float, int, int, bool]:
    return row["ratio"], row["epochs"], row["dense_epochs"], row["augmented"]


def tell(rows: list[dict[str, Any]]) -> None:
    for arm in ARMS:
        for runtime in ("torch", "int8"):
            own = [one for one in rows if (one["arm"], one["runtime"]) == (arm, runtime)]
            if not own:
                continue
            accuracy = [100 * (one["accuracy"]["after"] - one["accuracy"]["before"]) for one in own]
            fell = [100 * (one["largest_drop"]["before"] - one["largest_drop"]["after"]) for one in own]
            speed = [one["latency"][-1]["realised"] for one in own]
            parts = [f"{arm:<10} {runtime:<6} {len(own)} seeds"]
            columns = {"accuracy": accuracy, "largest drop": fell, "times faster": speed}
            unseen = [one["others"] for one in own if one.get("others")]
            if len(unseen) == len(own):
                columns["accuracy on other images"] = [100 * (one["after"] - one["before"]) for one in unseen]
                columns["largest drop there"] = [100 * max(one["drops"].values()) for one in unseen]
            for name, values in columns.items():
                low, high = mean_interval(values)
                parts.append(f"{name} {statistics.fmean(values):+.2f} [{low:+.2f}, {high:+.2f}]")
            print("; ".join(parts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--ratio", type=float, default=0.5, help="share of each layer's channels that goes")
    parser.add_argument("--epochs", type=int, default=12, help="of fine-tuning")
    parser.add_argument("--dense-epochs", type=int, default=EPOCHS)
    parser.add_argument("--no-augment", action="store_true", help="fine-tune on the images as they are")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--work", type=Path, help="keep checkpoints here, and go on from them")
    parser.add_argument("--only", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--whole", type=Path, help="folder of the whole CIFAR-10: its other images judge, too")
    parser.add_argument("--choose", action="store_true", help="print what validation says, look at nothing else")
    given = parser.parse_args()
    images = reference_images()
    settings = Settings(given.ratio, given.epochs, given.dense_epochs, given.rounds, not given.no_augment)
    print(kind(describe()), load(), flush=True)
    if given.choose:
        for seed, arm in itertools.product(given.seeds, given.only):
            print(choose(arm, seed, images, given.folder, settings, given.work), flush=True)
        return
    others = None if given.whole is None else other_images(given.whole, images)
    held = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    held = [one for one in held if key_of(one) == settings.key]
    there = {(one["arm"], one["seed"]) for one in held}
    for seed, arm in itertools.product(given.seeds, given.only):
        if (arm, seed) in there:
            continue
        rows = measure(arm, seed, images, given.folder, settings, given.work, others)
        held += rows
        given.out.parent.mkdir(parents=True, exist_ok=True)
        with given.out.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(one) + "\n" for one in rows)
        print(f"seed {seed}, {arm}: {rows[0]['seconds']} s", flush=True)
    tell(held)


if __name__ == "__main__":
    main()
