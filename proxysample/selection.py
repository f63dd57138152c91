"""What to keep: how many samples, of which classes, and which are certain to be in or out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from proxysample.checks import LARGEST_INTEGER, as_array, as_tuple, has_attributes, is_integer
from proxysample.data.classes import Classes
from proxysample.errors import (
    InputError,
    ProxysampleWarning,
    check_names,
    level_of_caller,
    unknown_name,
)
from proxysample.keeping import IntArray, Rounding, check_count, check_ratio, n_kept
from proxysample.printing import shown
from proxysample.shares import ClassWeights, interleave_classes, one_name_each

Balance = Literal["none", "proportional", "equal"]
BALANCES: tuple[Balance, ...] = ("none", "proportional", "equal")

BoolArray = npt.NDArray[np.bool_]


# So many classes are named where some are lost.
N_NAMED = 10


class LostClassesWarning(ProxysampleWarning):
    """A kept set has no sample of some classes of its dataset."""


class SelectionRules(TypedDict, total=False):
    """What `Ranking.select` and the samplers' `select` take beside `r` and `n`; see `Cut`."""

    balance: Balance | Mapping[Any, int] | ClassWeights | None
    min_per_class: int
    must_keep: Any
    exclude: Any


@dataclass(frozen=True, eq=False)
class Cut:
    """One kept set, as a user asks for it: checked as far as that goes without the dataset.

    Attributes
    ----------
    r : float, optional
        Fraction of all samples to keep, in (0, 1].
    n : int, optional
        Number of samples to keep, in place of `r`.
    balance : {"none", "proportional", "equal"}, mapping of class to int or ClassWeights, optional
        ``"none"`` keeps overall, whatever the classes. ``"proportional"`` keeps class shares to
        within one sample. ``"equal"`` keeps as many of each class, to within one, until a class
        is used up, and then of the others. A mapping keeps exactly so many of each class that it
        names and none of the others; `r` and `n` may be left out. `ClassWeights` keeps in
        proportion to weights, or by need. By default what the sampler does by itself.
    min_per_class : int
        Keep at least so many of each class; all of a class that has fewer.
    must_keep : array-like of int, optional
        Samples that are kept whatever their scores.
    exclude : array-like of int, optional
        Samples that are never kept. Shares are those among the others; `r` counts all.
    """

    r: float | None = None
    n: int | None = None
    balance: Balance | Mapping[Any, int] | ClassWeights | None = None
    min_per_class: int = 0
    must_keep: Any = None
    exclude: Any = None

    def __post_init__(self) -> None:
        self._check_size()
        if not is_integer(self.min_per_class) or not 0 <= self.min_per_class <= LARGEST_INTEGER:
            raise InputError(
                f"min_per_class must be an integer of at least 0, not {shown(self.min_per_class)}"
            )
        self._check_balance()

    def _check_size(self) -> None:
        if self.r is not None and self.n is not None:
            raise InputError(f"give r={shown(self.r)} or n={shown(self.n)}, not both")
        if self.r is not None:
            check_ratio(self.r)
        elif self.n is not None:
            check_count(self.n)
        elif not isinstance(self.balance, Mapping):
            raise InputError("give r, the fraction to keep in (0, 1], or n, the number of samples")

    def _check_balance(self) -> None:
        if isinstance(self.balance, Mapping):
            for name, count in self.balance.items():
                if not is_integer(count) or count < 0:
                    raise InputError(
                        f"balance keeps {shown(count)} samples of class {shown(name)}; "
                        "needed: an integer "
                        "of at least 0"
                    )
            if self.min_per_class:
                raise InputError(
                    "min_per_class says nothing beside a balance that counts each class; leave "
                    "it out"
                )
        elif not (self.balance is None or isinstance(self.balance, ClassWeights)) and (
            not isinstance(self.balance, str) or self.balance not in BALANCES
        ):
            known = unknown_name("balance", self.balance, BALANCES)
            raise InputError(
                f"{known}, or counts by class such as {{'cat': 100, 'dog': 50}}, or ClassWeights"
            )

    @classmethod
    def of(cls, r: float | None, n: int | None, rules: SelectionRules) -> Cut:
        """Create a cut; `InputError` for a rule that there is not."""
        check_names("keyword of select", rules, cls.__annotations__)
        return cls(r=r, n=n, **rules)

    @property
    def needs_classes(self) -> bool:
        """Whether it cannot be made without the samples' classes."""
        return self.balance not in (None, "none") or self.min_per_class > 0

    @property
    def is_plain(self) -> bool:
        """Whether it is a fraction of all samples and nothing else."""
        return self.n is None and not self.has_rules

    @property
    def has_rules(self) -> bool:
        """Whether anything but the number of samples is asked for."""
        given = (self.balance, self.must_keep, self.exclude)
        return any(value is not None for value in given) or self.min_per_class > 0

    def fit_to(
        self,
        n_samples: int,
        classes: Classes | None,
        rounding: Rounding = "exact",
        skipped: IntArray | None = None,
    ) -> FittedCut:
        """Check it against a dataset, and refuse what contradicts itself, before any scoring.

        Parameters
        ----------
        n_samples : int
        classes : Classes or None
            None where they are not known.
        rounding : {"exact", "floor"}
            How `r` becomes a number.
        skipped : ndarray of int64, optional
            Samples that could not be read; `r` is a fraction of the others.

        Raises
        ------
        InputError
            If it asks for more than there is, or for what excludes one another.
        """
        if self.needs_classes and classes is None:
            raise InputError(
                "balance and min_per_class need the classes of the samples, and they are not "
                "known here: rank a dataset with labels, or pass them as y="
            )
        must_keep = as_mask(self.must_keep, n_samples, "must_keep")
        excluded = as_mask(self.exclude, n_samples, "exclude")
        both = np.flatnonzero(must_keep & excluded)
        if len(both):
            more = f" and {len(both) - 1:,} more" if len(both) > 1 else ""
            raise InputError(
                f"sample {both[0]}{more} is in must_keep and in exclude; take it out of one"
            )
        n_skipped = 0
        if skipped is not None:
            lost = skipped[must_keep[skipped]]
            if len(lost):
                raise InputError(
                    f"must_keep names sample {lost[0]}, which cannot be read and was skipped"
                )
            n_skipped = len(skipped)
            excluded = excluded | as_mask(skipped, n_samples, "skipped")
        counts = self._counts(classes, must_keep, excluded)
        weights = None
        if isinstance(self.balance, ClassWeights) and classes is not None:
            weights = self.balance.of_classes(classes.names)
        fitted = FittedCut(
            n_kept=self._n_kept(n_samples - n_skipped, counts, rounding),
            balance="counts" if counts is not None else self.balance,  # type: ignore[arg-type]
            counts=counts,
            weights=weights,
            min_per_class=self.min_per_class,
            must_keep=must_keep,
            excluded=excluded,
            classes=classes,
        )
        fitted.check()
        return fitted

    def _n_kept(self, n_samples: int, counts: IntArray | None, rounding: Rounding) -> int:
        if self.r is not None:
            asked = n_kept(n_samples, float(self.r), rounding)
        elif self.n is not None:
            asked = int(self.n)
        else:
            assert counts is not None  # `_check_size` has seen to it
            asked = int(counts.sum())
        if asked > n_samples:
            raise InputError(f"n={asked:,} is more than the {n_samples:,} samples that there are")
        if counts is not None and counts.sum() != asked:
            raise InputError(
                f"balance counts {counts.sum():,} samples in all, and {self._spelled} keeps "
                f"{asked:,}; make them agree, or leave {self._spelled} out"
            )
        return asked

    @property
    def _spelled(self) -> str:
        return f"r={self.r:g}" if self.r is not None else f"n={self.n}"

    def _counts(
        self, classes: Classes | None, must_keep: BoolArray, excluded: BoolArray
    ) -> IntArray | None:
        if not isinstance(self.balance, Mapping) or classes is None:
            return None
        counts = np.zeros(len(classes.names), dtype=np.int64)
        code_of = {name: code for code, name in enumerate(classes.names)}
        named = one_name_each(self.balance)
        for name, given in named.items():
            if name not in code_of:
                raise unknown_name("class in balance", name, classes.names)
            if given > LARGEST_INTEGER:
                raise InputError(f"balance keeps {shown(given)} samples of class {shown(name)}")
            counts[code_of[name]] = given
        if not counts.sum():
            raise InputError("balance keeps nothing; give at least one class a count")
        n_classes = len(classes.names)
        there = np.bincount(classes.codes[~excluded], minlength=n_classes)
        certain = np.bincount(classes.codes[must_keep], minlength=n_classes)
        by_class = zip(
            classes.names, counts.tolist(), there.tolist(), certain.tolist(), strict=True
        )
        for name, count, size, least in by_class:
            if count > size:
                beside = " that are not excluded" if excluded.any() else ""
                raise InputError(
                    f"balance keeps {count:,} of class {shown(name)}, which has {size:,} "
                    f"samples{beside}"
                )
            if count < least:
                raise InputError(
                    f"balance keeps {count:,} of class {shown(name)}, and must_keep names "
                    f"{least:,} of "
                    "it; raise the count"
                )
        return counts


@dataclass(frozen=True, eq=False)
class FittedCut:
    """A cut of one dataset: its number of samples, and masks of what is certain."""

    n_kept: int
    balance: Balance | Literal["counts"] | ClassWeights | None
    counts: IntArray | None
    weights: IntArray | None
    min_per_class: int
    must_keep: BoolArray
    excluded: BoolArray
    classes: Classes | None

    def check(self) -> None:
        """Refuse more than there is, and fewer than must be kept."""
        there = len(self.excluded) - int(self.excluded.sum())
        if self.n_kept > there:
            raise InputError(
                f"{self.n_kept:,} samples are to be kept, and {there:,} are not excluded; keep "
                "fewer, or exclude fewer"
            )
        certain = int(self.must_keep.sum())
        if self.n_kept < certain:
            raise InputError(
                f"must_keep names {certain:,} samples, and {self.n_kept:,} are to be kept; raise "
                "r or n, or name fewer"
            )
        if self.n_kept < self._n_certain():
            beside = "and must_keep make" if certain else "makes"
            raise InputError(
                f"min_per_class={self.min_per_class} {beside} "
                f"{self._n_certain():,} samples, and {self.n_kept:,} are to be kept; raise r or n, "
                "or lower min_per_class"
            )

    def _n_certain(self) -> int:
        if self.classes is None or not self.min_per_class:
            return int(self.must_keep.sum())
        n_classes = len(self.classes.names)
        there = np.bincount(self.classes.codes[~self.excluded], minlength=n_classes)
        certain = np.bincount(self.classes.codes[self.must_keep], minlength=n_classes)
        return int(np.maximum(certain, np.minimum(there, self.min_per_class)).sum())

    def groups(self, codes: IntArray | None) -> IntArray | None:
        """Give the groups whose shares are kept: those of the cut's balance, else `codes`."""
        if self.balance is None:
            return codes
        return None if self.balance == "none" or self.classes is None else self.classes.codes

    def arrange(self, order: IntArray, groups: IntArray | None) -> IntArray:
        """Put samples in the order of which the kept set is a prefix.

        Parameters
        ----------
        order : ndarray of shape (n,), int64
            Of the keeping rule.
        groups : ndarray of shape (n,), int64, or None
            Whose shares are kept where the cut has no balance of its own.

        Returns
        -------
        ndarray of shape (n,), int64
            Those that are excluded come last.
        """
        out = order[self.excluded[order]]
        order = order[~self.excluded[order]]
        order = _first(order, self.must_keep)
        certain = self.must_keep
        if self.min_per_class and self.classes is not None:
            certain = certain.copy()
            places = _places_in_class(order, self.classes.codes)
            certain[order[places < self.min_per_class]] = True
            order = _first(order, certain)
        return np.concatenate([self._with_shares(order, groups, certain), out])

    def _with_shares(
        self, order: IntArray, groups: IntArray | None, certain: BoolArray
    ) -> IntArray:
        groups = self.groups(groups)
        if groups is None or not len(order):
            return order
        if self.counts is not None:
            kept = _places_in_class(order, groups) < self.counts[groups[order]]
            return np.concatenate([interleave(order[kept], groups), order[~kept]])
        weights = self.weights
        if self.balance == "equal":
            weights = np.ones(int(groups.max()) + 1, dtype=np.int64)
        return interleave(order, groups, certain=certain, weights=weights)

    def warn_of_lost_classes(self, kept: IntArray, name: str) -> None:
        """Warn, naming them, where classes with samples to keep have none that is kept."""
        if self.classes is None:
            return
        n_classes = len(self.classes.names)
        there = np.bincount(self.classes.codes[~self.excluded], minlength=n_classes) > 0
        if self.counts is not None:
            there &= self.counts > 0
        there[self.classes.codes[kept]] = False
        lost = np.flatnonzero(there)
        # Where each sample is a class of its own, every kept set loses some.
        if not len(lost) or n_classes == len(self.classes.codes):
            return
        listed = ", ".join(self.classes.names[code] for code in lost[:N_NAMED])
        more = f" and {len(lost) - N_NAMED:,} more" if len(lost) > N_NAMED else ""
        warnings.warn(
            f"{name} keeps {len(kept):,} samples and none of {len(lost):,} of the "
            f"{n_classes:,} classes: {listed}{more}; balance='proportional' keeps class shares, "
            "'equal' as many of each, min_per_class=1 at least one (--balance, --min-per-class)",
            LostClassesWarning,
            stacklevel=level_of_caller(),
        )


def interleave(
    order: IntArray,
    groups: IntArray,
    *,
    certain: BoolArray | None = None,
    weights: IntArray | None = None,
) -> IntArray:
    """Reorder some samples so that every prefix keeps the shares of the groups among them.

    Parameters
    ----------
    order : ndarray of int64
        Those that are certain to be kept come first.
    groups : ndarray of shape (n,), int64
        Of all samples.
    certain : ndarray of shape (n,), bool, optional
        Samples that every kept set holds.
    weights : ndarray of shape (n_groups,), int64, optional
        Keep in proportion to these, in place of the groups' sizes.
    """
    # Groups of which nothing is left take no part.
    is_there = np.bincount(groups[order]) > 0
    codes = (np.cumsum(is_there) - 1)[groups[order]]
    n_groups = int(is_there.sum())
    if weights is not None:
        weights = weights[: len(is_there)][is_there]
    at_least = None
    if certain is not None and certain.any():
        at_least = np.bincount(codes[certain[order]], minlength=n_groups)
    places = interleave_classes(np.arange(len(order)), codes, weights, at_least)
    return order[places]


def _first(order: IntArray, mask: BoolArray) -> IntArray:
    is_first = mask[order]
    return np.concatenate([order[is_first], order[~is_first]])


def _places_in_class(order: IntArray, codes: IntArray) -> IntArray:
    """Count, for each sample of an order, those of its class that come before it."""
    by_class = np.argsort(codes[order], kind="stable")
    sizes = np.bincount(codes[order])
    starts = np.cumsum(sizes) - sizes
    places = np.empty_like(order)
    places[by_class] = np.arange(len(order)) - np.repeat(starts, sizes)
    return places


def as_mask(given: Any, n_samples: int, what: str) -> BoolArray:
    """Turn indices, or a mask, into a mask of all samples.

    Examples
    --------
    >>> as_mask([2, 0], 4, "exclude").tolist()
    [True, False, True, False]
    >>> as_mask([4], 4, "exclude")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: exclude names sample 4, and there are 4, counted from 0
    """
    mask = np.zeros(n_samples, dtype=bool)
    if given is None:
        return mask
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"{what} must be indices of samples, such as [0, 7], not {shown(given)}")
    # A set has a length, and is no sequence.
    is_sequence = has_attributes(given, "__len__", "__getitem__")
    indices = as_array(what, given if is_sequence else as_tuple(what, given))
    if isinstance(given, list | tuple) and indices.dtype.kind in "iu":
        wrong_one = next((one for one in given if isinstance(one, bool | np.bool_)), None)
        if wrong_one is not None:
            raise InputError(f"{what} has {wrong_one} among indices of samples")
    if indices.dtype == bool:
        if indices.shape != (n_samples,):
            raise InputError(f"{what} is a mask of shape {indices.shape}; needed: ({n_samples},)")
        return indices
    if not indices.size:
        return mask
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise InputError(
            f"{what} must be indices of samples, one-dimensional and integers, not of shape "
            f"{indices.shape} and type {indices.dtype}"
            + ("; names need a dataset that knows them" if indices.dtype.kind == "U" else "")
        )
    wrong = indices[(indices < 0) | (indices >= n_samples)]
    if len(wrong):
        raise InputError(
            f"{what} names sample {wrong[0]}, and there are {n_samples:,}, counted from 0"
        )
    mask[indices.astype(np.int64)] = True
    return mask
