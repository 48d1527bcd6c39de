"""Judge a candidate by training it: on the search's training examples, scored on its validation examples."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from selftaught.errors import InputError
from selftaught.examples import Task
from selftaught.objectives.cost import latency_ms
from selftaught.objectives.models import input_shape, model_of, outputs_of, save_model
from selftaught.objectives.schedules import training_of, usual_training
from selftaught.seeds import seed_for
from selftaught.spaces import Candidate, Network, find_space, network_of
from selftaught.spaces.build import cost_of, inherit
from selftaught.training import TrainConfig, fit
from selftaught.training.checkpoint import load_tensors
from selftaught.training.devices import limited_threads
from selftaught.trial import Score

__all__ = ["NetworkObjective"]


@dataclass(frozen=True)
class NetworkObjective:
    """Candidate -> score in per cent on the validation examples, and what it cost.

    The same candidate and seed give the same score, bit for bit, on one machine: training runs on a number of threads
    of its own. With `weights` that holds only for the same candidates before it, since it begins with their weights.

    Args:
        space: a name of `NETWORK_SPACES`, or "training" for schedules of one network.
        task: what to train on and to be judged by; its test part is never looked at.
        epochs: of every training.
        width: channels of the network's first stage; see `network_of`.
        cells: a stage, for networks of cells.
        network: that schedules are tried on, for the space "training".
        seed: of initial weights, order and augmentation.
        device: a name of torch's.
        threads: of torch on a CPU.
        latency: whether to measure milliseconds of a forward pass of one example; they need an idle machine.
        weights: a folder where weights are kept, so that a child begins with those of its parent; None begins anew.

    Raises:
        InputError: the space does not fit the task, or epochs are below 1.

    >>> from selftaught.objectives import search_task
    >>> from selftaught.spaces import find_space
    >>> objective = NetworkObjective("mlp", search_task("iris"), epochs=2)
    >>> smallest = find_space("mlp").complete({}, lambda parameter: 0)
    >>> objective(smallest) == objective(smallest)
    True
    """

    space: str
    task: Task
    epochs: int = 10
    width: int | None = None
    cells: int | None = None
    network: Network | None = None
    seed: int = 0
    device: str = "auto"
    threads: int = 1
    latency: bool = False
    weights: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.space == "training" and self.network is None:
            raise InputError("the space training needs a network whose training is searched; give network=")
        if self.space == "training" and self.weights is not None:
            raise InputError("weights are inherited between networks; leave them out for the space training")

    def network_for(self, candidate: Candidate) -> Network:
        """Return the network that is trained for a candidate."""
        if self.network is not None:
            return self.network
        shape, outputs = input_shape(self.task.train), outputs_of(self.task.train)
        return network_of(
            self.space, candidate, input_shape=shape, outputs=outputs, width=self.width, cells=self.cells
        )

    def config_for(self, candidate: Candidate) -> TrainConfig:
        """Return the schedule that a candidate is trained with."""
        options: dict[str, Any] = {"epochs": self.epochs, "device": self.device}
        if self.space == "training":
            config = training_of(candidate, self.task.train, **options)
        else:
            config = usual_training(self.task.train, **options)
        return TrainConfig(**{**dict(config), "seed": seed_for(self.seed, "candidate") % 2**63})

    def __call__(self, candidate: Candidate) -> Score:
        """Train a candidate and score it on the validation examples.

        Raises:
            DivergedError: its loss is not finite any more.
        """
        score, _ = self.trained(candidate)
        return score

    def trained(self, candidate: Candidate) -> tuple[Score, nn.Module]:
        """Train a candidate; return its score and the model."""
        network = self.network_for(candidate)
        cost = cost_of(network)
        metrics = {"macs": float(cost.macs), "parameters": float(cost.parameters)}
        if self.latency:
            with limited_threads(self.threads):
                metrics["latency_ms"] = latency_ms(network, device=self.device)
        kept = _Weights(Path(self.weights), self.space) if self.weights is not None else None
        with limited_threads(self.threads):
            model = model_of(network, self.task.train, seed=self.seed)
            if kept is not None:
                metrics["inherited"] = float(kept.give(candidate, model))
            fitted = fit(model, self.task.train, self.config_for(candidate), valid=self.task.valid)
        if fitted.valid is None:
            raise InputError("a candidate is judged on validation examples; the task has none")
        metrics["valid_loss"] = fitted.valid.loss
        score = Score(100 * fitted.valid.score, metrics)
        if kept is not None:
            kept.keep(candidate, model, network, score.value)
        return score, model

    def with_seed(self, seed: int) -> NetworkObjective:
        """Return the same objective with another seed."""
        return replace(self, seed=seed)


class _Weights:
    """Trained weights of earlier candidates, a file each, and the nearest of them for a new one."""

    def __init__(self, folder: Path, space: str) -> None:
        self._folder = folder
        self._space = find_space(space)

    def keep(self, candidate: Candidate, model: nn.Module, network: Network, score: float) -> None:
        """Write a candidate's weights."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.blake2b(self._space.encode(candidate).encode(), digest_size=8).hexdigest()
        facts = {"candidate": dict(candidate), "score": score}
        save_model(self._folder / f"{name}.safetensors", model, network, facts)

    def give(self, candidate: Candidate, model: nn.Module) -> int:
        """Give a model the weights of the candidate that differs from its own in the fewest choices; the best on ties.

        A child of evolution differs from its parent in one choice. Returns how many numbers were inherited.
        """
        found: tuple[tuple[int, float, str], Path] | None = None
        for path in sorted(self._folder.glob("*.safetensors")):
            facts = _facts(path)
            other = facts["candidate"]
            differing = sum(candidate.get(name) != other.get(name) for name in {**candidate, **other})
            rank = (differing, -float(facts["score"]), path.name)
            if found is None or rank < found[0]:
                found = rank, path
        if found is None:
            return 0
        loaded = load_tensors(found[1])
        return inherit(model, loaded[0]) if loaded is not None else 0


def _facts(path: Path) -> dict[str, Any]:
    """Read the header of a safetensors file, without its tensors."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    facts: dict[str, Any] = json.loads(header["__metadata__"]["selftaught"])
    return facts
