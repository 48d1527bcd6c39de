"""What is chosen on the way: cuts that reach a target, the best of those that were trained, and protection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from selftaught.errors import InputError
from selftaught.plans.comparison import largest_drop
from selftaught.plans.execution import Compressed, run_plan
from selftaught.plans.parts import Parts
from selftaught.plans.plan import Channels, FineTune, LowBits, Onnx, Plan
from selftaught.plans.progress import Decisions
from selftaught.plans.protecting import known_rates, protect
from selftaught.plans.runtimes import in_onnxruntime, require_runtime
from selftaught.plans.samples import MANY, MOST, few_of
from selftaught.plans.sources import Source
from selftaught.plans.target import Target
from selftaught.plans.target_search import TargetSearch
from selftaught.training import Progress, evaluate

__all__ = ["Choosing"]


class Choosing:
    """Chooses how a model becomes smaller, by validation, and does it; a `Chooser` of `compress`.

    Args:
        plan: what is done; under a target its step of channels gives way to the cuts that are found.
        target: to reach, or None.
        protected: whether the class or group that loses most is kept.
        column: of groups to protect; the classes when empty.
        batches, threads: of the clock.
        finalists: cuts that are trained under a target.
        ignore: names of weights or modules that stay.
        say: told what is found on the way, as lines.
        on_progress: as in `fit`.

    Raises:
        InputError: the plan does not go with a target or with protection.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        target: Target | None = None,
        protected: bool = False,
        column: str = "",
        batches: tuple[int, ...] = (1, 32),
        threads: int = 1,
        finalists: int = 2,
        ignore: tuple[str, ...] = (),
        say: Callable[[str], None] = lambda _: None,
        on_progress: Callable[[Progress], str | None] | None = None,
    ) -> None:
        if target is not None and plan.steps[0].kind in ("start", "rewind", "supermask"):
            raise InputError("--target searches cuts of the trained model; leave out --start")
        require_runtime(plan)
        self.plan = plan
        self.target = target
        self.protected = protected
        self.column = column
        self.batches = batches
        self.threads = threads
        self.finalists = finalists
        self.ignore = ignore
        self.say = say
        self.on_progress = on_progress

    @property
    def request(self) -> dict[str, Any]:
        """What must be the same for its decisions to hold, in JSON's own types."""
        return {
            "plan": self.plan.model_dump(mode="json"), "target": None if self.target is None else str(self.target),
            "protect": self.protected, "column": self.column, "batch": list(self.batches), "threads": self.threads,
            "finalists": self.finalists, "ignore": list(self.ignore),
        }  # fmt: skip

    def __call__(self, source: Source, parts: Parts, decisions: Decisions, folder: Path) -> Compressed:
        """Return the smaller model."""
        if self.target is None:
            return self._do(self.plan, source, parts, decisions, folder / "steps")
        score = self._score(source.model, parts, MOST) if self.protected else None
        final = self._score(source.model, parts, MANY) if self.protected else None
        channels = next((one for one in self.plan.steps if isinstance(one, Channels)), Channels())
        searched = TargetSearch(
            source.model, parts.train, parts.valid, self.target, batches=self.batches, threads=self.threads,
            round_to=channels.round_to, ignore=self.ignore, score=score, decisions=decisions, say=self.say,
            runtime=self._runtime(parts), seed=self.plan.seed,
        )  # fmt: skip
        trains = any(isinstance(one, FineTune) for one in self.plan.steps)
        found = searched.candidates(self.finalists if trains else 1)
        others = tuple(one for one in self.plan.steps if not isinstance(one, Channels))
        best: tuple[float, Compressed] | None = None
        for place, one in enumerate(found):
            plan = self.plan.model_copy(update={"steps": (one.step, *others)})
            self.say(f"finalist {place + 1} of {len(found)}: {one.family}, widths {', '.join(map(str, one.widths))}")
            made = self._do(plan, source, parts, decisions, folder / "steps" / f"finalist-{place + 1}", f" {place + 1}")
            if not made.finished:
                return made
            reached = (final or (lambda model: evaluate(model, parts.valid).score))(made.runs)
            self.say(f"finalist {place + 1}: validation {evaluate(made.runs, parts.valid).score:.4f}"
                     + (f", largest drop {-100 * reached:.1f} points" if final else ""))  # fmt: skip
            if best is None or reached > best[0]:
                best = (reached, made)
        if best is None:
            raise InputError("no cut was found")
        return best[1]

    def _runtime(self, parts: Parts) -> Callable[[nn.Module], nn.Module] | None:
        last = self.plan.steps[-1]
        if not isinstance(last, LowBits | Onnx):
            return None
        return lambda model: in_onnxruntime(
            model, parts.train, last, ignore=self.ignore, threads=self.threads, seed=self.plan.seed
        )

    def _score(self, dense: nn.Module, parts: Parts, most: int) -> Callable[[nn.Module], float]:
        looked_at = (few_of(parts.train, most=most), parts.valid)
        before = known_rates(dense, looked_at, self.column)
        return lambda model: -largest_drop(before, known_rates(model, looked_at, self.column))

    def _do(
        self, plan: Plan, source: Source, parts: Parts, decisions: Decisions, folder: Path, name: str = ""
    ) -> Compressed:
        options: dict[str, Any] = {
            "make": source.make, "ignore": self.ignore, "folder": folder, "on_progress": self.on_progress,
            "threads": self.threads,
        }  # fmt: skip
        if not self.protected:
            return run_plan(source.model, parts.train, plan, valid=parts.valid, **options)
        return protect(
            source.model, parts.train, parts.valid, plan, column=self.column, decisions=decisions, name=name, **options
        )
