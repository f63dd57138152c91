"""Hold part of the training data out for the architecture, class by class."""

from __future__ import annotations

import torch
from torch import Tensor

from proxysample.checks import FRACTION
from proxysample.errors import InputError


def stratified_holdout(
    labels: Tensor, fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Split samples in two so that both parts have the class shares of the whole.

    Exactly ``round(fraction * n)`` samples are held out. Classes share them in proportion to
    their sizes, by largest remainders (ties by class), and every class keeps at least one
    sample in the first part, so that no class is searched for without having been trained on.

    Parameters
    ----------
    labels : Tensor of shape (n,), int64
        Class index of each sample.
    fraction : float
        Share to hold out, strictly between 0 and 1.
    generator : torch.Generator
        A CPU generator that chooses the samples of each class.

    Returns
    -------
    kept, held_out : Tensor of shape (n - k,) and (k,), int64
        Ascending sample indices.

    Raises
    ------
    InputError
        If the fraction is not in (0, 1), nothing would be held out, or more than leaves one
        sample of each class.

    Examples
    --------
    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> kept, held_out = stratified_holdout(labels, 0.5, torch.Generator().manual_seed(0))
    >>> labels[kept].tolist(), labels[held_out].tolist()
    ([0, 0, 1], [0, 0, 1])
    """
    FRACTION.check("the share held out", fraction)
    labels = labels.cpu()
    sizes = torch.bincount(labels)
    counts = _holdout_counts(sizes, round(fraction * len(labels)))
    order = torch.randperm(len(labels), generator=generator)
    # A stable sort by class keeps the random order within each class.
    by_class = order[labels[order].argsort(stable=True)]
    ranks = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    chosen = ranks < counts.repeat_interleave(sizes)
    return by_class[~chosen].sort().values, by_class[chosen].sort().values


def _holdout_counts(sizes: Tensor, total: int) -> Tensor:
    """Share `total` among classes of the given sizes, leaving one sample in each."""
    most = (sizes - 1).clamp_min(0)
    n_samples = int(sizes.sum())
    if not 0 < total <= int(most.sum()):
        raise InputError(
            f"{total} of {n_samples} samples cannot be held out: at least one is needed, and one "
            f"of each of the {int((sizes > 0).sum())} classes has to stay; change the fraction, "
            "give more data, or give the architecture data yourself as validation="
        )
    counts = torch.minimum(sizes * total // n_samples, most)
    remainders = (sizes * total % n_samples).tolist()
    # Where a class cannot give its share, the next in line gives one more, round after round.
    ranking = sorted(range(len(sizes)), key=lambda label: (-remainders[label], label))
    missing = total - int(counts.sum())
    while missing:
        for label in ranking:
            if missing and counts[label] < most[label]:
                counts[label] += 1
                missing -= 1
    return counts
