"""A convolution whose zeros take no time: every output plane sums shifted input planes, those of its weights only."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from selftaught.compress.sparse_conv_text import GEOMETRY
from selftaught.compress.sparse_kernel import run_in_threads, scratch, sparse_code, sparse_function
from selftaught.compress.sparse_layer import WORTH_A_THREAD, SparseLayer
from selftaught.errors import InputError

__all__ = ["SparseConv2d"]

#: Sizes of images that a layer remembers the places of.
REMEMBERED = 8


class SparseConv2d(SparseLayer):
    """A convolution that multiplies with its non-zero weights only.

    Direct sparse convolution (Park et al., "Faster CNNs with Direct Sparse Convolutions and Guided Pruning", arXiv
    1608.01409): a weight meets a row of neighbouring places of its input plane, which lie one after the other in
    memory, so nothing is unfolded. Strides are taken apart into planes of their own first. Otherwise as `SparseLinear`.

    Args:
        layer: what it is made from, float32 on the CPU, padded with zeros or not at all.

    Raises:
        InputError: the layer is no `torch.nn.Conv2d` in float32 on the CPU, or it is padded with anything but zeros.

    >>> layer = nn.Conv2d(8, 16, 3, padding=1)
    >>> _ = layer.weight.data.masked_fill_(torch.rand(16, 8, 3, 3) < 0.9, 0.0)
    >>> sparse, inputs = SparseConv2d(layer), torch.randn(2, 8, 12, 12)
    >>> bool(torch.allclose(sparse(inputs), layer(inputs), atol=1e-5))
    True
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        if not isinstance(layer, nn.Conv2d):
            raise InputError(f"a sparse convolution is made from a torch.nn.Conv2d, got {type(layer).__name__}")
        if layer.padding_mode != "zeros":
            raise InputError(f"a sparse convolution is padded with zeros, but this layer has {layer.padding_mode!r}")
        options = {
            "in_channels": layer.in_channels, "out_channels": layer.out_channels, "kernel_size": layer.kernel_size,
            "stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups,
        }  # fmt: skip
        super().__init__(_spread(layer), layer.bias, training=layer.training)
        self.options = options
        #: (before, after) of height, then of width.
        self.margins = _margins(layer)
        self._places: dict[tuple[int, int], _Places] = {}

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the convolution.

        Args:
            inputs: (batch, channels, height, width) float32, or one image without the batch.
        """
        x = self._checked(inputs)
        if x.dim() == 3:
            return self._forward(x[None])[0]
        return self._forward(x)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        channels = self.options["in_channels"]
        if x.dim() != 4 or x.shape[1] != channels:
            raise InputError(f"this layer takes images of {channels} channels, got {tuple(x.shape)}")
        key = (x.shape[2], x.shape[3])
        found = self._places.get(key)
        if found is None:
            if len(self._places) >= REMEMBERED:
                self._places.clear()
            found = self._places[key] = _Places(self, *key)
        if found.apart:
            x = _apart(x, self.margins, self.options["stride"])
        if not x.is_contiguous():
            x = x.contiguous()
        batch, rows = len(x), self.shape[0]
        out = torch.empty(batch, rows, found.height, found.width)
        if out.numel() == 0:
            return out
        threads = torch.get_num_threads()
        if threads == 1 or self.nonzero * batch * found.height * found.width < WORTH_A_THREAD:
            _run(found, 0, rows, x, out, 0)
        elif batch > 1:
            parts = min(threads, batch)
            edges = pairwise([batch * k // parts for k in range(parts + 1)])
            run_in_threads([partial(_run, found, 0, rows, x[a:b], out[a:b], 0) for a, b in edges], parts)
        else:
            groups = enumerate(self.groups.tolist())
            calls = [partial(_run, found, k + 1, end - begin, x, out, begin) for k, (_, _, begin, end) in groups]
            run_in_threads(calls, min(threads, len(calls)))
        return out

    def _forget(self) -> None:
        super()._forget()
        self._places = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_places": {}}

    @torch.no_grad()
    def plain(self) -> nn.Conv2d:
        """Return the plain layer, with its zeros."""
        layer = nn.Conv2d(**self.options, bias=self.has_bias, device="meta").to_empty(device="cpu")
        groups = self.options["groups"]
        own, inputs = self.shape[0] // groups, self.options["in_channels"] // groups
        dense = self._matrix().view(self.shape[0], self.options["in_channels"], *self.options["kernel_size"])
        for g in range(groups):
            layer.weight[g * own : (g + 1) * own] = dense[g * own : (g + 1) * own, g * inputs : (g + 1) * inputs]
        if self.has_bias and layer.bias is not None:
            layer.bias.copy_(self.bias)
        return layer

    def extra_repr(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{told}, bias={self.has_bias}, density={self._share():.3f}"


class _Places:
    """Where the weights of a layer meet an image of one size: a plan, sizes, and what they point to."""

    def __init__(self, layer: SparseConv2d, height: int, width: int) -> None:
        (kernel_h, kernel_w), (stride_h, stride_w) = layer.options["kernel_size"], layer.options["stride"]
        dilation_h, dilation_w = layer.options["dilation"]
        (above, below), (before, after) = layer.margins
        tall, wide = height + above + below, width + before + after
        self.height = (tall - dilation_h * (kernel_h - 1) - 1) // stride_h + 1
        self.width = (wide - dilation_w * (kernel_w - 1) - 1) // stride_w + 1
        if self.height < 1 or self.width < 1:
            raise InputError(f"images of {height} x {width} are too small for a kernel of {kernel_h} x {kernel_w}")
        channels = layer.options["in_channels"]
        c, h, w = np.unravel_index(np.arange(layer.shape[1]), (channels, kernel_h, kernel_w))
        h, w = h * dilation_h, w * dilation_w
        self.apart = (stride_h, stride_w) != (1, 1)
        if self.apart:
            c = (c * stride_h + h % stride_h) * stride_w + w % stride_w
            h, w = h // stride_h, w // stride_w
            channels *= stride_h * stride_w
            height, width = tall, wide = -(-tall // stride_h), -(-wide // stride_w)
            above = before = 0
        table = (c * tall + h) * wide + w
        if channels * tall * wide >= 1 << 31:
            raise InputError(f"images of {height} x {width} with {channels} channels are too large for a sparse layer")
        self._columns = table[layer._column_numbers()].astype(np.int32)
        call = sparse_function(sparse_code("places32", layer.lanes), "planes")
        self.plans = layer._plans_for(int(self._columns.ctypes.data), call)
        needed = (self.height - 1) * wide + self.width
        positions = needed + -needed % layer.lanes
        direct_in = (tall, wide) == (height, width) and layer.shape[1] == channels and positions == height * width
        direct_out = wide == self.width and positions == needed and layer.shape[0] % layer.lanes == 0
        sizes = dict.fromkeys(GEOMETRY, 0) | {
            "channels": channels, "height": height, "width": width, "top": above, "left": before, "tall": tall,
            "wide": wide, "positions": positions, "rows_out": self.height, "columns_out": self.width,
            "direct_in": int(direct_in), "direct_out": int(direct_out),
        }  # fmt: skip
        self._sizes = np.array([sizes[name] for name in GEOMETRY], np.int64)
        self.sizes = int(self._sizes.ctypes.data)
        self.image, self.positions = channels * tall * wide + 64, positions


def _run(found: _Places, number: int, rows: int, x: torch.Tensor, out: torch.Tensor, begin: int) -> None:
    """Convolve images with some rows of the weights."""
    plane = found.height * found.width
    found.plans.call(
        found.plans.at(number), found.sizes, x.data_ptr(), 4 * x.stride(0), len(x), out.data_ptr() + 4 * begin * plane,
        4 * out.stride(0), scratch(found.image + (rows + 1) * found.positions),
    )  # fmt: skip


def _spread(layer: nn.Conv2d) -> torch.Tensor:
    """Return the weight as (out, channels * height * width) with all input channels, also those of other groups."""
    weight = layer.weight.detach()
    if layer.groups == 1:
        return weight.reshape(len(weight), -1)
    own, inputs = len(weight) // layer.groups, weight.shape[1]
    dense = weight.new_zeros(len(weight), layer.in_channels, *weight.shape[2:])
    for g in range(layer.groups):
        dense[g * own : (g + 1) * own, g * inputs : (g + 1) * inputs] = weight[g * own : (g + 1) * own]
    return dense.reshape(len(weight), -1)


def _margins(layer: nn.Conv2d) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding before and after, of height and of width."""
    if layer.padding == "valid":
        return (0, 0), (0, 0)
    if layer.padding == "same":  # torch puts what is odd at the end
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return (totals[0] // 2, totals[0] - totals[0] // 2), (totals[1] // 2, totals[1] - totals[1] // 2)
    vertical, horizontal = (int(one) for one in layer.padding)
    return (vertical, vertical), (horizontal, horizontal)


def _apart(
    x: torch.Tensor, margins: tuple[tuple[int, int], tuple[int, int]], stride: tuple[int, int]
) -> torch.Tensor:
    """Return padded images whose every stride-th row and column is a plane of its own.

    (batch, C, H, W) -> (batch, C * s * t, H / s, W / t), so that a convolution of stride (s, t) has stride 1.
    """
    (above, below), (before, after) = margins
    batch, channels, height, width = x.shape
    s, t = stride
    tall, wide = -(-(height + above + below) // s), -(-(width + before + after) // t)
    x = functional.pad(x, (before, wide * t - width - before, above, tall * s - height - above))
    return x.view(batch, channels, tall, s, wide, t).permute(0, 1, 3, 5, 2, 4).reshape(batch, -1, tall, wide)
