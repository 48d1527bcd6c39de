"""A run's checkpoints: what is kept, when, and whether a stored one belongs to this run."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import IO, Any

import torch

from selftaught.errors import InputError, ResumeError
from selftaught.training.checkpoint import load_tensors, nested, save_tensors
from selftaught.training.run import Run

__all__ = ["CHECKPOINT", "Checkpoints"]

CHECKPOINT = "checkpoint.safetensors"
#: What may differ between the run that wrote a checkpoint and the one that goes on with it.
_FREE = ("checkpoint_seconds", "device")


class Checkpoints:
    """The checkpoint of a run in its folder, which is locked while it is open; nothing without a folder.

    Args:
        folder: where, or None.
        run: the run, not begun yet.
        resume: True insists on a checkpoint, False starts over, None goes on where there is one.

    Raises:
        InputError: the folder cannot be written, or `resume` is given without one.
        ResumeError: another process is at work there.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, run: Run, *, resume: bool | None) -> None:
        self.finished = False
        self._path: Path | None = None
        self._lock: IO[bytes] | None = None
        if folder is None:
            if resume:
                raise InputError("resume=True needs a folder with a checkpoint; give folder=")
            return
        place = Path(folder).expanduser()
        try:
            place.mkdir(parents=True, exist_ok=True)
            self._lock = open(place / ".lock", "ab")  # noqa: SIM115 - held until `close`
        except OSError as error:
            raise InputError(f"the folder {place} cannot be written ({error.strerror}); choose another") from None
        self._path = place / CHECKPOINT
        self._insist = bool(resume)
        self._last = time.perf_counter()
        try:
            _hold(self._lock, place)
            if resume is False:
                self._path.unlink(missing_ok=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the folder go."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def save_when_due(self, run: Run) -> None:
        """Write a checkpoint when the last one is older than the settings say."""
        if self._path is not None and time.perf_counter() - self._last >= run.config.checkpoint_seconds:
            self.save(run)

    def save(self, run: Run, *, finished: bool = False) -> None:
        """Write a checkpoint now."""
        if self._path is None or self.finished:
            return
        run.check_finite()
        tensors = {f"model.{name}": one for name, one in run.model.state_dict().items()}
        numbers: dict[str, Any] = {}
        for place, state in run.optimiser.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimiser.{place}.{name}"] = value
                elif value is not None:
                    numbers[f"{place}.{name}"] = value
        for place, callback in enumerate(run.callbacks):
            tensors |= {f"callback.{place}.{name}": one for name, one in callback.state().items()}
        tensors["loss_sum"] = run.loss_sum
        facts = {
            **_identity(run), "optimiser": numbers, "precision": run.precision, "step": run.step, "epoch": run.epoch,
            "place": run.place, "seen": run.seen, "loss": run.loss_number, "seconds": run.seconds,
            "history": run.history, "reason": run.reason, "finished": finished,
        }  # fmt: skip
        save_tensors(self._path, tensors, facts)
        self._last = time.perf_counter()

    def restore(self, run: Run) -> bool:
        """Take the run to where its checkpoint was written; return whether there is one.

        Raises:
            ResumeError: it belongs to another run, is damaged, or is missing although it was insisted on.
        """
        if self._path is None:
            return False
        found = load_tensors(self._path)
        if found is None:
            if self._insist:
                raise ResumeError(f"there is no checkpoint in {self._path.parent} to go on from; leave out resume=True")
            return False
        tensors, facts = found
        self._compare(facts, _identity(run))
        run.model.load_state_dict(nested(tensors, "model."))
        _restore_optimiser(run.optimiser, nested(tensors, "optimiser."), facts["optimiser"])
        for place, callback in enumerate(run.callbacks):
            state = nested(tensors, f"callback.{place}.")
            callback.load_state({name: one.to(run.device) for name, one in state.items()})
        run.loss_sum.copy_(tensors["loss_sum"])
        run.precision, run.reason, run.history = facts["precision"], facts["reason"], facts["history"]
        run.step, run.epoch, run.place, run.seen = (facts[name] for name in ("step", "epoch", "place", "seen"))
        run.elapsed, run.loss_number = facts["seconds"], facts["loss"]
        self.finished = facts["finished"]
        return True

    def _compare(self, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
        # Compared as JSON gives it back: tuples are lists there.
        wanted = json.loads(json.dumps(wanted))
        differing = [name for name in wanted if stored.get(name) != wanted[name]]
        if not differing:
            return
        first, told = differing[0], ""
        if first == "settings":
            old, new = stored.get(first) or {}, wanted[first]
            name = next(one for one in {**old, **new} if old.get(one) != new.get(one))
            told = f" ({name} {old.get(name)} -> {new.get(name)})"
        raise ResumeError(
            f"the checkpoint in {Path(str(self._path)).parent} was written with other {first}{told}; "
            "choose another folder, or start over with resume=False (--fresh)"
        )


def _hold(lock: IO[bytes], place: Path) -> None:
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ResumeError(f"another run is at work in {place}; wait for it or choose another folder") from None


def _identity(run: Run) -> dict[str, Any]:
    """Return what must be the same for a run to go on: settings, model, data, callbacks."""
    settings = run.config.model_dump(mode="json")
    shapes = {name: [str(one.dtype), *one.shape] for name, one in run.model.state_dict().items()}
    return {
        "settings": {name: value for name, value in settings.items() if name not in _FREE},
        "model": hashlib.blake2b(json.dumps(shapes).encode(), digest_size=8).hexdigest(),
        "data": run.source.signature,
        "callbacks": [type(callback).__name__ for callback in run.callbacks],
    }


def _restore_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]
) -> None:
    parameters = [one.detach() for group in optimiser.param_groups for one in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **numbers}.items():
        place, _, key = name.partition(".")
        parameter = parameters[int(place)]
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
            # In the parameter's own order in memory: fused kernels walk both side by side.
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(int(place), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
