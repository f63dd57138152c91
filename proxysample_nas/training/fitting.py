"""One pass over the data: to train a network, or to measure its accuracy."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample_nas.data.loader import Batch, Loader


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[Batch]
) -> tuple[Tensor, Tensor]:
    """Take one optimiser step on each batch.

    Parameters
    ----------
    network : nn.Module
        Maps images to logits; left in training mode.
    optimizer : torch.optim.Optimizer
        Of the network's parameters.
    batches : iterable of Batch

    Returns
    -------
    loss_sum : Tensor of shape (), float64
        Sum over all samples of the cross-entropy, in nats. It stays on the device, so that no
        step waits for the one before it.
    n_right : Tensor of shape (), int64
        Number of samples that were classified correctly.
    """
    network.train()
    loss_sum: Tensor | float = 0.0
    n_right: Tensor | int = 0
    for images, labels in batches:
        logits = network(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        loss_sum = loss_sum + loss.detach().double() * len(labels)
        n_right = n_right + (logits.detach().argmax(dim=1) == labels).sum()
    return torch.as_tensor(loss_sum), torch.as_tensor(n_right)


def measure_accuracy(network: nn.Module, loader: Loader) -> float:
    """Measure the accuracy of a network in evaluation mode.

    Parameters
    ----------
    network : nn.Module
        Maps images to logits; left in evaluation mode.
    loader : Loader
        Without augmentation.

    Returns
    -------
    float
        Percent of all samples of the loader's data.
    """
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=loader.data.images.device)
    with torch.no_grad():
        for images, labels in loader.batches(torch.arange(len(loader.data))):
            right += (network(images).argmax(dim=1) == labels).sum()
    return 100 * int(right) / len(loader.data)
