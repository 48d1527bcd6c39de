"""Make the environment of the Makefile: `python tools/environment.py FOLDER base|test`.

`base` installs what a search needs, and compiles the engine on the machine's other core while the installation goes on;
`test` adds what the checks need. Needs nothing but Python. Where compiling ahead fails nothing is lost: the first
search compiles.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What the engine imports, and what builds this package: installed first, so that compiling can begin.
ENGINE = ("numba", "pydantic", "platformdirs", "hatchling")
LOOP = "from selftaught.programs.prepare import prepare; prepare(['loop'])"
REST = "import selftaught.cli.app; from selftaught.programs.prepare import prepare; prepare(['rest'])"
PATIENCE = 600.0  # seconds, after which the first search compiles instead
TOLD_EVERY = 10.0  # seconds
BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print a line at once, with the seconds since the start."""
    print(f"  {time.monotonic() - BEGAN:4.0f} s  {text}", flush=True)


def python_of(folder: Path) -> str:
    """Return the environment's Python."""
    return str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def make(folder: Path) -> None:
    """Make an empty environment; pip is put into it only where this Python has none to lend."""
    lends = subprocess.run(
        [sys.executable, "-m", "pip", "--python", sys.executable, "--version"], capture_output=True, check=False
    )
    without = ["--without-pip"] if lends.returncode == 0 else []
    subprocess.run([sys.executable, "-m", "venv", "--clear", *without, str(folder)], check=True)


def install(folder: Path, *what: str) -> None:
    """Install with pip: the environment's own, or this Python's."""
    python = python_of(folder)
    own = subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0
    pip = [python, "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", python]
    # Byte code is made when a module is first imported, which most modules never are.
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "install", *options, *what], check=True, cwd=ROOT)


def compile_ahead(folder: Path, code: str) -> subprocess.Popen[bytes]:
    """Start a process that compiles part of the engine."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [python_of(folder), "-c", code], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for(processes: list[subprocess.Popen[bytes]]) -> bool:
    """Wait for processes, with a line now and then; say whether one failed or took too long."""
    told = time.monotonic()
    while any(process.poll() is None for process in processes):
        if time.monotonic() - BEGAN > PATIENCE:
            return True
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            say("still compiling")
        time.sleep(0.1)
    return any(process.returncode for process in processes)


def base(folder: Path) -> None:
    """Install what a search needs and compile the engine."""
    print(f"setting up in {folder}, once: fetching the libraries and compiling the engine", flush=True)
    make(folder)
    say("fetching NumPy and the compiler")
    install(folder, *ENGINE)
    say("compiling the engine on one core; fetching scikit-learn and the rest on another")
    compiling = [compile_ahead(folder, LOOP)]
    try:
        install(folder, "--no-build-isolation", "-e", ".")
        compiling.append(compile_ahead(folder, REST))
        say("everything is installed; the engine is nearly compiled")
        failed = wait_for(compiling)
    finally:
        for process in compiling:
            if process.poll() is None:
                process.kill()
    say("the engine could not be compiled ahead: the first search does it" if failed else "ready")


def test(folder: Path) -> None:
    """Install what the checks need besides."""
    print("installing what the checks need", flush=True)
    python = python_of(folder)
    if subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode:
        subprocess.run([python, "-m", "ensurepip"], stdout=subprocess.DEVNULL, check=True)
    install(folder, "--no-build-isolation", "-e", ".[test]")
    say("ready")


def main(arguments: list[str]) -> int:
    """Do what the command line asks for; return the exit code."""
    try:
        folder, kind = arguments
        {"base": base, "test": test}[kind](Path(folder))
    except (ValueError, KeyError):
        print("use: python tools/environment.py FOLDER base|test", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"setting up failed at: {' '.join(map(str, error.cmd[:6]))} ...", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
