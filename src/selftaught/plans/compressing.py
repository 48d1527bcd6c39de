"""From a trained model to a folder with a smaller one, what it gained here, and what it forgot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from selftaught.audit import Population, taxicab
from selftaught.errors import InputError, did_you_mean
from selftaught.examples import Examples
from selftaught.ledger import Ledger
from selftaught.plans.comparison import Comparison, compare
from selftaught.plans.execution import Compressed, run_plan
from selftaught.plans.parts import Parts, divide
from selftaught.plans.plan import Plan
from selftaught.plans.progress import Decisions
from selftaught.plans.runtimes import require_runtime
from selftaught.plans.samples import sample_of
from selftaught.plans.sources import Source, check_classes, check_fit
from selftaught.plans.target import Target
from selftaught.training import Evaluation, Progress, evaluate
from selftaught.training.checkpoint import save_tensors, weights_digest
from selftaught.training.config import Config
from selftaught.training.devices import pick_device
from selftaught.training.training_run import HISTORY, LEDGER, MODEL, RESULT
from selftaught.writing import write_atomically

__all__ = ["CompressedRun", "Judging", "compress"]

AUDIT, ONNX = "audit", "model.onnx"
ORIGIN = ("settings", "split_seed")  # what a result takes over from the model's own
ROUNDS = 30


class Judging(Config):
    """How a smaller model is judged.

    Args:
        batches: sizes at which it is timed.
        threads: of torch, while it is.
        rounds: of timing at the end.
        groups: columns of groups to look at.
        seed: of the division of the examples.
        device: where it trains and runs.
    """

    batches: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1, 32), min_length=1)
    threads: int = Field(default=1, ge=1)
    rounds: int = Field(default=ROUNDS, ge=1)
    groups: tuple[str, ...] = ()
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class CompressedRun:
    """What `compress` gives.

    Args:
        made: the smaller model and how it came about.
        comparison: on the test examples.
        parts: of the examples.
        folder: where the files are.
        warnings: what a reader must know.
        origin: settings of the model's own training and the seed of its division of the examples, where they are known.
        target: that was to be reached, or None.
    """

    made: Compressed
    comparison: Comparison
    parts: Parts
    folder: Path
    warnings: tuple[str, ...]
    origin: dict[str, Any] = field(default_factory=dict)
    target: Target | None = None

    @property
    def share(self) -> float:
        """What part of the target's limit the model takes, as measured at the end; 0 without a target."""
        if self.target is None:
            return 0.0
        rows = [(one.rows[0], one.rows[-1]) for one in self.comparison.gains]
        if self.target.what == "latency":
            return max(self.target.share(new.seconds, old.seconds) for old, new in rows)
        old, new = rows[0]
        if self.target.what == "size":
            return self.target.share(new.bytes, old.bytes)
        return self.target.share(new.multiply_adds, old.multiply_adds)

    def to_dict(self) -> dict[str, Any]:
        """Return the result made of JSON's own types, as `result.json` holds it."""
        made = self.made
        return {
            "headline": headline(self.comparison),
            "plan": made.plan.model_dump(mode="json"),
            "widths": {name: list(one) for name, one in made.widths.items()},
            "left_dense": made.left_dense,
            "notes": made.notes,
            "gradient_flow": [list(one) for one in made.flow],
            "seconds": round(made.seconds, 3),
            "finished": made.finished,
            "examples": {
                "train": len(self.parts.train), "valid": len(self.parts.valid), "test": len(self.parts.test),
                "from": self.parts.told,
            },
            **self.comparison.to_dict(),
            "warnings": list(self.warnings),
            **self.origin,
            "target": None if self.target is None
            else {"wanted": str(self.target), "share": self.share, "reached": self.share <= 1},
        }  # fmt: skip


#: Makes the smaller model: given the parts, the folder's decisions and the folder, or None to do a plan as it stands.
Chooser = Callable[[Source, Parts, Decisions, Path], Compressed]


def compress(
    source: Source,
    examples: Examples,
    plan: Plan | Chooser,
    *,
    out: str | os.PathLike[str],
    request: dict[str, Any] | None = None,
    test: Examples | None = None,
    judging: Judging | None = None,
    target: Target | None = None,
    ignore: tuple[str, ...] = (),
    resume: bool | None = None,
    on_start: Callable[[Parts, Sequence[str]], None] | None = None,
    on_progress: Callable[[Progress], str | None] | None = None,
) -> CompressedRun:
    """Make a trained model smaller and leave everything in a folder.

    The folder holds `model.safetensors` (with what builds it again), `model.onnx` where the plan has one, `plan.json`,
    `history.jsonl`, `result.json`, `ledger/` (the training and validation examples), `audit/` (what changed on test
    examples) and checkpoints. Calling it again goes on where it was interrupted.

    Args:
        source: the model.
        examples: labelled examples with classes.
        plan: what to do, or a function that chooses it.
        out: the folder.
        request: what must be the same for a run to go on, beside the plan, the weights and the examples. Of a chooser
            also what its attribute `request` holds.
        test: examples kept apart, or None; see `divide`.
        judging: how it is judged.
        target: that the chooser was to reach; the result says whether it holds.
        ignore: names of weights or modules that stay as they are.
        resume: True insists on a stored run, False starts over, None goes on where there is one.
        on_start: called with the parts of the examples and warnings, before the work.
        on_progress: as in `fit`.

    Raises:
        InputError, DataError, ResumeError, DivergedError: as the parts do.
    """
    judging = judging or Judging()
    check_classes(source, examples)
    check_fit(source.model, examples, source.name)
    for name in judging.groups:
        if name not in examples.groups:
            known = ", ".join(examples.groups) or "none"
            near = did_you_mean(name, examples.groups)
            raise InputError(f"there is no column of groups {name!r}{near}; the data have {known}")
        if test is not None and name not in test.groups:
            raise InputError(f"the test examples have no column of groups {name!r}; give --test a file that has it")
    parts = divide(source, examples, test=test, seed=judging.seed)
    folder = Path(out).expanduser()
    wanted = {
        "model": source.name, "weights": weights_digest(source.model), "examples": examples.digest(),
        "test": None if test is None else test.digest(), "ignore": list(ignore), **(request or {}),
    }  # fmt: skip
    if isinstance(plan, Plan):
        require_runtime(plan)
        wanted["plan"] = plan.model_dump(mode="json")
    else:
        wanted |= getattr(plan, "request", {})
    decisions = Decisions(folder, wanted, resume=resume)
    warnings = [parts.warning] if parts.warning else []
    if on_start is not None:
        on_start(parts, warnings)
    device = pick_device(judging.device)
    source.model.to(device)
    if isinstance(plan, Plan):
        made = run_plan(
            source.model, parts.train, plan, valid=parts.valid, make=source.make, ignore=ignore,
            folder=folder / "steps", threads=judging.threads, on_progress=on_progress,
        )  # fmt: skip
    else:
        made = plan(source, parts, decisions, folder)
    both = evaluate(source.model, parts.test), evaluate(made.runs, parts.test)
    found = compare(
        source.model, made.runs, both, parts.test, sample=sample_of(parts.test, 32), columns=judging.groups,
        batches=judging.batches, rounds=judging.rounds, threads=judging.threads,
    )  # fmt: skip
    warnings += found.audit.warnings
    origin: dict[str, Any] = {name: source.result[name] for name in ORIGIN if name in source.result}
    run = CompressedRun(made, found, parts, folder, tuple(warnings), origin, target)
    _write(run, source, both)
    return run


def headline(found: Comparison) -> str:
    """Return the first line of a result: what was gained in time and bytes, and what it cost.

    A plan that makes nothing faster says so.
    """
    gained = [one for one in found.gains if found.gained_at(one)]
    rows = [(one.batch, one.rows[-1]) for one in gained or found.gains]
    best_batch, best = max(rows, key=lambda one: one[1].realised)
    lost = 100 * (found.accuracy.after - found.accuracy.before)
    low, high = (100 * one for one in found.accuracy.interval)
    change = f"accuracy {lost:+z.1f} points [{low:+z.1f}, {high:+z.1f}]"
    if not found.realised:
        counted = f"{best.theoretical:.2f} x fewer multiply-adds"
        return f"Nothing is gained in time: {counted}, {best.realised:.2f} x the speed at best; {change}"
    old, new = found.gains[0].rows[0].bytes, max(found.gains[0].rows[-1].bytes, 1)
    size = f"{old / new:.2f} x fewer bytes" if new <= old else f"{new / old:.2f} x more bytes"
    return f"{best.realised:.2f} x faster at batch {best_batch}, {size}; {change}"


def _write(run: CompressedRun, source: Source, both: tuple[Evaluation, Evaluation]) -> None:
    """Write a run's files; the result is the last, so a folder with one is whole."""
    folder, made = run.folder, run.made
    tensors = {name: one.detach().cpu() for name, one in made.model.state_dict().items()}
    try:
        (folder / AUDIT).mkdir(parents=True, exist_ok=True)
        save_tensors(folder / MODEL, tensors, {**source.facts, "compressed": str(made.plan)})
        if made.runtime is not None and made.runtime.data:
            write_atomically(folder / ONNX, made.runtime.data)
        else:
            (folder / ONNX).unlink(missing_ok=True)
        write_atomically(folder / "plan.json", (made.plan.to_json() + "\n").encode())
        write_atomically(folder / HISTORY, "".join(json.dumps(line) + "\n" for line in made.history).encode())
        _record_seen(Ledger(folder / LEDGER), run)
        _record_changes(Ledger(folder / AUDIT), run.parts.test, both)
        told = json.dumps(run.comparison.audit.to_dict(), indent=2) + "\n"
        write_atomically(folder / AUDIT / "audit.json", told.encode())
        write_atomically(folder / RESULT, (json.dumps(run.to_dict(), indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written ({error.strerror}); choose another --out") from None


def _record_seen(ledger: Ledger, run: CompressedRun) -> None:
    """Keep what the smaller model makes of examples that it was trained on or chosen by."""
    parts = (run.parts.train, run.parts.valid)
    found = [evaluate(run.made.runs, one) for one in parts]
    ids = np.concatenate([one.ids for one in parts])
    columns: dict[str, list[NDArray[Any]]] = {
        "confidence": [one.confidence for one in found], "correct": [one.correct for one in found],
        "loss": [one.losses for one in found],
    }  # fmt: skip
    for measure, values in columns.items():
        ledger.record(measure, ids, np.concatenate(values), model="compressed", seed=run.made.plan.seed)


def _record_changes(ledger: Ledger, test: Examples, both: tuple[Evaluation, Evaluation]) -> None:
    """Keep which test examples were forgotten or gained, and how far their probabilities moved."""
    old, new = both
    ledger.record("forgotten", test.ids, old.correct & ~new.correct, model="compressed")
    ledger.record("gained", test.ids, ~old.correct & new.correct, model="compressed")
    sides = [Population.from_logits(one.scores, test.ids) for one in both]
    ledger.record("moved", test.ids, taxicab(*sides), model="compressed")
