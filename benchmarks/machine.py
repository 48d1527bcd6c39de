"""What a figure was measured on: processor, instruction sets, versions, load."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["describe", "kind", "load"]

_FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_bf16", "neon", "asimd", "sve")


def _processor() -> dict[str, str]:
    """Return the first processor's entries of /proc/cpuinfo, or nothing where there is no such file."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    first = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def describe() -> dict[str, Any]:
    """Return the machine and the versions as plain data."""
    import llvmlite
    import llvmlite.binding as llvm
    import numba
    import numpy

    import selftaught

    info = _processor()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    clock = info.get("cpu MHz")
    return {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "vendor": info.get("vendor_id", ""),
        "family": int(info["cpu family"]) if "cpu family" in info else None,
        "model": int(info["model"]) if info.get("model", "").isdigit() else None,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "reported_mhz": round(float(clock)) if clock else None,
        "llvm_name": llvm.get_host_cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "selftaught": selftaught.__version__,
            "python": platform.python_version(),
            "numba": numba.__version__,
            "llvmlite": llvmlite.__version__,
            "numpy": numpy.__version__,
        },
    }


def kind(machine: dict[str, Any]) -> tuple[str, int | None]:
    """Return what makes two machines of one kind: the vendor and the processor family."""
    return machine.get("vendor", ""), machine.get("family")


def load() -> list[float]:
    """Return the load averages of the last 1, 5 and 15 minutes, or nothing where the system keeps none."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []
