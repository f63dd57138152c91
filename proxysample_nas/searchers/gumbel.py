"""Sample one operation per edge so that the architecture parameters still get a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample.device import copy_to_device
from proxysample_nas.training.optimization import DivergenceError


@dataclass(frozen=True)
class GumbelSample:
    """One operation for each edge, drawn by the Gumbel-max trick.

    Attributes
    ----------
    operations : list of int, length n_edges
        Index of each edge's operation in the search space, on the host.
    gates : Tensor of shape (n_edges, n_operations)
        One for the drawn operations and zero for the others, up to rounding; the gradient is
        that of the relaxed sample, the softmax at the temperature.
    """

    operations: list[int]
    gates: Tensor


def sample_operations(
    alphas: Tensor,
    temperature: float,
    generator: torch.Generator,
    on_host: Tensor | None = None,
) -> GumbelSample:
    """Draw an operation for each edge with the probabilities ``softmax(alphas)``.

    With Gumbel noise G and p = softmax((log_softmax(alphas) + G) / temperature), the operation
    of an edge is the largest of its p, and the gates are ``one_hot(argmax p) + p - detach(p)``
    (Dong & Yang 2019, section 3.2; Jang, Gu & Poole 2017, section 2.2).

    Parameters
    ----------
    alphas : Tensor of shape (n_edges, n_operations), floating point
        Logits of the operations of each edge.
    temperature : float
        Above 0; the lower, the nearer p comes to the drawn operation.
    generator : torch.Generator
        A CPU generator, so that a seed means the same noise on every device.
    on_host : Tensor of shape (n_edges, n_operations), optional
        A copy of `alphas` on the host, which must know what to run. Without it they are copied,
        which waits for their device; nothing else does.

    Returns
    -------
    GumbelSample
        With gates on the device of `alphas`.

    Raises
    ------
    DivergenceError
        If an architecture parameter is NaN or infinite, for which no noise helps.

    Examples
    --------
    >>> alphas = torch.tensor([[0.0, 0.0, 50.0, 0.0, 0.0], [0.0, 50.0, 0.0, 0.0, 0.0]])
    >>> sample = sample_operations(alphas, 1.0, torch.Generator().manual_seed(0))
    >>> sample.operations, sample.gates.argmax(dim=1).tolist()
    ([2, 1], [2, 1])
    """
    on_host = alphas.detach().cpu() if on_host is None else on_host
    if not bool(on_host.isfinite().all()):
        raise DivergenceError(
            "an architecture parameter became NaN or infinite; lower learning_rate or "
            "architecture_learning_rate"
        )
    noise, drawn = _draw(on_host, temperature, generator)
    soft = _relax(alphas, copy_to_device(noise, alphas.device), temperature)
    one_hot = copy_to_device(F.one_hot(drawn, alphas.shape[1]).to(soft.dtype), alphas.device)
    return GumbelSample(drawn.tolist(), one_hot - soft.detach() + soft)


def _draw(alphas: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw noise until noise and relaxed sample are numbers; return it with the argmax."""
    while True:
        noise = -torch.empty_like(alphas).exponential_(generator=generator).log()
        soft = _relax(alphas, noise, temperature)
        # An exponential draw of 0 has an infinite logarithm.
        if bool(noise.isfinite().all()) and bool(soft.isfinite().all()):
            return noise, soft.argmax(dim=1)


def _relax(alphas: Tensor, noise: Tensor, temperature: float) -> Tensor:
    return torch.softmax((torch.log_softmax(alphas, dim=1) + noise) / temperature, dim=1)
