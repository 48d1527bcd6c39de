"""A make-believe evolution: the shape of the real one, finished in no time, for tests of the command line."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selftaught.programs import Evolution, FitnessInterval, Improvement, Progress
from selftaught.programs.program import Instruction, Program
from selftaught.programs.settings import resolve_settings

STEP_1 = Program(predict=(Instruction(27, out=1, in1=0, in2=1),))
STEP_2 = Program(
    setup=(Instruction(56, 2, c0=0.0123456789),),
    predict=(Instruction(27, out=1, in1=0, in2=1),),
    learn=(
        Instruction(2, out=3, in1=0, in2=1),
        Instruction(3, out=3, in1=2, in2=3),
        Instruction(18, out=2, in1=3, in2=0),
    ),
)
STEP_3 = Program(STEP_2.setup, STEP_2.predict, (*STEP_2.learn, Instruction(16, out=1, in1=1, in2=2)))
FITNESS = {0: 0.5021, 1: 0.7113, 2: 0.9764}
BASELINES = {"linear": 0.9612, "net": 0.9707, "reference": 0.9688}


def interval(mean: float, tasks: int = 64) -> FitnessInterval:
    return FitnessInterval(mean, mean - 0.004, mean + 0.004, tasks)


def progress_at(step: int, *, seconds: float = 60.0, delay: float = 0.1) -> Progress:
    """What the search reports at a step; step 0 has no program yet."""
    stage = min(2, step // 10)
    program = (STEP_1, STEP_2, STEP_3)[stage]
    new = (Improvement(step * 18_234, FITNESS[stage], step * delay, -1, -1, 0, program),) if step % 10 == 0 else ()
    return Progress(
        "search", step * 18_234 + 1, step * 10_000, 182_340.0, 0.43, step * delay, seconds - step * delay,
        FITNESS[stage], program, BASELINES, new, restarts=2,
    )  # fmt: skip


def make_believe(
    final: float = 0.9741,
    *,
    steps: int = 40,
    delay: float = 0.0,
    at_step: Callable[[int], None] = lambda _: None,
    calls: list[dict[str, Any]] | None = None,
) -> Callable[..., Evolution]:
    """Return a function that stands in for `selftaught.evolve`."""

    def evolve(
        examples: Any = "digits", *, on_progress: Callable[[Progress], str | None], began: float, **settings: Any
    ) -> Evolution:
        assert 0 <= time.perf_counter() - began < 10
        if calls is not None:
            calls.append({"examples": examples, **settings})
        on_progress(Progress("compile", message="compiling the kernel for F=16, L=16, a few seconds, once"))
        time.sleep(5 * delay)
        on_progress(Progress("baselines", baselines=BASELINES, elapsed=0.3))
        time.sleep(5 * delay)
        reason, step = "seconds", 0
        for step in range(steps):
            at_step(step)
            if on_progress(progress_at(step, delay=delay)) == "stop":
                reason = "stopped"
                break
            time.sleep(delay)
        for phase in ("select", "final", "done"):
            on_progress(
                Progress(
                    phase, programs=step * 18_234 + 1, elapsed=step * delay, best_fitness=0.9764, best_program=STEP_3
                )
            )
            time.sleep(3 * delay)
        folder = Path(settings.get("out") or "selftaught-runs/digits-0123abcd")
        folder.mkdir(parents=True, exist_ok=True)
        known = {name: value for name, value in settings.items() if name not in ("out", "store", "resume", "quiet")}
        resolved = resolve_settings("digits", "0123", known)
        found = Evolution(
            program=STEP_3, fitness_search=interval(0.9764, 16), fitness_select=interval(0.9752, 32),
            fitness_test=interval(final), baselines={name: interval(value) for name, value in BASELINES.items()},
            history=[], programs=step * 18_234 + 1, programs_before_resume=0, programs_per_second=182_340.0,
            cpu_seconds=57.2, evaluations_to_best=180_001, seed=resolved.seed, bias=resolved.bias,
            search=resolved.search, settings=resolved.defining(), folder=folder, reason=reason, version="0",
            tasks={"kind": "binary", "metric": "accuracy"}, warnings=("one [odd] warning",),
        )  # fmt: skip
        found.save()
        return found

    return evolve
