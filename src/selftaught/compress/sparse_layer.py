"""What sparse layers share: their sliced weights as buffers, where these are, and the way back to a dense matrix."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from selftaught.compress.replaced_layers import ReplacedLayer
from selftaught.compress.sparse_kernel import native_lanes, plans
from selftaught.compress.sparse_weights import slice_weights
from selftaught.errors import InputError

__all__ = ["WORTH_A_THREAD", "Plans", "SparseLayer"]

#: Multiply-adds below which a second thread costs more than it gives.
WORTH_A_THREAD = 2_000_000


class Plans(NamedTuple):
    """Where the parts of a layer are; threads that use one hold it, whatever becomes of the layer.

    Args:
        call: the kernel.
        table: (1 + groups, len(PLAN)): a plan of all rows, then of each group of them.
        spare: what the kernel writes that nobody reads.
        first: address of the first plan.
    """

    call: Callable[..., None]
    table: NDArray[np.int64]
    spare: NDArray[np.float32]
    first: int

    def at(self, number: int) -> int:
        """Return the address of a plan."""
        return self.first + number * self.table.strides[0]


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
        self._ready: Any = None

    def _column_numbers(self) -> NDArray[Any]:
        """Return the columns of the entries, as the unsigned numbers that they are."""
        columns: NDArray[Any] = self.columns.numpy()
        return columns.view(np.uint16 if columns.dtype == np.int16 else np.uint32)

    def _plans_for(self, columns: int, call: Callable[..., None]) -> Plans:
        """Note where the buffers are now.

        Args:
            columns: address of the entries' columns, or of their places.
            call: the kernel.
        """
        spare = np.zeros(self.lanes, np.float32)
        parts = {name: getattr(self, name).data_ptr() for name in ("starts", "rows", "weights", "bias")}
        whole = np.array([[0, len(self.starts) - 1, 0, self.shape[0]]], np.int64)
        ranges = np.concatenate([whole, self.groups.numpy()])
        table = plans({**parts, "columns": columns, "spare": spare.ctypes.data}, ranges, self.shape[1])
        return Plans(call, table, spare, int(table.ctypes.data))

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
        self._ready = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}
