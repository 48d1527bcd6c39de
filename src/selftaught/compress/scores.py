"""Scores of weights before any training: random, magnitude, SNIP, GraSP, SynFlow; and the masks they give."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import nn

from selftaught.compress.densities import check_density
from selftaught.compress.prunable_weights import NORMALISATIONS, prunable
from selftaught.compress.ranking import Ranking, masks_of
from selftaught.errors import DataError, InputError, require_one_of
from selftaught.examples import Examples, Task
from selftaught.seeds import seed_for
from selftaught.training.batches import Batch, InMemory, loader_batches
from selftaught.training.devices import model_device
from selftaught.training.evaluation import run_model
from selftaught.training.losses import Loss
from selftaught.training.models import Standardise
from selftaught.training.random_state import own_random_state

__all__ = [
    "Method", "grasp_scores", "magnitude_scores", "prune_weights", "random_scores", "snip_scores", "synflow_scores",
]  # fmt: skip

Method = Literal["random", "magnitude", "snip", "grasp", "synflow"]
Scores = dict[str, torch.Tensor]
Data = Examples | Task | Iterable[Any]

TEMPERATURE = 200.0
ROUNDS = 100


def prune_weights(
    model: nn.Module,
    density: float,
    *,
    method: Method = "magnitude",
    ranking: Ranking = "global",
    data: Data | None = None,
    inputs: torch.Tensor | None = None,
    examples: int = 512,
    rounds: int = ROUNDS,
    ignore: Iterable[str] = (),
    allow_collapse: bool = False,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Choose the weights to keep, of a trained model or before training; the model stays as it was.

    Give the masks to `Masks` in `fit`. "random" with ranking "erk" is the usual sparse start.

    Args:
        model: any module.
        density: share of the prunable weights to keep.
        method: "random", "magnitude", "snip" (arXiv 1810.02340), "grasp" (arXiv 2002.07376) or "synflow"
            (arXiv 2006.05467).
        ranking: "global" (one threshold over all layers), "per_layer" (the same density everywhere) or "erk".
        data: examples, a task (its training part) or a loader; SNIP and GraSP see one batch of it.
        inputs: (n, ...) example inputs, for SynFlow without data; only their shape is used.
        examples: of the batch, drawn at random from `data`.
        rounds: of SynFlow; density d^(k / rounds) after round k.
        ignore: names of parameters or modules to leave dense.
        allow_collapse: let a layer lose all its weights.
        seed: of what is drawn.

    Returns:
        Name -> mask (bool).

    Raises:
        InputError: an option is out of its range, the method needs data, scores say nothing, or a layer would collapse.

    >>> masks = prune_weights(nn.Linear(4, 5), 0.25, ranking="per_layer")
    >>> int(masks["weight"].sum())
    5
    """
    check_density(density)
    require_one_of("method", method, get_args(Method))
    weights = prunable(model, ignore=ignore)
    if method == "synflow":
        if inputs is None:
            inputs = _batch(_needed(data, method), model, 1, seed).inputs
        return _synflow_masks(model, inputs, density, rounds, ranking, list(weights), allow_collapse)
    if method == "random":
        scores = random_scores(weights, seed=seed)
    elif method == "magnitude":
        scores = magnitude_scores(weights)
    else:
        score = _WITH_A_BATCH[method]
        scores = score(model, _batch(_needed(data, method), model, examples, seed), list(weights))
    return masks_of(scores, density, ranking=ranking, allow_collapse=allow_collapse)


def random_scores(weights: Mapping[str, torch.Tensor], *, seed: int = 0) -> Scores:
    """Return uniform scores; each weight has a stream of its own.

    >>> random_scores({"a": torch.zeros(2)}, seed=1)["a"].shape
    torch.Size([2])
    """
    found = {}
    for name, one in weights.items():
        generator = torch.Generator().manual_seed(seed_for(seed, "random scores", name) % 2**63)
        found[name] = torch.rand(one.shape, generator=generator, dtype=torch.float64).to(one.device)
    return found


def magnitude_scores(weights: Mapping[str, torch.Tensor]) -> Scores:
    """Return |w|.

    >>> magnitude_scores({"a": torch.tensor([-2.0, 1.0])})["a"].tolist()
    [2.0, 1.0]
    """
    return {name: one.detach().abs() for name, one in weights.items()}


def snip_scores(model: nn.Module, batch: Batch, names: Iterable[str], *, loss: Loss | None = None) -> Scores:
    """Return |g w|, g the gradient of one batch's mean loss (SNIP, Lee et al., arXiv 1810.02340, equation 6).

    Args:
        model: in the mode in which it is meant to be scored; its buffers stay as they are.
        batch: what the loss is taken on.
        names: of parameters.
        loss: cross-entropy for classes and the squared difference for numbers by default.

    Raises:
        InputError: a gradient is not finite, all scores are equal, or those of a layer are all 0.
    """
    with _copied(model) as own:
        weights = _of(own, names)
        value = (loss or _usual(batch)).mean(run_model(own, batch.inputs), batch.targets)
        gradients = torch.autograd.grad(value, list(weights.values()), allow_unused=True, materialize_grads=True)
    found = {
        name: (slope * one.detach()).abs() for (name, one), slope in zip(weights.items(), gradients, strict=True)
    }
    return _reached(found, "SNIP")


def grasp_scores(model: nn.Module, batch: Batch, names: Iterable[str], *, loss: Loss | None = None) -> Scores:
    """Return (H g) w of one batch's mean loss; the largest are kept (GraSP, Wang et al., arXiv 2002.07376, equation 8).

    Logits are divided by 200. Removing a weight with a large (H g) w would lower the norm of the gradient most; public
    versions differ in the sign, and this is the one whose networks train.

    Args, Raises: as `snip_scores`.
    """
    with _copied(model) as own:
        weights = _of(own, names)
        held = list(weights.values())
        value = (loss or _usual(batch)).mean(run_model(own, batch.inputs) / TEMPERATURE, batch.targets)
        gradients = torch.autograd.grad(value, held, create_graph=True, allow_unused=True, materialize_grads=True)
        product = sum((slope * slope.detach()).sum() for slope in gradients)
        if not isinstance(product, torch.Tensor) or not product.requires_grad:
            raise InputError("GraSP scores are all equal: the gradient does not depend on the weights")
        curved = torch.autograd.grad(product, held, allow_unused=True, materialize_grads=True)
    found = {name: row * one.detach() for (name, one), row in zip(weights.items(), curved, strict=True)}
    return _reached(found, "GraSP")


def synflow_scores(
    model: nn.Module, inputs: torch.Tensor, names: Iterable[str], *, masks: Mapping[str, torch.Tensor] | None = None
) -> Scores:
    """Return |dR/dw w| where R sums the outputs for an input of ones (SynFlow, Tanaka et al., arXiv 2006.05467).

    All parameters are replaced by their absolute values, in float64, and normalisations do nothing. No data are used.
    Without biases, what flows in and out of a hidden unit is the same, and so is every layer's sum.

    Args:
        model: any module.
        inputs: (n, ...); the shape of one is used.
        names: of parameters.
        masks: what is left of them.

    Raises:
        InputError: the model does not run on ones, R is not finite, or all scores are equal.

    >>> found = synflow_scores(nn.Linear(2, 1, bias=False), torch.zeros(1, 2), ["weight"])
    >>> found["weight"].shape, found["weight"].dtype
    (torch.Size([1, 2]), torch.float64)
    """
    own = _without_normalisation(copy.deepcopy(model)).double().eval()
    held = dict(own.named_parameters())
    with torch.no_grad():
        for name, one in held.items():
            one.abs_()
            if masks is not None and name in masks:
                one.mul_(masks[name])
            one.requires_grad_(True)
    weights = {name: held[name] for name in names}
    ones = torch.ones_like(inputs[:1], dtype=torch.float64, device=model_device(model))
    with own_random_state(model_device(model)), torch.enable_grad():
        try:
            flow = run_model(own, ones).sum()
        except (RuntimeError, IndexError, TypeError) as error:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"SynFlow cannot run the model on ones in float64 ({told}); it takes networks of real numbers, and "
                "inputs of the model's shape"
            ) from None
        if not bool(flow.isfinite()):
            raise InputError("SynFlow's sum of outputs is not finite in float64; scale the weights down first")
        slopes = torch.autograd.grad(flow, list(weights.values()), allow_unused=True, materialize_grads=True)
    found = {
        name: (slope * one.detach()).abs() for (name, one), slope in zip(weights.items(), slopes, strict=True)
    }
    return _telling(found, "SynFlow")


def _synflow_masks(
    model: nn.Module,
    inputs: Any,
    density: float,
    rounds: int,
    ranking: Ranking,
    names: list[str],
    allow_collapse: bool,
) -> dict[str, torch.Tensor]:
    if rounds < 1:
        raise InputError(f"rounds must be at least 1, got {rounds}")
    if not isinstance(inputs, torch.Tensor):
        raise InputError("SynFlow needs inputs that are one tensor; give inputs=")
    masks: dict[str, torch.Tensor] | None = None
    for number in range(1, rounds + 1):
        scores = synflow_scores(model, inputs, names, masks=masks)
        if masks is not None:  # what is out stays out, also where weights that are left carry nothing
            scores = {name: one.masked_fill(~masks[name], -1.0) for name, one in scores.items()}
        masks = masks_of(scores, density ** (number / rounds), ranking=ranking, allow_collapse=allow_collapse)
    return masks or {}


def _without_normalisation(model: nn.Module) -> nn.Module:
    """Replace all normalisations by the identity, in place."""
    if isinstance(model, (*NORMALISATIONS, Standardise)):
        return nn.Identity()
    for name, part in model._modules.items():  # with second names of a part, which named_children leaves out
        if part is not None:
            model._modules[name] = _without_normalisation(part)
    return model


@contextmanager
def _copied(model: nn.Module) -> Iterator[nn.Module]:
    """Give a copy of a model whose weights all want gradients, with torch's random numbers put aside."""
    own = copy.deepcopy(model)
    for one in own.parameters():
        one.requires_grad_(True)
    with own_random_state(model_device(model), 0), torch.enable_grad():
        yield own


def _of(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Parameter]:
    held = dict(model.named_parameters())
    return {name: held[name] for name in names}


def _usual(batch: Batch) -> Loss:
    shares = batch.targets.ndim > 1 and batch.targets.shape[-1] > 1
    return Loss("cross_entropy" if shares or not batch.targets.is_floating_point() else "squared")


def _telling(scores: Scores, method: str) -> Scores:
    """Return scores that can be ranked.

    Raises:
        InputError: one is not finite, or all are equal.
    """
    for name, one in scores.items():
        if not bool(one.isfinite().all()):
            raise InputError(f"{method}: the scores of {name} are not all finite; check the weights and the data")
    lowest = min(float(one.min()) for one in scores.values())
    highest = max(float(one.max()) for one in scores.values())
    if lowest == highest and sum(one.numel() for one in scores.values()) > 1:
        raise InputError(
            f"{method}: all scores equal {lowest + 0.0:g}, so they rank nothing; check the weights and the data"
        )
    return scores


def _reached(scores: Scores, method: str) -> Scores:
    """Return scores of gradients that can be ranked in every layer.

    Raises:
        InputError: as `_telling`, or no gradient reaches a layer.
    """
    for name, one in _telling(scores, method).items():
        if one.numel() > 1 and not bool(one.any()):
            raise InputError(
                f"{method}: all scores of {name} are 0, as no gradient reaches it; ignore this layer, or start it anew"
            )
    return scores


def _needed(data: Data | None, method: str) -> Data:
    if data is None:
        raise InputError(f"method {method!r} needs data=" + (" or inputs=" if method == "synflow" else ""))
    return data


def _batch(data: Data, model: nn.Module, examples: int, seed: int) -> Batch:
    """Return one batch of examples drawn at random; a loader's first batch."""
    device = model_device(model)
    if isinstance(data, Task):
        data = data.train
    if isinstance(data, Examples):
        if examples < 1:
            raise InputError(f"examples must be at least 1, got {examples}")
        memory = InMemory(data, batch_size=examples, device=device)
        return memory.batch(next(memory.rows(seed, 0)))
    with own_random_state(device, seed):  # a loader that shuffles draws
        found = next(loader_batches(data, device), None)
    if found is None:
        raise DataError("the data loader gives no batch")
    return found


_WITH_A_BATCH: dict[str, Callable[[nn.Module, Batch, Iterable[str]], Scores]] = {
    "snip": snip_scores,
    "grasp": grasp_scores,
}
