"""The six published layers as modules (Liu et al., arXiv 2004.02967), ready to use and to load checkpoints into."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn

from selftaught.errors import InputError

__all__ = ["EVONORMS", "EvoNormB0", "EvoNormB1", "EvoNormB2", "EvoNormS0", "EvoNormS1", "EvoNormS2"]

#: axes of an instance and of a group, once channels are folded into groups
_INSTANCE, _GROUP = (2, 3), (2, 3, 4)


class _EvoNorm(nn.Module, ABC):
    """What all six share: gamma (`weight`), beta (`bias`), v where there is one, checks, and types.

    Args:
        num_features: C.
        apply_act: False leaves gamma and beta alone, where no activation is replaced.
        eps: inside roots.
    """

    _has_v = False

    def __init__(self, num_features: int, apply_act: bool = True, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_features, self.apply_act, self.eps = num_features, apply_act, eps
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.v = nn.Parameter(torch.ones(num_features)) if self._has_v and apply_act else None

    def extra_repr(self) -> str:
        """Say what it was made with."""
        return f"{self.num_features}, apply_act={self.apply_act}, eps={self.eps}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y = f(x) gamma + beta, of the shape and type of x (B, C, H, W)."""
        if x.dim() != 4 or x.shape[1] != self.num_features:
            raise InputError(
                f"{type(self).__name__} wants a tensor (B, {self.num_features}, H, W), got {tuple(x.shape)}"
            )
        # In 16 bits a variance is noise or overflows: all is computed in float32 and cast back at the end.
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        y = self._normalise(wide) if self.apply_act else wide
        return (y * _channels(self.weight, y) + _channels(self.bias, y)).to(x.dtype)

    @abstractmethod
    def _normalise(self, x: torch.Tensor) -> torch.Tensor:
        """Return y before gamma and beta."""


def _channels(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.to(like.dtype).view(1, -1, 1, 1)


class _Batch(_EvoNorm):
    """The B layers: x over the larger of the batch's deviation and something of the instance."""

    running_var: torch.Tensor

    def __init__(self, num_features: int, apply_act: bool = True, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(num_features, apply_act, eps=eps)
        self.momentum = momentum
        self.register_buffer("running_var", torch.ones(num_features))

    def _normalise(self, x: torch.Tensor) -> torch.Tensor:
        return x / torch.maximum((self._variance(x) + self.eps).sqrt(), self._other(x))

    def _variance(self, x: torch.Tensor) -> torch.Tensor:
        """Return the biased variance of the batch, or in evaluation the running one, (1, C, 1, 1)."""
        if not self.training:
            return _channels(self.running_var, x)
        count = x.numel() // x.shape[1]
        if count == 1:
            raise InputError(f"{type(self).__name__} cannot train on one value a channel: it has no variance")
        variance = x.var((0, 2, 3), correction=0)
        with torch.no_grad():
            unbiased = variance * (count / (count - 1))
            self.running_var.copy_(torch.lerp(self.running_var.to(unbiased.dtype), unbiased, self.momentum))
        return _channels(variance, x)

    @abstractmethod
    def _other(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the batch's deviation is compared with, of a shape that broadcasts against x."""

    def _rms(self, x: torch.Tensor) -> torch.Tensor:
        return (x.square().mean(_INSTANCE, keepdim=True) + self.eps).sqrt()


class EvoNormB0(_Batch):
    """EvoNorm-B0: x / max(std_bhw(x), v x + std_hw(x)).

    Args:
        num_features: C.
        apply_act: False leaves gamma and beta alone.
        eps: inside roots.
        momentum: the share of the batch in the running variance.

    >>> import torch
    >>> sorted(EvoNormB0(4).state_dict())
    ['bias', 'running_var', 'v', 'weight']
    """

    _has_v = True

    def __init__(self, num_features: int, apply_act: bool = True, *, eps: float = 1e-3, momentum: float = 0.1) -> None:
        super().__init__(num_features, apply_act, eps=eps, momentum=momentum)

    def _other(self, x: torch.Tensor) -> torch.Tensor:
        spread = (x.var(_INSTANCE, correction=0, keepdim=True) + self.eps).sqrt()
        return spread if self.v is None else _channels(self.v, x) * x + spread


class EvoNormB1(_Batch):
    """EvoNorm-B1: x / max(std_bhw(x), (x + 1) rms_hw(x)).

    >>> import torch
    >>> EvoNormB1(4)(torch.zeros(2, 4, 3, 3)).shape
    torch.Size([2, 4, 3, 3])
    """

    def _other(self, x: torch.Tensor) -> torch.Tensor:
        return (x + 1) * self._rms(x)


class EvoNormB2(_Batch):
    """EvoNorm-B2: x / max(std_bhw(x), rms_hw(x) - x).

    >>> import torch
    >>> EvoNormB2(4)(torch.zeros(2, 4, 3, 3)).shape
    torch.Size([2, 4, 3, 3])
    """

    def _other(self, x: torch.Tensor) -> torch.Tensor:
        return self._rms(x) - x


class _Sample(_EvoNorm):
    """The S layers: x sigmoid(v x), or without v, over a statistic of groups of channels; no look at the batch."""

    _moment = "variance"

    def __init__(
        self, num_features: int, apply_act: bool = True, *, groups: int | None = None, eps: float = 1e-5
    ) -> None:
        super().__init__(num_features, apply_act, eps=eps)
        self.groups = groups if groups is not None else min(32, num_features)
        if self.groups < 1 or num_features % self.groups:
            divisors = [number for number in range(1, num_features + 1) if num_features % number == 0]
            raise InputError(f"{num_features} channels do not fall into {self.groups} groups; choose one of {divisors}")

    def _normalise(self, x: torch.Tensor) -> torch.Tensor:
        folded = x.reshape(x.shape[0], self.groups, -1, *x.shape[2:])
        if self._moment == "variance":
            moment = folded.var(_GROUP, correction=0, keepdim=True)
        else:
            moment = folded.square().mean(_GROUP, keepdim=True)
        spread = (moment + self.eps).sqrt().expand(-1, -1, folded.shape[2], -1, -1).reshape(*x.shape[:2], 1, 1)
        gate = torch.sigmoid(x if self.v is None else _channels(self.v, x) * x)
        return x * gate / spread


class EvoNormS0(_Sample):
    """EvoNorm-S0: x sigmoid(v x) / std_group(x).

    Args:
        num_features: C.
        apply_act: False leaves gamma and beta alone.
        groups: of neighbouring channels; 32, or C where C is less.
        eps: inside the root.

    Raises:
        InputError: C does not fall into so many groups.

    >>> import torch
    >>> EvoNormS0(8, groups=2)(torch.zeros(2, 8, 3, 3)).shape
    torch.Size([2, 8, 3, 3])
    """

    _has_v = True


class EvoNormS1(_Sample):
    """EvoNorm-S1: x sigmoid(x) / std_group(x).

    >>> import torch
    >>> sorted(EvoNormS1(4).state_dict())
    ['bias', 'weight']
    """


class EvoNormS2(_Sample):
    """EvoNorm-S2: x sigmoid(x) / rms_group(x).

    >>> import torch
    >>> sorted(EvoNormS2(4).state_dict())
    ['bias', 'weight']
    """

    _moment = "mean square"


#: by the names that the candidates of the same layers have in `PUBLISHED_LAYERS`
EVONORMS: Mapping[str, type[_EvoNorm]] = {
    "evonorm-b0": EvoNormB0,
    "evonorm-b1": EvoNormB1,
    "evonorm-b2": EvoNormB2,
    "evonorm-s0": EvoNormS0,
    "evonorm-s1": EvoNormS1,
    "evonorm-s2": EvoNormS2,
}
