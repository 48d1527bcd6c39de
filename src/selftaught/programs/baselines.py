"""The two learners written by hand in the language: start programs, cost references and opponents."""

from __future__ import annotations

from selftaught.programs.parse import parse_program
from selftaught.programs.program import Program
from selftaught.programs.text import format_constant

__all__ = ["LINEAR_LEARNER", "TWO_LAYER_NETWORK", "linear_learner", "two_layer_network"]

LINEAR_LEARNER = """\
selftaught-program 1
slots: 4 scalars, 3 vectors, 1 matrix
task: regression
setup:
    s2 = {learning_rate}
predict:
    s1 = dot(v0, v1)
learn:
    s3 = s0 - s1
    s3 = s2 * s3
    v2 = s3 * v0
    v1 = v1 + v2
"""

TWO_LAYER_NETWORK = """\
selftaught-program 1
slots: 5 scalars, 9 vectors, 2 matrices
task: regression
setup:
    v2 = gaussian(0, {initial_scale})
    m0 = gaussian(0, {initial_scale})
    s3 = {learning_rate}
predict:
    v3 = m0 @ v0
    v3 = v3 + v1
    v4 = maximum(v3, v5)    # v5 is never written: zeros
    s1 = dot(v4, v2)
    s1 = s1 + s2
learn:
    s4 = s0 - s1
    s4 = s3 * s4
    s2 = s2 + s4
    v7 = s4 * v2            # through the output weights of the prediction
    v6 = s4 * v4
    v2 = v2 + v6
    v8 = step(v3)
    v7 = v8 * v7
    v1 = v1 + v7
    m1 = outer(v7, v0)
    m0 = m0 + m1
"""


def linear_learner(learning_rate: float = 0.01) -> Program:
    """Return the linear model trained by stochastic gradient descent; slots 4/3/1.

    Raises:
        ProgramError: the learning rate is not a finite float32.

    >>> len(linear_learner(0.1))
    6
    """
    text = LINEAR_LEARNER.format(learning_rate=format_constant(learning_rate))
    return parse_program(text, "linear_learner").program


def two_layer_network(learning_rate: float = 0.01, initial_scale: float = 0.1) -> Program:
    """Return the two-layer network with ReLU, biases and back-propagation by hand; slots 5/9/2.

    Args:
        learning_rate: step of the gradient descent.
        initial_scale: standard deviation of the first weights of both layers.

    Raises:
        ProgramError: a constant is not a finite float32.

    >>> [len(function) for _, function in two_layer_network().functions()]
    [3, 5, 11]
    """
    text = TWO_LAYER_NETWORK.format(
        learning_rate=format_constant(learning_rate), initial_scale=format_constant(initial_scale)
    )
    return parse_program(text, "two_layer_network").program
