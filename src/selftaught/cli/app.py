"""The program `selftaught`: its verbs, and how every mistake becomes one line and an exit code."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import selftaught
from selftaught.cli.audit_command import audit_command
from selftaught.cli.claims_command import claims_command
from selftaught.cli.compress_command import compress_command
from selftaught.cli.data_command import data_command
from selftaught.cli.doctor_command import doctor_command
from selftaught.cli.evolve_command import evolve_command
from selftaught.cli.explain_command import explain_command
from selftaught.cli.export_command import export_command
from selftaught.cli.machine_help import describe_app
from selftaught.cli.once import OnceCommand
from selftaught.cli.quantities import process_began
from selftaught.cli.replay_command import replay_command
from selftaught.cli.report_command import report_command
from selftaught.cli.reproduce_command import reproduce_command
from selftaught.cli.saliency_command import saliency_command
from selftaught.cli.scale_command import scale_command
from selftaught.cli.search_command import search_command
from selftaught.cli.search_layer_command import search_layer_command
from selftaught.cli.train_command import train_command
from selftaught.cli.verdict_command import verdict_command
from selftaught.errors import SelftaughtError

__all__ = ["EXIT_INTERRUPTED", "EXIT_WRONG_USE", "app", "main"]

EXIT_WRONG_USE = 2
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="selftaught",
    help="Automate the trial and error of machine learning, and show what each choice gave up.",
    epilog="Exit codes: 0 done, 1 a target was not reached, 2 wrong use, 3 a claim did not hold, 130 interrupted.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("evolve", cls=OnceCommand)(evolve_command)
app.command("train", cls=OnceCommand)(train_command)
app.command("compress", cls=OnceCommand)(compress_command)
app.command("audit", cls=OnceCommand)(audit_command)
app.command("verdict", cls=OnceCommand)(verdict_command)
app.command("saliency", cls=OnceCommand)(saliency_command)
app.command("search-layer", cls=OnceCommand)(search_layer_command)
app.command("report", cls=OnceCommand)(report_command)
app.command("replay", cls=OnceCommand)(replay_command)
app.command("export", cls=OnceCommand)(export_command)
app.command("explain", cls=OnceCommand)(explain_command)
app.command("search", cls=OnceCommand)(search_command)
app.command("scale", cls=OnceCommand)(scale_command)
app.command("data", cls=OnceCommand)(data_command)
app.command("reproduce", cls=OnceCommand)(reproduce_command)
app.command("claims", cls=OnceCommand)(claims_command)
app.command("doctor", cls=OnceCommand)(doctor_command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"selftaught {selftaught.__version__}")
        raise typer.Exit()


def _show_machine_help(wanted: bool) -> None:
    if wanted:
        typer.echo(json.dumps(describe_app(app, selftaught.__version__), indent=2))
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_show_version, is_eager=True)
    ] = False,
    help_json: Annotated[
        bool,
        typer.Option(
            "--help-json",
            help="List every command and option as JSON, for scripts and assistants.",
            callback=_show_machine_help,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Automate the trial and error of machine learning, and show what each choice gave up."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    A mistake of the user is one line on the standard error, `selftaught: ...`, without a traceback.

    Args:
        arguments: the words after the program's name; those of this process by default.

    Raises:
        SystemExit: always. 0 done, 1 a target was not reached, 2 wrong use, 3 a claim was not reproduced,
            130 interrupted.
    """
    command = typer.main.get_command(app)
    words = list(sys.argv[1:] if arguments is None else arguments)
    # A promised time counts from when the user pressed Enter.
    began = process_began() if arguments is None else time.perf_counter()
    try:
        result: Any = command.main(words, prog_name="selftaught", standalone_mode=False, obj=began)
        sys.stdout.flush()
    except SelftaughtError as error:
        result = _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        result = EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the pipe has gone, as after `| head`: nothing more to say
        raise SystemExit(0) from None
    except OSError as error:
        if error.filename is None:
            raise
        result = _complain(f"{error.filename}: {error.strerror}", EXIT_WRONG_USE)
    except RuntimeError as error:
        if "home directory" not in str(error):  # what pathlib says of ~name
            raise
        result = _complain("a path begins with ~ and no user's name; write it in full", EXIT_WRONG_USE)
    except Exception as error:
        # Typer brings the parser's errors under changing names; all of them can format their message.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        result = _complain(_with_remedy(message(), getattr(error, "ctx", None)), EXIT_WRONG_USE)
    if result == EXIT_INTERRUPTED:
        _complain("interrupted", EXIT_INTERRUPTED)
    raise SystemExit(result if isinstance(result, int) else 0)


def _with_remedy(message: str, context: Any) -> str:
    """Return a complaint of the parser with the command that helps, without the parser's own words for its kind."""
    told = message.replace("Value error, ", "", 1).rstrip(".")
    place = getattr(context, "command_path", "") or "selftaught"
    return told if told.endswith("?") else f"{told or 'wrong use'}; see {place} --help"


def _complain(message: str, code: int) -> int:
    """Print a message as one line on the standard error; return the exit code."""
    lines = [" ".join(line.split()) for line in message.splitlines() if line.strip()]
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    print(f"selftaught: {lines[0] if lines else 'wrong use'}{more}", file=sys.stderr)  # noqa: T201
    return code
