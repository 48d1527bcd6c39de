"""`selftaught doctor`: what this machine has, what is missing, and the one line that installs it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

import selftaught
from selftaught.cli.quantities import count

__all__ = ["EXTRAS", "REQUIRED", "doctor_command"]

#: Distribution -> the module that it brings; what every installation needs.
REQUIRED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "numba": "numba",
    "llvmlite": "llvmlite",
    "cloudpickle": "cloudpickle",
    "scikit-learn": "sklearn",
    "polars": "polars",
    "sqlalchemy": "sqlalchemy",
    "typer": "typer",
    "rich": "rich",
    "pydantic": "pydantic",
    "platformdirs": "platformdirs",
}
#: Extra -> (what it is for, distribution -> module).
EXTRAS: dict[str, tuple[str, dict[str, str]]] = {
    "search": ("samplers of Optuna", {"optuna": "optuna"}),
    "networks": (
        "neural networks",
        {
            "torch": "torch", "safetensors": "safetensors", "optuna": "optuna", "onnx": "onnx",
            "onnxscript": "onnxscript", "onnxruntime": "onnxruntime",
        },
    ),
    "audit": ("attributions of pixels", {"captum": "captum"}),
    "data": ("folders of images, pandas frames", {"pillow": "PIL", "pandas": "pandas"}),
    "hub": ("data sets of the hub", {"datasets": "datasets"}),
    "report": ("charts", {"altair": "altair"}),
    "postgres": ("a PostgreSQL store", {"psycopg": "psycopg"}),
    "ray": ("many machines", {"ray": "ray"}),
}


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show what this machine has, what is missing, and the one line that installs it."""
    found = examine()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    if found["missing"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Return the state of this installation, made of JSON's own types."""
    versions = {name: _version(name, module) for name, module in REQUIRED.items()}
    folder, size, kernels, writable = _cache()
    return {
        "selftaught": selftaught.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **_processor(),
        "cache": {"folder": folder, "bytes": size, "kernels": kernels, "writable": writable},
        "required": versions,
        "missing": [name for name, version in versions.items() if version is None],
        "extras": {
            extra: {
                "for": purpose,
                "missing": [name for name, module in packages.items() if _version(name, module) is None],
                "install": f"pip install 'selftaught[{extra}]'",
            }
            for extra, (purpose, packages) in EXTRAS.items()
        },
    }


def _version(distribution: str, module: str) -> str | None:
    """Return the version installed, or None where the module cannot be found."""
    if importlib.util.find_spec(module) is None:
        return None
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _processor() -> dict[str, Any]:
    try:
        import llvmlite.binding as llvm
    except ImportError:
        return {"processor": platform.machine(), "avx2": None, "avx512": None}
    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know this kind of processor
        features = {}
    return {
        "processor": llvm.get_host_cpu_name(),
        "avx2": bool(features.get("avx2")),
        "avx512": bool(features.get("avx512f")),
    }


def _cache() -> tuple[str | None, int, int, bool]:
    """Return the kernel cache's folder, bytes, number of compiled kernels, and whether it can be written."""
    try:
        from selftaught.programs.machine_code import cache_directory
    except ImportError:
        return None, 0, 0, False
    folder = Path(cache_directory())
    sizes = {}
    for place, _, names in os.walk(folder):  # which passes over what cannot be read
        for name in names:
            with suppress(OSError):
                sizes[os.path.join(place, name)] = os.stat(os.path.join(place, name)).st_size
    nearest = next((one for one in (folder, *folder.parents) if os.path.lexists(one)), folder)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            writable = True
    except OSError:
        writable = False
    kernels = sum(name.endswith((".o", ".obj")) for name in sizes)
    return str(folder), sum(sizes.values()), kernels, writable


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    yes, no = Text("yes", "green"), Text("no", "yellow")
    cache = found["cache"]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("selftaught", found["selftaught"])
    table.add_row("Python", f"{found['python']}  {found['executable']}")
    table.add_row("machine", f"{found['platform']}, {found['processors']} processors")
    table.add_row("processor", found["processor"])
    table.add_row("AVX2", yes if found["avx2"] else no)
    table.add_row("AVX-512", yes if found["avx512"] else Text("no (works, slower)", "yellow"))
    used = f"{cache['bytes'] / 1e6:.1f} MB, {count(cache['kernels'])} kernels" if cache["bytes"] else "empty"
    table.add_row("kernel cache", f"{cache['folder']}  {used}")
    if not cache["writable"]:
        table.add_row("", Text("cannot be written: kernels are compiled each time; set SELFTAUGHT_CACHE", "red"))
    for name, version in found["required"].items():
        table.add_row(name, version or Text("missing: pip install selftaught", "red"))
    console.print(table)
    console.print()
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    for extra, state in found["extras"].items():
        missing = Text(state["install"]) if state["missing"] else Text("installed", "green")
        table.add_row(Text(extra, "bold"), Text(state["for"], "dim"), missing)
    console.print(table)
