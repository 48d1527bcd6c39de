"""GraNd: how large an example's own gradient is, over all parameters at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from selftaught.errors import DataError, InputError
from selftaught.examples import Examples
from selftaught.training import InMemory
from selftaught.training.devices import in_evaluation, model_device
from selftaught.training.losses import as_scores

__all__ = ["grand"]


def grand(models: Sequence[nn.Module], examples: Examples, *, batch_size: int = 64) -> NDArray[np.float64]:
    """Return the norm of each example's loss gradient over all trained parameters, the mean over models, (n,).

    "Deep Learning on a Data Diet" (arXiv 2107.07075), beside EL2N. Take models of several seeds after some epochs: at
    initialisation the score is no better than chance and follows the norm of the input (arXiv 2303.14753, which could
    not reproduce the paper's figures there; EL2N it could). It sees the label, so it is no independent discovery.

    Args:
        models: of one seed each, the same number of epochs trained; they are not changed, and run in evaluation mode,
            where an example's gradient depends on no other example.
        examples: inputs and classes.
        batch_size: examples whose gradients are held at once; each takes as much memory as the parameters.

    Raises:
        InputError: there is no model, or one has nothing to train.
        DataError: the examples have no classes.
    """
    if not models:
        raise InputError("GraNd needs at least one model, got none; the mean over several seeds is better")
    if examples.labels is None or not examples.num_classes:
        raise DataError(f"{examples.name!r} has no classes; GraNd is the gradient of the loss on them")
    return np.asarray(np.mean([_norms(model, examples, batch_size) for model in models], axis=0))


def _norms(model: nn.Module, examples: Examples, batch_size: int) -> NDArray[np.float64]:
    device = model_device(model)
    parameters = {name: one.detach() for name, one in model.named_parameters() if one.requires_grad}
    if not parameters:
        raise InputError("a model has no parameter with requires_grad=True, so its loss has no gradient")
    others = {name: one.detach() for name, one in model.named_parameters() if not one.requires_grad}
    others |= {name: one.detach() for name, one in model.named_buffers()}

    def loss(own: dict[str, torch.Tensor], one: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        scores = as_scores(torch.func.functional_call(model, {**own, **others}, (one[None],)))
        return functional.cross_entropy(scores, label[None])

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    found = []
    with in_evaluation(model):
        for batch in InMemory(examples, batch_size=batch_size, device=device).in_order(batch_size):
            gradients = each(parameters, batch.inputs, batch.targets)
            squares = torch.stack([one.detach().double().flatten(1).square().sum(1) for one in gradients.values()])
            found.append(squares.sum(dim=0).sqrt().cpu().numpy())
    return np.concatenate(found)
