"""`train`: from a data set to a folder with a trained reference model, its scores beside baselines, and its ledger."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from selftaught.datasets.set_apart import draw_rows, set_apart, strata
from selftaught.errors import InputError, ResumeError
from selftaught.examples import Examples
from selftaught.seeds import rng_for
from selftaught.training.baselines import Baseline, baselines
from selftaught.training.batches import as_inputs
from selftaught.training.callbacks import Callback, Ema
from selftaught.training.checkpoint import load_tensors, save_tensors
from selftaught.training.config import TrainConfig
from selftaught.training.costs import Cost, cost
from selftaught.training.evaluation import Evaluation, evaluate
from selftaught.training.fitting import Fitted, Progress, fit
from selftaught.training.models import ModelName, make_model, mlp, small_cnn
from selftaught.training.outcomes import RecordOutcomes
from selftaught.training.resizing import with_tensors
from selftaught.training.run import Run
from selftaught.writing import write_atomically

__all__ = [
    "HISTORY", "LEDGER", "MODEL", "RESULT", "Trained", "load_trained", "model_facts", "model_of_facts",
    "recorded_config", "reference_model", "train", "training_parts", "untrained_like",
]  # fmt: skip

VALID_SHARE = 0.1
MOST_VALID = 5000
MODEL, RESULT, HISTORY, LEDGER = "model.safetensors", "result.json", "history.jsonl", "ledger"


@dataclass(frozen=True, eq=False)
class Trained:
    """What `train` gives.

    Args:
        model: the trained module.
        fitted: how it went.
        test: the evaluation on the examples that were set apart.
        baselines: on the same examples.
        cost: of the model.
        folder: where the files are.
    """

    model: torch.nn.Module
    fitted: Fitted
    test: Evaluation
    baselines: tuple[Baseline, ...]
    cost: Cost
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Return the result made of JSON's own types, as `result.json` holds it."""
        low, high = self.test.interval()
        best = max(self.baselines, key=lambda one: one.score)
        return {
            "metric": self.test.metric,
            "test": {"score": self.test.score, "low": low, "high": high, "n": len(self.test.targets)},
            "baselines": [asdict(one) for one in self.baselines],
            "beats_baselines": self.test.score > best.score,
            "beyond_intervals": low > best.high,
            "valid_score": None if self.fitted.valid is None else self.fitted.valid.score,
            "epochs": self.fitted.epochs,
            "steps": self.fitted.steps,
            "seconds": round(self.fitted.seconds, 3),
            "finished": self.fitted.finished,
            "precision": self.fitted.precision,
            "cost": asdict(self.cost),
            "settings": self.fitted.config.model_dump(mode="json"),
        }


def train(
    examples: Examples,
    *,
    model: ModelName = "mlp",
    out: str | os.PathLike[str],
    config: TrainConfig | None = None,
    hidden: Sequence[int] | None = None,
    dropout: float = 0.0,
    ema: float | None = None,
    split_seed: int | None = None,
    resume: bool | None = None,
    on_baselines: Callable[[Sequence[Baseline]], None] | None = None,
    on_progress: Callable[[Progress], str | None] | None = None,
    began: float | None = None,
) -> Trained:
    """Train a reference model on a data set and leave everything in a folder.

    A fifth of the examples, at most 5,000, is set apart for one test at the end; a tenth of the others, at most 5,000,
    is for validation. The folder holds `model.safetensors`, `history.jsonl`, `ledger/*.parquet` (loss, correctness and
    confidence of each training and validation example), `result.json` and the checkpoint. Calling it again goes on
    where it was interrupted.

    Args:
        examples: labelled examples.
        model: "mlp", "cnn" or "linear".
        out: the folder.
        config: how to train.
        hidden: units of the hidden layers of mlp, or channels of the convolutions of cnn.
        dropout: rate of the model's dropout.
        ema: decay of averaged weights; None does without.
        split_seed: of what is set apart and validated on, so that models of several seeds can share it; None takes the
            settings' seed.
        resume: True insists on a checkpoint, False starts over, None goes on where there is one.
        on_baselines: called with the baselines' results, before the training.
        on_progress: as in `fit`.
        began: as in `fit`.

    Raises:
        InputError, DataError, ResumeError, DivergedError: as `fit` does.
    """
    began = time.perf_counter() if began is None else began
    config = config or TrainConfig()
    folder = Path(out).expanduser()
    made = reference_model(model, examples, hidden=hidden, dropout=dropout, seed=config.seed)
    parts = training_parts(examples, config.seed if split_seed is None else split_seed)
    floor = tuple(baselines(parts["train"], parts["test"], seed=config.seed))
    if on_baselines is not None:
        on_baselines(floor)
    seen = examples.take(np.sort(np.concatenate([parts["train rows"], parts["valid rows"]])))
    callbacks: list[Callback] = [_Later(len(parts["test"]))]
    callbacks += [] if ema is None else [Ema(ema)]
    every = max(1, (config.planned_epochs or 10**9) // 10)
    callbacks.append(RecordOutcomes(folder / LEDGER, seen, model=model, every=every))
    fitted = fit(
        made, parts["train"], config, valid=parts["valid"], callbacks=callbacks, folder=folder, resume=resume,
        on_progress=on_progress, began=began,
    )  # fmt: skip
    sample = as_inputs(torch.from_numpy(examples.inputs[:1].copy()))
    found = Trained(made, fitted, evaluate(made, parts["test"]), floor, cost(made, sample, rounds=10), folder)
    facts = model_facts(model, examples, hidden=hidden, dropout=dropout)
    _write(folder, found, facts, examples.name, config.seed if split_seed is None else split_seed)
    return found


def load_trained(
    folder: str | os.PathLike[str], *, make: Callable[[], torch.nn.Module] | None = None
) -> torch.nn.Module:
    """Return the model that `train` left in a folder, in evaluation mode; also one that has lost channels since.

    It takes inputs as `Examples` hold them in float32: tables as they are, images (n, channels, height, width) from 0
    to 1 where they were stored as uint8.

    Args:
        folder: of the model.
        make: the user's function that makes the module, where the model is smaller than one of the user's own. It is
            not called by a name that a file holds.

    Raises:
        InputError: the model was made by a function and none is given, or by another one.
        ResumeError: there is none, or it is damaged.
    """
    tensors, facts = _stored(Path(folder).expanduser() / MODEL)
    if "function" not in facts:
        return with_tensors(model_of_facts(facts), tensors)
    if make is None:
        raise InputError(
            f"the model in {folder} was made by your function {facts['function']}; give that function as make=, or as "
            "--make to selftaught audit"
        )
    return with_tensors(make(), tensors)


def model_of_facts(facts: Mapping[str, Any], *, seed: int = 0) -> torch.nn.Module:
    """Return the model that a file's facts describe, as wide as it was built, with new weights.

    Args:
        facts: beside the weights that `train` left.
        seed: of the weights.
    """
    classes = tuple(facts["classes"])
    labels = np.zeros(2, np.int64) if classes else np.array([0.0, 1.0], np.float32)
    stand_in = Examples(
        np.zeros((2, *facts["shape"]), facts["type"]), labels, np.array(["a", "b"]), class_names=classes
    )
    return reference_model(facts["model"], stand_in, hidden=facts["hidden"], dropout=facts["dropout"], seed=seed)


def untrained_like(folder: str | os.PathLike[str], examples: Examples, *, seed: int) -> torch.nn.Module:
    """Return a model of the shape that `train` left in a folder, with weights of a seed and scales of the examples.

    Raises:
        ResumeError: there is no model, or it is damaged.
    """
    facts = _stored(Path(folder).expanduser() / MODEL)[1]
    return reference_model(facts["model"], examples, hidden=facts["hidden"], dropout=facts["dropout"], seed=seed)


def recorded_config(folder: str | os.PathLike[str]) -> TrainConfig:
    """Return the settings that `train` used; a budget in seconds becomes the steps that were taken.

    Raises:
        ResumeError: there is no result of a training, or it is damaged.
    """
    path = Path(folder).expanduser() / RESULT
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        settings = dict(result["settings"]) | {"precision": result["precision"]}
        if settings["seconds"] is not None:
            settings |= {"seconds": None, "steps": result["steps"]}
        return TrainConfig(**settings)
    except (OSError, ValueError, LookupError, TypeError) as error:
        told = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise ResumeError(f"{path} cannot be read ({told}); give the folder of a finished `selftaught train`") from None


class _Later(Callback):
    """Keeps time free for the test that follows the training."""

    def __init__(self, examples: int) -> None:
        self._examples = examples

    def seconds_at_end(self, run: Run) -> float:
        return run.seconds_an_example * self._examples + 0.02 * (run.config.seconds or 0.0)


def _stored(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    found = load_tensors(path)
    if found is None:
        raise ResumeError(f"there is no trained model {path}; give the folder of a finished `selftaught train`")
    return found


def model_facts(
    name: ModelName, examples: Examples, *, hidden: Sequence[int] | None = None, dropout: float = 0.0
) -> dict[str, Any]:
    """Return what a file of a reference model must say, so that `load_trained` can build it again."""
    return {
        "model": name, "hidden": None if hidden is None else list(hidden), "dropout": dropout,
        "shape": list(examples.inputs.shape[1:]), "type": str(examples.inputs.dtype),
        "classes": list(examples.class_names), "columns": list(examples.feature_names),
    }  # fmt: skip


def reference_model(
    name: ModelName,
    examples: Examples,
    *,
    hidden: Sequence[int] | None = None,
    dropout: float = 0.0,
    seed: int = 0,
) -> torch.nn.Sequential:
    """Return a reference model by name and widths.

    Raises:
        InputError: there is no such model, it does not fit the examples, or it has no such part.
    """
    if name == "linear" and (hidden is not None or dropout):
        raise InputError("a linear model has no hidden layers and no dropout; leave them out, or take mlp")
    if name == "mlp":
        return mlp(examples, hidden=(256, 256) if hidden is None else hidden, dropout=dropout, seed=seed)
    if name == "cnn":
        return small_cnn(examples, widths=(64, 128, 128) if hidden is None else hidden, dropout=dropout, seed=seed)
    return make_model(name, examples, seed=seed)


def training_parts(examples: Examples, seed: int) -> dict[str, Any]:
    """Return the parts that `train` makes of examples: "train", "valid", "test", and row numbers of the first two.

    Args:
        examples: labelled.
        seed: of the training.
    """
    free, test = set_apart(examples, seed=seed)
    classes = strata(examples)
    size = min(max(int(VALID_SHARE * len(free)), 1), MOST_VALID)
    valid = np.sort(draw_rows(rng_for(seed, "training", "valid"), free, classes, size))
    train = np.setdiff1d(free, valid, assume_unique=True)
    return {
        "train": examples.take(train), "valid": examples.take(valid), "test": examples.take(test),
        "train rows": train, "valid rows": valid,
    }  # fmt: skip


def _write(folder: Path, found: Trained, facts: dict[str, Any], name: str, split_seed: int) -> None:
    lines = "".join(json.dumps(line) + "\n" for line in found.fitted.history)
    told = {key: facts[key] for key in ("model", "hidden", "dropout")}
    result = {"data": name, "split_seed": split_seed, **told, **found.to_dict()}
    try:
        save_tensors(folder / MODEL, found.model.state_dict(), facts)
        write_atomically(folder / HISTORY, lines.encode())
        write_atomically(folder / RESULT, (json.dumps(result, indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written ({error.strerror}); choose another out") from None
