"""What program evolution found, put into an ordinary network: a bilinear term, and normalised gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import nn

from selftaught.errors import DivergedError, require_one_of
from selftaught.examples import Task
from selftaught.programs.export.torch_export import to_optimizer
from selftaught.seeds import seed_for
from selftaught.training import Constant, TrainConfig, evaluate, fit, mlp
from selftaught.training.devices import limited_threads

__all__ = ["NORMALISING_PROGRAM", "TRANSPLANTS", "BilinearTerm", "Transplant", "transplanted"]

Transplant = Literal["plain", "bilinear", "normalised"]

#: a linear learner that divides its step by the step's norm, the form in which evolved programs normalise gradients
NORMALISING_PROGRAM = """\
selftaught-program 1
slots: 6 scalars, 4 vectors, 1 matrices
task: binary
setup:
    s2 = 0.1
predict:
    s1 = dot(v0, v1)
learn:
    s3 = s0 - s1
    v2 = s3 * v0
    s4 = norm(v2)
    s5 = s2 / s4
    v3 = s5 * v2
    v1 = v1 + v3
"""


class BilinearTerm(nn.Module):
    """Add x' M x to the scores of a network, a matrix M for each: what evolution put beside linear learners.

    M is zero at first, so that the network begins as it would without.

    Args:
        network: from scaled inputs to scores (n, outputs).
        features: of an example, flattened.
        outputs: scores.

    >>> import torch
    >>> plain = nn.Linear(3, 2)
    >>> x = torch.ones(4, 3)
    >>> torch.equal(BilinearTerm(plain, 3, 2)(x), plain(x))
    True
    """

    def __init__(self, network: nn.Module, features: int, outputs: int) -> None:
        super().__init__()
        self.network = network
        self.matrices = nn.Parameter(torch.zeros(outputs, features, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(1)
        pairs = torch.einsum("ni,kij,nj->nk", rows, self.matrices, rows) / rows.shape[1] ** 0.5
        found: torch.Tensor = self.network(x) + pairs
        return found


class _Paced:
    """Makes the optimiser of the program, whose rate `s2` is its learning rate."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, parameters: Any) -> torch.optim.Optimizer:
        made = to_optimizer(NORMALISING_PROGRAM)(parameters, s2=self.rate)
        for group in made.param_groups:
            group["lr"] = self.rate  # what `fit` reads; the rule's own rate is s2, and the schedule is constant
        return made


def _descent(rate: float) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.SGD(parameters, lr=rate)


#: name -> whether the network has a bilinear term, and what makes its optimiser at a rate
TRANSPLANTS: Mapping[Transplant, tuple[bool, Callable[[float], Callable[[Any], torch.optim.Optimizer]]]] = {
    "plain": (False, _descent),
    "bilinear": (True, _descent),
    "normalised": (False, _Paced),
}


def transplanted(
    task: Task, what: Transplant, rate: float, *, steps: int, hidden: int = 32, seed: int = 0
) -> dict[str, float]:
    """Train a perceptron with or without a transplant; return its accuracy on validation and test examples.

    Args:
        task: of classes.
        what: "plain" gradient descent, "bilinear" (a term beside the network), or "normalised" (the optimiser that
            `to_optimizer` makes of `NORMALISING_PROGRAM`).
        rate: the learning rate, constant.
        steps: of 64 examples.
        hidden: units of the one hidden layer.
        seed: of weights and order, the same for all three.

    Returns:
        "valid" and "test"; zeros where training diverged.

    Raises:
        InputError: an unknown transplant.
    """
    require_one_of("what", what, TRANSPLANTS)
    bilinear, optimiser = TRANSPLANTS[what]
    model: nn.Module = mlp(task.train, hidden=(hidden,), seed=seed)
    if bilinear:
        features = int(torch.tensor(task.train.inputs.shape[1:]).prod())
        scaling, *rest = model.children()
        model = nn.Sequential(scaling, BilinearTerm(nn.Sequential(*rest), features, task.train.num_classes))
    settings = TrainConfig(
        steps=steps, batch_size=64, schedule=Constant(), seed=seed_for(seed, "transplants") % 2**63, device="cpu"
    )
    with limited_threads(1):
        try:
            fit(model, task.train, settings, optimiser=optimiser(rate))
        except DivergedError:
            return {"valid": 0.0, "test": 0.0}
        parts = {"valid": task.valid, "test": task.test or task.valid}
        return {name: evaluate(model, part).score for name, part in parts.items()}
