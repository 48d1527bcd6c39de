"""The end of a search: the best layers trained again beside torch's own, chosen by validation, tested once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from selftaught.errors import DivergedError, InputError
from selftaught.layers.anchors import MakeLayer, batch_norm_relu, layer_maker
from selftaught.layers.judging import Judge
from selftaught.spaces import Candidate
from selftaught.training.devices import limited_threads

__all__ = ["CONTROL", "Confirmation", "confirm"]

CONTROL = "batch norm + relu"


@dataclass(frozen=True)
class Confirmation:
    """What came of training the best layers again.

    Args:
        chosen: the place of the layer with the best validation accuracy among those given, or None where all diverged.
        rows: a line each layer (its place, or the control's name), anchor and seed: validation accuracy, and for the
            chosen layer and the control test accuracy.
    """

    chosen: int | None
    rows: tuple[dict[str, Any], ...]

    def mean(self, arm: int | str | None, anchor: str, part: str = "test") -> float | None:
        """Return the mean accuracy over seeds of a layer, by its place, or of the control; None where there is none."""
        found = [row[part] for row in self.rows if row["arm"] == arm and row["anchor"] == anchor and part in row]
        return sum(found) / len(found) if found else None


def confirm(
    judge: Judge,
    candidates: Sequence[Candidate],
    *,
    seeds: int = 2,
    steps: int | None = None,
    stop: Callable[[], bool] | None = None,
) -> Confirmation:
    """Train layers again with other seeds than the search's, choose one by validation, and test it once.

    The control, torch's batch normalisation and ReLU, is trained alike and tested beside it.

    Args:
        judge: of the search; its task must have test examples.
        candidates: the best layers of the search.
        seeds: trainings of each in every anchor.
        steps: of a training; the search's where None.
        stop: asked often; True gives up.

    Raises:
        InputError: there are no candidates, no seeds, or no test examples.
        StoppedEarly: `stop` said so.
    """
    test = judge.task.test
    if not candidates or seeds < 1:
        raise InputError("a confirmation wants at least one candidate and one seed")
    if test is None:
        raise InputError("a confirmation wants a task with test examples")
    arms: list[tuple[int | str, MakeLayer]] = [(k, layer_maker(one)) for k, one in enumerate(candidates)]
    rows: list[dict[str, Any]] = []
    networks: list[nn.Module | None] = []
    with limited_threads(judge.config.threads):
        for arm, layers in [*arms, (CONTROL, batch_norm_relu)]:
            for anchor in judge.config.anchors:
                for seed in range(1, seeds + 1):
                    network: nn.Module | None = None
                    accuracy = 0.0
                    try:
                        network = judge.trained(layers, anchor, steps or judge.config.steps, seed=seed, stop=stop)
                        accuracy = judge.score(network, judge.task.valid)
                    except DivergedError:
                        network = None
                    rows.append({"arm": arm, "anchor": anchor, "seed": seed, "valid": accuracy})
                    networks.append(network)
        whole = [
            arm
            for arm, _ in arms
            if all(net is not None for row, net in zip(rows, networks, strict=True) if row["arm"] == arm)
        ]
        totals = {arm: sum(row["valid"] for row in rows if row["arm"] == arm) for arm in whole}
        chosen = max(whole, key=lambda arm: totals[arm]) if whole else None
        for row, network in zip(rows, networks, strict=True):
            if network is not None and row["arm"] in (chosen, CONTROL):
                row["test"] = judge.score(network, test)
    return Confirmation(chosen if isinstance(chosen, int) else None, tuple(rows))
