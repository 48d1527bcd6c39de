"""Every command and option as plain data, for scripts and coding assistants."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import typer
from typer.models import OptionInfo, ParameterInfo

__all__ = ["describe_app"]


def describe_app(app: typer.Typer, version: str) -> dict[str, Any]:
    """Return the name, version, global options and commands of an app, made of JSON's own types."""
    root = app.registered_callback
    return {
        "name": app.info.name,
        "version": version,
        "help": app.info.help,
        "exit_codes": {
            "0": "done",
            "1": "a target was not reached",
            "2": "wrong use",
            "130": "interrupted before anything could be kept",
        },
        "options": _parameters(root.callback) if root and root.callback else [],
        "commands": [
            {
                "name": command.name,
                "help": inspect.getdoc(command.callback),
                "parameters": _parameters(command.callback),
            }
            for command in app.registered_commands
            if command.callback is not None
        ],
    }


def _parameters(callback: Callable[..., Any]) -> list[dict[str, Any]]:
    hints = typing.get_type_hints(callback, include_extras=True)
    return [
        _parameter(name, hints[name], parameter.default)
        for name, parameter in inspect.signature(callback).parameters.items()
        if typing.get_origin(hints.get(name)) is typing.Annotated
    ]


def _parameter(name: str, hint: Any, default: Any) -> dict[str, Any]:
    kind, *extras = typing.get_args(hint)
    info: ParameterInfo = next(extra for extra in extras if isinstance(extra, ParameterInfo))
    kind = _without_none(kind)
    described: dict[str, Any] = {
        "name": name,
        "kind": "option" if isinstance(info, OptionInfo) else "argument",
        "type": info.metavar.lower() if info.metavar else kind.__name__,
        "help": info.help or "",
        "required": default is inspect.Parameter.empty,
        "default": None if default is inspect.Parameter.empty else default,
    }
    if isinstance(info, OptionInfo):
        # Typer keeps the first flag where a default would stand outside of Annotated.
        first = [info.default] if isinstance(info.default, str) else []
        described["flags"] = [*first, *(info.param_decls or [])] or ["--" + name.replace("_", "-")]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        described["type"] = "choice"
        described["choices"] = [member.value for member in kind]
    return described


def _without_none(kind: Any) -> Any:
    """Return X of `X | None`."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(one for one in typing.get_args(kind) if one is not type(None))
    return kind
