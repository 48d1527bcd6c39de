"""Early exit: heads after chosen blocks of a model, and a forward pass that really ends where a head is sure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import nn

from selftaught.errors import InputError, did_you_mean, require_one_of
from selftaught.seeds import seed_for
from selftaught.training.callbacks import Callback
from selftaught.training.devices import in_evaluation, model_device
from selftaught.training.evaluation import run_model
from selftaught.training.losses import as_scores
from selftaught.training.random_state import own_random_state

if TYPE_CHECKING:
    from selftaught.training.run import ForwardPass, Run

__all__ = ["EarlyExit", "Left", "TrainExits", "confidence_of"]

Tokens = Literal["mean", "last"]
#: Above any probability, but finite: the head is asked, and nobody leaves.
NOBODY = 2.0


class _Over(Exception):  # noqa: N818 - no error: the way out of a model's forward pass
    """Everyone has left."""


@dataclass(frozen=True)
class Left:
    """What came of a forward pass with exits.

    Args:
        scores: (n, classes) of the head at which each example left.
        exits: (n,) number of that exit; the model's own end counts as the last.
    """

    scores: torch.Tensor
    exits: torch.Tensor


def confidence_of(scores: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the top probability of each row of scores (n, classes), divided by the temperature before the softmax.

    >>> confidence_of(torch.tensor([[0.0, 0.0]]), 1.0).tolist()
    [0.5]
    """
    return torch.softmax(scores.float() / temperature, dim=1).amax(dim=1)


class EarlyExit(nn.Module):
    """A model with heads after some of its modules (BranchyNet, Teerapittayanon et al., arXiv 1709.01686).

    In evaluation mode an example leaves at the first head whose top probability is at least that head's threshold, and
    what comes after is not run: a batch of one ends there; of a larger batch those that are left go on as a smaller
    batch (regrouping), or, where the model does not allow it or `regroup` is False, all go on until the last is done.
    Thresholds are infinite until `calibrate_exits` sets them, and the module gives what the model gives. In training
    mode everything is run; `TrainExits` trains the heads.

    The heads: pooling over the pixels and a linear layer for outputs (n, channels, height, width), the mean or the last
    of the tokens and a linear layer for (n, tokens, width), a linear layer for (n, width).

    Args:
        model: any classifier; it is kept, not copied.
        exits: names of modules that run once in a forward pass and give one tensor.
        inputs: (n, ...) example inputs, or a mapping of keyword arguments.
        tokens: what the head of (n, tokens, width) sees.
        seed: of the heads' initial weights.

    Raises:
        InputError: there is no such module, or it does not run once, or gives something else.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> early = EarlyExit(model, ["1"], torch.zeros(1, 4)).eval()
    >>> early.exits, early.regroups, early(torch.zeros(5, 4)).shape
    (('1',), True, torch.Size([5, 3]))
    """

    thresholds: torch.Tensor
    temperatures: torch.Tensor

    def __init__(
        self, model: nn.Module, exits: Sequence[str], inputs: Any, *, tokens: Tokens = "mean", seed: int = 0
    ) -> None:
        super().__init__()
        require_one_of("tokens", tokens, get_args(Tokens))
        if not exits or len(set(exits)) < len(exits):
            raise InputError(f"exits must name at least one module, each once, got {', '.join(exits) or 'none'}")
        self.model = model
        self.tokens = tokens
        seen, classes = _outputs(model, exits, inputs)
        #: in the order in which they run
        self.exits = tuple(seen)
        with own_random_state(torch.device("cpu"), seed_for(seed, "weights", "exits")):
            made = [_head(seen[name], classes, tokens, name) for name in self.exits]
        self.heads = nn.ModuleList(made).to(model_device(model))
        self.register_buffer("thresholds", torch.full((len(self.exits),), float("inf")))
        self.register_buffer("temperatures", torch.ones(len(self.exits) + 1))
        self.to(model_device(model))
        #: the scores of every head in the last forward pass in training mode, in order
        self.given: list[torch.Tensor] = []
        self.regroup = True
        #: whether what is left of a batch can go on alone
        self.regroups = self._can_regroup(inputs)

    def set_thresholds(self, thresholds: Sequence[float]) -> None:
        """Let examples leave at a head from this top probability on; infinity closes an exit.

        Raises:
            InputError: there are more or fewer than exits, or one is not a number.
        """
        if len(thresholds) != len(self.exits) or any(one != one for one in thresholds):
            raise InputError(f"{len(self.exits)} thresholds are needed, one an exit, got {list(thresholds)}")
        self.thresholds.copy_(torch.tensor(list(thresholds), dtype=self.thresholds.dtype))

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the scores (n, classes)."""
        if not self.training:
            return self.leave(*args, **kwargs).scores
        *self.given, last = self.all_scores(*args, **kwargs)
        return last

    def all_scores(self, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        """Return the scores of every head and of the model's own end; nobody leaves."""
        given: list[torch.Tensor] = []

        def ask(place: int, output: torch.Tensor) -> None:
            given.append(self.heads[place](output))

        with self._hooked(ask, range(len(self.exits))):
            last = as_scores(self.model(*args, **kwargs))
        return [*given, last]

    def leave(self, *args: Any, regroup: bool | None = None, **kwargs: Any) -> Left:
        """Run the model, let examples leave, and say where each did.

        Args:
            args, kwargs: the model's inputs.
            regroup: whether those that are left go on as a smaller batch; by default what `regroup` of the module says,
                where the model allows it.

        Raises:
            InputError: regrouping is insisted on, and the model does not allow it.
        """
        if regroup and not self.regroups:
            raise InputError(
                "this model cannot be regrouped: what follows an exit depends on more than the exit's output; "
                "choose other exits, or regroup=False"
            )
        alone = self.regroups and (self.regroup if regroup is None else regroup)
        walk = _Walk(self, alone)
        opened = [place for place, one in enumerate(walk.thresholds) if one != float("inf")]
        with suppress(_Over), self._hooked(walk, opened):
            walk.end(as_scores(self.model(*args, **kwargs)))
        return Left(walk.scores, walk.exits)

    @contextmanager
    def _hooked(self, call: Callable[[int, torch.Tensor], torch.Tensor | None], places: Any) -> Iterator[None]:
        """Have a function called with an exit's number and output; what it gives replaces the output."""

        def hook(place: int) -> Callable[..., torch.Tensor | None]:
            return lambda module, given, output: call(place, output)

        with ExitStack() as stack:
            for place in places:
                stack.callback(self.model.get_submodule(self.exits[place]).register_forward_hook(hook(place)).remove)
            yield

    def _can_regroup(self, inputs: Any) -> bool:
        """Take one of three examples out at each exit, and see that the others end as before."""

        def three(one: Any) -> Any:
            if not isinstance(one, torch.Tensor) or one.ndim == 0:
                return one
            filled = one[torch.arange(3, device=one.device) % len(one)]
            return filled + torch.randn_like(filled) if filled.is_floating_point() else filled

        device = model_device(self.model)
        with own_random_state(device, 0), in_evaluation(self.model), torch.no_grad():
            batch = {name: three(one) for name, one in inputs.items()} if isinstance(inputs, dict) else three(inputs)
            whole = run_model(self.model, batch)
            for place in range(len(self.exits)):
                try:
                    with self._hooked(lambda _, output: output[1:], [place]):
                        rest = run_model(self.model, batch)
                except (RuntimeError, IndexError, ValueError, TypeError):
                    return False
                if rest.shape != whole[1:].shape or not torch.allclose(rest, whole[1:], rtol=1e-3, atol=1e-4):
                    return False
        return True


def _top(scores: list[float], temperature: float) -> float:
    """Return the top probability, as `confidence_of` does for one row."""
    most = max(scores)
    return 1 / sum(math.exp((one - most) / temperature) for one in scores)


class _Walk:
    """One forward pass: who is still on the way, and what the others left with."""

    def __init__(self, early: EarlyExit, alone: bool) -> None:
        self.early = early
        self.alone = alone
        self.thresholds = early.thresholds.tolist()
        self.temperatures = early.temperatures.tolist()
        self.scores = torch.empty(0)
        self.exits = torch.empty(0, dtype=torch.int64)
        self._left: torch.Tensor | None = None  # the row numbers of those still on the way

    def _begin(self, given: torch.Tensor) -> torch.Tensor:
        count = len(given)
        self.scores = given.new_zeros((count, given.shape[1]))
        self.exits = torch.full((count,), len(self.early.exits), device=given.device)
        return torch.arange(count, device=given.device)

    def __call__(self, place: int, output: torch.Tensor) -> torch.Tensor | None:
        given = self.early.heads[place](output)
        if len(given) == 1 and self._left is None:  # nothing to sort; on the CPU numbers cost less than operations
            if _top(given[0].tolist(), self.temperatures[place]) >= self.thresholds[place]:
                self.scores, self.exits = given, torch.full((1,), place, device=given.device)
                raise _Over
            return None
        sure = confidence_of(given, self.temperatures[place]) >= self.thresholds[place]
        left = self._begin(given) if self._left is None else self._left
        going = sure if self.alone else sure[left]
        rows = left[going]
        self.scores[rows] = given[going] if self.alone else given[rows]
        self.exits[rows] = place
        self._left = left[~going]
        if len(self._left) == 0:
            raise _Over
        return output[~going] if self.alone and len(rows) else None

    def end(self, last: torch.Tensor) -> None:
        """Give those that are left what the model itself says."""
        if self._left is None:
            self.scores = last
            self.exits = torch.full((len(last),), len(self.early.exits), device=last.device)
        else:
            self.scores[self._left] = last if self.alone else last[self._left]


class TrainExits(Callback):
    """Train the heads of an `EarlyExit` in `fit`, with the model or on its frozen features.

    The loss is that of the model's end plus the weighted losses of the heads (arXiv 1709.01686, equation 2); with
    `frozen`, that of the heads alone, and the model's weights and running statistics stay as they are.

    Args:
        weights: of the heads' losses: one for all or one each.
        frozen: leave the model as it is.

    Raises:
        InputError: a weight is negative; in `fit`, the model is no `EarlyExit`, or has another number of exits.

    >>> from selftaught import load
    >>> from selftaught.training import TrainConfig, fit, mlp
    >>> digits = load("digits")
    >>> early = EarlyExit(mlp(digits, hidden=(32, 32)), ["3"], torch.zeros(1, 1, 8, 8))
    >>> found = fit(early, digits, TrainConfig(epochs=1), callbacks=[TrainExits()])
    """

    def __init__(self, weights: float | Sequence[float] = 1.0, *, frozen: bool = False) -> None:
        told = [weights] if isinstance(weights, int | float) else list(weights)
        if not told or any(not one >= 0 for one in told):
            raise InputError(f"weights of exits must not be negative, got {weights}")
        self.weights = told
        self.frozen = frozen

    def on_start(self, run: Run) -> None:
        if not isinstance(run.model, EarlyExit):
            raise InputError(f"TrainExits trains an EarlyExit, and the model is a {type(run.model).__name__}")
        exits = len(run.model.exits)
        if len(self.weights) not in (1, exits):
            raise InputError(f"{exits} weights are needed, one an exit, or one for all; got {len(self.weights)}")
        if self.frozen:
            inner = run.model.model
            wanted = [(one, one.requires_grad) for one in inner.parameters()]
            inner.eval()
            inner.requires_grad_(False)
            run.at_end(lambda: [one.requires_grad_(before) for one, before in wanted])

    def change_loss(self, run: Run, seen: ForwardPass, value: torch.Tensor) -> torch.Tensor:
        model = run.model
        if not isinstance(model, EarlyExit):
            return value
        weights = self.weights * len(model.exits) if len(self.weights) == 1 else self.weights
        parts = [
            weight * seen.loss.mean(given.float(), seen.targets, seen.weights)
            for weight, given in zip(weights, model.given, strict=True)
        ]
        model.given = []
        total = torch.stack(parts).sum()
        return total if self.frozen else value + total


class _Mean(nn.Module):
    """The mean over some axes: of all pixels, or of all tokens."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.mean(dim=self.axes)


class _Last(nn.Module):
    """The last of (n, tokens, width)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs[:, -1]


def _head(output: torch.Tensor, classes: int, tokens: Tokens, name: str) -> nn.Module:
    if output.ndim == 4:
        return nn.Sequential(_Mean((2, 3)), nn.Linear(output.shape[1], classes))
    if output.ndim == 3:
        return nn.Sequential(_Mean((1,)) if tokens == "mean" else _Last(), nn.Linear(output.shape[2], classes))
    if output.ndim == 2:
        return nn.Sequential(nn.Linear(output.shape[1], classes))
    raise InputError(f"{name} gives a tensor with {output.ndim} axes; a head needs 2, 3 or 4")


def _outputs(model: nn.Module, exits: Sequence[str], inputs: Any) -> tuple[dict[str, torch.Tensor], int]:
    """Return what the named modules give, in the order in which they run, and the number of classes.

    Raises:
        InputError: there is no such module, or it does not run once, or gives something else than a tensor.
    """
    modules = dict(model.named_modules())
    seen: dict[str, torch.Tensor] = {}

    def hook(name: str) -> Callable[..., None]:
        def look(module: nn.Module, given: Any, output: Any) -> None:
            if not isinstance(output, torch.Tensor):
                raise InputError(f"{name} gives a {type(output).__name__}; an exit needs a module that gives a tensor")
            if name in seen:
                raise InputError(f"{name} runs more than once in a forward pass, so it is no place to leave at")
            seen[name] = output

        return look

    with ExitStack() as stack:
        stack.enter_context(own_random_state(model_device(model)))
        stack.enter_context(in_evaluation(model))
        stack.enter_context(torch.no_grad())
        for name in exits:
            if name not in modules:
                raise InputError(f"the model has no module {name!r}{did_you_mean(name, modules)}")
            stack.callback(modules[name].register_forward_hook(hook(name)).remove)
        scores = run_model(model, inputs)
    missing = [name for name in exits if name not in seen]
    if missing:
        raise InputError(f"{missing[0]} does not run in a forward pass, so nobody can leave there")
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise InputError(f"early exit needs a classifier with scores (n, classes), got {tuple(scores.shape)}")
    return seen, scores.shape[1]
