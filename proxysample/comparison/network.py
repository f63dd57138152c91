"""A small convolutional network on the pixels, trained from scratch for each kept set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample.checks import DEVICE, NOT_NEGATIVE, POSITIVE, POSITIVE_INTEGER, Constraints, one_of
from proxysample.comparison.evaluators import Evaluator, Found
from proxysample.comparison.head import batch_size_for, batches
from proxysample.comparison.parts import Budget, IntArray, Part, Schedule
from proxysample.device import deterministic_kernels, resolve_device
from proxysample.errors import InputError
from proxysample.features.batches import ImageTensors
from proxysample.samplers.classifiers import MOMENTUM, outputs_in_order, rate_at
from proxysample.samplers.self_recording import Normalised
from proxysample.samplers.small_network import AUGMENTS, Augment, augmented, small_network
from proxysample.wording import pluralize


@dataclass(frozen=True)
class NetworkData:
    """Images of both parts on the device, about the mean of the training part."""

    inputs: Normalised
    labels: Tensor
    held_out_inputs: Normalised
    held_out: Part
    n_channels: int
    n_classes: int


@dataclass(frozen=True)
class NetworkFromScratch(Evaluator):
    """Train a small convolutional network on the pixels, from scratch (network).

    Six convolutions with batch normalisation, about 74,000 parameters
    (`proxysample.samplers.small_network`), by SGD with momentum whose rate rises for a tenth of
    the steps and falls as a cosine. Images are shifted a little, and mirrored where they have
    colours.

    Attributes
    ----------
    epochs : int
        On all samples; see `Budget`.
    batch_size : int or None
        By default 128, or less where there are few samples.
    rate, decay : float
        Of SGD: its highest learning rate, and weight decay.
    augment : {"auto", "none", "shift", "shift-flip"}
        What becomes of images in training.
    device : str
        Where it runs: "auto" takes the first CUDA device where there is one.
    """

    epochs: int = 20
    batch_size: int | None = None
    rate: float = 0.1
    decay: float = 5e-4
    augment: Augment = "auto"
    device: Any = "auto"

    id: ClassVar[str] = "network"
    follows_schedules: ClassVar[bool] = True
    _constraints: ClassVar[Constraints] = {
        "epochs": POSITIVE_INTEGER,
        "batch_size": POSITIVE_INTEGER.or_none(),
        "rate": POSITIVE,
        "decay": NOT_NEGATIVE,
        "augment": one_of("way to augment", AUGMENTS),
        "device": DEVICE,
    }

    def prepare(self, train: Part, held_out: Part) -> NetworkData:
        """Bring the images of both parts to the device."""
        device = resolve_device(self.device)
        images, others = (
            ImageTensors(one.samples, device, read_often=True) for one in (train, held_out)
        )
        if images.shape != others.shape:
            raise InputError(
                f"training images are of shape {images.shape} (channels, height, width) and those "
                f"held out of {others.shape}; bring them to one size"
            )
        inputs = Normalised(images, np.arange(len(images)))
        return NetworkData(
            inputs,
            torch.from_numpy(train.y).to(device),
            inputs.like(others),
            held_out,
            images.shape[0],
            train.n_classes,
        )

    def evaluate(
        self, prepared: NetworkData, schedule: Schedule, seed: int, budget: Budget
    ) -> Found:
        """Train and predict."""
        with deterministic_kernels():
            network = self._train(prepared, schedule, seed, budget)
            network.eval()
            rows = _rows_of(prepared.held_out)
            outputs = outputs_in_order(network, prepared.held_out_inputs, rows)
            predicted = torch.cat([logits.argmax(dim=1).cpu() for _, logits, _ in outputs])
        return Found.of_predictions(predicted.numpy(), prepared.held_out.y)

    def _train(self, data: NetworkData, schedule: Schedule, seed: int, budget: Budget) -> nn.Module:
        order, drawn, weights = np.random.default_rng(seed).integers(2**63, size=3).tolist()
        changes = torch.Generator().manual_seed(drawn)
        device = data.labels.device
        network = small_network(data.n_channels, data.n_classes, weights).to(device)
        optimizer = torch.optim.SGD(
            network.parameters(), self.rate, MOMENTUM, weight_decay=self.decay, nesterov=True
        )
        size = batch_size_for(budget.n_all, self.batch_size)
        n_steps = budget.steps(self.epochs, size)
        steps = batches(schedule, size, n_steps, torch.Generator().manual_seed(order))
        network.train()
        for step, rows in enumerate(steps):
            for group in optimizer.param_groups:
                group["lr"] = self.rate * rate_at(step / n_steps)
            batch = augmented(data.inputs[rows.numpy()], self.augment, changes)
            loss = F.cross_entropy(network(batch), data.labels[rows.to(device)])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return network

    def describe(self) -> str:
        """Say what is trained."""
        return (
            "a convolutional network of six layers from scratch on the pixels, "
            f"{pluralize(self.epochs, 'epoch')} of SGD with a cosine schedule"
        )


def _rows_of(part: Part) -> IntArray:
    return np.arange(len(part)) if part.indices is None else part.indices
