"""One run from its folder to its result: baselines, search, selection, final tasks, within its time."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selftaught.errors import SelftaughtError
from selftaught.programs.checkpoint import Checkpoint, save_checkpoint
from selftaught.programs.evaluate import Evaluator, best_lanes
from selftaught.programs.finish import Judge, constant_beside
from selftaught.programs.folder import RunFolder
from selftaught.programs.islands import CHUNK, Crew, Found, Solo, Team
from selftaught.programs.kernel import load_kernel
from selftaught.programs.naming import Naming
from selftaught.programs.opponents import constant_fitness, least_squares_fitness, reference_fitness
from selftaught.programs.problems import Problem
from selftaught.programs.program import Program
from selftaught.programs.progress import Phase, Progress, Reporter
from selftaught.programs.result import Evolution, FitnessInterval, Improvement, bootstrap
from selftaught.programs.search import Island
from selftaught.trial import Score, Trial

__all__ = ["Run"]

CHECKPOINT_SECONDS = 2.5
REFERENCE_SHARE = 0.1  # of the seconds given, for scikit-learn on the final tasks
NAMING_SHARE = 0.01  # of the seconds given, for naming what was passed over during the search
NAMING_SECONDS = 300.0  # what that is a share of without a limit of time
QUICK_TASKS = 4  # search tasks the reference is tried on in the first second
NEVER = 2.0  # a target fitness that nothing reaches
SURE = 1.0 - 1e-12


class Run:
    """A search at work; `execute` returns its result.

    Args:
        problem: settings and tasks.
        folder: its files.
        reporter: who is told.
        began: `time.perf_counter()` when the user asked.
        store_url: a database for the improvements, or None.
    """

    def __init__(
        self, problem: Problem, folder: RunFolder, reporter: Reporter, *, began: float, store_url: str | None = None
    ) -> None:
        self.problem, self.settings, self.folder, self.reporter = problem, problem.settings, folder, reporter
        about = folder.checkpoint.about if folder.checkpoint else {}
        self._elapsed_before = float(about.get("elapsed", 0.0))
        self._cpu_before = float(about.get("cpu", 0.0))
        self._search_before = float(about.get("searched", 0.0))
        self.programs_before = int(about.get("programs", 0))
        self._began = began
        self._cpu_began = time.process_time()
        self._written = {int(k): int(n) for k, n in about.get("written", {}).items()}
        self._warnings: list[str] = list(problem.warnings())
        self._baselines: dict[str, float] = {}
        self._history: list[Improvement] = []
        self._fresh: list[Improvement] = []
        self._best: Program | None = None
        self._naming = Naming(problem.search)
        self._techniques: tuple[str, ...] = ()
        self._rate = (time.perf_counter(), self.programs_before, 0.0)
        self._team: Team | None = None
        self._interrupted = False
        self._store_url = store_url
        self._store: Any = None
        self._study = 0
        self._births: dict[tuple[int, int], int] = {}

    # ---- the clock

    @property
    def elapsed(self) -> float:
        """Seconds since the start, those before a resume included."""
        return self._elapsed_before + time.perf_counter() - self._began

    @property
    def deadline(self) -> float:
        """The `time.perf_counter()` at which all must be done; infinite without a limit of time."""
        if self.settings.seconds is None:
            return math.inf
        return self._began - self._elapsed_before + self.settings.seconds

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes, those before a resume included."""
        workers = self._team.cpu_seconds() if self._team else 0.0
        return self._cpu_before + time.process_time() - self._cpu_began + workers

    # ---- the whole

    def execute(self) -> Evolution:
        """Do all of it."""
        with _interrupts(self._interrupt):
            try:
                self._open_store()
                self._history = self.folder.read_history(self._written)
                self._remember(self._history)
                self._try_baselines()
                evaluator, judge = self._compile()
                self._team = self._make_team(evaluator)
                began = time.perf_counter()
                reason = self._search(self._team, judge)
                self._searched = self._search_before + time.perf_counter() - began
                return self._finish(self._team, judge, reason)
            finally:
                if self._team is not None:
                    self._team.close()
                if self._store is not None:
                    self._store.close()

    def _interrupt(self) -> None:
        self._interrupted = True

    def _try_baselines(self) -> None:
        """Score what needs no compilation, so that there is a floor within the first second."""
        tasks = self.problem.search
        self._baselines["constant"] = float(constant_fitness(tasks).mean())
        self._baselines["least squares"] = float(least_squares_fitness(tasks, QUICK_TASKS).mean())
        self._tell("baselines", f"{self.settings.data}: {tasks.count} search tasks, {tasks.features} features")
        self._baselines["reference"] = float(reference_fitness(tasks, QUICK_TASKS, seconds=0.3).mean())
        self._tell("baselines")

    def _compile(self) -> tuple[Evaluator, Judge]:
        tasks = self.problem.search
        self._tell("compile", "loading the engine; the first run on a machine compiles it, about half a minute")
        kernel = load_kernel(tasks.features, best_lanes(tasks))
        evaluator = Evaluator(tasks, kernel=kernel)
        judge = Judge(self.problem, evaluator, self.settings.seconds)
        self._baselines.update(judge.warm_up())
        # Here and not in the first step of the search, so that it is told as what it is, and once for all islands.
        Island(self.settings, tasks, 0, evaluator).run(0, 0)
        self._naming.of(Program(), 1.0)  # its imports take longer than the first names may
        if self.settings.seconds is not None:
            # Done now, so that the end of the search costs what is planned for it.
            judge.prepare(REFERENCE_SHARE * self.settings.seconds)
        self._tell("baselines")
        return evaluator, judge

    def _make_team(self, evaluator: Evaluator) -> Team:
        checkpoint = self.folder.checkpoint
        arrays = checkpoint.islands if checkpoint else None
        if self.settings.workers == 1:
            return Solo(self.settings, self.problem.search, evaluator, arrays)
        return Crew(self.settings, self.problem.search, evaluator, arrays, checkpoint.about if checkpoint else None)

    # ---- the search

    def _search(self, team: Team, judge: Judge) -> str:
        self._search_began = time.perf_counter()
        saved = checked = time.perf_counter()
        seconds_each = 0.0
        looked_at_zero = False
        self._tell("search")
        reserve = judge.reserve(0, 1, judge_cost(judge)) if self.settings.seconds else 0.0
        if self.settings.seconds and reserve > 0.5 * self.settings.seconds:
            self._warnings.append(
                f"the end of the search needs about {reserve:.1f} of the {self.settings.seconds:g} seconds; "
                "give more time"
            )
        late = self.deadline - time.perf_counter()
        if late < reserve:
            self._warnings.append(
                f"loading and compiling took {self.elapsed - self._elapsed_before:.1f} s of the "
                f"{self.settings.seconds:g} seconds; the next run will not need it"
            )
        while True:
            margin = self._margin()
            left = self.deadline - time.perf_counter() - reserve - margin
            team.advance(min(CHUNK, max(left, 0.01)))
            now = time.perf_counter()
            self._record(team)
            if self.reporter.due:
                self._tell("search")
            counts = team.counts()
            if not looked_at_zero and counts["programs"] >= self.settings.population * self.settings.workers:
                looked_at_zero = True
                if team.best_fitness() == 0.0:
                    self._warnings.append(
                        "every program of the first population has fitness 0: the targets may be too large "
                        "(standardise them), the errors above 100, or the operators without a way from v0 to s1"
                    )
            if self.settings.seconds and now - checked > 0.5:
                checked = now
                best = team.best()
                if best:
                    latest = judge.best_seconds(max(best, key=lambda found: found.fitness))
                    seconds_each = 0.7 * seconds_each + 0.3 * latest if seconds_each else latest
                    reserve = judge.reserve(counts["programs"], len(best), seconds_each)
            if team.status == "target" and not self._confirmed(team, judge):
                continue
            if team.status != "running":
                return "target" if team.status == "target" else team.status
            if self._interrupted or self.reporter.stopped:
                return "stopped"
            if self.settings.seconds is not None and time.perf_counter() >= self.deadline - reserve - self._margin():
                return "seconds"
            if now - saved >= CHECKPOINT_SECONDS:
                self._save(team)
                saved = time.perf_counter()

    def _margin(self) -> float:
        """Seconds kept free for writing files and for what was not foreseen."""
        seconds = self.settings.seconds
        return 0.0 if seconds is None else min(0.25 + 0.01 * seconds, 1.0)

    def _confirmed(self, team: Team, judge: Judge) -> bool:
        """Whether the best programs reach the target on the selection tasks too; else the target is raised."""
        wanted = self.settings.target_fitness or NEVER
        best = [found for found in team.best() if found.fitness >= min(team.target(), SURE)]
        top = max(found.fitness for found in best)
        programs = "1 program" if len(best) == 1 else f"{len(best)} programs"
        self._tell("select", f"{programs} reached the target on the search tasks")
        if judge.choose(best).fitness.mean() >= wanted:
            return True
        team.set_target(NEVER if top >= SURE else top + 0.5 * (1.0 - top))
        return False

    # ---- what is recorded

    def _record(self, team: Team) -> None:
        events = sorted(team.events(), key=lambda event: event.programs)
        if not events:
            return
        improvements = self.folder.append_history(events, self.elapsed, self.problem.text_kind)
        for event in events:
            self._written[event.island] = max(self._written.get(event.island, 0), event.number + 1)
        first = len(self._history)
        self._history += improvements
        self._fresh += improvements
        self._remember(improvements)
        top = max(improvements, key=lambda found: found.fitness)
        self._techniques = self._naming.watch(top, elapsed=self.elapsed) or self._techniques
        if self._store is not None:
            self._store.tell(self._study, self._trials(improvements, first))

    def _remember(self, improvements: list[Improvement]) -> None:
        for improvement in improvements:
            self._births[improvement.island, improvement.programs] = len(self._births)
        if self._history:
            self._best = max(self._history, key=lambda i: i.fitness).program

    def _trials(self, improvements: list[Improvement], first: int) -> Iterator[Trial]:
        from selftaught.programs.text import format_program

        for number, found in enumerate(improvements, first):
            yield Trial(
                number, format_program(found.program, task=self.problem.text_kind),
                parent=self._births.get((found.island, found.parent)), cost=found.elapsed,
                score=Score(found.fitness, {"programs": found.programs, "island": found.island}),
            )  # fmt: skip

    def _open_store(self) -> None:
        if self._store_url is None:
            return
        from selftaught.store import open_store

        self._store = open_store(self._store_url)
        self._study = self._store.study(str(self.folder.path), self.settings.defining())
        kept = len(self.folder.read_history(self._written))
        self._store.forget(self._study, after=kept - 1)

    def _save(self, team: Team) -> None:
        islands, about = team.snapshot()
        if not any(about["alive"]):
            return
        self._record(team)
        about |= {
            "elapsed": self.elapsed, "cpu": self.cpu, "programs": team.counts()["programs"],
            "searched": self._search_before + time.perf_counter() - self._search_began,
            "written": {str(k): n for k, n in self._written.items()},
            "budget": {"programs": self.settings.programs, "seconds": self.settings.seconds},
        }  # fmt: skip
        save_checkpoint(self.folder.checkpoint_path, Checkpoint(self.settings.defining(), islands, about))

    def _tell(self, phase: Phase, message: str = "") -> None:
        now, team = time.perf_counter(), self._team
        counts = team.counts() if team else {}
        programs = counts.get("programs", self.programs_before)
        then, before, rate = self._rate
        if now - then > 0.5:
            rate = (programs - before) / (now - then)
            self._rate = (now, programs, rate)
        hits = counts.get("key_hits", 0) + counts.get("print_hits", 0)
        fresh, self._fresh = tuple(self._fresh), []
        left = self.deadline - now
        self.reporter.tell(
            Progress(
                phase, programs, counts.get("evaluated", 0), rate, hits / max(hits + counts.get("evaluated", 0), 1),
                self.elapsed, None if math.isinf(left) else max(left, 0.0), team.best_fitness() if team else 0.0,
                self._best, dict(self._baselines), fresh, message, counts.get("restarts", 0),
                team.living if team else self.settings.workers, self.problem.text_kind, self._techniques,
            )
        )  # fmt: skip

    # ---- the end

    def _finish(self, team: Team, judge: Judge, reason: str) -> Evolution:
        self._save(team)
        candidates = team.best()
        counts = team.counts()
        if not candidates:
            raise SelftaughtError("the search ended before it scored a program; give more programs or more seconds")
        programs = counts["programs"]
        self._tell("select", f"scoring the {len(candidates)} best programs on the selection tasks")
        cpu_of_team = team.cpu_seconds()
        team.halt()
        chosen = judge.choose(candidates, self._selection_seconds())
        if chosen.left:
            self._warnings.append(f"{chosen.left} of the best programs were not scored for want of time")
        self._best = chosen.found.program
        self._tell("final", "scoring the winner once on the final tasks")
        test = bootstrap(judge.final.score(chosen.found.program), self.settings.seed)
        deadline = self.deadline - 0.3 * self._margin()
        baselines = judge.baselines(
            programs, deadline, seed=self.settings.seed, alive=lambda message: self._tell("final", message)
        )
        baselines |= constant_beside(baselines, test, judge.final.tasks, self.settings.seed)
        self._warnings += team.warnings()
        short = baselines["reference"].tasks < test.tasks
        if short:
            self._warnings.append(
                f"the reference was scored on {baselines['reference'].tasks} final tasks for want of time"
            )
        self._techniques = self._naming.of(chosen.found.program, test.mean)
        result = self._result(chosen.found, judge, chosen.fitness, test, baselines, programs, reason, cpu_of_team)
        result.save()
        self._naming.finish(self._history, seconds=NAMING_SHARE * (self.settings.seconds or NAMING_SECONDS))
        self._naming.save(self.folder.path / "timeline.json", self._history)
        self._tell("done", reason)
        return result

    def _selection_seconds(self) -> float:
        return math.inf if self.settings.seconds is None else 0.1 * self.settings.seconds

    def _result(
        self, found: Found, judge: Judge, selection: Any, test: FitnessInterval, baselines: dict[str, FitnessInterval],
        programs: int, reason: str, cpu_of_team: float,
    ) -> Evolution:  # fmt: skip
        from selftaught import __version__

        tasks, seed = self.problem.search, self.settings.seed
        search = bootstrap(judge.evaluator.score(found.program), seed)
        select = bootstrap(selection, seed)
        return Evolution(
            program=found.program, fitness_search=search, fitness_select=select, fitness_test=test,
            baselines=baselines, history=self._history, programs=programs, programs_before_resume=self.programs_before,
            programs_per_second=round(programs / max(self._searched, 1e-9), 1),
            cpu_seconds=round(self._cpu_before + time.process_time() - self._cpu_began + cpu_of_team, 3),
            evaluations_to_best=min(found.programs * self.settings.workers, programs), seed=seed,
            bias=self.settings.bias, search=self.settings.search, settings=self.settings.defining(),
            folder=self.folder.path, reason=reason, version=__version__, warnings=tuple(self._warnings),
            tasks={
                "name": self.settings.data, "kind": self.problem.text_kind, "metric": tasks.metric,
                "features": tasks.features, "search": tasks.count, "selection": select.tasks, "final": test.tasks,
                "search_interval": [search.low, search.high], "selection_interval": [select.low, select.high],
                "elapsed": round(self.elapsed, 3),
            },
            born={"programs": found.programs, "island": found.island, "parent": found.parent, "move": found.move},
            techniques=self._techniques,
        )  # fmt: skip


def judge_cost(judge: Judge) -> float:
    """Return a first guess of what a program takes on the search tasks: as the network."""
    return judge._costs["net"]


@contextmanager
def _interrupts(note: Callable[[], None]) -> Iterator[None]:
    """Make the first Ctrl-C a wish to end well; the second stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def first(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        note()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
