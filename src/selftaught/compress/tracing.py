"""A module's graph by torch.export, for batches of any size where its code allows that."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from selftaught.compress.onnx_runtime import first_line
from selftaught.errors import InputError

__all__ = ["as_arguments", "check_finite", "first_cause", "own_copy", "quiet", "traced_program", "untraceable"]


def as_arguments(inputs: Any) -> tuple[torch.Tensor, ...]:
    """Return a module's arguments, on the CPU.

    Raises:
        InputError: there is none, one is no tensor, or one has no rows.
    """
    given = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    if not given or not all(isinstance(one, torch.Tensor) for one in given):
        raise InputError("example inputs must be a tensor or a tuple of tensors, as the model takes them")
    if any(one.ndim == 0 or len(one) == 0 for one in given):
        raise InputError("example inputs need at least one example along their first axis")
    return tuple(one.detach().cpu() for one in given)


def check_finite(model: nn.Module) -> None:
    """Check that a module's numbers are numbers.

    Raises:
        InputError: one is not; with the tensor's name.
    """
    for name, one in [*model.named_parameters(), *model.named_buffers()]:
        if one.is_floating_point() and not bool(torch.isfinite(one).all()):
            bad = int((~torch.isfinite(one)).sum())
            raise InputError(f"{name} holds {bad} values that are NaN or infinite; train the model again, or mend them")


def own_copy(model: nn.Module) -> nn.Module:
    """Return a copy on the CPU, in evaluation mode, without gradients."""
    try:
        with quiet():
            return copy.deepcopy(model).cpu().eval().requires_grad_(False)
    except Exception as error:
        raise InputError(f"the model cannot be copied ({first_line(error)})") from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what torch's exporters tell of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def traced_program(model: nn.Module, arguments: Sequence[torch.Tensor]) -> tuple[Any, str]:
    """Return the exported program, and why it takes batches of one size only, or "".

    Raises:
        Exception: torch.export cannot take the model; of whatever kind torch raises.
    """
    rows = _example_rows(arguments)
    why = "the inputs' first axes differ"
    if rows is not None:
        dynamic = tuple({0: torch.export.Dim.DYNAMIC} for _ in rows)
        try:
            with quiet(), torch.no_grad():
                return torch.export.export(model, rows, dynamic_shapes=dynamic), ""
        except Exception as error:
            why = first_cause(error)
    with quiet(), torch.no_grad():
        return torch.export.export(model, tuple(one.clone() for one in arguments)), why


def first_cause(error: BaseException) -> str:
    """Return the first line of the error at the bottom; the exporters wrap it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


def untraceable(error: BaseException, *, takers: str = "torch.export", instead: str = "") -> InputError:
    """Return the error to raise for a model that cannot be traced: why, and what to do.

    Args:
        error: what torch raised.
        takers: what cannot take it.
        instead: what can be done with the model as it is; empty for nothing.
    """
    remedy = "write its forward in torch's own operations, without branches on values"
    return InputError(
        f"{takers} cannot take the model: {first_cause(error).rstrip('.')}; {instead}{', or ' * bool(instead)}{remedy}"
    )


def _example_rows(arguments: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...] | None:
    """Return arguments of at least two rows, since 0 and 1 are taken for constants; None where first axes differ."""
    if len({len(one) for one in arguments}) > 1:
        return None
    return tuple(one.clone() if len(one) > 1 else one.repeat(2, *[1] * (one.ndim - 1)) for one in arguments)
