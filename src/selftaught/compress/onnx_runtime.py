"""ONNX models run by onnxruntime on tensors, and the check that the packages for it are there."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from selftaught.errors import DataError, InputError, MissingExtraError

__all__ = ["OnnxModel", "load_onnx", "required"]


def required(package: str, purpose: str) -> Any:
    """Import an optional package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise MissingExtraError(package, "networks", purpose) from None


class OnnxModel:
    """An ONNX model in onnxruntime, on the CPU; called with tensors as the module was.

    Attributes:
        bytes: of the file, which holds graph and weights.
        inputs: names, in the order of the arguments.
        outputs: names.
        threads: of one operation.
    """

    def __init__(self, data: bytes, *, threads: int = 1, name: str = "the model") -> None:
        if threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        runtime = required("onnxruntime", "running an ONNX model")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no other root
            raise DataError(f"onnxruntime cannot run {name}: {first_line(error)}") from None
        self.bytes = len(data)
        self.threads = threads
        self.inputs = tuple(one.name for one in self._session.get_inputs())
        self.outputs = tuple(one.name for one in self._session.get_outputs())

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Return the output, or a tuple of them; tensors on the CPU.

        Raises:
            InputError: the inputs do not fit.
        """
        if len(inputs) != len(self.inputs):
            raise InputError(f"the model takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), got {len(inputs)}")
        given = {name: one.detach().cpu().numpy() for name, one in zip(self.inputs, inputs, strict=True)}
        try:
            found = [torch.from_numpy(one) for one in self._session.run(None, given)]
        except Exception as error:
            raise InputError(f"onnxruntime cannot take these inputs: {first_line(error)}") from None
        return found[0] if len(found) == 1 else tuple(found)


def load_onnx(path: str | Path, *, threads: int = 1) -> OnnxModel:
    """Open an ONNX file with onnxruntime.

    Args:
        path: of the file.
        threads: of one operation.

    Raises:
        DataError: there is no such file, or it cannot be run.
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return OnnxModel(data, threads=threads, name=str(path))


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or its name."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
