"""Train with the rounding that `quantise` will do, so that the weights settle where it costs least."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from selftaught.compress.calibration import covering
from selftaught.compress.quantising import integer_weights
from selftaught.errors import InputError, did_you_mean
from selftaught.training.callbacks import Callback

if TYPE_CHECKING:
    from selftaught.training.run import Run

__all__ = ["QuantisationAware", "fake_quantised"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class QuantisationAware(Callback):
    """Compute with rounded weights and inputs, and train the weights behind them (Jacob et al., arXiv 1712.05877).

    Every forward pass sees what 8-bit layers would see. Gradients pass the rounding as if it were not there (the
    straight-through estimator, Bengio et al., arXiv 1308.3432), and stop at values that are clipped. The weights
    themselves stay float: call `quantise` on the model afterwards, with the same `weight_bits`. What the run evaluates
    is the rounded model; with few bits the float weights alone are another one. A normalisation need not be folded
    while it trains: it multiplies whole output channels, and each has its own scale.

    Inputs of linear layers and convolutions are rounded; sums of a shortcut, which `quantise` may also hold in 8 bits,
    are not. Ranges of inputs are running averages of the smallest and largest value of a batch.

    Args:
        weight_bits: 2 to 8.
        power_of_two: let scales of inputs be powers of two, as `quantise` does.
        start: share of the run from which on inputs are rounded; before it only their ranges are taken.
        decay: of the running averages of ranges, 0 to below 1.
        ignore: names of modules that stay float.
    """

    def __init__(
        self,
        *,
        weight_bits: int = 7,
        power_of_two: bool = True,
        start: float = 0.1,
        decay: float = 0.9,
        ignore: Iterable[str] = (),
    ) -> None:
        if not 2 <= weight_bits <= 8:
            raise InputError(f"weight_bits must be from 2 to 8, got {weight_bits}")
        if not (0 <= start < 1 and 0 <= decay < 1):
            raise InputError(f"start and decay must be from 0 to below 1, got {start} and {decay}")
        self.limit = 2 ** (weight_bits - 1) - 1
        self.power_of_two, self.start, self.decay, self.ignore = power_of_two, start, decay, tuple(ignore)
        self._weights: list[nn.Parameter] = []
        self._aside: list[torch.Tensor] = []
        self._ranges: dict[str, torch.Tensor] = {}
        self._rounding = False

    def on_start(self, run: Run) -> None:
        modules = dict(run.model.named_modules())
        for name in self.ignore:
            if name not in modules:
                raise InputError(f"the model has no module {name!r} to ignore{did_you_mean(name, modules)}")
        held: dict[int, nn.Parameter] = {}
        for name, one in modules.items():
            ignored = any(name == other or name.startswith(f"{other}.") for other in self.ignore)
            if isinstance(one, _LAYERS) and not ignored:
                held[id(one.weight)] = one.weight
                self._ranges[name] = torch.tensor([math.nan, math.nan], dtype=torch.float64)
                run.at_end(one.register_forward_pre_hook(self._rounding_inputs(name)).remove)
        if not held:
            raise InputError("the model has no linear layer or convolution whose weights could be rounded")
        self._weights = list(held.values())
        run.at_end(self._put_back)

    def _rounding_inputs(self, name: str) -> Any:
        def hook(layer: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            inputs, held = given[0], self._ranges[name]
            if layer.training:
                seen = torch.stack([inputs.detach().min(), inputs.detach().max()]).double().cpu()
                held.copy_(seen if bool(held.isnan().any()) else torch.lerp(seen, held, self.decay))
            if not self._rounding or bool(held.isnan().any()):
                return given
            return (fake_quantised(inputs, *held.tolist(), power_of_two=self.power_of_two), *given[1:])

        return hook

    @torch.no_grad()
    def _round(self) -> None:
        self._aside = [one.detach().clone() for one in self._weights]
        for one in self._weights:
            whole, scales = integer_weights(one, self.limit)
            one.copy_(whole * scales.double().reshape(-1, *[1] * (one.ndim - 1)))

    @torch.no_grad()
    def _put_back(self) -> None:
        for one, kept in zip(self._weights, self._aside, strict=False):
            one.copy_(kept)
        self._aside = []

    def before_step(self, run: Run) -> None:
        self._rounding = run.progress >= self.start
        self._round()

    def after_backward(self, run: Run) -> None:
        self._put_back()

    def before_evaluation(self, run: Run) -> None:
        self._round()

    def after_evaluation(self, run: Run) -> None:
        self._put_back()

    def state(self) -> dict[str, torch.Tensor]:
        return {name: one.clone() for name, one in self._ranges.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        for name, one in self._ranges.items():
            one.copy_(state[name])


def fake_quantised(inputs: torch.Tensor, low: float, high: float, *, power_of_two: bool = True) -> torch.Tensor:
    """Return values as 8 bits would hold them; gradients pass where nothing is clipped.

    Args:
        inputs: of any shape.
        low, high: the range to hold; zero is always in it.
        power_of_two: let the scale be a power of two.

    >>> fake_quantised(torch.tensor([-1.0, 0.3, 9.0]), 0.0, 255 / 64).tolist()
    [0.0, 0.296875, 3.984375]
    """
    affine = covering(min(low, 0.0), max(high, 0.0), power_of_two)
    least, most = -affine.zero * affine.scale, (255 - affine.zero) * affine.scale
    clipped = inputs.clamp(least, most)
    held = (torch.round(clipped / affine.scale) * affine.scale).detach()
    return clipped + (held - clipped.detach())
