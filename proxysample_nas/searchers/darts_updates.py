"""One step of DARTS, in either order and protocol."""

from __future__ import annotations

from torch import Tensor

from proxysample.sampler import Protocol
from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.bilevel import (
    update_architecture,
    update_architecture_unrolled,
    update_weights,
)
from proxysample_nas.searchers.state import SearchState


def darts_step(
    state: SearchState,
    weight_batch: Batch,
    architecture_batch: Batch,
    *,
    order: int,
    protocol: Protocol,
    gradient_clip: float | None,
    finite_difference: float,
    beta_strength: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Update weights and architecture once, in the protocol's order.

    Parameters
    ----------
    state : SearchState
        Changed in place.
    weight_batch, architecture_batch : Batch
    order : {1, 2}
    protocol : {"default", "paper"}
        See `proxysample_nas.searchers.DARTS`.
    gradient_clip : float or None
    finite_difference : float
    beta_strength : float
        See `proxysample_nas.searchers.bilevel.update_architecture`.

    Returns
    -------
    weight_outcome, architecture_outcome : Tensor of shape (2,)
        See `proxysample_nas.searchers.bilevel.outcome`.
    """
    paper = protocol == "paper"

    def weight_part() -> Tensor:
        return update_weights(
            state, weight_batch, gradient_clip=gradient_clip, clip_with_architecture=paper
        )

    if order == 1 and paper:
        weight_outcome = weight_part()
        return weight_outcome, update_architecture(
            state, architecture_batch, keep_statistics=False, beta_strength=beta_strength
        )
    if order == 1:
        architecture_outcome = update_architecture(
            state, architecture_batch, beta_strength=beta_strength
        )
    else:
        architecture_outcome = update_architecture_unrolled(
            state,
            weight_batch,
            architecture_batch,
            finite_difference=finite_difference,
            keep_statistics=not paper,
            restore_by_addition=paper,
            beta_strength=beta_strength,
        )
    return weight_part(), architecture_outcome
