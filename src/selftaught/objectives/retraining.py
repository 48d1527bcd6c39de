"""Train the best again, with several seeds, at the sizes they are to be used at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from selftaught.objectives.models import save_model
from selftaught.objectives.network_objective import NetworkObjective
from selftaught.objectives.schedules import usual_training
from selftaught.search import Study, search
from selftaught.seeds import seed_for
from selftaught.spaces import Candidate, ChoiceSpace, Network, Parameter
from selftaught.training import TrainConfig
from selftaught.trial import Score, Trial

__all__ = ["Entrant", "Retraining", "hand_designed", "name_of", "retrain"]


@dataclass(frozen=True)
class Entrant:
    """What is trained again.

    Args:
        name: told apart by it.
        arm: "found", "control" or "hand-designed".
        objective: that trains it.
        candidate: of its space; None for a network designed by hand.
    """

    name: str
    arm: str
    objective: NetworkObjective
    candidate: Candidate | None = None

    @property
    def network(self) -> Network:
        """What is built."""
        return self.objective.network_for(self.candidate or {})


@dataclass(frozen=True)
class _HandDesigned(NetworkObjective):
    """Train a network with the usual schedule, whatever the candidate."""

    def config_for(self, candidate: Candidate) -> TrainConfig:
        config = usual_training(self.task.train, epochs=self.epochs, device=self.device)
        return TrainConfig(**{**dict(config), "seed": seed_for(self.seed, "candidate") % 2**63})


def hand_designed(objective: NetworkObjective, network: Network) -> Entrant:
    """Return an entrant that trains a network with the usual schedule on the data of an objective."""
    made = _HandDesigned(
        objective.space, objective.task, epochs=objective.epochs, network=network, device=objective.device,
        threads=objective.threads,
    )  # fmt: skip
    return Entrant(f"hand-designed: {network.name}", "hand-designed", made)


@dataclass(frozen=True)
class Retraining:
    """Which entrant and which seed -> its validation score; the weights go to a file.

    Args:
        entrants: by name.
        folder: where weights are written.
    """

    entrants: Mapping[str, Entrant]
    folder: str

    def __call__(self, run: Mapping[str, Any]) -> Score:
        entrant, seed = self.entrants[run["entrant"]], int(run["seed"])
        score, model = replace(entrant.objective, seed=seed).trained(entrant.candidate or {})
        path = self.file_of(entrant.name, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(path, model, entrant.network, {"valid": score.value, "seed": seed})
        return score

    def file_of(self, name: str, seed: int) -> Path:
        """Return where the weights of an entrant's seed are."""
        mark = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        return Path(self.folder) / f"{mark}-{seed}.safetensors"


def retrain(
    entrants: Sequence[Entrant],
    *,
    seeds: Sequence[int],
    folder: Path,
    store: str,
    study: str,
    workers: int = 1,
    on_trial: Callable[[Trial], None] | None = None,
) -> tuple[Study, Retraining]:
    """Train every entrant with every seed; what is stored already is not trained again.

    Args:
        entrants: of different names.
        seeds: of weights and order.
        folder: where weights are written.
        store: as `search` takes it.
        study: its name there; `name_of` makes one for what is trained.
        workers: processes.
        on_trial: called with every training that ends.

    Returns:
        The study, a trial a training, and what says where the weights are.
    """
    names = tuple(entrant.name for entrant in entrants)
    space = ChoiceSpace("retraining", (Parameter("entrant", names), Parameter("seed", tuple(seeds))))
    objective = Retraining({entrant.name: entrant for entrant in entrants}, str(folder))
    everything = [{"entrant": name, "seed": seed} for name in names for seed in seeds]
    found = search(
        objective, space, trials=len(everything), searcher="random", workers=workers, store=store,
        study=study, enqueue=everything, on_trial=on_trial,
        how_to_repeat=lambda trial: "the same command",
    )  # fmt: skip
    return found, objective


def name_of(entrants: Sequence[Entrant], seeds: Sequence[int]) -> str:
    """Return the name of a study of these trainings, different for different ones."""
    told = [repr((one.name, one.network, one.objective.epochs, tuple(seeds))) for one in entrants]
    return f"retraining {hashlib.blake2b(chr(10).join(told).encode(), digest_size=6).hexdigest()}"
