"""The reference network made smaller: structured, in 8 bits, and with the class that loses most protected.

``python -m benchmarks.compress_reference [--seeds 0 1 2 3 4] [--folder runs/reference] [--epochs 4] [--only ARM ...]``.

The networks of `benchmarks.reference_network` must be there. Every arm fine-tunes on the same 9,000 images, chooses by
the same 1,000, and is looked at once on the 2,000 of the test set, and with ``--whole FOLDER`` on the 8,000 that the
whole test set has beside them; a row an arm and seed is added to the file as it is measured, and rows that are there
are not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import selftaught
from benchmarks.machine import describe, kind, load
from benchmarks.reference_network import FOLDER, Images, reference_images, reference_network
from selftaught.claims.statistics import mean_interval
from selftaught.datasets.local_files import DATA_VARIABLE
from selftaught.examples import Examples
from selftaught.plans import Channels, FineTune, LowBits, Plan, compare, protect, run_plan
from selftaught.training import SGD, Cosine, Evaluation, TrainConfig, evaluate
from selftaught.training.batches import as_inputs
from selftaught.training.devices import limited_threads

OUT = Path("benchmarks") / "results" / "compress_reference.jsonl"
#: plain: half the channels, fine-tuned; longer: half as long again, as protection may take; dense: nothing is cut.
ARMS = ("plain", "distilled", "protected", "longer", "dense")
RATIO = 0.5
BATCH = 32


def training(seed: int, epochs: int) -> TrainConfig:
    return TrainConfig(
        epochs=epochs, batch_size=64, optimiser=SGD(lr=0.05), schedule=Cosine(), evaluate_every=epochs, seed=seed,
        channels_last=False, device="cpu",
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
    """Return the images of the whole test set that are in no part of the small one."""
    with data_folder(folder):
        whole = selftaught.load("cifar10", split="test")
    held = np.concatenate([one.ids for one in (images.train, images.valid, images.test)])
    return whole.take(np.flatnonzero(~np.isin(whole.ids, held)))


def drops(before: Evaluation, after: Evaluation, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return accuracies, and how far the recall of each class fell."""
    fell = {
        name: float(before.correct[before.targets == k].mean() - after.correct[after.targets == k].mean())
        for k, name in enumerate(classes)
    }
    return {"n": len(after.targets), "before": before.score, "after": after.score, "drops": fell}


def measure(
    arm: str, seed: int, images: Images, folder: Path, epochs: int, rounds: int, work: Path | None,
    others: Examples | None,
) -> list[dict[str, Any]]:  # fmt: skip
    dense = reference_network(images, seed, folder=folder)
    distil = 0.9 if arm == "distilled" else 0.0
    tune = FineTune(training=training(seed, epochs * 3 // 2 if arm == "longer" else epochs), distil=distil)
    plan = Plan(steps=(tune,) if arm == "dense" else (Channels(ratio=RATIO), tune), seed=seed)
    began = time.perf_counter()
    place = None if work is None else work / f"{arm}-{seed}"
    with limited_threads(1):
        if arm == "protected":
            made = protect(dense, images.train, images.valid, plan, folder=place)
        else:
            made = run_plan(dense, images.train, plan, valid=images.valid, folder=place)
        spent = time.perf_counter() - began
        before = evaluate(dense, images.test)
        others_before = None if others is None else evaluate(dense, others)
        rows = []
        for name, last in (("torch", None), ("int8", LowBits())):
            steps = () if last is None else (last,)
            runs = run_plan(made.model, images.train, Plan(steps=steps, seed=seed)).runs if steps else made.model
            sample = as_inputs(torch.from_numpy(images.test.inputs[:BATCH].copy()))
            found = compare(
                dense, runs, (before, evaluate(runs, images.test)), images.test, sample=sample, batches=(1, BATCH),
                rounds=rounds,
            )  # fmt: skip
            told = found.to_dict()
            valid = evaluate(runs, images.valid).score - evaluate(dense, images.valid).score
            unseen = None
            if others is not None and others_before is not None:
                unseen = drops(others_before, evaluate(runs, others), others.class_names)
            rows.append(
                {"arm": arm, "runtime": name, "seed": seed, "epochs": epochs, "plan": str(made.plan),
                 "accuracy": told["accuracy"], "classes": told["classes"], "largest_drop": told["largest_drop"],
                 "others": unseen, "valid_change": valid, "seconds": round(spent, 1), "notes": made.notes,
                 "latency": [
                     {"batch": one.batch, "noise": one.noise, **asdict(one.rows[-1]), "dense": one.rows[0].seconds}
                     for one in found.gains
                 ]}
            )  # fmt: skip
    return rows


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
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--work", type=Path, help="keep checkpoints here, and go on from them")
    parser.add_argument("--only", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--whole", type=Path, help="folder of the whole CIFAR-10: its other test images judge, too")
    given = parser.parse_args()
    images = reference_images()
    others = None if given.whole is None else other_images(given.whole, images)
    held = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    there = {(one["arm"], one["seed"]) for one in held}
    print(kind(describe()), load(), flush=True)
    for seed in given.seeds:
        for arm in given.only:
            if (arm, seed) in there:
                continue
            rows = measure(arm, seed, images, given.folder, given.epochs, given.rounds, given.work, others)
            held += rows
            given.out.parent.mkdir(parents=True, exist_ok=True)
            with given.out.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(one) + "\n" for one in rows)
            print(f"seed {seed}, {arm}: {rows[0]['seconds']} s", flush=True)
    tell(held)


if __name__ == "__main__":
    main()
