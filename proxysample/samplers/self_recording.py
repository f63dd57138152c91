"""A record for datasets that have none: a classifier is trained on them, and watched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from proxysample.device import copy_to_device, deterministic_kernels
from proxysample.dynamics.recorder import DynamicsRecorder
from proxysample.errors import InputError
from proxysample.features.batches import DeviceRows, ImageTensors
from proxysample.features.rows import CACHED_BYTES, Rows, Workers
from proxysample.features.sources import feature_rows
from proxysample.keeping import IntArray
from proxysample.samplers.classifiers import (
    Inputs,
    outputs_in_order,
    own_generators,
    train_classifier,
)
from proxysample.samplers.networks import initialized
from proxysample.samplers.small_network import augmented, small_network

if TYPE_CHECKING:
    from proxysample.data.reading import Samples

# Mean length of a row of features, as that of 256 principal components of unit variance.
LENGTH = 16.0
HEAD_EPOCHS, HEAD_RATE = 30, 0.05
NETWORK_EPOCHS, NETWORK_RATE = 20, 0.1


@dataclass(frozen=True)
class Trainable:
    """What is trained, and on what."""

    inputs: Inputs
    make: Callable[[int, int], nn.Module]
    """Takes the number of classes and a seed."""
    change: Callable[[Tensor, torch.Generator], Tensor] | None
    epochs: int
    learning_rate: float


class FeatureInputs:
    """Rows of features of one mean length, read as they are used where they are many."""

    def __init__(self, rows: Rows, workers: Workers, device: torch.device) -> None:
        squares = workers.map(
            lambda block: float(np.square(rows.read(block, np.float64)).sum()), rows.blocks()
        )
        length = np.sqrt(sum(squares) / len(rows))
        self._factor = LENGTH / length if length > 0 else 1.0
        self._rows, self._device = rows, device
        self.n_features = rows.n_features
        kept = rows.n_bytes <= CACHED_BYTES
        self._kept = DeviceRows(rows.to_array(workers), device, read_often=True) if kept else None

    def __getitem__(self, rows: IntArray) -> Tensor:
        if self._kept is not None:
            return self._kept[rows].float() * self._factor
        read = np.array(self._rows.at(rows).read(slice(0, len(rows)), np.float32))
        return copy_to_device(torch.from_numpy(read), self._device) * self._factor


def head_on_features(
    samples: Samples, features: Any, device: torch.device, progress: bool
) -> Trainable:
    """Prepare a linear classifier, zero at first, on centred features."""
    with Workers() as workers:
        rows = feature_rows(samples, features, device=device, progress=progress, workers=workers)
        inputs = FeatureInputs(rows, workers, device)

    def make(n_classes: int, seed: int) -> nn.Module:
        head = initialized(lambda: nn.Linear(inputs.n_features, n_classes), seed)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    return Trainable(inputs, make, None, HEAD_EPOCHS, HEAD_RATE)


class Normalised:
    """Images about their mean, in units of their deviation, both of some of them."""

    def __init__(self, images: ImageTensors, rows: IntArray) -> None:
        self._images = images
        sample = images[rows[:: max(1, len(rows) // 1000)]].double()
        self._mean = float(sample.mean())
        self._scale = max(float(sample.std()), 1e-3)

    def like(self, images: ImageTensors) -> Normalised:
        """Give other images in the units of these."""
        other = copy.copy(self)
        other._images = images
        return other

    def __getitem__(self, rows: IntArray) -> Tensor:
        return (self._images[rows] - self._mean) / self._scale


def network_on_pixels(samples: Samples, network: Any, device: torch.device) -> Trainable:
    """Prepare a network on images, shifted and mirrored: the small one, or a copy of one given."""
    is_own = isinstance(network, nn.Module)
    images = ImageTensors(samples, device, read_often=True, any_range=is_own)
    n_channels = images.shape[0]

    def make(n_classes: int, seed: int) -> nn.Module:
        return copy.deepcopy(network) if is_own else small_network(n_channels, n_classes, seed)

    inputs: Inputs = images if is_own else Normalised(images, np.arange(len(images)))
    return Trainable(
        inputs,
        make,
        lambda batch, generator: augmented(batch, "auto", generator),
        NETWORK_EPOCHS,
        NETWORK_RATE,
    )


def record_training(
    trained: Trainable,
    targets: DeviceRows,
    n_classes: int,
    *,
    folds: int | None,
    held_out: bool,
    epochs: int | None,
    learning_rate: float | None,
    batch_size: int,
    seed: int,
    progress: bool,
) -> DynamicsRecorder:
    """Train, and record every sample.

    Without folds the record is of the training steps. With folds each sample is recorded at the
    end of each epoch of the one training of several that leaves it out. With `held_out` and
    without folds two halves are trained on, each recorded, and each held out of the other.
    """
    codes = targets[slice(0, len(targets))].cpu().numpy()
    parts: list[DynamicsRecorder] = []
    whole = np.arange(len(codes))
    groups = np.zeros(len(codes), dtype=np.int64)
    if folds is not None or held_out:
        groups = stratified_folds(codes, folds or 2, seed)
    for number in range(groups.max() + 1):
        inside = whole[groups == number]
        outside = whole[groups != number]
        one = _OneTraining(
            recorder=DynamicsRecorder(
                len(codes),
                n_classes,
                protocol="train" if folds is None else "eval",
                partial=len(outside) > 0,
            ),
            watched=None if folds is None else inside,
            held_out=outside if folds is None else inside,
        )
        with own_generators(seed), deterministic_kernels():
            one.run(
                trained,
                targets,
                inside if folds is None else outside,
                epochs=trained.epochs if epochs is None else epochs,
                learning_rate=trained.learning_rate if learning_rate is None else learning_rate,
                batch_size=batch_size,
                seed=seed,
                progress=progress,
            )
        parts.append(one.recorder)
    return parts[0] if len(parts) == 1 else DynamicsRecorder.merge(parts)


@dataclass(frozen=True)
class _OneTraining:
    recorder: DynamicsRecorder
    watched: IntArray | None
    """Samples that are recorded at the end of each epoch; None records the steps."""
    held_out: IntArray
    """Samples that are not trained on."""

    def run(
        self, trained: Trainable, targets: DeviceRows, rows: IntArray, *, seed: int, **settings: Any
    ) -> None:
        network = trained.make(self.recorder.n_classes, seed).to(targets.device)

        def watch(chosen: IntArray, logits: Tensor, last: Tensor | None) -> None:
            if self.watched is None:
                self.recorder.record(chosen, logits, targets[chosen], last)

        def after_epoch() -> None:
            for chosen, logits, last in outputs_in_order(network, trained.inputs, self.held_out):
                if self.watched is not None:
                    self.recorder.record(chosen, logits, targets[chosen], last)
                self.recorder.record_held_out(logits, targets[chosen])
            self.recorder.end_epoch()

        train_classifier(
            network,
            trained.inputs,
            targets,
            rows,
            seed=seed,
            change=trained.change,
            watch=watch,
            after_epoch=after_epoch,
            **settings,
        )


def stratified_folds(codes: IntArray, n_folds: int, seed: int) -> IntArray:
    """Deal the samples of each class to folds, shuffled, as evenly as can be.

    Parameters
    ----------
    codes : ndarray of shape (n,), int64
    n_folds, seed : int

    Returns
    -------
    ndarray of shape (n,), int64
        The fold of each sample.

    Examples
    --------
    >>> folds = stratified_folds(np.array([0, 0, 0, 0, 1, 1, 1]), 2, seed=0)
    >>> np.bincount(folds).tolist(), np.bincount(folds[:4]).tolist()
    ([4, 3], [2, 2])
    """
    if n_folds > len(codes):
        raise InputError(f"folds={n_folds} for {len(codes)} samples")
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    folds = np.empty(len(codes), dtype=np.int64)
    folds[by_class] = np.arange(len(codes)) % n_folds
    return folds
