"""A linear layer whose zeros take no time: sliced rows and a kernel that is compiled for this machine."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import nn

from selftaught.compress.sparse_kernel import run_in_threads, scratch, scratch_floats, sparse_code, sparse_function
from selftaught.compress.sparse_layer import WORTH_A_THREAD, Plans, SparseLayer
from selftaught.compress.sparse_text import Index
from selftaught.errors import InputError

__all__ = ["SparseLinear"]


class SparseLinear(SparseLayer):
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

    def __init__(self, layer: nn.Linear) -> None:
        if not isinstance(layer, nn.Linear):
            raise InputError(f"a sparse linear layer is made from a torch.nn.Linear, got {type(layer).__name__}")
        super().__init__(layer.weight.detach(), layer.bias, training=layer.training)
        self.out_features, self.in_features = self.shape

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
        ready: Plans | None = self._ready
        if ready is None:
            ready = self._ready = self._prepared()
        threads = torch.get_num_threads()
        if threads > 1 and self.nonzero * batch >= WORTH_A_THREAD:
            self._forward_in_threads(ready, x, out, threads)
        else:
            ready.call(
                ready.first, x.data_ptr(), 4 * x.stride(0), batch, out.data_ptr(), 4 * self.out_features,
                scratch(scratch_floats(inputs, self.out_features, batch, self.lanes)),
            )  # fmt: skip
        return out

    def _forward_in_threads(self, ready: Plans, x: torch.Tensor, out: torch.Tensor, threads: int) -> None:
        """Share the batch among threads where each gets a tile, else the groups of rows."""
        batch, least = len(x), 4 * self.lanes
        if batch >= 2 * least:
            parts = min(threads, batch // least)
            edges = [batch * k // parts for k in range(parts + 1)]
            calls = [
                partial(self._part, ready, 0, x[begin:end], out[begin:end], 0, self.out_features)
                for begin, end in pairwise(edges)
            ]
        else:
            parts = min(threads, len(self.groups))
            calls = [
                partial(self._part, ready, k + 1, x, out, begin, end - begin)
                for k, (_, _, begin, end) in enumerate(self.groups.tolist())
            ]
        run_in_threads(calls, parts)

    def _part(self, ready: Plans, number: int, x: torch.Tensor, out: torch.Tensor, begin: int, rows: int) -> None:
        ready.call(
            ready.at(number), x.data_ptr(), 4 * x.stride(0), len(x), out.data_ptr() + 4 * begin, 4 * self.out_features,
            scratch(scratch_floats(self.in_features, rows, len(x), self.lanes)),
        )  # fmt: skip

    def _prepared(self) -> Plans:
        index: Index = "columns32" if self.columns.dtype is torch.int32 else "columns16"
        return self._plans_for(self.columns.data_ptr(), sparse_function(sparse_code(index, self.lanes), "linear"))

    @torch.no_grad()
    def plain(self) -> nn.Linear:
        """Return the plain layer, with its zeros."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.has_bias, device="meta").to_empty(device="cpu")
        layer.weight.copy_(self._matrix())
        if self.has_bias:
            layer.bias.copy_(self.bias)
        return layer

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.has_bias}, density={self._share():.3f}"
