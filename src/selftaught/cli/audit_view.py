"""How an audit, and a sweep of several levels, are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selftaught.audit import Audit, Price, Robustness, Slice, Sweep

__all__ = ["print_audit", "print_corruptions", "print_prices", "print_slices", "print_sweep"]

_SHORT = {"false positive rate": "FP rate", "false negative rate": "FN rate"}


def print_audit(found: Audit, data: str) -> None:
    """Print the findings of one change."""
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

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("who", overflow="fold")
    for title in ("rate", "n", "before", "after", "chance", "p", ""):
        table.add_column(title, justify="right" if title in ("n", "before", "after") else "left", no_wrap=True)
    for one in found.impacts:
        untested = one.adjusted != one.adjusted
        p = "" if untested else f"{one.adjusted:.2g}"
        null = one.finding.null
        table.add_row(one.where, _SHORT.get(one.measure, one.measure), str(one.finding.n), _share(one.before),
                      _share(one.after), "" if null is None else f"±{null[1]:.3f}", p,
                      one.verdict)  # fmt: skip
    if found.impacts:
        console.print(table)
    if found.null_rejections == found.null_rejections:
        console.print(f"between halves of the models before {found.null_rejections:.1%} of the classes' tests reject")


def _range(ends: tuple[float, float] | None) -> str:
    return "" if ends is None or ends[0] != ends[0] else f"[{ends[0]:+.3f}, {ends[1]:+.3f}]"


def print_sweep(found: Sweep) -> None:
    """Print what each level costs, a line a level, and where it can be left."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    told = [one.audit for one in found.levels if one.audit is not None]
    console.print(f"{found.data}: {told[0].n} examples, each level against {found.levels[0].name}")
    for text in dict.fromkeys(one for part in told for one in part.warnings):
        console.print(f"warning: {text}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("level", "accuracy", "PIE", "chance", "", "on PIE / off", "hurt most", "worse"):
        table.add_column(title, no_wrap=title not in ("level", "hurt most"), overflow="fold")
    for level in found.levels:
        spread = "" if level.deviation != level.deviation else f" ± {level.deviation:.3f}"
        row = [level.name, f"{level.accuracy:.3f}{spread}"]
        one = level.audit
        if one is not None:
            sides, hurt = one.on_pie, level.hurt
            row += [
                f"{one.pie.rate:.3f}", _share(one.pie.churn), str(one.pie.finding.verdict),
                "" if sides is None or sides.after_on != sides.after_on
                else f"{sides.after_on:.3f} / {sides.after_off:.3f}",
                "" if hurt is None else f"{hurt.where} {hurt.finding.value:+.3f}",
                f"{len(level.worse)} of {_tested(one)}",
            ]  # fmt: skip
        table.add_row(*row)
    console.print(table)
    rates = [one.null_rejections for one in told if one.null_rejections == one.null_rejections]
    if rates:
        console.print(f"between halves of the first population {rates[0]:.1%} of the classes' tests reject")
    if not found.tested:
        console.print("too few models or examples to tell a change from chance")
        return
    safest = found.safest
    if safest is found.levels[0]:
        console.print(f"refuse: already at {found.levels[1].name} a class or group is significantly worse")
        return
    unseen = safest.not_ruled_out
    bound = "" if unseen != unseen else f"; a loss of up to {min(max(unseen, 0), 1):.3f} is not ruled out"
    console.print(f"up to {safest.name} no class or group is significantly worse{bound}")


def print_prices(prices: Sequence[Price]) -> None:
    """Print what mitigations cost: a line for all, the examples found and each class and group, a column for each."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    names = [chr(ord("A") + number) for number in range(len(prices))]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("after pruning", "n", "before", *names):
        table.add_column(title, no_wrap=True)
    for lines in zip(*(one.lines for one in prices), strict=True):
        first = lines[0]
        if first["before"] is not None:
            cells = [f"{one['after']:.3f}{'*' if one['verdict'] == 'change' else ''}" for one in lines]
            table.add_row(first["where"], str(first["n"]), f"{first['before']:.3f}", *cells)
    console.print(table)
    console.print("* a change beyond chance, on examples that nothing was chosen on")
    for name, one in zip(names, prices, strict=True):
        console.print(f"{name}: {one.headline}")


def _tested(found: Audit) -> int:
    return sum(one.p == one.p for one in found.impacts if one.measure in ("recall", "accuracy"))


def _share(value: float) -> str:
    return "" if value != value else f"{value:.3f}"


def print_slices(slices: tuple[Slice, ...]) -> None:
    """Print the slices that were confirmed."""
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


def print_corruptions(found: tuple[Robustness, ...]) -> None:
    """Print a line a corruption and strength."""
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
