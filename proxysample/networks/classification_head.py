"""The classifier that is trained on a backbone's features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from proxysample.device import copy_to_device

HIDDEN_UNITS = 256
DROPOUT = 0.5


class ClassificationHead(nn.Module):
    """Linear, batch normalisation, ReLU, dropout of a half, linear: the head of the paper's code.

    Parameters
    ----------
    n_features, n_classes : int

    Examples
    --------
    >>> ClassificationHead(8, 3)(torch.zeros(5, 8)).shape
    torch.Size([5, 3])
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(n_features, HIDDEN_UNITS), nn.BatchNorm1d(HIDDEN_UNITS), nn.ReLU()
        )
        self.output = nn.Linear(HIDDEN_UNITS, n_classes)

    def forward(self, features: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Classify features.

        Parameters
        ----------
        features : Tensor of shape (n, n_features)
        dropout : torch.Generator, optional
            On the CPU; drops units, as in training. Without it none are.

        Returns
        -------
        Tensor of shape (n, n_classes)
            Logits.
        """
        hidden = self.hidden(features)
        if dropout is not None:
            hidden = drop(hidden, DROPOUT, dropout)
        logits: Tensor = self.output(hidden)
        return logits


def drop(values: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Set values to zero at random and scale the others up, so that the mean stays.

    `nn.Dropout` does the same with the global generator of the device. Here a seed drops the same
    values on every device.

    Parameters
    ----------
    values : Tensor
    probability : float
        Of a value to be dropped, in [0, 1).
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor of the same shape

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> sorted(set(drop(torch.ones(100), 0.5, generator).tolist()))
    [0.0, 2.0]
    """
    kept = torch.rand(values.shape, generator=generator) >= probability
    return values * copy_to_device(kept, values.device) / (1 - probability)
