"""What pruning makes the reference network forget, at 50, 90 and 95 % of its weights, beside what seeds alone change.

``python -m benchmarks.forgotten_reference [--seeds 0 1 2 3 4 5] [--folder runs/reference] [--whole FOLDER]``.

Every network of `benchmarks.reference_network` is pruned to each level while it is fine-tuned (gradual magnitude
pruning, the same share in each layer), and each level is audited against the dense networks: pairwise, for a pruned
network resembles the one it came from. The test images are looked at once; with ``--whole FOLDER`` they are all 10,000
of CIFAR-10.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import selftaught
from benchmarks.compress_reference import data_folder, training
from benchmarks.reference_network import EPOCHS, FOLDER, Images, kept_or_made, reference_images, reference_network
from selftaught.audit import Population, Sweep, sweep
from selftaught.plans import FineTune, Plan, Weights, run_plan
from selftaught.training import evaluate, small_cnn
from selftaught.training.devices import limited_threads
from selftaught.writing import write_atomically

LEVELS = (0.5, 0.9, 0.95)
OUT = Path("benchmarks") / "results" / "forgotten_reference.json"


def pruned(images: Images, seed: int, level: float, *, folder: Path, epochs: int, dense_epochs: int) -> nn.Module:
    """Return the pruned network of a seed; prune it where the folder does not have it yet."""
    path = folder / f"seed{seed}-epochs{dense_epochs}-zeros{100 * level:g}-tuned{epochs}.safetensors"

    def made(model: nn.Sequential) -> None:
        dense = reference_network(images, seed, folder=folder, epochs=dense_epochs)
        steps = (Weights(amount=level, ranking="per_layer"), FineTune(training=training(seed, epochs)))
        model.load_state_dict(run_plan(dense, images.train, Plan(steps=steps, seed=seed)).model.state_dict())

    return kept_or_made(path, small_cnn(images.train, seed=seed), made)


def rows_of(found: Sweep) -> list[dict[str, Any]]:
    """Return a row a level: what changed beside its null, on which examples, and the classes that paid."""
    dense, *others = found.levels
    rows = []
    for level in others:
        told = level.audit
        if told is None or told.on_pie is None:
            raise ValueError(f"level {level.name} was not audited with labels")
        recalls = [one for one in told.impacts if one.measure == "recall"]
        rows.append({
            "zeros": level.amount, "accuracy": level.accuracy, "deviation": level.deviation, "dense": dense.accuracy,
            "pie": told.pie.rate, "null": told.pie.churn, "models": told.pie.size,
            "beyond": told.pie.finding.value, "interval": list(told.pie.finding.interval),
            "null_range": list(told.pie.finding.null or ()), "verdict": told.pie.finding.verdict,
            "cie": told.cie.rate, "listed": float(told.pie.changed.mean()),
            **{name: number if number == number else None for name, number in vars(told.on_pie).items()},
            "largest_drop": -min(one.finding.value for one in recalls), "worse": [one.where for one in level.worse],
        })  # fmt: skip
    return rows


def tell(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    sides = {
        name: "none" if row[name] is None else f"{row[name]:.3f}"
        for name in ("before_on", "before_off", "after_on", "after_off")
    }
    return (
        f"{100 * row['zeros']:g} % zeros: accuracy {row['accuracy']:.4f} (dense {row['dense']:.4f}); modal label "
        f"changed {row['pie']:.4f}, by seeds alone {row['null']:.4f}, beyond it {row['beyond']:+.4f} [{low:+.4f}, "
        f"{high:+.4f}]; on the changed and off them dense {sides['before_on']} / {sides['before_off']}, "
        f"pruned {sides['after_on']} / {sides['after_off']}; largest drop of a class {row['largest_drop']:.3f}, worse: "
        f"{', '.join(row['worse']) or 'none'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(6)))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--epochs", type=int, default=5, help="of fine-tuning while it is pruned")
    parser.add_argument("--dense-epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--whole", type=Path, help="folder of the whole CIFAR-10: all its test images judge")
    parser.add_argument("--train-only", action="store_true", help="prune, and look at no test image")
    given = parser.parse_args()
    if len(given.seeds) < 4:
        parser.error(f"--seeds takes four seeds or more, got {len(given.seeds)}: fewer have no null")
    images = reference_images()
    settings = {"folder": given.folder, "epochs": given.epochs, "dense_epochs": given.dense_epochs}
    for seed, level in itertools.product(given.seeds, LEVELS):
        pruned(images, seed, level, **settings)
        print(f"seed {seed}, {100 * level:g} % zeros: there", flush=True)
    if given.train_only:
        return
    test = images.test
    if given.whole is not None:
        with data_folder(given.whole):
            test = selftaught.load("cifar10", split="test")

    def population(level: float) -> Population:
        logits = []
        for seed in given.seeds:
            model = (
                pruned(images, seed, level, **settings)
                if level
                else reference_network(images, seed, folder=given.folder, epochs=given.dense_epochs)
            )
            with limited_threads(1):
                logits.append(evaluate(model, test).scores)
        return Population.from_logits(np.stack(logits), test.ids, name=f"{100 * level:g} % zeros")

    found = sweep({level: population(level) for level in (0.0, *LEVELS)}, test, paired=True)
    rows = rows_of(found)
    for row in rows:
        print(tell(row), flush=True)
    result = {
        "seeds": given.seeds, "epochs": given.epochs, "dense_epochs": given.dense_epochs, "images": len(test),
        "levels": rows,
    }  # fmt: skip
    write_atomically(given.out, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
