"""Discover a learning program: the one call behind `selftaught evolve`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from selftaught.programs.folder import RunFolder
from selftaught.programs.problems import READING, find_source, make_problem, source_of
from selftaught.programs.progress import OnProgress, Progress, Reporter
from selftaught.programs.result import Evolution
from selftaught.programs.settings import EvolveSettings, resolve_settings

__all__ = ["evolve"]

DEFAULT_SECONDS = 60.0
OF_DATA = ("target", "task", *READING)


def evolve(
    examples: Any = None,
    *,
    target: str | None = None,
    task: Literal["pairs", "classes", "regression", "classification"] | None = None,
    missing: Literal["error", "impute"] | None = None,
    drop: Sequence[str] | None = None,
    id_column: str | None = None,
    resize: tuple[int, int] | None = None,
    features: int | None = None,
    preset: str | None = None,
    programs: int | None = None,
    seconds: float | None = None,
    population: int | None = None,
    tournament: int | None = None,
    operators: str | Mapping[str, Sequence[str | int]] | Sequence[str | int] | None = None,
    sizes: str | Sequence[int] | None = None,
    slots: str | Sequence[int] | None = None,
    search: Literal["live", "classic", "random"] | None = None,
    bias: Literal["free", "learner"] | None = None,
    start: str | None = None,
    epochs: int | None = None,
    num_tasks: int | None = None,
    num_train: int | None = None,
    num_valid: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    hurdles: bool | None = None,
    fingerprint: bool | Literal["auto"] | None = None,
    mutation_style: Literal["code", "paper"] | None = None,
    target_fitness: float | None = None,
    out: str | os.PathLike[str] | None = None,
    store: str | None = None,
    resume: bool | None = None,
    on_progress: OnProgress | None = None,
    quiet: bool = True,
    began: float | None = None,
) -> Evolution:
    """Evolve a learning program from basic mathematics, after Real et al. (AutoML-Zero, arXiv 2003.03384).

    Many programs of three functions (Setup, Predict, Learn) are proposed, trained on small tasks made of the data
    and judged on held-out examples. The best are chosen on other tasks, and the winner is scored once on final
    tasks that nothing saw, beside tuned learners written by hand and scikit-learn.

    Args:
        examples: `Examples`, anything `selftaught.load` takes, or a built-in task ("linear_regression", "rings", ...);
            the preset's own, else "digits", when None.
        target: the target column of a table.
        task: "pairs" or "classes" of a data set with classes, "regression", or "classification" to read the target so.
        missing: "impute" fills in missing values of a table (median, most frequent text); "error" (default) does not.
        drop: columns of a table to leave out.
        id_column: column of a table with the rows' own ids, left out of the inputs too.
        resize: (height, width) for a folder of images.
        features: F, inputs of a task, 1 to 64.
        preset: a set-up from `presets.PRESETS`; other options override it.
        programs: how many programs to propose, over all islands and all sessions.
        seconds: the time for everything, final scoring included; 60 when neither this nor `programs` is given.
        population: programs alive at once on an island.
        tournament: members compared to choose a parent.
        operators: a set's name, names for all functions, or a mapping function -> names.
        sizes: most instructions of Setup, Predict and Learn, such as "7/11/23".
        slots: scalars, vectors and matrices of a program's memory, such as "5/9/2".
        search: "live" (the default), "classic" (the original's regularized evolution) or "random" (the control).
        bias: "free" (rules that hold for any program) or "learner" (rules shaped like learning).
        start: "empty", "random", "linear", "network" or a program's file.
        epochs: passes over a task's training examples.
        num_tasks: D, search tasks.
        num_train, num_valid: examples of a task.
        seed: seed of everything; with one seed and number of workers two runs find the same.
        workers: islands, a process each.
        hurdles: run a program in full only when its first stage is among the better ones.
        fingerprint: recognise programs that behave the same on a few examples.
        mutation_style: "code" or "paper", how the classic search changes constants.
        target_fitness: stop when search and selection tasks reach it; 0.9999 for built-in regression.
        out: the run's folder; by default one named after the data and the settings.
        store: a database URL or a SQLite file that gets every improvement as a trial.
        resume: True insists on a checkpoint, False starts over; None goes on where a run was left.
        on_progress: called about 8 times a second with a `Progress`; it may return "stop".
        quiet: False writes progress lines to the standard error.
        began: the `time.perf_counter()` from which `seconds` count; this call when None.

    Returns:
        The winner with its fitness and the baselines'; files lie in `folder`.

    Raises:
        InputError: an option is unknown or out of its range.
        DataError: the data do not fit.
        ResumeError: the folder holds another run, or there is nothing to go on from.

    >>> found = evolve("linear", preset="demo", programs=2000, out="run")  # doctest: +SKIP
    >>> print(found.compare())  # doctest: +SKIP
    """
    began = time.perf_counter() if began is None else began
    options = {
        "target": target, "task": task, "missing": missing, "drop": _columns(drop), "id_column": id_column,
        "resize": resize, "features": features, "preset": preset, "programs": programs,
        "seconds": seconds, "population": population, "tournament": tournament, "operators": operators, "sizes": sizes,
        "slots": slots, "search": search, "bias": bias, "start": start, "epochs": epochs, "num_tasks": num_tasks,
        "num_train": num_train, "num_valid": num_valid, "seed": seed, "workers": workers, "hurdles": hurdles,
        "fingerprint": fingerprint, "mutation_style": mutation_style, "target_fitness": target_fitness,
    }  # fmt: skip
    if programs is None and seconds is None:
        options["seconds"] = DEFAULT_SECONDS
    source = find_source(examples, preset)
    if preset is None and source == "digits":
        options["preset"] = "digits"
    resolve_settings("linear_regression", "", {**options, **dict.fromkeys(OF_DATA)})  # bad options before slow data
    reading = {name: options[name] for name in READING}
    name, digest, loaded = source_of(source, target=target, task=task, **reading)
    settings = resolve_settings(name, digest, options, rows=0 if loaded is None else len(loaded))
    problem = make_problem(settings, loaded)
    reporter = Reporter(on_progress, quiet=quiet)
    folder = RunFolder(settings, out, resume=resume)
    try:
        stored = _finished(folder, settings)
        if stored is not None:
            message = f"finished before ({stored.reason}); the result is that of {folder.path}"
            reporter.tell(
                Progress("done", programs=stored.programs, best_fitness=stored.fitness_search.mean,
                         best_program=stored.program, message=message, text_kind=str(stored.tasks["kind"]))
            )  # fmt: skip
            return stored.with_warning(message)
        from selftaught.programs.run import Run

        return Run(problem, folder, reporter, began=began, store_url=store).execute()
    finally:
        folder.close()


def _columns(given: Sequence[str] | str | None) -> Sequence[str] | str | None:
    """Return the names of columns as a tuple; a single text stays one, which `load` refuses with a remedy."""
    return given if given is None or isinstance(given, str) else tuple(given) or None


def _finished(folder: RunFolder, settings: EvolveSettings) -> Evolution | None:
    """Return the stored result of a run that this budget would not carry on."""
    if folder.checkpoint is None or not folder.has_result:
        return None
    stored = Evolution.load(folder.path, settings.defining(), folder.read_history())
    if stored.reason in ("target", "exhausted"):
        return stored
    if stored.reason == "stopped":
        return None
    budget = folder.checkpoint.about.get("budget", {})
    larger = _above(settings.programs, budget.get("programs")) or _above(settings.seconds, budget.get("seconds"))
    return None if larger else stored


def _above(wanted: float | None, had: float | None) -> bool:
    return (math.inf if wanted is None else wanted) > (math.inf if had is None else had)
