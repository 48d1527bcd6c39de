"""The section of docs/performance.md on compressed networks, from benchmarks/results/latency.json."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.writing import Row, opening, table

__all__ = ["compressed"]


def compressed(results: Row) -> str:
    """Write what forms of compressed layers and networks take, beside dense."""
    parts = ["## Compressed networks\n\nMeasured by `python -m benchmarks.latency`: "]
    told = {name: _machine(results[name]) for name in ("linear", "network") if name in results}
    parts[0] += "; ".join(f"{name}: {text}" for name, text in told.items()) if len(set(told.values())) > 1 else ""
    parts[0] += next(iter(told.values())) if len(set(told.values())) == 1 else ""
    parts[0] += ".\n"
    if any(results[name]["quick"] for name in told):
        parts.append("**These figures are of a quick run: they show that everything runs, and nothing else.**\n")
    if "linear" in results:
        parts.append(_linear(results["linear"]))
    if "network" in results:
        parts.append(_network(results["network"]))
    return "\n".join(parts)


def _machine(section: Row) -> str:
    machine = section["machine"]
    wanted = ("torch", "scipy", "onnxruntime", "llvmlite")
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in wanted)
    return f"{machine['processor']} ({machine['llvm_name']}), {' '.join(machine['flags'])}; {versions}"


def _linear(section: Row) -> str:
    rows = section["rows"]
    batches = sorted({row["batch"] for row in rows})
    text = (
        f"Times faster than dense, in the same run, on one thread; {rows[0]['size']} x {rows[0]['size']}, float32 "
        "unless said otherwise. Density is the share of the weights that is left, or of the rows. In brackets the "
        "median over rounds of the ratio in a round; before it the ratio of the least times."
    )
    first = [row for row in rows if row["batch"] == batches[0]]
    lines = []
    for place, row in enumerate(first):
        line = {"form": row["form"], "density": f"{row['density']:g}"}
        for batch in batches:
            mine = [one for one in rows if one["batch"] == batch][place]
            value = f"{1e6 * mine['least']:,.0f} us" if place == 0 else f"{mine['ratio']:.2f} ({mine['paired']:.2f})"
            line[f"batch {batch}"] = value
        lines.append(line)
    errors = [row["difference"] for row in rows if row["difference"] is not None and "int8" not in row["form"]]
    exact = [value for value in errors if value < 1e-4]
    inexact = {
        row["form"]: row["difference"] for row in rows if row["difference"] is not None and row["difference"] >= 1e-4
    }
    changed = ", ".join(f"{name} by {value:.1g}" for name, value in sorted(inexact.items()))
    after = f"\nOutputs differ from dense by at most {max(exact):.1g} of the largest output"
    after += f"; {changed}.\n" if changed else ".\n"
    return opening("A linear layer", text, section).replace("## ", "### ", 1) + table(lines) + after


def _network(section: Row) -> str:
    rows = section["rows"]
    widths = ", ".join(map(str, rows[0]["widths"]))
    text = (
        f"The reference network ({widths} channels, 32 x 32), evaluation mode, one thread. *Realised* is the share of "
        "the theoretical gain in multiply-adds that is measured; forms in onnxruntime are beside its own dense model."
    )
    parts = [opening("A convolutional network", text, section).replace("## ", "### ", 1)]
    for batch in sorted({row["batch"] for row in rows}):
        parts.append(f"Batch {batch}:\n\n" + table(_lines([row for row in rows if row["batch"] == batch])))
    return "\n".join(parts)


def _lines(rows: Sequence[Row]) -> list[dict[str, str]]:
    return [
        {
            "form": row["form"],
            "least": f"{1e3 * row['least']:.2f} ms",
            "median": f"{1e3 * row['median']:.2f} ms",
            "times fewer multiply-adds": f"{row['theoretical']:.1f}",
            "times faster than dense": f"{row['ratio']:.2f} ({row['paired']:.2f})",
            "within the runtime": f"{row['within_runtime']:.2f}",
            "realised": row["verdict"],
        }
        for row in rows
    ]
