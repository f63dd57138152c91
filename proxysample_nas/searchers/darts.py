"""DARTS, first and second order, and one step of it in either order and protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, Self

from torch import Tensor

from proxysample.checks import (
    POSITIVE,
    POSITIVE_INTEGER,
    Constraint,
    Constraints,
    is_integer,
    one_of,
)
from proxysample.sampler import Protocol
from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.base import Lengthening, stream
from proxysample_nas.searchers.bilevel import (
    update_architecture,
    update_architecture_unrolled,
    update_weights,
)
from proxysample_nas.searchers.data import PairedBatches, SearchData
from proxysample_nas.searchers.perturbation import select_by_perturbation
from proxysample_nas.searchers.result import EpochRecord, FinalChoice
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.searchers.weight_sharing import GradientSearcher
from proxysample_nas.space.cell import n_edges


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


SELECTIONS = ("argmax", "perturbation")


class DARTS(GradientSearcher):
    """Differentiable architecture search (Liu, Simonyan & Yang 2019).

    Every edge computes all operations, mixed by a softmax over its architecture parameters;
    these are trained by gradient on data that does not train the weights. The cell takes the
    likeliest operation of each edge after the last epoch, ``none`` included.

    The defaults are what the authors of "Less is More" ran: the settings of NAS-Bench-201's code,
    which are those of DARTS (appendix A.1.1) but for the weight decay, Nesterov's momentum and
    the lowest learning rate. `architecture_fraction` alone is DARTS's own.

    Parameters
    ----------
    order : {1, 2}
        1 takes the architecture's gradient at the present weights (DARTS-V1), 2 one virtual
        step of the weights ahead (DARTS-V2; DARTS, section 2.3), with five passes through the
        supernet in a step instead of two.
    architecture_fraction : float
        Share of the training data held out for the architecture, where no validation data is
        given. One half, as in DARTS, appendix A.1.1.
    selection : {"argmax", "perturbation"}
        How the final cell is taken from the supernet. ``"perturbation"`` does not trust the
        architecture parameters, which a collapse spoils (DARTS-PT, Wang et al. 2021): edge by
        edge, in a random order, it removes each operation in turn, keeps the one without which
        the accuracy on all architecture data is lowest, and goes on training the supernet for
        `perturbation_epochs` before the next edge. See the notes.
    perturbation_epochs : int
        Epochs of this training between two edges; NAS-Bench-201 took five.
    finite_difference : float
        Length of the step R v in the Hessian-vector product of order 2 (DARTS, section
        2.3).
    track_running_stats : bool or None
        Whether BatchNorm inside the supernet's cells keeps running statistics. None keeps them
        under ``protocol="paper"`` alone. Doing without is NATS-Bench's recipe against collapse
        (Dong, Liu, Musial & Gabrys 2021). It helps searches that evaluate cells in evaluation mode,
        such as `ENAS`; a DARTS search runs in training mode, never reads the statistics, and
        finds the same cell either way.
    protocol : {"default", "paper"}
        ``"default"`` follows the DARTS paper: each step updates the architecture before the
        weights (its algorithm 1), a gradient is taken only in what is updated, architecture
        samples come in shuffled passes, and BatchNorm's running statistics see the weight
        batches once each. ``"paper"`` follows the authors' code, quirks included: the weights
        come first in order 1; gradient clipping counts the gradient of the architecture
        parameters, with what the architecture's last update left there; architecture samples are
        drawn with replacement from validation data that the user must give; every pass on the
        network moves the running statistics; the weights are restored after a Hessian-vector
        product by addition; and images like CIFAR-100's are normalised by the authors' constants.
        Its convolution biases before BatchNorm are left out,
        since BatchNorm cancels them.

    Notes
    -----
    Selection by perturbation follows DARTS-PT's code for NAS-Bench-201. The other operations of
    the edge keep their weights when one is removed; BatchNorm takes the statistics of each
    batch; of operations without which the accuracy is the same, the one of the higher loss is
    kept. The supernet trains on, weights and open edges, as it did in the last epoch, but at a
    tenth of `learning_rate` and from a momentum of 0. The result's `final_choice` holds what was
    measured for each edge, and its history what `argmax` would have taken. A checkpoint is
    written after every edge.

    Examples
    --------
    >>> from proxysample.data.datasets import load_dataset
    >>> digits = load_dataset("digits").train
    >>> searcher = DARTS(
    ...     n_nodes=3, channels=4, cells_per_stage=1, epochs=1, random_state=0, progress=False
    ... )
    >>> result = searcher.search(digits)
    >>> result.cell.n_nodes, result.info.n_weight_samples, result.info.n_architecture_samples
    (3, 719, 718)
    """

    order: int = 1
    selection: Literal["argmax", "perturbation"] = "argmax"
    perturbation_epochs: int = 5
    finite_difference: float = 0.01

    _constraints: ClassVar[Constraints] = {
        "order": Constraint(("1", "2"), lambda value: is_integer(value) and value in (1, 2)),
        "selection": one_of("selection", SELECTIONS),
        "perturbation_epochs": POSITIVE_INTEGER,
        "finite_difference": POSITIVE.with_hint("the authors used 0.01"),
    }

    @property
    def algorithm_version(self) -> int:
        """2 in the paper's protocol where its normalisation, another one before, is not given."""
        return 2 if self.protocol == "paper" and self.normalization is None else 1

    @property
    def id(self) -> str:
        """``"darts-v1"`` or ``"darts-v2"``, by the order."""
        return f"darts-v{self.order}"

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:
        """Count images of its steps, and what a selection by perturbation takes."""
        counts = super().work(n_weight_samples, n_architecture_samples)
        if self.selection == "argmax":
            return counts
        edges = n_edges(self.n_nodes)
        per_epoch = counts["step"] / self.epochs
        removals = edges * len(self._search_space().operations)
        return counts | {
            "recover": (edges - 1) * self.perturbation_epochs * per_epoch,
            "remove": float(removals * n_architecture_samples),
        }

    def shortened(self) -> Self:
        """Make a copy whose search is as short as can be, to be timed."""
        return super().shortened()._with(selection="argmax", perturbation_epochs=1)

    def lengthenings(self) -> list[Lengthening]:
        """List how a short search is made longer, in its steps and in its selection."""
        found = super().lengthenings()
        if self.selection == "argmax":
            return found
        choosing = {"selection": self.selection}
        recovering = self._lengthening("perturbation_epochs")
        return [*found, Lengthening(None, 2, choosing), replace(recovering, also=choosing)]

    def _step(
        self,
        state: SearchState,
        weight_batch: Batch,
        architecture_batch: Batch,
        epoch: int,
    ) -> tuple[Tensor, Tensor]:
        return darts_step(
            state,
            weight_batch,
            architecture_batch,
            order=self.order,
            protocol=self.protocol,
            gradient_clip=self.gradient_clip,
            finite_difference=self.finite_difference,
            beta_strength=self._beta_strength(epoch),
        )

    def _create_state(self, data: SearchData, seed: int) -> SearchState:
        state = super()._create_state(data, seed)
        if self.selection == "perturbation":
            state.generators["perturbation"] = stream(seed, "perturbation")
        return state

    def _choose(
        self,
        state: SearchState,
        batches: PairedBatches,
        history: list[EpochRecord],
        keep: Callable[[], None],
    ) -> FinalChoice | None:
        if self.selection == "argmax":
            return None
        return select_by_perturbation(
            state,
            batches,
            step=partial(self._step, state, epoch=history[-1].epoch),
            n_epochs=self.perturbation_epochs,
            epoch=history[-1].epoch,
            learning_rate=self.learning_rate / 10,
            keep=keep,
            description=f"choosing, {self.id}",
            progress=self.progress,
        )
