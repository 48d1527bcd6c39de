"""Search networks on a data set: search small, train the best again, choose by validation, look at test once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from selftaught.errors import InputError, ResumeError, require_one_of
from selftaught.examples import Task
from selftaught.objectives.final_report import Judged, judge, rank_correlation, write_found
from selftaught.objectives.network_objective import NetworkObjective
from selftaught.objectives.reference_networks import reference_network
from selftaught.objectives.retraining import Entrant, Retraining, hand_designed, name_of, retrain
from selftaught.objectives.splitting import search_task
from selftaught.search import Study, search
from selftaught.search.registry import DEFAULT
from selftaught.seeds import seed_for
from selftaught.spaces import NETWORK_SPACES, Network, find_space, network_of
from selftaught.store import open_store
from selftaught.training.devices import pick_device
from selftaught.trial import Score, Trial
from selftaught.writing import write_atomically

__all__ = ["SPACE_NAMES", "Advance", "Found", "SearchSettings", "repeat_trial", "search_networks", "usual_workers"]

Stage = Literal["search", "control", "retraining"]
#: what the command line calls the spaces
SPACE_NAMES: Mapping[str, str] = {"cells": "nb201", **{name: name for name in (*NETWORK_SPACES, "training")}}
#: widths and cells a stage that a search is quick with
_SMALL: Mapping[str, dict[str, int]] = {
    "nb201": {"width": 8, "cells": 1}, "nasnet": {"width": 8, "cells": 1}, "macro": {"width": 8},
    "inverted-residual": {"width": 8}, "chain": {}, "mlp": {}, "training": {},
}  # fmt: skip


@dataclass(frozen=True)
class SearchSettings:
    """Everything that decides what a search does, but not for how long.

    Args:
        data: whatever `selftaught.load` reads by a name or path.
        space: a name of `SPACE_NAMES`.
        target: the column to predict.
        reading: how the data are read, such as `missing` and `drop`, as `selftaught.load` takes it.
        searcher: a name of `selftaught.search.SEARCHERS`.
        seed: of the split, the searcher and every training.
        epochs: of a training in the search.
        width, cells: of the networks that are searched; None takes the small ones.
        examples: to train on in the search; None takes all.
        final_epochs: of the trainings at the end; None takes three times as many.
        final_width, final_cells: of the networks at the end; None takes the search's.
        top: how many candidates are trained again.
        seeds: trainings of each of them.
        control: whether random search with as many trials is run beside it.
        inherit: whether networks begin with the weights of the nearest one before them.
        latency: whether milliseconds are measured.
        device: a name of torch's.
    """

    data: str
    space: str = "cells"
    target: str | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    searcher: str = DEFAULT
    seed: int = 0
    epochs: int = 5
    width: int | None = None
    cells: int | None = None
    examples: int | None = None
    final_epochs: int | None = None
    final_width: int | None = None
    final_cells: int | None = None
    top: int = 5
    seeds: int = 3
    control: bool = False
    inherit: bool = False
    latency: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        require_one_of("space", self.space, SPACE_NAMES)
        for name in ("epochs", "top", "seeds"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Advance:
    """A trial that ended, and how far its stage is.

    Args:
        stage: "search", "control" (random search) or "retraining".
        trial: with its score or error.
        done: trials of the stage that have ended, those of earlier runs included.
        now: of them, those of this run.
        total: of the stage.
    """

    stage: Stage
    trial: Trial
    done: int
    now: int
    total: int


@dataclass(frozen=True)
class Found:
    """What a search of networks leaves.

    Args:
        study: of the search.
        winner: candidate, validation and test score, cost.
        hand_designed: the same of a network designed by hand of equal cost.
        control: the same of random search's winner, where it was asked for.
        result: everything as plain data, as in `result.json`.
        folder: where it was written.
    """

    study: Study
    winner: Judged
    hand_designed: Judged
    control: Judged | None
    result: Mapping[str, Any] = field(repr=False)
    folder: Path


def search_networks(
    settings: SearchSettings,
    *,
    trials: int = 30,
    seconds: float | None = None,
    workers: int = 1,
    out: str | os.PathLike[str] = "selftaught-runs/search",
    store: str | None = None,
    on_trial: Callable[[Advance], None] | None = None,
) -> Found:
    """Search a space of networks, or of ways to train one, and train the best again.

    Candidates are trained briefly on the search's training examples and scored on its validation examples. The best are
    trained again at the final sizes with several seeds; the one with the best mean on the validation examples wins, and
    is scored on the test examples beside a network designed by hand of equal cost. Test examples are looked at then and
    not before. The same call goes on after any stop.

    Args:
        settings: what to search, and how.
        trials: of the search, repeats and failures included.
        seconds: end the search after so long; training again comes after.
        workers: processes.
        out: the folder of the run: settings, history, result, the winner as `candidate.json` and `model.safetensors`.
        store: where trials are kept; a SQLite file in the folder by default.
        on_trial: called with every trial that ends.

    Raises:
        InputError: a setting is out of its range.
        ResumeError: the folder holds a search with other settings.

    >>> search_networks(SearchSettings("digits"), trials=30).winner.test  # doctest: +SKIP
    98.6
    """
    folder = Path(out).expanduser()
    task = _task(settings)
    small = task if settings.examples is None else _task(settings, settings.examples)
    objective = _objective(settings, small, folder)
    space = find_space(SPACE_NAMES[settings.space])
    objective.network_for(space.complete({}, lambda parameter: 0))  # one that does not fit is told before any work
    _begin(folder, settings)
    place = store or str(folder / "trials.db")

    def told(stage: Stage, study: str, total: int) -> Callable[[Trial], None] | None:
        return None if on_trial is None else _Counter(stage, _stored(place, study), total, on_trial)

    arms: dict[str, Study] = {}
    for arm, searcher in [("found", settings.searcher), ("control", "random")][: 1 + settings.control]:
        stage: Stage = "search" if arm == "found" else "control"
        arms[arm] = search(
            objective, space, trials=trials, searcher=searcher, seed=seed_for(settings.seed, arm) % 2**31,
            workers=workers, seconds=seconds, store=place, study=stage, on_trial=told(stage, stage, trials),
            repeats="reuse" if settings.inherit else "reuse-equal",
            how_to_repeat=lambda trial: f"selftaught search ... --out {folder} --repeat {trial.number}",
        )  # fmt: skip
    for study in arms.values():
        _ = study.best  # where every trial failed, the commonest reason is the error
    final = _final(settings, task)
    entrants = [
        Entrant(f"{arm} {space.encode(trial.candidate)}", arm, final, trial.candidate)
        for arm, study in arms.items()
        for trial in study.top(settings.top)
    ]
    seeds = [seed_for(settings.seed, "retraining", k) % 2**31 for k in range(settings.seeds)]
    options: dict[str, Any] = {"seeds": seeds, "folder": folder / "models", "store": place, "workers": workers}

    def train_again(some: list[Entrant]) -> tuple[Study, Retraining]:
        name = name_of(some, seeds)
        return retrain(some, **options, study=name, on_trial=told("retraining", name, len(some) * len(seeds)))

    study, again = train_again(entrants)
    means = _means(study)
    winners = {arm: _best([e for e in entrants if e.arm == arm], means) for arm in arms}
    by_hand = hand_designed(final, _reference(winners["found"], settings))
    beside, theirs = train_again([by_hand])
    judged = {arm: judge(entrant, study, again, task) for arm, entrant in winners.items()}
    judged["hand-designed"] = judge(by_hand, beside, theirs, task)
    result = {
        "settings": asdict(settings), "trials": len(arms["found"].trials), "summary": arms["found"].summary(),
        "rank_correlation": rank_correlation(arms["found"], means, space), **_as_data(judged),
    }  # fmt: skip
    write_found(folder, result, judged["found"], winners["found"], arms, SPACE_NAMES[settings.space])
    return Found(arms["found"], judged["found"], judged["hand-designed"], judged.get("control"), result, folder)


def repeat_trial(
    settings: SearchSettings, number: int, *, out: str | os.PathLike[str], store: str | None = None
) -> Score:
    """Evaluate the candidate of a stored trial again, here; what it raised before is raised as it is.

    Raises:
        InputError: there is no such trial.
    """
    folder = Path(out).expanduser()
    with open_store(store or str(folder / "trials.db")) as opened:
        trials = {trial.number: trial for trial in opened.trials(opened.study("search"))}
    if number not in trials:
        raise InputError(f"the search in {folder} has no trial {number}; it has {len(trials)}")
    space = find_space(SPACE_NAMES[settings.space])
    small = _task(settings, settings.examples)
    return _objective(settings, small, folder)(space.from_json(trials[number].candidate))


def usual_workers(device: str = "auto") -> int:
    """Return how many processes a search is quick with: one where there is CUDA, otherwise one a core.

    >>> usual_workers("cpu") >= 1
    True
    """
    if pick_device(device).type != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Counter:
    """Count the trials of a stage, those stored before included."""

    def __init__(self, stage: Stage, stored: int, total: int, tell: Callable[[Advance], None]) -> None:
        self._stage, self._stored, self._now, self._total, self._tell = stage, stored, 0, total, tell

    def __call__(self, trial: Trial) -> None:
        self._now += 1
        self._tell(Advance(self._stage, trial, self._stored + self._now, self._now, self._total))


def _stored(store: str, study: str) -> int:
    with open_store(store) as opened:
        return len(opened.trials(opened.study(study))) if study in opened.studies() else 0


def _task(settings: SearchSettings, examples: int | None = None) -> Task:
    return search_task(settings.data, settings.target, seed=settings.seed, examples=examples, **settings.reading)


def _objective(settings: SearchSettings, task: Task, folder: Path) -> NetworkObjective:
    space = SPACE_NAMES[settings.space]
    sizes = {**_SMALL[space]}
    sizes |= {name: value for name in ("width", "cells") if (value := getattr(settings, name)) is not None}
    return NetworkObjective(
        space, task, epochs=settings.epochs, seed=settings.seed, device=settings.device, latency=settings.latency,
        network=_trained_network(task, sizes) if space == "training" else None,
        weights=str(folder / "weights") if settings.inherit else None,
        **(sizes if space != "training" else {}),
    )  # fmt: skip


def _final(settings: SearchSettings, task: Task) -> NetworkObjective:
    """Return the objective of the trainings at the end: larger where it is asked for, and without inheritance."""
    small = _objective(settings, task, Path())
    sizes: dict[str, Any] = {
        "width": settings.final_width or small.width, "cells": settings.final_cells or small.cells,
    }  # fmt: skip
    return NetworkObjective(
        small.space, task, epochs=settings.final_epochs or 3 * settings.epochs, network=small.network,
        device=settings.device, **(sizes if small.network is None else {}),
    )  # fmt: skip


def _trained_network(task: Task, sizes: Mapping[str, int]) -> Network:
    """Return the network whose training is searched: a residual one for images, a perceptron for tables."""
    from selftaught.objectives.models import input_shape, outputs_of
    from selftaught.objectives.reference_networks import RESNET_CELL
    from selftaught.spaces import PerceptronNetwork, nb201_cell

    shape, outputs = input_shape(task.train), outputs_of(task.train)
    if len(shape) == 1:
        return PerceptronNetwork((64, 64), features=shape[0], outputs=outputs)
    cell = nb201_cell().decode(RESNET_CELL)
    return network_of("nb201", cell, input_shape=shape, outputs=outputs, **{"width": 8, "cells": 1, **sizes})


def _reference(winner: Entrant, settings: SearchSettings) -> Network:
    return winner.network if settings.space == "training" else reference_network(winner.network)


def _means(study: Study) -> dict[str, float]:
    """Return the mean validation score of every entrant over its seeds."""
    scores: dict[str, list[float]] = {}
    for trial in study.succeeded:
        if trial.score is not None:
            scores.setdefault(trial.candidate["entrant"], []).append(trial.score.value)
    return {name: sum(values) / len(values) for name, values in scores.items()}


def _best(entrants: list[Entrant], means: Mapping[str, float]) -> Entrant:
    trained = [entrant for entrant in entrants if entrant.name in means]
    if not trained:
        raise InputError("none of the best candidates could be trained again; see the errors of the trials")
    return max(trained, key=lambda entrant: means[entrant.name])


def _begin(folder: Path, settings: SearchSettings) -> None:
    """Make the folder, or check that it holds the same search."""
    path = folder / "settings.json"
    wanted = json.loads(json.dumps(asdict(settings)))  # as the file gives it back: lists for tuples
    if path.exists():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise ResumeError(f"{path} cannot be read; choose another --out") from None
        for name, value in wanted.items():
            if not isinstance(stored, dict) or stored.get(name) != value:
                was = stored.get(name) if isinstance(stored, dict) else stored
                raise ResumeError(
                    f"{folder} holds a search with {name} {was!r}, not {value!r}; give the same settings to go on, or "
                    "choose another --out"
                )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); choose another --out") from None
    write_atomically(path, (json.dumps(wanted, indent=1) + "\n").encode())


def _as_data(judged: Mapping[str, Judged]) -> dict[str, Any]:
    found = judged["found"]
    told: dict[str, Any] = {arm.replace("-", "_"): one.as_data() for arm, one in judged.items()}
    told["better_than"] = {
        arm: dict(zip(("points", "low", "high"), found.difference(one), strict=True))
        for arm, one in judged.items()
        if arm != "found"
    }
    return told
