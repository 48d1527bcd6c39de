"""Commands that take an option once, and not empty: a second value would silently replace the first."""

from __future__ import annotations

from collections import Counter
from typing import Any

from typer.core import TyperCommand

from selftaught.errors import InputError

__all__ = ["OnceCommand"]


class OnceCommand(TyperCommand):
    """A command that refuses an option given twice, or one that is empty, as `--out "$UNSET"` is.

    A switch may stand twice, as it says the same.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        empty = next((one for one in order if one.param_type_name == "option" and values.get(one.name) == ""), None)
        if empty is not None:  # as a path it would be the folder one is in
            raise InputError(f"{empty.opts[0]} is empty; give it a value, or leave it out")
        given: Counter[str] = Counter(
            one.opts[0] for one in order if one.param_type_name == "option" and not getattr(one, "is_flag", False)
        )
        twice = next((name for name, times in given.items() if times > 1), None)
        if twice is not None:
            raise InputError(f"{twice} is given {given[twice]} times; give it once")
        return super().parse_args(ctx, args)
