"""Layers in 8-bit integers: what they compute exactly, in torch, and the ONNX operators that compute the same.

A value x is held as q = clip(round(x / scale) + zero, 0, 255), with halves rounded to even; a weight as an integer with
a scale an output channel and zero at zero (Jacob et al., arXiv 1712.05877). Sums of products are whole numbers, which
torch takes here in float64 and so exactly; onnxruntime takes them in int32. What is left is one multiplication in
float32, in which all agree, and one rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Affine", "Clip", "Dequantise", "DynamicLinear", "IntegerLayer", "Lookup", "MaxPool", "Quantise"]

#: The version of the standard operators; all that are used have been there, as they are, since before it.
VERSION = 18
_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


@dataclass(frozen=True)
class Affine:
    """How numbers are held in 8 bits: x = scale (q - zero), q from 0 to 255.

    Args:
        scale: a float32 number above 0.
        zero: the q of 0, from 0 to 255.
    """

    scale: float
    zero: int


def exporting() -> bool:
    """Return whether torch.export runs the module, so that its ONNX form is wanted."""
    return bool(torch.compiler.is_exporting())


def _operator(
    name: str, inputs: Sequence[Any], dtype: torch.dtype, shape: Sequence[Any], attributes: dict[str, Any] | None = None
) -> torch.Tensor:
    found: torch.Tensor = torch.onnx.ops.symbolic(
        name, inputs, attributes or {}, dtype=dtype, shape=list(shape), version=VERSION
    )
    return found


class _Held(nn.Module):
    """A part with a scale and a zero as buffers."""

    scale: torch.Tensor
    zero: torch.Tensor

    def __init__(self, affine: Affine) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(affine.scale, dtype=torch.float32))
        self.register_buffer("zero", torch.tensor(affine.zero, dtype=torch.uint8))


class Quantise(_Held):
    """From float32 to 8 bits, any shape."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if exporting():
            return _operator("QuantizeLinear", (given, self.scale, self.zero), torch.uint8, given.shape)
        return _to_bytes(torch.round(given / self.scale) + self.zero.float())


class Dequantise(_Held):
    """From 8 bits to float32, any shape."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if exporting():
            return _operator("DequantizeLinear", (given, self.scale, self.zero), torch.float32, given.shape)
        return (given.float() - self.zero.float()) * self.scale


class IntegerLayer(nn.Module):
    """A linear layer or a convolution of 8-bit inputs, with 8-bit outputs or float32 ones.

    Args:
        weight: (out, ...) integers from -limit to limit, as the float layer's weight.
        weight_scale: (out,) float32.
        bias: (out,) integers, in units of input scale times weight scale.
        given: how inputs are held.
        gives: how outputs are held, or None for float32.
        unsigned: store weights as uint8 around 128: onnxruntime's kernels for int8 weights saturate sums of two
            products at 16 bits on processors with AVX2 and without VNNI, those for uint8 do not.
        pads: (before, after) of each spatial axis; None for a linear layer.
        stride, dilation: of each spatial axis.
        groups: of a convolution.
    """

    weight: torch.Tensor
    weight_scale: torch.Tensor
    weight_zero: torch.Tensor
    bias: torch.Tensor
    scale: torch.Tensor
    zero: torch.Tensor

    def __init__(
        self,
        weight: torch.Tensor,
        weight_scale: torch.Tensor,
        bias: torch.Tensor,
        given: Affine,
        gives: Affine | None,
        *,
        unsigned: bool = False,
        pads: Sequence[tuple[int, int]] | None = None,
        stride: Sequence[int] = (),
        dilation: Sequence[int] = (),
        groups: int = 1,
    ) -> None:
        super().__init__()
        stored = (weight + 128).to(torch.uint8) if unsigned else weight.to(torch.int8)
        self.register_buffer("weight", stored.t().contiguous() if pads is None else stored.contiguous())
        self.register_buffer("weight_scale", weight_scale.float())
        self.register_buffer("bias", bias.to(torch.int32))
        self.register_buffer("scale", torch.tensor(given.scale, dtype=torch.float32))
        self.register_buffer("zero", torch.tensor(given.zero, dtype=torch.uint8))
        channels = len(weight_scale)
        one_zero = pads is None or gives is None
        zeros = torch.full(() if one_zero else (channels,), 128 if unsigned else 0, dtype=stored.dtype)
        self.register_buffer("weight_zero", zeros)
        self.gives = gives
        self.register_buffer("out_scale", torch.tensor(gives.scale if gives else 1.0, dtype=torch.float32))
        self.register_buffer("out_zero", torch.tensor(gives.zero if gives else 0, dtype=torch.uint8))
        # In the order in which onnxruntime multiplies: the product of two float32 numbers, over a third.
        self.register_buffer("factor", self.scale * self.weight_scale)
        self.channels, self.pads, self.groups = channels, pads, groups
        self.stride, self.dilation = list(stride), list(dilation)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if exporting():
            return self._as_linear(given) if self.pads is None else self._as_convolution(given)
        values = given.double() - self.zero.double()
        weight = self.weight.double() - (128 if self.weight.dtype == torch.uint8 else 0)
        if self.pads is None:
            sums = values @ weight + self.bias.double()
        else:
            padding = [amount for pair in reversed(self.pads) for amount in pair]
            convolve = _CONVOLVE[len(self.pads)]
            sums = convolve(
                functional.pad(values, padding), weight, self.bias.double(), self.stride, 0, self.dilation, self.groups
            )
        held = sums.float()
        if self.gives is None:
            return held * self._along(self.factor)
        if self.pads is None:
            scaled = held * self.factor / self.out_scale
        else:
            scaled = held * self._along(self.factor / self.out_scale)
        return _to_bytes(torch.round(scaled) + self.out_zero.float())

    def _along(self, values: torch.Tensor) -> torch.Tensor:
        return values if self.pads is None else values.reshape(-1, *[1] * len(self.pads))

    def _as_linear(self, given: torch.Tensor) -> torch.Tensor:
        shape = (*given.shape[:-1], self.channels)
        inputs = (given, self.weight, self.zero, self.weight_zero)
        return self._finished(_operator("MatMulInteger", inputs, torch.int32, shape), self.bias)

    def _as_convolution(self, given: torch.Tensor) -> torch.Tensor:
        pads = self.pads or ()
        attributes = {
            "pads": [before for before, _ in pads] + [after for _, after in pads],
            "strides": self.stride, "dilations": self.dilation, "group": self.groups,
            "kernel_shape": list(self.weight.shape[2:]),
        }  # fmt: skip
        sizes = [
            (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
            for size, (before, after), dilation, kernel, stride in zip(
                given.shape[2:], pads, self.dilation, self.weight.shape[2:], self.stride, strict=True
            )
        ]
        shape = (given.shape[0], self.channels, *sizes)
        if self.gives is None:
            inputs: tuple[Any, ...] = (given, self.weight, self.zero, self.weight_zero)
            sums = _operator("ConvInteger", inputs, torch.int32, shape, attributes)
            return self._finished(sums, self._along(self.bias))
        inputs = (
            given, self.scale, self.zero, self.weight, self.weight_scale, self.weight_zero,
            self.out_scale, self.out_zero, self.bias,
        )  # fmt: skip
        return _operator("QLinearConv", inputs, torch.uint8, shape, attributes)

    def _finished(self, sums: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        sums = _operator("Add", (sums, bias), torch.int32, sums.shape)
        held = _operator("Cast", (sums,), torch.float32, sums.shape, {"to": 1})
        scaled = _operator("Mul", (held, self._along(self.factor)), torch.float32, sums.shape)
        if self.gives is None:
            return scaled
        return _operator("QuantizeLinear", (scaled, self.out_scale, self.out_zero), torch.uint8, sums.shape)


class DynamicLinear(nn.Module):
    """A linear layer whose inputs are held in 8 bits with a scale found anew in every call, from all of the batch.

    Args:
        weight: (out, in) integers from -limit to limit.
        weight_scale: (out,) float32.
        bias: (out,) float32, or None.
        unsigned: store weights as uint8 around 128; see `IntegerLayer`.
    """

    weight: torch.Tensor
    weight_scale: torch.Tensor
    weight_zero: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self, weight: torch.Tensor, weight_scale: torch.Tensor, bias: torch.Tensor | None, *, unsigned: bool = False
    ) -> None:
        super().__init__()
        stored = (weight + 128).to(torch.uint8) if unsigned else weight.to(torch.int8)
        self.register_buffer("weight", stored.t().contiguous())
        self.register_buffer("weight_scale", weight_scale.float())
        self.register_buffer("weight_zero", torch.tensor(128 if unsigned else 0, dtype=stored.dtype))
        self.register_buffer("bias", None if bias is None else bias.detach().float().clone())

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if exporting():
            return self._as_operators(given)
        least, most = given.min().clamp(max=0), given.max().clamp(min=0)
        scale = torch.where(most == least, torch.ones_like(most), (most - least) / 255)
        zero = torch.round(torch.clamp(0 - least / scale, 0, 255))
        held = torch.clamp(torch.round(given / scale) + zero, 0, 255)
        weight = self.weight.double() - self.weight_zero.double()
        sums = ((held - zero).double() @ weight).float()
        scaled = sums * (scale * self.weight_scale)
        return scaled if self.bias is None else scaled + self.bias

    def _as_operators(self, given: torch.Tensor) -> torch.Tensor:
        held, scale, zero = torch.onnx.ops.symbolic_multi_out(
            "DynamicQuantizeLinear", (given,), {}, dtypes=(torch.uint8, torch.float32, torch.uint8),
            shapes=(list(given.shape), [], []), version=VERSION,
        )  # fmt: skip
        shape = (*given.shape[:-1], len(self.weight_scale))
        sums = _operator("MatMulInteger", (held, self.weight, zero, self.weight_zero), torch.int32, shape)
        factor = _operator("Mul", (scale, self.weight_scale), torch.float32, self.weight_scale.shape)
        numbers = _operator("Cast", (sums,), torch.float32, shape, {"to": 1})
        scaled = _operator("Mul", (numbers, factor), torch.float32, shape)
        return scaled if self.bias is None else _operator("Add", (scaled, self.bias), torch.float32, shape)


class Lookup(nn.Module):
    """Any function of one 8-bit value, as a table of its 256 results.

    Args:
        table: (256,) uint8.
    """

    table: torch.Tensor

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table.to(torch.uint8))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if exporting():
            places = _operator("Cast", (given,), torch.int32, given.shape, {"to": 6})
            return _operator("Gather", (self.table, places), torch.uint8, given.shape, {"axis": 0})
        return self.table[given.long()]


class Clip(nn.Module):
    """An upper limit of 8-bit values, as of an activation that ends at 6.

    Args:
        most: from 0 to 255.
    """

    most: torch.Tensor

    def __init__(self, most: int) -> None:
        super().__init__()
        self.register_buffer("most", torch.tensor(most, dtype=torch.uint8))
        self.register_buffer("least", torch.tensor(0, dtype=torch.uint8))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if exporting():
            return _operator("Clip", (given, self.least, self.most), torch.uint8, given.shape)
        return torch.minimum(given, self.most)


class MaxPool(nn.Module):
    """The largest of the 8-bit values under a window, which is the largest of what they stand for.

    Args:
        kernel, stride, padding, dilation: of each spatial axis.
        ceil_mode: whether a window may hang over the end.
    """

    def __init__(
        self,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        *,
        ceil_mode: bool,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = list(kernel), list(stride), list(padding)
        self.dilation, self.ceil_mode = list(dilation), ceil_mode

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        pool = _POOL[len(self.kernel)]
        arguments = (self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        if exporting():
            shape = pool(torch.empty(given.shape, device="meta"), *arguments).shape
            attributes = {
                "kernel_shape": self.kernel, "strides": self.stride, "pads": [*self.padding, *self.padding],
                "dilations": self.dilation, "ceil_mode": int(self.ceil_mode),
            }  # fmt: skip
            return _operator("MaxPool", (given,), torch.uint8, shape, attributes)
        return pool(given.float(), *arguments).to(torch.uint8)


def _to_bytes(values: torch.Tensor) -> torch.Tensor:
    return torch.clamp(values, 0, 255).to(torch.uint8)
