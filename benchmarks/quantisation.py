"""What 8 bits and ONNX gain on the reference network, what they cost in accuracy, and how often two runtimes differ.

``python -m benchmarks.quantisation [--seeds 5] [--folder runs/reference] [--rounds 100]``.

Times are of one thread, all in turns. Accuracy is of the 1,000 validation images, by onnxruntime.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.reference_network import EPOCHS, FOLDER, Images, reference_images, reference_network
from selftaught.compress import (
    Runnable,
    count_multiply_adds,
    export_onnx,
    load_onnx,
    measure_gains,
    prune_channels,
    quantise,
)
from selftaught.training.batches import as_inputs
from selftaught.training.devices import limited_threads
from tests.compress.architectures import Transformer


def speed(images: Images, model: nn.Module, rounds: int, folder: Path) -> None:
    """Time the dense network and half of its channels, in torch and in onnxruntime, in float and in 8 bits."""
    inputs = as_inputs(torch.from_numpy(np.asarray(images.valid.inputs[:64])))
    half = prune_channels(model, inputs[:2]).model.requires_grad_(False)
    few = images.train.take(np.arange(64))
    counts = {"dense": count_multiply_adds(model, inputs[:1]), "half": count_multiply_adds(half, inputs[:1])}
    files = {
        "dense, onnxruntime": (model, "dense"),
        "dense, int8, onnxruntime": (quantise(model, few, batches=2).model, "dense"),
        "half, onnxruntime": (half, "half"),
        "half, int8 with 7-bit weights, onnxruntime": (quantise(half, few, batches=2).model, "half"),
        "half, int8 with 8-bit weights, onnxruntime": (quantise(half, few, batches=2, weight_bits=8).model, "half"),
    }
    rows: dict[str, nn.Module | Runnable] = {"dense, torch": model, "half, torch": half}
    for name, (one, counted) in files.items():
        path = folder / f"{name}.onnx"
        print(f"{name}: {export_onnx(one, inputs[:3], path, check_on=[inputs[:16]]).relative:.1e} from the module")
        session = load_onnx(path)
        rows[name] = Runnable(session, session.bytes, counts[counted])
    for batch in (1, 32):
        print(measure_gains(rows, inputs, batch=batch, rounds=rounds))


def accuracy(images: Images, models: list[nn.Module], folder: Path) -> None:
    """Compare answers on the validation images before and after; the first two ways on all models, others on one."""
    inputs = as_inputs(torch.from_numpy(np.asarray(images.valid.inputs)))
    labels = torch.from_numpy(np.asarray(images.valid.labels)).long()
    ways = {
        "7 bits": {}, "8 bits": {"weight_bits": 8}, "7 bits, any scale": {"power_of_two": False},
        "8 bits, any scale": {"weight_bits": 8, "power_of_two": False},
        "7 bits, percentile": {"calibration": "percentile"}, "7 bits, min-max": {"calibration": "min-max"},
    }  # fmt: skip
    with torch.no_grad():
        answers = [torch.cat([model(one) for one in inputs.split(100)]).argmax(1) for model in models]
    for place, (name, options) in enumerate(ways.items()):
        lost, same, apart = [], [], []
        for model, before in zip(models if place < 2 else models[:1], answers, strict=False):
            found = quantise(model, images.train, valid=images.valid.take(np.arange(16)), **options)  # type: ignore[arg-type]
            written = export_onnx(found.model, inputs[:2], folder / "model.onnx")
            after = load_onnx(folder / "model.onnx")(inputs).argmax(1)
            right = [(one == labels).double().mean().item() for one in (before, after)]
            lost.append(100 * (right[0] - right[1]))
            same.append(100 * (before == after).double().mean().item())
            apart.append(written.relative)
        told = f"points lost {np.round(lost, 2).tolist()}, the same answer {np.round(same, 1).tolist()} %"
        print(f"{name}: {told}, torch and onnxruntime differ by {max(apart):.1e}", flush=True)


def agreement(batches: int, folder: Path) -> None:
    """Count the batches in which onnxruntime rounds elsewhere than torch does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Transformer(width=64).eval()
        words = [torch.randint(50, (32, 12)) for _ in range(batches)]
    for exact in (True, False):
        for power_of_two in (True, False):
            found = quantise(model, words[:2], exact=exact, power_of_two=power_of_two)
            export_onnx(found.model, words[0], folder / "model.onnx", tolerance=1.0)
            session = load_onnx(folder / "model.onnx")
            apart = []
            with torch.no_grad():
                for one in words:
                    wanted = found.model(one)
                    apart.append(float((session(one) - wanted).abs().max() / wanted.abs().max()))
            print(
                f"transformer, exact={exact}, power_of_two={power_of_two}: {sum(one > 1e-4 for one in apart)} of "
                f"{batches} batches of 32 beyond 1e-4, largest {max(apart):.1e}", flush=True,
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    images = reference_images()
    with tempfile.TemporaryDirectory() as name, limited_threads(1):
        folder = Path(name)
        agreement(100, folder)
        models: list[nn.Module] = [
            reference_network(images, seed, folder=given.folder, epochs=EPOCHS).requires_grad_(False)
            for seed in range(given.seeds)
        ]
        speed(images, models[0], given.rounds, folder)
        accuracy(images, models, folder)


if __name__ == "__main__":
    main()
