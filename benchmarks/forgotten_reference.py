"""What pruning makes the reference network forget, at 50, 90 and 95 % of its weights, beside what seeds alone change.

``python -m benchmarks.forgotten_reference [--seeds 0 1 2 3 4 5] [--folder runs/reference] [--whole FOLDER]``.

Every network of `benchmarks.reference_network` is pruned to each level while it is fine-tuned (gradual magnitude
pruning, the same share in each layer). Then, for each way of cutting the seeds into two halves, the modal labels of
the dense networks of one half are compared with those of the dense networks of the other (the null), and with those of
the pruned networks of the other. A pruned network is thus never compared with the network it came from, and both
comparisons have the same number of models. The test images are looked at once; with ``--whole FOLDER`` they are all
10,000 of CIFAR-10.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

import selftaught
from benchmarks.compress_reference import data_folder, training
from benchmarks.reference_network import EPOCHS, FOLDER, Images, reference_images, reference_network
from selftaught.audit import Population, audit
from selftaught.audit.population import modal_labels
from selftaught.examples import Examples
from selftaught.plans import FineTune, Plan, Weights, run_plan
from selftaught.training import evaluate, small_cnn
from selftaught.training.devices import limited_threads
from selftaught.writing import write_atomically

LEVELS = (0.5, 0.9, 0.95)
OUT = Path("benchmarks") / "results" / "forgotten_reference.json"
Subset = tuple[int, ...]


@dataclass(frozen=True)
class Forgotten:
    """What one level forgot.

    Args:
        level: share of the prunable weights that are zero.
        accuracy, deviation: mean and standard deviation over the networks; of the dense ones in `dense`.
        dense: mean accuracy of the dense networks.
        changed: share of images whose modal label differs from that of other dense networks.
        changed_range: smallest and largest over the ways of cutting the seeds into halves.
        null, null_range: the same between dense networks alone.
        beyond: `changed` less `null`, with a 95 % interval over images.
        sparse_on, sparse_off: accuracy of the pruned networks on the images that change most often, and off them.
        dense_on, dense_off: that of the dense networks; None where there are none.
        worse: class -> change of recall, of classes that significantly lost (Benjamini-Hochberg, 5 %).
        largest_drop: of a class's recall, significant or not.
    """

    level: float
    accuracy: float
    deviation: float
    dense: float
    changed: float
    changed_range: tuple[float, float]
    null: float
    null_range: tuple[float, float]
    beyond: tuple[float, float, float]
    sparse_on: float | None
    sparse_off: float | None
    dense_on: float | None
    dense_off: float | None
    worse: dict[str, float]
    largest_drop: float


def pruned(images: Images, seed: int, level: float, *, folder: Path, epochs: int, dense_epochs: int) -> torch.nn.Module:
    """Return the pruned network of a seed; prune it where the folder does not have it yet."""
    path = folder / f"seed{seed}-epochs{dense_epochs}-zeros{100 * level:g}-tuned{epochs}.safetensors"
    model = small_cnn(images.train, seed=seed)
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval()
    dense = reference_network(images, seed, folder=folder, epochs=dense_epochs)
    steps = (Weights(amount=level, ranking="per_layer"), FineTune(training=training(seed, epochs)))
    with limited_threads(1):
        made = run_plan(dense, images.train, Plan(steps=steps, seed=seed)).model
    model.load_state_dict(made.state_dict())
    partial = path.with_suffix(".partial")
    save_file({name: one.contiguous() for name, one in model.state_dict().items()}, partial)
    partial.rename(path)
    return model.eval()


def splits(models: int) -> list[tuple[Subset, Subset]]:
    """Return the ways of cutting numbers 0 to models - 1 into two halves.

    >>> splits(4)
    [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    """
    firsts = (half for half in itertools.combinations(range(models), models // 2) if 0 in half)
    return [(half, tuple(k for k in range(models) if k not in half)) for half in firsts]


def differing(
    one: NDArray[np.float64], other: NDArray[np.float64], pairs: list[tuple[Subset, Subset]]
) -> NDArray[np.float64]:
    """Return, for each pair of subsets, whether the modal labels of an example differ, (pairs, n)."""
    return np.stack([
        (modal_labels(one[list(first)])[0] != modal_labels(other[list(second)])[0]).astype(np.float64)
        for first, second in pairs
    ])  # fmt: skip


def forgotten(level: float, dense: Population, sparse: Population, examples: Examples) -> Forgotten:
    """Compare pruned networks with dense ones of other seeds, and dense ones among themselves.

    Args:
        level: of the pruned.
        dense, sparse: an even number of models each, the same seeds in the same order.
        examples: that were predicted, in the same order.
    """
    halves = splits(dense.models)
    both = halves + [(second, first) for first, second in halves]
    null = differing(dense.probabilities, dense.probabilities, halves)
    changed = differing(dense.probabilities, sparse.probabilities, both)
    excess = changed.mean(0) - null.mean(0)
    margin = 1.96 * float(excess.std(ddof=1)) / np.sqrt(len(excess))
    on = changed.mean(0) > 0.5
    labels = np.asarray(examples.labels)

    def right(population: Population, rows: NDArray[np.bool_]) -> float | None:
        return round(float((population.predicted[:, rows] == labels[rows]).mean()), 5) if rows.any() else None

    told = audit(dense, sparse, examples)
    recalls = [one for one in told.impacts if one.measure == "recall"]
    each = (sparse.predicted == labels).mean(axis=1)

    def over(values: NDArray[np.float64]) -> tuple[float, float]:
        return round(float(values.mean(1).min()), 5), round(float(values.mean(1).max()), 5)

    return Forgotten(
        level=level, accuracy=round(float(each.mean()), 5), deviation=round(float(each.std(ddof=1)), 5),
        dense=round(float((dense.predicted == labels).mean()), 5),
        changed=round(float(changed.mean()), 5), changed_range=over(changed),
        null=round(float(null.mean()), 5), null_range=over(null),
        beyond=(round(float(excess.mean()), 5), round(float(excess.mean() - margin), 5),
                round(float(excess.mean() + margin), 5)),
        sparse_on=right(sparse, on), sparse_off=right(sparse, ~on),
        dense_on=right(dense, on), dense_off=right(dense, ~on),
        worse={one.where: round(one.finding.value, 5) for one in recalls if one.significant and one.finding.value < 0},
        largest_drop=round(-min(one.finding.value for one in recalls), 5),
    )  # fmt: skip


def tell(found: Forgotten) -> str:
    value, low, high = found.beyond
    return (
        f"{100 * found.level:g} % zeros: accuracy {found.accuracy:.4f} (dense {found.dense:.4f}); modal label changed "
        f"{found.changed:.4f} [{found.changed_range[0]:.4f} to {found.changed_range[1]:.4f}], by seeds alone "
        f"{found.null:.4f} [{found.null_range[0]:.4f} to {found.null_range[1]:.4f}], beyond it {value:+.4f} "
        f"[{low:+.4f}, {high:+.4f}]; on the changed and off them dense {found.dense_on} / {found.dense_off}, "
        f"pruned {found.sparse_on} / {found.sparse_off}; largest drop of a class {found.largest_drop:.3f}, "
        f"{len(found.worse)} classes significantly worse"
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
    if len(given.seeds) < 4 or len(given.seeds) % 2:
        parser.error(f"--seeds takes an even number of seeds, four or more, got {len(given.seeds)}")
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

    dense = population(0.0)
    rows: list[dict[str, Any]] = []
    for level in LEVELS:
        found = forgotten(level, dense, population(level), test)
        print(tell(found), flush=True)
        rows.append(asdict(found))
    result = {
        "seeds": given.seeds, "epochs": given.epochs, "dense_epochs": given.dense_epochs, "images": len(test),
        "levels": rows,
    }  # fmt: skip
    write_atomically(given.out, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
