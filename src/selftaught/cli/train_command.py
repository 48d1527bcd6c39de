"""`selftaught train`: train a reference network, beside cheap baselines, and keep what it made of every example."""

from __future__ import annotations

import enum
import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import selftaught
from selftaught.cli.choices import ModelKind, OptimiserKind, PrecisionKind, ScheduleKind, TargetKind
from selftaught.cli.config_file import write_config
from selftaught.cli.interrupts import Interrupts
from selftaught.cli.quantities import count, duration, number, whole_number
from selftaught.cli.reading_options import READING, DropColumns, IdColumn, Missing, Resize
from selftaught.cli.run_options import AsJson, Config, Fresh, Quiet, Resume, going_on, lasting, settings_given
from selftaught.errors import InputError

if TYPE_CHECKING:
    from selftaught.training import Progress
    from selftaught.training.training_run import Trained

__all__ = ["TRAIN_SETTINGS", "layer_sizes", "train_command", "train_config"]

#: What a settings file may hold.
TRAIN_SETTINGS = (
    "data", "target", "task", "missing", "drop", "id_column", "resize",
    "model", "hidden", "dropout", "epochs", "steps", "seconds", "batch_size", "optimiser",
    "lr", "weight_decay", "schedule", "warmup", "label_smoothing", "clip_norm", "flip", "crop", "randaugment",
    "cutout", "mixup", "cutmix", "ema", "precision", "device", "seed", "split_seed", "out",
)  # fmt: skip
_AUGMENT = ("flip", "crop", "cutout", "mixup", "cutmix")
_PLAIN = ("epochs", "steps", "seconds", "batch_size", "label_smoothing", "clip_norm", "precision", "device", "seed")
_DATA, _BUDGET, _MODEL, _TRAINING, _IMAGES, _FILES = "Data", "Budget", "Model", "Training", "Augmentation", "Files"
_WHOLE: dict[str, Any] = {"parser": whole_number, "metavar": "N"}
_REAL: dict[str, Any] = {"parser": number, "metavar": "X"}


def train_command(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            help="digits (default), iris, cifar10 ...; a .csv, .tsv, .parquet or .npz file; a folder of images.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict.", metavar="COLUMN", rich_help_panel=_DATA)
    ] = None,
    task: Annotated[
        TargetKind | None, typer.Option(help="Read the target as classes or as a number.", rich_help_panel=_DATA)
    ] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the examples; 20 by default.", rich_help_panel=_BUDGET, **_WHOLE)
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Or so many steps.", rich_help_panel=_BUDGET, **_WHOLE)] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="Or be done after this time, the test included: 90, 10m, 1h30m.",
            parser=duration,
            metavar="TIME",
            rich_help_panel=_BUDGET,
        ),
    ] = None,
    model: Annotated[
        ModelKind | None, typer.Option(help="mlp by default; cnn is for images.", rich_help_panel=_MODEL)
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            help="Units of the hidden layers, or channels of the convolutions, such as 128,64.",
            metavar="N,N",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Rate of dropout.", rich_help_panel=_MODEL, **_REAL)] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Examples a step; 128 by default.", rich_help_panel=_TRAINING, **_WHOLE)
    ] = None,
    optimiser: Annotated[
        OptimiserKind | None, typer.Option(help="adamw by default.", rich_help_panel=_TRAINING)
    ] = None,
    lr: Annotated[
        float | None, typer.Option(help="The largest learning rate.", rich_help_panel=_TRAINING, **_REAL)
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of weights.", rich_help_panel=_TRAINING, **_REAL)] = None,
    schedule: Annotated[
        ScheduleKind | None, typer.Option(help="cosine by default.", rich_help_panel=_TRAINING)
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(help="Share of the steps in which the rate rises.", rich_help_panel=_TRAINING, **_REAL),
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Share of a label for all classes.", rich_help_panel=_TRAINING, **_REAL)
    ] = None,
    clip_norm: Annotated[
        float | None, typer.Option(help="Largest norm of the gradient.", rich_help_panel=_TRAINING, **_REAL)
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(help="Average the weights with this decay, such as 0.999.", rich_help_panel=_TRAINING, **_REAL),
    ] = None,
    precision: Annotated[
        PrecisionKind | None,
        typer.Option(help="float32 by default; auto measures both.", rich_help_panel=_TRAINING),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda ...", metavar="NAME", rich_help_panel=_TRAINING)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same seed and options give the same model.", rich_help_panel=_TRAINING, **_WHOLE),
    ] = None,
    split_seed: Annotated[
        int | None,
        typer.Option(
            help="Of what is set apart for the test; as --seed. One for several seeds gives models to audit together.",
            rich_help_panel=_TRAINING, **_WHOLE,
        ),
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror images at random.", rich_help_panel=_IMAGES)] = False,
    crop: Annotated[
        int | None, typer.Option(help="Pad by so many pixels and crop at random.", rich_help_panel=_IMAGES, **_WHOLE)
    ] = None,
    randaugment: Annotated[
        float | None,
        typer.Option(help="Two random operations of this magnitude, 0 to 30.", rich_help_panel=_IMAGES, **_REAL),
    ] = None,
    cutout: Annotated[
        int | None, typer.Option(help="Blank a square of this side.", rich_help_panel=_IMAGES, **_WHOLE)
    ] = None,
    mixup: Annotated[
        float | None, typer.Option(help="Mix examples, tables too; alpha.", rich_help_panel=_IMAGES, **_REAL)
    ] = None,
    cutmix: Annotated[
        float | None, typer.Option(help="Paste boxes of other images; alpha.", rich_help_panel=_IMAGES, **_REAL)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; selftaught-runs/train-... by default.", metavar="DIR", rich_help_panel=_FILES
        ),
    ] = None,
    resume: Resume = False,
    fresh: Fresh = False,
    config: Config = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a network on DATA, and score it once on examples set apart, beside cheap baselines.

    Ctrl-C ends well and keeps what was learnt.
    The same command goes on where an interrupted one stopped.
    """
    goes_on = going_on(resume, fresh)
    settings = settings_given(locals(), TRAIN_SETTINGS, config)
    _run(settings, resume=goes_on, as_json=as_json, quiet=quiet, began=context.obj)


def _run(settings: dict[str, Any], *, resume: bool | None, as_json: bool, quiet: bool, began: float | None) -> None:
    from selftaught.cli.train_view import TrainView
    from selftaught.training import require_torch

    require_torch()  # before the data are read, which may take long
    from selftaught.datasets import load
    from selftaught.training.training_run import train

    data = str(settings.get("data", "digits"))
    name = str(settings.get("model", "mlp"))
    told = train_config(settings)
    reading = {name: settings[name] for name in READING if name in settings}
    examples = load(data, settings.get("target"), task=settings.get("task"), **reading)
    folder = _folder(settings, examples.name, name)
    stream = sys.stderr if as_json else sys.stdout
    with Interrupts() as interrupts, TrainView(stream, f"{name} on {examples.name}", shown=not quiet) as view:

        def on_progress(progress: Progress) -> str | None:
            interrupts.worth_keeping |= progress.step > 0
            view.update(progress, stopping=interrupts.wanted)
            return "stop" if interrupts.wanted else None

        found = train(
            examples, model=name, out=folder, config=told, hidden=layer_sizes(settings.get("hidden")),  # type: ignore[arg-type]
            dropout=float(settings.get("dropout", 0.0)), ema=settings.get("ema"),
            split_seed=settings.get("split_seed"), resume=resume, on_baselines=view.tell_baselines,
            on_progress=on_progress, began=began,
        )  # fmt: skip
    command = f"selftaught train --config {shlex.quote(str(folder / 'config.toml'))} --fresh"
    kept = {"data": lasting(data), **{key: settings[key] for key in TRAIN_SETTINGS[1:-1] if key in settings}}
    write_config(folder / "config.toml", kept, f"selftaught {selftaught.__version__}: {command}")
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict() | {"folder": str(folder)}, indent=2) + "\n")
    else:
        _print(found, name, examples.name)


def train_config(settings: dict[str, Any]) -> Any:
    """Return the `TrainConfig` of flat settings.

    Raises:
        InputError: one is out of its range.
    """
    from selftaught.training import SGD, AdamW, Augment, Constant, Cosine, Lion, OneCycle, RandAugment, TrainConfig

    make = {"sgd": SGD, "adamw": AdamW, "lion": Lion}[_one_of(settings, "optimiser", OptimiserKind, "adamw")]
    steps: dict[str, Any] = {"cosine": Cosine, "one-cycle": OneCycle, "constant": Constant}
    chosen = _one_of(settings, "schedule", ScheduleKind, "cosine")
    warm = {"warmup": settings["warmup"]} if "warmup" in settings else {}
    if warm and chosen == "one-cycle":
        raise InputError("--warmup does not go with --schedule one-cycle, which rises by itself; leave one of them out")
    if warm and not 0 <= warm["warmup"] < 1:
        raise InputError(f"warmup must be from 0 to below 1, got {warm['warmup']}")
    augment = {name: settings[name] for name in _AUGMENT if name in settings}
    if "randaugment" in settings:
        augment["randaugment"] = RandAugment(magnitude=settings["randaugment"])
    return TrainConfig(
        optimiser=make(**{name: settings[name] for name in ("lr", "weight_decay") if name in settings}),
        schedule=steps[chosen](**warm),
        augment=Augment(**augment) if augment else None,
        **{name: settings[name] for name in _PLAIN if name in settings},
    )


def _one_of(settings: dict[str, Any], name: str, kinds: type[enum.StrEnum], default: str) -> str:
    value = str(settings.get(name, default))
    if value not in [kind.value for kind in kinds]:
        raise InputError(f"{name} must be one of {', '.join(kind.value for kind in kinds)}, got {value!r}")
    return value


def layer_sizes(text: Any) -> tuple[int, ...] | None:
    """Read the widths of layers: 128,64."""
    if text is None:
        return None
    if not isinstance(text, str) or not re.fullmatch(r"[1-9]\d{0,5}(,[1-9]\d{0,5})*", text.replace(" ", "")):
        raise InputError(f"hidden must be whole numbers with commas, such as 128,64, got {text!r}")
    return tuple(int(one) for one in text.replace(" ", "").split(","))


def _folder(settings: dict[str, Any], data: str, model: str) -> Path:
    if "out" in settings:
        return Path(settings["out"]).expanduser()
    plain = re.sub(r"[^\w.-]+", "-", data).strip("-.")[:80] or "data"
    return Path("selftaught-runs") / f"train-{plain}-{model}-{settings.get('seed', 0)}"


def _print(found: Trained, model: str, data: str) -> None:
    from rich.console import Console
    from rich.table import Table

    result = found.to_dict()
    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(f"{data}, test")
    table.add_column("accuracy" if result["metric"] == "accuracy" else "R2", justify="right")
    table.add_column("95 % interval")
    test = result["test"]
    rows = [(model, test["score"], test["low"], test["high"])]
    rows += [(one["name"], one["score"], one["low"], one["high"]) for one in result["baselines"]]
    for name, score, low, high in sorted(rows, key=lambda row: -row[1]):
        table.add_row(name, f"{score:.4f}", f"[{low:.4f}, {high:.4f}]", style="bold" if name == model else "")
    console.print(table)
    best = max(result["baselines"], key=lambda one: one["score"])
    if not result["beats_baselines"]:
        console.print(f"The network does not beat {best['name']}: take that.")
    elif not result["beyond_intervals"]:
        console.print(f"The network is ahead of {best['name']}, but within the uncertainty.")
    cost = result["cost"]
    one, many = cost["latencies"]
    console.print(
        f"{count(cost['parameters'])} parameters, {cost['flops'] / 2e6:.3g} million multiply-adds an example; "
        f"{1e3 * one['median']:.3g} ms for one, {1e3 * many['median']:.3g} ms for {many['batch']}"
    )
    state = "" if result["finished"] else "; the same command goes on"
    if not result["steps"]:
        console.print("No step fitted into the time: give more --seconds.")
    console.print(f"{result['epochs']} epochs, {count(result['steps'])} steps, {result['seconds']:.1f} s{state}")
    console.print(f"{found.folder}")
