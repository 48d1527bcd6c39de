"""`selftaught export PROGRAM --to python|c|torch`: a program as a file that needs nothing of ours."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selftaught.cli.quantities import whole_number
from selftaught.errors import InputError
from selftaught.writing import file_to_write, write_atomically

if TYPE_CHECKING:
    from selftaught.programs.export import CSource

__all__ = ["ExportForm", "export_command"]


class ExportForm(enum.StrEnum):
    """What a program is written as."""

    PYTHON = "python"
    C = "c"
    TORCH = "torch"


def export_command(
    program: Annotated[str, typer.Argument(help="A program's text file, or the folder of a run.", metavar="PROGRAM")],
    to: Annotated[ExportForm, typer.Option("--to", help="NumPy Python, C99 or torch.")] = ExportForm.PYTHON,
    features: Annotated[
        int | None, typer.Option(help="Features of an example, for C.", parser=whole_number, metavar="N")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="First part of every name in C; learner by default.", metavar="NAME")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write here, not to the standard output.", metavar="FILE")] = None,
) -> None:
    """Write a program as a file that runs alone: NumPy Python, C99 or torch."""
    from selftaught.programs.export.c_export import to_c
    from selftaught.programs.export.given import read_program_file
    from selftaught.programs.export.python_export import to_python
    from selftaught.programs.export.torch_text import to_torch
    from selftaught.programs.program_file import files_of_program

    if to is ExportForm.C and features is None:
        raise InputError("a program in C needs its number of features; say --features N")
    if to is not ExportForm.C and features is not None:
        raise InputError("a program in Python takes any number of features; leave out --features")
    if to is not ExportForm.C and name is not None:
        raise InputError("--name is for C, and names in Python are fixed; leave out --name, or say --to c")
    place = None if out is None else file_to_write(out, read=files_of_program(Path(program).expanduser()))
    read = read_program_file(program)
    if features is None:
        _write((to_torch if to is ExportForm.TORCH else to_python)(read.program, task=read.task), place)
        return
    source = to_c(read.program, task=read.task, num_features=features, name="learner" if name is None else name)
    _write(source.code, place)
    if place is not None:
        typer.echo(f"{source.ram_bytes} bytes of memory, at most {source.stack_bytes} more on the stack{_code(source)}")


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        write_atomically(out, text.encode())
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}); choose another --out") from None
    typer.echo(f"wrote {out}")


def _code(source: CSource) -> str:
    """Say how many bytes the code has, where a C compiler is at hand."""
    try:
        size = source.measure()
    except InputError:
        return ""
    return f"; {size.text} bytes of code here ({size.command})"
