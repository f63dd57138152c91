"""A ranking: the scores of one pass, from which every ratio is cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from proxysample.data.fingerprint import check_fingerprint
from proxysample.data.labels import encode_labels
from proxysample.data.reading import Samples
from proxysample.data.tables import take_rows
from proxysample.errors import InputError
from proxysample.files import check_output, read_npz, read_npz_stream, replace_file
from proxysample.keeping import (
    FloatArray,
    IntArray,
    Keep,
    KeepingRule,
    Rounding,
    as_rule,
    check_ratio,
    checked_order,
    floor_per_class,
    interleave_classes,
    n_kept,
)
from proxysample.ranking_files import FORMAT, ranking_parts


@dataclass(frozen=True, eq=False)
class Ranking:
    """Scores of a dataset's samples and the rule that cuts them.

    Attributes
    ----------
    scores : ndarray of shape (n,), float64
        One a sample; low is typical, easy.
    codes : ndarray of shape (n,), int64, or None
        Class of each sample, 0 to n_classes - 1, where the rule keeps class shares; None where
        it keeps overall.
    keep : str or KeepingRule
        Which samples come first: ``"easy"`` is low scores, ``"hard"`` is high ones; or another
        rule, by its id or with parameters.
    rounding : {"exact", "floor"}
        ``round(r * n)`` samples with class shares to within one sample, or the paper's
        ``int(n * r)`` (per class where the rule keeps class shares).
    provenance : mapping
        What made the scores: sampler, parameters, versions, seconds. Plain JSON values.
    skipped : ndarray of int64, or None
        Ascending indices of samples that could not be read: their scores are NaN, they are never
        kept, and a ratio is one of the others.

    Examples
    --------
    >>> ranking = Ranking(np.array([0.3, 0.1, 0.2, 0.4]))
    >>> ranking.order.tolist(), ranking.select(0.5).tolist()
    ([1, 2, 0, 3], [1, 2])
    """

    scores: FloatArray
    codes: IntArray | None = None
    keep: Keep = "easy"
    rounding: Rounding = "exact"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    skipped: IntArray | None = None

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or not len(self.scores):
            raise InputError(f"scores have shape {self.scores.shape}; needed: (n,), n at least 1")
        finite = np.isfinite(self.scores)
        if self.skipped is not None:
            _check_skipped(self.skipped, self.scores)
            finite[self.skipped] = True
        if not finite.all():
            index = int(np.argmin(finite))
            raise InputError(f"the score of sample {index} is {self.scores[index]}")
        if self.codes is not None and self.codes.shape != self.scores.shape:
            raise InputError(f"{len(self.codes)} class codes for {len(self.scores)} scores")
        as_rule(self.keep)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranking):
            return NotImplemented
        return (
            np.array_equal(self.scores, other.scores, equal_nan=True)
            and np.array_equal(self.codes, other.codes)  # type: ignore[arg-type]
            and (self.rule, self.rounding) == (other.rule, other.rounding)
            and self.provenance == other.provenance
            and np.array_equal(self.skipped, other.skipped)  # type: ignore[arg-type]
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        share = "overall" if self.codes is None else f"per class ({self.codes.max() + 1})"
        return (
            f"Ranking({self.provenance.get('sampler', 'scores')}, {len(self):,} samples, "
            f"keeps {self.rule} {share})"
        )

    @cached_property
    def whole_indices(self) -> IntArray:
        """Indices of the samples that could be read, ascending; all but the skipped ones."""
        skipped = np.empty(0, np.int64) if self.skipped is None else self.skipped
        return np.setdiff1d(np.arange(len(self)), skipped)

    @cached_property
    def _of_whole(self) -> Ranking:
        """The ranking of the samples that could be read, by their places among these."""
        codes = None if self.codes is None else encode_labels(self.codes[self.whole_indices])[1]
        return replace(self, scores=self.scores[self.whole_indices], codes=codes, skipped=None)

    def spread(self, indices: IntArray, n_samples: int) -> Ranking:
        """Make this the ranking of a larger dataset, of which the other samples were skipped.

        Parameters
        ----------
        indices : ndarray of int64
            The place of each of the ranked samples in the larger dataset, ascending.
        n_samples : int
            Of the larger dataset.

        Returns
        -------
        Ranking

        Examples
        --------
        >>> ranking = Ranking(np.array([0.3, 0.1])).spread(np.array([0, 2]), 3)
        >>> ranking.scores.tolist(), ranking.skipped.tolist(), ranking.select(0.5).tolist()
        ([0.3, nan, 0.1], [1], [2])
        """
        if len(indices) == n_samples:
            return self
        scores = np.full(n_samples, np.nan)
        scores[indices] = self.scores
        codes = None
        if self.codes is not None:
            # A class is needed for each; those of skipped samples are not looked at.
            codes = np.zeros(n_samples, dtype=np.int64)
            codes[indices] = self.codes
        skipped = np.setdiff1d(np.arange(n_samples), indices)
        return replace(self, scores=scores, codes=codes, skipped=skipped)

    @cached_property
    def rule(self) -> KeepingRule:
        """The rule that `keep` stands for."""
        return as_rule(self.keep)

    @property
    def nested(self) -> bool:
        """Whether a smaller kept set is part of a larger one, whatever the two ratios."""
        return self.rule.nested

    @cached_property
    def order(self) -> IntArray:
        """Indices of all samples but the skipped ones, the first to be kept first; int64.

        Every kept set with exact rounding is a prefix of it. A rule that is not `nested` has no
        such order, and asking for it is an error.
        """
        if self.skipped is not None:
            return self.whole_indices[self._of_whole.order]
        if not self.nested:
            raise InputError(
                f"the keeping rule {self.rule} has another order for each ratio; use select(r)"
            )
        return self._with_shares(self.order_of_rule())

    def order_of_rule(self, n_kept: int | None = None) -> IntArray:
        """Give the order that the rule puts all samples in, before class shares are kept.

        Parameters
        ----------
        n_kept : int, optional
            How many will be kept, which a rule that is not `nested` needs to know.

        Returns
        -------
        ndarray of int64
            Of all samples but the skipped ones.
        """
        if self.skipped is not None:
            return self.whole_indices[self._of_whole.order_of_rule(n_kept)]
        return checked_order(self.rule, self.scores, self.codes, n_kept)

    def _with_shares(self, order: IntArray) -> IntArray:
        return order if self.codes is None else interleave_classes(order, self.codes)

    def select(self, r: float) -> IntArray:
        """Keep a fraction of the samples.

        Parameters
        ----------
        r : float
            Fraction to keep, in (0, 1], of the samples that were not skipped.

        Returns
        -------
        ndarray of int64
            Kept indices, ascending and unique, relative to the ranked dataset.

        Raises
        ------
        InputError
            If `r` is not in (0, 1] or keeps nothing.
        """
        ratio = check_ratio(r)
        if self.skipped is not None:
            return self.whole_indices[self._of_whole.select(ratio)]
        if self.codes is not None and self.rounding == "floor":
            at_most = int(ratio * len(self))
            return floor_per_class(self.order_of_rule(at_most), self.codes, ratio)
        count = n_kept(len(self), ratio, self.rounding)
        order = self.order if self.nested else self._with_shares(self.order_of_rule(count))
        return np.sort(order[:count])

    def select_many(self, ratios: Iterable[float]) -> dict[float, IntArray]:
        """Keep several fractions; where the ranking is `nested`, a smaller set is part of a larger.

        Parameters
        ----------
        ratios : iterable of float
            Fractions to keep, each in (0, 1].

        Returns
        -------
        dict
            Kept indices by ratio.
        """
        return {r: self.select(r) for r in ratios}

    def check_dataset(self, dataset: Any, y: Any = None) -> None:
        """Refuse a dataset that this ranking is not of.

        Parameters
        ----------
        dataset, y : object
            See `proxysample.data.reading.Samples`.

        Raises
        ------
        InputError
            If size, labels or probed pixels differ from those of the ranked dataset.
        """
        known = self.provenance.get("dataset", {})
        check_fingerprint(
            {"n_samples": len(self), "labels": None, "pixels": None} | known,
            Samples(dataset, y),
            self.whole_indices,
        )

    def subset(self, dataset: Any, r: float, y: Any = None) -> Any:
        """Keep a fraction of the ranked dataset, after checking that it is the one.

        Parameters
        ----------
        dataset, y : object
            See `check_dataset`.
        r : float
            Fraction to keep, in (0, 1].

        Returns
        -------
        torch.utils.data.Subset
            Of `dataset`; a HuggingFace dataset or a pandas table where that was given.

        Raises
        ------
        InputError
            If the dataset does not match or `r` cannot be used.
        """
        self.check_dataset(dataset, y)
        return take_rows(dataset, self.select(r))

    def save(self, path: str | Path) -> None:
        """Write the ranking as .npz, without pickle.

        Parameters
        ----------
        path : str or Path
            Ends in ``.npz``.

        Raises
        ------
        InputError
            If the path does not end in ``.npz`` or its folder is missing.
        """
        check_output(path, ".npz", "a ranking is saved")
        with replace_file(path) as stream:
            self.write(stream)

    def write(self, stream: BinaryIO) -> None:
        """Write the ranking to an open file; see `save`.

        Parameters
        ----------
        stream : binary file
        """
        header = {
            "format": FORMAT,
            "keep": self.rule.to_json(),
            "rounding": self.rounding,
            "provenance": dict(self.provenance),
        }
        arrays: dict[str, Any] = {"header": np.array(json.dumps(header)), "scores": self.scores}
        if self.codes is not None:
            arrays["codes"] = self.codes
        if self.skipped is not None:
            arrays["skipped"] = self.skipped
        np.savez_compressed(stream, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Ranking:
        """Read a ranking that `save` wrote. No pickle is loaded.

        Parameters
        ----------
        path : str or Path
            An ``.npz`` file.

        Returns
        -------
        Ranking
            Equal to the saved one.

        Raises
        ------
        InputError
            If the file is missing, damaged or something else.
        """
        return cls._from_arrays(read_npz(path), str(path))

    @classmethod
    def read(cls, stream: BinaryIO, name: str = "the ranking") -> Ranking:
        """Read a ranking from an open file; see `load`.

        Parameters
        ----------
        stream : binary file
            At its start.
        name : str
            What to call it in messages.

        Returns
        -------
        Ranking
        """
        return cls._from_arrays(read_npz_stream(stream, name), name)

    @classmethod
    def _from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], name: str) -> Ranking:
        return cls(**ranking_parts(arrays, name))


def _check_skipped(skipped: IntArray, scores: FloatArray) -> None:
    is_ascending = skipped.ndim == 1 and len(skipped) and bool((np.diff(skipped) > 0).all())
    if not is_ascending or skipped[0] < 0 or skipped[-1] >= len(scores):
        raise InputError(f"skipped must be ascending indices of the {len(scores)} samples")
    if len(skipped) == len(scores):
        raise InputError("all samples are skipped: there is nothing to rank")
    if not np.isnan(scores[skipped]).all():
        raise InputError("a skipped sample has a score; needed: NaN")
