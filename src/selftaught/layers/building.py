"""From a candidate to a torch module."""

from __future__ import annotations

import linecache
import types
from functools import cache
from typing import Any

import torch

from selftaught.errors import InputError
from selftaught.layers.layer_text import layer_file
from selftaught.spaces import Candidate

__all__ = ["build_layer", "layer_class", "load_written"]


def layer_class(candidate: Candidate, *, name: str = "Layer") -> type[torch.nn.Module]:
    """Return the class of a layer, the one that `layer_file` writes.

    Args:
        candidate: of `layer_space()`.
        name: of the class.

    Raises:
        InputError: it is no candidate.

    >>> import torch
    >>> from selftaught.spaces import PUBLISHED_LAYERS
    >>> layer = layer_class(PUBLISHED_LAYERS["evonorm-b1"])(8)
    >>> list(layer.state_dict())
    ['weight', 'bias', 'running_4']
    """
    found: type[torch.nn.Module] = getattr(load_written(layer_file(candidate, name=name)), name)
    return found


def build_layer(
    candidate: Candidate, channels: int, *, groups: int | None = None, activation: bool = True, **options: Any
) -> torch.nn.Module:
    """Return a layer for a number of channels, whether or not it has groups.

    Args:
        candidate: of `layer_space()`.
        channels: C.
        groups: of channels, for layers that have them; 32 by default, or C where that is less.
        activation: False leaves the affine part alone.
        options: `eps`, `inputs`, and `momentum` where the layer looks at the batch.

    Raises:
        InputError: it is no candidate, or an option does not fit.

    >>> import torch
    >>> from selftaught.spaces import PUBLISHED_LAYERS
    >>> layer = build_layer(PUBLISHED_LAYERS["evonorm-s0"], 8, groups=2)
    >>> layer(torch.zeros(1, 8, 4, 4)).shape
    torch.Size([1, 8, 4, 4])
    """
    made = layer_class(candidate)
    if groups is not None and any("_group" in str(choice) for choice in candidate.values()):
        options["groups"] = groups
    try:
        return made(channels, activation=activation, **options)
    except TypeError:
        if "groups" in options:  # the group statistic is in a dead node
            options.pop("groups")
            return build_layer(candidate, channels, activation=activation, **options)
        raise InputError(f"this layer takes no {' or '.join(options)}") from None
    except ValueError as error:
        raise InputError(str(error)) from None


@cache
def load_written(text: str) -> types.ModuleType:
    """Run a file that this package wrote and return its names as a module."""
    name = f"selftaught_written_{abs(hash(text)):x}"
    place = f"<{name}>"
    module = types.ModuleType(name)
    # Tracebacks and torch's own tools read the source of what they meet.
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    exec(compile(text, place, "exec"), vars(module))  # noqa: S102 - our own text: operations and numbers
    return module
