"""Choose for each layer how it is computed, by measuring on this machine what each way takes on the layer's inputs."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import nn

from selftaught.compress.alternative_layers import BlockLinear, CsrLinear, Int8Linear, RowsLinear
from selftaught.compress.gains import LEAST_GAIN, Gains, measure_gains
from selftaught.compress.replaced_layers import ReplacedLayer, replace_layers
from selftaught.compress.sparse_conv import SparseConv2d
from selftaught.compress.sparse_linear import SparseLinear
from selftaught.errors import InputError, SelftaughtError, require_one_of
from selftaught.training.costs import time_in_turns
from selftaught.training.devices import limited_threads, model_device
from selftaught.training.evaluation import run_model
from selftaught.training.random_state import own_random_state

__all__ = ["Candidate", "Choice", "LayerChoice", "choose_layers"]

Candidate = Literal["dense", "sparse", "csr", "bsr", "rows", "int8"]
CANDIDATES: tuple[Candidate, ...] = get_args(Candidate)
#: Candidates whose outputs differ by more than rounding.
INEXACT = ("int8",)
#: Above this density no way to leave zeros out is tried: none paid there in any measurement.
DENSEST = 0.8
TOLERANCE = 1e-4  # of the largest output: what rounding in another order may make


@dataclass(frozen=True)
class LayerChoice:
    """What one layer took in each of its forms.

    Args:
        name: of the layer.
        kind: and shape of its weight, for people.
        density: share of weights that are not zero.
        seconds: candidate -> the least time of a call at each batch size.
        left_out: candidate -> why it was not measured.
        differences: candidate -> the largest difference of an output to the dense layer's.
        noise: dense against itself, at the batch size where it is largest.
        chosen: the candidate with the largest mean gain beyond the noise, or "dense".
    """

    name: str
    kind: str
    density: float
    seconds: Mapping[str, tuple[float, ...]]
    left_out: Mapping[str, str]
    differences: Mapping[str, float]
    noise: float
    chosen: str

    def gain(self, candidate: str) -> float:
        """Return how many times faster than dense a candidate is: the geometric mean over batch sizes."""
        return _gain(self.seconds, candidate)


@dataclass(frozen=True)
class Choice:
    """A model with the fastest form of each layer in place.

    Args:
        model: a copy of the model given, for inference on this machine; `densify` makes its layers plain again.
        layers: one a layer that has a choice.
        batch_sizes: that were measured.
        gains: of the whole model, one a batch size; the first row is the model given.
        faster: whether the assembled model was faster beyond the noise; if not, `model` is a copy of the one given.
        difference: the largest difference of an output of the assembled model to that of the model given.
    """

    model: nn.Module
    layers: tuple[LayerChoice, ...]
    batch_sizes: tuple[int, ...]
    gains: tuple[Gains, ...]
    faster: bool
    difference: float

    def __str__(self) -> str:
        lines = []
        for one in self.layers:
            lines.append(f"{one.name or 'model'}: {one.kind}, density {one.density:.2f}, noise {one.noise:.2f} x")
            for name, seconds in one.seconds.items():
                told = ", ".join(
                    f"{1e6 * value:,.0f} us ({dense / value:.2f} x)"
                    for value, dense in zip(seconds, one.seconds["dense"], strict=True)
                )
                mark = "->" if name == one.chosen else "  "
                lines.append(f"  {mark} {name:<7} {told}; differs by {one.differences[name]:.1e}")
            lines += [f"     {name:<7} left out: {why}" for name, why in one.left_out.items()]
        sizes = ", ".join(map(str, self.batch_sizes))
        lines.append(f"times of a call at batch {sizes}; x: times faster than dense in the same rounds")
        for size, found in zip(self.batch_sizes, self.gains, strict=True):
            dense, chosen = found.rows[0], found.rows[-1]
            lines.append(
                f"whole model, batch {size}: {1e6 * dense.seconds:,.0f} us became {1e6 * chosen.seconds:,.0f} us, "
                f"{chosen.realised:.2f} x the speed; noise {found.noise:.2f} x"
            )
        if self.faster:
            lines.append(f"the layers chosen are in place; outputs differ by at most {self.difference:.1e}")
        else:
            lines.append("no choice of layers makes the whole model faster here: it stays dense")
        return "\n".join(lines)


def choose_layers(
    model: nn.Module,
    example_inputs: torch.Tensor,
    *,
    batch_sizes: Sequence[int] = (1, 32),
    candidates: Iterable[Candidate] = CANDIDATES,
    exact: bool = True,
    rounds: int = 30,
    threads: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Measure linear layers and convolutions in several forms on the inputs they get, and put the fastest in place.

    All forms of a layer are timed in turns, and dense twice: what its two times differ by is noise, and a form that is
    not faster than dense by more, or by less than 1.1 times, is not taken. Then the whole model is measured with the
    choice in place; where it is not faster, the model stays dense. Layers that are called several times in a pass are
    measured on their first inputs.

    Args:
        model: in float32 on the CPU; left as it was.
        example_inputs: (n, ...), as the model takes them; repeated to fill a batch.
        batch_sizes: that count; a layer's gain is the geometric mean over them.
        candidates: "dense" (always there) and "sparse" (`SparseLinear`, `SparseConv2d`); for linear layers also "csr",
            "bsr" (blocks of 16), "rows" (all-zero rows and columns taken out) and "int8".
        exact: leave out what changes outputs by more than rounding (int8).
        rounds: of timing, after two that are not measured.
        threads: of torch, while it measures.
        clock: in seconds.

    Raises:
        InputError: an unknown candidate, no example input, a number below 1, a model that is not on the CPU, or one
            that has no linear layer or convolution, or runs none.

    >>> layer = nn.Linear(64, 64).requires_grad_(False)
    >>> _ = layer.weight.masked_fill_(torch.rand(64, 64) < 0.9, 0.0)
    >>> choice = choose_layers(nn.Sequential(layer), torch.randn(4, 64), batch_sizes=[8], rounds=2)
    >>> sorted(choice.layers[0].seconds), choice.layers[0].left_out["int8"]
    (['bsr', 'csr', 'dense', 'sparse'], 'it changes outputs; allow it with exact=False')
    """
    names = tuple(dict.fromkeys(candidates))
    for one in names:
        require_one_of("a candidate", one, CANDIDATES)
    if len(example_inputs) == 0 or not batch_sizes:
        raise InputError("a choice of layers needs at least one example input and one batch size")
    if min(*batch_sizes, rounds, threads) < 1:
        raise InputError(f"batch sizes, rounds and threads must be at least 1, got {batch_sizes}, {rounds}, {threads}")
    if model_device(model).type != "cpu":
        raise InputError(f"layers are chosen for the CPU, but the model is on {model_device(model)}; move it: .cpu()")
    sizes = tuple(batch_sizes)
    own = copy.deepcopy(model).eval()
    layers = {name: one for name, one in own.named_modules() if type(one) in _MAKERS and not _watched(one)}
    if not layers:
        raise InputError("the model has no linear layer and no Conv2d: there is nothing to choose")
    with limited_threads(threads), torch.inference_mode(), own_random_state(model_device(own)):
        given = [_inputs_of_layers(own, layers, _filled(example_inputs, size)) for size in sizes]
        if not any(given):
            raise InputError("the model runs none of its linear layers and convolutions on the example inputs")
        found, forms = [], {}
        for name, layer in layers.items():
            inputs = [one[name] for one in given if name in one]
            if len(inputs) < len(sizes):
                continue
            made, left_out = _forms(layer, names, exact)
            choice = _measured(name, layer, made, left_out, inputs, rounds, clock)
            if choice.chosen != "dense":
                why = _refusal(own, name, made[choice.chosen], _filled(example_inputs, sizes[0]))
                if why:
                    choice = replace(choice, chosen="dense", left_out={**choice.left_out, choice.chosen: why})
                else:
                    forms[name] = made[choice.chosen]
            found.append(choice)
    assembled = replace_layers(own, _everywhere(own, forms))
    both = {"dense": model, "chosen": assembled}
    gains = tuple(
        measure_gains(both, example_inputs, batch=size, rounds=rounds, threads=threads, clock=clock) for size in sizes
    )
    mean = math.exp(sum(math.log(one.rows[-1].realised) for one in gains) / len(gains))
    faster = bool(forms) and mean > max(LEAST_GAIN, *(one.noise for one in gains))
    final = assembled if faster else copy.deepcopy(model)
    modes = {name: one.training for name, one in model.named_modules()}
    for name, part in final.named_modules():
        part.training = modes.get(name, model.training)
    return Choice(
        model=final, layers=tuple(found), batch_sizes=sizes, gains=gains, faster=faster,
        difference=max(one.rows[-1].difference for one in gains),
    )  # fmt: skip


def _watched(layer: nn.Module) -> bool:
    """Return whether hooks hang on a layer, which a replacement would lose."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _everywhere(model: nn.Module, forms: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Return the replacements under every name that their layers have in a model."""
    by_layer = {id(model.get_submodule(name)): form for name, form in forms.items()}
    return {
        name: by_layer[id(one)] for name, one in model.named_modules(remove_duplicate=False) if id(one) in by_layer
    }


def _refusal(model: nn.Module, name: str, form: nn.Module, rows: torch.Tensor) -> str:
    """Return why a model does not run with a form in place: its code may read a layer's weight itself."""
    layer = model.get_submodule(name)
    names = _everywhere(model, {name: form})
    try:
        run_model(replace_layers(model, names), rows)
    except Exception as error:  # whatever the model's own code raises
        return f"the model does not run with it ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    finally:
        replace_layers(model, dict.fromkeys(names, layer))
    return ""


def _gain(seconds: Mapping[str, tuple[float, ...]], candidate: str) -> float:
    ratios = [dense / one for dense, one in zip(seconds["dense"], seconds[candidate], strict=True)]
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _filled(inputs: torch.Tensor, size: int) -> torch.Tensor:
    return inputs[torch.arange(size) % len(inputs)]


def _inputs_of_layers(
    model: nn.Module, layers: Mapping[str, nn.Module], rows: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the inputs of each layer's first call in a pass."""
    found: dict[str, torch.Tensor] = {}

    def keeping(name: str) -> Callable[..., None]:
        def keep(_: nn.Module, given: tuple[Any, ...]) -> None:
            if given:
                found.setdefault(name, given[0].clone())

        return keep

    hooks = [layer.register_forward_pre_hook(keeping(name)) for name, layer in layers.items()]
    try:
        run_model(model, rows)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _forms(
    layer: nn.Module, candidates: Sequence[str], exact: bool
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Return the forms that a layer can take, and why it cannot take the others."""
    weight, makers = layer.get_parameter("weight"), _MAKERS[type(layer)]
    density = int(torch.count_nonzero(weight)) / max(weight.numel(), 1)
    made: dict[str, nn.Module] = {"dense": layer}
    left_out: dict[str, str] = {}
    for name in candidates:
        if name == "dense":
            continue
        why = _reason(name, weight, density, exact) if name in makers else "not for convolutions"
        if not why:
            try:
                made[name] = makers[name](layer)
            except SelftaughtError as error:
                why = str(error)
        if why:
            left_out[name] = why
    return made, left_out


def _reason(name: str, weight: torch.Tensor, density: float, exact: bool) -> str:
    """Return why a form is not tried, or nothing."""
    if weight.dtype is not torch.float32:
        return f"the weight is {str(weight.dtype).removeprefix('torch.')}, not float32"
    if name in INEXACT and exact:
        return "it changes outputs; allow it with exact=False"
    if name in ("sparse", "csr", "bsr") and density > DENSEST:
        return f"{density:.0%} of the weights are not zero"
    if name == "rows" and bool(weight.any(dim=0).all()) and bool(weight.any(dim=1).all()):
        return "no row or column is all zero"
    if name == "rows" and density == 0:
        return "all weights are zero"
    return ""


_MAKERS: dict[type[nn.Module], dict[str, Callable[[Any], ReplacedLayer]]] = {
    nn.Linear: {
        "sparse": SparseLinear, "csr": CsrLinear, "bsr": BlockLinear, "rows": RowsLinear, "int8": Int8Linear,
    },
    nn.Conv2d: {"sparse": SparseConv2d},
}  # fmt: skip


def _measured(
    name: str,
    layer: nn.Module,
    made: dict[str, nn.Module],
    left_out: dict[str, str],
    inputs: list[torch.Tensor],
    rounds: int,
    clock: Callable[[], float],
) -> LayerChoice:
    """Time a layer's forms in turns, dense at both ends, and choose."""
    differences = {}
    for form, one in list(made.items()):
        pairs = [(one(rows).double(), layer(rows).double()) for rows in inputs]
        differences[form] = max(float((a - b).abs().max()) if a.numel() else 0.0 for a, b in pairs)
        largest = max(float(b.abs().max()) if b.numel() else 0.0 for _, b in pairs)
        if form not in INEXACT and not differences[form] <= TOLERANCE * max(largest, 1e-30):
            left_out[form] = f"its outputs differ by {differences[form]:.1e}, more than rounding"
            del made[form]
    seconds: dict[str, tuple[float, ...]] = {form: () for form in made}
    noise = 1.0
    for rows in inputs:
        cases: dict[str, Callable[[], object]] = {form: _call(one, rows) for form, one in made.items()}
        timed = time_in_turns({**cases, "dense again": cases["dense"]}, rounds=rounds, clock=clock)
        least = {form: max(min(times), 1e-12) for form, times in timed.items()}
        again = least.pop("dense again")
        noise = max(noise, again / least["dense"], least["dense"] / again)
        seconds = {form: (*seconds[form], value) for form, value in least.items()}
    best = max(seconds, key=lambda form: _gain(seconds, form))
    weight = layer.get_parameter("weight")
    kind = f"{' x '.join(map(str, weight.shape))} {'linear' if weight.dim() == 2 else 'convolution'}"
    density = int(torch.count_nonzero(weight)) / max(weight.numel(), 1)
    chosen = best if _gain(seconds, best) > max(LEAST_GAIN, noise) else "dense"
    return LayerChoice(name, kind, density, seconds, left_out, differences, noise, chosen)


def _call(layer: nn.Module, rows: torch.Tensor) -> Callable[[], object]:
    return lambda: layer(rows)
