"""What every training loop here shares: the learning rate of an epoch, and when to stop."""

from __future__ import annotations

import math

import torch

from proxysample.errors import InputError, ProxysampleError


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

    Returns
    -------
    float

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
    """Give all parameters of an optimiser the same learning rate.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
    learning_rate : float
    """
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
