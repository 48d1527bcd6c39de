"""Which precision a run takes: as told, or whichever is faster here."""

from __future__ import annotations

import copy
import time

import torch

from selftaught.training.batches import Batch
from selftaught.training.evaluation import run_model
from selftaught.training.random_state import own_random_state
from selftaught.training.run import Run

__all__ = ["pick_precision"]

REPEATS = 3
#: bfloat16 has 8 bits of precision; it must be worth it.
LEAST_GAIN = 1.1


def pick_precision(run: Run) -> str:
    """Return "float32" or "bfloat16"; "auto" times both on a copy of the model and the first batch, turn by turn."""
    if run.config.precision != "auto":
        return run.config.precision
    batch = next(run.source.epoch(run.config.seed, 0, 0))
    model = copy.deepcopy(run.model)
    with own_random_state(run.device):
        seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        for turn in range(REPEATS + 1):
            for precision, found in seconds.items():
                taken = _pass(run, model, batch, precision)
                if turn:  # the first turn is for what is made at first use
                    found.append(taken)
    return "bfloat16" if min(seconds["float32"]) > LEAST_GAIN * min(seconds["bfloat16"]) else "float32"


def _pass(run: Run, model: torch.nn.Module, batch: Batch, precision: str) -> float:
    start = time.perf_counter()
    with torch.autocast(run.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        scores = run_model(model, batch.inputs)
    run.loss.mean(scores.float(), batch.targets).backward()
    if run.device.type == "cuda":
        torch.cuda.synchronize(run.device)
    return time.perf_counter() - start
