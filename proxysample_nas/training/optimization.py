"""What training loops share: progress, the learning rate of an epoch, one pass, when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from proxysample.checks import check_call
from proxysample.errors import InputError, ProxysampleError
from proxysample.printing import shown
from proxysample_nas.data.loader import Batch, Loader

T = TypeVar("T")


EpochCallback = Callable[[Mapping[str, float]], object]
"""What is called after every epoch with its numbers by name, such as ``train_loss``."""


def check_callback(callback: object) -> None:
    """Raise `InputError` for what cannot be called."""
    if callback is not None and not callable(callback):
        raise InputError(f"callback must take a mapping of numbers, and {shown(callback)} cannot")
    if callback is not None:
        check_call("callback", callback, ("numbers",))


def counted(items: Iterable[T], bar: tqdm[Any]) -> Iterator[T]:
    """Pass items on and advance a bar that spans several loops.

    Yields
    ------
    object
        The same items.

    Examples
    --------
    >>> bar = tqdm(total=4, disable=True)
    >>> [list(counted("ab", bar)), list(counted("cd", bar))]
    [['a', 'b'], ['c', 'd']]
    """
    for item in items:
        yield item
        bar.update()


def import_what_optimizers_import() -> None:
    """Take a step of nothing: a process's first imports much of PyTorch, which is no one's cost."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    torch.optim.SGD([parameter]).step()


class DivergenceError(ProxysampleError, ArithmeticError):
    """The loss became NaN or infinite; the message says when, and what to lower."""


def cosine_learning_rate(epoch: int, n_epochs: int, highest: float, lowest: float = 0.0) -> float:
    """Give the learning rate of an epoch on half a cosine wave.

    Parameters
    ----------
    epoch : int
        From 0 to ``n_epochs - 1``; the rate is constant within it.
    n_epochs : int
        Length of the half wave.
    highest, lowest : float
        The rate of epoch 0, and the rate that an epoch `n_epochs` would have.

    Notes
    -----
    SGDR without restarts (Loshchilov & Hutter 2017, equation 5), per epoch as NAS-Bench-201 and
    the paper do.

    Examples
    --------
    >>> [round(cosine_learning_rate(epoch, 4, 0.1), 4) for epoch in range(4)]
    [0.1, 0.0854, 0.05, 0.0146]
    """
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * epoch / n_epochs)) / 2


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give all parameters of an optimiser the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def check_momentum(momentum: float, *, nesterov: bool) -> None:
    """Raise `InputError` where PyTorch's SGD would refuse to begin."""
    if nesterov and not momentum:
        raise InputError("nesterov=True needs a momentum; pass nesterov=False or momentum=0.9")


def check_loss(loss: float, epoch: int, learning_rate: float) -> None:
    """Stop a training whose loss is no longer a number.

    Parameters
    ----------
    loss : float
        Mean cross-entropy of the epoch.
    epoch : int
        Counted from 0; the message counts from 1.
    learning_rate : float
        The rate of that epoch.

    Raises
    ------
    DivergenceError
        If the loss is NaN or infinite.

    Examples
    --------
    >>> check_loss(float("nan"), epoch=2, learning_rate=0.5)
    Traceback (most recent call last):
    ...
    proxysample_nas.training.optimization.DivergenceError: the training loss became nan in epoch 3
    at learning rate 0.5; lower learning_rate
    """
    if not math.isfinite(loss):
        raise DivergenceError(
            f"the training loss became {loss} in epoch {epoch + 1} at learning rate "
            f"{learning_rate:g}; lower learning_rate"
        )


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
