"""Outlier removal: samples far from the mean image of their class go first."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from proxysample.clustering.groups import distances_to_own, group_means
from proxysample.data.parallel import Workers
from proxysample.data.reading import Samples
from proxysample.data.rows import Rows
from proxysample.keeping import FloatArray, IntArray, Keep
from proxysample.sampler import Protocol, Sampler


class CCOutlierRemoval(Sampler):
    """Keep the samples nearest to their class's mean image (cc-or; section 3.3.2, equation 6).

    Parameters
    ----------
    keep : str or KeepingRule
        ``"easy"`` keeps near samples (the paper's choice), ``"hard"`` far ones; or another rule, by
        its id or with parameters.
    protocol : {"default", "paper"}
        "paper" keeps ``int(n_c * r)`` samples of each class, as the authors' code does; the
        default keeps ``round(r * n)`` in all, each class within one sample of its share. The
        scores are the same: L2 distances of raw pixels.
    batch_size, num_workers : int
        How a map-style dataset is decoded. They do not change the result.
    progress : bool
        Show a progress bar while decoding.

    Examples
    --------
    >>> from proxysample import CCOutlierRemoval
    >>> features = np.array([[0.0], [1.0], [5.0], [10.0], [11.0], [18.0]])
    >>> sampler = CCOutlierRemoval()
    >>> sampler.select(features, r=2 / 3, y=[0, 0, 0, 1, 1, 1]).tolist()
    [0, 1, 3, 4]
    >>> sampler.scores_.tolist()
    [2.0, 1.0, 3.0, 3.0, 2.0, 5.0]
    """

    id: ClassVar[str] = "cc-or"
    needs_labels: ClassVar[bool] = True
    per_class: ClassVar[bool] = True

    def __init__(
        self,
        *,
        keep: Keep = "easy",
        protocol: Protocol = "default",
        batch_size: int = 256,
        num_workers: int = 0,
        progress: bool = False,
    ) -> None:
        self.keep = keep
        self.protocol = protocol
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.progress = progress

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        assert codes is not None  # per_class is set
        images = samples.images
        # Pixels of type uint8 count in units of the full range, as they do in the paper's code.
        scale = np.full(images[0].size, 255.0) if images.dtype == np.uint8 else None
        rows = Rows(images, scale=scale)
        with Workers() as workers:
            means = group_means(rows, codes, int(codes.max()) + 1, workers)
            return distances_to_own(rows, codes, means, workers)
