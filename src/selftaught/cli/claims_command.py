"""`selftaught claims`: what can be reproduced, where it comes from and how long it takes."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from selftaught.cli.quantities import clock

__all__ = ["claims_command"]


def claims_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """List the claims that can be reproduced, with the expected time of each scale on two cores."""
    from selftaught.claims import CLAIMS

    listed: list[dict[str, Any]] = [
        {
            "name": claim.name, "claim": claim.sentence, "source": claim.source, "control": claim.control,
            "seconds": {name: scale.seconds for name, scale in claim.scales.items()},
        }
        for claim in CLAIMS.values()
    ]  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for one in listed:
        console.print(one["name"], style="bold")
        console.print(f"  {one['claim']}")
        console.print(f"  source: {one['source']}", style="dim")
        times = ", ".join(f"{name} {clock(seconds)}" for name, seconds in one["seconds"].items())
        console.print(f"  expected time: {times}", style="dim")
    console.print("\nselftaught reproduce NAME measures one again.")
