"""What the searchers share that train one supernet instead of every cell."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from proxysample.checks import (
    BOOLEAN,
    NOT_NEGATIVE,
    POSITIVE,
    POSITIVE_INTEGER,
    Constraints,
    one_of,
)
from proxysample.errors import InputError
from proxysample.sampler import PROTOCOLS, Protocol
from proxysample_nas.searchers.data import SearchData
from proxysample_nas.searchers.loop import BatchesT, StateT, TrainingSearcher
from proxysample_nas.space.skeleton import autocast_dtype
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

    _constraints: ClassVar[Constraints] = {
        "protocol": one_of("protocol", PROTOCOLS),
        "steps_per_epoch": POSITIVE_INTEGER.or_none(),
        "minimum_learning_rate": NOT_NEGATIVE,
        "gradient_clip": POSITIVE.or_none().with_hint("None is for no clipping"),
        "track_running_stats": BOOLEAN.or_none(),
    }

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
        super()._check_parameters()
        if self.minimum_learning_rate > self.learning_rate:
            raise InputError(
                f"minimum_learning_rate={self.minimum_learning_rate} exceeds "
                f"learning_rate={self.learning_rate}; lower it"
            )
