"""What models trained by `selftaught train` say about examples that none of them has seen."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.audit.population import Population
from selftaught.errors import InputError, SelftaughtError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.training import InMemory, evaluate, load_trained
from selftaught.training.checkpoint import load_tensors, load_weights
from selftaught.training.resizing import with_tensors

__all__ = ["model_folders", "penultimate", "population_of_models", "seen_ids"]

MODEL, LEDGER, WEIGHTS = "model.safetensors", "ledger", ".safetensors"


def model_folders(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the folders of trained models: this one, or those in it, sorted by name; a file of weights is itself one.

    Raises:
        InputError: there is none.
    """
    place = Path(folder).expanduser()
    if place.suffix == WEIGHTS and not place.is_dir():
        if not place.is_file():
            raise InputError(f"there is no file {place}")
        return [place]
    found = [place] if (place / MODEL).is_file() else sorted(one.parent for one in place.glob(f"*/{MODEL}"))
    if not found:
        raise InputError(f"{place} holds no {MODEL}, nor does a folder in it; give what `selftaught train --out` left")
    return found


def population_of_models(
    folders: Sequence[Path],
    examples: Examples,
    *,
    name: str = "population",
    make: Callable[[], torch.nn.Module] | None = None,
) -> Population:
    """Run trained models over examples.

    Args:
        folders: of the models, as `model_folders` gives them.
        examples: with classes.
        name: of the population.
        make: makes the module of weights alone, and of what `compress` left of a module of the user's.

    Raises:
        InputError: a model does not fit the examples.
        ResumeError: a file is damaged.
    """
    scores = []
    for folder in folders:
        model = _model(folder, make)
        stored = load_tensors(folder / MODEL) if folder.is_dir() else None
        classes = None if stored is None else stored[1].get("classes")
        if classes is not None and classes != list(examples.class_names):
            raise InputError(f"the model in {folder} knows other classes than the data; read them as for training")
        try:
            found = evaluate(model, examples).scores
        except SelftaughtError:
            raise
        except Exception:  # of whatever kind a module of the user's raises
            found = None
        if found is None or found.shape[1:] != (examples.num_classes,):
            raise InputError(
                f"the model in {folder} does not take inputs of shape {examples.inputs.shape[1:]} with "
                f"{examples.num_classes} classes; read the data as it was trained on them"
            )
        scores.append(found)
    return Population.from_logits(np.stack(scores), examples.ids, name)


def _model(folder: Path, make: Callable[[], torch.nn.Module] | None) -> torch.nn.Module:
    """Return the model of a folder, or of a file of weights."""
    if folder.is_dir():
        return load_trained(folder, make=make)
    if make is None:
        raise InputError(
            f"{folder} holds weights alone; give the function that makes their module, as make= or "
            "--make file.py:function"
        )
    return with_tensors(make(), load_weights(folder))


def penultimate(
    folder: Path,
    examples: Examples,
    *,
    batch_size: int = 1024,
    make: Callable[[], torch.nn.Module] | None = None,
) -> NDArray[np.float64]:
    """Return what goes into the last linear layer of a trained model, (n, units): an embedding of the examples.

    Raises:
        InputError: the model does not fit the examples.
        ResumeError: a file is damaged.
    """
    model = _model(folder, make)
    linear = [one for one in model.modules() if isinstance(one, torch.nn.Linear)]
    if not linear:
        raise InputError(f"the model in {folder} has no linear layer, whose inputs would be the embedding")
    last = linear[-1]
    found: list[torch.Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, given: found.append(given[0].detach()))
    try:
        with torch.no_grad():
            for batch in InMemory(examples, batch_size=batch_size).in_order(batch_size):
                model(batch.inputs)
    except Exception:
        raise InputError(f"the model in {folder} does not take inputs of shape {examples.inputs.shape[1:]}") from None
    finally:
        hook.remove()
    return np.asarray(torch.cat(found).flatten(1).double().numpy())


def seen_ids(folders: Sequence[Path]) -> NDArray[np.str_]:
    """Return the ids that a model was trained or validated on, by the ledgers beside the models."""
    found: set[str] = set()
    for folder in folders:
        if not folder.is_dir():
            continue
        ledger = Ledger(folder / LEDGER)
        for measure in ledger.measures[:1]:
            found |= set(ledger.read(measure)["id"].unique().to_list())
    return np.array(sorted(found), np.str_)
