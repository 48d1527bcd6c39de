"""`selftaught audit`: what a change of models forgot, and for whom, beside what seeds alone do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selftaught.cli.choices import ModelKind, TargetKind
from selftaught.cli.quantities import number, whole_number
from selftaught.cli.reading_options import DropColumns, IdColumn, Missing, Resize, columns, reading_given
from selftaught.cli.run_options import AsJson, Fresh, Quiet
from selftaught.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from selftaught.audit import Population, Robustness, Sweep
    from selftaught.examples import Examples

    Maker = Callable[[], Any]

__all__ = ["audit_command"]

LEAST_UNSEEN = 30
_SWEEP, _OUTPUT = "Sweep over sparsity", "Output"
_WHOLE: dict[str, Any] = {"parser": whole_number, "metavar": "N", "rich_help_panel": _SWEEP}


def audit_command(
    populations: Annotated[
        list[str] | None,
        typer.Argument(
            help="BEFORE and AFTER, or a population a level: predictions as .npz, the folder of a model from "
            "`selftaught train` or `compress`, a folder of such, or weights as .safetensors. None with --sweep.",
            metavar="BEFORE AFTER ...",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str, typer.Option(help="What was predicted: a name, a file or a folder, as for train.", metavar="DATA")
    ] = "digits",
    target: Annotated[str | None, typer.Option(help="The column that is predicted.", metavar="COLUMN")] = None,
    task: Annotated[TargetKind | None, typer.Option(help="Read the target as classes or as a number.")] = None,
    groups: Annotated[
        Any,
        typer.Option(
            help="Columns whose values are sub-groups, such as sex,region; their pairs too.",
            parser=columns,
            metavar="COLUMN",
        ),
    ] = None,
    missing: Missing = None,
    drop: DropColumns = None,
    id_column: IdColumn = None,
    resize: Resize = None,
    slices: Annotated[
        bool, typer.Option("--slices", help="Look for parts of the data, named by nobody, where labels changed most.")
    ] = False,
    corruptions: Annotated[
        bool,
        typer.Option("--corruptions", help="Run both on noisy, blurred, pale or incomplete inputs; models, not .npz."),
    ] = False,
    make: Annotated[
        str | None,
        typer.Option(
            help="Your function that makes the torch module, for weights alone and for what compress left of it.",
            metavar="FILE.PY:FUNCTION",
        ),
    ] = None,
    paired: Annotated[
        bool,
        typer.Option("--paired", help="Each model after was made from that at its place before, as by compress."),
    ] = False,
    rate: Annotated[
        float, typer.Option("--q", help="False discovery rate of classes and groups.", parser=number, metavar="X")
    ] = 0.05,
    seed: Annotated[
        int,
        typer.Option(help="Of the sweep, and of draws where models have too many subsets.", parser=whole_number,
                     metavar="N"),
    ] = 0,
    sweep: Annotated[
        str | None,
        typer.Option(
            help="Train a population at each of these shares of zeros and audit them: 0,0.5,0.9,0.95.",
            metavar="X,X",
            rich_help_panel=_SWEEP,
        ),
    ] = None,
    model: Annotated[
        ModelKind | None, typer.Option(help="mlp by default; cnn is for images.", rich_help_panel=_SWEEP)
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(help="Units of the hidden layers, or channels of the convolutions.", metavar="N,N",
                     rich_help_panel=_SWEEP),
    ] = None,
    models: Annotated[int | None, typer.Option(help="Models a population; 6 by default.", **_WHOLE)] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the examples; 20 by default.", **_WHOLE)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step; 128 by default.", **_WHOLE)] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="The largest learning rate.", parser=number, metavar="X", rich_help_panel=_SWEEP),
    ] = None,
    mitigate: Annotated[
        bool,
        typer.Option(
            "--mitigate",
            help="At the last level, try what protects the examples found, and print its price.",
            rich_help_panel=_SWEEP,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .json file for everything, or a folder for that, columns of the ledger and a page.",
            metavar="PLACE",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare models, or populations that differ by seed, on DATA: what was forgotten, and for whom.

    Every number stands beside what seeds alone do; four models before the change are the least that a finding needs.
    Models from `selftaught train` are compared on the examples that none of them learned from.
    With --sweep the populations are trained first. A sweep that was interrupted goes on after its last whole level.
    """
    if not 0 < rate < 1:
        raise InputError(f"q must be between 0 and 1, got {rate}")
    places = list(populations or ())
    given = {"--model": model, "--hidden": hidden, "--models": models, "--epochs": epochs, "--batch-size": batch_size,
             "--lr": lr, "--mitigate": mitigate or None, "--fresh": fresh or None}  # fmt: skip
    if sweep is None:
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{name} goes with --sweep, which trains the populations; leave it out, or give both")
        if len(places) < 2:
            raise InputError(f"an audit compares two populations or more, got {len(places)}; give BEFORE and AFTER, "
                             "or --sweep 0,0.5,0.9 to train them")  # fmt: skip
    elif paired:
        raise InputError("--sweep trains every level with seeds of its own, so nothing is paired; leave --paired out")
    elif places:
        raise InputError(f"--sweep trains its own populations; leave {places[0]!r} out, or --sweep")
    if (slices or corruptions) and len(places) != 2:
        name = "--slices" if slices else "--corruptions"
        raise InputError(f"{name} compares two populations, got {len(places)}; give BEFORE and AFTER")
    if corruptions and not all(map(_is_models, places)):
        raise InputError("--corruptions runs models on corrupted inputs; give both as folders of `selftaught train`")
    if make is not None and not any(map(_is_models, places)):
        raise InputError("--make makes the modules of folders and weights; leave it out, or give models")
    from selftaught.datasets import load

    writer = _Writer(out, [Path(one) for one in (*places, data)])
    reading = reading_given(missing, drop, id_column, resize)
    if groups:
        reading["group_columns"] = groups
    examples = load(data, target, task=task.value if task else None, **reading)
    if not examples.num_classes:
        raise InputError(f"{data} has no classes to predict; an audit compares classes")
    options: dict[str, Any] = {"groups": tuple(groups or ()), "q": rate, "seed": seed}
    if sweep is not None:
        from selftaught.cli.sweep_run import run_sweep

        run_sweep(
            examples, sweep, model=model.value if model else "mlp", hidden=hidden, models=models, epochs=epochs,
            batch_size=batch_size, lr=lr, mitigate=mitigate, writer=writer, fresh=fresh, as_json=as_json, quiet=quiet,
            **options,
        )  # fmt: skip
        return
    if paired:
        _require_pairs(places)
        options["paired"] = True
    maker = _maker(make)
    unseen = _unseen(examples, places)
    named: dict[str, Population] = {}
    for place in places:
        name = place if place not in named else f"{place} ({len(named) + 1})"
        named[name] = _population(place, examples, unseen, name, maker)
    _compare(
        named, unseen, options, writer, places, maker=maker, slices=slices, corruptions=corruptions, as_json=as_json,
        quiet=quiet,
    )  # fmt: skip


def _compare(
    named: Mapping[str, Population], unseen: Examples, options: Mapping[str, Any], writer: _Writer,
    places: list[str], *, maker: Maker | None, slices: bool, corruptions: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    from selftaught.audit import audit
    from selftaught.audit import sweep as audit_levels
    from selftaught.cli.audit_view import print_audit, print_corruptions, print_slices, print_sweep

    old, *changed = named.values()
    if len(changed) > 1:
        found = audit_levels(list(named.values()), unseen, **options)
        told = found.to_dict()
    else:
        embedding = _embedding(places[0], unseen, maker) if slices else None
        single = audit(old, changed[0], unseen, slices=slices, embedding=embedding, **options)
        told = {"data": unseen.name, "before": places[0], "after": places[1], **single.to_dict()}
        robust = _robust(places, unseen, int(options["seed"]), maker) if corruptions else ()
        if robust:
            told["corruptions"] = [one.to_dict() for one in robust]
    page = None
    if writer.folder is not None:
        if len(changed) == 1 and unseen.labels is not None:
            found = audit_levels(list(named.values()), unseen, **options)
        asked = {name: told[name] for name in ("slices", "corruptions") if told.get(name) is not None}
        page = writer.write_folder(found, named, unseen, asked)
    text = json.dumps(told, indent=2) + "\n"
    writer.write_file(text)
    if as_json:
        typer.echo(text, nl=False)
        return
    if len(changed) > 1:
        print_sweep(found)
    else:
        print_audit(single, unseen.name)
        if single.slices is not None:
            print_slices(single.slices)
        if robust:
            print_corruptions(robust)
    if page is not None and not quiet:
        typer.echo(str(page))


class _Writer:
    """Where an audit goes: nowhere, a JSON file, or a folder."""

    def __init__(self, out: Path | None, read: list[Path]) -> None:
        from selftaught.writing import file_to_write

        self.file = self.folder = None
        if out is None:
            return
        place = out.expanduser()
        if place.suffix == ".json" or (place.exists() and not place.is_dir()):
            self.file = file_to_write(out, read=read)
        else:
            self.folder = place

    def write_file(self, text: str) -> None:
        if self.file is not None:
            from selftaught.writing import write_atomically

            write_atomically(self.file, text.encode())

    def write_folder(
        self, found: Sweep, named: Mapping[str, Population], examples: Examples, more: Mapping[str, Any] | None = None
    ) -> Path:
        """Write findings, ledger and page; return where the page lies."""
        import shlex

        from selftaught.audit import write_findings
        from selftaught.report import write_audit_page

        if self.folder is None:
            raise InputError("there is no folder to write to; give --out FOLDER")
        command = shlex.join(["selftaught", *sys.argv[1:]])
        return write_audit_page(write_findings(self.folder, found, named, examples, command=command, more=more))


def _is_models(place: str) -> bool:
    path = Path(place).expanduser()
    return path.is_dir() or path.suffix == ".safetensors"


def _maker(name: str | None) -> Maker | None:
    """Return the user's function that makes modules, from file.py:function."""
    if name is None:
        return None
    from selftaught.training import require_torch

    require_torch()
    from selftaught.plans import load_source

    if ":" not in name:
        raise InputError(f"--make wants file.py:function, got {name!r}")
    source = load_source(name)
    return lambda: source.make(0)


def _require_pairs(places: list[str]) -> None:
    """Check that folders of models have the same names, which is what pairs them.

    Raises:
        InputError: they have not.
    """
    folders = [place for place in places if _is_models(place)]
    if not folders:
        return
    from selftaught.training import require_torch

    require_torch()
    from selftaught.audit.trained import model_folders

    named = {place: [one.name for one in model_folders(place) if one != Path(place).expanduser()] for place in folders}
    first, *others = named.items()
    for place, names in others:
        if names != first[1]:
            raise InputError(f"--paired takes folders with models of the same names, and those in {place} are not "
                             f"called as those in {first[0]}; rename them, or leave --paired out")  # fmt: skip


def _unseen(examples: Examples, places: list[str]) -> Examples:
    """Return the examples that no model given as a folder has learned from."""
    folders = [place for place in places if _is_models(place)]
    if not folders:
        return examples
    from selftaught.training import require_torch

    require_torch()
    import numpy as np

    from selftaught.audit.trained import model_folders, seen_ids

    seen = seen_ids([one for place in folders for one in model_folders(place)])
    left = examples.take(~np.isin(examples.ids, seen))
    if len(left) < LEAST_UNSEEN:
        raise InputError(
            f"only {len(left)} of {len(examples)} examples were in no model's training; "
            "give --data a file that was kept apart"
        )
    return left


def _population(place: str, examples: Examples, unseen: Examples, name: str, make: Maker | None) -> Population:
    if not _is_models(place):
        from dataclasses import replace

        from selftaught.audit import load_predictions

        return replace(load_predictions(place, ids=examples.ids, classes=examples.num_classes), name=name)
    from selftaught.audit.trained import model_folders, population_of_models

    return population_of_models(model_folders(place), unseen, name=name, make=make)


def _robust(places: list[str], examples: Examples, seed: int, make: Maker | None) -> tuple[Robustness, ...]:
    """Return what became of both populations on corrupted inputs."""
    from selftaught.audit import robustness

    before, after = places
    return robustness(
        lambda data: _population(before, data, data, before, make),
        lambda data: _population(after, data, data, after, make), examples, seed=seed,
    )  # fmt: skip


def _embedding(place: str, examples: Examples, make: Maker | None) -> NDArray[np.float64] | None:
    """Return what goes into the last layer of the first model of a folder; None for predictions."""
    if not _is_models(place):
        return None
    from selftaught.audit import model_folders, penultimate

    return penultimate(model_folders(place)[0], examples, make=make)
