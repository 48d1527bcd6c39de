"""`selftaught verdict`: record what a person sees in an example that an audit shows."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from selftaught.cli.choices import SaidKind

__all__ = ["verdict_command"]


def verdict_command(
    folder: Annotated[str, typer.Argument(help="The folder of an audit.", metavar="FOLDER", show_default=False)],
    example: Annotated[
        str,
        typer.Argument(help="The example's id, or its beginning, as on the page.", metavar="ID", show_default=False),
    ],
    said: Annotated[
        SaidKind, typer.Argument(help="What it is.", metavar="rare|ambiguous|mislabelled|fine", show_default=False)
    ],
) -> None:
    """Record what you see in an example of an audit's page: in its ledger, and on the page.

    A later word on the same example takes the place of the earlier one.
    """
    from selftaught.audit import record_verdict
    from selftaught.report import write_audit_page

    name, verdicts = record_verdict(folder, example, said.value)
    write_audit_page(folder)
    counts = Counter(verdicts.values())
    told = ", ".join(f"{counts[kind.value]} {kind.value}" for kind in SaidKind)
    typer.echo(f"{name}: {said.value}; {len(verdicts)} looked at: {told}")
