"""What torch itself offers in the place of a linear layer: sparse rows, sparse blocks, fewer rows, 8-bit integers."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from selftaught.compress.replaced_layers import ReplacedLayer
from selftaught.errors import InputError

__all__ = ["BlockLinear", "CsrLinear", "Int8Linear", "RowsLinear"]


class _Alternative(ReplacedLayer):
    """A linear layer in another form; what torch needs for it is made at the first call and not stored."""

    bias: torch.Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())
        self._held: Any = None
        self.train(layer.training)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return inputs @ weight.T + bias, for (..., in_features) float32."""
        x = self._checked(inputs)
        if self._held is None:
            self._held = self._made()
        if x.dim() == 2:
            return self._product(x)
        return self._product(x.reshape(-1, self.in_features)).reshape(*x.shape[:-1], self.out_features)

    def _made(self) -> Any:
        """Return what the product needs."""
        return True

    @abstractmethod
    def _product(self, x: torch.Tensor) -> torch.Tensor:
        """Return x @ weight.T + bias, for (n, in_features)."""

    @abstractmethod
    def _weight(self) -> torch.Tensor:
        """Return the weights of the plain layer."""

    @torch.no_grad()
    def plain(self) -> nn.Linear:
        """Return the plain layer."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer = layer.to_empty(device="cpu")
        layer.weight.copy_(self._weight())
        if self.bias is not None:
            layer.bias.copy_(self.bias)
        return layer

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> _Alternative:
        super()._apply(fn, recurse)
        self._held = None
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}


class CsrLinear(_Alternative):
    """A linear layer with torch's compressed sparse rows.

    Args:
        layer: what it is made from.
    """

    kind = "csr"
    starts: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            held = layer.weight.detach().to_sparse_csr()
        self.register_buffer("starts", held.crow_indices().to(torch.int32))
        self.register_buffer("columns", held.col_indices().to(torch.int32))
        self.register_buffer("values", held.values().clone())

    def _made(self) -> torch.Tensor:
        size = (self.out_features, self.in_features)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(self.starts, self.columns, self.values, size, check_invariants=True)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        # One vector: about twice as fast as a product with a matrix of one column.
        out = torch.mv(self._held, x[0])[None] if len(x) == 1 else (self._held @ x.T).T
        return out if self.bias is None else out + self.bias

    def _weight(self) -> torch.Tensor:
        return self._made().to_dense()


class BlockLinear(_Alternative):
    """A linear layer with torch's sparse rows of blocks.

    Args:
        layer: what it is made from.
        size: of a block; it must divide both of the weight's sizes.

    Raises:
        InputError: it does not.
    """

    kind = "bsr"
    starts: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor

    def __init__(self, layer: nn.Linear, size: int = 16) -> None:
        super().__init__(layer)
        if layer.in_features % size or layer.out_features % size:
            raise InputError(f"blocks of {size} do not divide a weight of {layer.out_features} x {layer.in_features}")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse .* tensor support is in beta")
            held = layer.weight.detach().to_sparse_bsr((size, size))
        self.size = size
        self.register_buffer("starts", held.crow_indices().to(torch.int32))
        self.register_buffer("columns", held.col_indices().to(torch.int32))
        self.register_buffer("values", held.values().clone())

    def _made(self) -> torch.Tensor:
        size = (self.out_features, self.in_features)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse .* tensor support is in beta")
            return torch.sparse_bsr_tensor(self.starts, self.columns, self.values, size, check_invariants=True)

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        out = (self._held @ x.T).T
        return out if self.bias is None else out + self.bias

    def _weight(self) -> torch.Tensor:
        return self._made().to_dense()


class RowsLinear(_Alternative):
    """A linear layer without the rows and columns that are all zero; such outputs are the bias.

    Args:
        layer: what it is made from.
    """

    kind = "rows"
    weight: torch.Tensor
    kept_rows: torch.Tensor
    kept_columns: torch.Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        weight = layer.weight.detach()
        self.register_buffer("kept_rows", torch.nonzero(weight.any(dim=1)).flatten())
        self.register_buffer("kept_columns", torch.nonzero(weight.any(dim=0)).flatten())
        self.register_buffer("weight", weight[self.kept_rows][:, self.kept_columns].contiguous())

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        if len(self.kept_columns) < self.in_features:
            x = x.index_select(1, self.kept_columns)
        if len(self.kept_rows) == self.out_features:
            return nn.functional.linear(x, self.weight, self.bias)
        out = x.new_zeros(len(x), self.out_features) if self.bias is None else self.bias.expand(len(x), -1).clone()
        bias = None if self.bias is None else self.bias[self.kept_rows]
        return out.index_copy_(1, self.kept_rows, nn.functional.linear(x, self.weight, bias))

    def _weight(self) -> torch.Tensor:
        dense = torch.zeros(self.out_features, self.in_features)
        dense[self.kept_rows[:, None], self.kept_columns] = self.weight
        return dense


class Int8Linear(_Alternative):
    """A linear layer in 8-bit integers by torch's own kernel: weights with a scale a row, activations with one a call.

    Outputs differ from those of the plain layer, also between batches: the scale of activations is taken from all of
    a batch.

    Args:
        layer: what it is made from.

    Raises:
        InputError: this version of torch has no such kernel.
    """

    kind = "int8"
    weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        weight = layer.weight.detach()
        scales = (weight.abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny * 128)
        self.register_buffer("scales", scales)
        self.register_buffer("weight", torch.round(weight / scales[:, None]).clamp(-127, 127).to(torch.int8))
        self._held = self._made()

    def _made(self) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch announces that these tensors will go
                zeros = torch.zeros(self.out_features, dtype=torch.int64)
                held = torch._make_per_channel_quantized_tensor(self.weight, self.scales.double(), zeros, 0)
                return torch.ops.quantized.linear_prepack(held, self.bias)
        except (AttributeError, RuntimeError, NotImplementedError) as error:
            raise InputError(f"torch {torch.__version__} has no 8-bit linear layer here ({error})") from None

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        # One bit of activations is given up: sums of two products saturate at 16 bits on processors without VNNI.
        out: torch.Tensor = torch.ops.quantized.linear_dynamic(x, self._held, True)
        return out

    def _weight(self) -> torch.Tensor:
        return self.weight.float() * self.scales[:, None]
