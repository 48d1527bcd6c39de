"""Programs as scikit-learn estimators: `fit` evolves a program on the data, or trains a given one on them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from selftaught.errors import DataError, DivergedError, InputError
from selftaught.programs.export.columns import ColumnMap, Scale
from selftaught.programs.export.given import given_program
from selftaught.programs.export.lanes import HeadKind, LaneLearner
from selftaught.programs.export.searching import MAX_FEATURES, Budget, hand_written, search_program
from selftaught.programs.live_form import has_state
from selftaught.programs.parse import ParsedProgram
from selftaught.programs.program import Program
from selftaught.programs.settings import epochs_for
from selftaught.programs.text import classes_of, format_program
from selftaught.seeds import rng_for

__all__ = ["EvolvedClassifier", "EvolvedRegressor"]

DEFAULT_PROGRAMS = 300
_LARGEST_SEED = 2**31 - 1


class _Evolved(BaseEstimator):
    """What both estimators share; the constructor only stores."""

    program_: Program
    task_: str

    def __init__(
        self,
        program: Program | str | os.PathLike[str] | None = None,
        *,
        programs: int | None = DEFAULT_PROGRAMS,
        seconds: float | None = None,
        start: str = "linear",
        epochs: int | None = None,
        features: int | None = None,
        evolve_options: Mapping[str, Any] | None = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.program = program
        self.programs = programs
        self.seconds = seconds
        self.start = start
        self.epochs = epochs
        self.features = features
        self.evolve_options = evolve_options
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def program_text_(self) -> str:
        """The fitted program in the text format of programs."""
        check_is_fitted(self, "program_")
        return format_program(self.program_, task=self.task_)

    def _begin(self, x: NDArray[Any], y: NDArray[Any], num_classes: int) -> None:
        """Fix the columns, find the program and run its Setup.

        Args:
            x: (n, columns), checked.
            y: (n,) class numbers, or standardised targets.
            num_classes: K, or 0 for regression.
        """
        self._check_options()
        self._seed = int(check_random_state(self.random_state).randint(_LARGEST_SEED))
        given = None if self.program is None else self._given(num_classes)
        scored = num_classes if given is not None and classes_of(given.task) else 0
        if given is None and 2 < num_classes <= MAX_FEATURES:
            scored = num_classes
        self._columns = ColumnMap.of(x, features=self.features, least=max(scored, 1), seed=self._seed)
        self.comparison_ = ""
        if given is None:
            budget = Budget(
                self.programs, self.seconds, _workers(self.n_jobs), self.start, dict(self.evolve_options or {})
            )
            given, self.comparison_ = search_program(
                self._columns.apply(x), y, num_classes=num_classes, budget=budget, seed=self._seed
            )
        self._install(given, num_classes)

    def _given(self, num_classes: int) -> ParsedProgram:
        """Read the given program and check that it fits the kind of target."""
        given = given_program(self.program)
        several = classes_of(given.task)
        if several and not num_classes:
            raise InputError("this program tells classes apart and cannot predict numbers; use EvolvedClassifier")
        if num_classes and not several:
            return given_program(given, task="binary")
        return given_program(given, task="regression") if not num_classes else given

    def _install(self, given: ParsedProgram, num_classes: int) -> None:
        several = bool(classes_of(given.task))
        kind: HeadKind = "classes" if several else "binary" if num_classes else "regression"
        lanes = num_classes if kind == "binary" and num_classes > 2 else 1
        self.program_ = given.program
        self.task_ = f"classes {max(num_classes, 3)}" if several else kind
        if has_state(self.program_, task=self.task_):
            warnings.warn(
                "this program's prediction changes its memory; every row is predicted from the memory after training, "
                "not after the row before it",
                UserWarning,
                stacklevel=4,
            )
        self._learner = LaneLearner(
            self.program_, kind=kind, num_features=self._columns.width, num_classes=num_classes if several else 0,
            num_lanes=lanes, seed=self._seed,
        )  # fmt: skip

    def _train_found(self, train: Callable[[], None], num_classes: int) -> None:
        """Train; where an evolved program diverges on all the rows, train the hand-written learner instead.

        The search judged it on parts of the rows, so it may. A given program is the user's choice: that error is told.
        """
        try:
            train()
        except DivergedError as error:
            if self.program is not None:
                raise
            warnings.warn(
                f"the evolved program diverges on the whole data ({error}); the hand-written linear learner is fitted "
                "instead; a larger budget may find a steadier program",
                UserWarning,
                stacklevel=3,
            )
            self._install(hand_written(num_classes if self._learner.kind == "classes" else 0, self.task_), num_classes)
            self.comparison_ = ""
            train()

    def _learn_rows(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        """Go through the rows once, in their order."""
        self._learner.learn(self._columns.apply(x), self._labels(y), range(len(x)))

    def _train(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        """Go through the rows `epochs` times, in another order each time."""
        features, labels = self._columns.apply(x), self._labels(y)
        epochs = epochs_for(len(x)) if self.epochs is None else int(self.epochs)
        for epoch in range(epochs):
            self._learner.learn(features, labels, rng_for(self._seed, "estimator", epoch).permutation(len(x)))

    def _labels(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return what the lanes learn: class numbers (n,), or float32 (n, lanes)."""
        learner = self._learner
        if learner.kind == "classes":
            return y
        lanes = len(self.classes_) if learner.kind == "binary" and len(self.classes_) > 2 else 1
        if lanes == 1:
            return y.astype(np.float32)[:, None]
        one_hot: NDArray[np.float32] = (y[:, None] == np.arange(lanes)).astype(np.float32)
        return one_hot

    def _check_options(self) -> None:
        for name in ("programs", "epochs", "features"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
                raise InputError(f"{name} must be a whole number of at least 1, or None; got {value!r}")
        if self.features is not None and self.program is None and self.features > MAX_FEATURES:
            raise InputError(f"features must be at most {MAX_FEATURES} while a program is evolved, got {self.features}")
        if self.program is None and self.programs is None and self.seconds is None:
            raise InputError("without a program the search needs a budget: programs or seconds")

    def _predicted(self, X: Any) -> NDArray[np.float32]:
        check_is_fitted(self, "program_")
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return self._learner.predict(self._columns.apply(x))

    classes_: NDArray[Any]


class EvolvedRegressor(RegressorMixin, _Evolved):
    """A regressor that is a learning program of basic mathematics.

    Without a program, `fit` evolves one on the data with `selftaught.evolve`, starting from the hand-written linear
    learner, and then trains it on all rows. With a program, `fit` trains that one.

    Columns and target are standardised on the training rows. Up to 64 columns are used as they are, more are
    projected by a Gaussian matrix to `features` (64 by default) and standardised again; a program does not depend on
    the number of features. Rows are learned from one at a time, in a permuted order. Each row is predicted from the
    memory after training.

    Args:
        program: what to train: a `Program`, its text, the path of a program.txt or of a run's folder, or the result
            of `evolve`; None evolves one.
        programs: how many programs to propose; the default of 300 is for a first look, a real search wants 100,000
            and more.
        seconds: the time of the search, with the scoring at its end; with `programs`, whichever ends first.
        start: where the search begins: "linear", "network", "empty" (from nothing), or a program's file.
        epochs: passes over the rows; None: about 1,000 steps in all, between 1 and 10 passes.
        features: project to so many columns when there are more; None: 64.
        evolve_options: more options of `selftaught.evolve`, such as {"bias": "learner", "sizes": "7/11/23"}.
        n_jobs: processes of the search, -1 for one a core; None: 1.
        random_state: seed of everything, as in scikit-learn.

    Attributes:
        program_: the `Program` that was trained.
        program_text_: its text.
        comparison_: the table beside the baselines on unseen tasks, "" without a search.
        n_features_in_: number of columns.

    Raises:
        DivergedError: from `fit` and `partial_fit`, when an error is above 100 (of the standardised target) or not a
            number.

    >>> from sklearn.datasets import load_diabetes
    >>> from selftaught.programs import linear_learner
    >>> X, y = load_diabetes(return_X_y=True)
    >>> round(EvolvedRegressor(linear_learner(0.01), random_state=0).fit(X, y).score(X, y), 1)
    0.5
    """

    def fit(self, X: Any, y: Any) -> EvolvedRegressor:
        """Find or take the program and train it on rows X (n, columns) and targets y (n,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        self._scale_target(y)
        if np.ptp(y) == 0 and self.program is None:
            self._refuse_constant()
        scaled = self._target.apply(y)
        self._begin(X, scaled, 0)
        self._train_found(lambda: self._train(X, scaled), 0)
        return self

    def partial_fit(self, X: Any, y: Any) -> EvolvedRegressor:
        """Learn from more rows, each once and in their order.

        The first call fixes the scales and, without a program, evolves one on its rows.
        """
        first = not hasattr(self, "program_")
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, reset=first)
        if first:
            self._scale_target(y)
        scaled = self._target.apply(y)
        if first:
            self._begin(X, scaled, 0)
            self._train_found(lambda: self._learn_rows(X, scaled), 0)
        else:
            self._learn_rows(X, scaled)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return predictions (n,) for rows X (n, columns)."""
        found = self._predicted(X)[:, 0]
        return self._target.undo(found)

    def _scale_target(self, y: NDArray[Any]) -> None:
        self._target = Scale.of(y)

    def _refuse_constant(self) -> None:
        raise DataError("the target has the same value in every row; there is nothing to evolve for")


class EvolvedClassifier(ClassifierMixin, _Evolved):
    """A classifier that is a learning program of basic mathematics.

    Without a program, `fit` evolves one on the data with `selftaught.evolve`, starting from the hand-written linear
    learner, and then trains it on all rows. With a program, `fit` trains that one: a program for several classes
    scores all of them; one for two classes tells more apart by one memory a class, that class against the rest.

    Columns are standardised on the training rows. Up to 64 columns are used as they are, more are projected by a
    Gaussian matrix to `features` (64 by default) and standardised again; with fewer columns than classes, columns of
    zeros are added for a program that scores several classes. Rows are learned from one at a time, in a permuted
    order. Each row is predicted from the memory after training; probabilities that are not numbers count as equal.

    Args:
        program: what to train: a `Program`, its text, the path of a program.txt or of a run's folder, or the result
            of `evolve`; None evolves one.
        programs: how many programs to propose; the default of 300 is for a first look, a real search wants 100,000
            and more.
        seconds: the time of the search, with the scoring at its end; with `programs`, whichever ends first.
        start: where the search begins: "linear", "network", "empty" (from nothing), or a program's file.
        epochs: passes over the rows; None: about 1,000 steps in all, between 1 and 10 passes.
        features: project to so many columns when there are more; None: 64.
        evolve_options: more options of `selftaught.evolve`, such as {"bias": "learner", "sizes": "7/11/23"}.
        n_jobs: processes of the search, -1 for one a core; None: 1.
        random_state: seed of everything, as in scikit-learn.

    Attributes:
        classes_: the classes, sorted.
        program_: the `Program` that was trained.
        program_text_: its text.
        comparison_: the table beside the baselines on unseen tasks, "" without a search.
        n_features_in_: number of columns.

    Raises:
        DivergedError: from `fit` and `partial_fit`, when a score is not a number.

    >>> from sklearn.datasets import load_iris
    >>> from selftaught.programs import linear_learner
    >>> X, y = load_iris(return_X_y=True)
    >>> EvolvedClassifier(linear_learner(0.1), random_state=0).fit(X, y).score(X, y) > 0.75
    True
    """

    def fit(self, X: Any, y: Any) -> EvolvedClassifier:
        """Find or take the program and train it on rows X (n, columns) and classes y (n,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        self._check_classes()
        self._begin(X, numbers, len(self.classes_))
        self._train_found(lambda: self._train(X, numbers), len(self.classes_))
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> EvolvedClassifier:
        """Learn from more rows, each once and in their order.

        The first call fixes the scales and, without a program, evolves one on its rows.

        Args:
            X: (n, columns).
            y: (n,) classes.
            classes: all classes there will be; needed in the first call.
        """
        first = not hasattr(self, "program_")
        X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
        check_classification_targets(y)
        if first:
            if classes is None:
                raise InputError("classes must be given in the first call of partial_fit")
            self.classes_ = np.unique(classes)
            self._check_classes()
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise InputError(f"classes are {list(classes)}, those of the first call were {self.classes_.tolist()}")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InputError(f"y holds a class that classes did not name: {unknown[0]!r}")
        numbers = np.searchsorted(self.classes_, y)
        if first:
            self._begin(X, numbers, len(self.classes_))
            self._train_found(lambda: self._learn_rows(X, numbers), len(self.classes_))
        else:
            self._learn_rows(X, numbers)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities (n, classes) for rows X (n, columns), in the order of `classes_`."""
        found = self._predicted(X).astype(np.float64)
        if found.shape[1] == 1:
            found = np.concatenate([1 - found, found], axis=1)
        total = found.sum(axis=1, keepdims=True)
        known = np.isfinite(total) & (total > 0)
        with np.errstate(all="ignore"):
            shares: NDArray[np.float64] = np.where(known, found / total, 1 / found.shape[1])
        return shares

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class (n,) for rows X (n, columns); ties go to the first."""
        chosen = self.predict_proba(X).argmax(axis=1)
        result: NDArray[Any] = self.classes_[chosen]
        return result

    def _check_classes(self) -> None:
        if len(self.classes_) < 2:
            raise DataError(f"y has one class only ({self.classes_[0]!r}); a classifier needs at least two classes")


def _workers(n_jobs: int | None) -> int:
    if n_jobs is None:
        return 1
    return max(1, (os.cpu_count() or 1) + 1 + n_jobs) if n_jobs < 0 else max(1, n_jobs)
