"""A linear layer whose zeros take no time: sliced rows and a kernel that is compiled for this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from selftaught.compress.replaced_layers import ReplacedLayer
from selftaught.compress.sparse_kernel import (
    native_lanes,
    plans,
    run_in_threads,
    scratch,
    scratch_floats,
    sparse_code,
    sparse_function,
)
from selftaught.compress.sparse_weights import slice_weights
from selftaught.errors import InputError

__all__ = ["SparseLinear"]

#: Multiply-adds below which a second thread costs more than it gives.
WORTH_A_THREAD = 2_000_000


class SparseLinear(ReplacedLayer):
    """A linear layer that multiplies with its non-zero weights only.

    The weights lie in slices of rows of nearly equal length (SELL-C-sigma, arXiv 1307.6209) with the numbers of their
    columns. A kernel, compiled at first use and kept under the cache directory, meets them with one vector of
    activations at a time or with tiles of the batch, which it transposes itself. It runs without the interpreter's
    lock, on as many threads as torch has. Outputs differ from those of the plain layer by rounding only.

    For inference, float32, on the CPU. The module is for this machine: `densify` gives the plain one back, which
    exports and trains.

    Args:
        layer: what it is made from, float32 on the CPU.

    Raises:
        InputError: the layer is no `torch.nn.Linear` in float32 on the CPU.

    >>> layer = nn.Linear(100, 50)
    >>> _ = layer.weight.data.masked_fill_(torch.rand(50, 100) < 0.9, 0.0)
    >>> sparse, inputs = SparseLinear(layer), torch.randn(7, 100)
    >>> bool(torch.allclose(sparse(inputs), layer(inputs), atol=1e-5))
    True
    """

    kind = "sparse"
    starts: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor
    groups: torch.Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        if not isinstance(layer, nn.Linear):
            raise InputError(f"a sparse linear layer is made from a torch.nn.Linear, got {type(layer).__name__}")
        weight = layer.weight.detach()
        if weight.dtype is not torch.float32 or not weight.is_cpu:
            raise InputError(
                f"sparse layers are float32 on the CPU, got a weight of {weight.dtype} on {weight.device.type}; "
                "convert the model with .float().cpu()"
            )
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.has_bias = layer.bias is not None
        self.lanes = native_lanes()
        laid = slice_weights(weight.numpy(), self.lanes)
        self.nonzero = laid.nonzero
        for name in ("starts", "rows", "weights", "groups"):
            self.register_buffer(name, torch.from_numpy(getattr(laid, name)))
        signed = laid.columns.view(np.int16 if laid.columns.dtype == np.uint16 else np.int32)
        self.register_buffer("columns", torch.from_numpy(signed))
        bias = layer.bias.detach().clone() if self.has_bias else torch.zeros(self.out_features)
        self.register_buffer("bias", bias)
        self.train(layer.training)
        self._call: Callable[..., None] | None = None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return inputs @ weight.T + bias.

        Args:
            inputs: (..., in_features) float32.
        """
        x = self._checked(inputs)
        if x.dim() != 2:
            return self._forward(x.reshape(-1, x.shape[-1] if x.dim() else 0)).view(*x.shape[:-1], self.out_features)
        return self._forward(x)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, inputs = x.shape
        if inputs != self.in_features:
            raise InputError(f"this layer takes {self.in_features} features, got {inputs}")
        out = torch.empty(batch, self.out_features)
        if batch == 0 or self.out_features == 0:
            return out
        if x.stride(1) != 1 and inputs > 1:
            x = x.contiguous()
        call = self._call
        if call is None:
            call = self._call = self._prepared()
        threads = torch.get_num_threads()
        if threads > 1 and self.nonzero * batch >= WORTH_A_THREAD:
            self._forward_in_threads(x, out, threads)
        else:
            call(
                self._whole, x.data_ptr(), 4 * x.stride(0), batch, out.data_ptr(), 4 * self.out_features,
                scratch(scratch_floats(inputs, self.out_features, batch, self.lanes)),
            )  # fmt: skip
        return out

    def _forward_in_threads(self, x: torch.Tensor, out: torch.Tensor, threads: int) -> None:
        """Share the batch among threads where each gets a tile, else the groups of rows."""
        batch = len(x)
        least = 4 * self.lanes
        calls: list[Callable[[], None]] = []
        if batch >= 2 * least:
            parts = min(threads, batch // least)
            edges = [batch * k // parts for k in range(parts + 1)]
            for begin, end in pairwise(edges):
                calls.append(partial(self._part, self._whole, x[begin:end], out[begin:end], 0, self.out_features))
        else:
            parts = min(threads, len(self._ranges))
            for k, (_, _, begin, end) in enumerate(self._ranges):
                plan = self._whole + (k + 1) * self._plans.strides[0]
                calls.append(partial(self._part, plan, x, out, int(begin), int(end - begin)))
        run_in_threads(calls, max(2, parts))

    def _part(self, plan: int, x: torch.Tensor, out: torch.Tensor, begin: int, rows: int) -> None:
        floats = scratch_floats(self.in_features, rows, len(x), self.lanes)
        call = self._call or self._prepared()
        call(
            plan, x.data_ptr(), 4 * x.stride(0), len(x), out.data_ptr() + 4 * begin, 4 * self.out_features,
            scratch(floats),
        )  # fmt: skip

    def _prepared(self) -> Callable[..., None]:
        """Note where the buffers are, and return the kernel."""
        wide = self.columns.dtype is torch.int32
        self._spare = np.zeros(self.lanes, np.float32)
        parts = {name: getattr(self, name).data_ptr() for name in ("starts", "rows", "columns", "weights", "bias")}
        self._ranges = self.groups.numpy()
        whole = np.array([[0, len(self.starts) - 1, 0, self.out_features]], np.int64)
        self._plans = plans(
            {**parts, "spare": self._spare.ctypes.data}, np.concatenate([whole, self._ranges]), self.in_features
        )
        self._whole = int(self._plans.ctypes.data)
        return sparse_function(sparse_code("columns32" if wide else "columns16", self.lanes), "linear")

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> SparseLinear:
        super()._apply(fn, recurse)
        self._call = None  # the buffers may have moved
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for name in ("_plans", "_spare", "_ranges", "_whole"):
            state.pop(name, None)
        return {**state, "_call": None}

    @torch.no_grad()
    def plain(self) -> nn.Linear:
        """Return the plain layer, with its zeros."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.has_bias, device="meta").to_empty(device="cpu")
        if self.has_bias:
            layer.bias.copy_(self.bias)
        dense = np.zeros((self.out_features + 1, self.in_features), np.float32)
        columns, weights = self.columns.numpy(), self.weights.numpy()
        columns = columns.view(np.uint16 if columns.dtype == np.int16 else np.uint32)
        starts, rows = self.starts.numpy(), self.rows.numpy()
        for number, (begin, end) in enumerate(pairwise(starts)):
            at = np.tile(rows[number], (end - begin) // self.lanes)
            kept = weights[begin:end] != 0
            dense[at[kept], columns[begin:end][kept]] = weights[begin:end][kept]
        layer.weight.copy_(torch.from_numpy(dense[:-1]))
        return layer

    def extra_repr(self) -> str:
        share = self.nonzero / max(1, self.in_features * self.out_features)
        return f"{self.in_features}, {self.out_features}, bias={self.has_bias}, density={share:.3f}"
