"""A program at work on one table: the definition's interpreter, a lane for every program that learns at once.

One lane is enough for regression, two classes, and a program that scores several classes. A program for two
classes tells several apart with a lane a class, one class against the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from selftaught.errors import DivergedError
from selftaught.programs import meanings
from selftaught.programs.live_form import live_form
from selftaught.programs.operators import BY_NAME
from selftaught.programs.program import Program, Slots
from selftaught.programs.reference import LaneMemory, Streams, execute
from selftaught.programs.text import smallest_slots
from selftaught.seeds import seed_for

__all__ = ["HeadKind", "LaneLearner"]

HeadKind = Literal["regression", "binary", "classes"]
MAX_ABS_ERROR = 100.0
_BLOCK_VALUES = 4_000_000  # numbers held at once while many rows are predicted


class LaneLearner:
    """A program with the memory it has learned.

    Args:
        program: what learns; its live form runs.
        kind: what it predicts.
        num_features: F.
        num_classes: K for kind "classes", else 0.
        num_lanes: how many learn at once, each its own label.
        seed: of the program's own random numbers.
    """

    def __init__(
        self, program: Program, *, kind: HeadKind, num_features: int, num_classes: int = 0, num_lanes: int = 1,
        seed: int = 0,
    ) -> None:  # fmt: skip
        task = "classes 3" if kind == "classes" else kind  # the live form does not depend on K
        self.program = live_form(program, task=task)
        self.kind, self.num_classes = kind, num_classes
        self._slots: Slots = smallest_slots(self.program.slots(), task)
        self._memory = LaneMemory.zeros(self._slots, num_features, num_lanes)
        states = [seed_for(seed, "stream", lane) & 0xFFFFFFFF for lane in range(num_lanes)]
        self._streams = Streams(np.array([state or 1 for state in states], np.uint32))
        execute(self.program.setup, self._memory, self._streams)

    @property
    def memory(self) -> LaneMemory:
        """A copy of what it has learned."""
        return self._memory.copy()

    def learn(self, x: NDArray[np.float32], y: NDArray[Any], rows: Sequence[int] | NDArray[np.int64]) -> None:
        """Predict and learn from examples, one after the other.

        Args:
            x: (n, F) float32.
            y: (n, lanes) float32 targets or labels 0 and 1; for kind "classes" (n,) class numbers.
            rows: the order of the examples.

        Raises:
            DivergedError: an error is above 100 or not a number; the row is named.
        """
        memory, streams = self._memory, self._streams
        for row in rows:
            memory.vectors[0] = x[row][:, None]
            self._predict(memory, streams)
            if not self._is_fine(memory, y[row]):
                raise DivergedError(
                    f"learning diverged at row {row}: an error above {MAX_ABS_ERROR:g} or not a number; "
                    "remove outliers or scale the target, keep fewer features, or take another program"
                )
            if self.kind == "classes":
                memory.vectors[1, int(y[row])] = 1
                execute(self.program.learn, memory, streams)
                memory.vectors[1] = 0
            else:
                memory.scalars[0] = y[row]
                execute(self.program.learn, memory, streams)
                memory.scalars[0] = 0

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return predictions (n, lanes), or probabilities (n, K) of kind "classes".

        Every row starts from the trained memory (and from the trained state of the random numbers), so what a row
        gets does not depend on the rows beside it.
        """
        lanes = len(self._streams.states)
        width = self.num_classes if self.kind == "classes" else lanes
        found = np.empty((len(x), width), np.float32)
        step = max(1, _BLOCK_VALUES // (lanes * self._values_a_lane()))
        for start in range(0, len(x), step):
            block = x[start : start + step]
            memory = self._repeated(len(block))
            streams = Streams(np.tile(self._streams.states, len(block)))
            memory.vectors[0] = np.repeat(block.T, lanes, axis=1)
            self._predict(memory, streams)
            if self.kind == "classes":
                found[start : start + step] = memory.vectors[2, :width].T
            else:
                found[start : start + step] = memory.scalars[1].reshape(-1, lanes)
        return found

    def _predict(self, memory: LaneMemory, streams: Streams) -> None:
        execute(self.program.predict, memory, streams)
        with np.errstate(all="ignore"):
            if self.kind == "binary":
                one = np.float32(1)
                memory.scalars[1] = one / (one + meanings.exp(-memory.scalars[1]))
            elif self.kind == "classes":
                scores = memory.vectors[2, : self.num_classes]
                powers = meanings.exp(scores - scores.max(axis=0))
                memory.vectors[2] = 0
                memory.vectors[2, : self.num_classes] = powers / meanings.sum_in_four(powers)

    def _is_fine(self, memory: LaneMemory, y: Any) -> bool:
        if self.kind == "classes":
            return bool(np.isfinite(memory.vectors[2, : self.num_classes]).all())
        with np.errstate(all="ignore"):
            return bool((np.abs(y - memory.scalars[1]) <= MAX_ABS_ERROR).all())

    def _repeated(self, count: int) -> LaneMemory:
        """Return a copy of the memory with its lanes repeated."""
        memory = self._memory
        return LaneMemory(*(np.tile(a, count) for a in (memory.scalars, memory.vectors, memory.matrices)))

    def _values_a_lane(self) -> int:
        features = int(self._memory.vectors.shape[1])
        product = BY_NAME["matrix_product"].id in {i.op for i in self.program.predict}
        temporary = features**3 if product else features**2 * (self._slots.matrices > 0)
        return self._slots.scalars + self._slots.vectors * features + self._slots.matrices * features**2 + temporary
