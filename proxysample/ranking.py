"""A ranking: the scores of one pass, from which every ratio is cut."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack, get_args

import numpy as np
import numpy.typing as npt

from proxysample.checks import MAPPING, as_tuple, has_attributes, instance_of, one_of
from proxysample.data.classes import Classes
from proxysample.data.fingerprint import check_fingerprint
from proxysample.data.labels import encode_labels
from proxysample.data.reading import Samples
from proxysample.data.tables import take_rows
from proxysample.errors import InputError, ProxysampleWarning, level_of_caller
from proxysample.files import check_output, read_npz, read_npz_stream, replace_file
from proxysample.keeping import (
    Columns,
    FloatArray,
    IntArray,
    Keep,
    KeepingRule,
    Natural,
    Rounding,
    as_rule,
    check_needs,
    check_ratio,
    checked_order,
)
from proxysample.printing import cleaned, shown
from proxysample.ranking_files import COLUMN, FORMAT, ranking_parts
from proxysample.selection import Cut, FittedCut, SelectionRules, interleave
from proxysample.shares import floor_per_class

if TYPE_CHECKING:
    import pandas as pd


class NotNestedWarning(ProxysampleWarning):
    """Of several kept sets a smaller one is no part of a larger one."""


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
    classes : Classes, optional
        Class of each sample and the classes' names, where the ranked dataset told them; what a
        cut by `balance` or `min_per_class` goes by.
    skipped : ndarray of int64, or None
        Ascending indices of samples that could not be read: their scores are NaN, they are never
        kept, and a ratio is one of the others.
    columns : mapping of str to ndarray of shape (n,), float64
        Other numbers of the samples, which some keeping rules need beside the scores; NaN where
        skipped.
    natural : {"low", "high"}
        Which end of the scores the rule "top" keeps first.

    Examples
    --------
    >>> ranking = Ranking(np.array([0.3, 0.1, 0.2, 0.4]))
    >>> ranking.order.tolist(), ranking.select(0.5).tolist()
    ([1, 2, 0, 3], [1, 2])
    >>> ranking.select(n=2, must_keep=[3], exclude=[1]).tolist()
    [2, 3]
    """

    scores: FloatArray
    codes: IntArray | None = None
    keep: Keep = "easy"
    rounding: Rounding = "exact"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    classes: Classes | None = None
    skipped: IntArray | None = None
    columns: Columns = field(default_factory=dict)
    natural: Natural = "low"

    def __post_init__(self) -> None:
        self._check_types()
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
        if self.classes is not None and self.classes.codes.shape != self.scores.shape:
            raise InputError(f"{len(self.classes.codes)} classes for {len(self.scores)} scores")
        for name, column in self.columns.items():
            _check_column(name, column, self.scores)
        as_rule(self.keep)
        one_of("rounding", get_args(Rounding)).check("rounding", self.rounding)
        one_of("order", get_args(Natural)).check("natural", self.natural)

    def _check_types(self) -> None:
        instance_of(Classes).or_none().check("classes", self.classes)
        for name in ("columns", "provenance"):
            MAPPING.check(name, getattr(self, name))
        for name in ("scores", "codes", "skipped"):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) and (array is not None or name == "scores"):
                raise InputError(f"{name} must be an array of numpy, not {shown(array)}")
        if self.scores.dtype.kind not in "fiu":
            raise InputError(f"scores have type {self.scores.dtype}; needed: float64")
        if self.codes is not None and self.codes.dtype.kind not in "iu":
            raise InputError(f"class codes have type {self.codes.dtype}; needed: int64")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ranking):
            return NotImplemented
        return (
            np.array_equal(self.scores, other.scores, equal_nan=True)
            and np.array_equal(self.codes, other.codes)  # type: ignore[arg-type]
            and (self.rule, self.rounding) == (other.rule, other.rounding)
            and (self.provenance, self.classes) == (other.provenance, other.classes)
            and np.array_equal(self.skipped, other.skipped)  # type: ignore[arg-type]
            and self.columns.keys() == other.columns.keys()
            and all(
                np.array_equal(column, other.columns[name], equal_nan=True)
                for name, column in self.columns.items()
            )
            and self.natural == other.natural
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        share = "overall" if self.codes is None else f"per class ({len(np.unique(self.codes))})"
        return cleaned(
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
        whole = self.whole_indices
        return replace(
            self,
            scores=self.scores[whole],
            codes=None if self.codes is None else encode_labels(self.codes[whole])[1],
            classes=None,
            skipped=None,
            columns={name: column[whole] for name, column in self.columns.items()},
        )

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

        def spread(values: FloatArray) -> FloatArray:
            found = np.full(n_samples, np.nan)
            found[indices] = values
            return found

        codes = None
        if self.codes is not None:
            # A class is needed for each; those of skipped samples are not looked at.
            codes = np.zeros(n_samples, dtype=np.int64)
            codes[indices] = self.codes
        skipped = np.setdiff1d(np.arange(n_samples), indices)
        return replace(
            self,
            scores=spread(self.scores),
            codes=codes,
            skipped=skipped,
            columns={name: spread(column) for name, column in self.columns.items()},
        )

    @cached_property
    def rule(self) -> KeepingRule:
        """The rule that `keep` stands for, "top" and "bottom" as what they are here."""
        return as_rule(self.keep).towards(self.natural)

    def with_rule(self, keep: Keep) -> Ranking:
        """Give the same scores with another keeping rule.

        Parameters
        ----------
        keep : str or KeepingRule

        Returns
        -------
        Ranking

        Raises
        ------
        InputError
            If there is no such rule, or it needs a column that is not there.

        Examples
        --------
        >>> ranking = Ranking(np.array([0.3, 0.1, 0.2, 0.4]))
        >>> ranking.with_rule("middle").select(0.5).tolist()
        [0, 2]
        """
        check_needs(as_rule(keep), self.columns, "the ranking")
        return replace(self, keep=keep)

    @property
    def nested(self) -> bool:
        """Whether a smaller kept set is part of a larger one, whatever the two ratios.

        It holds among sets that are cut by the same `balance`, `min_per_class`, `must_keep` and
        `exclude`. Counts by class are one set of one size. With the rounding "floor", sets cut
        by `r` nest, and sets cut by `n`, but not one of each.
        """
        return self.rule.nested

    @cached_property
    def order(self) -> IntArray:
        """Indices of all samples but the skipped ones, the first to be kept first; int64.

        Every kept set with exact rounding is a prefix of it. A rule that is not `nested` has no
        such order, and asking for it is an error.
        """
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
        return self._order_within(self.codes, n_kept)

    def _order_within(self, codes: IntArray | None, n_kept: int | None) -> IntArray:
        """Order samples by the rule, which is told of which groups the shares are kept."""
        whole = self.whole_indices
        if self.skipped is None:
            return checked_order(self.rule, self.scores, codes, n_kept, self.columns)
        codes = None if codes is None else encode_labels(codes[whole])[1]
        columns = {name: column[whole] for name, column in self.columns.items()}
        return whole[checked_order(self.rule, self.scores[whole], codes, n_kept, columns)]

    def _with_shares(self, order: IntArray) -> IntArray:
        return order if self.codes is None else interleave(order, self.codes)

    def select(
        self, r: float | None = None, *, n: int | None = None, **rules: Unpack[SelectionRules]
    ) -> IntArray:
        """Keep a fraction of the samples, or a number of them.

        Parameters
        ----------
        r : float, optional
            Fraction to keep, in (0, 1], of the samples that were not skipped.
        n : int, optional
            Number of samples to keep, in place of `r`; exactly so many are.
        **rules : object
            ``balance``: "none" keeps overall, "proportional" keeps class shares to within one
            sample, "equal" keeps as many of each class until a class is used up, and a mapping
            of class to number keeps exactly these, with neither `r` nor `n`; `ClassWeights` keeps
            in proportion to weights, or by need; by default the sampler's way.
            ``min_per_class``: keep at least so many of each class, and all of a class that has
            fewer. ``must_keep`` and ``exclude``: indices of samples that are kept, or not,
            whatever their scores. Sets by the same rules nest; see `nested`.

        Returns
        -------
        ndarray of int64
            Kept indices, ascending and unique, relative to the ranked dataset.

        Raises
        ------
        InputError
            If `r` or `n` keeps nothing or more than there is, or the rules contradict one
            another.

        Warns
        -----
        LostClassesWarning
            If classes lose all of their samples; they are named.

        Examples
        --------
        >>> classes = Classes(("cat", "dog"), np.array([0, 0, 0, 0, 1, 1]))
        >>> ranking = Ranking(np.arange(6.0), classes=classes)
        >>> ranking.select(n=3, balance="equal").tolist()
        [0, 1, 4]
        >>> ranking.select(balance={"cat": 1, "dog": 2}).tolist()
        [0, 4, 5]
        >>> ranking.select(n=3, min_per_class=1).tolist()
        [0, 1, 4]
        """
        cut = Cut.of(r, n, rules)
        fitted = self.fitted(cut)
        kept = self.kept_by(cut, fitted)
        fitted.warn_of_lost_classes(kept, self.name)
        return kept

    def fitted(self, cut: Cut) -> FittedCut:
        """Check a cut against the ranked samples; those that were skipped are excluded."""
        fitted = cut.fit_to(len(self), self.classes, self.rounding, self.skipped)
        self.rule.check_size(len(self.whole_indices), fitted.n_kept)
        return fitted

    @property
    def name(self) -> str:
        """The id of the sampler that made it, where it tells."""
        return str(self.provenance.get("sampler", "the ranking"))

    def kept_by(self, cut: Cut, fitted: FittedCut) -> IntArray:
        """Give what a cut keeps, ascending; nothing is said of classes that are lost."""
        if cut.is_plain and self.codes is not None and self.rounding == "floor":
            if self.skipped is not None:
                return self.whole_indices[self._of_whole.kept_by(cut, fitted)]
            ratio = check_ratio(cut.r)
            at_most = int(ratio * len(self))
            return floor_per_class(self.order_of_rule(at_most), self.codes, ratio)
        order = self.order if self.nested and not cut.has_rules else self.order_by(fitted)
        kept = np.sort(order[: fitted.n_kept])
        self._check_cut(kept, fitted)
        return kept

    def _check_cut(self, kept: IntArray, fitted: FittedCut) -> None:
        """Refuse shares of classes for which samples would be kept that the rule cuts."""
        groups = fitted.groups(self.codes)
        whole = self.whole_indices
        sizes = [len(whole)] if groups is None else np.bincount(groups[whole]).tolist()
        n_cut = self.rule.n_cut(sizes, fitted.n_kept)
        if not n_cut:
            return
        out = np.zeros(len(self), dtype=bool)
        out[self._order_within(groups, fitted.n_kept)[-n_cut:]] = True
        wrong = kept[out[kept] & ~fitted.must_keep[kept]]
        n_wrong = len(wrong)
        # Rounding alone may give a class one place more than its share.
        if n_wrong and groups is not None and fitted.balance in (None, "proportional"):
            n_wrong = int((np.bincount(groups[wrong]) - 1).clip(0).sum())
        if n_wrong:
            raise InputError(
                f"the keeping rule {self.rule} cuts {n_cut:,} samples, and {n_wrong:,} of them "
                "would have to be kept for the shares of their classes; cut less, keep fewer, or "
                "ask for other shares"
            )

    def order_by(self, fitted: FittedCut) -> IntArray:
        """Put all samples in the order of which a cut keeps a prefix; those excluded come last."""
        n_kept = None if self.nested else fitted.n_kept
        order = self._order_within(fitted.groups(self.codes), n_kept)
        return fitted.arrange(order, self.codes)

    def select_many(
        self,
        ratios: Iterable[float] = (),
        *,
        n: Iterable[int] = (),
        **rules: Unpack[SelectionRules],
    ) -> dict[float, IntArray]:
        """Keep several fractions; where the ranking is `nested`, a smaller set is part of a larger.

        Parameters
        ----------
        ratios : iterable of float
            Fractions to keep, each in (0, 1].
        n : iterable of int
            Numbers of samples to keep.
        **rules : object
            See `select`.

        Returns
        -------
        dict
            Kept indices by ratio or number.

        Warns
        -----
        NotNestedWarning
            If several sets are cut by a rule that has another order for each size.
        """
        cuts = as_cuts(ratios, n, rules)
        if len(cuts) > 1 and not self.nested:
            warnings.warn(
                f"the keeping rule {self.rule} has another order for each size: a smaller set is "
                "no part of a larger one",
                NotNestedWarning,
                stacklevel=level_of_caller(),
            )
        kept = self.cut_many([cut for _, cut in cuts])
        return {key: indices for (key, _), indices in zip(cuts, kept, strict=True)}

    def cut_many(self, cuts: Sequence[Cut]) -> list[IntArray]:
        """Give what each of some cuts keeps; classes that are lost are told of once."""
        fitted = [self.fitted(cut) for cut in cuts]
        kept = [self.kept_by(cut, one) for cut, one in zip(cuts, fitted, strict=True)]
        # What the smallest set has, larger ones have too.
        if kept:
            smallest = min(range(len(kept)), key=lambda place: len(kept[place]))
            fitted[smallest].warn_of_lost_classes(kept[smallest], self.name)
        return kept

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

    def subset(
        self,
        dataset: Any,
        r: float | None = None,
        y: Any = None,
        *,
        n: int | None = None,
        **rules: Unpack[SelectionRules],
    ) -> Any:
        """Keep a fraction of the ranked dataset, after checking that it is the one.

        Parameters
        ----------
        dataset, y : object
            See `check_dataset`.
        r, n, **rules : object
            See `select`.

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
        return take_rows(dataset, self.select(r, n=n, **rules))

    def to_frame(
        self,
        r: float | None = None,
        *,
        n: int | None = None,
        dataset: Any = None,
        **rules: Unpack[SelectionRules],
    ) -> pd.DataFrame:
        """Give the ranking as a table, one row a sample.

        Parameters
        ----------
        r, n, **rules : object
            See `select`; without them there is no column of what is kept.
        dataset : object, optional
            The ranked dataset, which is checked; its files or keys become a column.

        Returns
        -------
        pandas.DataFrame
            Columns ``index``; ``file`` or ``key`` where the dataset is given and knows them;
            ``label`` where the classes are known; ``score``; ``rank``, 1 being kept first, where
            one order serves every ratio or a set is asked for; ``kept``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.
        InputError
            See `select` and `check_dataset`.

        Examples
        --------
        >>> print(Ranking(np.array([0.3, 0.1, 0.2])).to_frame(n=2).to_string(index=False))
         index  score  rank  kept
             0    0.3     3 False
             1    0.1     1  True
             2    0.2     2  True
        """
        from proxysample.data.keys import keys_of
        from proxysample.outputs import import_pandas, table_of

        pandas = import_pandas()
        keys = None
        if dataset is not None:
            self.check_dataset(dataset)
            keys = keys_of(dataset)
        is_cut = any(value is not None for value in (r, n, *rules.values()))
        cut = Cut.of(r, n, rules) if is_cut else None
        frame: pd.DataFrame = pandas.DataFrame(table_of(self, cut, keys))
        return frame

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
        # Files of rankings that have the usual direction are as they always were.
        if self.natural != "low":
            header["natural"] = self.natural
        arrays: dict[str, Any] = {"header": np.array(json.dumps(header)), "scores": self.scores}
        if self.codes is not None:
            arrays["codes"] = self.codes
        if self.classes is not None:
            arrays["class_names"] = np.asarray(self.classes.names, dtype=str)
            arrays["class_codes"] = self.classes.codes
        if self.skipped is not None:
            arrays["skipped"] = self.skipped
        for name, column in self.columns.items():
            arrays[f"{COLUMN}{name}"] = column
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
        if not has_attributes(stream, "read", "seek", "tell"):
            raise InputError(f"a ranking is read from an open binary file, not {shown(stream)}")
        return cls._from_arrays(read_npz_stream(stream, name), name)

    @classmethod
    def _from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], name: str) -> Ranking:
        return cls(**ranking_parts(arrays, name))


def as_cuts(
    ratios: Iterable[float], counts: Iterable[int], rules: SelectionRules
) -> list[tuple[float, Cut]]:
    """Give a cut for each ratio and each number, checked as far as that goes without a dataset."""
    cuts: list[tuple[float, Cut]] = [
        (r, Cut.of(r, None, rules)) for r in as_tuple("ratios", ratios)
    ]
    cuts += [(n, Cut.of(None, n, rules)) for n in as_tuple("n", counts)]
    if any(key == 1 and cut.r is None for key, cut in cuts) and any(cut.r == 1 for _, cut in cuts):
        raise InputError(
            "r=1, everything, and n=1, one sample, would go by one name; cut them apart"
        )
    return cuts


def _check_column(name: str, column: FloatArray, scores: FloatArray) -> None:
    """Refuse a column that does not have a finite number wherever there is a score."""
    is_array = isinstance(column, np.ndarray)
    if not is_array or column.shape != scores.shape or column.dtype.kind != "f":
        raise InputError(f"the column {name!r} must hold {len(scores)} floats, one a sample")
    wrong = np.flatnonzero(np.isfinite(column) != np.isfinite(scores))
    if len(wrong):
        raise InputError(f"the column {name!r} is {column[wrong[0]]} for sample {wrong[0]}")


def _check_skipped(skipped: IntArray, scores: FloatArray) -> None:
    is_list = skipped.ndim == 1 and skipped.dtype.kind in "iu" and len(skipped)
    if (
        not is_list
        or not (skipped[1:] > skipped[:-1]).all()
        or skipped[0] < 0
        or skipped[-1] >= len(scores)
    ):
        raise InputError(f"skipped must be ascending indices of the {len(scores)} samples")
    if len(skipped) == len(scores):
        raise InputError("all samples are skipped: there is nothing to rank")
    if not np.isnan(scores[skipped]).all():
        raise InputError("a skipped sample has a score; needed: NaN")
