"""`selftaught search-layer`: find a normalisation-activation layer for networks on a set of images."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from selftaught.cli.choices import LayerSearchKind, LayerStart
from selftaught.cli.interrupts import Interrupts
from selftaught.cli.quantities import clock, count, duration, fitness, whole_number
from selftaught.cli.run_options import going_on
from selftaught.errors import InputError
from selftaught.writing import write_atomically

if TYPE_CHECKING:
    from selftaught.layers import Confirmation, LayerStudy
    from selftaught.trial import Trial

__all__ = ["search_layer_command"]

_NUMBER = {"parser": whole_number, "metavar": "N"}
_SEARCH_SHARE = 0.7  # of the time; the rest is for training the best again
_CONFIRMED = 2  # of the best layers
_SILENCE = 10.0  # seconds after which a line says that there is work
MODULE, RESULT = "layer.py", "layer.json"


def search_layer_command(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(help="Images with classes: digits, cifar10, fashion-mnist, a folder, an .npz file."),
    ] = "digits",
    trials: Annotated[int, typer.Option(help="Layers to propose; most are rejected soon.", **_NUMBER)] = 60,
    seconds: Annotated[
        float | None,
        typer.Option(help="Be done after this time: 90, 10m, 1h30m.", parser=duration, metavar="TIME"),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the training that a layer is scored by.", **_NUMBER)] = 300,
    searcher: Annotated[
        LayerSearchKind, typer.Option(help="Evolution, or random search as its control.")
    ] = LayerSearchKind.EVOLUTION,
    start: Annotated[
        LayerStart, typer.Option(help="Begin with batch normalisation and ReLU, or with nothing.")
    ] = LayerStart.BN_RELU,
    population: Annotated[int, typer.Option(help="Layers that may become parents; the oldest leaves.", **_NUMBER)] = 50,
    seed: Annotated[int, typer.Option(help="The same seed and options give the same search.", **_NUMBER)] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for what is found; selftaught-runs/layers-... by default.", metavar="DIR"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Insist that there is a search to go on with.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, whatever is stored.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the final summary only.")] = False,
) -> None:
    """Find a normalisation-activation layer from basic maths, good in several networks at once.

    Writes the layer as a formula and as a torch module that needs nothing of ours.
    Ctrl-C ends well and keeps what was found; the same command goes on there.
    """
    goes_on = going_on(resume, fresh)
    began = context.obj if isinstance(context.obj, float) else time.perf_counter()
    import selftaught
    from selftaught.layers import Judge, Judging, confirm, image_task, search_layer
    from selftaught.layers.judging import StoppedEarly

    judging = Judging(steps=steps, check_steps=min(100, steps), seed=seed)
    task = image_task(selftaught.load(data), seed=seed)
    folder = out or Path("selftaught-runs") / f"layers-{task.train.name}-{searcher.value}-{start.value}-seed{seed}"
    stream = sys.stderr if as_json else sys.stdout
    lines = _Lines(stream, began, quiet=quiet)
    lines.say(f"{task.train.name}: {count(len(task.train))} images to train on, {count(len(task.valid))} to score by")
    confirmed: Confirmation | None = None
    with Interrupts() as interrupts:

        def on_trial(trial: Trial) -> None:
            interrupts.worth_keeping = True
            lines.update(trial)

        left = None if seconds is None else _SEARCH_SHARE * seconds - (time.perf_counter() - began)
        if left is not None and left <= 0:
            raise InputError(f"{seconds:g} seconds are over before a layer is tried; give more")
        found = search_layer(
            task, trials=trials, seconds=left, searcher=searcher.value,
            start=() if start is LayerStart.NOTHING else (start.value,), population=population, judging=judging,
            seed=seed, folder=folder, resume=goes_on, on_trial=on_trial,
            stop=lambda: lines.working() or interrupts.wanted,
        )  # fmt: skip
        if found.passed and not interrupts.wanted:
            interrupts.worth_keeping = True
            best = [trial.candidate for trial in found.ranked[:_CONFIRMED]]
            lines.say(f"training the best {len(best)} again, beside batch normalisation and ReLU")

            def late() -> bool:
                return interrupts.wanted or (seconds is not None and time.perf_counter() - began > seconds)

            try:
                confirmed = confirm(Judge(task, judging), best, stop=late)
            except StoppedEarly:
                lines.say("no time was left to train the best again: accuracies are those of the search")
        stopped = interrupts.wanted
    result = _result(found, confirmed, {"data": data, "seed": seed, "searcher": searcher.value, "start": start.value})
    result["stopped"] = stopped
    _write(folder, result)
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        _print(result, folder)


def _result(study: LayerStudy, confirmed: Confirmation | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what was found as plain data for JSON."""
    from dataclasses import asdict

    from selftaught.layers.confirming import CONTROL
    from selftaught.spaces import layer_formula, layer_latex, layer_space

    place = confirmed.chosen if confirmed is not None and confirmed.chosen is not None else 0
    best = study.ranked[place] if study.passed else study.best  # the latter says why there is none
    anchors = study.judging.anchors
    return {
        "formula": layer_formula(best.candidate), "latex": layer_latex(best.candidate),
        "candidate": layer_space().encode(best.candidate), "trial": best.number,
        "accuracy": {name: best.score.metrics[name] for name in anchors} if best.score else {},
        "test": None if confirmed is None else {
            name: {"found": confirmed.mean(confirmed.chosen, name), "control": confirmed.mean(CONTROL, name)}
            for name in anchors
        },
        "rows": [] if confirmed is None else list(confirmed.rows),
        "layers": len(study.trials), "passed": len(study.passed), "duplicates": study.duplicates,
        "rejected": study.rejected, "steps": study.steps, "finished": study.finished,
        "settings": {**settings, **asdict(study.judging)},
    }  # fmt: skip


def _write(folder: Path, result: dict[str, Any]) -> None:
    from selftaught.layers import layer_file
    from selftaught.spaces import layer_space

    module = layer_file(layer_space().decode(result["candidate"]))
    try:
        write_atomically(folder / MODULE, module.encode())
        write_atomically(folder / RESULT, (json.dumps(result, indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another --out") from None


class _Lines:
    """A line when a layer is the best so far, and every few seconds."""

    def __init__(self, stream: TextIO, began: float, *, quiet: bool, every: float = 5.0) -> None:
        self._stream, self._began, self._quiet, self._every = stream, began, quiet, every
        self._last, self._best, self._next = time.monotonic(), -1.0, 0

    def say(self, text: str) -> None:
        """Write a line, with the time that has passed."""
        if not self._quiet:
            self._stream.write(f"{clock(time.perf_counter() - self._began):>7}  {text}\n")
            self._stream.flush()

    def working(self) -> bool:
        """Write a line where nothing was written for a while; return False, as nothing is to be stopped."""
        now = time.monotonic()
        if now - self._last >= _SILENCE:
            self._last = now
            self.say(f"layer {count(self._next)}: training")
        return False

    def update(self, trial: Trial) -> None:
        """Take a trial that ended."""
        from selftaught.spaces import layer_formula

        self._next = trial.number + 1
        now = time.monotonic()
        if trial.score is not None and trial.score.value > self._best:
            self._best = trial.score.value
            formula = layer_formula(trial.candidate).replace("\n", "; ")
            self.say(f"layer {count(trial.number)}: {fitness(self._best)}, the best yet: {formula}")
        elif now - self._last >= self._every:
            self.say(f"layer {count(trial.number)}: {trial.error or 'passed'}")
        else:
            return
        self._last = now


def _print(result: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, markup=False)

    def say(text: str = "", style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)

    say()
    if result["stopped"]:
        say("stopped by you; the same command goes on")
    say("The layer", "bold")
    for line in result["formula"].splitlines():
        say(f"  {line}")
    say("accuracy on validation images: " + _listed(result["accuracy"]))
    if result["test"] is not None:
        for name, both in result["test"].items():
            found = "diverged" if both["found"] is None else fitness(both["found"])
            control = "diverged" if both["control"] is None else fitness(both["control"])
            say(f"  {name}: {found} on test images, batch normalisation with ReLU {control} (means of 2 seeds)")
    rejected = ", ".join(f"{reason} {number}" for reason, number in result["rejected"].items()) or "none"
    say(
        f"{count(result['layers'])} layers, {count(result['passed'])} passed, rejected: {rejected}; "
        f"{count(result['duplicates'])} computed the same as an earlier one; {count(int(result['steps']))} steps"
    )
    say(f"the module, which needs torch alone: {folder / MODULE}", "dim")


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {fitness(value)}" for name, value in values.items())
