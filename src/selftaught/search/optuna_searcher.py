"""Any sampler of Optuna as a searcher of ours."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from selftaught.errors import InputError, MissingExtraError, require_one_of
from selftaught.search.rewards import Direction, values_of
from selftaught.search.searcher import BaseSearcher, choices_of
from selftaught.seeds import seed_for
from selftaught.spaces import Choice, Parameter, Space
from selftaught.trial import Trial

if TYPE_CHECKING:
    import optuna

__all__ = ["SAMPLERS", "OptunaSearcher", "import_optuna", "quiet"]

#: name -> Optuna's class, and the options that differ from its own defaults
SAMPLERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    # Without its liar it does not look at what is being evaluated, which replay cannot know.
    "tpe": ("TPESampler", {"constant_liar": False}),
    "nsga2": ("NSGAIISampler", {}),
    "nsga3": ("NSGAIIISampler", {}),
    "gp": ("GPSampler", {}),
    # These two read ordered parameters only and draw the others at random, which the page on search says once.
    "cma-es": ("CmaEsSampler", {"warn_independent_sampling": False}),
    "qmc": ("QMCSampler", {"warn_independent_sampling": False}),
}
_STATELESS = ("TPESampler", "RandomSampler", "GPSampler")  # everything they know is in the trials' values


def import_optuna(purpose: str) -> Any:
    """Return the package, or raise the error that says how to install it."""
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "search", purpose) from None
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling of every study and trial."""
    logging = import_optuna("this").logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def _packages() -> Iterator[None]:
    """Say in one line which package a sampler lacks: cmaes for CMA-ES, torch for GP."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"the sampler lacks a package of its own: {' '.join(str(error).split())[:200]}") from None


def distribution_of(parameter: Parameter) -> Any:
    """Return Optuna's distribution of a parameter: its choices, or the place of them where they are ordered."""
    distributions = import_optuna("an Optuna sampler").distributions
    if _counted(parameter):
        return distributions.IntDistribution(0, len(parameter.choices) - 1)
    return distributions.CategoricalDistribution(parameter.choices)


def _counted(parameter: Parameter) -> bool:
    """Whether Optuna is told the place of a choice instead of the choice."""
    return parameter.ordered and len(parameter.choices) > 1


class OptunaSearcher(BaseSearcher):
    """Propose what a sampler of Optuna does.

    The sampler sees a study in memory that holds the trials told, in their order. It is made anew for every trial
    with a seed that follows from the trial's number, and samplers that keep a state in the study are asked once for
    each trial told, on the trials told before it; so the replay law holds. Ordered parameters are offered as
    integers, the others as categories.

    Args:
        space: what may be proposed; a `ChoiceSpace`.
        seed: of all random numbers.
        sampler: a name of `SAMPLERS`, or a function of a seed that makes a sampler, such as Optuna's classes are.
        objectives: metric or "score" -> direction, for samplers of several objectives.
        options: of a sampler given by its name, such as population_size.

    Raises:
        MissingExtraError: Optuna is not installed.
        InputError: no ChoiceSpace, an unknown sampler, or options that it does not take.

    >>> from selftaught.spaces import macro_stack
    >>> searcher = OptunaSearcher(macro_stack(), sampler="tpe")
    >>> searcher.ask(0) == searcher.ask(0)
    True
    """

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        sampler: str | Callable[..., optuna.samplers.BaseSampler] = "tpe",
        objectives: Mapping[str, Direction] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(space, seed=seed)
        self._choices = choices_of(space, "an Optuna sampler")
        self.objectives = dict(objectives or {})
        self._optuna = import_optuna("an Optuna sampler")
        self._make = self._factory(sampler, options)
        with quiet():
            made = self._sampler(0)
            directions = ["maximize"] * max(len(self.objectives), 1)
            self._study = self._optuna.create_study(directions=directions, sampler=made)
        self._stateless = type(made).__name__ in _STATELESS

    def _factory(self, sampler: Any, options: Mapping[str, Any]) -> Callable[..., Any]:
        if not isinstance(sampler, str):
            if not callable(sampler):
                raise InputError("give a sampler's class, or a function of a seed: one that is made already cannot "
                                 "repeat itself")  # fmt: skip
            return lambda seed: sampler(seed=seed, **options)
        require_one_of("sampler", sampler, SAMPLERS)
        name, usual = SAMPLERS[sampler]
        return lambda seed: getattr(self._optuna.samplers, name)(seed=seed, **{**usual, **options})

    def _sampler(self, number: int) -> Any:
        try:
            return self._make(seed_for(self.seed, number) % 2**32)
        except TypeError as error:
            raise InputError(f"the sampler does not take these options: {error}") from None

    def _propose(self, number: int, rng: np.random.Generator) -> tuple[Any, int | None]:
        with quiet(), _packages():
            # What a sampler notes in the study while it is asked must not stay: only what is told may.
            study = self._study if self._stateless else self._copied()
            trial = self._begin(study, number)
            candidate = self._choices.complete({}, lambda parameter: self._suggested(trial, parameter))
            if self._stateless:
                study.tell(trial, state=self._optuna.trial.TrialState.FAIL)  # it comes back when it is told
        return candidate, None

    def _copied(self) -> Any:
        """Return a copy of the study that shares its trials, which have ended and so never change."""
        ended = self._study.get_trials(deepcopy=False)
        return copy.deepcopy(self._study, {id(trial): trial for trial in ended})

    def _begin(self, study: Any, number: int) -> Any:
        study.sampler = self._sampler(number)
        return study.ask()

    def _notes(self, number: int) -> dict[str, Any]:
        """Return what the sampler writes beside a trial, and let it go on to the next."""
        if self._stateless:
            return {}
        trial = self._begin(self._study, number)
        notes = dict(self._study.get_trials(deepcopy=False)[-1].system_attrs)
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return notes

    def _suggested(self, trial: Any, parameter: Parameter) -> int:
        if _counted(parameter):
            return int(trial.suggest_int(parameter.name, 0, len(parameter.choices) - 1))
        chosen: Choice = trial.suggest_categorical(parameter.name, parameter.choices)
        return parameter.position(chosen)

    def _learn(self, trial: Trial, value: float) -> None:
        values = values_of(trial, self.objectives) if self.objectives else [value]
        if values is None:
            self._note_failure(trial)
            return
        active = self._choices.active(trial.candidate)
        params = {p.name: trial.candidate[p.name] for p in active}
        params |= {p.name: p.position(params[p.name]) for p in active if _counted(p)}
        with quiet(), _packages():
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    values=values, params=params, distributions={p.name: distribution_of(p) for p in active},
                    system_attrs=self._notes(trial.number),
                )
            )  # fmt: skip

    def _note_failure(self, trial: Trial) -> None:
        with quiet(), _packages():
            self._notes(trial.number)
