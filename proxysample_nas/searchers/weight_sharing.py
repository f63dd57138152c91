"""What the searchers share that train one supernet, and those that do so by gradient alone."""

from __future__ import annotations

import abc
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.checks import (
    BOOLEAN,
    DECAY_RATES,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_INTEGER,
    Constraints,
    one_of,
)
from proxysample.device import deterministic_kernels
from proxysample.errors import InputError
from proxysample.sampler import PROTOCOLS, Protocol
from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.base import stream
from proxysample_nas.searchers.data import PairedBatches, SearchData
from proxysample_nas.searchers.loop import BatchesT, StateT, TrainingSearcher
from proxysample_nas.searchers.remedies import beta_strength, reason_to_stop
from proxysample_nas.searchers.result import EpochRecord
from proxysample_nas.searchers.state import RunOperations, SearchState
from proxysample_nas.space.cell import n_edges
from proxysample_nas.space.network import autocast_dtype
from proxysample_nas.space.supernet import Supernet
from proxysample_nas.training.optimization import (
    check_loss,
    cosine_learning_rate,
    counted,
    set_learning_rate,
)


class WeightSharingSearcher(TrainingSearcher[StateT, BatchesT]):
    """Searcher that trains a supernet by SGD.

    A subclass adds its parameters, and says what an epoch does.

    Parameters
    ----------
    channels, cells_per_stage : int
        Size of the supernet: channels of its first stage, cells in each of three stages.
    epochs : int
        Passes over the weight data, where `steps_per_epoch` does not say otherwise.
    steps_per_epoch : int or None
        Updates of the weights in an epoch; None makes one pass over the weight data. A larger
        number goes on with further shuffled passes, all in full batches, so that a search on a
        proxy makes as many updates as one on all data. Without it a proxy is also an early stop,
        which by itself holds off a collapse.
    minimum_learning_rate : float
        The lowest that the weights' learning rate falls to.
    gradient_clip : float or None
        Largest L2 norm of the weights' gradient.
    track_running_stats : bool or None
        Whether BatchNorm inside the supernet's cells keeps running statistics. None keeps them
        under ``protocol="paper"`` alone.
    protocol : {"default", "paper"}
        Whether to follow the papers, or the authors' code, quirks included. In the latter images
        like CIFAR-100's are normalised by the authors' constants, whatever part of them is given,
        where `normalization` does not say otherwise.
    """

    steps_per_epoch: int | None = None
    minimum_learning_rate: float = 0.001
    gradient_clip: float | None = 5.0
    track_running_stats: bool | None = None
    protocol: Protocol = "default"

    _constraints: ClassVar[Constraints] = {
        "protocol": one_of("protocol", PROTOCOLS),
        "steps_per_epoch": POSITIVE_INTEGER.or_none(),
        "minimum_learning_rate": NOT_NEGATIVE,
        "gradient_clip": POSITIVE.or_none().with_hint("None is for no clipping"),
        "track_running_stats": BOOLEAN.or_none(),
    }

    @property
    def algorithm_version(self) -> int:
        """2 in the paper's protocol, where what has not run and normalisation were others."""
        return 2 if self.protocol == "paper" else 1

    @property
    def _conv_bias(self) -> bool:
        """Whether convolutions before BatchNorm have a bias, which changes nothing in training."""
        return False

    @property
    def _normalizes_as_the_authors(self) -> bool:
        return self.protocol == "paper"

    def _create_supernet(self, data: SearchData, generator: torch.Generator) -> Supernet:
        track = self.track_running_stats
        return Supernet(
            n_nodes=self.n_nodes,
            channels=self.channels,
            cells_per_stage=self.cells_per_stage,
            n_classes=data.weights.n_classes,
            in_channels=data.weights.n_channels,
            track_running_stats=self.protocol == "paper" if track is None else track,
            conv_bias=self._conv_bias,
            generator=generator,
            autocast_dtype=autocast_dtype(self.precision),
            space=self._search_space(),
        ).to(data.weights.images.device)

    def _create_weight_optimizer(self, supernet: Supernet) -> torch.optim.SGD:
        return torch.optim.SGD(
            supernet.parameters(),
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )

    def _check_validation(self, validation: Any) -> None:
        if self.protocol == "paper" and validation is None:
            raise InputError(
                'protocol="paper" trains the architecture on data of its own (the authors took '
                "half of the test set): pass validation=, or protocol='default' to hold a part "
                "of the training data out"
            )

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.minimum_learning_rate > self.learning_rate:
            raise InputError(
                f"minimum_learning_rate={self.minimum_learning_rate} exceeds "
                f"learning_rate={self.learning_rate}; lower it"
            )


class GradientSearcher(WeightSharingSearcher[SearchState, PairedBatches]):
    """Searcher whose every step takes one batch for the weights and one for the architecture.

    A subclass adds its parameters and says what a step does.

    Parameters
    ----------
    batch_size : int
        Samples of each half of a step.
    learning_rate, minimum_learning_rate : float
        Of the weights: it falls from the one to the other along a cosine, constant within an
        epoch.
    augmentation : Augmentation or None
        Of both halves of a step.
    architecture_learning_rate, architecture_weight_decay : float
        Of Adam on the architecture parameters, constant; the decay is added to the gradient.
    architecture_betas : tuple of float
        Adam's decay rates.
    architecture_initial_deviation : float
        Architecture parameters begin as normal numbers with this standard deviation.
    beta_regularization : float
        Against collapse into skip connections: beta-DARTS (Ye et al. 2022) adds to the
        architecture's loss the mean over all edges of log(sum(exp(alpha))), with a weight that
        rises from 0 by the same amount every epoch and would reach this value after the last.
        Its authors took 50, for DARTS; 0 leaves it out. It comes on top of
        `architecture_weight_decay`, as in their code.
    stop_at_skips : int or None
        Against collapse: end the search after the first epoch whose genotype has so many skip
        connections, and take that genotype (DARTS+, Liang et al. 2019, its first criterion, with
        two of eight edges). One edge in five is a skip connection by chance.
    stop_when_stable : int or None
        Against collapse: end the search after so many epochs in a row that leave the order of
        the two convolutions on every edge as it was, and take the genotype of the last (DARTS+,
        its second criterion, which ranks the operations that learn and takes ten epochs).
    """

    architecture_learning_rate: float = 3e-4
    architecture_weight_decay: float = 1e-3
    architecture_betas: tuple[float, float] = (0.5, 0.999)
    architecture_initial_deviation: float = 1e-3
    beta_regularization: float = 0.0
    stop_at_skips: int | None = None
    stop_when_stable: int | None = None

    _constraints: ClassVar[Constraints] = {
        "architecture_learning_rate": NOT_NEGATIVE,
        "architecture_weight_decay": NOT_NEGATIVE,
        "architecture_betas": DECAY_RATES,
        "architecture_initial_deviation": NOT_NEGATIVE,
        "beta_regularization": NOT_NEGATIVE,
        "stop_at_skips": POSITIVE_INTEGER.or_none(),
        "stop_when_stable": POSITIVE_INTEGER.or_none(),
    }

    @abc.abstractmethod
    def _step(
        self, state: SearchState, weight_batch: Batch, architecture_batch: Batch, epoch: int
    ) -> tuple[Tensor, Tensor]:
        """Update weights and architecture; return the outcome of each batch."""

    def _details(self, epoch: int) -> dict[str, float]:
        """Give what this algorithm alone tells of an epoch."""
        return {"beta_strength": self._beta_strength(epoch)} if self.beta_regularization else {}

    def _beta_strength(self, epoch: int) -> float:
        return beta_strength(epoch, self.epochs, self.beta_regularization)

    def _reason_to_stop(self, history: list[EpochRecord]) -> str | None:
        return reason_to_stop(
            history,
            stop_at_skips=self.stop_at_skips,
            stop_when_stable=self.stop_when_stable,
            space=self._search_space(),
        )

    def _create_batches(self, data: SearchData) -> PairedBatches:
        return PairedBatches(
            data,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            with_replacement=self.protocol == "paper",
            steps_per_epoch=self.steps_per_epoch,
        )

    def _run_epoch(
        self,
        state: SearchState,
        batches: PairedBatches,
        history: Sequence[EpochRecord],
        bar: tqdm[Any],
    ) -> EpochRecord:
        start = time.perf_counter()
        epoch = len(history)
        rate = cosine_learning_rate(
            epoch, self.epochs, self.learning_rate, self.minimum_learning_rate
        )
        set_learning_rate(state.weight_optimizer, rate)
        state.supernet.train()
        totals = torch.zeros(2, 2, dtype=torch.float64, device=state.alphas.device)
        pairs = batches.epoch(
            state.generators["weight batches"], state.generators["architecture batches"]
        )
        with deterministic_kernels():
            for weight_batch, architecture_batch in counted(pairs, bar):
                totals += torch.stack(self._step(state, weight_batch, architecture_batch, epoch))
        (train_loss, train_right), (loss, right) = (totals / batches.samples_per_epoch).tolist()
        check_loss(train_loss, epoch, rate)
        check_loss(loss, epoch, rate)
        return EpochRecord(
            epoch=epoch,
            cell=state.genotype(),
            architecture_weights=state.architecture_weights(),
            learning_rate=rate,
            train_loss=train_loss,
            train_accuracy=100 * train_right,
            architecture_loss=loss,
            architecture_accuracy=100 * right,
            seconds=time.perf_counter() - start,
            details=self._details(epoch),
        )

    def _create_state(self, data: SearchData, seed: int) -> SearchState:
        generator = stream(seed, "initialization")
        supernet = self._create_supernet(data, generator)
        alphas = self.architecture_initial_deviation * torch.randn(
            n_edges(self.n_nodes), len(supernet.space), generator=generator
        )
        alphas = alphas.to(data.weights.images.device).requires_grad_()
        return SearchState(
            supernet=supernet,
            alphas=alphas,
            weight_optimizer=self._create_weight_optimizer(supernet),
            architecture_optimizer=torch.optim.Adam(
                [alphas],
                lr=self.architecture_learning_rate,
                betas=self.architecture_betas,
                weight_decay=self.architecture_weight_decay,
            ),
            generators={
                name: stream(seed, name)
                for name in ("weight batches", "architecture batches", "operations")
            },
            run=RunOperations(supernet) if self._passes_by else None,
        )

    @property
    def _passes_by(self) -> bool:
        """Whether what has not run yet is left as it is."""
        return False
