"""Remove whole channels together with all that depends on them; what is left is an ordinary smaller module."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from selftaught.compress.coupling import FIXED, Places
from selftaught.compress.shrinking import kept_places, masked_copy, shrunk
from selftaught.compress.walking import Walk, walk
from selftaught.errors import InputError, did_you_mean

__all__ = ["ChannelGroup", "PrunedChannels", "channel_groups", "channel_importance", "prune_channels"]


@dataclass(frozen=True)
class ChannelGroup:
    """Layers whose output channels can only be removed together.

    Args:
        layers: names of their weights.
        width: output channels of the widest.
        choices: how many can be removed one by one; fewer than `width` in grouped convolutions.
        fixed: why none can be removed, or "".
    """

    layers: tuple[str, ...]
    width: int
    choices: int
    fixed: str


@dataclass(frozen=True, eq=False)
class PrunedChannels:
    """A model without some of its channels.

    Args:
        model: the smaller module, of the same class; the given one stays as it was.
        masks: name of each parameter that lost something -> mask (bool). The given model with its parameters times
            their masks computes the same.
        widths: name of a weight -> (channels before, channels after), of all layers that lost some.
        left_dense: name of a weight -> why none of its channels was removed.
        difference: largest difference of an output to the masked model's, over the largest output.
        parameters: before and after.
    """

    model: nn.Module
    masks: Mapping[str, torch.Tensor]
    widths: Mapping[str, tuple[int, int]]
    left_dense: Mapping[str, str]
    difference: float
    parameters: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Group:
    shown: ChannelGroup
    roots: Places  # (choices,): one number a choice


def channel_groups(model: nn.Module, inputs: Any, *, ignore: Iterable[str] = ()) -> tuple[ChannelGroup, ...]:
    """Return which layers' channels stand or fall together.

    Args:
        model: any module that torch.export takes.
        inputs: what it takes: a tensor, or a tuple of arguments.
        ignore: names of weights or modules whose outputs must stay.

    Raises:
        InputError: torch.export cannot take the model, or there is no such name.

    >>> model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    >>> [(group.layers, group.width, group.fixed) for group in channel_groups(model, torch.zeros(2, 4))]
    [(('0.weight',), 6, ''), (('2.weight',), 3, "the model's output")]
    """
    return tuple(one.shown for one in _groups(model, walk(model, _arguments(inputs)), tuple(ignore)))


def channel_importance(
    model: nn.Module,
    inputs: Any,
    *,
    scores: Mapping[str, torch.Tensor] | None = None,
    ignore: Iterable[str] = (),
) -> dict[ChannelGroup, NDArray[np.float64]]:
    """Return how important each choice of each group is that can lose channels, in the order of `channel_groups`.

    Args, Raises: as `prune_channels`.

    >>> model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    >>> {group.layers: found.shape for group, found in channel_importance(model, torch.zeros(2, 4)).items()}
    {('0.weight',): (6,)}
    """
    found = walk(model, _arguments(inputs))
    importance = _importance(model, found, scores)
    groups = [one for one in _groups(model, found, tuple(ignore)) if not one.shown.fixed]
    return {one.shown: importance[one.roots] for one in groups}


def prune_channels(
    model: nn.Module,
    inputs: Any,
    *,
    ratio: float | Mapping[str, float] = 0.5,
    round_to: int = 16,
    least: int = 1,
    scores: Mapping[str, torch.Tensor] | None = None,
    ignore: Iterable[str] = (),
    tolerance: float = 1e-4,
) -> PrunedChannels:
    """Remove the channels with the smallest weights, with the next layers' inputs, normalisations and skip partners.

    Layers that add to each other lose the same channels, a depthwise convolution loses those of its input, and the
    groups of a grouped convolution all lose as many. The importance of a channel is the L2 norm of all weights that go
    with it, or the sum of other scores of them, such as those of `taylor_scores`. The result is run beside the masked
    model: layers with which it fails or differs (a reshape to a fixed size
    in the model's code, for instance) are left dense, and listed.

    Args:
        model: any module that torch.export takes; left as it was.
        inputs: what it takes: a tensor (n, ...), or a tuple of arguments.
        ratio: share of the channels of each group of layers to remove; or a mapping from the name of one weight of a
            group to that group's share, where groups that are not named stay dense.
        round_to: what is left is a multiple of it, the nearest to the ratio; layers with no more channels stay dense.
        least: channels that are left at least.
        scores: name of a parameter -> score of each of its numbers (of its shape, not negative), which take the place
            of their squares.
        ignore: names of weights or modules whose outputs must stay. The last layer's always do.
        tolerance: largest difference to the masked model, over the largest output.

    Raises:
        InputError: an option is out of its range, torch.export cannot take the model, or there is no such name.

    >>> model = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3)).eval()
    >>> found = prune_channels(model, torch.zeros(2, 4))
    >>> found.model[0], found.model[3], dict(found.left_dense)
    (Linear(in_features=4, out_features=16, bias=True), Linear(in_features=16, out_features=3, bias=True), \
{'3.weight': "the model's output"})
    """
    for wanted in ratio.values() if isinstance(ratio, Mapping) else (ratio,):
        if not 0 <= wanted < 1:
            raise InputError(f"ratio must be from 0 to below 1 (the share of channels removed), got {wanted}")
    if round_to < 1 or least < 1:
        raise InputError(f"round_to and least must be at least 1, got {round_to} and {least}")
    arguments = _arguments(inputs)
    found = walk(model, arguments)
    groups = _groups(model, found, tuple(ignore))
    left = {name: one.shown.fixed for one in groups if one.shown.fixed for name in one.shown.layers}
    importance = _importance(model, found, scores)
    shares = _shares(groups, ratio)
    chosen: list[tuple[_Group, frozenset[int]]] = []
    for one, share in zip(groups, shares, strict=True):
        if one.shown.fixed:
            continue
        kept = _number_kept(one.shown, share, round_to, least)
        if kept >= one.shown.choices:
            told = f"{one.shown.width} channels leave none to remove"
            left |= dict.fromkeys(one.shown.layers, f"{told} at ratio {share:g}, round_to {round_to}, least {least}")
            continue
        order = np.argsort([-importance[int(root)] for root in one.roots], kind="stable")
        chosen.append((one, frozenset(int(one.roots[place]) for place in order[kept:])))
    arguments = _telling(arguments)
    removed = [gone for _, gone in chosen]
    smaller, difference, why = _tried(model, found, removed, arguments, tolerance)
    if why:  # one after the other, and those with which it fails stay
        removed = []
        for one, gone in chosen:
            _, _, fails = _tried(model, found, [*removed, gone], arguments, tolerance)
            if fails:
                left |= dict.fromkeys(one.shown.layers, fails)
            else:
                removed.append(gone)
        smaller, difference, _ = _tried(model, found, removed, arguments, tolerance)
    places = kept_places(found, frozenset().union(*removed))
    masks = {name: _mask(places[name]) for name, _ in model.named_parameters() if name in places}
    left |= {name: why for name, why in _not_reached(model, found).items() if name not in masks}
    widths = {
        name: (len(places[name][axis]), int(places[name][axis].sum()))
        for name, axis in found.producers
        if name in places and not places[name][axis].all()
    }
    counts = tuple(sum(one.numel() for one in each.parameters()) for each in (model, smaller))
    return PrunedChannels(smaller, masks, widths, left, difference, (counts[0], counts[1]))


def _shares(groups: Sequence[_Group], ratio: float | Mapping[str, float]) -> list[float]:
    """Return the share that each group loses.

    Raises:
        InputError: a name is no weight of a group, or two names of a group say different things.
    """
    if not isinstance(ratio, Mapping):
        return [ratio] * len(groups)
    known = {name for one in groups for name in one.shown.layers}
    for name in ratio:
        if name not in known:
            raise InputError(f"there is no weight {name!r} whose channels have a ratio{did_you_mean(name, known)}")
    shares = []
    for one in groups:
        said = {ratio[name] for name in one.shown.layers if name in ratio}
        if len(said) > 1:
            raise InputError(f"{' and '.join(one.shown.layers)} lose the same channels; give them one ratio")
        shares.append(said.pop() if said else 0.0)
    return shares


def _not_reached(model: nn.Module, found: Walk) -> dict[str, str]:
    """Return the weights that are no followed layer's, and why: name -> reason."""
    known, told = {name for name, _ in found.producers}, {}
    for name, one in model.named_parameters():
        if one.ndim < 2 or name in known:
            continue
        places = np.concatenate(found.tensors[name]) if name in found.tensors else ()
        reasons = (found.held.reason(int(place)) for place in places)
        told[name] = next((why for why in reasons if why), "" if name in found.tensors else "the model does not use it")
    return {name: why for name, why in told.items() if why}


def _number_kept(group: ChannelGroup, ratio: float, round_to: int, least: int) -> int:
    """Return how many choices of a group are kept; all at ratio 0."""
    if ratio == 0:
        return group.choices
    wanted = group.width * (1 - ratio)
    channels = max(math.floor(wanted / round_to + 0.5), 1) * round_to
    return math.ceil(max(channels, least) * group.choices / group.width)


def _groups(model: nn.Module, found: Walk, ignore: Sequence[str]) -> list[_Group]:
    """Return the groups in the order of their first layers."""
    known = {name for name, _ in model.named_modules(remove_duplicate=False)}
    known |= {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name in ignore:
        if name not in known:
            raise InputError(f"there is no module or weight {name!r} to ignore{did_you_mean(name, known)}")
    held = found.held
    sides = {(name, axis): held.roots(found.tensors[name][axis]) for name, axis in found.producers}
    together: list[tuple[list[tuple[str, int]], set[int]]] = []
    for side, roots in sides.items():
        owned = set(roots.tolist())
        meeting = [one for one in together if one[1] & owned]
        merged = ([other for one in meeting for other in one[0]] + [side], owned.union(*(one[1] for one in meeting)))
        together = [one for one in together if one not in meeting] + [merged]
    first = {side: place for place, side in enumerate(sides)}
    groups = []
    for members, _ in sorted(together, key=lambda one: min(first[side] for side in one[0])):
        members.sort(key=lambda side: first[side])
        roots = np.unique(np.concatenate([sides[side] for side in members]))
        why = next((reason for root in roots if (reason := held.reason(int(root)))), "")
        names = tuple(dict.fromkeys(name for name, _ in members))
        if not why and any(name == other or name.startswith(f"{other}.") for name in names for other in ignore):
            why = "it is to be ignored"
        width = max(len(sides[side]) for side in members)
        groups.append(_Group(ChannelGroup(names, width, len(roots), why), roots))
    return groups


@torch.no_grad()
def _importance(
    model: nn.Module, found: Walk, scores: Mapping[str, torch.Tensor] | None
) -> NDArray[np.float64]:
    """Return the L2 norm of all weights that go with each root, or of their scores' roots; index by the root's number.

    Raises:
        InputError: scores have another shape than their parameter.
    """
    squares: NDArray[np.float64] = np.zeros(len(found.held._parents))
    for name, one in model.named_parameters():
        if scores is not None and name in scores and scores[name].shape != one.shape:
            given = tuple(scores[name].shape)
            raise InputError(f"the scores of {name} must have shape {tuple(one.shape)}, got {given}")
        each = one.double().square() if scores is None else scores.get(name, torch.zeros_like(one)).double()
        for axis, places in enumerate(found.tensors.get(name, ())):
            others = [other for other in range(one.ndim) if other != axis]
            sums = each.sum(dim=others) if others else each
            np.add.at(squares, found.held.roots(places), sums.cpu().numpy())
    squares[FIXED] = 0
    return np.sqrt(squares)


@torch.no_grad()
def _tried(
    model: nn.Module, found: Walk, gone: Sequence[frozenset[int]], arguments: tuple[Any, ...], tolerance: float
) -> tuple[nn.Module, float, str]:
    """Return the smaller model, its difference to the masked one, and what is wrong with it or ""."""
    places = kept_places(found, frozenset().union(*gone))
    smaller = shrunk(model, places)
    wanted = _outputs(masked_copy(model, places), arguments)
    try:
        given = _outputs(smaller, arguments)
    except Exception as error:
        return smaller, math.inf, f"the smaller model fails: {(str(error).strip().splitlines() or ['?'])[0]}"
    if [one.shape for one in given] != [one.shape for one in wanted]:
        return smaller, math.inf, "the smaller model's outputs have another shape"
    worst = 0.0
    for one, other in zip(given, wanted, strict=True):
        scale = float(other.abs().max()) if other.numel() else 0.0
        worst = max(worst, float((one - other).abs().max()) / (scale or 1.0) if other.numel() else 0.0)
    return smaller, worst, "" if worst <= tolerance else f"the smaller model's outputs differ by {worst:.1e}"


def _outputs(model: nn.Module, arguments: tuple[Any, ...]) -> list[torch.Tensor]:
    from torch.utils._pytree import tree_leaves

    own = copy.deepcopy(model).eval()
    return [one.double() for one in tree_leaves(own(*arguments)) if isinstance(one, torch.Tensor)]


def _telling(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return inputs that tell models apart: normal numbers in place of a constant, such as zeros that give a shape."""
    from torch.utils._pytree import tree_map

    generator = torch.Generator().manual_seed(0)

    def varied(one: Any) -> Any:
        if not (isinstance(one, torch.Tensor) and one.is_floating_point() and one.numel() > 1):
            return one
        return one if bool((one != one.flatten()[0]).any()) else torch.randn(one.shape, generator=generator).to(one)

    varied_arguments: tuple[Any, ...] = tree_map(varied, arguments)
    return varied_arguments


def _mask(kept: Sequence[NDArray[np.bool_]]) -> torch.Tensor:
    mask = torch.ones((), dtype=torch.bool)
    for one in kept:
        mask = mask[..., None] & torch.from_numpy(one)
    return mask


def _arguments(inputs: Any) -> tuple[Any, ...]:
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
