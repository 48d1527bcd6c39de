"""`selftaught compress`: a trained model made smaller, what it gains on this machine, and what it forgot."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import selftaught
from selftaught.cli.choices import (
    ImportanceKind,
    LowBitsKind,
    OptimiserKind,
    PruningSchedule,
    RankingKind,
    ScheduleKind,
    SparseStartKind,
    TargetKind,
)
from selftaught.cli.config_file import read_config, write_config
from selftaught.cli.interrupts import Interrupts
from selftaught.cli.quantities import number, whole_number
from selftaught.cli.reading_options import READING, DropColumns, IdColumn, Missing, Resize, columns
from selftaught.cli.run_options import AsJson, Config, Fresh, Quiet, Resume, going_on, lasting, settings_given
from selftaught.errors import InputError

if TYPE_CHECKING:
    from selftaught.examples import Examples
    from selftaught.plans import CompressedRun, Parts, Source
    from selftaught.training import Progress

__all__ = ["COMPRESS_SETTINGS", "compress_command"]

#: What a settings file may hold.
COMPRESS_SETTINGS = (
    "model", "weights", "data", "test", "column", "task", "missing", "drop", "id_column", "resize", "groups",
    "prune", "amount", "start", "ranking", "schedule", "importance", "round_to", "cuts", "ignore", "int8", "onnx",
    "kernels", "distil",
    "epochs", "batch_size", "optimiser", "lr", "weight_decay", "lr_schedule", "flip", "crop",
    "target", "protect", "batch", "threads", "rounds", "device", "seed", "out", "ratios",
)  # fmt: skip
_DATA, _CUT, _TRAINING, _AIM, _FILES = "Data", "What goes", "Fine-tuning", "Aim and clock", "Files"
EXIT_MISSED = 1  # a target was not reached
_WHOLE: dict[str, Any] = {"parser": whole_number, "metavar": "N"}
_REAL: dict[str, Any] = {"parser": number, "metavar": "X"}

#: Options that ask for a cut; without any of them, --int8 and --onnx alone cut nothing.
_CUTS = {"prune", "amount", "importance", "round_to", "target"}


def compress_command(
    model: Annotated[
        str | None,
        typer.Argument(
            help="The folder of a `selftaught train`, or file.py:function that returns a torch module.",
            metavar="MODEL",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Of the function's module, as safetensors.", metavar="FILE")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="What it predicts: a name, a file or a folder; that of the model's training by default.",
            metavar="DATA",
            rich_help_panel=_DATA,
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(help="Examples kept apart, to judge by, read alike.", metavar="DATA", rich_help_panel=_DATA),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="The column to predict.", metavar="COLUMN", rich_help_panel=_DATA)
    ] = None,
    task: Annotated[
        TargetKind | None, typer.Option(help="Read the column as classes or as a number.", rich_help_panel=_DATA)
    ] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    groups: Annotated[
        Any,
        typer.Option(
            help="Columns whose values are sub-groups, such as sex,region.",
            parser=columns,
            metavar="COLUMN",
            rich_help_panel=_DATA,
        ),
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option(
            help="channels (default), magnitude, n:m or blocks; several with commas.",
            metavar="KIND",
            rich_help_panel=_CUT,
        ),
    ] = None,
    amount: Annotated[
        str | None,
        typer.Option(
            help="The share that goes, such as 0.5, or 2:4; one for each kind.", metavar="X", rich_help_panel=_CUT
        ),
    ] = None,
    start: Annotated[
        SparseStartKind | None,
        typer.Option(help="Train from new weights instead, sparse from the start.", rich_help_panel=_CUT),
    ] = None,
    ranking: Annotated[
        RankingKind | None, typer.Option(help="Of weights; global by default.", rich_help_panel=_CUT)
    ] = None,
    schedule: Annotated[
        PruningSchedule | None, typer.Option(help="Of magnitude; gradual by default.", rich_help_panel=_CUT)
    ] = None,
    importance: Annotated[
        ImportanceKind | None, typer.Option(help="Of channels; l2 by default.", rich_help_panel=_CUT)
    ] = None,
    round_to: Annotated[
        int | None, typer.Option(help="Channels left are a multiple; 16.", rich_help_panel=_CUT, **_WHOLE)
    ] = None,
    cuts: Annotated[int | None, typer.Option(help="Of rewind; 1.", rich_help_panel=_CUT, **_WHOLE)] = None,
    ignore: Annotated[
        Any,
        typer.Option(
            help="Weights or modules that stay.", parser=columns, metavar="NAME,NAME", rich_help_panel=_CUT
        ),
    ] = None,
    int8: Annotated[
        LowBitsKind | None,
        typer.Option(help="Hold it in few bits, as a file that onnxruntime runs.", rich_help_panel=_CUT),
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Leave a file in float32 that onnxruntime runs.", rich_help_panel=_CUT)
    ] = False,
    kernels: Annotated[
        bool,
        typer.Option("--kernels", help="Choose each layer's fastest form here, by measurement.", rich_help_panel=_CUT),
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Of fine-tuning; 5 by default, 0 for none.", rich_help_panel=_TRAINING, **_WHOLE)
    ] = None,
    distil: Annotated[
        bool, typer.Option("--distil", help="Learn from the dense model too.", rich_help_panel=_TRAINING)
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(help="Examples a step.", rich_help_panel=_TRAINING, **_WHOLE)
    ] = None,
    optimiser: Annotated[
        OptimiserKind | None,
        typer.Option(help="That of the model's own training by default.", rich_help_panel=_TRAINING),
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="The largest learning rate.", rich_help_panel=_TRAINING, **_REAL)
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of weights.", rich_help_panel=_TRAINING, **_REAL)] = None,
    lr_schedule: Annotated[
        ScheduleKind | None, typer.Option(help="cosine by default.", rich_help_panel=_TRAINING)
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror images at random.", rich_help_panel=_TRAINING)] = False,
    crop: Annotated[
        int | None, typer.Option(help="Pad by so many pixels and crop.", rich_help_panel=_TRAINING, **_WHOLE)
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Search until this holds, measured: latency=0.5x, latency=2ms, size=0.3x, multiply-adds=0.25x.",
            metavar="WHAT=X",
            rich_help_panel=_AIM,
        ),
    ] = None,
    protect: Annotated[
        bool,
        typer.Option(
            "--protect", help="Keep the worst class, or group of --groups; prints the price.", rich_help_panel=_AIM
        ),
    ] = False,
    batch: Annotated[
        str | None, typer.Option(help="Batch sizes to time; 1,32.", metavar="N,N", rich_help_panel=_AIM)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Of the clock; 1.", rich_help_panel=_AIM, **_WHOLE)
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Of timing, in turns; 30.", rich_help_panel=_AIM, **_WHOLE)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu by default.", metavar="NAME", rich_help_panel=_AIM)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is drawn.", rich_help_panel=_TRAINING, **_WHOLE)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; selftaught-runs/compress-... by default.", metavar="DIR", rich_help_panel=_FILES
        ),
    ] = None,
    resume: Resume = False,
    fresh: Fresh = False,
    config: Config = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make a trained MODEL smaller, measure what it gains here, and say what it forgot.

    Judged on examples that the model was not trained on, as far as is known. Ctrl-C keeps what there is, and
    the same command goes on.
    """
    goes_on = going_on(resume, fresh)
    settings = settings_given(locals(), COMPRESS_SETTINGS, config)
    _run(settings, resume=goes_on, as_json=as_json, quiet=quiet)


def _run(settings: dict[str, Any], *, resume: bool | None, as_json: bool, quiet: bool) -> None:
    if "model" not in settings:
        raise InputError("there is no model to compress; give the folder of a `selftaught train`, or file.py:function")
    from selftaught.training import require_torch

    require_torch()
    from selftaught.cli.compress_view import print_compressed
    from selftaught.cli.train_view import TrainView
    from selftaught.plans import load_source

    source = load_source(str(settings["model"]), weights=settings.get("weights"))
    settings = {**_own_reading(source.folder, settings), **settings}
    examples, test = _data(settings)
    folder = _folder(settings, source.name)
    stream = sys.stderr if as_json else sys.stdout
    with Interrupts() as interrupts, TrainView(stream, f"{source.name} on {examples.name}", shown=not quiet) as view:

        def on_start(parts: Parts, warnings: Any) -> None:
            view.say(f"{len(parts.train)} examples to train, {len(parts.valid)} to choose by, {len(parts.test)} to "
                     f"judge by: {parts.told}")  # fmt: skip
            for one in warnings:
                view.say(f"warning: {one}")

        def on_progress(progress: Progress) -> str | None:
            interrupts.worth_keeping |= progress.step > 0
            view.update(progress, stopping=interrupts.wanted)
            return "stop" if interrupts.wanted else None

        found = _compressed(source, examples, test, settings, folder, resume, on_start, on_progress, view.say)
    command = f"selftaught compress --config {shlex.quote(str(folder / 'plan.toml'))} --fresh"
    write_config(folder / "plan.toml", _resolved(settings, found), f"selftaught {selftaught.__version__}: {command}")
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict() | {"folder": str(folder)}, indent=2) + "\n")
    else:
        print_compressed(found)
    if found.share > 1:
        raise typer.Exit(EXIT_MISSED)


def _compressed(
    source: Source,
    examples: Examples,
    test: Examples | None,
    settings: dict[str, Any],
    folder: Path,
    resume: bool | None,
    on_start: Any,
    on_progress: Any,
    say: Any,
) -> CompressedRun:
    from selftaught.plans import (
        Choosing,
        Judging,
        compress,
        cuts_of,
        plan_of,
        start_of,
        target_of,
        training_of,
    )

    seed = int(settings.get("seed", 0))
    judging = Judging(
        batches=_sizes(settings.get("batch", "1,32")), seed=seed, groups=tuple(settings.get("groups", ())),
        **{name: settings[name] for name in ("threads", "rounds", "device") if name in settings},
    )  # fmt: skip
    ranking = str(settings.get("ranking", "global"))
    started = settings.get("start")
    if started is not None and "prune" in settings:
        raise InputError("--start trains from new weights and --prune cuts trained ones; give one of them")
    given = _training(settings)
    none = given.get("epochs") == 0
    if none and started is not None:
        raise InputError("--start trains the model anew, so it needs epochs; leave out --epochs 0")
    training = None if none else training_of(source, given, anew=started is not None, seed=seed)
    if started is not None:
        amount = settings.get("amount")
        first = start_of(
            str(started), None if amount is None else str(amount), ranking=ranking, cuts=int(settings.get("cuts", 1))
        )
        steps: tuple[Any, ...] = (first,)
    elif {"int8", "onnx"} & set(settings) and not _CUTS & set(settings):
        wanted = "epochs" in settings or settings.get("int8") == "qat" or "protect" in settings
        steps, training = (), training if wanted else None
    else:
        steps = cuts_of(
            str(settings.get("prune", "channels")),
            None if settings.get("amount") is None else str(settings["amount"]),
            ranking=ranking, schedule=str(settings.get("schedule", "gradual")),
            importance=str(settings.get("importance", "l2")), round_to=int(settings.get("round_to", 16)),
            ratios=settings.get("ratios"),
        )  # fmt: skip
    plan = plan_of(
        steps, training, distil=bool(settings.get("distil", False)), int8=settings.get("int8"),
        onnx=bool(settings.get("onnx", False)), kernels=judging.batches if settings.get("kernels") else (), seed=seed,
    )  # fmt: skip
    target = target_of(str(settings["target"])) if "target" in settings else None
    protected = bool(settings.get("protect", False))
    ignore = tuple(settings.get("ignore", ()))
    request = {"data": examples.name}
    chosen: Any = plan
    if target is not None or protected:
        if protected and training is None:
            raise InputError("--protect works while fine-tuning; leave out --epochs 0")
        column = judging.groups[0] if protected and judging.groups else ""
        chosen = Choosing(
            plan, target=target, protected=protected, column=column, batches=judging.batches, threads=judging.threads,
            ignore=ignore, say=say, on_progress=on_progress,
        )  # fmt: skip
    return compress(
        source, examples, chosen, out=folder, request=request, test=test, judging=judging, target=target,
        ignore=ignore, resume=resume, on_start=on_start, on_progress=on_progress,
    )  # fmt: skip


def _training(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what was said of the fine-tuning, as `TrainConfig` takes it."""
    from selftaught.cli.train_command import train_config

    names = ("optimiser", "lr", "weight_decay", "flip", "crop")
    told = {name: settings[name] for name in names if name in settings}
    if "lr_schedule" in settings:
        told["schedule"] = settings["lr_schedule"]
    made = train_config(told)
    found: dict[str, Any] = {name: settings[name] for name in ("epochs", "batch_size", "device") if name in settings}
    found.setdefault("device", "cpu")
    if {"optimiser", "lr", "weight_decay"} & set(told):
        found["optimiser"] = made.optimiser
    if {"flip", "crop"} & set(told):
        found["augment"] = made.augment
    if "schedule" in told:
        found["schedule"] = made.schedule
    return found


def _own_reading(folder: Path | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Return how the model's own training read its data, where that is known and no other data are given."""
    if folder is None or "data" in settings:
        return {}
    from selftaught.cli.train_command import TRAIN_SETTINGS

    for name, known in (("config.toml", TRAIN_SETTINGS), ("plan.toml", COMPRESS_SETTINGS)):
        if (folder / name).is_file():
            held = read_config(folder / name, known)
            wanted = ("data", "task", *READING) if name == "config.toml" else ("data", "task", "column", *READING)
            found = {one: held[one] for one in wanted if one in held}
            if name == "config.toml" and "target" in held:
                found["column"] = held["target"]
            return found
    return {}


def _data(settings: dict[str, Any]) -> tuple[Examples, Examples | None]:
    from selftaught.datasets import load

    if "data" not in settings:
        raise InputError("there is no data to judge by; give --data a name, a file or a folder")
    reading = {name: settings[name] for name in READING if name in settings}
    if settings.get("groups"):
        reading["group_columns"] = tuple(settings["groups"])

    def read(place: str) -> Examples:
        return load(place, settings.get("column"), task=settings.get("task"), **reading)

    examples = read(str(settings["data"]))
    return examples, read(str(settings["test"])) if "test" in settings else None


def _sizes(text: Any) -> tuple[int, ...]:
    """Read batch sizes: 1,32."""
    words = ",".join(str(one) for one in text) if isinstance(text, list | tuple) else str(text)
    if not re.fullmatch(r"[1-9]\d{0,5}(,[1-9]\d{0,5})*", words.replace(" ", "")):
        raise InputError(f"batch must be whole numbers with commas, such as 1,32, got {text!r}")
    return tuple(dict.fromkeys(int(one) for one in words.replace(" ", "").split(",")))


def _folder(settings: dict[str, Any], model: str) -> Path:
    if "out" in settings:
        return Path(settings["out"]).expanduser()
    plain = re.sub(r"[^\w.-]+", "-", model).strip("-.")[-80:] or "model"
    return Path("selftaught-runs") / f"compress-{plain}-{settings.get('seed', 0)}"


def _resolved(settings: dict[str, Any], found: CompressedRun) -> dict[str, Any]:
    """Return the settings that repeat a run: what a search found stands in the place of its target."""
    kept = {name: settings[name] for name in COMPRESS_SETTINGS if name in settings and name != "out"}
    cut = next((one for one in found.made.plan.steps if one.kind == "channels"), None)
    if kept.pop("target", None) is not None and cut is not None:
        kept |= {"ratios": cut.ratio, "importance": cut.importance, "prune": kept.get("prune", "channels")}
    for name in ("model", "data", "test"):
        if name in kept:
            kept[name] = lasting(str(kept[name]))
    if "weights" in kept:
        kept["weights"] = str(Path(kept["weights"]).expanduser().absolute())
    return kept
