"""What others have picked or ranked, as samplers: a ready set of indices, a ready ranking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_array
from proxysample.data.classes import read_classes
from proxysample.data.fields import FieldArguments, FieldView, check_broken
from proxysample.data.reading import Samples
from proxysample.dynamics.record import Dynamics
from proxysample.dynamics.recorder import DynamicsRecorder
from proxysample.errors import InputError
from proxysample.features.store import is_kept, n_kept
from proxysample.files import read_npy
from proxysample.isolation import isolated
from proxysample.keeping import Columns, FloatArray, IntArray, KeepingRule
from proxysample.printing import shown
from proxysample.ranking import Ranking
from proxysample.registry import SAMPLERS
from proxysample.sampler import Sampler


class GivenIndices(Sampler):
    """Keep the samples that were picked elsewhere (indices).

    They are one set of one size: `select` takes the ratio that keeps as many, and no other.

    Parameters
    ----------
    indices : array-like of shape (n_kept,), optional
        Of the samples to keep, in any order, each once.
    path : str or Path, optional
        An ``.npy`` file of them, such as ``proxysample select`` writes, in place of `indices`.
    uses_labels : bool
        Whether they were picked by the labels, which decides where tables put them.

    Examples
    --------
    >>> import numpy as np
    >>> GivenIndices([3, 1]).select(np.zeros((4, 2)), r=0.5).tolist()
    [1, 3]
    >>> GivenIndices([3, 1]).select(np.zeros((4, 2)), r=0.75)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: the 2 given indices cannot be cut to 3: of 4 samples they are
    r=0.5
    """

    id = "indices"
    reads = "nothing"

    def __init__(
        self,
        indices: Any = None,
        *,
        path: str | Path | None = None,
        uses_labels: bool = False,
    ) -> None:
        self.indices = indices
        self.path = path
        self.uses_labels = uses_labels

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:  # scikit-learn's own name
        if isinstance(self.indices, np.ndarray | list | tuple) and len(self.indices) > 10:
            return f"GivenIndices({len(self.indices):,} indices)"
        shown: str = super().__repr__(N_CHAR_MAX)
        return shown

    def _check_parameters(self) -> None:
        self.read()

    def read(self) -> IntArray:
        """Give the indices, ascending.

        Raises
        ------
        InputError
            If there are none, or the file or a value cannot be used.
        """
        _check_one("indices", self.indices, self.path)
        if self.path is not None:
            return _checked_indices(_read_file(self.path), str(self.path))
        return _checked_indices(as_array("indices", self.indices), "indices")

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        indices = self.read()
        check_range(indices, len(samples), str(self.path or "indices"))
        scores = np.ones(len(samples))
        scores[indices] = 0
        return scores

    def _keep(self) -> KeepingRule:
        return KeepGiven(len(self.read()))


def n_made_for(sampler: Sampler) -> int | None:
    """Count the samples that a sampler's ranking, record or features are of; None without any."""
    if isinstance(sampler, GivenRanking):
        return len(sampler.read())
    parameters = sampler.get_params(deep=False)
    record, features = parameters.get("record"), parameters.get("features")
    if isinstance(record, str | Path):
        record = DynamicsRecorder.load(record)
    if isinstance(record, Dynamics | DynamicsRecorder):
        return record.n_samples
    if is_kept(features):
        return n_kept(features)
    return len(features) if hasattr(features, "__array__") else None


def goes_by_labels(sampler: Sampler) -> bool:
    """Whether a sampler's ranking or record holds labels, which have to be the dataset's."""
    if isinstance(sampler, GivenRanking):
        return sampler.read().codes is not None
    return sampler.get_params(deep=False).get("record") is not None


def check_same_samples(sampler: Sampler, label: str, n_samples: int, advice: str) -> None:
    """Refuse what was picked, ranked or recorded of others than so many samples; `InputError`."""
    if isinstance(sampler, GivenIndices):
        last = int(sampler.read()[-1])
        is_same, others, counted = last < n_samples, f"up to {last:,}", ", counted from 0"
    else:
        n_made = n_made_for(sampler)
        is_same = n_made is None or n_made == n_samples
        others, counted = f"of {n_made or 0:,} samples", ""
    if not is_same:
        raise InputError(
            f"{label} is {others}, and samplers pick from {n_samples:,} here{counted}{advice}"
        )


@dataclass(frozen=True)
class KeepGiven(KeepingRule):
    """Keep the samples that score lowest, if they are as many as were given."""

    id = "given"
    nested = False
    n: int

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,
        columns: Columns | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by ascending score; an error where not `n` of them are kept."""
        if n_kept != self.n:
            raise InputError(
                f"the {self.n:,} given indices cannot be cut to {n_kept:,}: of {len(scores):,} "
                f"samples they are r={self.n / len(scores)!r}"
            )
        return np.argsort(scores, kind="stable")


class GivenRanking(Sampler):
    """Keep by a ranking that was made elsewhere (ranking).

    Parameters
    ----------
    ranking : Ranking, optional
        Of the dataset that is given to `fit`, whose size, labels and pixels are checked.
    path : str or Path, optional
        An ``.npz`` file that `Ranking.save` or ``proxysample score`` wrote, in place of `ranking`.

    Examples
    --------
    >>> import numpy as np
    >>> ranking = Ranking(np.array([0.3, 0.1, 0.2, 0.4]))
    >>> GivenRanking(ranking).select(np.zeros((4, 2)), r=0.5).tolist()
    [1, 2]
    """

    id = "ranking"
    reads = "nothing"

    def __init__(self, ranking: Ranking | None = None, *, path: str | Path | None = None) -> None:
        self.ranking = ranking
        self.path = path

    def _check_parameters(self) -> None:
        self.read()

    def read(self) -> Ranking:
        """Give the ranking.

        Raises
        ------
        InputError
            If there is none, or the file cannot be used.
        """
        _check_one("ranking", self.ranking, self.path)
        if self.path is not None:
            return Ranking.load(self.path)
        if not isinstance(self.ranking, Ranking):
            raise InputError(f"ranking must be a Ranking, not {shown(self.ranking)}")
        return self.ranking

    @property
    def uses_labels(self) -> bool:
        """Whether the ranking was made by the labels, as far as it tells."""
        ranking = self.read()
        name = ranking.provenance.get("sampler")
        if isinstance(name, str) and SAMPLERS.is_built_in(name):
            needs_labels: object = SAMPLERS.get(name).needs_labels
            if isinstance(needs_labels, bool):
                return needs_labels
            # A property of the class: it depends on whether each class is kept by itself.
            parameters = ranking.provenance.get("parameters")
            if isinstance(parameters, dict) and parameters.get("per_class") is False:
                return False
        return ranking.codes is not None

    @isolated()
    def fit(self, dataset: Any, y: Any = None, **fields: Unpack[FieldArguments]) -> Self:
        """Check that the ranking is of a dataset, and take it.

        Parameters
        ----------
        dataset, y, **fields : object
            See `Sampler.fit`.

        Returns
        -------
        GivenRanking
            Itself; `ranking_` is the ranking as it was made.

        Raises
        ------
        InputError
            If it is of another dataset.
        """
        self.check_parameters()
        self._check_fields(fields)
        ranking = self.read()
        check_broken(fields.get("broken", "stop"))
        image, label, features = (
            fields.get("image"),
            fields.get("label"),
            fields.get("features"),
        )
        if any(field is not None for field in (image, label, features)):
            dataset = FieldView(dataset, image=image, label=label, features=features)
        ranking.check_dataset(dataset, y)
        if ranking.classes is None:
            ranking = replace(ranking, classes=read_classes(Samples(dataset, y)))
        # Reports and studies state what a scoring took.
        self.ranking_ = replace(ranking, provenance={"seconds": 0.0, **ranking.provenance})
        self.scores_ = ranking.scores
        self.n_samples_ = len(ranking)
        return self

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        return self.read().scores


def read_indices(path: str | Path, n_samples: int) -> IntArray:
    """Read indices that ``proxysample select`` wrote.

    Parameters
    ----------
    path : str or Path
        An ``.npy`` file.
    n_samples : int
        Size of the dataset that they point into.

    Returns
    -------
    ndarray of int64
        In the order of the file.

    Raises
    ------
    InputError
        If the file is missing or damaged, or an index repeats or points outside.
    """
    indices = _read_file(path)
    _checked_indices(indices, str(path))
    check_range(indices, n_samples, str(path))
    return indices.astype(np.int64)


def _read_file(path: str | Path) -> npt.NDArray[Any]:
    return read_npy(path)


def _checked_indices(indices: npt.NDArray[Any], what: str) -> IntArray:
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise InputError(f"{what} does not hold a one-dimensional array of integers")
    if not len(indices):
        raise InputError(f"{what} holds no index; give at least one")
    if int(indices.min()) < 0:
        raise InputError(f"{what} holds the index {indices.min()}; they count from 0")
    if int(indices.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{what} holds the index {indices.max()}, which no dataset has")
    found = np.unique(indices.astype(np.int64))
    if len(found) != len(indices):
        raise InputError(f"{what} names a sample twice")
    return found


def check_range(indices: npt.NDArray[Any], n_samples: int, what: str) -> None:
    """Refuse indices that point outside a dataset."""
    if int(indices.max()) >= n_samples:
        raise InputError(
            f"{what} does not fit the dataset's {n_samples:,} training samples: it holds the index "
            f"{indices.max():,}; select again from this dataset"
        )


def _check_one(name: str, given: object, path: object) -> None:
    if (given is None) == (path is None):
        both = "not both" if given is not None else f"such as {name}:path=FILE in words"
        raise InputError(f"give {name} or a path to them, {both}")
    if path is not None and not isinstance(path, str | Path):
        raise InputError(f"path must be a path, not {shown(path)}")
