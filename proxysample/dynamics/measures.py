"""What is kept of a network's outputs for one sample: a few numbers, whatever the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Outputs = Literal["logits", "probabilities"]
OUTPUTS: tuple[Outputs, ...] = ("logits", "probabilities")

MEASURES = {
    "p_true": "float64",
    "right": "bool",
    "loss": "float32",
    "margin": "float32",
    "probability_margin": "float32",
    "error": "float32",
    "entropy": "float32",
    "top_margin": "float32",
    "uncertainty": "float32",
}
"""What every output gives, with the type it is kept in: the label's probability, whether its output
is larger than every other (a tie is not right), cross-entropy in nats, the margin of the label's
logit and of its probability over the largest other, the distance of the probabilities to the
label's one-hot vector, their entropy in nats, the margin of the largest over the second, and one
less the largest."""

DERIVED = {"change": "float32", "gradient": "float32"}
"""What needs more: the epoch before (TDDS), or what goes into the last layer (GraNd)."""

# Probabilities that were rounded to zero have no logarithm; below it float32 has no normal numbers.
SMALLEST = 1.2e-38

# How far the sum of a row of probabilities may be from 1, in half precision too.
SUM_TOLERANCE = 0.01


def as_logits(outputs: Tensor, kind: Outputs) -> Tensor:
    """Give logits (rows, C) in double precision; one column is that of class 1 against 0.

    Parameters
    ----------
    outputs : Tensor of shape (rows, C), (rows, 1) or (rows,)
    kind : {"logits", "probabilities"}
        Logarithms of probabilities are logits: what is added to all of a row changes nothing.
    """
    import torch

    # Other devices than these two have no double precision.
    held = outputs if outputs.device.type in ("cpu", "cuda") else outputs.cpu()
    wide = held.double()
    if wide.ndim == 1:
        wide = wide[:, None]
    if wide.shape[1] == 1:
        zero = 1 - wide if kind == "probabilities" else torch.zeros_like(wide)
        wide = torch.cat([zero, wide], dim=1)
    return wide.clamp(min=SMALLEST).log() if kind == "probabilities" else wide


def are_probabilities(outputs: Tensor) -> Tensor:
    """Tell of each row of two or more whether it is one of probabilities."""
    sums = outputs.double().sum(dim=1)
    return (outputs.amin(dim=1) >= 0) & ((sums - 1).abs() <= SUM_TOLERANCE)


def measure(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Measure each row of outputs.

    Parameters
    ----------
    logits : Tensor of shape (rows, C), float64
    labels : Tensor of shape (rows,), int64
        In [0, C).

    Returns
    -------
    measures : Tensor of shape (len(MEASURES), rows), float64
        In the order of `MEASURES`.
    probabilities : Tensor of shape (rows, C), float64

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    >>> measures, _ = measure(logits, torch.tensor([2]))
    >>> [round(float(one), 3) for one in measures[:4, 0]]
    [0.576, 1.0, 0.551, 1.0]
    """
    import torch
    from torch.nn import functional as F

    own = labels[:, None]
    log_p = F.log_softmax(logits, dim=1)
    p = log_p.exp()
    is_own = torch.zeros_like(p, dtype=torch.bool).scatter_(1, own, True)
    p_others = p.masked_fill(is_own, 0)
    p_true = p.gather(1, own)[:, 0]
    margin = logits.gather(1, own)[:, 0] - logits.masked_fill(is_own, -torch.inf).amax(dim=1)
    top = p.topk(2, dim=1).values
    # By the others' sum, which is exact where the label's own probability rounds to one.
    missing = p_others.sum(dim=1)
    loss = torch.where(missing < 0.5, -torch.log1p(-missing), -log_p.gather(1, own)[:, 0])
    error = (missing.square() + p_others.square().sum(dim=1)).sqrt()
    entropy = -torch.xlogy(p, p).sum(dim=1)
    return torch.stack(
        [
            p_true,
            (margin > 0).double(),
            loss,
            margin,
            p_true - p_others.amax(dim=1),
            error,
            entropy,
            top[:, 0] - top[:, 1],
            1 - top[:, 0],
        ]
    ), p
