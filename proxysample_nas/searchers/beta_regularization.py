"""The regularization of beta-DARTS: keep architecture parameters from growing apart.

Source: Ye, Li, Li, Chen, Fan & Ouyang, "Beta-DARTS: Beta-Decay Regularization for Differentiable
Architecture Search" (CVPR 2022), section 3, and the schedule of its authors' code.
"""

from __future__ import annotations

import torch
from torch import Tensor


def beta_strength(epoch: int, n_epochs: int, highest: float) -> float:
    """Give the weight of the regularization in an epoch.

    Parameters
    ----------
    epoch : int
        From 0 to ``n_epochs - 1``; the weight is constant within it.
    n_epochs : int
        Length of the whole search, were it not stopped early.
    highest : float
        The weight that an epoch `n_epochs` would have.

    Returns
    -------
    float

    Examples
    --------
    >>> [beta_strength(epoch, 4, 50.0) for epoch in range(4)]
    [0.0, 12.5, 25.0, 37.5]
    """
    return highest * epoch / n_epochs


def beta_gradient(alphas: Tensor) -> Tensor:
    """Differentiate the mean over all edges of log(sum(exp(alpha))).

    Parameters
    ----------
    alphas : Tensor of shape (n_edges, n_operations)
        Architecture parameters.

    Returns
    -------
    Tensor of shape (n_edges, n_operations)
        ``softmax(alphas) / n_edges``. It pulls most at the likeliest operation of an edge.

    Examples
    --------
    >>> beta_gradient(torch.zeros(2, 4))[0]
    tensor([0.1250, 0.1250, 0.1250, 0.1250])
    """
    return torch.softmax(alphas.detach(), dim=1) / len(alphas)
