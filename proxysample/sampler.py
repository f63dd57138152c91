"""The base of every sampler: a scikit-learn estimator that ranks, then keeps."""

from __future__ import annotations

import abc
import json
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Unpack,
    cast,
    dataclass_transform,
)

import numpy as np
from sklearn.base import BaseEstimator, clone

from proxysample.checks import (
    BOOLEAN,
    MOST_LISTED,
    POSITIVE_INTEGER,
    PROCESSES,
    RANDOM_STATE,
    Constraints,
    as_array,
    as_tuple,
    check_values,
    constraints_of,
    one_of,
    plain_number,
)
from proxysample.data.classes import Classes, read_classes, required_classes
from proxysample.data.fields import FieldArguments
from proxysample.data.fingerprint import fingerprint
from proxysample.data.keys import indices_of, keys_of
from proxysample.data.labels import encode_labels
from proxysample.data.pixel_cache import CACHE
from proxysample.data.reading import Samples
from proxysample.data.tables import take_pair, take_rows
from proxysample.data.whole import WholeSamples, find_whole
from proxysample.errors import OTHER_WORDS, InputError, check_names
from proxysample.features.sources import given_rows, reads_for
from proxysample.files import as_path
from proxysample.isolation import isolated
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
)
from proxysample.machine import package_versions
from proxysample.parameters import declare_fields
from proxysample.printing import shown
from proxysample.ranking import Ranking, as_cuts
from proxysample.selection import Cut, SelectionRules

if TYPE_CHECKING:
    from proxysample.report import Report

Estimator = TypeVar("Estimator", bound=BaseEstimator)
Protocol = Literal["default", "paper"]
PROTOCOLS: tuple[Protocol, ...] = ("default", "paper")

Reads = Literal["nothing", "labels", "pixels", "features", "dynamics"]


class SelectOptions(SelectionRules, FieldArguments, total=False):
    """What `Sampler.select` and its like take beside `r` and `n`."""


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class Sampler(BaseEstimator, abc.ABC):
    """Rank the samples of a dataset, then keep a fraction.

    A subclass says how it scores; reading, checking, ranking and keeping are here. It declares its
    parameters as the fields of a dataclass, such as ``keep: str = "easy"``: it gets an ``__init__``
    that takes them, and those of its base, by keyword and stores them unchanged, and a docstring
    that says of inherited parameters what the base says. Or it writes an ``__init__`` of its own.
    Parameters of these names are honoured where a subclass has them: ``protocol``, ``keep``,
    ``batch_size``, ``num_workers``, ``progress``, ``image_size``, ``cache``, and ``random_state``
    is checked to be a seed or a generator. What its others must be a subclass lists in
    ``_constraints``, and checks what depends on several in ``_check_parameters``.

    Attributes
    ----------
    ranking_ : Ranking
        Set by `fit`.
    scores_ : ndarray of shape (n,), float64
        Set by `fit`; low is typical.
    n_samples_ : int
        Set by `fit`.
    sample_indices_ : ndarray of int64
        Kept indices, set by `fit_resample`.
    """

    id: ClassVar[str]
    """What it is called in rankings and reports."""
    needs_labels: ClassVar[bool] = False
    """Whether it cannot do without labels."""
    per_class: bool | None = False
    """Whether the kept set holds class shares; such samplers need labels. None: where there are
    labels."""
    reads: ClassVar[Reads] = "pixels"
    """What it reads of a dataset, beside labels where it needs them: nothing else is read, decoded
    or checked. A property where that depends on parameters."""
    natural: ClassVar[Natural] = "low"
    """Which end of the scores is kept first where nobody says otherwise (``keep=None``, "top")."""
    gives: ClassVar[Sequence[str]] = ()
    """Names of the columns that it can give to keeping rules beside the scores; see `_columns`."""

    _constraints: ClassVar[Constraints] = {
        "protocol": one_of("protocol", PROTOCOLS),
        "batch_size": POSITIVE_INTEGER,
        "num_workers": PROCESSES,
        "random_state": RANDOM_STATE,
        "progress": BOOLEAN,
        "image_size": POSITIVE_INTEGER.or_none(),
        "cache": CACHE,
    }

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        declare_fields(cls, own_first=True)

    @property
    def algorithm_version(self) -> int:
        """Above 1 where the same parameters gave other scores before; part of a study's keys."""
        return 1

    def named_by(self) -> dict[str, Any]:
        """Give what results are named by: parameters, and of a file what is in it."""
        return dict(self.get_params(deep=False))

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

    def _details(self) -> dict[str, str]:
        """Tell, after scoring, what else a reader of the report should know, by what it is."""
        return {}

    def _columns(self, names: Sequence[str]) -> Columns:  # noqa: ARG002
        """Give, after scoring, the columns that the keeping rule needs, each (n,) and finite."""
        return {}

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
        Known: easy, hard, ...
        """
        check_values(self.get_params(deep=False), constraints_of(type(self)))
        # Who has no id is told so by `fit`.
        name = getattr(self, "id", type(self).__name__)
        check_needs(as_rule(self._keep()), self.gives, f"the sampler {name!r}")
        self._check_parameters()

    @isolated()
    def fit(self, dataset: Any, y: Any = None, **fields: Unpack[FieldArguments]) -> Self:
        """Score a dataset.

        Parameters
        ----------
        dataset : array, tensor or map-style dataset
            See `proxysample.data.reading.Samples`.
        y : array-like of shape (n,), optional
            Labels; the dataset's own by default.
        **fields
            What a dataset does not tell of itself: ``image``, ``label`` and ``features`` say where
            they are in an item, ``broken="skip"`` leaves out samples that cannot be read, which
            then are never kept, and ``distinct_labels=True`` confirms labels that are all
            different; see `proxysample.data.reading.Samples`. They are of the data and not of the
            sampler, so they are no parameters; `proxysample.data.FieldView` joins them to a
            dataset, for pipelines and searches that pass nothing on.

        Returns
        -------
        Sampler
            Itself, with `ranking_`, `scores_` and `n_samples_`.

        Raises
        ------
        InputError
            If a parameter or the dataset cannot be used.

        Warns
        -----
        BrokenImageWarning
            Once, if samples were skipped; it names each by index, and file where there is one.
        """
        if not getattr(self, "id", ""):
            name = type(self).__name__
            raise InputError(f"{name} has no id; give the class one, such as id = {name.lower()!r}")
        self.check_parameters()
        self._check_availability()
        started = time.perf_counter()
        samples = self._read(dataset, y, **fields)
        try:
            return self._fit(samples, started)
        except MemoryError as error:
            raise InputError(
                f"{len(samples):,} samples take more memory than there is ({error}); give fewer, "
                "or smaller ones"
            ) from error

    def _fit(self, samples: Samples, started: float) -> Self:
        whole = self._whole(samples)
        with whole.named():
            codes = self._class_codes(whole.samples)
            given = self._score(whole.samples, codes)
        name = f"{type(self).__name__}._score"
        scores = as_array(f"what {name} gives", given, np.float64)
        if scores.shape != (len(whole.samples),):
            raise InputError(
                f"{name} gives scores of shape {scores.shape} for "
                f"{len(whole.samples)} samples; needed: ({len(whole.samples)},)"
            )
        ranking = Ranking(
            scores=scores,
            codes=self._keeping_codes(codes),
            keep=self._keep(),
            columns=self._columns_of(as_rule(self._keep())),
            natural=self.natural,
            rounding=self._rounding(),
            provenance={
                "sampler": self.id,
                "parameters": plain_parameters(self),
                "dataset": fingerprint(
                    samples,
                    labels=may_use_labels(self),
                    pixels=self._decodes,
                    whole=whole.indices,
                ),
                "seconds": round(time.perf_counter() - started, 3),
                "versions": dict(package_versions()),
                **({"details": details} if (details := self._details()) else {}),
            },
        )
        # Labels that are in the items alone are known of the samples that can be read.
        classes = self._classes(samples) or self._classes(whole.samples)
        if classes is not None and len(classes.codes) < len(samples):
            codes = np.zeros(len(samples), dtype=np.int64)
            codes[whole.indices] = classes.codes
            classes = replace(classes, codes=codes)
        self.ranking_ = replace(ranking.spread(whole.indices, len(samples)), classes=classes)
        self.scores_ = self.ranking_.scores
        self.n_samples_ = len(samples)
        return self

    def _classes(self, samples: Samples) -> Classes | None:
        """Give the classes for those who cut, by no read that the sampler does not make itself."""
        return read_classes(samples, confirm=self._decodes or self.needs_labels)

    @property
    def _decodes(self) -> bool:
        return self.reads in ("pixels", "features")

    def _check_fields(self, given: Iterable[str]) -> None:
        """Raise `InputError` for a keyword that says nothing of a dataset; it names what does."""
        for name in given:
            if name in SelectionRules.__annotations__:
                raise InputError(
                    f"{name} says what to keep, and not how to score: give it to select, as in "
                    f"ranking.select(r, {name}=...)"
                )
        self._check_keywords("fit", given, FieldArguments.__annotations__)

    def _check_keywords(self, function: str, given: Iterable[str], known: Collection[str]) -> None:
        """Raise `InputError` for the first keyword that is not known."""
        parameters = self.get_params(deep=False)
        for name in given:
            own = OTHER_WORDS.get(name, name)
            if name not in known and own in parameters:
                raise InputError(
                    f"unknown keyword of {function} {shown(name)}; {own} is a parameter of the "
                    f"sampler: give it where that is made, {type(self).__name__}({own}=...)"
                )
        check_names(f"keyword of {function}", given, known)

    def _split(self, options: SelectOptions) -> tuple[SelectionRules, FieldArguments]:
        """Tell what says how to cut from what says how to read."""
        self._check_keywords("select", options, ("r", "n", "y", *SelectOptions.__annotations__))
        rules: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        for name, value in options.items():
            (rules if name in SelectionRules.__annotations__ else fields)[name] = value
        return cast(SelectionRules, rules), cast(FieldArguments, fields)

    def _read(self, dataset: Any, y: Any, **fields: Unpack[FieldArguments]) -> Samples:
        self._check_fields(fields)
        return Samples(
            dataset,
            y,
            batch_size=getattr(self, "batch_size", 256),
            num_workers=getattr(self, "num_workers", 0),
            progress=getattr(self, "progress", False),
            image_size=getattr(self, "image_size", None),
            cache=getattr(self, "cache", True),
            **fields,
        )

    def _whole(self, samples: Samples) -> WholeSamples:
        """Leave out what cannot be read, where that was asked for and it is to be read."""
        reads_labels = self.needs_labels or self.per_class
        if not self._decodes and not reads_labels and not hasattr(self, "features"):
            return WholeSamples.all_of(samples)
        if self._decodes and may_use_labels(self):
            samples.confirm_labels()
        return find_whole(samples, pixels=self._decodes, rows=self._given_rows(samples))

    def _given_rows(self, samples: Samples) -> Any:
        """Give features that come with the sampler, where some of them may be skipped."""
        features = getattr(self, "features", None)
        if samples.broken == "stop" or features is None or reads_for(features) != "nothing":
            return None
        return given_rows(samples, features)

    def _keep(self) -> Keep:
        keep: Keep | None = getattr(self, "keep", None)
        return self._default_keep() if keep is None else keep

    def _default_keep(self) -> Keep:
        """Give the rule that ``keep=None`` stands for."""
        return "easy" if self.natural == "low" else "hard"

    def _columns_of(self, rule: KeepingRule) -> Columns:
        found = self._columns(rule.needs) if rule.needs else {}
        return {name: np.asarray(found[name], dtype=np.float64) for name in rule.needs}

    def _rounding(self) -> Rounding:
        return "floor" if getattr(self, "protocol", "default") == "paper" else "exact"

    def rank(self, dataset: Any, y: Any = None, **fields: Unpack[FieldArguments]) -> Ranking:
        """Score a dataset once, for every ratio.

        Parameters
        ----------
        dataset, y, **fields : object
            See `fit`.

        Returns
        -------
        Ranking
            Cut it with ``ranking.select(r)``.
        """
        return self.fit(dataset, y, **fields).ranking_

    def select(
        self,
        dataset: Any,
        r: float | None = None,
        y: Any = None,
        *,
        n: int | None = None,
        **options: Unpack[SelectOptions],
    ) -> IntArray:
        """Pick the samples to keep.

        Parameters
        ----------
        dataset : object
            See `fit`.
        r : float, optional
            Fraction to keep, in (0, 1].
        y : array-like of shape (n,), optional
            Labels; the dataset's own by default.
        n : int, optional
            Number of samples to keep, in place of `r`.
        **options : object
            ``balance``, ``min_per_class``, ``must_keep`` and ``exclude``; see `Ranking.select`.
            Samples may be named by their files or keys where the dataset has them
            (`proxysample.data.keys.keys_of`). And ``image``, ``label``, ``features``, ``broken``
            and ``distinct_labels``; see `fit`.

        Returns
        -------
        ndarray of int64
            Kept indices, ascending and unique, relative to `dataset`.

        Raises
        ------
        InputError
            If `r`, `n`, a rule, a parameter or the dataset cannot be used; what contradicts
            itself is refused before any scoring.

        Warns
        -----
        LostClassesWarning
            If classes lose all of their samples; they are named.

        Examples
        --------
        >>> from proxysample import CCOutlierRemoval
        >>> features = np.array([[0.0], [1.0], [5.0], [10.0], [11.0], [18.0]])
        >>> labels = [0, 0, 0, 1, 1, 1]
        >>> CCOutlierRemoval().select(features, n=2, y=labels, must_keep=[5]).tolist()
        [1, 5]
        """
        rules, fields = self._split(options)
        rules = with_indices(dataset, rules)
        ranking = self.rank_for([Cut(r=r, n=n, **rules)], dataset, y, **fields)
        return ranking.select(r, n=n, **rules)

    @isolated()
    def rank_for(
        self,
        cuts: Iterable[Cut],
        dataset: Any,
        y: Any = None,
        **fields: Unpack[FieldArguments],
    ) -> Ranking:
        """Score a dataset for cuts that are known, which are checked against it before.

        Parameters
        ----------
        cuts : iterable of Cut
            Their `must_keep` and `exclude` are indices.
        dataset, y, **fields : object
            See `fit`.

        Returns
        -------
        Ranking
            With the samples' classes where a cut needs them.
        """
        self.check_parameters()
        cuts = list(cuts)
        rule = as_rule(self._keep())
        has_limit = type(rule).n_cut is not KeepingRule.n_cut
        if all(cut.is_plain for cut in cuts) and not has_limit:
            return self.rank(dataset, y, **fields)
        samples = self._read(dataset, y, **fields)
        needed = any(cut.needs_classes for cut in cuts)
        classes = self._classes(samples)
        if needed and classes is None and samples.broken == "stop":
            classes = required_classes(samples)
        for cut in cuts if classes is not None or not needed else ():
            fitted = cut.fit_to(len(samples), classes, self._rounding())
            if samples.broken == "stop":
                rule.check_size(len(samples), fitted.n_kept)
        ranking = self.rank(dataset, y, **fields)
        if ranking.classes is None and classes is not None:
            self.ranking_ = ranking = replace(ranking, classes=classes)
        return ranking

    def select_many(
        self,
        dataset: Any,
        ratios: Iterable[float] = (),
        y: Any = None,
        *,
        n: Iterable[int] = (),
        **options: Unpack[SelectOptions],
    ) -> dict[float, IntArray]:
        """Pick the samples to keep at several ratios, from one scoring pass.

        Parameters
        ----------
        dataset, y : object
            See `fit`.
        ratios : iterable of float
            Fractions to keep, each in (0, 1].
        n : iterable of int
            Numbers of samples to keep.
        **options : object
            See `select`.

        Returns
        -------
        dict
            Kept indices by ratio or number; unless a keeping rule of another kind was given, a
            smaller set is part of a larger one (`Ranking.nested`).
        """
        rules, fields = self._split(options)
        rules = with_indices(dataset, rules)
        ratios, counts = as_tuple("ratios", ratios), as_tuple("n", n)
        cuts = [cut for _, cut in as_cuts(ratios, counts, rules)]
        ranking = self.rank_for(cuts, dataset, y, **fields)
        return ranking.select_many(ratios, n=counts, **rules)

    def subset(
        self,
        dataset: Any,
        r: float | None = None,
        y: Any = None,
        *,
        n: int | None = None,
        **options: Unpack[SelectOptions],
    ) -> Any:
        """Pick the samples to keep as a dataset for any torch DataLoader.

        Parameters
        ----------
        dataset, r, y, n, **options : object
            See `select`.

        Returns
        -------
        torch.utils.data.Subset
            Of `dataset`, so with labels only where its items have them; a HuggingFace dataset or
            a pandas table where that was given.
        """
        return take_rows(dataset, self.select(dataset, r, y, n=n, **options))

    def fit_resample(
        self,
        X: Any,
        y: Any = None,
        *,
        r: float | None = None,
        n: int | None = None,
        **options: Unpack[SelectOptions],
    ) -> tuple[Any, Any]:
        """Pick the samples to keep, and give them as imbalanced-learn's samplers do.

        As a step of a pipeline, or in a grid over `r`, a sampler stands in a
        `proxysample.Resampler`, whose parameters `r`, `n` and the others are.

        Parameters
        ----------
        X, y : object
            The dataset and its labels; see `fit`.
        r, n, **options : object
            See `select`.

        Returns
        -------
        X_kept, y_kept : object
            Of the kinds of `X` and `y`, in the order of the indices; a torch Subset where `X` is
            a map-style dataset. `y_kept` is None where `y` is.

        Examples
        --------
        >>> from proxysample import CCOutlierRemoval
        >>> features = np.array([[0.0], [1.0], [5.0], [10.0], [11.0], [18.0]])
        >>> sampler = CCOutlierRemoval()
        >>> _, y_kept = sampler.fit_resample(features, np.array([0, 0, 0, 1, 1, 1]), r=1 / 3)
        >>> y_kept.tolist(), sampler.sample_indices_.tolist()
        ([0, 1], [1, 4])
        """
        if r is None and n is None and not isinstance(options.get("balance"), Mapping):
            raise InputError(
                "give r, the fraction to keep in (0, 1], or n, the number of samples; a step of a "
                "pipeline is proxysample.Resampler(sampler, r=0.25)"
            )
        self.sample_indices_ = self.select(X, r, y, n=n, **options)
        return take_pair(X, y, self.sample_indices_)

    @isolated()
    def report(
        self,
        dataset: Any,
        r: float | None = None,
        y: Any = None,
        *,
        n: int | None = None,
        **options: Unpack[SelectOptions],
    ) -> Report:
        """Show what would be kept and dropped, class by class and in pictures, and the cost.

        Parameters
        ----------
        dataset, r, y, n, **options : object
            See `select`.

        Returns
        -------
        Report
            Print it as text, or ``report.save("report.html")``, a page to look through.
        """
        from proxysample.report import build_report

        rules, fields = self._split(options)
        rules = with_indices(dataset, rules)
        ranking = self.rank_for([Cut(r=r, n=n, **rules)], dataset, y, **fields)
        samples = self._read(dataset, y, **fields)
        features = getattr(self, "features", None)
        return build_report(ranking, samples, r, n=n, features=features, **rules)


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
    """Give the class codes of labelled samples.

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
        If there are no labels, or they cannot serve as classes.
    """
    return encode_labels(samples.required_labels)[1]


def with_indices(dataset: Any, rules: SelectionRules) -> SelectionRules:
    """Replace names of samples in ``must_keep`` and ``exclude`` by the indices they have."""
    found = rules.copy()
    names: tuple[Literal["must_keep"], Literal["exclude"]] = ("must_keep", "exclude")
    for name in names:
        given: Any = rules.get(name)
        if _are_names(given):
            named = [str(one) if isinstance(one, str) else str(as_path(one)) for one in given]
            found[name] = indices_of(named, keys_of(dataset), name)
    return found


def _are_names(given: Any) -> bool:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Collection):
        return False
    try:
        # Of an array of numbers, which may be a long one, no entry is looked at.
        if getattr(getattr(given, "dtype", None), "kind", "O") not in "OUT":
            return False
        has_entries = getattr(given, "ndim", 1) and 0 < len(given) <= MOST_LISTED
        return bool(has_entries) and all(isinstance(one, str | os.PathLike) for one in given)
    # Whatever anyone's object raises: what it is told of is what reads it as indices.
    except Exception:
        return False


def plain_parameters(estimator: BaseEstimator) -> dict[str, Any]:
    """Write an estimator's parameters as JSON values, others by their repr."""

    def plain(value: Any) -> Any:
        if isinstance(value, KeepingRule):
            return value.to_json()
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        try:
            return json.loads(json.dumps(value, default=plain_number))
        except (TypeError, ValueError, RecursionError):
            return _written(value)

    return {name: plain(value) for name, value in estimator.get_params(deep=False).items()}


def _written(value: Any) -> str:
    try:
        return repr(value)
    # Of what nests too deeply, or a class of anyone's.
    except Exception:
        return shown(value)


def clone_keeping(estimator: Estimator, *names: str) -> Estimator:
    """Clone an estimator for scikit-learn, but for parameters that stay the same objects.

    A fitted object would come out of a clone unfitted, and an array as a copy, however large.
    """
    parameters = estimator.get_params(deep=False)
    same = {name: parameters.pop(name) for name in names}
    copied = {one: clone(value, safe=False) for one, value in parameters.items()}
    cloned: Estimator = type(estimator)(**same, **copied)
    return cloned
