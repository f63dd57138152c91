"""A sampler and how much it keeps, as one estimator: a step of a pipeline, a point of a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from sklearn.base import BaseEstimator, clone

from proxysample.data.tables import take_pair
from proxysample.errors import InputError
from proxysample.keeping import IntArray
from proxysample.printing import shown
from proxysample.sampler import Sampler
from proxysample.selection import Balance


class Resampler(BaseEstimator):
    """Keep what a sampler picks, with scikit-learn's and imbalanced-learn's conventions.

    It is a step of an imbalanced-learn pipeline, which resamples when it is fitted and lets
    everything through when it predicts. `r` and the sampler's own parameters (``sampler__keep``)
    are set by `set_params`, cloned and searched by a grid as those of any estimator.

    Parameters
    ----------
    sampler : Sampler
        It is cloned before it is fitted.
    r : float, optional
        Fraction to keep, in (0, 1].
    n : int, optional
        Number of samples to keep, in place of `r`.
    balance : str or mapping, optional
    min_per_class : int
    must_keep, exclude : array-like of int, optional
        See `Ranking.select`.

    Attributes
    ----------
    sampler_ : Sampler
        Fitted.
    sample_indices_ : ndarray of int64
        Kept indices, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> from proxysample import CCOutlierRemoval, Resampler
    >>> features = np.array([[0.0], [1.0], [5.0], [10.0], [11.0], [18.0]])
    >>> resampler = Resampler(CCOutlierRemoval(), r=1 / 3)
    >>> X_kept, y_kept = resampler.fit_resample(features, np.array([0, 0, 0, 1, 1, 1]))
    >>> X_kept.tolist(), y_kept.tolist(), resampler.sample_indices_.tolist()
    ([[1.0], [11.0]], [0, 1], [1, 4])
    >>> resampler.set_params(r=None, n=4, sampler__keep="hard").get_params()["sampler__keep"]
    'hard'
    """

    def __init__(
        self,
        sampler: Sampler,
        *,
        r: float | None = None,
        n: int | None = None,
        balance: Balance | Mapping[Any, int] | None = None,
        min_per_class: int = 0,
        must_keep: Any = None,
        exclude: Any = None,
    ) -> None:
        self.sampler = sampler
        self.r = r
        self.n = n
        self.balance = balance
        self.min_per_class = min_per_class
        self.must_keep = must_keep
        self.exclude = exclude

    def fit(self, X: Any, y: Any = None) -> Self:
        """Pick the samples to keep.

        Parameters
        ----------
        X, y : object
            The dataset and its labels; see `Sampler.fit`.

        Returns
        -------
        Resampler
            Itself, with `sampler_` and `sample_indices_`.

        Raises
        ------
        InputError
            See `Sampler.select`.
        """
        given: object = self.sampler
        if not isinstance(given, Sampler):
            hint = f"; make one by create_sampler({given!r})" if isinstance(given, str) else ""
            raise InputError(f"sampler must be a proxysample.Sampler, not {shown(given)}{hint}")
        self.sampler_ = clone(self.sampler)
        self.sample_indices_: IntArray = self.sampler_.select(
            X,
            self.r,
            y,
            n=self.n,
            balance=self.balance,
            min_per_class=self.min_per_class,
            must_keep=self.must_keep,
            exclude=self.exclude,
        )
        return self

    def fit_resample(self, X: Any, y: Any = None) -> tuple[Any, Any]:
        """Pick the samples to keep and give them, with their labels.

        Parameters
        ----------
        X, y : object
            The dataset and its labels; see `Sampler.fit`.

        Returns
        -------
        X_kept, y_kept : object
            See `Sampler.fit_resample`.
        """
        return take_pair(X, y, self.fit(X, y).sample_indices_)
