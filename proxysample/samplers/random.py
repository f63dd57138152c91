"""Random sampling, over all samples or class by class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from proxysample.data.reading import Samples
from proxysample.keeping import FloatArray, IntArray
from proxysample.sampler import Protocol, Reads, Sampler

RandomState = int | np.random.Generator | None


class RandomSampling(Sampler):
    """Keep samples drawn at random (rs; paper section 3.2.1, equation 2).

    One shuffle serves all ratios, so a smaller set is part of a larger one. The paper's code
    shuffles anew for each ratio.

    Parameters
    ----------
    protocol : {"default", "paper"}
        "paper" keeps ``int(n * r)`` samples instead of ``round(r * n)``.
    random_state : int, Generator or None
        Seed of the shuffle; None draws a new one each time.

    Examples
    --------
    >>> from proxysample import RandomSampling
    >>> RandomSampling(random_state=0).select(np.zeros((8, 4)), r=0.5).tolist()
    [1, 2, 3, 6]
    """

    id: ClassVar[str] = "rs"
    reads: ClassVar[Reads] = "nothing"

    protocol: Protocol = "default"
    random_state: RandomState = None

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        return np.random.default_rng(self.random_state).random(len(samples))


class CCRandomSampling(RandomSampling):
    """Keep samples drawn at random within each class (cc-rs; section 3.3.1, equation 5).

    Parameters
    ----------
    protocol : {"default", "paper"}
        "paper" keeps ``int(n_c * r)`` samples of each class; the default keeps ``round(r * n)``
        in all, each class within one sample of its share.
    random_state : int, Generator or None
        Seed of the shuffle; None draws a new one each time.

    Examples
    --------
    >>> from proxysample import CCRandomSampling
    >>> labels = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> CCRandomSampling(random_state=0).select(np.zeros((8, 4)), r=0.5, y=labels).tolist()
    [2, 3, 6, 7]
    """

    id: ClassVar[str] = "cc-rs"
    reads: ClassVar[Reads] = "labels"
    needs_labels: ClassVar[bool] = True
    per_class = True
