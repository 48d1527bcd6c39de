"""A program in torch, ready to use: Predict as a module with what was learned, Learn as an optimiser."""

from __future__ import annotations

import linecache
import types
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import InputError, MissingExtraError
from selftaught.programs.export.given import given_program
from selftaught.programs.export.torch_text import to_torch, torch_file
from selftaught.programs.export.update_rule import update_rule
from selftaught.programs.live_form import has_state
from selftaught.programs.parse import ParsedProgram
from selftaught.programs.reference import LaneMemory
from selftaught.programs.text import classes_of

if TYPE_CHECKING:
    import torch

    from selftaught.programs.export.estimators import EvolvedClassifier, EvolvedRegressor

__all__ = ["to_module", "to_optimizer"]


def to_module(
    program: Any,
    num_features: int | None = None,
    *,
    task: str | None = None,
    memory: LaneMemory | None = None,
    lane: int = 0,
) -> torch.nn.Module:
    """Make Predict a torch module, from features (n, F) to scores (n,), or (n, classes).

    Its parameters are the slots that Learn changes by the label, its buffers what else Predict reads. Scores are what
    Predict leaves, before the sigmoid or softmax of a task of classes, as torch's losses want them;
    `module.probabilities(x)` goes through it. The file of `to_torch` is what runs. Predictions agree with the
    reference interpreter's within float32; gradients are those of torch, zero through `step`, and through `minimum`
    and `maximum` they reach the operand that was taken.

    A program whose prediction changes its memory is predicted from the memory as it is, row by row. What Predict
    draws at random torch's generator draws anew for every row.

    Args:
        program: a `Program`, its text, file or run, or the result of `evolve`; or a fitted `EvolvedClassifier` or
            `EvolvedRegressor`: then the module takes the estimator's columns (n, columns) and `probabilities` gives
            (n, classes), a regression's predictions are on the target's own scale, and the rest stays out.
        num_features: F; that of `memory` when None.
        task: "regression", "binary" or "classes K"; None takes what the program says.
        memory: what the program remembers after training, of the reference interpreter. None runs Setup.
        lane: which lane of the memory.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: neither F nor a memory is given, or they do not fit the program.

    >>> from selftaught.programs import linear_learner
    >>> module = to_module(linear_learner(0.1), 4)
    >>> [name for name, _ in module.named_parameters()]
    ['v1']
    """
    _require_torch()
    if _is_estimator(program):
        if num_features is not None or task is not None or memory is not None:
            raise InputError("a fitted estimator has its own features, task and memory; give nothing beside it")
        return _of_estimator(program)
    given = given_program(program, task=task)
    if memory is not None:
        held = int(memory.vectors.shape[1])
        if num_features not in (None, held):
            raise InputError(f"num_features is that of the memory, {held}, or left out; got {num_features}")
        num_features = held
    if num_features is None:
        raise InputError("a module needs its number of features; give num_features or a memory")
    if isinstance(num_features, bool) or not isinstance(num_features, int) or num_features < 1:
        raise InputError(f"num_features is a whole number of at least 1, got {num_features!r}")
    if classes_of(given.task) > num_features:
        raise InputError(f"{given.task} needs at least as many features, got num_features={num_features}")
    if has_state(given.program, task=given.task):
        warnings.warn(
            "this program's prediction changes its memory; every row is predicted from the memory as it is",
            UserWarning,
            stacklevel=2,
        )
    return _predictor(given, num_features, classes_of(given.task), memory, lane)


def to_optimizer(program: Any, *, task: str | None = None, slot: str | None = None) -> type[torch.optim.Optimizer]:
    """Make Learn an optimiser of torch, where it is an update rule.

    It is one where the score is linear in a parameter, as in dot(v0, v1), and Learn computes that parameter's new
    value from its gradient (the error times the features), constants, and memory of its own: then the rule can be
    applied to every parameter of any model. The class takes parameters and, as keywords, the constants of Setup by
    their slots' names. On the program's own model, one example at a time, its steps are those of the program, with
    half the squared error (regression), `BCEWithLogitsLoss` (two classes) or `CrossEntropyLoss`.

    Args:
        program: a `Program`, its text, file or run, the result of `evolve`, or a fitted estimator.
        task: "regression", "binary" or "classes K"; None takes what the program says.
        slot: the parameter whose rule is wanted, such as "v1"; None wants one rule for all that Predict reads.

    Returns:
        A class, to be used like `torch.optim.SGD`.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: Learn is no such rule; the text says what stands in the way.

    >>> from selftaught.programs import linear_learner
    >>> import torch
    >>> layer = torch.nn.Linear(4, 1)
    >>> optimiser = to_optimizer(linear_learner(0.1))(layer.parameters(), s2=0.05)
    >>> layer(torch.ones(2, 4)).sum().backward()
    >>> optimiser.step()
    """
    _require_torch()
    given = _program_of(program) if _is_estimator(program) else given_program(program, task=task)
    rule = update_rule(given.program, task=given.task, slot=slot)
    found: type[torch.optim.Optimizer] = _loaded(torch_file(given.program, rule, task=given.task)).UpdateRule
    return found


def _require_torch() -> None:
    try:
        import torch  # noqa: F401 - whether it is there
    except ImportError:
        raise MissingExtraError("torch", "networks", "an export to torch") from None


@cache
def _loaded(text: str) -> types.ModuleType:
    """Run a file that `to_torch` wrote and return its names as a module."""
    name = f"selftaught_export_{abs(hash(text)):x}"
    place = f"<{name}>"
    module = types.ModuleType(name)
    # Tracebacks and torch's own tools read the source of what they meet.
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    exec(compile(text, place, "exec"), vars(module))  # noqa: S102 - our own text: slots, operators and numbers
    return module


def _predictor(
    given: ParsedProgram, num_features: int, num_classes: int, memory: LaneMemory | None, lane: int
) -> torch.nn.Module:
    """Return the module of one program with one lane's memory."""
    import torch

    task = "classes 3" if num_classes else given.task
    arguments = (num_features, num_classes) if num_classes else (num_features,)
    made: torch.nn.Module = _loaded(to_torch(given.program, task=task)).Predictor(*arguments)
    if memory is not None:
        with torch.no_grad():
            for name, tensor in made.state_dict().items():
                tensor.copy_(torch.from_numpy(_learned(memory, name, lane)))
    return made


def _learned(memory: LaneMemory, name: str, lane: int) -> NDArray[Any]:
    array = {"s": memory.scalars, "v": memory.vectors, "m": memory.matrices}[name[0]]
    if int(name[1:]) >= len(array) or not 0 <= lane < array.shape[-1]:
        raise InputError(f"the memory has no slot {name} in lane {lane}; give that of this program")
    return np.array(array[int(name[1:]), ..., lane])


# ---- estimators


def _is_estimator(program: Any) -> bool:
    return hasattr(program, "evolve_options")


def _program_of(model: Any) -> ParsedProgram:
    if not hasattr(model, "program_"):
        raise InputError("the estimator is not fitted; call fit first")
    return given_program(model.program_, task=model.task_)


def _of_estimator(model: EvolvedClassifier | EvolvedRegressor) -> torch.nn.Module:
    given = _program_of(model)
    learner, memory = model._learner, model._learner.memory
    modules = [
        _predictor(given, model._columns.width, learner.num_classes, memory, lane)
        for lane in range(memory.scalars.shape[-1])
    ]
    return _table()(model._columns, modules, getattr(model, "_target", None))


@cache
def _table() -> Any:
    """Return the class that stands around an estimator's programs; torch is there only when it is wanted."""
    import torch
    from torch import nn

    from selftaught.programs.export.columns import ColumnMap, Scale

    class Table(nn.Module):
        """Columns (n, columns) to scores: the estimator's scales and projection, its programs, the target's scale.

        Args:
            columns: from columns to features; its numbers become buffers.
            modules: one program, or one a class, that class against the rest.
            target: scale of a target to regress.
        """

        def __init__(self, columns: ColumnMap, modules: list[nn.Module], target: Scale | None) -> None:
            super().__init__()
            self.missing = columns.width - len(columns.scale.centre)
            self.projects = columns.matrix is not None
            self.programs = nn.ModuleList(modules)
            self.regresses = target is not None
            self._keep("columns", columns.scale)
            if columns.matrix is not None and columns.projected is not None:
                self.register_buffer("projection", torch.from_numpy(columns.matrix))
                self._keep("projected", columns.projected)
            if target is not None:
                self._keep("target", target)

        def _keep(self, name: str, scale: Scale) -> None:
            self.register_buffer(f"{name}_centre", torch.from_numpy(np.array(scale.centre)))
            self.register_buffer(f"{name}_spread", torch.from_numpy(np.array(scale.spread)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """Return predictions (n,), or scores (n,) of two and (n, classes) of more classes."""
            x = ((x - self.columns_centre) / self.columns_spread).float()
            if self.projects:
                x = ((x @ self.projection - self.projected_centre) / self.projected_spread).float()
            elif self.missing > 0:
                x = nn.functional.pad(x, (0, self.missing))
            scores = torch.stack([program(x) for program in self.programs], dim=-1)
            if len(self.programs) == 1:
                scores = scores[..., 0]
            return scores * self.target_spread + self.target_centre if self.regresses else scores

        def probabilities(self, x: torch.Tensor) -> torch.Tensor:
            """Return probabilities (n, classes) in the order of the estimator's classes."""
            if self.regresses:
                raise InputError("a regression has no probabilities; call the module itself")
            scores = self(x)
            if scores.dim() == 1:
                likely = torch.sigmoid(scores)
                shares = torch.stack([1 - likely, likely], dim=-1)
            else:
                shares = torch.softmax(scores, dim=-1) if len(self.programs) == 1 else torch.sigmoid(scores)
            total = shares.sum(dim=-1, keepdim=True)
            known = torch.isfinite(total) & (total > 0)
            return torch.where(known, shares / total, torch.full_like(shares, 1 / shares.shape[-1]))

    return Table
