"""`selftaught scale MODEL`: a network made larger until a budget is used, and what it costs, measured."""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selftaught.cli.quantities import short_count, whole_number
from selftaught.errors import InputError
from selftaught.writing import file_to_write, write_atomically

if TYPE_CHECKING:
    from selftaught.objectives import Measured
    from selftaught.spaces import Scaled

__all__ = ["FAMILY", "amount", "scale_command"]

FAMILY = "efficientnet"
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)([kmgt]?)(x?)", re.IGNORECASE)
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_METAVAR = "AMOUNT"


def amount(text: str) -> tuple[float, bool]:
    """Read an amount, such as 2e9, 400M or 1.5G, or a multiple of what there is, such as 4x.

    Returns:
        The number, and whether it is a multiple.

    Raises:
        typer.BadParameter: it is none.

    >>> amount("1.5G"), amount("4x")
    ((1500000000.0, False), (4.0, True))
    """
    found = _AMOUNT.fullmatch(text.strip())
    value = float(found[1]) * _UNITS[found[2].lower()] if found else 0.0
    if not found or (found[2] and found[3]) or not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{text!r} is no amount; write a number, 400M, 1.5G, or a multiple such as 4x.")
    return value, bool(found[3])


def scale_command(
    model: Annotated[
        str,
        typer.Argument(
            help="b0 to b7 or l2; the candidate.json or folder of a search; a network's JSON file. "
            "efficientnet prints the whole family.",
            metavar="MODEL",
        ),
    ],
    flops: Annotated[
        Any, typer.Option(help="Budget in flops, two a multiply-accumulate: 4x, 3G.", parser=amount, metavar=_METAVAR)
    ] = None,
    macs: Annotated[
        Any, typer.Option(help="Budget in multiply-accumulates: 4x, 1.5G.", parser=amount, metavar=_METAVAR)
    ] = None,
    params: Annotated[
        Any, typer.Option(help="Budget in trainable parameters: 2x, 20M.", parser=amount, metavar=_METAVAR)
    ] = None,
    ms: Annotated[
        Any,
        typer.Option(help="Budget in milliseconds of one batch, measured on the device.", parser=amount, metavar="MS"),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(help="alpha/beta/gamma of depth, width and resolution; 1.2/1.1/1.15.", metavar="A/B/G"),
    ] = None,
    shrink: Annotated[bool, typer.Option("--shrink", help="Let the budget be below the network's own cost.")] = False,
    batch: Annotated[
        int, typer.Option(help="Examples in the batch that is timed.", parser=whole_number, metavar="N")
    ] = 1,
    device: Annotated[str, typer.Option(help="Where to time it: auto, cpu, cuda.", metavar="DEVICE")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Write the scaled network here as JSON.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Scale a network in depth, width and resolution until a budget is used; print what it then costs."""
    if model.lower() == FAMILY:
        _print_family(as_json=as_json)
        return
    from selftaught.objectives import measure, named_network
    from selftaught.spaces import network_to_json

    network = named_network(model)
    place = None if out is None else file_to_write(out, read=[Path(model)])
    scaled = _scaled(network, {"flops": flops, "macs": macs, "params": params, "ms": ms}, rule, shrink, batch, device)
    if place is not None and scaled is None:
        raise InputError("--out writes the scaled network; give a budget, such as --macs 4x")
    networks = {network.name: network} | ({"scaled": scaled.network} if scaled else {})
    found = {name: measure(one, batch_size=batch, device=device) for name, one in networks.items()}
    if place is not None and scaled is not None:
        write_atomically(place, network_to_json(scaled.network).encode())
    if as_json:
        sys.stdout.write(_as_json(networks, found, scaled))
        return
    _print(networks, found, scaled)


def _scaled(
    network: Any, budgets: dict[str, Any], rule: str | None, shrink: bool, batch: int, device: str
) -> Scaled | None:
    from selftaught.objectives import latency_ms, latency_ratio
    from selftaught.spaces import scale_to
    from selftaught.spaces.build import cost_of

    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) > 1:
        raise InputError(f"give one budget, not {' and '.join('--' + name for name in given)}")
    if not given:
        if rule or shrink:
            raise InputError("--rule and --shrink need a budget; give one, such as --macs 4x")
        return None
    costs: dict[str, Any] = {
        "flops": lambda one: 2 * cost_of(one).macs,
        "macs": lambda one: cost_of(one).macs,
        "params": lambda one: cost_of(one).parameters,
        "ms": lambda one: latency_ms(one, batch_size=batch, device=device),
    }
    units = {"flops": "flops", "macs": "MACs", "params": "parameters", "ms": f"ms ({device}, batch {batch})"}
    ((name, (value, multiple)),) = given.items()
    cost, budget = costs[name], value
    if multiple:
        own = float(cost(network))
        budget = value * own
        if name == "ms":  # a multiple of a time holds whatever else the machine does meanwhile

            def cost(one: Any) -> float:
                return own if one is network else own * latency_ratio(one, network, batch_size=batch, device=device)

    return scale_to(network, budget, cost=cost, rule=_rule(rule), unit=units[name], shrink=shrink)


def _rule(text: str | None) -> Any:
    from selftaught.spaces import Rule

    if text is None:
        return None
    try:
        alpha, beta, gamma = (float(part) for part in text.split("/"))
    except ValueError:
        raise InputError(f"--rule wants three numbers such as 1.2/1.1/1.15, got {text!r}") from None
    return Rule(alpha, beta, gamma)


def _as_json(networks: dict[str, Any], found: dict[str, Measured], scaled: Scaled | None) -> str:
    from selftaught.spaces import network_to_json

    told: dict[str, Any] = {
        name: {**asdict(found[name]), "network": json.loads(network_to_json(one))} for name, one in networks.items()
    }
    if scaled is not None:
        told["rule"] = {name: value for name, value in asdict(scaled).items() if name != "network"}
    return json.dumps(told, indent=1) + "\n"


def _print(networks: dict[str, Any], found: dict[str, Measured], scaled: Scaled | None) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if scaled is not None:
        console.print(
            f"phi {scaled.phi:.4g}: depth x {scaled.depth:.4g}, width x {scaled.width:.4g}, resolution x "
            f"{scaled.resolution:.4g} ({scaled.rule})",
            soft_wrap=True,
        )
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in networks:
        table.add_column(name, justify="right")
    costs = list(found.values())
    batch = f"batch {costs[0].batch_size}"
    rows: list[tuple[str, list[str]]] = [
        ("MACs", [f"{one.macs:,} ({short_count(one.macs)})" for one in costs]),
        ("parameters", [f"{one.parameters:,} ({short_count(one.parameters)})" for one in costs]),
        (f"ms, {batch}, {costs[0].device}", [f"{one.milliseconds:.4g}" for one in costs]),
        (f"MB of a training step, {batch}", [f"{one.memory_bytes / 1e6:,.1f}" for one in costs]),
        ("input", [" x ".join(map(str, one.input_shape)) for one in networks.values()]),
    ]
    rows += [(name, [_size(one, name) for one in networks.values()]) for name in ("stem", "head", "width", "cells")]
    for name, values in rows:
        if any(values):
            table.add_row(name, *values)
    stages = [getattr(one, "stages", ()) for one in networks.values()]
    if all(isinstance(one, tuple) for one in stages):
        for k, row in enumerate(zip(*stages, strict=True), 1):
            table.add_row(f"stage {k}: blocks x channels", *(f"{stage.blocks} x {stage.channels}" for stage in row))
    widths = [" ".join(map(str, one.widths)) for one in networks.values() if one.kind == "mlp"]
    if widths:
        table.add_row("hidden layers", *widths)
    console.print(table)
    for remark in scaled.remarks if scaled else ():
        console.print(remark)


def _size(network: Any, name: str) -> str:
    return str(getattr(network, name, ""))


def _print_family(*, as_json: bool) -> None:
    """Print the costs of the whole family, counted in closed form."""
    from selftaught.spaces import EFFICIENTNETS, efficientnet

    costs = {name: efficientnet(name).cost() for name in EFFICIENTNETS}
    if as_json:
        sys.stdout.write(json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=1) + "\n")
        return
    sys.stdout.write("      width  depth  pixels  dropout             MACs   parameters\n")
    for name, cost in costs.items():
        width, depth, pixels, dropout = EFFICIENTNETS[name]
        sys.stdout.write(
            f"{name.upper()}    {width:5.1f}  {depth:5.1f}  {pixels:6d}  {dropout:7.1f}  {cost.macs:15,}  "
            f"{cost.parameters:11,}\n"
        )
