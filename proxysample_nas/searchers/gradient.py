"""The loop of the searchers that train architecture parameters by gradient."""

from __future__ import annotations

import abc
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from proxysample.errors import InputError
from proxysample.sampler import Protocol, check_protocol
from proxysample_nas.augmentation import Augmentation
from proxysample_nas.cell import OPERATIONS, n_edges
from proxysample_nas.device import deterministic_kernels, resolve_device
from proxysample_nas.hyperparameters import (
    check_decay_rates,
    check_kind,
    check_not_negative,
    check_sizes,
)
from proxysample_nas.loader import Batch
from proxysample_nas.normalization import Normalization
from proxysample_nas.optimization import check_loss, cosine_learning_rate, set_learning_rate
from proxysample_nas.progress import counted
from proxysample_nas.searchers.base import Searcher
from proxysample_nas.searchers.collapse import (
    has_collapsed,
    warn_if_disconnected,
    warn_of_collapse,
)
from proxysample_nas.searchers.data import SearchData, prepare_data
from proxysample_nas.searchers.pairs import PairedBatches
from proxysample_nas.searchers.result import EpochRecord, SearchFacts, SearchResult
from proxysample_nas.searchers.resumption import Resumption
from proxysample_nas.searchers.seeds import resolve_seed, stream
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.supernet import Supernet


class GradientSearcher(Searcher):
    """Searcher whose every step takes one batch for the weights and one for the architecture.

    A subclass stores these parameters and says what a step does.
    """

    n_nodes: int
    channels: int
    cells_per_stage: int
    epochs: int
    batch_size: int
    learning_rate: float
    minimum_learning_rate: float
    momentum: float
    weight_decay: float
    nesterov: bool
    gradient_clip: float | None
    architecture_learning_rate: float
    architecture_weight_decay: float
    architecture_betas: tuple[float, float]
    architecture_initial_deviation: float
    architecture_fraction: float
    track_running_stats: bool | None
    augmentation: Augmentation | None
    normalization: Normalization | None
    protocol: Protocol
    random_state: int | None
    device: str
    progress: bool

    @abc.abstractmethod
    def _step(
        self, state: SearchState, weight_batch: Batch, architecture_batch: Batch
    ) -> tuple[Tensor, Tensor]:
        """Update weights and architecture; return the outcome of each batch."""

    def search(
        self,
        train: Any,
        validation: Any = None,
        y: Any = None,
        *,
        classes: Iterable[int | str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> SearchResult:
        """Find a cell.

        Parameters
        ----------
        train : object
            A labelled dataset that `proxysample_nas.images.load_images` reads, usually a proxy.
        validation : object, optional
            Labelled samples that train the architecture, so that all of `train` trains the
            weights. By default a stratified `architecture_fraction` of `train` is held out.
            ``protocol="paper"`` needs it: the authors' samples are half of the test set.
        y : array-like of shape (n,), optional
            Labels of `train`, where it has none of its own.
        classes : iterable of int or str, optional
            Every class there is; by default those that occur. A proxy may lack one.
        checkpoint : path, optional
            File that keeps the state after every epoch. Where it exists, the search goes on
            from it, and ends with the bits of a search that was never interrupted, provided
            that the device is the same.

        Returns
        -------
        SearchResult

        Raises
        ------
        InputError
            If a parameter or the data cannot be used, or the checkpoint is of another search.
        DivergenceError
            If the loss becomes NaN or infinite.

        Warns
        -----
        SearchCollapseWarning
            Once, when nearly all edges have become skip connections, and at the end when the
            cell is not connected.
        """
        self._check_parameters()
        if self.protocol == "paper" and validation is None:
            raise InputError(
                'protocol="paper" trains the architecture on data of its own (the authors took '
                "half of the test set): pass validation=, or protocol='default' to hold a part "
                "of the training data out"
            )
        identity = {"searcher": self.id} | self.parameters_as_json()
        resumption = Resumption(checkpoint, identity, self.random_state)
        data = prepare_data(
            train,
            validation,
            y,
            classes=classes,
            architecture_fraction=self.architecture_fraction,
            normalization=self.normalization,
            generator=stream(resumption.seed, "holdout"),
            device=resolve_device(self.device),
        )
        pairs = PairedBatches(
            data,
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            with_replacement=self.protocol == "paper",
        )
        state = self._create_state(data, resumption.seed)
        history = resumption.restore(state, data)
        for record in self._epochs(state, pairs, first=len(history)):
            news = has_collapsed(record.cell) and not any(has_collapsed(r.cell) for r in history)
            history.append(record)
            resumption.keep(state, history)
            if news:
                warn_of_collapse(record.cell, record.epoch)
        warn_if_disconnected(history[-1].cell)
        return SearchResult(tuple(history), self._facts(data, pairs, resumption.seed))

    def _epochs(
        self, state: SearchState, pairs: PairedBatches, first: int
    ) -> Iterator[EpochRecord]:
        """Run the epochs from `first` on, and yield what is known after each."""
        steps = pairs.steps_per_epoch
        with tqdm(
            total=self.epochs * steps,
            initial=first * steps,
            desc=f"searching, {self.id}",
            unit="step",
            disable=not self.progress,
        ) as bar:
            for epoch in range(first, self.epochs):
                record = self._run_epoch(state, pairs, epoch, bar)
                bar.set_postfix(
                    epoch=epoch + 1,
                    loss=f"{record.train_loss:.3f}",
                    skips=f"{record.n_skip_connections}/{len(record.cell.operations)}",
                )
                yield record

    def _run_epoch(
        self, state: SearchState, pairs: PairedBatches, epoch: int, bar: tqdm[Any]
    ) -> EpochRecord:
        start = time.perf_counter()
        rate = cosine_learning_rate(
            epoch, self.epochs, self.learning_rate, self.minimum_learning_rate
        )
        set_learning_rate(state.weight_optimizer, rate)
        state.supernet.train()
        n_samples = len(pairs.data.weights)
        totals = torch.zeros(2, 2, dtype=torch.float64, device=state.alphas.device)
        epoch_pairs = pairs.epoch(
            state.generators["weight batches"], state.generators["architecture batches"]
        )
        with deterministic_kernels():
            for weight_batch, architecture_batch in counted(epoch_pairs, bar):
                totals += torch.stack(self._step(state, weight_batch, architecture_batch))
        (train_loss, train_right), (loss, right) = (totals / n_samples).tolist()
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
        )

    def _create_state(self, data: SearchData, seed: int) -> SearchState:
        generator = stream(seed, "initialization")
        track = self.track_running_stats
        supernet = Supernet(
            n_nodes=self.n_nodes,
            channels=self.channels,
            cells_per_stage=self.cells_per_stage,
            n_classes=data.weights.n_classes,
            in_channels=data.weights.n_channels,
            track_running_stats=self.protocol == "paper" if track is None else track,
            generator=generator,
        ).to(data.weights.images.device)
        alphas = self.architecture_initial_deviation * torch.randn(
            n_edges(self.n_nodes), len(OPERATIONS), generator=generator
        )
        alphas = alphas.to(data.weights.images.device).requires_grad_()
        return SearchState(
            supernet=supernet,
            alphas=alphas,
            weight_optimizer=torch.optim.SGD(
                supernet.parameters(),
                lr=self.learning_rate,
                momentum=self.momentum,
                weight_decay=self.weight_decay,
                nesterov=self.nesterov,
            ),
            architecture_optimizer=torch.optim.Adam(
                [alphas],
                lr=self.architecture_learning_rate,
                betas=self.architecture_betas,
                weight_decay=self.architecture_weight_decay,
            ),
            generators={
                name: stream(seed, name) for name in ("weight batches", "architecture batches")
            },
        )

    def _facts(self, data: SearchData, pairs: PairedBatches, seed: int) -> SearchFacts:
        return SearchFacts(
            searcher=self.id,
            parameters=self.parameters_as_json(),
            seed=seed,
            n_weight_samples=len(data.weights),
            n_architecture_samples=len(data.architecture),
            architecture_source=data.source,
            n_classes=data.weights.n_classes,
            image_shape=(data.weights.n_channels, *data.weights.image_size),
            steps_per_epoch=pairs.steps_per_epoch,
            device=str(data.weights.images.device),
        )

    def _check_parameters(self) -> None:
        """Raise `InputError` for a parameter that cannot work, before any work."""
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
            architecture_learning_rate=self.architecture_learning_rate,
            architecture_weight_decay=self.architecture_weight_decay,
            architecture_initial_deviation=self.architecture_initial_deviation,
        )
        if self.nesterov and not self.momentum:
            raise InputError("nesterov=True needs a momentum; pass nesterov=False or momentum=0.9")
        check_kind(Augmentation, augmentation=self.augmentation)
        check_kind(Normalization, normalization=self.normalization)
        check_decay_rates(architecture_betas=self.architecture_betas)
        if self.gradient_clip == 0:
            raise InputError("gradient_clip=0 would stop all learning; pass None for no clipping")
        if self.minimum_learning_rate > self.learning_rate:
            raise InputError(
                f"minimum_learning_rate={self.minimum_learning_rate} exceeds "
                f"learning_rate={self.learning_rate}; lower it"
            )
