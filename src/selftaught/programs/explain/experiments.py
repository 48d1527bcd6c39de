"""What a trained memory shows: how the prediction depends on the features, and how errors change the memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selftaught.programs.explain.dataflow import Flow, Slot
from selftaught.programs.explain.trained import Array, Probes, Trained, lanes_of, with_slot
from selftaught.programs.reference import LaneMemory
from selftaught.seeds import rng_for

__all__ = ["Experiments", "Response", "Shape"]

COORDINATES = 16  # elements of a slot that a gradient is taken of
SMALL = 1e-3  # of the spread: what counts as no difference


@dataclass(frozen=True, eq=False)
class Shape:
    """How the prediction depends on the features at the last memory.

    Args:
        spread: the deviation of the score over the probes.
        additive: f(x + z) - f(x) - f(z) + f(0) is 0.
        second: second differences along lines are not 0.
        third: third differences along lines are not 0.
        offset_moves: f(0) is not 0 and not what it was before training.
        slope_moves: f(x) - f(0) is not what it was before training.
    """

    spread: float
    additive: bool
    second: bool
    third: bool
    offset_moves: bool
    slope_moves: bool


@dataclass(frozen=True, eq=False)
class Response:
    """How one slot answers to an error.

    Args:
        size: mean length of the change that an ordinary error makes.
        aligned: share of the probes in which the change points along the negative gradient of the squared error
            (cosine at least 0.99).
        aligned_across: the same with the parts along the slot itself left out, for weights of a fixed length.
        rates: (probes,) change over (error times gradient), along the gradient.
        elasticity: log2 of the change's growth when the error doubles: 1 is proportional, 0 does not grow.
        growth: slope of log change on log gradient over probes of equal error.
        neutral: without an error the slot changes in the same way whatever the example is.
        late: whether the change arrives one step late.
    """

    size: float
    aligned: float
    aligned_across: float
    rates: Array
    elasticity: float
    growth: float
    neutral: bool
    late: bool

    @property
    def follows_gradient(self) -> bool:
        """Whether the slot goes down the gradient, whatever the length of its step."""
        return self.size > 0 and self.aligned >= 0.9 and self.neutral

    @property
    def follows_across(self) -> bool:
        """Whether it does so but for its length."""
        return self.size > 0 and self.aligned_across >= 0.9 and self.neutral

    @property
    def rate(self) -> float:
        """The median rate."""
        return float(np.median(self.rates)) if len(self.rates) else 0.0


class Experiments:
    """Lazily made experiments on a trained program.

    Args:
        trained: the program's memories.
        flow: its graph.
    """

    def __init__(self, trained: Trained, flow: Flow) -> None:
        self.trained, self.flow = trained, flow
        self._probes = trained.probes()
        self._responses: dict[tuple[Slot, int], Response | None] = {}
        self._rng = rng_for(0, "explain", "experiments")

    # ---- the prediction

    @cached_property
    def shape(self) -> Shape:
        """How the score depends on the features."""
        trained, probes = self.trained, self._probes
        with np.errstate(all="ignore"):
            x = probes.x
            z = self._rng.standard_normal(x.shape) * x.std()
            zero = np.zeros_like(x)
            f, fz, fsum, f0 = (trained.score(probes, at) for at in (x, z, x + z, zero))
            spread = float(np.std(f - f0))
            if not np.isfinite(spread) or spread == 0:  # some programs divide by a feature, which is 0 in f(0)
                spread = float(np.std(f[np.isfinite(f)])) if np.isfinite(f).any() else 0.0
            ends = np.linspace(-1.5, 1.5, 9)
            line = np.stack([trained.score(probes, x + t * z) for t in ends])
            second, third = np.diff(line, 2, axis=0), np.diff(line, 3, axis=0)
            before = trained.probes(0)
            b, b0 = trained.score(before, x), trained.score(before, zero)

            def matters(difference: Array) -> bool:
                """Whether a difference is above the threshold somewhere (and a number)."""
                scale = SMALL * (spread or 1.0)
                return bool(np.isfinite(difference).all() and (np.abs(difference) > scale).any())

            varies = np.isfinite(spread) and spread > 1e-9
            return Shape(
                spread if np.isfinite(spread) else 0.0,
                bool(varies and np.isfinite(fsum).all() and not matters(fsum - f - fz + f0)),
                bool(not np.isfinite(second).all() or matters(second)),
                bool(not np.isfinite(third).all() or matters(third)),
                matters(f0) and matters(f0 - b0),
                matters((f - f0) - (b - b0)),
            )  # fmt: skip

    @cached_property
    def operands(self) -> dict[tuple[str, int], tuple[Array, ...]]:
        """Place -> what each instruction reads over real examples and labels, early and late in training, flattened."""
        trained = self.trained
        gathered: dict[tuple[str, int], list[tuple[Array, ...]]] = {}
        for step in trained.memories:
            probes = trained.probes(step, count=trained.examples.shape[1])
            for place, values in trained.operands(probes, trained.labels.ravel()).items():
                gathered.setdefault(place, []).append(np.broadcast_arrays(*values) if len(values) == 2 else values)
        return {
            place: tuple(np.concatenate([values[i].ravel() for values in runs]) for i in range(len(runs[0])))
            for place, runs in gathered.items()
        }

    def is_noisy(self) -> bool:
        """Whether other random streams change the score or what is learned, at one and the same memory."""
        trained, probes = self.trained, self._probes
        runs = [(trained.score(probes, seed=seed), trained.step(probes, trained.error, seed=seed)) for seed in (1, 2)]
        with np.errstate(all="ignore"):
            if np.nanmax(np.abs(runs[0][0] - runs[1][0]), initial=0.0) > 1e-4 * max(self.shape.spread, 1e-9):
                return True
            _, reached = self.flow.ever(self.flow.score)
            return any(
                _far(runs[0][1].slot(*slot), runs[1][1].slot(*slot), probes.memory.slot(*slot)) for slot in reached
            )

    def change_of_score(self, slot: Slot, factor: float) -> float:
        """Return the largest change of the score, in spreads, when a slot is multiplied by a factor."""
        probes = self._probes
        memory = with_slot(probes.memory, slot, probes.memory.slot(*slot) * factor)
        with np.errstate(all="ignore"):
            change = np.abs(self.trained.score(probes, memory=memory) - self.trained.score(probes))
        return float(np.nanmax(change, initial=0.0) / (self.shape.spread or 1.0))

    def slope_depends_on(self, slot: Slot) -> bool:
        """Whether f(x) - f(0) changes when something is added to a slot."""
        trained, probes = self.trained, self._probes
        held = probes.memory.slot(*slot)
        memory = with_slot(probes.memory, slot, held + 0.5 * (1.0 + float(np.abs(held).mean())))
        zero = np.zeros_like(probes.x)
        with np.errstate(all="ignore"):
            now = trained.score(probes) - trained.score(probes, zero)
            then = trained.score(probes, memory=memory) - trained.score(probes, zero, memory=memory)
            return bool(np.nanmax(np.abs(now - then), initial=0.0) > SMALL * (self.shape.spread or 1.0))

    # ---- learning

    def response(self, slot: Slot, step: int | None = None) -> Response | None:
        """Return how a learned slot answers to errors after a step, or None where it does not."""
        key = (slot, self.trained.last if step is None else step)
        if key not in self._responses:
            found = self._measure(slot, key[1], late=False)
            if found is None or not found.follows_gradient:
                found = self._measure(slot, key[1], late=True) or found
            self._responses[key] = found
        return self._responses[key]

    def _measure(self, slot: Slot, step: int, *, late: bool) -> Response | None:
        trained = self.trained
        probes = trained.probes(step)
        e = trained.error
        with np.errstate(all="ignore"):
            up, down, more, less = (
                _flat(trained.step(probes, error, late=late), slot) for error in (e, -e, e / 2, -e / 2)
            )
            change, half = (up - down) / 2, (more - less) / 2
            offset = (up + down) / 2 - _flat(probes.memory, slot)
            chosen, gradient = self._gradient(slot, step)
            length, short = np.linalg.norm(change, axis=0), np.linalg.norm(half, axis=0)
            size = float(np.mean(length))
            scale = float(np.abs(_flat(probes.memory, slot)).max())
            if not np.isfinite(size) or size <= 1e-9 * max(scale, 1e-6):
                return None
            part = change[chosen]
            inner = (part * gradient).sum(axis=0)
            steep = np.linalg.norm(gradient, axis=0)
            moving = np.linalg.norm(part, axis=0)
            still = (steep < 1e-9) & (moving < 1e-9 * max(size, 1e-9))
            cosine = np.where(still, 1.0, inner / np.maximum(steep * moving, 1e-300))
            along = _cosine(_across(part, probes, slot, chosen), _across(gradient, probes, slot, chosen))
            used = steep > 1e-6 * max(float(steep.max(initial=0.0)), 1e-9)
            rates = inner[used] / (e * steep[used] ** 2)
            grows = used & (moving > 0)
            per_task = [offset[:, probes.task == t] for t in range(trained.tasks)]
            wander = np.mean([np.linalg.norm(o - o.mean(axis=1, keepdims=True), axis=0).mean() for o in per_task])
            return Response(
                size=size,
                aligned=float(np.mean(cosine[~still] >= 0.99)) if (~still).any() else 0.0,
                aligned_across=float(np.mean(along >= 0.99)),
                rates=rates,
                elasticity=float(np.median(np.log2(np.maximum(length, 1e-300) / np.maximum(short, 1e-300)))),
                growth=_slope(np.log(steep[grows]), np.log(moving[grows])),
                neutral=bool(wander < 0.3 * size),
                late=late,
            )

    def _gradient(self, slot: Slot, step: int) -> tuple[NDArray[np.intp], Array]:
        """Return chosen elements of a slot and the gradient (elements, probes) of the score by central differences."""
        trained = self.trained
        probes = trained.probes(step)
        whole = _flat(probes.memory, slot)
        count, lanes = whole.shape
        chosen: NDArray[np.intp] = np.arange(count)
        if count > COORDINATES:
            chosen = np.sort(rng_for(1, "explain", "elements", count).choice(count, COORDINATES, replace=False))
        h = 1e-5 * (1.0 + float(np.abs(whole).mean()))
        repeated = np.tile(np.arange(lanes), 2 * len(chosen))
        memory = lanes_of(probes.memory, repeated)
        target = memory.slot(*slot).reshape(count, -1)
        for i, element in enumerate(chosen):
            target[element, 2 * i * lanes : (2 * i + 1) * lanes] += h
            target[element, (2 * i + 1) * lanes : (2 * i + 2) * lanes] -= h
        score = trained.score(probes, probes.x[repeated], memory=memory).reshape(len(chosen), 2, lanes)
        gradient: Array = (score[:, 0] - score[:, 1]) / (2 * h)
        return chosen, gradient

    def carried(self, source: Slot, target: Slot) -> float:
        """Return how much of a small change of one slot is found in another after a step without error.

        1 from a slot to itself is a slot that adds up; below 1 it forgets. The features are almost 0, so that what
        is learned from the example has no part in it.
        """
        trained = self.trained
        probes = replace(self._probes, x=1e-4 * self._probes.x)
        held = probes.memory.slot(*source)
        delta = self._rng.standard_normal(held.shape[:-1])[..., None] * (1e-4 * (1.0 + np.abs(held).mean()))
        moved = trained.step(probes, 0.0, memory=with_slot(probes.memory, source, held + delta))
        still = trained.step(probes, 0.0)
        with np.errstate(all="ignore"):
            difference = moved.slot(*target) - still.slot(*target)
            return float(np.median((difference * delta).sum(axis=tuple(range(difference.ndim - 1))) / (delta**2).sum()))

    def scaled(self, slot: Slot) -> tuple[float, float]:
        """Return what doubling a slot does after a step: (growth of its change by an error, growth of the slot).

        The first is 1 for additive and 2 for multiplicative updates; the second, without error, is 2 where the slot
        is kept and 1 where it is normalised.
        """
        trained, probes = self.trained, self._probes
        held = probes.memory.slot(*slot)
        e = trained.error
        with np.errstate(all="ignore"):
            memories = (probes.memory, with_slot(probes.memory, slot, 2 * held))
            changes = [
                np.linalg.norm(
                    _flat(trained.step(probes, e, memory=m), slot) - _flat(trained.step(probes, -e, memory=m), slot),
                    axis=0,
                )
                for m in memories
            ]
            kept = [np.linalg.norm(_flat(trained.step(probes, 0.0, memory=m), slot), axis=0) for m in memories]
            return (
                float(np.median(changes[1] / np.maximum(changes[0], 1e-300))),
                float(np.median(kept[1] / np.maximum(kept[0], 1e-300))),
            )


def _flat(memory: LaneMemory, slot: Slot) -> Array:
    """Return a slot as (elements, lanes)."""
    values: Array = memory.slot(*slot)
    return values.reshape(-1, values.shape[-1])


def _across(values: Array, probes: Probes, slot: Slot, chosen: NDArray[np.intp]) -> Array:
    """Return (elements, probes) without the part along the slot's own value."""
    own = _flat(probes.memory, slot)[chosen]
    rest: Array = values - own * ((values * own).sum(axis=0) / np.maximum((own * own).sum(axis=0), 1e-300))
    return rest


def _cosine(a: Array, b: Array) -> Array:
    cosine: Array = (a * b).sum(axis=0) / np.maximum(np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0), 1e-300)
    return cosine


def _far(a: Array, b: Array, before: Array) -> bool:
    change = np.nanmax(np.abs(a - before), initial=0.0)
    return bool(np.nanmax(np.abs(a - b), initial=0.0) > 1e-3 * max(float(change), 1e-12))


def _slope(x: Array, y: Array) -> float:
    """Return the least-squares slope, 1 where x does not vary."""
    if len(x) < 3 or float(np.std(x)) < 0.05:
        return 1.0
    return float(np.polyfit(x, y, 1)[0])
