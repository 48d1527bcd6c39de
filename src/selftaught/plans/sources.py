"""The model to make smaller: the folder of a trained one, or a function of the user's that returns a module."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from selftaught.errors import InputError, did_you_mean
from selftaught.examples import Examples
from selftaught.seeds import seed_for
from selftaught.training.batches import as_inputs
from selftaught.training.checkpoint import load_tensors, load_weights
from selftaught.training.evaluation import run_model
from selftaught.training.random_state import own_random_state
from selftaught.training.resizing import new_in_shapes, with_tensors
from selftaught.training.training_run import MODEL, RESULT, load_trained, model_of_facts

__all__ = ["Source", "check_classes", "check_fit", "load_source"]


@dataclass(frozen=True, eq=False)
class Source:
    """A model and where it comes from.

    Args:
        name: as the user gave it.
        model: the trained module, in evaluation mode.
        make: seed -> the same module with new weights.
        facts: what builds the module again, in JSON's own types.
        folder: of `selftaught train`, or None.
        result: what its `result.json` holds; empty without a folder.
    """

    name: str
    model: nn.Module
    make: Callable[[int], nn.Module]
    facts: dict[str, Any]
    folder: Path | None = None
    result: dict[str, Any] = field(default_factory=dict)


def load_source(name: str, *, weights: str | os.PathLike[str] | None = None) -> Source:
    """Load the model that a user named.

    Args:
        name: the folder of a `selftaught train` or `selftaught compress`; or `package.module:function` or
            `file.py:function`, a function without arguments that returns a module. Its file is run, as naming it says.
        weights: a safetensors file with the function's weights; it is read as numbers, never unpickled.

    Raises:
        InputError: there is no such model, it is no module, or the weights do not fit or are no numbers.
        ResumeError: the folder is damaged.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if weights is not None:
            raise InputError(f"{name} is a folder with weights of its own; --weights goes with a function")
        source = _from_folder(name, folder)
    elif ":" in name:
        source = _from_function(name, weights)
    else:
        raise InputError(
            f"there is no model {name!r}: give the folder that `selftaught train` left, or file.py:function"
        )
    _check_numbers(source.model, name)
    return source


def check_fit(model: nn.Module, examples: Examples, name: str) -> None:
    """Refuse a model that does not take these examples, or knows other classes.

    Raises:
        InputError: it does not.
    """
    if not examples.num_classes:
        raise InputError(f"{examples.name!r} has no classes to predict; compression is judged by classes here")
    rows = as_inputs(torch.from_numpy(np.array(examples.inputs[:2])))
    try:
        with own_random_state(torch.device("cpu")), torch.inference_mode():
            given = run_model(model, rows)
    except InputError:
        raise
    except Exception as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} does not take inputs of shape {tuple(rows.shape[1:])}: {told}") from None
    if given.ndim != 2 or given.shape[1] != examples.num_classes:
        raise InputError(
            f"{name} gives scores of shape {tuple(given.shape[1:])} and {examples.name!r} has {examples.num_classes} "
            "classes; give the data that the model was trained for"
        )


def check_classes(source: Source, examples: Examples) -> None:
    """Refuse data whose classes have other names than those a trained model knows.

    Raises:
        InputError: they have.
    """
    known = source.facts.get("classes")
    if known is not None and list(known) != list(examples.class_names):
        raise InputError(
            f"the model in {source.name} knows other classes than {examples.name!r}: {_few(known)} against "
            f"{_few(examples.class_names)}; read the data as for training"
        )


def _few(names: Any) -> str:
    shown = [str(one) for one in names]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def _from_folder(name: str, folder: Path) -> Source:
    found = load_tensors(folder / MODEL)
    if found is None:
        raise InputError(f"{folder} holds no {MODEL}; give the folder that `selftaught train` or `compress` left")
    facts = found[1]
    if "function" in facts:
        raise InputError(
            f"the model in {folder} was made by {facts['function']}; name that function, and --weights {folder / MODEL}"
        )
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = {}

    def make(seed: int) -> nn.Module:
        return new_in_shapes(model_of_facts(facts, seed=seed), found[0], seed=seed)

    return Source(name, load_trained(folder), make, facts, folder, result if isinstance(result, dict) else {})


def _from_function(name: str, weights: str | os.PathLike[str] | None) -> Source:
    place, _, function = name.rpartition(":")
    module = _module_of(place)
    call = getattr(module, function, None)
    if not callable(call):
        known = [one for one in vars(module) if not one.startswith("_")]
        raise InputError(f"{place} has no function {function!r}{did_you_mean(function, known)}")

    def make(seed: int) -> nn.Module:
        with own_random_state(torch.device("cpu"), seed_for(seed, "weights", "function")):
            try:
                made = call()
            except Exception as error:
                told = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise InputError(f"{name} failed: {type(error).__name__}: {told}") from None
        if not isinstance(made, nn.Module):
            raise InputError(f"{name} must return a torch module, got {type(made).__name__}")
        return made.eval()

    model = make(0)
    if weights is not None:
        tensors = load_weights(Path(weights).expanduser())

        def resized(seed: int) -> nn.Module:
            return new_in_shapes(make(seed), tensors, seed=seed)

        return Source(name, with_tensors(model, tensors), resized, {"function": name})
    return Source(name, model, make, {"function": name})


def _module_of(place: str) -> Any:
    try:
        if place.endswith(".py"):
            path = Path(place).expanduser()
            if not path.is_file():
                raise InputError(f"there is no file {path}; name the one that has the function, as in file.py:function")
            told = importlib.util.spec_from_file_location(f"selftaught_model_{path.stem}", path)
            if told is None or told.loader is None:
                raise InputError(f"{path} cannot be imported; give a Python file")
            module = importlib.util.module_from_spec(told)
            sys.modules[told.name] = module  # classes in it can be copied
            told.loader.exec_module(module)
            return module
        here = os.getcwd()
        if here not in sys.path:
            sys.path.insert(0, here)
        return importlib.import_module(place)
    except InputError:
        raise
    except Exception as error:
        told_error = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{place} cannot be imported ({type(error).__name__}: {told_error})") from None


def _check_numbers(model: nn.Module, name: str) -> None:
    for label, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise InputError(f"{name} returns {label} without a size (a lazy layer); run it on an input once before")
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise InputError(f"{name} holds {label} in {kind}, and models are compressed in float32; give it .float()")
    for label, one in [*model.named_parameters(), *model.named_buffers()]:
        if one.is_floating_point() and not bool(one.isfinite().all()):
            bad = int((~one.isfinite()).sum())
            raise InputError(f"{name}: {bad} of {one.numel()} numbers of {label} are not finite; train the model again")
