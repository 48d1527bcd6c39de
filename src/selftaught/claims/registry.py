"""All claims by name: a new one is a file beside this one and a line here; the tests run over all."""

from __future__ import annotations

from collections.abc import Mapping

from selftaught.claims import (
    affine_from_nothing,
    batchnorm_only,
    cell_transfer,
    class_pairs,
    compound_scaling,
    controller_beats_random,
    difficulty_measures,
    distil_keeps_tail,
    early_exit,
    efficientnet_table,
    evolution_beats_random,
    few_examples_invite_noise,
    forgotten_examples,
    generalisation_stability,
    gradient_flow,
    invention,
    lanes_pay,
    layer_for_sparse,
    layer_rejection,
    layer_search_beats_random,
    linear_from_nothing,
    liveness_pays,
    masked_is_not_faster,
    nb201_budget,
    nonlinear_setup,
    protected_compression,
    quantised_forgets_less,
    rare_classes_pay,
    rare_or_mislabelled,
    roar,
    small_batch_layer,
    sparse_kernel,
    sparse_starts,
    structured_is_faster,
    supermask,
    transplant,
    uneven_training,
    weight_inheritance,
)
from selftaught.claims.claim import Claim
from selftaught.errors import InputError, did_you_mean

__all__ = ["CLAIMS", "find_claim"]

_MODULES = (
    linear_from_nothing,
    affine_from_nothing,
    nonlinear_setup,
    class_pairs,
    invention,
    few_examples_invite_noise,
    lanes_pay,
    liveness_pays,
    evolution_beats_random,
    controller_beats_random,
    nb201_budget,
    efficientnet_table,
    compound_scaling,
    cell_transfer,
    weight_inheritance,
    layer_rejection,
    small_batch_layer,
    batchnorm_only,
    layer_search_beats_random,
    transplant,
    forgotten_examples,
    rare_classes_pay,
    quantised_forgets_less,
    difficulty_measures,
    rare_or_mislabelled,
    roar,
    sparse_starts,
    supermask,
    protected_compression,
    sparse_kernel,
    masked_is_not_faster,
    structured_is_faster,
    layer_for_sparse,
    uneven_training,
    distil_keeps_tail,
    generalisation_stability,
    early_exit,
    gradient_flow,
)

CLAIMS: Mapping[str, Claim] = {module.CLAIM.name: module.CLAIM for module in _MODULES}


def find_claim(name: str) -> Claim:
    """Return a claim by its name.

    Raises:
        InputError: there is no such claim.

    >>> find_claim("lanes-pay").control
    'the same kernel with one lane, timed in turns on the same core'
    """
    if name not in CLAIMS:
        raise InputError(f"there is no claim {name!r}; choose from {', '.join(CLAIMS)}{did_you_mean(name, CLAIMS)}")
    return CLAIMS[name]
