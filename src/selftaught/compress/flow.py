"""Effective gradient flow: how much gradient reaches the weights that are left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from selftaught.compress.prunable_weights import prunable
from selftaught.errors import InputError, did_you_mean
from selftaught.training.callbacks import Callback

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["GradientFlow", "gradient_flow"]


@torch.no_grad()
def gradient_flow(
    gradients: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor] | None = None, *, p: float = 2.0
) -> float:
    """Return the mean over layers of ||g_l m_l||_p (Tessera, Hooker and Rosman, arXiv 2102.01670, section 3).

    Args:
        gradients: name -> gradient of a layer's weight.
        masks: name -> mask; a layer without one counts whole.
        p: of the norm.

    Raises:
        InputError: there is no gradient.

    >>> slope = torch.tensor([3.0, 4.0, 12.0])
    >>> gradient_flow({"a": slope}), gradient_flow({"a": slope, "b": slope}, {"a": torch.tensor([True, True, False])})
    (13.0, 9.0)
    """
    held = masks or {}
    if not gradients:
        raise InputError("gradient flow needs the gradient of at least one layer")
    norms = [
        torch.linalg.vector_norm(one * held[name].to(one) if name in held else one, ord=p)
        for name, one in gradients.items()
    ]
    return float(torch.stack(norms).mean())


class GradientFlow(Callback):
    """Record the effective gradient flow while a model trains.

    Args:
        masks: a callback with `masks` (`Masks`, `GradualPruning`, `RigL`, `TopKAST`), masks by name, or None for dense.
            A callback may change its masks meanwhile.
        every: steps between measurements.
        p: of the norm.
        ignore: names of parameters or modules that are left out.

    Raises:
        InputError: an option is out of its range; in `fit`, a mask is of no prunable weight.

    >>> GradientFlow(every=5).every
    5
    """

    def __init__(
        self,
        masks: Callback | Mapping[str, torch.Tensor] | None = None,
        *,
        every: int = 1,
        p: float = 2.0,
        ignore: Iterable[str] = (),
    ) -> None:
        if every < 1 or p <= 0:
            raise InputError(f"every must be at least 1 and p above 0, got {every} and {p}")
        if isinstance(masks, Callback) and not hasattr(masks, "masks"):
            raise InputError(f"{type(masks).__name__} has no masks; give one that has, or masks by name")
        self.every = every
        self.p = p
        self.ignore = tuple(ignore)
        #: (steps done, flow) of every measurement.
        self.history: list[tuple[int, float]] = []
        self._masks = masks
        self._weights: dict[str, nn.Parameter] = {}

    def _current(self) -> Mapping[str, torch.Tensor]:
        if isinstance(self._masks, Callback):
            found: Mapping[str, torch.Tensor] = self._masks.masks
            return found
        return self._masks or {}

    def on_start(self, run: Run) -> None:
        self._weights = prunable(run.model, ignore=self.ignore)
        if not isinstance(self._masks, Callback):
            for name in self._current():
                if name not in self._weights:
                    raise InputError(f"there is no prunable weight {name!r}{did_you_mean(name, self._weights)}")

    def after_backward(self, run: Run) -> None:
        if run.step % self.every:
            return
        slopes = {name: one.grad for name, one in self._weights.items() if one.grad is not None}
        if slopes:
            self.history.append((run.step, gradient_flow(slopes, self._current(), p=self.p)))

    def state(self) -> dict[str, torch.Tensor]:
        return {"history": torch.tensor(self.history, dtype=torch.float64).reshape(-1, 2)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.history = [(int(step), float(flow)) for step, flow in state["history"].tolist()]
