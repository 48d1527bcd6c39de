"""The search for a layer: who proposes, who judges, and a ledger in which nothing is lost."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from selftaught.errors import InputError, ResumeError, require_one_of
from selftaught.examples import Task
from selftaught.layers.judging import Judge, Judgement, Judging, MakeMasks, StoppedEarly
from selftaught.search import ParetoEvolution, RandomSearch, Searcher, pareto_front
from selftaught.spaces import (
    PUBLISHED_LAYERS,
    Candidate,
    ExpressionSpace,
    layer_fingerprint,
    layer_formula,
    layer_space,
)
from selftaught.store import Store, open_store
from selftaught.trial import Score, Trial

__all__ = ["LayerSearcher", "LayerStudy", "reason_of", "search_layer"]

LayerSearcher = Literal["evolution", "random"]
STORE = "trials.db"
_STUDY = "layers"
_DRAWS = 1000  # of which one at least must pass
_DUPLICATE = "duplicate_of"


@dataclass(frozen=True)
class LayerStudy:
    """What a search for layers leaves.

    Args:
        trials: in order; the cost of each is its trained steps. A rejected layer has an error that begins with the
            reason; a layer that computes the same as an earlier one has its result, and cost nothing.
        judging: how they were judged.
        searcher: who proposed.
        finished: whether the budget was used up; False when it was told to stop.
    """

    trials: Sequence[Trial]
    judging: Judging
    searcher: LayerSearcher
    finished: bool

    @cached_property
    def passed(self) -> list[Trial]:
        """The trials with a score, repeats left out."""
        return [one for one in self.trials if one.score is not None and _DUPLICATE not in one.score.metrics]

    @property
    def rejected(self) -> dict[str, int]:
        """Reason -> how many different layers were rejected for it."""
        first = [one for one in self.trials if one.error is not None and not one.error.startswith("duplicate")]
        return dict(Counter(reason_of(one) for one in first).most_common())

    @property
    def duplicates(self) -> int:
        """How many computed the same as an earlier one."""
        return len(self.trials) - len(self.passed) - sum(self.rejected.values())

    @property
    def steps(self) -> float:
        """Trained steps, those of rejected layers included."""
        return sum(one.cost for one in self.trials)

    @cached_property
    def ranked(self) -> list[Trial]:
        """What passed, by the mean accuracy over all anchors, best first: nothing that was good is ever lost."""
        return sorted(self.passed, key=lambda one: (-(one.score.value if one.score else 0.0), one.number))

    @property
    def best(self) -> Trial:
        """The trial with the best mean accuracy.

        Raises:
            InputError: none passed.
        """
        if not self.trials:
            raise InputError("the time was over before one layer was judged; give more")
        if not self.ranked:
            raise InputError(f"no layer passed: {_reasons(self.rejected)}; give more trials or more steps")
        return self.ranked[0]

    @property
    def front(self) -> list[Trial]:
        """Trials that no other one beats in every anchor."""
        return pareto_front(self.passed, dict.fromkeys(self.judging.anchors, "maximise"))

    def __str__(self) -> str:
        said = f"{len(self.trials)} layers, {len(self.passed)} passed, rejected: {_reasons(self.rejected)}"
        if self.passed:
            said += (
                f"; best {self.best.score.value if self.best.score else 0:.4f}: {layer_formula(self.best.candidate)}"
            )
        return said


def reason_of(trial: Trial) -> str:
    """Return why a trial was rejected: what its error begins with.

    >>> import torch
    >>> reason_of(Trial(0, {}, error="quality: 0.100 in inverted after 100 steps, 0.200 wanted"))
    'quality'
    """
    return (trial.error or "").partition(":")[0]


def search_layer(
    task: Task,
    *,
    trials: int = 50,
    steps: int | None = None,
    seconds: float | None = None,
    searcher: LayerSearcher = "evolution",
    population: int = 50,
    tournament: int = 5,
    start: Sequence[str | Candidate] = ("bn-relu",),
    nodes: int = 10,
    judging: Judging | None = None,
    masks: MakeMasks | None = None,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> LayerStudy:
    """Search for a normalisation-activation layer that is good in several networks at once.

    "Evolving Normalization-Activation Layers" (arXiv 2004.02967) on one machine: layers are drawn from `layer_space`,
    most are rejected soon (`Judge`), the others have an accuracy in every anchor, and evolution goes on from the Pareto
    front of a tournament. The same seed and trials give the same search, in one piece or in several.

    Args:
        task: of images, as `image_task` makes it. Scores come from its validation examples.
        trials: layers to propose, those that are rejected included.
        steps: or trained steps to spend, rejected layers included; what is at work then is finished.
        seconds: or time; what is at work then is given up.
        searcher: "evolution", or "random", its control.
        population: members; the oldest leaves.
        tournament: members that compete to be a parent.
        start: layers to try first, as candidates or names of `PUBLISHED_LAYERS`. With any, evolution mutates what
            passed until its population is full; without, it draws at random until then.
        nodes: of a layer.
        judging: how layers are judged.
        masks: what makes the anchors sparse from the start; see `Judge`.
        seed: of the search.
        folder: where the ledger is kept; the same call goes on there, whatever stopped the last one.
        resume: True insists on a ledger, False starts over.
        on_trial: called with every trial that ends.
        stop: asked often; True ends the search well.

    Raises:
        InputError: an option is out of its range, or 1,000 layers were rejected and none passed.
        ResumeError: the folder holds another search, or none where one was insisted on.

    >>> import torch
    >>> from selftaught import load
    >>> from selftaught.layers.image_tasks import image_task
    >>> quick = Judging(anchors=("preactivation",), width=8, steps=2, check_steps=2, least=0.0, ascent_steps=1)
    >>> found = search_layer(image_task(load("digits")), trials=2, judging=quick)
    >>> [trial.parent for trial in found.trials]
    [None, 0]
    """
    _check(trials, steps, seconds)
    require_one_of("searcher", searcher, get_args(LayerSearcher))
    judging = judging or Judging()
    space = layer_space(nodes)
    first = [_started(one, nodes) for one in start]
    for candidate in first:
        space.validate(candidate)
    about: dict[str, Any] = {
        "space": space.describe(),
        **{f"judging.{name}": value for name, value in asdict(judging).items() if name != "threads"},
        "searcher": searcher, "population": population, "tournament": tournament, "seed": seed,
        "start": [space.encode(candidate) for candidate in first], "data": task.train.name,
        "examples": [len(task.train), len(task.valid)],
        "masks": None if masks is None else getattr(masks, "__qualname__", type(masks).__qualname__),
    }  # fmt: skip
    proposes: Searcher
    if searcher == "random":
        proposes = RandomSearch(space, seed=seed)
    else:
        proposes = ParetoEvolution(
            space, seed=seed, objectives=dict.fromkeys(judging.anchors, "maximise"), population=population,
            tournament=tournament, fill="mutants" if first else "random",
        )  # fmt: skip
    late = None if seconds is None else time.monotonic() + seconds

    def ended() -> bool:
        return (stop is not None and stop()) or (late is not None and time.monotonic() >= late)

    with _open(folder, about, resume) as store:
        loop = _Loop(space, proposes, Judge(task, judging, masks=masks), store, first, on_trial, ended)
        loop.restore()
        while len(loop.told) < trials and (steps is None or loop.steps < steps):
            if ended() or not loop.turn():
                return LayerStudy(loop.told, judging, searcher, late is not None and time.monotonic() >= late)
        return LayerStudy(loop.told, judging, searcher, True)


def _check(trials: int, steps: int | None, seconds: float | None) -> None:
    if trials < 1:
        raise InputError(f"trials must be at least 1, got {trials}")
    if steps is not None and steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds must be above 0, got {seconds}")


def _started(one: str | Candidate, nodes: int) -> Candidate:
    if not isinstance(one, str):
        return one
    require_one_of("start", one, PUBLISHED_LAYERS)
    if nodes != 10:
        raise InputError(f"{one!r} has 10 nodes; give a candidate of {nodes} instead of its name")
    return PUBLISHED_LAYERS[one]


class _Loop:
    """The trials so far, and what is known by its fingerprint."""

    def __init__(
        self,
        space: ExpressionSpace,
        searcher: Searcher,
        judge: Judge,
        store: Store | None,
        start: Sequence[Candidate],
        on_trial: Callable[[Trial], None] | None,
        ended: Callable[[], bool],
    ) -> None:
        self.space, self.searcher, self.judge, self.store, self.start = space, searcher, judge, store, start
        self.on_trial, self.ended = on_trial, ended
        self.told: list[Trial] = []
        self.steps = 0.0
        self._known: dict[str, Trial] = {}

    def restore(self) -> None:
        """Take in what is stored."""
        if self.store is not None:
            study = self.store.study(_STUDY)
            for trial in self.store.trials(study, order="told"):
                self._take_in(replace(trial, candidate=self.space.from_json(trial.candidate)))

    def turn(self) -> bool:
        """Propose and judge one layer; return False where it was given up."""
        number = len(self.told)
        if number >= _DRAWS and all(trial.score is None for trial in self.told):
            counts = _reasons(Counter(reason_of(trial) for trial in self.told))
            raise InputError(f"{number} layers were rejected and none passed: {counts}; start from bn-relu")
        trial = Trial(number, dict(self.start[number])) if number < len(self.start) else self.searcher.ask(number)
        known = self._known.get(self._mark(trial.candidate))
        try:
            ended = self._judged(trial) if known is None else self._repeated(trial, known)
        except StoppedEarly:
            return False
        if self.store is not None:
            stored = replace(ended, candidate=self.space.to_json(ended.candidate))
            self.store.add(self.store.study(_STUDY), [stored])
        self._take_in(ended)
        if self.on_trial is not None:
            self.on_trial(ended)
        return True

    def _judged(self, trial: Trial) -> Trial:
        found: Judgement = self.judge(trial.candidate, stop=self.ended)
        if found.reason is not None:
            return replace(trial, cost=float(found.steps), error=f"{found.reason}: {found.detail}")
        mean = sum(found.accuracies.values()) / len(found.accuracies)
        return replace(trial, cost=float(found.steps), score=Score(mean, dict(found.accuracies)))

    @staticmethod
    def _repeated(trial: Trial, known: Trial) -> Trial:
        if known.score is None:
            return replace(trial, error=f"duplicate: of trial {known.number}, {known.error}")
        metrics = {**known.score.metrics, _DUPLICATE: float(known.number)}
        return replace(trial, score=Score(known.score.value, metrics))

    def _mark(self, candidate: Candidate) -> str:
        """Return what tells a layer's function: its fingerprint, or its key where that is not finite."""
        return layer_fingerprint(self.space.graph(candidate)) or self.space.key(candidate)

    def _take_in(self, trial: Trial) -> None:
        self.told.append(trial)
        self.steps += trial.cost
        self.searcher.tell(trial)
        self._known.setdefault(self._mark(trial.candidate), trial)


def _open(folder: str | os.PathLike[str] | None, about: Mapping[str, Any], resume: bool | None) -> Any:
    """Return the store as a context, checked against what is searched for; a context of None without a folder."""
    if folder is None:
        if resume:
            raise ResumeError("there is no search to go on with; name the folder that it is in")
        return nullcontext(None)
    place = Path(folder) / STORE
    if resume and not place.exists():
        raise ResumeError(f"there is no search to go on with in {folder}; leave out resume, or name its folder")
    if resume is False:
        for name in (STORE, f"{STORE}-wal", f"{STORE}-shm"):
            (Path(folder) / name).unlink(missing_ok=True)
    Path(folder).mkdir(parents=True, exist_ok=True)
    store = open_store(str(place))
    stored = store.settings(store.study(_STUDY, about))
    for name, value in json.loads(json.dumps(about)).items():
        if stored.get(name) != value:
            store.close()
            raise ResumeError(
                f"{folder} holds a search with {name} {_short(stored.get(name))} instead of {_short(value)}; give the "
                "same settings, another folder, or start over"
            )
    return store


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in counts.items()) or "nothing"
