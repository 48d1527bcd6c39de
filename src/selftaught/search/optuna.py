"""Our searchers as plain samplers of Optuna, and our studies in its storage.

>>> import optuna
>>> study = optuna.create_study(direction="maximize", sampler=SearcherSampler("regularized-evolution", population=5))
>>> study.optimize(lambda trial: trial.suggest_categorical("x", [1, 2, 3]), n_trials=20)
>>> study.best_value
3.0
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from selftaught.errors import InputError, MissingExtraError
from selftaught.search.optuna_searcher import quiet
from selftaught.search.registry import DEFAULT, make_searcher
from selftaught.search.searcher import Searcher
from selftaught.search.study import Study
from selftaught.seeds import seed_for
from selftaught.spaces import Choice, ChoiceSpace, Parameter
from selftaught.trial import Score, Trial

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.samplers import BaseSampler, RandomSampler
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search", "selftaught.search.optuna") from None

__all__ = ["SearcherSampler", "export_study"]

_MOST = 256  # values of a numeric parameter that are taken as choices; more are left to random draws


class SearcherSampler(BaseSampler):
    """Any searcher of ours as a sampler for `optuna.create_study`.

    The space is what the study's finished trials have in common: categories, and integers or stepped floats of at most
    256 values; whatever else a trial asks for is drawn at random. The first trial is therefore random, unless a
    space is given. The searcher is told the finished trials in the order of their ending; it asks by the trial's
    number, so that a study which goes on with the same seed does not repeat its first trials.

    Args:
        searcher: a name of `SEARCHERS`.
        space: what is searched, where it is known beforehand; conditional parameters need it. The objective is then to
            suggest its parameters as categories, with the same choices.
        seed: of all random numbers; drawn once where None.
        options: of the searcher.

    Raises:
        InputError: an unknown searcher or option (when the first trial is asked for), or several objectives.
    """

    def __init__(
        self, searcher: str = DEFAULT, *, space: ChoiceSpace | None = None, seed: int | None = None, **options: Any
    ) -> None:
        self._name = searcher
        self._given = space
        self._options = options
        self._seed = secrets.randbits(32) if seed is None else seed
        self._searcher: Searcher | None = None
        self._shape: Mapping[str, BaseDistribution] | None = None
        self._told: set[int] = set()
        self._common = optuna.search_space.IntersectionSearchSpace(include_pruned=True)
        self._lock = threading.RLock()  # `optimize(n_jobs=...)` asks from several threads

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())

    def reseed_rng(self) -> None:
        """Nothing to do: random numbers follow from a trial's number."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the distributions of the parameters that the searcher chooses."""
        if len(study.directions) > 1:
            raise InputError("our searchers take one objective; for several use Optuna's NSGAIISampler or TPESampler")
        if self._given is not None:
            return {p.name: CategoricalDistribution(p.choices) for p in self._given.parameters}
        with self._lock:
            common = self._common.calculate(study)
        return {name: found for name, found in sorted(common.items()) if _choices(found)}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what the searcher asks for."""
        if not search_space:
            return {}
        with self._lock:
            return dict(self._up_to_date(study, search_space).ask(trial.number).candidate)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a parameter that the searcher does not choose."""
        random = RandomSampler(seed=seed_for(self._seed, trial.number, param_name) % 2**32)
        return random.sample_independent(study, trial, param_name, param_distribution)

    def _up_to_date(self, study: optuna.Study, shape: Mapping[str, BaseDistribution]) -> Searcher:
        """Return the searcher, told all trials that have ended; a new one where the space has changed."""
        if self._searcher is None or self._shape != shape:
            space = self._given or _space(shape)
            self._searcher, self._shape, self._told = None, dict(shape), set()
            self._searcher = make_searcher(self._name, space, seed=self._seed, **self._options)
        ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        fresh = [t for t in study.get_trials(deepcopy=False, states=ended) if t.number not in self._told]
        sign = -1 if study.direction == optuna.study.StudyDirection.MINIMIZE else 1
        for frozen in sorted(fresh, key=lambda t: (t.datetime_complete, t.number)):
            self._told.add(frozen.number)
            told = _told(frozen, self._searcher.space, sign)
            if told is not None:
                self._searcher.tell(told)
        return self._searcher


def _choices(distribution: BaseDistribution) -> tuple[Choice, ...]:
    """Return the values of a distribution that are few enough to choose among, or none."""
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    if not isinstance(distribution, IntDistribution | FloatDistribution) or distribution.step is None:
        return ()
    low, step = distribution.low, distribution.step
    count = round((distribution.high - low) / step) + 1
    if count > _MOST:
        return ()
    return tuple(low + k * step if isinstance(low, int) else round(low + k * step, 12) for k in range(count))


def _space(shape: Mapping[str, BaseDistribution]) -> ChoiceSpace:
    parameters = (
        Parameter(name, _choices(found), ordered=not isinstance(found, CategoricalDistribution))
        for name, found in shape.items()
    )
    return ChoiceSpace("optuna", tuple(parameters))


def _told(frozen: FrozenTrial, space: Any, sign: int) -> Trial | None:
    """Return a trial of Optuna's as one of ours; None where its parameters are others."""
    names = [p.name for p in space.parameters]
    candidate = {name: frozen.params[name] for name in names if name in frozen.params}
    try:
        space.validate(candidate)
    except InputError:
        return None
    done = frozen.state == TrialState.COMPLETE and frozen.value is not None
    score = Score(sign * frozen.value) if done and frozen.value is not None else None
    return Trial(frozen.number, candidate, score=score, error=None if done else frozen.state.name.lower())


def export_study(study: Study, storage: Any, *, name: str = "selftaught") -> optuna.Study:
    """Write a study into a storage of Optuna's, for its dashboard and plots.

    Trials are written in the order in which they ended. Their own number, parent, cost in seconds and error go with
    them as user attributes, and what was measured as one of the name "metrics".

    Args:
        study: of `search`, on a ChoiceSpace.
        storage: a URL or a storage object of Optuna's.
        name: of the new study.

    Raises:
        InputError: the space is no ChoiceSpace, or the storage has a study of that name.

    >>> from selftaught.search import search
    >>> from selftaught.spaces import macro_stack
    >>> found = search(lambda stack: float(len(set(stack.values()))), macro_stack(), trials=10, searcher="random")
    >>> exported = export_study(found, optuna.storages.InMemoryStorage())
    >>> len(exported.trials), exported.best_value == found.best_value
    (10, True)
    """
    space = study.space
    if not isinstance(space, ChoiceSpace):
        raise InputError(f"only studies of a ChoiceSpace can be exported, got {type(space).__name__}")
    goals = dict(study.objectives) or {"score": study.direction}
    with quiet():
        try:
            exported = optuna.create_study(
                storage=storage, study_name=name, directions=[way.replace("ise", "ize") for way in goals.values()]
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise InputError(f"the storage has a study {name!r} already; give another name") from None
        exported.add_trials([_frozen(trial, space, list(goals), study.direction) for trial in study.trials])
    return exported


def _frozen(trial: Trial, space: ChoiceSpace, goals: Sequence[str], direction: str) -> FrozenTrial:
    score = trial.score if trial.error is None else None
    measured = dict(score.metrics) if score is not None else {}
    if score is not None:
        measured["score"] = -score.value if direction == "minimise" else score.value
    about: dict[str, Any] = {
        "number": trial.number, "parent": trial.parent, "cost": trial.cost, "error": trial.error, "metrics": measured
    }  # fmt: skip
    return optuna.trial.create_trial(
        state=TrialState.FAIL if score is None else TrialState.COMPLETE,
        values=None if score is None else [measured[name] for name in goals],
        params=dict(trial.candidate),
        distributions={p.name: CategoricalDistribution(p.choices) for p in space.active(trial.candidate)},
        user_attrs={key: value for key, value in about.items() if value is not None},
    )
