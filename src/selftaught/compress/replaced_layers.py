"""Layers that stand for another one on this machine, and the way back."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import nn

from selftaught.errors import InputError

__all__ = ["ReplacedLayer", "densify", "replace_layers"]


class ReplacedLayer(nn.Module, ABC):
    """A layer that computes what a plain one does, faster here: for inference, in float32, on the CPU.

    It holds buffers and no parameters, so nothing of it is trained. `kind` names the way it computes.
    """

    kind: str

    @abstractmethod
    def plain(self) -> nn.Module:
        """Return the plain layer that it stands for."""

    def _checked(self, inputs: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            raise InputError(f"a {self.kind} layer is for this machine and cannot be exported; export densify(model)")
        if inputs.dtype is not torch.float32 or not inputs.is_cpu:
            raise InputError(
                f"a {self.kind} layer takes float32 on the CPU, got {str(inputs.dtype).removeprefix('torch.')} on "
                f"{inputs.device.type}; densify() gives the plain module back"
            )
        if inputs.requires_grad and torch.is_grad_enabled():
            raise InputError(
                f"a {self.kind} layer has no gradients, but its input wants some; run it under torch.inference_mode(), "
                "or train what densify() gives back"
            )
        return inputs

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> ReplacedLayer:
        for one in self.buffers():
            found = fn(torch.empty(0, dtype=one.dtype, device=one.device))
            if found.dtype != one.dtype or found.device != one.device:
                raise InputError(
                    f"a {self.kind} layer stays float32 on the CPU, and cannot become "
                    f"{str(found.dtype).removeprefix('torch.')} on {found.device.type}; densify() the module first"
                )
        super()._apply(fn, recurse)
        return self


def densify(model: nn.Module) -> nn.Module:
    """Return a copy of a module in which every replaced layer is a plain one again.

    >>> from selftaught.compress import SparseLinear
    >>> layer = nn.Linear(4, 2)
    >>> back = densify(nn.Sequential(SparseLinear(layer)))
    >>> bool((back[0].weight == layer.weight).all())
    True
    """
    if isinstance(model, ReplacedLayer):
        return model.plain().train(model.training)
    own = copy.deepcopy(model)
    found = {name: one for name, one in own.named_modules() if isinstance(one, ReplacedLayer)}
    return replace_layers(own, {name: one.plain().train(one.training) for name, one in found.items()})


def replace_layers(model: nn.Module, layers: Mapping[str, nn.Module]) -> nn.Module:
    """Put layers in the places of a module; return it, or the layer itself where its name is empty."""
    for name, layer in layers.items():
        if not name:
            return layer
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
    return model
