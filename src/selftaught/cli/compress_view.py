"""The end of a compression on one screen: before and after, what is gained here, and who paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from selftaught.cli.quantities import count

if TYPE_CHECKING:
    from selftaught.plans import CompressedRun

__all__ = ["print_compressed"]

_SHOWN = 6


def print_compressed(found: CompressedRun) -> None:
    """Print what a compression came to."""
    from selftaught.plans import headline, worst

    console = Console(highlight=False, markup=False)
    one = found.comparison

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, soft_wrap=True)

    say(headline(one), "bold")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("", "before", "after", "change"):
        table.add_column(title, justify="left" if not title else "right", no_wrap=True)
    first = one.gains[0].rows
    old, new = first[0], first[-1]
    rows = [
        ("parameters", count(one.parameters[0]), count(one.parameters[1]), _times(*one.parameters)),
        ("not zero", count(one.nonzero[0]), count(one.nonzero[1]), _times(*one.nonzero)),
        ("multiply-adds", count(old.multiply_adds), count(new.multiply_adds),
         _times(old.multiply_adds, new.multiply_adds)),
        ("bytes", count(old.bytes), count(new.bytes), _times(old.bytes, new.bytes)),
        ("bytes of activations", count(old.activation_bytes), count(new.activation_bytes),
         _times(old.activation_bytes, new.activation_bytes)),
    ]  # fmt: skip
    for gains in one.gains:
        slow, fast = gains.rows[0], gains.rows[-1]
        rows.append((f"ms, batch {gains.batch}", f"{1e3 * slow.seconds:.3f}", f"{1e3 * fast.seconds:.3f}",
                     f"{fast.realised:.2f} x"))  # fmt: skip
    low, high = (100 * end for end in one.accuracy.interval)
    points = 100 * (one.accuracy.after - one.accuracy.before)
    rows.append(("accuracy, test", f"{one.accuracy.before:.4f}", f"{one.accuracy.after:.4f}",
                 f"{points:+z.1f} [{low:+z.1f}, {high:+z.1f}]"))  # fmt: skip
    least = (worst(one.classes, "before"), worst(one.classes, "after"))
    rows.append(("worst class", f"{least[0]:.4f}", f"{least[1]:.4f}", f"{100 * (least[1] - least[0]):+z.1f}"))
    if one.groups:
        ends = (worst(one.groups, "before"), worst(one.groups, "after"))
        rows.append(("worst group", f"{ends[0]:.4f}", f"{ends[1]:.4f}", f"{100 * (ends[1] - ends[0]):+z.1f}"))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for gains in one.gains:
        say(f"batch {gains.batch}, {gains.threads} thread(s): {gains.rows[-1].verdict} "
            f"(noise {gains.noise:.2f} x)")  # fmt: skip
    lost = one.drop
    low, high = (100 * end for end in lost.interval)
    points = 100 * (lost.after - lost.before)
    who = lost.name if any(lost is group for group in one.groups) else f"class {lost.name}"
    paid = "nobody lost; least gained" if points >= 0 else "who paid most"
    say(f"{paid}: {who}, {points:+z.1f} points [{low:+z.1f}, {high:+z.1f}] "
        f"of {lost.n} examples; {int((one.wrong_after & ~one.wrong_before).sum())} examples forgotten, "
        f"{int((one.wrong_before & ~one.wrong_after).sum())} gained")  # fmt: skip
    made = found.made
    if made.widths:
        told = [f"{name} {a} -> {b}" for name, (a, b) in made.widths.items()]
        say(f"channels: {_some(told)}")
    if made.left_dense:
        say(f"left as it was: {_some([f'{name} ({why})' for name, why in made.left_dense.items()])}")
    if made.flow:
        (_, begun), (_, ended) = made.flow[0], made.flow[-1]
        say(f"effective gradient flow: {begun:.3g} at first, {ended:.3g} at last")
    if found.target is not None:
        held = "holds" if found.share <= 1 else "was NOT reached"
        say(f"target {found.target} {held}: {100 * found.share:.0f} % of the limit, as measured at the end")
    for note in (*made.notes, *(f"warning: {told}" for told in found.warnings)):
        say(note)
    say(f"plan: {made.plan}; {made.seconds:.1f} s of training"
        + ("" if made.finished else "; stopped, the same command goes on"))  # fmt: skip
    say(f"{found.folder}")


def _times(before: float, after: float) -> str:
    if not after:
        return ""
    if after > before > 0:
        return f"{after / before:.2f} x more"
    return f"{before / after:.2f} x less"


def _some(told: list[str]) -> str:
    return ", ".join(told[:_SHOWN]) + (f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else "")
