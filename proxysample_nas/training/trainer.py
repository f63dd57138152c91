"""Evaluate a cell: train its network from scratch and measure the accuracy."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import torch
from torch import nn
from tqdm import tqdm

from proxysample.checks import (
    BOOLEAN,
    DEVICE,
    NOT_NEGATIVE,
    POSITIVE_INTEGER,
    SEED,
    Constraints,
    as_seeds,
    check_values,
    constraints_of,
    instance_of,
    plain_number,
)
from proxysample.device import deterministic_kernels, resolve_device
from proxysample.errors import InputError, check_names, unknown_name
from proxysample.isolation import isolated
from proxysample.printing import hides_progress
from proxysample_nas.data.images import LabelledImages, load_images
from proxysample_nas.data.loader import STANDARD_AUGMENTATION, Augmentation, Loader, shuffled
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import PRECISION, CellNetwork, Precision, autocast_dtype
from proxysample_nas.training.evaluation import Evaluation, TrainingRun
from proxysample_nas.training.optimization import (
    EpochCallback,
    check_callback,
    check_loss,
    check_momentum,
    cosine_learning_rate,
    counted,
    import_what_optimizers_import,
    measure_accuracy,
    set_learning_rate,
    train_epoch,
)
from proxysample_nas.training.trained import TrainedCell

RECIPES: dict[str, dict[str, Any]] = {
    "paper": {"learning_rate": 0.01},
    "nas-bench-201": {"learning_rate": 0.1},
    "paper-imagenet16-120": {"learning_rate": 0.1, "epochs": 400, "weight_decay": 1e-3},
}
"""Published ways to evaluate a cell, as changes to the defaults of `CellTrainer`.

``"nas-bench-201"`` is Dong & Yang (2020), section 2.2. ``"paper"`` is what the authors of
"Less is More" ran on CIFAR-100: the same but for a tenth of the learning rate.
``"paper-imagenet16-120"`` is their longer training on ImageNet16-120.
"""

EXECUTION = frozenset({"device", "progress", "seeds"})
"""Parameters that decide how trainings are run, not what comes of one."""

_ADDED_LATER: dict[str, Any] = {"steps_per_epoch": None}

DEFAULT_RECIPE = "nas-bench-201"
"""What a study and a command take that are told nothing else: the defaults of `CellTrainer`."""


@dataclass(frozen=True, kw_only=True)
class CellTrainer:
    """Trains a cell's network from scratch, once per seed.

    SGD on the cross-entropy with a learning rate that falls along a cosine to 0, constant within
    an epoch; the accuracy is the one after the last epoch, never the best of several.

    Parameters
    ----------
    channels : int
        Channels of the network's first stage; the paper uses 16, 32 and 64.
    cells_per_stage : int
        Cells in each of the three stages.
    epochs : int
        Passes over the training data, where `steps_per_epoch` does not say otherwise.
    batch_size : int
        Samples per step; the last step of a pass takes what is left.
    steps_per_epoch : int or None
        Updates in an epoch, all of `batch_size` samples: equal on data of any size. They run
        through as many shuffled passes as it takes. None makes one pass an epoch.
    learning_rate : float
        Of the first epoch.
    momentum, weight_decay : float
        Of SGD.
    nesterov : bool
        Whether the momentum is Nesterov's.
    augmentation : Augmentation or None
        Of the training images.
    normalization : Normalization or None
        None measures the training images.
    seeds : tuple of int
        One training per seed in `evaluate`; each seed once.
    precision : {"float32", "bfloat16"}
        What the network's features and products are cast to; parameters and statistics stay in
        float32. bfloat16 is faster on GPUs that have it.
    device : str
        See `proxysample.device.resolve_device`.
    progress : bool
        Whether to show a progress bar, at a terminal or in a notebook.

    Raises
    ------
    InputError
        If a value cannot be used.

    Notes
    -----
    The defaults are the recipe of NAS-Bench-201 (Dong & Yang 2020, section 2.2); see
    `from_recipe` for that of the paper.

    Examples
    --------
    >>> CellTrainer.from_recipe("paper", channels=32).learning_rate
    0.01
    """

    channels: int = 16
    cells_per_stage: int = 5
    epochs: int = 200
    batch_size: int = 256
    steps_per_epoch: int | None = None
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True
    augmentation: Augmentation | None = STANDARD_AUGMENTATION
    normalization: Normalization | None = None
    seeds: tuple[int, ...] = (777, 888, 999)
    precision: Precision = "float32"
    device: str = "auto"
    progress: bool = True

    algorithm_version: ClassVar[int] = 1
    """Raised when a training comes to another result than before; keys name it if it is not 1."""

    _constraints: ClassVar[Constraints] = {
        "channels": POSITIVE_INTEGER,
        "cells_per_stage": POSITIVE_INTEGER,
        "epochs": POSITIVE_INTEGER,
        "batch_size": POSITIVE_INTEGER,
        "steps_per_epoch": POSITIVE_INTEGER.or_none(),
        "learning_rate": NOT_NEGATIVE,
        "momentum": NOT_NEGATIVE,
        "weight_decay": NOT_NEGATIVE,
        "nesterov": BOOLEAN,
        "augmentation": instance_of(Augmentation).or_none(),
        "normalization": instance_of(Normalization).or_none(),
        "precision": PRECISION,
        "device": DEVICE,
        "progress": BOOLEAN,
    }

    def __post_init__(self) -> None:
        check_values(vars(self), constraints_of(type(self)))
        check_momentum(self.momentum, nesterov=self.nesterov)
        plain = {name: plain_number(value) for name, value in vars(self).items()}
        for name, value in (plain | {"seeds": as_seeds("seeds", self.seeds)}).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_recipe(cls, recipe: str, **overrides: Any) -> Self:
        """Create a trainer with published settings.

        Parameters
        ----------
        recipe : {"paper", "nas-bench-201", "paper-imagenet16-120"}
            See `RECIPES`.
        **overrides : object
            Parameters of `CellTrainer` that win over the recipe.

        Returns
        -------
        CellTrainer

        Raises
        ------
        InputError
            If the recipe is unknown.
        """
        if not isinstance(recipe, str) or recipe not in RECIPES:
            raise unknown_name("recipe", recipe, RECIPES)
        check_names("parameter of CellTrainer", overrides, [one.name for one in fields(cls)])
        return cls(**(RECIPES[recipe] | overrides))

    def samples_per_epoch(self, n_train: int) -> int:
        """Say how many images an epoch trains on, of so many that there are."""
        return n_train if self.steps_per_epoch is None else self.steps_per_epoch * self.batch_size

    def parameters(self) -> dict[str, Any]:
        """Give what decides a training's result beside its seed, as plain JSON values.

        Returns
        -------
        dict
            Without what has its default and was added later, so that results of before keep
            their names; with `algorithm_version` where it is not 1.
        """
        written = {name: value for name, value in asdict(self).items() if name not in EXECUTION}
        for name, default in _ADDED_LATER.items():
            if written[name] == default:
                del written[name]
        if self.algorithm_version != 1:
            written["algorithm_version"] = self.algorithm_version
        return written

    @isolated()
    def fit(
        self,
        cell: Cell,
        train: Any,
        *,
        seed: int | None = None,
        callback: EpochCallback | None = None,
    ) -> TrainedCell:
        """Train one network, to be used.

        Parameters
        ----------
        cell : Cell
            The same in all places of the network.
        train : object
            A dataset that `load_images` reads, or `LabelledImages`.
        seed : int, optional
            See `train_once`; by default the first of `seeds`.
        callback : callable, optional
            See `train_once`.

        Returns
        -------
        TrainedCell
            With the same weights as `train_once` evaluates, and no ``grad`` left in them.

        Raises
        ------
        InputError, DivergenceError
            See `train_once`.
        """
        seed = self.seeds[0] if seed is None else seed
        SEED.check("seed", seed)
        check_callback(callback)
        return self._fit(
            cell, load_images(train, device=resolve_device(self.device)), seed, callback
        )

    @isolated()
    def evaluate(
        self,
        cell: Cell,
        train: Any,
        test: Any,
        *,
        split: str = "test",
        keep_network: bool = False,
        callback: EpochCallback | None = None,
    ) -> Evaluation:
        """Train once per seed and summarise.

        Parameters
        ----------
        cell : Cell
        train, test : object
            See `train_once`.
        split : str
            What to call the samples in `test`.
        keep_network : bool
            Whether to keep the network of every seed, as `Evaluation.trained`. The accuracies
            are the same bits either way.
        callback : callable, optional
            See `train_once`.

        Returns
        -------
        Evaluation

        Raises
        ------
        InputError, DivergenceError
            See `train_once`.
        """
        BOOLEAN.check("keep_network", keep_network)
        check_callback(callback)
        train, test = self._load(train, test)
        runs = []
        kept = []
        for seed in self.seeds:
            run, trained = self._evaluate_seed(cell, train, test, seed, split, callback)
            runs.append(run)
            if keep_network:
                kept.append(trained)
        return Evaluation(runs, kept)

    @isolated()
    def train_once(
        self,
        cell: Cell,
        train: Any,
        test: Any,
        seed: int,
        *,
        split: str = "test",
        callback: EpochCallback | None = None,
    ) -> TrainingRun:
        """Train one network and measure its accuracy.

        Parameters
        ----------
        cell : Cell
            The same in all places of the network.
        train, test : object
            Datasets that `load_images` reads, or `LabelledImages` so as to read them only once.
            Every label of `test` has to occur in `train`.
        seed : int
            Of the initial weights, the order of the batches and their augmentation. The global
            random state is left alone.
        split : str
            What to call the samples in `test`.
        callback : callable, optional
            Called after every epoch with a mapping of numbers: ``epoch`` (from 0), ``seed``,
            ``learning_rate``, ``train_loss`` and ``train_accuracy``, in percent, both on
            augmented batches.

        Returns
        -------
        TrainingRun

        Raises
        ------
        InputError
            If the seed or the data cannot be used.
        DivergenceError
            If the loss becomes NaN or infinite.
        """
        SEED.check("seed", seed)
        check_callback(callback)
        seed = int(seed)
        train, test = self._load(train, test)
        return self._evaluate_seed(cell, train, test, seed, split, callback)[0]

    def _evaluate_seed(
        self,
        cell: Cell,
        train: LabelledImages,
        test: LabelledImages,
        seed: int,
        split: str,
        callback: EpochCallback | None,
    ) -> tuple[TrainingRun, TrainedCell]:
        import_what_optimizers_import()
        start = time.perf_counter()
        trained = self._fit(cell, train, seed, callback)
        loader = Loader(test, batch_size=self.batch_size, normalization=trained.normalization)
        with deterministic_kernels():
            accuracy = measure_accuracy(trained.network, loader)
        run = TrainingRun(
            cell=cell,
            seed=trained.seed,
            accuracy=accuracy,
            split=split,
            train_losses=trained.train_losses,
            train_accuracy=trained.train_accuracy,
            n_parameters=sum(weight.numel() for weight in trained.network.parameters()),
            n_train=len(train),
            n_test=len(test),
            seconds=time.perf_counter() - start,
            device=str(train.images.device),
        )
        return run, trained

    def _fit(
        self, cell: Cell, train: LabelledImages, seed: int, callback: EpochCallback | None
    ) -> TrainedCell:
        generator = torch.Generator().manual_seed(int(seed))
        network = CellNetwork(
            cell,
            self.channels,
            self.cells_per_stage,
            train.n_classes,
            train.n_channels,
            generator,
            autocast_dtype(self.precision),
        ).to(train.images.device)
        normalization = self.normalization or Normalization.of(train.images)
        loader = Loader(
            train,
            batch_size=self.batch_size,
            normalization=normalization,
            augmentation=self.augmentation,
        )
        with deterministic_kernels():
            losses, train_accuracy = self._train(network, loader, generator, seed, callback)
        network.zero_grad()
        return TrainedCell(
            network=network.eval(),
            classes=train.classes,
            image_shape=(train.n_channels, *train.image_size),
            normalization=normalization,
            seed=int(seed),
            train_losses=losses,
            train_accuracy=train_accuracy,
        )

    def _load(self, train: Any, test: Any) -> tuple[LabelledImages, LabelledImages]:
        device = resolve_device(self.device)
        train = load_images(train, device=device)
        test = load_images(test, classes=train.classes, device=device)
        if train.images.shape[1:] != test.images.shape[1:]:
            raise InputError(
                "training and test images differ in shape (channels, height, width): "
                f"{tuple(train.images.shape[1:])} and {tuple(test.images.shape[1:])}"
            )
        return train, test

    def _train(
        self,
        network: nn.Module,
        loader: Loader,
        generator: torch.Generator,
        seed: int,
        callback: EpochCallback | None,
    ) -> tuple[tuple[float, ...], float]:
        """Return the mean loss of each epoch, and the accuracy during the last in percent."""
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )
        n_train, n_seen = len(loader.data), self.samples_per_epoch(len(loader.data))
        losses = []
        n_right = 0
        with tqdm(
            total=self.epochs * loader.n_batches(n_seen),
            desc=f"training, seed {seed}",
            unit="step",
            disable=hides_progress(self.progress),
        ) as bar:
            for epoch in range(self.epochs):
                rate = cosine_learning_rate(epoch, self.epochs, self.learning_rate)
                set_learning_rate(optimizer, rate)
                batches = loader.batches(shuffled(n_train, generator, n_seen), generator)
                loss_sum, right = train_epoch(network, optimizer, counted(batches, bar))
                losses.append(float(loss_sum) / n_seen)
                check_loss(losses[-1], epoch, rate)
                n_right = int(right)
                bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}")
                if callback is not None:
                    numbers = {"epoch": epoch, "seed": seed, "learning_rate": rate}
                    accuracy = 100 * n_right / n_seen
                    callback(numbers | {"train_loss": losses[-1], "train_accuracy": accuracy})
        return tuple(losses), 100 * n_right / n_seen
