"""What must hold of the installed wheel, run outside the repository."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import selftaught

INSTALLED = Path(sysconfig.get_path("purelib"))


def test_the_package_under_test_is_the_installed_one() -> None:
    assert Path(selftaught.__file__).is_relative_to(INSTALLED)


def test_the_version_is_the_distribution_s() -> None:
    assert selftaught.__version__ == importlib.metadata.version("selftaught")


def test_every_module_is_in_the_wheel_and_imports() -> None:
    names = [module.name for module in pkgutil.walk_packages(selftaught.__path__, "selftaught.")]
    assert "selftaught.programs" in names
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def test_types_and_licence_are_shipped() -> None:
    assert (Path(selftaught.__file__).parent / "py.typed").is_file()
    files = importlib.metadata.files("selftaught") or []
    assert {"LICENSE", "NOTICE"} <= {Path(str(file)).name for file in files}


def test_the_bundled_data_load_without_the_repository() -> None:
    assert len(selftaught.load("digits")) == 1797


def test_the_recorded_run_plays_and_gives_a_page_without_the_repository(tmp_path: Path) -> None:
    from selftaught.report import recording, write_report

    assert write_report(recording(), tmp_path / "page.html").stat().st_size > 10_000
    command = shutil.which("selftaught", path=str(Path(sys.executable).parent))
    assert command
    done = subprocess.run([command, "replay"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "cifar10: replay" in done.stdout


def test_the_command_says_what_is_wrong_in_one_line() -> None:
    command = shutil.which("selftaught", path=str(Path(sys.executable).parent))
    assert command
    done = subprocess.run([command, "evolve", "no_such_file.csv"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no_such_file.csv" in done.stderr
    assert "Traceback" not in done.stderr
