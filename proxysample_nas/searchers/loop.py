"""The loop of every searcher that proceeds by epochs: kept, resumed, and watched."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar

from tqdm import tqdm

from proxysample.checks import (
    BOOLEAN,
    DEVICE,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE_INTEGER,
    SEED,
    Constraints,
    instance_of,
    integer_from,
    plain_number,
)
from proxysample.device import resolve_device
from proxysample.isolation import isolated
from proxysample.printing import hides_progress
from proxysample_nas.data.loader import STANDARD_AUGMENTATION, Augmentation
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers.base import Searcher, stream
from proxysample_nas.searchers.checkpoint import Resumable, Resumption
from proxysample_nas.searchers.data import SearchData, prepare_data
from proxysample_nas.searchers.remedies import (
    has_collapsed,
    remedies_left,
    warn_if_disconnected,
    warn_of_collapse,
)
from proxysample_nas.searchers.result import EpochRecord, FinalChoice, SearchInfo, SearchResult
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.modules import try_operations
from proxysample_nas.space.network import PRECISION, Precision
from proxysample_nas.space.operations import SearchSpace
from proxysample_nas.training.optimization import EpochCallback, check_callback, check_momentum


class Batches(Protocol):
    """Where the batches of an epoch come from."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of weight updates in an epoch."""


StateT = TypeVar("StateT", bound=Resumable)
BatchesT = TypeVar("BatchesT", bound=Batches)


class EpochSearcher(Searcher, Generic[StateT, BatchesT]):
    """Searcher whose state is kept after every epoch.

    A subclass adds its parameters, checks them, and says what an epoch does.

    Parameters
    ----------
    n_nodes : int
        Nodes of the cell, its input included: 5 in the paper, 4 in NAS-Bench-201.
    space : SearchSpace or str
        What every edge chooses from: ``"nas-bench-201"``, or names of registered operations, or
        both, such as ``"nas-bench-201+max_pool_3x3"``.
    channels, cells_per_stage : int
        Size of the networks: channels of the first stage, cells in each of three stages.
    epochs : int
        Passes over the weight data.
    batch_size : int
        Samples of a step.
    architecture_fraction : float
        Share of the training data held out for the architecture, where no validation data is
        given. One half, so that all searchers train their weights on the same samples.
    normalization : Normalization or None
        None measures the training data.
    random_state : int or None
        Seeds everything that is drawn; the result's `info` tells which seed None came to.
    device : str
        See `proxysample.device.resolve_device`.
    progress : bool
        Whether to show a progress bar, at a terminal or in a notebook.
    """

    n_nodes: int = 5
    space: SearchSpace | str | Sequence[str] = "nas-bench-201"
    channels: int = 16
    cells_per_stage: int = 5
    epochs: int = 50
    batch_size: int = 64
    architecture_fraction: float = 0.5
    normalization: Normalization | None = None
    random_state: int | None = None
    device: str = "auto"
    progress: bool = True

    _unit: ClassVar[str] = "step"
    """What the progress bar counts."""

    _collapse_shows: ClassVar[Literal["in every epoch", "at the end", "never"]] = "in every epoch"
    """When a cell of skip connections tells of a collapse, and is not mere chance."""

    _constraints: ClassVar[Constraints] = {
        "n_nodes": integer_from(2),
        "channels": POSITIVE_INTEGER,
        "cells_per_stage": POSITIVE_INTEGER,
        "epochs": POSITIVE_INTEGER,
        "batch_size": POSITIVE_INTEGER,
        "architecture_fraction": FRACTION,
        "normalization": instance_of(Normalization).or_none(),
        "random_state": SEED.or_none(),
        "device": DEVICE,
        "progress": BOOLEAN,
    }

    def check_parameters(self) -> None:
        """Raise `InputError` for a parameter that cannot work, as `search` would."""
        super().check_parameters()
        try_operations(self._search_space())

    @property
    def _normalizes_as_the_authors(self) -> bool:
        """Whether the authors' constants stand in where no normalisation is given."""
        return False

    def _check_validation(self, validation: Any) -> None:
        """Raise `InputError` where validation data is needed and not given."""

    @abc.abstractmethod
    def _create_batches(self, data: SearchData) -> BatchesT:
        """Prepare the batches of the epochs."""

    @abc.abstractmethod
    def _create_state(self, data: SearchData, seed: int) -> StateT:
        """Create all that changes while the search runs."""

    @abc.abstractmethod
    def _run_epoch(
        self, state: StateT, batches: BatchesT, history: Sequence[EpochRecord], bar: tqdm[Any]
    ) -> EpochRecord:
        """Run the epoch that follows those that are done, and tell of it."""

    def _search_space(self) -> SearchSpace:
        return SearchSpace.of(self.space)

    def _n_epochs(self) -> int:
        return self.epochs

    def _progress_per_epoch(self, batches: BatchesT) -> int:
        """Count how often an epoch advances the progress bar."""
        return batches.steps_per_epoch

    def _reason_to_stop(self, history: list[EpochRecord]) -> str | None:  # noqa: ARG002
        """Say why no epoch should follow those that are done; None to go on."""
        return None

    def _choose(
        self,
        state: StateT,
        batches: BatchesT,
        history: list[EpochRecord],
        keep: Callable[[], None],
    ) -> FinalChoice | None:
        """Choose the final cell; None where it is that of the last epoch.

        A long choice may call `keep` where it could go on from the state as it is.
        """

    @isolated()
    def search(
        self,
        train: Any,
        validation: Any = None,
        y: Any = None,
        *,
        classes: Iterable[int | str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        callback: EpochCallback | None = None,
    ) -> SearchResult:
        """Find a cell.

        Parameters
        ----------
        train : object
            A labelled dataset that `proxysample_nas.data.images.load_images` reads, usually a
            proxy.
        validation : object, optional
            Labelled samples that choose the architecture, so that all of `train` trains the
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
        callback : callable, optional
            Called after every epoch with a mapping of numbers (see `EpochRecord.numbers`), for
            TensorBoard and the like. Epochs that a checkpoint has are not told again.

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
        plain = self._with_plain_numbers()
        if plain is not self:
            return EpochSearcher.search(
                plain,
                train,
                validation,
                y,
                classes=classes,
                checkpoint=checkpoint,
                callback=callback,
            )
        check_callback(callback)
        self.check_parameters()
        self._check_validation(validation)
        identity = {"searcher": self.id} | self.parameters_as_json()
        resumption = Resumption(checkpoint, identity, self.random_state)
        data = prepare_data(
            train,
            validation,
            y,
            classes=classes,
            architecture_fraction=self.architecture_fraction,
            normalization=self.normalization,
            as_the_authors=self._normalizes_as_the_authors,
            generator=stream(resumption.seed, "holdout"),
            device=resolve_device(self.device),
        )
        batches = self._create_batches(data)
        state = self._create_state(data, resumption.seed)
        history = resumption.restore(state, data)
        for record in self._epochs(state, batches, history):
            news = self._shows_collapse(record.cell, history)
            history.append(record)
            resumption.keep(state, history)
            if callback is not None:
                callback(record.numbers())
            if news:
                warn_of_collapse(record.cell, record.epoch, self._remedies())
        choice = resumption.final_choice
        if choice is None:
            keep = partial(resumption.keep, state, history)
            choice = self._choose(state, batches, history, keep)
            if choice is not None:
                resumption.keep(state, history, choice)
        result = SearchResult(
            tuple(history), self._info(data, batches, history, resumption.seed), choice
        )
        chosen = choice is not None and self._collapse_shows != "never"
        if chosen and has_collapsed(result.cell):
            warn_of_collapse(result.cell, history[-1].epoch, self._remedies())
        warn_if_disconnected(result.cell)
        return result

    def _with_plain_numbers(self) -> Self:
        """Give itself, or a copy where a parameter is one of NumPy's numbers, for JSON's sake."""
        given = self.get_params(deep=False)
        plain = {name: plain_number(value) for name, value in given.items()}
        return self if all(plain[name] is given[name] for name in given) else type(self)(**plain)

    def _remedies(self) -> list[str]:
        """List what this search could do, and does not, against a collapse."""
        return remedies_left(self.get_params(deep=False))

    def _shows_collapse(self, cell: Cell, history: list[EpochRecord]) -> bool:
        """Tell whether an epoch's cell has collapsed, and no cell before it had."""
        if self._collapse_shows != "in every epoch":
            return False
        return has_collapsed(cell) and not any(has_collapsed(record.cell) for record in history)

    def _epochs(
        self, state: StateT, batches: BatchesT, history: list[EpochRecord]
    ) -> Iterator[EpochRecord]:
        """Run the epochs that `history` lacks; every record is to be added to it at once."""
        per_epoch = self._progress_per_epoch(batches)
        with tqdm(
            total=self._n_epochs() * per_epoch,
            initial=len(history) * per_epoch,
            desc=f"searching, {self.id}",
            unit=self._unit,
            disable=hides_progress(self.progress),
        ) as bar:
            while len(history) < self._n_epochs():
                if self._reason_to_stop(history) is not None:
                    bar.total = bar.n
                    bar.refresh()
                    return
                epoch = len(history)
                record = self._run_epoch(state, batches, history, bar)
                bar.set_postfix(
                    epoch=epoch + 1,
                    loss=f"{record.train_loss:.3f}",
                    skips=f"{record.n_skip_connections}/{len(record.cell.operations)}",
                )
                yield record

    def _info(
        self, data: SearchData, batches: BatchesT, history: list[EpochRecord], seed: int
    ) -> SearchInfo:
        ended_early = len(history) < self._n_epochs()
        return SearchInfo(
            searcher=self.id,
            parameters=self.parameters_as_json(),
            seed=seed,
            n_weight_samples=len(data.weights),
            n_architecture_samples=len(data.architecture),
            architecture_source=data.source,
            n_classes=data.weights.n_classes,
            image_shape=(data.weights.n_channels, *data.weights.image_size),
            steps_per_epoch=batches.steps_per_epoch,
            device=str(data.weights.images.device),
            stopped_early=self._reason_to_stop(history) if ended_early else None,
        )


class TrainingSearcher(EpochSearcher[StateT, BatchesT]):
    """Searcher that trains networks by SGD on augmented images.

    Parameters
    ----------
    learning_rate : float
        Of the weights.
    momentum, weight_decay : float
        Of the weights' SGD.
    nesterov : bool
        Whether the momentum is Nesterov's.
    augmentation : Augmentation or None
        Of the training images.
    precision : {"float32", "bfloat16"}
        What features and products are cast to; parameters, statistics and the architecture stay
        in float32. bfloat16 is faster on GPUs that have it.
    """

    learning_rate: float = 0.025
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True
    augmentation: Augmentation | None = STANDARD_AUGMENTATION
    precision: Precision = "float32"

    _constraints: ClassVar[Constraints] = {
        "learning_rate": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "nesterov": BOOLEAN,
        "augmentation": instance_of(Augmentation).or_none(),
        "precision": PRECISION,
    }

    def _check_parameters(self) -> None:
        check_momentum(self.momentum, nesterov=self.nesterov)
