"""The base of every sampler: a scikit-learn estimator that ranks, then keeps."""

from __future__ import annotations

import abc
import json
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator

from proxysample.checks import (
    BOOLEAN,
    COUNT,
    POSITIVE_INTEGER,
    RANDOM_STATE,
    Constraints,
    check_values,
    constraints_of,
    one_of,
    plain_number,
)
from proxysample.data.labels import check_class_sizes, encode_labels
from proxysample.data.reading import Samples, fingerprint
from proxysample.data.tables import take_rows
from proxysample.errors import InputError
from proxysample.keeping import (
    FloatArray,
    IntArray,
    Keep,
    KeepingRule,
    Rounding,
    as_rule,
    check_ratio,
)
from proxysample.ranking import Ranking

if TYPE_CHECKING:
    from proxysample.report import Report

Protocol = Literal["default", "paper"]
PROTOCOLS: tuple[Protocol, ...] = ("default", "paper")


class Sampler(BaseEstimator, abc.ABC):
    """Rank the samples of a dataset, then keep a fraction.

    A subclass stores its parameters in ``__init__`` and says how it scores; reading, checking,
    ranking and keeping are here. Parameters of these names are honoured where a subclass has
    them: ``protocol``, ``keep``, ``batch_size``, ``num_workers``, ``progress``, and
    ``random_state`` is checked to be a seed or a generator. What its others must be a subclass
    lists in ``_constraints``, and checks what depends on several in ``_check_parameters``.

    Attributes
    ----------
    ranking_ : Ranking
        Set by `fit`.
    scores_ : ndarray of shape (n,), float64
        Set by `fit`; low is typical.
    n_samples_ : int
        Set by `fit`.
    """

    id: ClassVar[str]
    """What it is called in rankings and reports."""
    needs_labels: ClassVar[bool] = False
    """Whether it cannot do without labels."""
    per_class: bool | None = False
    """Whether the kept set holds class shares; such samplers need labels. None: where there are
    labels."""

    _constraints: ClassVar[Constraints] = {
        "protocol": one_of("protocol", PROTOCOLS),
        "batch_size": POSITIVE_INTEGER,
        "num_workers": COUNT,
        "random_state": RANDOM_STATE,
        "progress": BOOLEAN,
    }

    @abc.abstractmethod
    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:
        """Score each sample.

        Parameters
        ----------
        samples : Samples
            The dataset; its images are decoded when asked for.
        codes : ndarray of shape (n,), int64, or None
            Class codes, where the sampler is class-conditional.

        Returns
        -------
        ndarray of shape (n,), float64
            Low is typical.
        """

    def _class_codes(self, samples: Samples) -> IntArray | None:
        """Give the classes whose shares are kept; None keeps overall."""
        return class_codes(samples) if self.per_class else None

    def _keeping_codes(self, codes: IntArray | None) -> IntArray | None:
        """Give the groups whose shares are kept, after scoring: by default those of the classes.

        Parameters
        ----------
        codes : ndarray of shape (n,), int64, or None
            See `_score`.

        Returns
        -------
        ndarray of shape (n,), int64, or None
            None keeps overall.
        """
        return codes

    def _check_parameters(self) -> None:
        """Raise `InputError` for parameters that cannot work together, or in a way of their own."""

    def _check_availability(self) -> None:
        """Raise `InputError` where this machine lacks what the parameters ask for."""

    def check_parameters(self) -> None:
        """Raise `InputError` for a parameter that cannot work, as `fit` would.

        A study asks before it begins. Only `fit` tells whether the dataset and the machine suit:
        a study may be set up, and its results read, on another machine than it runs on.

        Raises
        ------
        InputError
            Naming the first such parameter.

        Examples
        --------
        >>> from proxysample import CCOutlierRemoval
        >>> CCOutlierRemoval(keep="eazy").check_parameters()
        Traceback (most recent call last):
        ...
        proxysample.errors.InputError: unknown rule for keep 'eazy'; did you mean 'easy'?
        Known: easy, hard, given
        """
        as_rule(getattr(self, "keep", "easy"))
        check_values(self.get_params(deep=False), constraints_of(type(self)))
        self._check_parameters()

    def fit(self, dataset: Any, y: Any = None) -> Self:
        """Score a dataset.

        Parameters
        ----------
        dataset : array, tensor or map-style dataset
            See `proxysample.data.reading.Samples`.
        y : array-like of shape (n,), optional
            Labels; the dataset's own by default.

        Returns
        -------
        Sampler
            Itself, with `ranking_`, `scores_` and `n_samples_`.

        Raises
        ------
        InputError
            If a parameter or the dataset cannot be used.
        """
        if not getattr(self, "id", ""):
            name = type(self).__name__
            raise InputError(f"{name} has no id; give the class one, such as id = {name.lower()!r}")
        self.check_parameters()
        self._check_availability()
        started = time.perf_counter()
        samples = self._read(dataset, y)
        codes = self._class_codes(samples)
        scores = np.asarray(self._score(samples, codes), dtype=np.float64)
        if scores.shape != (len(samples),):
            raise InputError(
                f"{type(self).__name__}._score gives scores of shape {scores.shape} for "
                f"{len(samples)} samples; needed: ({len(samples)},)"
            )
        self.ranking_ = Ranking(
            scores=scores,
            codes=self._keeping_codes(codes),
            keep=self._keep(),
            rounding=self._rounding(),
            provenance={
                "sampler": self.id,
                "parameters": plain_parameters(self),
                "dataset": fingerprint(samples, pixels=samples.is_decoded),
                "seconds": round(time.perf_counter() - started, 3),
                "versions": versions(),
            },
        )
        self.scores_ = self.ranking_.scores
        self.n_samples_ = len(samples)
        return self

    def _read(self, dataset: Any, y: Any) -> Samples:
        return Samples(
            dataset,
            y,
            batch_size=getattr(self, "batch_size", 256),
            num_workers=getattr(self, "num_workers", 0),
            progress=getattr(self, "progress", False),
        )

    def _keep(self) -> Keep:
        keep: Keep = getattr(self, "keep", "easy")
        return keep

    def _rounding(self) -> Rounding:
        return "floor" if getattr(self, "protocol", "default") == "paper" else "exact"

    def rank(self, dataset: Any, y: Any = None) -> Ranking:
        """Score a dataset once, for every ratio.

        Parameters
        ----------
        dataset, y : object
            See `fit`.

        Returns
        -------
        Ranking
            Cut it with ``ranking.select(r)``.
        """
        return self.fit(dataset, y).ranking_

    def select(self, dataset: Any, r: float, y: Any = None) -> IntArray:
        """Pick the samples to keep.

        Parameters
        ----------
        dataset : object
            See `fit`.
        r : float
            Fraction to keep, in (0, 1].
        y : array-like of shape (n,), optional
            Labels; the dataset's own by default.

        Returns
        -------
        ndarray of int64
            Kept indices, ascending and unique, relative to `dataset`.

        Raises
        ------
        InputError
            If `r`, a parameter or the dataset cannot be used.
        """
        check_ratio(r)
        return self.rank(dataset, y).select(r)

    def select_many(
        self, dataset: Any, ratios: Iterable[float], y: Any = None
    ) -> dict[float, IntArray]:
        """Pick the samples to keep at several ratios, from one scoring pass.

        Parameters
        ----------
        dataset, y : object
            See `fit`.
        ratios : iterable of float
            Fractions to keep, each in (0, 1].

        Returns
        -------
        dict
            Kept indices by ratio; unless a keeping rule of another kind was given, a smaller set
            is part of a larger one.
        """
        checked = [check_ratio(r) for r in ratios]
        return self.rank(dataset, y).select_many(checked)

    def subset(self, dataset: Any, r: float, y: Any = None) -> Any:
        """Pick the samples to keep as a dataset for any torch DataLoader.

        Parameters
        ----------
        dataset, r, y : object
            See `select`.

        Returns
        -------
        torch.utils.data.Subset
            Of `dataset`, so with labels only where its items have them; a HuggingFace dataset or
            a pandas table where that was given.
        """
        return take_rows(dataset, self.select(dataset, r, y))

    def report(self, dataset: Any, r: float, y: Any = None) -> Report:
        """Show what would be kept and dropped, class by class and in pictures, and the cost.

        Parameters
        ----------
        dataset, r, y : object
            See `select`.

        Returns
        -------
        Report
            Print it as text, or ``report.save("report.html")``.
        """
        from proxysample.report import build_report

        check_ratio(r)
        return build_report(self.rank(dataset, y), self._read(dataset, y), r)


def may_use_labels(sampler: Sampler) -> bool:
    """Tell whether a sampler picks by labels, where a dataset has them.

    Examples
    --------
    >>> from proxysample import Herding, RandomSampling
    >>> [may_use_labels(one) for one in (RandomSampling(), Herding(), Herding(per_class=False))]
    [False, True, False]
    """
    return bool(sampler.needs_labels or sampler.per_class is not False)


def class_codes(samples: Samples) -> IntArray:
    """Give the class codes of labelled samples, refusing classes that cannot be ranked.

    Parameters
    ----------
    samples : Samples
        A dataset with labels.

    Returns
    -------
    ndarray of shape (n,), int64
        0 to n_classes - 1, in the sorted order of the labels.

    Raises
    ------
    InputError
        If there are no labels, or a class has a single sample.
    """
    labels = samples.required_labels
    check_class_sizes(labels)
    return encode_labels(labels)[1]


def plain_parameters(estimator: BaseEstimator) -> dict[str, Any]:
    """Write an estimator's parameters as JSON values, others by their repr."""

    def plain(value: Any) -> Any:
        if isinstance(value, KeepingRule):
            return value.to_json()
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        try:
            return json.loads(json.dumps(value, default=plain_number))
        except (TypeError, ValueError):
            return repr(value)

    return {name: plain(value) for name, value in estimator.get_params(deep=False).items()}


def versions() -> dict[str, str]:
    """Name the versions that a ranking depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("proxysample", "numpy", "scikit-learn", "torch")}
