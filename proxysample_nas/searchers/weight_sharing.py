"""What the searchers share that train one supernet instead of every cell."""

from __future__ import annotations

from typing import Any

import torch

from proxysample.errors import InputError
from proxysample.parameters import check_boolean
from proxysample.sampler import Protocol, check_protocol
from proxysample_nas.data.augmentation import Augmentation
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.hyperparameters import check_kind, check_not_negative, check_sizes
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.loop import BatchesT, StateT, TrainingSearcher
from proxysample_nas.searchers.seeds import resolve_seed
from proxysample_nas.space.cell import n_edges
from proxysample_nas.space.precision import autocast_dtype
from proxysample_nas.space.supernet import Supernet


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
        Whether to follow the papers, or the authors' code, quirks included.
    """

    steps_per_epoch: int | None = None
    minimum_learning_rate: float = 0.001
    gradient_clip: float | None = 5.0
    track_running_stats: bool | None = None
    protocol: Protocol = "default"

    def _create_supernet(self, data: SearchData, generator: torch.Generator) -> Supernet:
        track = self.track_running_stats
        return Supernet(
            n_nodes=self.n_nodes,
            channels=self.channels,
            cells_per_stage=self.cells_per_stage,
            n_classes=data.weights.n_classes,
            in_channels=data.weights.n_channels,
            track_running_stats=self.protocol == "paper" if track is None else track,
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
        check_protocol(self.protocol)
        resolve_seed(self.random_state)
        n_edges(self.n_nodes)
        check_sizes(
            channels=self.channels,
            cells_per_stage=self.cells_per_stage,
            epochs=self.epochs,
            batch_size=self.batch_size,
        )
        check_not_negative(
            learning_rate=self.learning_rate,
            minimum_learning_rate=self.minimum_learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            gradient_clip=0 if self.gradient_clip is None else self.gradient_clip,
        )
        autocast_dtype(self.precision)
        check_kind(Augmentation, augmentation=self.augmentation)
        check_kind(Normalization, normalization=self.normalization)
        check_boolean("nesterov", self.nesterov)
        check_boolean("track_running_stats", self.track_running_stats, optional=True)
        if self.nesterov and not self.momentum:
            raise InputError("nesterov=True needs a momentum; pass nesterov=False or momentum=0.9")
        if self.gradient_clip == 0:
            raise InputError("gradient_clip=0 would stop all learning; pass None for no clipping")
        if self.minimum_learning_rate > self.learning_rate:
            raise InputError(
                f"minimum_learning_rate={self.minimum_learning_rate} exceeds "
                f"learning_rate={self.learning_rate}; lower it"
            )
