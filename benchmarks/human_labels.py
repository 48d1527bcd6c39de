"""Which columns find labels that people give differently: the human labels of CIFAR-10N and the votes of CIFAR-10H.

``python -m benchmarks.human_labels [--epochs 20] [--images 10000] [--out FILE]``. It needs `cifar10n_labels.npz` and
`cifar10h_counts.npz` beside CIFAR-10 below the folder SELFTAUGHT_DATA, and says so where they are not.

Mislabelled: trained on a set of human labels, which columns find those that differ from the official ones (Wei et al.,
arXiv 2110.12088)? The floor is a logistic regression on 128 principal components of the pixels, out of fold. Ambiguous:
images of the test set whose human votes have a high entropy (Peterson et al., arXiv 1908.07086). Rare: two classes of
which a sixth of the images is kept. The matrix of the three columns on the three truths is made on the test images'
own training, where all three are known.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import selftaught
from benchmarks.machine import describe, load
from selftaught.audit import KINDS, auroc, kinds_matrix, label_quality
from selftaught.datasets.local_files import candidate_folders
from selftaught.errors import DataError
from selftaught.examples import Examples
from selftaught.layers.image_tasks import shrink
from selftaught.plans import Network, hard_examples
from selftaught.seeds import rng_for
from selftaught.training import SGD, OneCycle, TrainConfig
from selftaught.training.devices import limited_threads

SETS = ("worse_label", "aggre_label", "random_label1")
#: AUROC of the logistic regression on all 10,000 images, measured before; it is measured again beside the others.
FLOOR = {"worse_label": 0.687, "aggre_label": 0.689, "random_label1": 0.699}
AMBIGUOUS = 0.9  # quantile of the votes' entropy
KEPT = 1 / 6


def human_files() -> dict[str, NDArray[Any]]:
    """Return the human labels and votes, by the official numbers of the images of the subset.

    Raises:
        DataError: a file is not there.
    """
    how = "put cifar10n_labels.npz, cifar10h_counts.npz and index.npz beside it"
    for folder in candidate_folders(("cifar10", "cifar-10", "."), name="human labels of CIFAR-10", how=how):
        paths = [folder / name for name in ("cifar10n_labels.npz", "cifar10h_counts.npz", "index.npz")]
        if all(path.is_file() for path in paths):
            with np.load(paths[0]) as labels, np.load(paths[1]) as votes, np.load(paths[2]) as index:
                rows = index["train_idx"]
                found = {name: labels[name][rows].astype(np.int64) for name in labels.files}
                return {**found, "counts": votes["counts"][index["test_idx"]].astype(np.float64)}
    raise DataError(f"there are no human labels of CIFAR-10; {how}")


def small(examples: Examples) -> Examples:
    """Return the images at 16 x 16."""
    return replace(examples, inputs=shrink(examples.inputs))


def floor(images: Examples, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return one less the out-of-fold probability of a label by logistic regression on 128 principal components."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    pixels = images.inputs.reshape(len(images), -1) / 255.0
    model = make_pipeline(PCA(min(128, pixels.shape[1]), random_state=0), LogisticRegression(max_iter=300))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    found = cross_val_predict(model, pixels, labels, cv=folds, method="predict_proba")
    return label_quality(found[None], labels)


def precision_at(column: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the share of true ones among as many first examples as there are true ones."""
    return float(truth[np.argsort(-column, kind="stable")[: int(truth.sum())]].mean())


def mislabelled(images: Examples, human: dict[str, NDArray[Any]], network: Network, config: TrainConfig) -> list[Any]:
    """Return a row a set of human labels: the AUROC of every column for labels that differ from the official ones."""
    official, rows = np.asarray(images.labels, np.int64), []
    for name in SETS:
        given = human[name][: len(images)]
        wrong = given != official
        began = time.process_time()
        found = hard_examples(replace(images, labels=given), network, config=config)
        columns = {**found.columns, **{f"kind {kind}": found.kinds.column(kind) for kind in KINDS},
                   "logistic regression": floor(images, given)}  # fmt: skip
        rows.append({
            "labels": name, "n": len(images), "base": float(wrong.mean()), "floor": FLOOR[name],
            "out_of_fold_accuracy": float((found.out_of_fold.mean(axis=0).argmax(axis=1) == official).mean()),
            "auroc": {one: auroc(column, wrong) for one, column in columns.items()},
            "precision": {one: precision_at(column, wrong) for one, column in columns.items()},
            "cpu_seconds": time.process_time() - began,
        })  # fmt: skip
    return rows


def matrix(images: Examples, counts: NDArray[np.float64], network: Network, config: TrainConfig) -> dict[str, Any]:
    """Return the AUROC of the three columns on flips, on votes that disagree, and on two rare classes, all at once."""
    rng = rng_for(config.seed, "human truths")
    labels = np.asarray(images.labels, np.int64)
    few = np.isin(labels, rng.permutation(images.num_classes)[:2])
    kept = np.flatnonzero(~few | (rng.random(len(images)) < KEPT))
    images, labels, rare, counts = images.take(kept), labels[kept].copy(), few[kept], counts[kept]
    shares = counts / counts.sum(axis=1, keepdims=True)
    entropy = -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    doubted = (entropy >= np.quantile(entropy, AMBIGUOUS)) & ~rare
    flips = rng.permutation(np.flatnonzero(~rare & ~doubted))[: len(images) // 20]
    labels[flips] = (labels[flips] + rng.integers(1, images.num_classes, len(flips))) % images.num_classes
    truths = {"mislabelled": np.isin(np.arange(len(images)), flips), "ambiguous": doubted, "rare": rare}
    found = hard_examples(replace(images, labels=labels), network, config=config)
    told: dict[str, Any] = {one: dict(row) for one, row in kinds_matrix(found.kinds, truths).items()}  # type: ignore[arg-type]
    told["confidence"] = {kind: auroc(found.columns["confidence"], rows) for kind, rows in truths.items()}
    return {"n": len(images), "counts": {kind: int(rows.sum()) for kind, rows in truths.items()}, "auroc": told}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; skip with a reason where the data are not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        human = human_files()
        train = small(selftaught.load("cifar10"))
        test = small(selftaught.load("cifar10", split="test"))
    except DataError as error:
        print(f"skipped: {error}")
        return 0
    if len(train) != len(human["worse_label"]) or len(test) != len(human["counts"]):
        print("skipped: the images are not those of the subset that index.npz names")
        return 0
    network = Network("cnn", hidden=(16, 32, 48))
    config = TrainConfig(epochs=chosen.epochs, batch_size=64, optimiser=SGD(lr=0.1), schedule=OneCycle(),
                         seed=chosen.seed, device="cpu")  # fmt: skip
    with limited_threads(1):
        results: dict[str, Any] = {"machine": describe(), "load": load(), "epochs": chosen.epochs}
        results["matrix"] = matrix(test, human["counts"], network, config)
        print("columns on truths, test images:", json.dumps(results["matrix"], default=float), flush=True)
        results["mislabelled"] = []
        for row in mislabelled(train.take(np.arange(min(chosen.images, len(train)))), human, network, config):
            results["mislabelled"].append(row)
            ranked = sorted(row["auroc"].items(), key=lambda one: -one[1])
            print(f"{row['labels']}: {row['base']:.4f} differ; floor {row['floor']}; AUROC "
                  + ", ".join(f"{name} {value:.3f}" for name, value in ranked), flush=True)  # fmt: skip
            first = [f"{name} {row['precision'][name]:.3f}" for name, _ in ranked[:4]]
            print(f"  precision in the first n: {', '.join(first)}", flush=True)
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
