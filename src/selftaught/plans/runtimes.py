"""What runs a smaller model: torch, or onnxruntime with the file that is left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from selftaught.compress import OnnxModel, Runnable, choose_layers, count_multiply_adds, export_onnx, quantise
from selftaught.compress.onnx_export import require_onnx
from selftaught.examples import Examples
from selftaught.plans.plan import LowBits, Onnx, Plan
from selftaught.plans.samples import sample_of
from selftaught.training import cost

__all__ = ["InRuntime", "in_onnxruntime", "require_runtime", "with_kernels"]


def require_runtime(plan: Plan) -> None:
    """Check, before the work, that what a plan leaves can be made here.

    Raises:
        MissingExtraError: a step needs onnx, onnxscript and onnxruntime, and one is not installed.
    """
    if any(isinstance(one, LowBits | Onnx) for one in plan.steps):
        require_onnx()


class InRuntime(nn.Module):
    """A model that something else than its own layers runs, called as a module is; it cannot be trained.

    Args:
        session: the model in onnxruntime, or with other layers in place.
        module: the float module that it was made of, whose layers are counted in its place.
        data: the file; empty where there is none.
        told: what is different from the module, as a line, or "".
    """

    def __init__(
        self, session: Callable[[torch.Tensor], torch.Tensor], module: nn.Module, data: bytes, told: str = ""
    ) -> None:
        super().__init__()
        object.__setattr__(self, "session", session)  # not a part of this one, nor is the module
        self.data = data
        self.told = told
        object.__setattr__(self, "module", module)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.__dict__["session"](inputs)
        return result

    def runnable(self, sample: torch.Tensor) -> Runnable:
        """Return it as `measure_gains` takes it; what is counted is counted of the float module.

        Args:
            sample: (n, ...) inputs.
        """
        module = self.float_module
        counted = cost(module, sample[:1], batches=())
        return Runnable(
            self.__dict__["session"], len(self.data) or counted.bytes, count_multiply_adds(module, sample[:1]),
            activation_bytes=counted.activation_bytes,
        )  # fmt: skip

    @property
    def float_module(self) -> nn.Module:
        """The module it was made of."""
        module: nn.Module = self.__dict__["module"]
        return module


def in_onnxruntime(
    model: nn.Module,
    examples: Examples,
    step: LowBits | Onnx,
    *,
    ignore: tuple[str, ...] = (),
    threads: int = 1,
    seed: int = 0,
) -> InRuntime:
    """Return a model as onnxruntime runs it, after the file gave what the module gives.

    Args:
        model: float; left as it was.
        examples: to calibrate and to compare on.
        step: how it is held: in few bits, or in float32.
        ignore: names of weights or modules that stay float; only those that the model has.
        threads: of onnxruntime.
        seed: of the examples that are drawn.

    Raises:
        InputError: the model cannot be exported.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    made, told = model, ""
    if isinstance(step, LowBits):
        how: Literal["static", "dynamic", "bf16"] = "static" if step.how == "qat" else step.how
        known = {name for name, _ in [*model.named_parameters(), *model.named_modules()]}
        left = tuple(name for name in ignore if name in known)
        found = quantise(model, examples, how=how, ignore=left, seed=seed)
        made = found.model
        told = str(found).splitlines()[0]
        if found.left_float:
            told += "; float: " + ", ".join(f"{name} ({why})" for name, why in found.left_float.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(made, sample_of(examples, 8), path, seed=seed)
        data = path.read_bytes()
    return InRuntime(OnnxModel(data, threads=threads), model, data, told)


def with_kernels(
    model: nn.Module, sample: torch.Tensor, *, batches: Sequence[int] = (1, 32), threads: int = 1
) -> InRuntime:
    """Return a model with the fastest form of each of its layers in place, as measured here.

    Args:
        model: on the CPU; left as it was.
        sample: (n, ...) inputs.
        batches: sizes that count.
        threads: of torch, while it measures.

    Raises:
        InputError: no layer has a choice.
    """
    found = choose_layers(model, sample, batch_sizes=batches, threads=threads)
    chosen = [f"{one.name} {one.chosen}" for one in found.layers if one.chosen != "dense"]
    told = ", ".join(chosen) if found.faster else "no choice of layers makes it faster here: all stay dense"
    return InRuntime(found.model, model, b"", f"fastest form of each layer, for this machine alone: {told}")
