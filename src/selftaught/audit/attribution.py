"""What an explanation points at: gradients of the predicted class, by Captum, in standardised units."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from selftaught.audit.estimators import STEPS, Estimator, read_estimator
from selftaught.audit.pixel_masks import Per, pixels_of
from selftaught.errors import DataError, MissingExtraError
from selftaught.examples import Examples
from selftaught.seeds import seed_for
from selftaught.training.devices import model_device
from selftaught.training.losses import as_scores
from selftaught.training.random_state import own_random_state

__all__ = ["attributions", "require_captum", "require_differentiable"]

#: What Captum tells of each call, and nobody needs to know.
_TOLD = ("Setting backward hooks on ReLU activations", r"Input Tensor \d+ did not already require gradients")
_OTHER_ACTIVATIONS = (
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_sigmoid_forward", "mish",
    "rrelu_with_noise", "sigmoid", "silu", "softplus", "softshrink", "tanh", "_prelu_kernel", "threshold",
)  # fmt: skip


def require_captum() -> None:
    """Check that Captum is there, without importing it.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("captum") is None:
        raise MissingExtraError("captum", "audit", "explaining a model")


def attributions(
    model: nn.Module,
    examples: Examples,
    estimator: str,
    *,
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
    per: Per = "pixel",
    batch_size: int = 64,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Return how much an estimator says that each pixel moved the score of the class that the model predicts.

    Gradients (arXiv 1312.6034), integrated gradients from black (1703.01365) and guided backpropagation (1412.6806),
    each plain, or over noisy copies as SmoothGrad (1706.03825), the mean of squares or the variance (1810.03292).

    Args:
        model: gives class scores; it is not changed, and runs in evaluation mode.
        examples: images.
        estimator: a name of `ESTIMATORS`.
        mean, deviation: (channels,) of the data; noise is 0.3 of the deviation.
        per: "pixel": the sum of squares over channels; "channel": each square by itself.
        batch_size: images at a time.
        seed: of the noise.

    Returns:
        (n, height, width) or (n, height, width, channels).

    Raises:
        MissingExtraError: Captum is not installed.
        DataError: the model cannot be differentiated, or has other activations than ReLU under guided backpropagation.
    """
    require_captum()
    kind = read_estimator(estimator)
    device = model_device(model)
    pixels = torch.from_numpy(pixels_of(examples)).permute(0, 3, 1, 2)
    seen = _Standardised(copy.deepcopy(model).eval(), mean, deviation).to(device)
    for parameter in seen.parameters():
        parameter.requires_grad_(False)
    if kind.base == "guided-backprop":
        for module in seen.modules():  # an activation that overwrites its input takes no hook
            if isinstance(module, nn.ReLU):
                module.inplace = False
        _require_relu(seen, seen.into(pixels[:1].to(device)))
    explain = _explainer(seen, kind)
    found = []
    for place, rows in enumerate(pixels.split(batch_size)):
        standard = seen.into(rows.to(device)).contiguous()
        with torch.no_grad():
            predicted = seen(standard).argmax(dim=1)
        if place == 0:
            require_differentiable(seen, standard)
        noise = own_random_state(device, seed_for(seed, "audit", estimator, place))
        with noise, _quiet():
            given = explain(standard, predicted, seen.black(standard)).detach()
        squares = given.square()
        found.append((squares.sum(dim=1) if per == "pixel" else squares.permute(0, 2, 3, 1)).cpu().numpy())
    return np.concatenate(found).astype(np.float32)


def require_differentiable(model: nn.Module, inputs: torch.Tensor) -> None:
    """Check that a model's class scores depend on its inputs by gradients.

    Raises:
        DataError: they do not, as in a quantised model.
    """
    said = "this model cannot be explained by gradients ({}); explain the float model that it was made from"
    quantised = [one for one in model.modules() if ".quantized." in f"{type(one).__module__}."]
    if quantised:
        raise DataError(said.format(f"it holds {type(quantised[0]).__name__}, which is quantised"))
    with torch.enable_grad():
        seen = inputs.detach().clone().requires_grad_(True)
        try:
            scores = as_scores(model(seen))
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(said.format(str(error).splitlines()[0])) from None
        if not scores.requires_grad:
            raise DataError(said.format("its scores carry no gradient"))
        (gradient,) = torch.autograd.grad(scores.amax(dim=1).sum(), seen, allow_unused=True)
    if gradient is None or not bool(gradient.any()):
        raise DataError(said.format("the gradient is zero everywhere"))


class _Standardised(nn.Module):
    """A model that takes standardised inputs, so that noise of one size fits all channels."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, model: nn.Module, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32)[:, None, None])
        safe = np.where(deviation > 0, deviation, 1)
        self.register_buffer("deviation", torch.as_tensor(safe, dtype=torch.float32)[:, None, None])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return as_scores(self.model(inputs * self.deviation + self.mean))

    def into(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels in standardised units."""
        return (pixels - self.mean) / self.deviation

    def black(self, like: torch.Tensor) -> torch.Tensor:
        """Return black images in standardised units."""
        return self.into(torch.zeros_like(like))


def _explainer(
    model: nn.Module, estimator: Estimator
) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    from captum import attr as captum

    more: dict[str, Any] = {}
    if estimator.base == "gradient":
        method = captum.Saliency(model)
        more["abs"] = False
    elif estimator.base == "integrated-gradients":
        method = captum.IntegratedGradients(model)
        more["n_steps"] = STEPS
    else:
        method = captum.GuidedBackprop(model)

    def explain(inputs: torch.Tensor, target: torch.Tensor, black: torch.Tensor) -> torch.Tensor:
        told = dict(more)
        if estimator.base == "integrated-gradients":
            copies = 4 if estimator.smoothing is None else estimator.samples
            told.update(baselines=black, internal_batch_size=len(inputs) * copies)
        if estimator.smoothing is None:
            found: torch.Tensor = method.attribute(inputs, target=target, **told)
            return found
        kinds = {"smoothgrad": "smoothgrad", "smoothgrad-squared": "smoothgrad_sq", "vargrad": "vargrad"}
        smoothed: torch.Tensor = captum.NoiseTunnel(method).attribute(
            inputs, nt_type=kinds[estimator.smoothing], nt_samples=estimator.samples, stdevs=estimator.noise,
            target=target, **told,
        )  # fmt: skip
        return smoothed

    return explain


class _Activations(TorchDispatchMode):
    """Counts what a forward pass computes that is an activation, whether a module or a function asked for it."""

    def __init__(self) -> None:
        super().__init__()
        self.relus = 0
        self.others: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__.rstrip("_")
        self.relus += name == "relu"
        if name in _OTHER_ACTIVATIONS:
            self.others.append(name)
        return function(*args, **(kwargs or {}))


def _require_relu(model: nn.Module, inputs: torch.Tensor) -> None:
    """Check that every activation is a module `nn.ReLU`: guided backpropagation changes nothing else."""
    calls: list[nn.Module] = []
    hooks = [
        one.register_forward_hook(lambda module, given, found: calls.append(module))
        for one in model.modules() if isinstance(one, nn.ReLU)
    ]  # fmt: skip
    try:
        with torch.no_grad(), _Activations() as counted:
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    reason = ""
    if counted.others:
        reason = f"this model computes {counted.others[0]}"
    elif not counted.relus:
        reason = "this model has no ReLU"
    elif counted.relus > len(calls):
        reason = "this model computes a ReLU outside of nn.ReLU"
    if reason:
        raise DataError(f"guided backpropagation is defined for modules nn.ReLU, and {reason}; leave it out")


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Captum tells of every call, and nothing else."""
    with warnings.catch_warnings():
        for start in _TOLD:
            warnings.filterwarnings("ignore", start, UserWarning)
        yield
