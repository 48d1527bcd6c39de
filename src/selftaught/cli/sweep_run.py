"""`selftaught audit --sweep`: train a population a level of sparsity, audit them, write and print what was found."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selftaught.cli.interrupts import Interrupts
from selftaught.cli.quantities import clock, short_count
from selftaught.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selftaught.audit import Price
    from selftaught.examples import Examples
    from selftaught.plans import LadderProgress

__all__ = ["levels_of", "run_sweep"]


def levels_of(text: str) -> tuple[float, ...]:
    """Read shares of zeros: 0,0.5,0.9 or 0,50%,90%; the dense level is added where it is missing.

    Raises:
        InputError: one is no share from 0 to below 1, or there is none above 0.

    >>> levels_of(".5, 90%")
    (0.0, 0.5, 0.9)
    """
    found = {0.0}
    for word in text.split(","):
        plain = word.strip()
        try:
            value = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1:
            raise InputError(f"levels are shares of zeros from 0 to below 1, such as 0,0.5,0.9; got {plain!r}")
        found.add(round(value, 6))
    if len(found) < 2:
        raise InputError(f"a sweep needs a level above 0, got {text!r}")
    return tuple(sorted(found))


def run_sweep(
    examples: Examples,
    levels: str,
    *,
    model: str,
    hidden: str | None,
    models: int | None,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    mitigate: bool,
    writer: Any,
    fresh: bool,
    as_json: bool,
    quiet: bool,
    groups: tuple[str, ...],
    q: float,
    seed: int,
) -> None:
    """Do what the command says; a fifth of the examples, every class in proportion, is kept apart and asked about."""
    from selftaught.training import require_torch

    require_torch()
    from selftaught.audit import sweep
    from selftaught.cli.audit_view import print_prices, print_sweep
    from selftaught.cli.train_command import layer_sizes, train_config
    from selftaught.cli.train_view import TrainView
    from selftaught.datasets.set_apart import set_apart
    from selftaught.plans import Network, train_ladder

    chosen = levels_of(levels)
    count = 6 if models is None else models
    if count < 2:
        raise InputError(f"a population needs two models or more to show what seeds do, got {count}")
    for name in groups:
        if name not in examples.groups:
            raise InputError(f"there is no group {name!r}; there are: {', '.join(examples.groups) or 'none'}")
    if writer.folder is None:
        plain = re.sub(r"[^\w.-]+", "-", examples.name).strip("-.")[:80] or "data"
        writer.folder = Path("selftaught-runs") / f"sweep-{plain}-{model}-{seed}"
    told = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    config = train_config({name: value for name, value in told.items() if value is not None})
    free, apart = set_apart(examples, seed=seed)
    train, kept = examples.take(free), examples.take(apart)
    network = Network(model, hidden=layer_sizes(hidden))  # type: ignore[arg-type]
    stream = sys.stderr if as_json else sys.stdout
    title = f"{count} x {model} on {examples.name}, {len(train)} to train on, {len(kept)} kept apart"
    common: dict[str, Any] = {"models": count, "config": config}
    with Interrupts() as interrupts, TrainView(stream, title, shown=not quiet, describe=line) as view:

        def on_progress(progress: LadderProgress) -> str | None:
            interrupts.worth_keeping |= progress.level > 0
            view.update(progress, stopping=interrupts.wanted)
            return "stop" if interrupts.wanted else None

        rungs = train_ladder(
            train, kept, network, levels=chosen, folder=writer.folder, fresh=fresh, on_progress=on_progress, **common
        )
        prices: Sequence[Price] = ()
        untried = 0
        if mitigate and len(rungs) == len(chosen):
            from selftaught.plans import MITIGATIONS, mitigations

            prices = mitigations(
                train, kept, network, rungs[0], rungs[-1], groups=groups, on_progress=on_progress,
                folder=writer.folder / "mitigations", fresh=fresh, **common,
            )  # fmt: skip
            untried = len(MITIGATIONS) - len(prices)
    stopped = len(rungs) < len(chosen)
    if len(rungs) < 2:
        typer.echo(f"stopped with {len(rungs)} of {len(chosen)} populations; the same command goes on", err=True)
        raise KeyboardInterrupt
    found = sweep({one.sparsity: one.population for one in rungs}, kept, groups=groups, q=q, seed=seed)
    named = dict(zip((one.name for one in found.levels), (one.population for one in rungs), strict=True))
    more: dict[str, Any] = {"finished": not stopped and not untried}
    if prices:
        more["mitigations"] = [one.to_dict() for one in prices]
    page = writer.write_folder(found, named, kept, more)
    text = json.dumps({**found.to_dict(), **more, "folder": str(writer.folder)}, indent=2) + "\n"
    writer.write_file(text)
    if as_json:
        typer.echo(text, nl=False)
        return
    print_sweep(found)
    if prices:
        print_prices(prices)
    if stopped:
        typer.echo(f"stopped with {len(rungs)} of {len(chosen)} populations; the same command goes on")
    elif untried:
        typer.echo(f"stopped with {untried} mitigations left to try; the same command goes on")
    typer.echo(str(page))


def line(progress: LadderProgress) -> str:
    """Return how far a sweep is, in a line.

    >>> from types import SimpleNamespace
    >>> line(SimpleNamespace(seconds=61, level=1, levels=4, sparsity=0.5, epoch=3, epochs=20, loss=0.25,
    ...      examples_per_second=1500.0, seconds_left=120.0, what=""))
    '   1:01  level 2 of 4 (50 % zeros), epoch 3 of 20, 1.50 k examples/s, loss 0.2500, 2:00 left'
    """
    place, zeros = f"{progress.level + 1} of {progress.levels}", f"{100 * progress.sparsity:g} % zeros"
    words = [
        f"mitigation {place} ({progress.what})" if progress.what else f"level {place} ({zeros})",
        f"epoch {progress.epoch} of {progress.epochs}", f"{short_count(progress.examples_per_second)} examples/s",
        f"loss {progress.loss:.4f}", f"{clock(progress.seconds_left)} left",
    ]  # fmt: skip
    return f"{clock(progress.seconds):>7}  {', '.join(words)}"
