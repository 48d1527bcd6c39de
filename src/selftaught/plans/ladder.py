"""The ladder: a population of models a level of sparsity, all trained alike, and what they say of kept examples.

What pruning forgets is read from it by `selftaught.audit.sweep`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selftaught.audit.population import Population
from selftaught.audit.saved import load_predictions, save_predictions
from selftaught.compress import GradualPruning
from selftaught.errors import InputError, ResumeError
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.seeds import seed_for
from selftaught.training import TrainConfig, evaluate, fit_population
from selftaught.training.checkpoint import load_tensors, save_tensors
from selftaught.training.models import ModelName
from selftaught.training.training_run import MODEL, model_facts, reference_model
from selftaught.writing import write_atomically

__all__ = ["LEVELS", "LadderProgress", "Network", "Rung", "train_ladder"]

LEVELS = (0.0, 0.5, 0.9, 0.95)
MODELS = 6
EVERY = 20
LADDER = "ladder.json"


@dataclass(frozen=True)
class Network:
    """A reference model to train: its name, and the widths of its layers.

    >>> from selftaught import load
    >>> len(Network("mlp", hidden=(8,)).build(load("iris"), seed=0))
    5
    """

    name: ModelName = "mlp"
    hidden: tuple[int, ...] | None = None
    dropout: float = 0.0

    def build(self, examples: Examples, *, seed: int) -> Any:
        """Return the module for these examples, with initial weights of a seed."""
        return reference_model(self.name, examples, hidden=self.hidden, dropout=self.dropout, seed=seed)


@dataclass(frozen=True, eq=False)
class Rung:
    """The population of a level.

    Args:
        sparsity: share of the prunable weights that are zero.
        population: what the models say of the kept examples.
        models: the modules, in evaluation mode.
        seeds: of the members.
        seconds: that the training took, in the process that did it; 0 for one read back.
    """

    sparsity: float
    population: Population
    models: tuple[Any, ...]
    seeds: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class LadderProgress:
    """How far a ladder is.

    Args:
        level, levels: populations done, and all.
        sparsity: of the one at work.
        epoch, epochs: done and planned.
        loss: mean training loss over the members.
        examples_per_second: of all members together, by the last epochs of this process.
        seconds: since the start of this process.
        seconds_left: an estimate.
        what: is done to the population at work beside pruning it, or "".
    """

    level: int
    levels: int
    sparsity: float
    epoch: int
    epochs: int
    loss: float
    examples_per_second: float
    seconds: float
    seconds_left: float
    what: str = ""


def train_ladder(
    train: Examples,
    kept: Examples,
    network: Network | Callable[[int], Any],
    *,
    levels: Sequence[float] = LEVELS,
    models: int = MODELS,
    config: TrainConfig | None = None,
    start: float = 0.3,
    end: float = 0.7,
    every: int | None = None,
    weights: NDArray[Any] | Mapping[str, float] | None = None,
    soft_targets: NDArray[Any] | None = None,
    densities: Mapping[float, Mapping[str, float]] | None = None,
    folder: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    on_progress: Callable[[LadderProgress], str | None] | None = None,
) -> tuple[Rung, ...]:
    """Train a population for each level of sparsity, by gradual magnitude pruning in every layer alike.

    The members of all levels have seeds of their own, so that two levels differ in nothing but sparsity where two
    halves of one differ in nothing but seeds. Nothing else depends on the level: data, schedule and number of steps.

    Args:
        train: what all models learn from.
        kept: what they are asked about, which none learns from.
        network: a reference model, or a function from a seed to a new module.
        levels: shares of weights that are zero; 0 is the dense population that the others are compared with.
        models: K, members of each population.
        config: of the trainings, with a budget in epochs or steps; its seed is the ladder's.
        start, end, every: of the pruning, see `GradualPruning`; `every` is 20 steps, or fewer in short runs.
        weights, soft_targets: as for `fit_population`.
        densities: level -> parameter -> share kept, instead of the same share in each layer.
        folder: where each population is kept when it is done; a ladder that was killed goes on after the last one.
        fresh: start over, whatever the folder holds.
        on_progress: called after each epoch; when it returns "stop" the populations that are done are returned.

    Returns:
        A rung for each level that is done, in the order of `levels`.

    Raises:
        InputError: a level is no share, there are too few models or steps, or the folder cannot be written.
        ResumeError: the folder holds another ladder.
    """
    config = config or TrainConfig()
    chosen = _levels(levels)
    if models < 1:
        raise InputError(f"a population needs at least one model, got {models}")
    build = network if callable(network) else lambda seed: network.build(train, seed=seed)
    place = None if folder is None else _Place(Path(folder).expanduser(), network, train, kept)
    if place is not None:
        place.open(_identity(config, models, chosen, start, end, every, build, train, kept, weights, soft_targets,
                             densities), fresh=fresh)  # fmt: skip
    began = time.perf_counter()
    pace = _Pace(len(chosen), models * len(train), began)
    rungs: list[Rung] = []
    for level in chosen:
        seeds = tuple(seed_for(config.seed, "ladder", f"{level:g}", k) % 2**31 for k in range(models))
        members = [build(seed) for seed in seeds]
        found = None if place is None else place.read(level, members)
        if found is not None:
            rungs.append(Rung(level, found, tuple(members), seeds, 0.0))
            pace.skip()
            continue
        own = None if densities is None else densities.get(level)

        def callbacks(number: int, level: float = level, own: Mapping[str, float] | None = own) -> list[Any]:
            if not level:
                return []
            steps = config.steps or (config.planned_epochs or 0) * -(-len(train) // config.batch_size)
            cuts = every or max(1, min(EVERY, round((end - start) * steps / 4)))
            return [GradualPruning(1 - level, start=start, end=end, every=cuts, densities=own)]

        stopped = False

        def tell(epoch: int, losses: tuple[float, ...], level: float = level) -> str | None:
            nonlocal stopped
            told = pace.progress(level, epoch, config, losses, len(train))
            stopped = on_progress is not None and on_progress(told) == "stop" and epoch < told.epochs
            return "stop" if stopped else None

        fitted = fit_population(
            members, train, [config.model_copy(update={"seed": seed}) for seed in seeds],
            weights=weights, soft_targets=soft_targets, callbacks=callbacks, on_epoch=tell,
        )  # fmt: skip
        if stopped:
            break
        for one in members:
            one.eval()
        scores = np.stack([evaluate(one, kept).scores for one in members])
        population = Population.from_logits(scores, kept.ids, name_of(level))
        if place is not None:
            place.write(level, population, members)
        rungs.append(Rung(level, population, tuple(members), seeds, fitted.seconds))
        pace.done()
    return tuple(rungs)


def name_of(level: float) -> str:
    """Return what a level's files are called.

    >>> name_of(0), name_of(0.95)
    ('dense', 'sparsity-0.95')
    """
    return f"sparsity-{level:g}" if level else "dense"


def _levels(levels: Sequence[float]) -> tuple[float, ...]:
    found = tuple(sorted({float(one) for one in levels}))
    if not found or any(not 0 <= one < 1 for one in found):
        raise InputError(f"levels must be shares of weights that are zero, from 0 to below 1, got {list(levels)}")
    return found


class _Pace:
    """How fast a ladder goes, and how long it will take."""

    def __init__(self, levels: int, examples: int, began: float) -> None:
        self._levels = levels
        self._examples = examples
        self._began = began
        self._here = began
        self._finished = 0
        self._spent: list[float] = []

    def skip(self) -> None:
        self._finished += 1
        self._here = time.perf_counter()

    def done(self) -> None:
        now = time.perf_counter()
        self._spent.append(now - self._here)
        self._finished += 1
        self._here = now

    def progress(
        self, level: float, epoch: int, config: TrainConfig, losses: Sequence[float], examples: int
    ) -> LadderProgress:
        now = time.perf_counter()
        epochs = config.planned_epochs or -(-(config.steps or 1) * config.batch_size // examples)
        here = now - self._here
        whole = max(here * epochs / epoch, here)
        left = whole - here + (self._levels - self._finished - 1) * float(np.mean([*self._spent, whole]))
        return LadderProgress(
            self._finished, self._levels, level, epoch, epochs, float(np.mean(losses)),
            self._examples * epoch / max(here, 1e-9), now - self._began, left,
        )  # fmt: skip


class _Place:
    """The folder of a ladder: `ladder.json`, and for each level `NAME.npz` and `NAME/K/model.safetensors`."""

    def __init__(self, folder: Path, network: Network | Callable[[int], Any], train: Examples, kept: Examples) -> None:
        self.folder = folder
        self._network = network
        self._train = train
        self._kept = kept

    def open(self, identity: dict[str, Any], *, fresh: bool) -> None:
        """Check that the folder is this ladder's, or make it so."""
        path = self.folder / LADDER
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if fresh:
                for one in self.folder.glob("*.npz"):
                    if one.stem == "dense" or one.stem.startswith("sparsity-"):
                        one.unlink()
            elif path.exists():
                stored = json.loads(path.read_text("utf-8"))
                differing = [name for name in identity if name != "levels" and stored.get(name) != identity[name]]
                if differing:
                    raise ResumeError(
                        f"the ladder in {self.folder} was trained with other {differing[0]}; choose another folder, or "
                        "start over with --fresh"
                    )
            write_atomically(path, (json.dumps(identity, indent=2) + "\n").encode())
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written ({error.strerror}); choose another folder") from None
        except (ValueError, AttributeError):
            raise ResumeError(f"{path} cannot be read; choose another folder, or start over with --fresh") from None

    def read(self, level: float, members: Sequence[Any]) -> Population | None:
        """Return a level that is done, with the weights put into the members."""
        path = self.folder / f"{name_of(level)}.npz"
        if not path.exists():
            return None
        found = load_predictions(path, ids=self._kept.ids, classes=self._kept.num_classes)
        for number, member in enumerate(members):
            stored = load_tensors(self.folder / name_of(level) / str(number) / MODEL)
            if stored is None:
                return None
            member.load_state_dict(stored[0])
            member.eval()
        return Population(found.probabilities, found.ids, name_of(level))

    def write(self, level: float, population: Population, members: Sequence[Any]) -> None:
        """Keep a level; the predictions are written last, and say that it is done."""
        named = isinstance(self._network, Network)
        facts: dict[str, Any] = {"model": None, "classes": list(self._train.class_names)}
        if isinstance(self._network, Network):
            net = self._network
            facts = model_facts(net.name, self._train, hidden=net.hidden, dropout=net.dropout)
        for number, member in enumerate(members):
            own = self.folder / name_of(level) / str(number)
            own.mkdir(parents=True, exist_ok=True)
            save_tensors(own / MODEL, member.state_dict(), facts)
            if named:  # by which a later audit leaves out what was learned
                Ledger(own / "ledger").record("trained_on", self._train.ids, np.ones(len(self._train), np.bool_))
        save_predictions(self.folder / f"{name_of(level)}.npz", population)


def _identity(
    config: TrainConfig, models: int, levels: Sequence[float], start: float, end: float, every: int | None,
    build: Callable[[int], Any], train: Examples, kept: Examples, weights: Any, soft_targets: Any,
    densities: Mapping[float, Mapping[str, float]] | None,
) -> dict[str, Any]:  # fmt: skip
    """Return what must be the same for a ladder to go on, in JSON's own types."""
    given = weights if weights is None or isinstance(weights, Mapping) else np.asarray(weights).tolist()
    told = {
        "models": models, "pruning": [start, end, every], "settings": config.model_dump(mode="json"),
        "network": _hashed(str(build(0))), "data": _hashed([[one.digest(), *one.class_names] for one in (train, kept)]),
        "weights": None if given is None else _hashed(dict(given) if isinstance(given, Mapping) else given),
        "soft targets": None if soft_targets is None else _hashed(np.asarray(soft_targets).tolist()),
        "densities": None if densities is None else _hashed({f"{k:g}": dict(v) for k, v in densities.items()}),
        "levels": list(levels),
    }  # fmt: skip
    found: dict[str, Any] = json.loads(json.dumps(told))
    return found


def _hashed(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()
