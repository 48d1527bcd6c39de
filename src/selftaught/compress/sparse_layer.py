"""What sparse layers share: their sliced weights as buffers, where these are, and the way back to a dense matrix."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.compress.replaced_layers import ReplacedLayer
from selftaught.compress.sparse_kernel import native_lanes, plans
from selftaught.compress.sparse_weights import slice_weights
from selftaught.errors import InputError

__all__ = ["WORTH_A_THREAD", "SparseLayer"]

#: Multiply-adds below which a second thread costs more than it gives.
WORTH_A_THREAD = 2_000_000


class SparseLayer(ReplacedLayer):
    """A layer whose weight is a sparse matrix in slices.

    Args:
        matrix: (rows, columns), the weight; what is 0 is left out.
        bias: (rows,), or None.
        training: the mode of the layer that it stands for.
    """

    kind = "sparse"
    starts: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor
    groups: torch.Tensor

    def __init__(self, matrix: torch.Tensor, bias: torch.Tensor | None, *, training: bool) -> None:
        super().__init__()
        if matrix.dtype is not torch.float32 or not matrix.is_cpu:
            raise InputError(
                f"sparse layers are float32 on the CPU, got a weight of {matrix.dtype} on {matrix.device.type}; "
                "convert the model with .float().cpu()"
            )
        self.has_bias = bias is not None
        self.lanes = native_lanes()
        self.shape = (matrix.shape[0], matrix.shape[1])
        laid = slice_weights(matrix.numpy(), self.lanes)
        self.nonzero = laid.nonzero
        for name in ("starts", "rows", "weights", "groups"):
            self.register_buffer(name, torch.from_numpy(getattr(laid, name)))
        signed = laid.columns.view(np.int16 if laid.columns.dtype == np.uint16 else np.int32)
        self.register_buffer("columns", torch.from_numpy(signed))
        self.register_buffer("bias", torch.zeros(self.shape[0]) if bias is None else bias.detach().clone())
        self.train(training)
        self._call: Callable[..., None] | None = None

    def _column_numbers(self) -> NDArray[Any]:
        """Return the columns of the entries, as the unsigned numbers that they are."""
        columns: NDArray[Any] = self.columns.numpy()
        return columns.view(np.uint16 if columns.dtype == np.int16 else np.uint32)

    def _plans_for(self, columns: int, inputs: int) -> NDArray[np.int64]:
        """Return plans: of all rows, then of each group of them.

        Args:
            columns: address of the entries' columns, or of their places.
            inputs: columns of the weight.
        """
        self._spare = np.zeros(self.lanes, np.float32)
        parts = {name: getattr(self, name).data_ptr() for name in ("starts", "rows", "weights", "bias")}
        whole = np.array([[0, len(self.starts) - 1, 0, self.shape[0]]], np.int64)
        ranges = np.concatenate([whole, self.groups.numpy()])
        return plans({**parts, "columns": columns, "spare": self._spare.ctypes.data}, ranges, inputs)

    def _matrix(self) -> torch.Tensor:
        """Return the weight, (rows, columns), with its zeros."""
        dense = np.zeros((self.shape[0] + 1, self.shape[1]), np.float32)
        columns, weights = self._column_numbers(), self.weights.numpy()
        starts, rows = self.starts.numpy(), self.rows.numpy()
        for number, (begin, end) in enumerate(pairwise(starts)):
            at = np.tile(rows[number], (end - begin) // self.lanes)
            kept = weights[begin:end] != 0
            dense[at[kept], columns[begin:end][kept]] = weights[begin:end][kept]
        return torch.from_numpy(dense[:-1])

    def _share(self) -> float:
        return float(self.nonzero / max(1, self.shape[0] * self.shape[1]))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> SparseLayer:
        super()._apply(fn, recurse)
        self._forget()  # the buffers may have moved
        return self

    def _forget(self) -> None:
        """Drop what is made at the first call."""
        self._call = None

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_plans", "_spare", "_whole")
        } | {"_call": None}

    def plain(self) -> nn.Module:
        raise NotImplementedError
