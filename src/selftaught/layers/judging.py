"""Whether a layer is worth training, and how good it is in every anchor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import nn

from selftaught.errors import DivergedError, InputError, require_one_of
from selftaught.examples import Examples, Task
from selftaught.layers.anchors import ANCHORS, MakeLayer, layer_maker
from selftaught.layers.stability import gradient_ascent
from selftaught.seeds import seed_for
from selftaught.spaces import Candidate, depends_on_input, layer_fingerprint, layer_space
from selftaught.training import SGD, Masks, Standardise, TrainConfig, evaluate, fit
from selftaught.training.batches import as_inputs
from selftaught.training.devices import limited_threads

__all__ = ["Judge", "Judgement", "Judging", "MakeMasks", "Reason", "StoppedEarly"]

Reason = Literal["structure", "non-finite", "quality", "stability"]
#: (network, seed) -> name of a weight -> which of it there is, for networks that are sparse from the start
MakeMasks = Callable[[nn.Module, int], Mapping[str, torch.Tensor]]
#: asked now and then; True ends what is at work
Stop = Callable[[], bool]


class StoppedEarly(Exception):  # noqa: N818 - not an error
    """A judgement was told to stop; nothing came of it."""


@dataclass(frozen=True)
class Judging:
    """How layers are judged.

    Args:
        anchors: names of `ANCHORS`; a layer must do in all of them.
        width: channels of an anchor's first convolution, a multiple of 8.
        steps: of the training that a layer is scored by.
        check_steps: of the training that a layer must survive before.
        least: accuracy that it must have then in every anchor. None: as far above chance as 20 % is for ten classes.
        ascent_steps: of the gradient ascent.
        largest_norm: of the gradient that the ascent may reach.
        batch_size: examples a step.
        lr: the largest learning rate; a cosine leads down from it.
        seed: of initial weights and of the order of examples, the same for every layer.
        threads: of the processor; a network this small gains nothing from more.

    Raises:
        InputError: an anchor is unknown, or a number is out of its range.

    >>> import torch
    >>> Judging(steps=200).needs(10)
    0.2
    """

    anchors: tuple[str, ...] = ("preactivation", "inverted")
    width: int = 16
    steps: int = 300
    check_steps: int = 100
    least: float | None = None
    ascent_steps: int = 100
    largest_norm: float = 1e8
    batch_size: int = 64
    lr: float = 0.1
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchors", tuple(self.anchors))
        if not self.anchors or len(set(self.anchors)) < len(self.anchors):
            raise InputError(f"anchors must be one or more different names of {', '.join(ANCHORS)}")
        for name in self.anchors:
            require_one_of("anchor", name, ANCHORS)
        for name in ("steps", "check_steps", "batch_size", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.ascent_steps < 0:
            raise InputError(f"ascent_steps must be at least 0, got {self.ascent_steps}")
        if self.width < 8 or self.width % 8:
            raise InputError(f"width must be a multiple of 8, got {self.width}")

    def needs(self, classes: int) -> float:
        """Return the accuracy that a layer must have after the check: 20 % for ten classes."""
        return self.least if self.least is not None else 1 / classes + (1 - 1 / classes) / 9


@dataclass(frozen=True)
class Judgement:
    """What came of a layer.

    Args:
        accuracies: anchor -> accuracy on the validation examples, in evaluation mode; empty where it was rejected.
        steps: that were trained, those of the ascent included.
        reason: why it was rejected, or None.
        detail: the rest of the reason, with its figures.
    """

    accuracies: Mapping[str, float] = field(default_factory=dict)
    steps: int = 0
    reason: Reason | None = None
    detail: str = ""


class Judge:
    """Judges layers on one task: by their structure, a short training, a gradient ascent, and a training in full.

    Rejection follows "Evolving Normalization-Activation Layers" (arXiv 2004.02967, section 3.2). Scores are taken in
    evaluation mode on the validation examples; a layer that leaks the batch gains nothing by it.

    Args:
        task: of images; its test examples are not looked at.
        config: how.
        masks: what makes the anchors sparse from the start; called with a fresh network, and with a seed that is the
            same for every layer. None: they are dense.

    >>> import torch
    >>> from selftaught import load
    >>> from selftaught.layers.image_tasks import image_task
    >>> from selftaught.spaces import layer_space
    >>> judge = Judge(image_task(load("digits")), Judging())
    >>> judge(layer_space().candidate({"y": ("tanh", "v0")})).reason
    'structure'
    """

    def __init__(self, task: Task, config: Judging, *, masks: MakeMasks | None = None) -> None:
        self.task, self.config, self._make_masks = task, config, masks
        shape = task.train.inputs.shape
        self._channels = shape[3] if len(shape) == 4 else 1
        self._classes = task.train.num_classes

    def __call__(self, candidate: Candidate, *, stop: Stop | None = None) -> Judgement:
        """Judge a layer.

        Raises:
            StoppedEarly: `stop` said so.
        """
        nodes = sum(name.endswith(" op") for name in candidate)
        graph = layer_space(nodes).graph(candidate)
        if not depends_on_input(graph):
            return Judgement(reason="structure", detail="the output does not depend on x")
        if layer_fingerprint(graph) is None:
            return Judgement(reason="non-finite", detail="its output on random numbers is not finite")
        with limited_threads(self.config.threads):
            return self._trained(layer_maker(candidate), stop)

    def _trained(self, layers: MakeLayer, stop: Stop | None) -> Judgement:
        config, done = self.config, 0
        needed = config.needs(self._classes)
        found: dict[str, float] = {}
        for name in config.anchors:
            done += config.check_steps
            try:
                found[name] = self.accuracy(layers, name, config.check_steps, stop=stop)
            except DivergedError:
                return Judgement({}, done, "non-finite", f"training diverged in {name}")
            if found[name] < needed:
                said = f"{found[name]:.3f} in {name} after {config.check_steps} steps, {needed:.3f} wanted"
                return Judgement({}, done, "quality", said)
        for name in config.anchors:
            taken, refused = self._ascend(layers, name, stop)
            done += taken
            if refused is not None:
                return Judgement({}, done, "stability", refused)
        if config.steps != config.check_steps:
            for name in config.anchors:
                done += config.steps
                try:
                    found[name] = self.accuracy(layers, name, config.steps, stop=stop)
                except DivergedError:
                    return Judgement({}, done, "non-finite", f"training in full diverged in {name}")
        return Judgement(found, done)

    def accuracy(self, layers: MakeLayer, anchor: str, steps: int, *, seed: int = 0, stop: Stop | None = None) -> float:
        """Train a layer in an anchor; return the accuracy on the validation examples.

        Raises:
            DivergedError: the loss, or what the network gives afterwards, is not finite.
            StoppedEarly: `stop` said so.
        """
        return self.score(self.trained(layers, anchor, steps, seed=seed, stop=stop), self.task.valid)

    def trained(
        self, layers: MakeLayer, anchor: str, steps: int, *, seed: int = 0, stop: Stop | None = None
    ) -> nn.Module:
        """Train a layer in an anchor; return the network."""
        config = self.config
        model = self.network(layers, anchor, seed=seed)
        settings = TrainConfig(
            steps=steps, batch_size=config.batch_size, optimiser=SGD(lr=config.lr), channels_last=False,
            seed=seed_for(config.seed, "layers", "training", seed) % 2**63, device="cpu",
        )  # fmt: skip
        told = None if stop is None else (lambda _: "stop" if stop() else None)
        masks = self.masks(model, anchor, seed=seed)
        added = [Masks(masks)] if masks else []
        if not fit(model, self.task.train, settings, callbacks=added, on_progress=told).finished:
            raise StoppedEarly
        return model

    def masks(self, network: nn.Module, anchor: str, *, seed: int = 0) -> Mapping[str, torch.Tensor]:
        """Return the masks of a fresh network; none where anchors are dense."""
        if self._make_masks is None:
            return {}
        return self._make_masks(network, seed_for(self.config.seed, "layers", "masks", anchor, seed) % 2**63)

    @staticmethod
    def score(model: nn.Module, examples: Examples) -> float:
        """Return the accuracy of a network on examples, in evaluation mode."""
        found = evaluate(model, examples)
        if not np.isfinite(found.scores).all():
            raise DivergedError("the network's scores are not finite in evaluation mode")
        return found.score

    def network(self, layers: MakeLayer, anchor: str, *, seed: int = 0) -> nn.Module:
        """Return an anchor with fresh weights, which depend on the seeds alone; images are scaled on their way in."""
        inputs = as_inputs(torch.as_tensor(self.task.train.inputs))
        deviation, mean = torch.std_mean(inputs, dim=(0, 2, 3), correction=0, keepdim=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(self.config.seed, "layers", "weights", anchor, seed) % 2**63)
            network = ANCHORS[anchor](layers, self._channels, self._classes, self.config.width)
        return nn.Sequential(Standardise(mean[0], deviation[0]), network)

    def _ascend(self, layers: MakeLayer, anchor: str, stop: Stop | None) -> tuple[int, str | None]:
        """Return the steps of the ascent, and why the layer is refused, if it is."""
        config = self.config
        if not config.ascent_steps:
            return 0, None
        batch = self.task.train.take(np.arange(min(config.batch_size, len(self.task.train))))
        labels = torch.as_tensor(np.asarray(batch.labels, np.int64))
        network = self.network(layers, anchor)
        climbed = gradient_ascent(
            network, as_inputs(torch.as_tensor(batch.inputs)), labels, steps=config.ascent_steps,
            largest=config.largest_norm, masks=self.masks(network, anchor), stop=stop,
        )  # fmt: skip
        if climbed.stopped:
            raise StoppedEarly
        if climbed.norm <= config.largest_norm:
            return climbed.steps, None
        return climbed.steps, f"the gradient's norm reached {climbed.norm:.3g} in {anchor} after {climbed.steps} steps"
