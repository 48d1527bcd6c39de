"""A module's weights as a safetensors file, and back into the class they came from, channels removed and all.

Nothing is unpickled. torch's own `.pt2` archives may hold pickled constants, so they are neither written nor read here.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from selftaught.compress.prunable_weights import prunable
from selftaught.compress.tracing import check_finite
from selftaught.errors import DataError, InputError, ResumeError, did_you_mean
from selftaught.training.checkpoint import load_tensors, save_tensors
from selftaught.training.resizing import put_numbers_right
from selftaught.writing import file_to_write

__all__ = ["SavedModule", "load_module", "save_module"]

_KIND = "selftaught module 1"
_MASK, _VALUES = ":mask", ":values"
#: A weight is packed when that takes at most this share of its bytes.
WORTH = 0.9


@dataclass(frozen=True)
class SavedModule:
    """A file of a module's tensors.

    Args:
        path: the file.
        bytes: its size.
        packed: names of weights that are stored as one bit a place and the values that are not zero.
    """

    path: Path
    bytes: int
    packed: tuple[str, ...]


def save_module(model: nn.Module, path: str | os.PathLike[str], *, pack: bool = True) -> SavedModule:
    """Write a module's parameters and buffers as one safetensors file, whole or not at all.

    Any program that reads safetensors can take the tensors out: names are those of the state dictionary. A packed
    weight `w` is `w:mask`, one bit a place in C order, highest bit first, padded with zeros to whole bytes, and
    `w:values`, what stands at the ones; its shape is in the header's `selftaught` entry under "packed".

    Args:
        model: any module; left as it was. For one that `quantise` made, `export_onnx` writes the file to use.
        path: the file to write.
        pack: store weights without their zeros where that is at least a tenth smaller.

    Raises:
        InputError: the path cannot be written, or a weight is not a number.
        MissingExtraError: safetensors is not installed.
    """
    place = file_to_write(path)
    check_finite(model)
    shared = _shared(model)
    state = {name: one.detach().cpu() for name, one in _tensors(model) if name not in shared}
    packed: dict[str, list[int]] = {}
    candidates = _prunable(model) if pack else {}
    tensors: dict[str, torch.Tensor] = {}
    for name, one in state.items():
        parts = _packed(one) if name in candidates else None
        if parts is None:
            tensors[name] = one
        else:
            tensors[name + _MASK], tensors[name + _VALUES] = parts
            packed[name] = list(one.shape)
    facts = {"kind": _KIND, "class": type(model).__name__, "shared": shared, "packed": packed}
    try:
        save_tensors(place, tensors, facts)
    except OSError as error:
        raise InputError(f"{place} cannot be written: {error.strerror}") from None
    return SavedModule(place, place.stat().st_size, tuple(packed))


def load_module(model: nn.Module, path: str | os.PathLike[str]) -> nn.Module:
    """Return a module of the same class with the tensors of a file, in whatever widths they have.

    The class makes the layers, and the file says how wide they are: give the network as it was before channels were
    removed, in another process and with other weights.

    Args:
        model: of the class that was saved; left as it was.
        path: of a file that `save_module` wrote.

    Raises:
        DataError: there is no such file, or it is damaged or of another kind.
        InputError: the model has other tensors than the file.

    >>> import tempfile
    >>> narrow, wide = nn.Linear(3, 2), nn.Linear(8, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = load_module(wide, save_module(narrow, f"{folder}/layer.safetensors").path)
    >>> found, torch.equal(found.weight, narrow.weight)
    (Linear(in_features=3, out_features=2, bias=True), True)
    """
    place = Path(path).expanduser()
    state, facts = _read(place)
    own = copy.deepcopy(model)
    own_shared = _shared(own)
    if own_shared != facts["shared"]:
        raise InputError(
            f"{place} and the model do not share the same weights between layers; give the class it was made of"
        )
    names = [name for name, _ in _tensors(own) if name not in own_shared]
    for name in names:
        if name not in state:
            raise InputError(f"{place} has no {name!r}, which the model has{did_you_mean(name, state)}")
    for name in state:
        if name not in names:
            raise InputError(f"the model has no {name!r}, which {place} has{did_you_mean(name, names)}")
    _put_in(own, state, place)
    return own


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Give all that the state dictionary holds, shared tensors under each of their names."""
    yield from model.state_dict(keep_vars=True).items()


def _shared(model: nn.Module) -> dict[str, str]:
    """Return name -> the first name of the same tensor."""
    first: dict[int, str] = {}
    shared = {}
    for name, one in _tensors(model):
        if isinstance(one, torch.Tensor):
            if id(one) in first:
                shared[name] = first[id(one)]
            first.setdefault(id(one), name)
        else:
            raise InputError(f"{name} is no tensor, and a file of tensors cannot hold it")
    return shared


def _prunable(model: nn.Module) -> dict[str, torch.Tensor]:
    try:
        return dict(prunable(model))
    except InputError:  # there is none
        return {}


def _packed(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return bits and values, or None where that is no smaller."""
    flat = weight.contiguous().reshape(-1)
    kept = flat != 0
    size = (len(flat) + 7) // 8 + int(kept.sum()) * flat.element_size()
    if size > WORTH * flat.numel() * flat.element_size():
        return None
    padded = torch.zeros((len(flat) + 7) // 8 * 8, dtype=torch.uint8)
    padded[: len(flat)] = kept
    powers = 2 ** torch.arange(7, -1, -1, dtype=torch.uint8)
    return (padded.view(-1, 8) * powers).sum(dim=1).to(torch.uint8), flat[kept]


def _unpacked(bits: torch.Tensor, values: torch.Tensor, shape: list[int]) -> torch.Tensor:
    places = (bits[:, None].int() >> torch.arange(7, -1, -1)) & 1
    size = int(torch.tensor(shape).prod())
    kept = places.reshape(-1)[:size].bool()
    weight = torch.zeros(size, dtype=values.dtype)
    weight[kept] = values
    return weight.reshape(shape)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        found = load_tensors(path)
    except (ResumeError, OSError):
        raise DataError(f"{path} is no file that save_module wrote, or it is damaged") from None
    if found is None:
        raise DataError(f"there is no file {path}")
    tensors, facts = found
    if not isinstance(facts, dict) or facts.get("kind") != _KIND:
        raise DataError(f"{path} was not written by save_module")
    try:
        for name, shape in facts["packed"].items():
            tensors[name] = _unpacked(tensors.pop(name + _MASK), tensors.pop(name + _VALUES), shape)
    except (KeyError, RuntimeError, TypeError, AttributeError, IndexError):
        raise DataError(f"{path} is damaged: its packed weights do not fit together") from None
    return tensors, facts


@torch.no_grad()
def _put_in(model: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Replace tensors, shared ones once for all their uses, and put the layers' numbers right."""
    new: dict[int, torch.Tensor] = {}
    for name, one in _tensors(model):
        if name in state:
            given = state[name]
            if given.ndim != one.ndim or given.dtype.is_floating_point != one.dtype.is_floating_point:
                shapes = f"{tuple(given.shape)} instead of {tuple(one.shape)}"
                raise InputError(f"{name} in {path} does not fit the model: {given.dtype} of shape {shapes}")
            held = given.to(one.device)
            new[id(one)] = nn.Parameter(held, one.requires_grad) if isinstance(one, nn.Parameter) else held
    for part in model.modules():
        before = {name: tuple(one.shape) for name, one in part._parameters.items() if one is not None}
        for tensors in (part._parameters, part._buffers):
            entries: dict[str, Any] = dict(tensors)
            for name, one in entries.items():
                if id(one) in new:
                    tensors[name] = new[id(one)]
        put_numbers_right(part, before)
