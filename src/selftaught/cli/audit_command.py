"""`selftaught audit`: what a change of models forgot, and for whom, beside what seeds alone do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selftaught.cli.choices import TargetKind
from selftaught.cli.quantities import number, whole_number
from selftaught.cli.reading_options import DropColumns, IdColumn, Missing, Resize, columns, reading_given
from selftaught.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from selftaught.audit import Audit, Population, Robustness, Slice
    from selftaught.examples import Examples

__all__ = ["audit_command"]

LEAST_UNSEEN = 30
_OUTPUT = "Output"
_SHORT = {"false positive rate": "FP rate", "false negative rate": "FN rate"}


def audit_command(
    before: Annotated[
        str,
        typer.Argument(
            help="Predictions as .npz, the folder of a model from `selftaught train`, or a folder of such folders.",
            metavar="BEFORE",
        ),
    ],
    after: Annotated[str, typer.Argument(help="The same of the changed models.", metavar="AFTER")],
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
    rate: Annotated[
        float, typer.Option("--q", help="False discovery rate of classes and groups.", parser=number, metavar="X")
    ] = 0.05,
    seed: Annotated[
        int, typer.Option(help="Of draws, where models have too many subsets.", parser=whole_number, metavar="N")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Write everything to this JSON file.", metavar="FILE", rich_help_panel=_OUTPUT),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of text.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Compare two models, or two populations that differ by seed, on DATA: what was forgotten, and for whom.

    Every number stands beside what seeds alone do; four models before the change are the least that a finding needs.
    Models from `selftaught train` are compared on the examples that none of them learned from.
    """
    if not 0 < rate < 1:
        raise InputError(f"q must be between 0 and 1, got {rate}")
    from selftaught.audit import audit
    from selftaught.datasets import load
    from selftaught.writing import file_to_write, write_atomically

    if corruptions and not all(map(_is_models, (before, after))):
        raise InputError("--corruptions runs models on corrupted inputs; give both as folders of `selftaught train`")
    written = file_to_write(out, read=[Path(before), Path(after), Path(data)]) if out is not None else None
    reading = reading_given(missing, drop, id_column, resize)
    if groups:
        reading["group_columns"] = groups
    examples = load(data, target, task=task.value if task else None, **reading)
    if not examples.num_classes:
        raise InputError(f"{data} has no classes to predict; an audit compares classes")
    unseen = _unseen(examples, [before, after])
    old, new = (_population(one, examples, unseen) for one in (before, after))
    embedding = _embedding(before, unseen) if slices else None
    found = audit(old, new, unseen, groups=groups or (), q=rate, slices=slices, embedding=embedding, seed=seed)
    told = {"data": examples.name, "before": before, "after": after, **found.to_dict()}
    robust: tuple[Robustness, ...] = ()
    if corruptions:
        from selftaught.audit import robustness

        robust = robustness(
            lambda data: _population(before, data, data), lambda data: _population(after, data, data), unseen, seed=seed
        )
        told["corruptions"] = [one.to_dict() for one in robust]
    text = json.dumps(told, indent=2) + "\n"
    if written is not None:
        write_atomically(written, text.encode())
    if as_json:
        typer.echo(text, nl=False)
    else:
        _print(found, examples.name)
        if found.slices is not None:
            _print_slices(found.slices)
        if robust:
            _print_corruptions(robust)


def _is_models(place: str) -> bool:
    return Path(place).expanduser().is_dir()


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


def _population(place: str, examples: Examples, unseen: Examples) -> Population:
    if not _is_models(place):
        from selftaught.audit import load_predictions

        return load_predictions(place, ids=examples.ids, classes=examples.num_classes)
    from selftaught.audit.trained import model_folders, population_of_models

    return population_of_models(model_folders(place), unseen, name=place)


def _embedding(place: str, examples: Examples) -> NDArray[np.float64] | None:
    """Return what goes into the last layer of the first model of a folder; None for predictions."""
    if not _is_models(place):
        return None
    from selftaught.audit import model_folders, penultimate

    return penultimate(model_folders(place)[0], examples)


def _print(found: Audit, data: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    console.print(f"{data}: {found.n} examples, {found.seeds[0]} models before and {found.seeds[1]} after")
    for one in found.warnings:
        console.print(f"warning: {one}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "value", "95 % interval", "chance alone", ""):
        table.add_column(title, justify="right" if title == "value" else "left", no_wrap=True)
    for finding in found.findings[: 2 + (found.accuracy is not None)]:
        value = "" if finding.value != finding.value else f"{finding.value:+.3f}"
        table.add_row(finding.name, value, _range(finding.interval), _range(finding.null),
                      finding.verdict)  # fmt: skip
    console.print(table)
    for name, listed in (("PIE", found.pie), ("CIE", found.cie)):
        if listed.rate != listed.rate:
            console.print(f"{name}: one model before does not tell how far is far; the furthest moved are listed")
            continue
        chance = "unknown" if found.seeds[0] == 1 else f"{listed.churn:.4f}"
        size = f"{listed.size} against {listed.size}"
        console.print(f"{name}: {listed.rate:.4f} of the examples with {size} models, by seeds alone {chance}")
    if found.on_pie is not None and found.pie.finding.rows:
        sides = found.on_pie
        console.print(f"accuracy on PIE {sides.before_on:.4f} before, {sides.after_on:.4f} after; "
                      f"off it {sides.before_off:.4f} and {sides.after_off:.4f}")  # fmt: skip
    _print_impacts(console, found)
    console.print(f"furthest moved: {', '.join(found.ranking[:5])}")


def _print_impacts(console: Any, found: Audit) -> None:
    from rich.table import Table

    from selftaught.audit import LEAST_SIZE

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("who", overflow="fold")
    for title in ("rate", "n", "before", "after", "chance", "p", ""):
        table.add_column(title, justify="right" if title in ("n", "before", "after") else "left", no_wrap=True)
    for one in found.impacts:
        untested = one.adjusted != one.adjusted
        p = "" if untested else f"{one.adjusted:.2g}"
        null = one.finding.null
        said = "too few" if one.finding.n < LEAST_SIZE else str(one.finding.verdict)
        if said == "change" and not one.significant:  # of so many tests
            said = "unclear"
        table.add_row(one.where, _SHORT.get(one.measure, one.measure), str(one.finding.n), f"{one.before:.3f}",
                      f"{one.after:.3f}", "" if null is None else f"±{null[1]:.3f}", p,
                      said)  # fmt: skip
    if found.impacts:
        console.print(table)
    if found.null_rejections == found.null_rejections:
        console.print(f"between halves of the models before {found.null_rejections:.1%} of the classes' tests reject")


def _print_slices(slices: tuple[Slice, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if not slices:
        console.print("slices: none in which changed labels beyond seed churn concentrate was confirmed")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("slice, labels changed beyond seed churn", overflow="fold")
    for title in ("n", "inside", "outside", "difference", "p"):
        table.add_column(title, justify="right" if title in ("n", "inside", "outside") else "left", no_wrap=True)
    for one in slices:
        table.add_row(one.name, str(int(one.members.sum())), f"{one.inside:.3f}", f"{one.outside:.3f}",
                      f"{one.finding.value:+.3f} {_range(one.finding.interval)}", f"{one.adjusted:.2g}")  # fmt: skip
    console.print(table)
    for one in slices:
        console.print(f"typical of {one.name}: {', '.join(one.typical)}")


def _print_corruptions(found: tuple[Robustness, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("corruption", "before", "after", "beyond clean inputs", "chance", "of clean", ""):
        table.add_column(title, justify="right" if title in ("before", "after") else "left", no_wrap=True)
    for one in found:
        null, ratio = one.finding.null, one.ratio
        table.add_row(f"{one.corruption} {one.strength}", f"{one.before:.3f}", f"{one.after:.3f}",
                      f"{one.finding.value:+.3f} {_range(one.finding.interval)}",
                      "" if null is None else f"±{null[1]:.3f}", "" if ratio != ratio else f"{ratio:.2f} times",
                      str(one.finding.verdict))  # fmt: skip
    Console(highlight=False, markup=False).print(table)


def _range(ends: tuple[float, float] | None) -> str:
    return "" if ends is None or ends[0] != ends[0] else f"[{ends[0]:+.3f}, {ends[1]:+.3f}]"
