"""One safetensors file with all tensors of a run, and the rest as JSON in its header; written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from selftaught.errors import InputError, MissingExtraError, ResumeError
from selftaught.writing import write_atomically

__all__ = ["load_plain_tensors", "load_tensors", "load_weights", "nested", "save_tensors", "weights_digest"]

_KEY = "selftaught"


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts as one safetensors file; a reader meets the old file or the new one.

    Args:
        path: the file.
        tensors: by name; from any device, in any memory format. Two names may share one memory.
        facts: what JSON can hold.

    Raises:
        MissingExtraError: safetensors is not installed.
        OSError: the file cannot be written.
    """
    write = _safetensors().save
    flat = {name: one.detach().to("cpu", copy=True).contiguous() for name, one in tensors.items()}
    write_atomically(path, write(flat, {_KEY: json.dumps(facts)}))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Return the tensors and facts of a file, or None where there is none.

    Raises:
        ResumeError: the file is damaged, or was not written by `save_tensors`.
    """
    load = _safetensors().load
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        return load(data), facts
    except Exception as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResumeError(f"{path} cannot be read ({told}); start over with resume=False (--fresh)") from None


def load_plain_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of any safetensors file, whoever wrote it.

    Raises:
        InputError: there is no such file, or it is none.
        MissingExtraError: safetensors is not installed.
    """
    load = _safetensors().load
    try:
        return dict(load(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a safetensors file") from None
    except Exception as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is no safetensors file ({told}); save the weights as one") from None


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a model's tensors from a safetensors file: plain ones, or those of a checkpoint.

    Raises:
        InputError: there is no such file, or it is none of that kind.
    """
    found = load_plain_tensors(path)
    return nested(found, "model.") if found and all(one.startswith("model.") for one in found) else found


def weights_digest(model: torch.nn.Module) -> str:
    """Return 16 hexadecimal digits of a model's weights and buffers, with their names and types.

    >>> one, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    >>> weights_digest(one) == weights_digest(other)
    False
    """
    found = hashlib.blake2b(digest_size=8)
    for name, one in model.state_dict().items():
        if isinstance(one, torch.Tensor):
            held = one.detach().cpu().contiguous()
            found.update(f"{name} {tuple(held.shape)} {held.dtype}".encode())
            found.update(held.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def nested(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: one for name, one in tensors.items() if name.startswith(prefix)}


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise MissingExtraError("safetensors", "networks", "saving a model") from None
    return safetensors.torch
