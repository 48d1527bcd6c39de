"""A module as an ONNX file, compared with the module in onnxruntime before it is written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from selftaught.compress.onnx_runtime import OnnxModel, first_line, required
from selftaught.compress.tracing import as_arguments, check_finite, own_copy, quiet, traced_program, untraceable
from selftaught.errors import InputError
from selftaught.seeds import seed_for
from selftaught.writing import file_to_write, write_atomically

__all__ = ["OnnxExport", "export_onnx"]

#: onnxruntime reads it, and all operators that are used are in it.
OPSET = 18
#: Protobuf's own limit, less some room.
LARGEST = 2**31 - 2**16
SIZES = (1, 2, 5)


@dataclass(frozen=True)
class OnnxExport:
    """An ONNX file and how near it comes to the module.

    Args:
        path: the file.
        bytes: its size.
        opset: version of the operators.
        inputs, outputs: their names.
        operators: name of an operator -> how often it is used.
        fixed_batch: why the file takes batches of one size only, or "".
        batches: sizes of the batches on which file and module were compared.
        difference: the largest difference of an output to the module's.
        relative: the same over the largest output of its batch.
    """

    path: Path
    bytes: int
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: Mapping[str, int]
    fixed_batch: str
    batches: tuple[int, ...]
    difference: float
    relative: float

    def __str__(self) -> str:
        sizes = ", ".join(map(str, self.batches))
        text = f"{self.path}: {self.bytes:,} bytes; batches of {sizes} in onnxruntime differ by at most "
        text += f"{self.difference:.1e} ({self.relative:.1e} of the outputs)"
        return f"{text}; batches of one size only: {self.fixed_batch}" if self.fixed_batch else text


def require_onnx() -> Any:
    """Return the module `onnx`, after all that an export needs was imported.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    onnx, *_ = [required(name, "exporting to ONNX") for name in ("onnx", "onnxscript", "onnxruntime")]
    return onnx


def export_onnx(
    model: nn.Module,
    example_inputs: Any,
    path: str | os.PathLike[str],
    *,
    check_on: Iterable[Any] = (),
    tolerance: float = 1e-4,
    opset: int = OPSET,
    seed: int = 0,
) -> OnnxExport:
    """Write a module as an ONNX file, whole or not at all, after onnxruntime has given the same outputs.

    The module is traced by torch.export, in evaluation mode, with a first axis of any size where its code allows that.
    It is then run beside the file on the examples, on batches of 1, 2 and 5 examples made of them (values from the
    examples in new places, numbers with noise added), and on `check_on`. Modules that `quantise` made become integer
    operators.

    Args:
        model: any module that torch.export takes; left as it was.
        example_inputs: what it takes: a tensor (n, ...), or a tuple of tensors with the same n.
        path: the file to write.
        check_on: further inputs to compare on, such as a few real batches.
        tolerance: largest difference of an output that is allowed, over the largest output of its batch: float32
            sums taken in another order differ by about 1e-6.
        opset: version of ONNX's operators, 18 or newer.
        seed: of the made batches.

    Raises:
        InputError: torch.export or ONNX cannot take the model, a weight is not a number, the outputs differ, or the
            path cannot be written.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = export_onnx(nn.Linear(4, 2), torch.zeros(3, 4), f"{folder}/layer.onnx")
    >>> found.batches, found.relative < 1e-5, dict(found.operators)
    ((3, 1, 2, 5), True, {'Gemm': 1})
    """
    if not tolerance > 0:
        raise InputError(f"tolerance must be above 0, got {tolerance}")
    if opset < OPSET:
        raise InputError(f"opset must be at least {OPSET}, got {opset}")
    place = file_to_write(path)
    onnx = require_onnx()
    check_finite(model)
    arguments = as_arguments(example_inputs)
    own = own_copy(model)
    program, fixed = _program(own, arguments, opset)
    data = _bytes(program)
    session = OnnxModel(data, name="what was exported")
    batches = [arguments, *([] if fixed else _made(arguments, seed)), *(as_arguments(one) for one in check_on)]
    difference = relative = 0.0
    for batch in batches:
        apart, scale = _apart(own, session, batch)
        if not apart <= tolerance * scale:
            raise InputError(
                f"{place} was not written: on {len(batch[0])} examples onnxruntime's outputs differ by {apart:.1e} "
                f"from the module's, whose largest is {scale:.1e}; tolerance={tolerance:g} allows that share of it"
            )
        difference, relative = max(difference, apart), max(relative, apart / scale if scale else 0.0)
    try:
        write_atomically(place, data)
    except OSError as error:
        raise InputError(f"{place} cannot be written: {error.strerror}") from None
    proto = onnx.load_from_string(data)
    return OnnxExport(
        path=place, bytes=len(data), opset=max(one.version for one in proto.opset_import if not one.domain),
        inputs=session.inputs, outputs=session.outputs, fixed_batch=fixed,
        operators=dict(Counter(node.op_type for node in proto.graph.node)),
        batches=tuple(len(one[0]) for one in batches), difference=difference, relative=relative,
    )  # fmt: skip


def _program(model: nn.Module, arguments: tuple[torch.Tensor, ...], opset: int) -> tuple[Any, str]:
    """Return the ONNX program, and why its batches have one size, or ""."""
    try:
        traced, why = traced_program(model, arguments)
        with quiet(), torch.no_grad():
            # Folding constants would widen weights that are stored in 16 bits.
            narrow = any(one.dtype == torch.bfloat16 for one in model.buffers())
            return torch.onnx.export(traced, dynamo=True, opset_version=opset, verbose=False, optimize=not narrow), why
    except Exception as error:
        raise untraceable(error, takers="torch.export and ONNX") from None


def _bytes(program: Any) -> bytes:
    try:
        proto = program.model_proto
        for one in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
            one.ClearField("metadata_props")  # traces of the exporter's stack, larger than many a model
            one.ClearField("doc_string")
        data: bytes = proto.SerializeToString()
    except Exception as error:
        raise InputError(f"the model is too large for one ONNX file ({first_line(error)})") from None
    if len(data) > LARGEST:
        raise InputError(f"the model has {len(data):,} bytes; an ONNX file holds 2 GB")
    return data


def _made(arguments: Sequence[torch.Tensor], seed: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Make batches of several sizes whose values are the examples' own, elsewhere; numbers get noise."""
    generator = torch.Generator().manual_seed(seed_for(seed, "export", "batches"))
    for size in SIZES:
        batch = []
        for one in arguments:
            flat = one.reshape(-1)
            places = torch.randint(flat.numel(), (size, *one.shape[1:]), generator=generator)
            values = flat[places]
            if one.is_floating_point():
                spread = float(one.double().std()) if flat.numel() > 1 else 0.0
                noise = torch.randn(values.shape, generator=generator, dtype=torch.float32).to(one.dtype)
                values = values + noise * (spread / 4 if spread > 0 else 1.0)
            batch.append(values)
        yield tuple(batch)


def _apart(model: nn.Module, session: OnnxModel, arguments: tuple[torch.Tensor, ...]) -> tuple[float, float]:
    """Return the largest difference of an output, and the largest output."""
    from torch.utils._pytree import tree_leaves

    with torch.no_grad():
        wanted = [one for one in tree_leaves(model(*arguments)) if isinstance(one, torch.Tensor)]
    found = tree_leaves(session(*arguments))
    if [tuple(one.shape) for one in wanted] != [tuple(one.shape) for one in found]:
        shapes = f"{[tuple(one.shape) for one in wanted]} became {[tuple(one.shape) for one in found]}"
        raise InputError(f"the exported model's outputs have other shapes: {shapes}")
    apart = scale = 0.0
    for one, other in zip(wanted, found, strict=True):
        if one.numel():
            one, other = one.double(), other.double()
            apart = max(apart, float(torch.nan_to_num((one - other).abs(), nan=float("inf")).max()))
            scale = max(scale, float(one.abs().max()))
    return apart, scale
