"""Whether compressed layers and networks run faster here: every form beside dense, in turns, one thread.

``python -m benchmarks.latency [--quick] [--only linear|network] [--rounds 30] [--out FILE]``

*Linear*: a layer of 1024 x 1024 at several densities, as zeros in a dense matrix, torch's and SciPy's sparse rows,
torch's blocks, this library's kernel, fewer rows, 8-bit integers, bfloat16 and onnxruntime. *Network*: the reference
network with masks, with half of its channels, and with sparse layers, in torch and in onnxruntime. All forms of a batch
size take turns, dense twice. In its turn a form is called for two milliseconds, at least once, and then timed, in CPU
seconds of the one thread: so each finds its own weights as near as they can be, not those of the form before it.
What is timed does not depend on the values, so weights and inputs are drawn. torch.compile is left out: it needs a C++
compiler.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import nn

from benchmarks.machine import describe, load
from selftaught.compress import (
    SparseConv2d,
    SparseLinear,
    block_mask,
    choose_layers,
    count_multiply_adds,
    export_onnx,
    load_onnx,
    prune_channels,
    prune_weights,
)
from selftaught.compress.alternative_layers import BlockLinear, CsrLinear, Int8Linear
from selftaught.compress.replaced_layers import replace_layers
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training import small_cnn
from selftaught.training.devices import limited_threads
from selftaught.writing import write_atomically

__all__ = ["SECTIONS", "main"]

RESULTS = Path(__file__).resolve().parent / "results" / "latency.json"
SIZE = 1024
DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.01)
BATCHES = (1, 32, 256)
#: A gain below this, or below what dense differs by from itself, is no gain.
LEAST = 1.1
NEAR = 0.002  # seconds of calls before a call that is timed
Call = Callable[[], Any]


@dataclass(frozen=True)
class Form:
    """A way to compute something.

    Args:
        name: of the way.
        call: computes it for one batch.
        density: share of the weights that is left, or of the rows or bits.
        theoretical: times fewer multiply-adds, or bits, than dense.
        wanted: what to compare its output with, or None where it computes something smaller.
    """

    name: str
    call: Call
    density: float
    theoretical: float
    wanted: torch.Tensor | None


def _layer(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0]).requires_grad_(False).eval()
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer


def _scipy_call(layer: nn.Linear, inputs: torch.Tensor) -> Call:
    matrix = scipy.sparse.csr_array(layer.weight.numpy())
    given, bias = inputs.numpy(), layer.bias.numpy()
    if len(given) == 1:
        return lambda: (matrix @ given[0])[None] + bias
    return lambda: (matrix @ given.T).T + bias


def _onnx_call(model: nn.Module, inputs: torch.Tensor, folder: Path, name: str) -> Call:
    path = folder / f"{name}.onnx"
    if not path.exists():
        export_onnx(model, inputs[:1], path, check_on=(inputs,))
    session = load_onnx(path)
    return lambda: session(inputs)


def linear_forms(
    batch: int, size: int, densities: Sequence[float], folder: Path, *, onnx: bool = True
) -> list[Form]:
    """Return the forms of one layer at one batch size, dense first and last; in onnxruntime too."""
    rng = rng_for(0, "latency of linear layers")
    weight = torch.from_numpy(rng.standard_normal((size, size), dtype=np.float32)) / size**0.5
    order = torch.from_numpy(rng.random((size, size), dtype=np.float32))
    bias, inputs = (
        torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) for shape in ((size,), (batch, size))
    )
    dense = _layer(weight, bias)
    whole = dense(inputs)
    forms = [Form("dense", lambda: dense(inputs), 1.0, 1.0, whole)]

    def add(name: str, layer: Callable[[torch.Tensor], Any], density: float, wanted: torch.Tensor | None) -> None:
        forms.append(Form(name, lambda: layer(inputs), density, 1 / density, wanted))

    for density in densities:
        sparse = _layer(weight * (order < density), bias)
        wanted = sparse(inputs)
        add("zeros in a dense matrix", sparse, density, wanted)
        add("torch CSR", CsrLinear(sparse), density, wanted)
        call = _scipy_call(sparse, inputs)
        forms.append(Form("SciPy CSR", call, density, 1 / density, wanted))
        add("sparse (this library)", SparseLinear(sparse), density, wanted)
    tenth = _layer(weight * (order < 0.1), bias)
    for blocks in (16, 64):
        for density in (0.2, 0.1):
            blocked = _layer(weight * block_mask(weight, blocks, density), bias)
            add(f"torch BSR, blocks of {blocks}", BlockLinear(blocked, blocks), density, blocked(inputs))
    for density in (0.5, 0.25, 0.1):
        rows = int(size * density)
        add("rows removed", _layer(weight[:rows], bias[:rows]), density, None)
    integers = Int8Linear(dense)
    forms.append(Form("int8, dynamic", lambda: integers(inputs), 1.0, 4.0, whole))
    halves, given = copy.deepcopy(dense).bfloat16(), inputs.bfloat16()
    forms.append(Form("bfloat16", lambda: halves(given), 1.0, 2.0, whole))
    exported = {"onnxruntime": (dense, 1.0), "onnxruntime, zeros in a dense matrix": (tenth, 0.1)}
    for name, (layer, density) in exported.items() if onnx else ():
        call = _onnx_call(layer, inputs, folder, f"linear-{density}")
        forms.append(Form(name, call, density, 1 / density, layer(inputs)))
    return [*forms, Form("dense, again", forms[0].call, 1.0, 1.0, whole)]


def _pictures() -> Examples:
    """Noise in the shape of CIFAR-10."""
    rng = rng_for(0, "latency of networks")
    pixels = rng.integers(0, 256, (64, 32, 32, 3)).astype(np.uint8)
    names = np.array([str(k) for k in range(64)])
    return Examples(pixels, rng.integers(0, 10, 64), names, class_names=tuple("0123456789"))


def _masked(model: nn.Module, density: float) -> nn.Module:
    own = copy.deepcopy(model)
    for name, mask in prune_weights(own, density, ranking="per_layer").items():
        own.get_parameter(name).mul_(mask)
    return own


def _sparse(model: nn.Module) -> nn.Module:
    own = copy.deepcopy(model)
    made: dict[str, nn.Module] = {}
    for name, one in own.named_modules():
        if type(one) is nn.Conv2d:
            made[name] = SparseConv2d(one)
        elif type(one) is nn.Linear:
            made[name] = SparseLinear(one)
    return replace_layers(own, made)


def network_forms(batch: int, widths: Sequence[int], folder: Path, *, onnx: bool = True) -> list[Form]:
    """Return the forms of the reference network at one batch size, dense first and last; in onnxruntime too."""
    pictures = _pictures()
    dense = small_cnn(pictures, widths=widths, seed=0).requires_grad_(False).eval()
    inputs = torch.from_numpy(pictures.inputs).permute(0, 3, 1, 2).float()[torch.arange(batch) % 64].contiguous() / 255
    models: dict[str, nn.Module] = {"dense": dense}
    for density in (0.3, 0.1, 0.05):
        models[f"{1 - density:.0%} masked"] = _masked(dense, density)
    models["half of the channels"] = prune_channels(dense, inputs[:2], ratio=0.5).model.requires_grad_(False)
    models["half of the channels, 90% of the rest masked"] = _masked(models["half of the channels"], 0.1)
    whole = count_multiply_adds(dense, inputs[:1])
    forms: list[Form] = []

    def add(name: str, call: Call, source: nn.Module) -> None:
        left = count_multiply_adds(source, inputs[:1])
        forms.append(Form(name, call, left / whole, whole / left, source(inputs)))

    for name, model in models.items():
        add(name, _call(model, inputs), model)
        if "masked" in name:
            add(f"{name}, sparse layers", _call(_sparse(model), inputs), model)
    masked = models["90% masked"]
    chosen = choose_layers(
        masked, inputs, batch_sizes=[batch], candidates=["sparse"], rounds=20, clock=time.thread_time
    )
    add("90% masked, layers chosen by measurement", _call(chosen.model, inputs), masked)
    for number, (name, model) in enumerate(models.items() if onnx else ()):
        if name in ("dense", "90% masked", "half of the channels"):
            call = _onnx_call(model, inputs, folder, f"network-{number}")
            add("onnxruntime" if name == "dense" else f"onnxruntime, {name}", call, model)
    return [*forms, Form("dense, again", forms[0].call, 1.0, 1.0, forms[0].wanted)]


def _call(model: nn.Module, inputs: torch.Tensor) -> Call:
    return lambda: model(inputs)


def timed(forms: Sequence[Form], rounds: int, keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time forms in turns; return a row a form.

    `ratio` is least against least; `paired` the median of the ratios of the same rounds. Forms in onnxruntime are
    beside its own dense model as well, since a gain there is not to be mistaken for the runtime's.
    """
    differences = [_difference(one) for one in forms]
    before = load()[:1]
    with torch.inference_mode():
        seconds = _in_turns([one.call for one in forms], rounds)
    dense, again = seconds[0], seconds[-1]
    noise = max(min(dense) / min(again), min(again) / min(dense))
    own = next((times for one, times in zip(forms, seconds, strict=True) if one.name == "onnxruntime"), dense)
    rows = []
    for form, times, difference in zip(forms, seconds, differences, strict=True):
        base = own if form.name.startswith("onnxruntime,") else dense
        ratio, of_runtime = min(dense) / min(times), min(base) / min(times)
        rows.append(
            {
                **keys, "form": form.name, "density": form.density, "theoretical": form.theoretical,
                "least": min(times), "median": statistics.median(times), "ratio": ratio,
                "paired": statistics.median(a / b for a, b in zip(dense, times, strict=True)),
                "within_runtime": of_runtime, "difference": difference, "noise": noise, "repeats": rounds,
                "verdict": _verdict(form.theoretical, of_runtime, noise), "load": [*before, *load()[:1]],
            }
        )  # fmt: skip
        said = f"{1e6 * min(times):>10,.1f} us {ratio:7.2f} x  {form.name} {form.density:.3g}"
        print(f"  {keys['batch']:>4} {said}", flush=True)
    return rows


def _in_turns(calls: Sequence[Call], rounds: int) -> list[list[float]]:
    """Return the seconds of one call after some that bring its weights near, for each form and round."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, found in zip(calls, seconds, strict=True):
            end = time.thread_time() + NEAR
            call()
            while time.thread_time() < end:
                call()
            began = time.thread_time()
            call()
            found.append(time.thread_time() - began)
    return seconds


def _difference(form: Form) -> float | None:
    """Return the largest difference of an output, over the largest output."""
    if form.wanted is None:
        return None
    with torch.inference_mode():
        found = torch.as_tensor(form.call()).double()
    return float((found - form.wanted.double()).abs().max() / form.wanted.double().abs().max())


def _verdict(theoretical: float, ratio: float, noise: float) -> str:
    if theoretical <= 1:
        return ""
    share = (ratio - 1) / (theoretical - 1) if ratio > max(LEAST, noise) else 0.0
    return f"{100 * share:.0f} % realised"


def linear(rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Time the layer at every batch size."""
    size, densities, batches = (256, (0.1,), (1, 4)) if quick else (SIZE, DENSITIES, BATCHES)
    rows = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for batch in batches:
            forms = linear_forms(batch, size, densities, Path(folder), onnx=not quick)
            rows += timed(forms, rounds, {"size": size, "batch": batch})
    return rows


def network(rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Time the reference network at two batch sizes."""
    widths, batches = ((16, 16), (1, 2)) if quick else ((64, 128, 128), (1, 32))
    rows = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for batch in batches:
            forms = network_forms(batch, widths, Path(folder), onnx=not quick)
            rows += timed(forms, rounds, {"widths": list(widths), "batch": batch})
    return rows


SECTIONS: dict[str, Callable[[int, bool], list[dict[str, Any]]]] = {"linear": linear, "network": network}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a miniature that only shows that everything runs")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="a section; may be repeated")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, help="where figures go (benchmarks/results/latency.json)")
    given = parser.parse_args(arguments)
    out = given.out or (Path("runs") / "benchmarks" / "latency-quick.json" if given.quick else RESULTS)
    results = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    for name in given.only or SECTIONS:
        print(name, flush=True)
        before, began = load(), time.process_time()
        with limited_threads(1):
            rows = SECTIONS[name](1 if given.quick else given.rounds, given.quick)
        results[name] = {
            "quick": given.quick, "date": datetime.now(UTC).date().isoformat(), "machine": _machine(),
            "load": {"before": before, "after": load()}, "cpu_seconds": round(time.process_time() - began, 1),
            "rows": rows,
        }  # fmt: skip
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, (json.dumps(results, indent=1) + "\n").encode())
    return 0


def _machine() -> dict[str, Any]:
    import onnxruntime

    found = describe()
    versions = {"torch": torch.__version__, "scipy": scipy.__version__, "onnxruntime": onnxruntime.__version__}
    return {**found, "versions": {**found["versions"], **versions}}


if __name__ == "__main__":
    sys.exit(main())
