"""Many models of one shape in one memory: parameters side by side, and a forward pass of all members."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from selftaught.errors import InputError
from selftaught.training.costs import count_flops
from selftaught.training.losses import as_scores
from selftaught.training.stacked_layers import RULES, member_dropout, plan_of

__all__ = ["Engine", "Stack", "pick_engine"]

Engine = Literal["layers", "vmap", "turns"]
#: Operations of a member in a step, two a multiply-add, up to which grouped convolutions pay on a CPU.
_MOST_GROUPED = 12e6
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Stack:
    """Members' parameters in one piece of memory, and their gradients likewise.

    Args:
        models: of one shape; they are copied, and `unstack` writes back into them.
        engine: how the members run: "layers", one operation for each layer of all members; "vmap", torch's, for any
            module without decisions that depend on its values; "turns", one member after the other.
        device: where.

    Raises:
        InputError: the models are not of one shape, or the engine does not fit them.
    """

    def __init__(self, models: Sequence[nn.Module], engine: Engine, device: torch.device) -> None:
        self.models = list(models)
        self.engine = engine
        _check_alike(self.models)
        self.generators = [torch.Generator(device) for _ in self.models]
        named = [dict(model.named_parameters()) for model in self.models]
        self.names = [name for name, one in named[0].items() if one.requires_grad]
        if not self.names:
            raise InputError("the models have no parameter with requires_grad=True; there is nothing to train")
        shapes = [named[0][name].shape for name in self.names]
        sizes = [shape.numel() for shape in shapes]
        members = len(self.models)
        #: (members x parameters,): each parameter of all members in a row, one member after the other.
        self.values = torch.cat(
            [torch.stack([one[name].detach() for one in named]).flatten() for name in self.names]
        ).to(device)
        self.gradients = torch.zeros_like(self.values)
        starts = [members * sum(sizes[:place]) for place in range(len(sizes))]
        self._places = {name: place for name, *place in zip(self.names, starts, sizes, shapes, strict=True)}
        tied = {id(named[0][name]) for name in self.names}
        states = [model.state_dict() for model in self.models]
        self._others = {
            name: torch.stack([state[name].detach() for state in states]).to(device)
            for name, one in self.models[0].state_dict(keep_vars=True).items()
            if id(one) not in tied
        }
        # A member's own forward pass alone is faster so; the others hold each parameter in its plain order.
        self._channels_last = engine == "turns" and any(isinstance(one, nn.Conv2d) for one in self.models[0].modules())
        template = copy.deepcopy(self.models[0]).to(device)
        template.train()
        if engine == "turns":
            self._members = [self._member(template, number) for number in range(len(self.models))]
        else:
            self._stacked = {name: self._view(name) for name in self.names}
            if engine == "vmap":
                _replace_dropout(template, self.generators)
                self._template = template
            else:
                self._prepare_layers(template)

    def __len__(self) -> int:
        return len(self.models)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the scores (members, n, ...) of inputs (members, n, ...), in training mode; not for "turns"."""
        if self.engine == "layers":
            for layer in self._layers:
                inputs = RULES[type(layer)](layer, self._find, inputs, self.generators)
            return inputs

        def one(parameters: dict[str, torch.Tensor], others: dict[str, torch.Tensor], rows: torch.Tensor) -> Any:
            return as_scores(torch.func.functional_call(self._template, (parameters, others), (rows,)))

        found: torch.Tensor = torch.func.vmap(one, randomness="different")(self._stacked, self._others, inputs)
        return found

    def forward_one(self, number: int, inputs: torch.Tensor) -> torch.Tensor:
        """Return the scores (n, ...) of one member for inputs (n, ...); for the engine "turns"."""
        if self._channels_last and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return as_scores(self._members[number](inputs))

    def member(self, number: int) -> nn.Module:
        """Return a module whose parameters, gradients and buffers are those of a member here, not copies."""
        if self.engine == "turns":
            return self._members[number]
        template = copy.deepcopy(self.models[0]).to(self.values.device)
        template.train()
        return self._member(template, number)

    def parameters_of(self, member: nn.Module) -> list[nn.Parameter]:
        """Return the parameters of a member's module that are trained."""
        named = dict(member.named_parameters())
        return [named[name] for name in self.names]

    def unstack(self) -> None:
        """Write parameters and buffers back into the models."""
        with torch.no_grad():
            for number, model in enumerate(self.models):
                state = model.state_dict()
                if self.engine == "turns":
                    for name, own in self._members[number].state_dict().items():
                        state[name].copy_(own)
                    continue
                for name, (start, size, shape) in self._places.items():
                    state[name].copy_(self.values[start + number * size :][:size].view(shape))
                for name, other in self._others.items():
                    state[name].copy_(other[number])

    def spread(self, own: Sequence[float], *, weights_only: bool = False) -> torch.Tensor:
        """Return a number of each member's at each of its places in `values`.

        Args:
            own: one number a member.
            weights_only: leave zero where the parameter has one axis or none.
        """
        found = torch.zeros_like(self.values)
        numbers = torch.tensor(own, dtype=found.dtype, device=found.device)[:, None]
        for start, size, shape in self._places.values():
            if len(shape) > 1 or not weights_only:
                found[start : start + len(self) * size].view(len(self), size).copy_(numbers)
        return found

    def clip(self, norm: float) -> None:
        """Shorten the gradient of each member to a norm."""
        blocks = [
            self.gradients[start : start + len(self) * size].view(len(self), size)
            for start, size, _ in self._places.values()
        ]
        norms = torch.stack([torch.linalg.vector_norm(one, dim=1) for one in blocks]).norm(dim=0)
        factors = (norm / (norms + 1e-6)).clamp(max=1.0)[:, None]
        for one in blocks:
            one.mul_(factors)

    def _view(self, name: str, member: int | None = None) -> nn.Parameter:
        """Return a parameter, of all members or of one, in the memory of `values`, with its gradient in `gradients`."""
        start, size, shape = self._places[name]
        if member is None:
            end, shape = start + len(self) * size, (len(self), *shape)
        else:
            start, end = start + member * size, start + (member + 1) * size
        parts = self.values[start:end], self.gradients[start:end]
        if member is not None and self._channels_last and len(shape) == 4:
            # In the order of memory that convolutions are faster with.
            turned = (shape[0], *shape[2:], shape[1])
            value, gradient = (one.view(turned).permute(0, 3, 1, 2) for one in parts)
        else:
            value, gradient = (one.view(shape) for one in parts)
        parameter = nn.Parameter(value)
        parameter.grad = gradient
        return parameter

    def _member(self, template: nn.Module, number: int) -> nn.Module:
        """Return a module of one member whose parameters and buffers are parts of the stack."""
        member = copy.deepcopy(template)
        _replace_dropout(member, [self.generators[number]])
        places = {id(one): name for name, one in member.named_parameters() if name in self._places}
        views = {name: self._view(name, number) for name in self._places}
        with torch.no_grad():
            own_values = dict(self.models[number].named_parameters())
            for name, view in views.items():
                view.copy_(own_values[name])
        for name, module in member.named_modules():
            for own, parameter in module._parameters.items():
                if parameter is not None and id(parameter) in places:
                    module._parameters[own] = views[places[id(parameter)]]
                elif parameter is not None:
                    with torch.no_grad():
                        parameter.copy_(self._others[_joined(name, own)][number])
            for own in module._buffers:
                if _joined(name, own) in self._others:
                    module._buffers[own] = self._others[_joined(name, own)][number]
        return member

    def _prepare_layers(self, template: nn.Module) -> None:
        plan = plan_of(template)
        if plan is None:
            raise InputError("engine 'layers' takes chains of known layers only; say engine='vmap' or 'turns'")
        self._layers = plan
        self._by_id: dict[int, torch.Tensor] = {}
        names = [*template.named_parameters(remove_duplicate=False), *template.named_buffers(remove_duplicate=False)]
        for name, tensor in names:
            found = self._stacked.get(name, self._others.get(name))
            if found is not None:
                self._by_id.setdefault(id(tensor), found)

    def _find(self, tensor: torch.Tensor | None) -> Any:
        return None if tensor is None else self._by_id[id(tensor)]


def pick_engine(model: nn.Module, inputs: torch.Tensor) -> Engine:
    """Return the engine that was measured to be fastest for such a model: see docs/train.md.

    On a CPU, convolutions of more than about six million multiply-adds a member and step run in turns: a grouped
    convolution is slower there than its parts.

    Args:
        model: a member.
        inputs: (n, ...) of one step.
    """
    convolutions = any(isinstance(one, nn.modules.conv._ConvNd) for one in model.modules())
    if inputs.device.type == "cpu" and convolutions and count_flops(model, inputs[:1]) * len(inputs) > _MOST_GROUPED:
        return "turns"
    return "layers" if plan_of(model) is not None else "vmap"


class _MemberDropout(torch.autograd.Function):
    """Dropout that draws each member's mask from its own generator, below vmap."""

    generate_vmap_rule = False

    @staticmethod
    def forward(inputs: torch.Tensor, rate: float, generators: Any, shape: Any) -> torch.Tensor:
        return member_dropout(rate, inputs[None], generators, shape)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: under vmap the operations below record themselves."""

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, inputs: torch.Tensor, rate: float, generators: Any, shape: Any
    ) -> tuple[torch.Tensor, int]:
        return member_dropout(rate, inputs.movedim(in_dims[0], 0), generators, shape), 0


class _Dropout(nn.Module):
    """Stands for a dropout layer in a stack; `whole` drops channels, as Dropout2d does."""

    def __init__(self, rate: float, whole: bool, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.rate = rate
        self.whole = whole
        self.generators = list(generators)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return inputs
        shape = (*inputs.shape[:2], *(1 for _ in inputs.shape[2:])) if self.whole else tuple(inputs.shape)
        if len(self.generators) == 1:
            return member_dropout(self.rate, inputs[None], self.generators, shape)[0]
        found: torch.Tensor = _MemberDropout.apply(inputs, self.rate, self.generators, shape)
        return found


def _replace_dropout(model: nn.Module, generators: Sequence[torch.Generator]) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.dropout._DropoutNd):
                if type(child) not in _DROPOUTS:
                    raise InputError(f"a population cannot have {type(child).__name__}; take Dropout or Dropout2d")
                setattr(parent, name, _Dropout(child.p, type(child) is not nn.Dropout, generators))


def _check_alike(models: Sequence[nn.Module]) -> None:
    shapes = [{name: one.shape for name, one in model.state_dict().items()} for model in models]
    for number, found in enumerate(shapes[1:], start=1):
        if found != shapes[0] or str(models[number]) != str(models[0]):
            raise InputError(f"models of a population must be of one shape, but number {number} differs from number 0")


def _joined(module: str, own: str) -> str:
    return f"{module}.{own}" if module else own
