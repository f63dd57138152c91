"""A comparison's data: read once, held out, cut or spoilt on request, and named by what is in them.

An arm is what all samplers are compared on once more: the data as they are, with labels flipped,
or with classes of unequal sizes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proxysample.checks import as_array, is_number
from proxysample.comparison.parts import Array, IntArray, Part, take_samples
from proxysample.data.datasets import Splits, load_dataset
from proxysample.data.labels import codes_like, encode_labels
from proxysample.data.reading import Samples
from proxysample.data.whole import find_whole
from proxysample.digests import digest_of
from proxysample.errors import InputError
from proxysample.features.identity import dataset_identity
from proxysample.features.sources import PIXELS, given_features, is_network
from proxysample.features.store import find_features, is_kept
from proxysample.files import map_npy
from proxysample.printing import shown
from proxysample.records import Amount, Positive, Record
from proxysample.shares import interleave_classes
from proxysample.wording import pluralize

CLEAN, NOISE, IMBALANCE = "as it is", "labels flipped", "classes of unequal sizes"

# Of what is drawn, so that no two draws of one seed are alike.
SPLIT_DRAW, NOISE_DRAW, IMBALANCE_DRAW = 1, 2, 3

WHERE = "what the store knows of the data"


@dataclass(frozen=True)
class ArmInfo(Record, title=WHERE):
    """What is known of the data of one arm."""

    fingerprint: str
    n_train: Positive
    n_held_out: Positive
    n_classes: Positive
    words: str


@dataclass(frozen=True)
class ComparisonInfo(Record, title=WHERE):
    """What is known of everything that a comparison reads.

    Attributes
    ----------
    arms : mapping of str to ArmInfo
        By name.
    held_out : str
        What models are held to, in words.
    features : str
        What features are, in words; empty where there are none.
    features_key : str
        What results on them are named by; empty where there are none.
    features_seconds : float
        What making them took, as far as is known.
    """

    arms: Mapping[str, ArmInfo]
    held_out: str
    features: str = ""
    features_key: str = ""
    features_seconds: Amount = 0.0


@dataclass(frozen=True)
class DataSource:
    """Where a comparison's data come from; see `proxysample.comparison.compare`.

    Attributes
    ----------
    dataset : str, Splits or dataset
    held_out : float, dataset or None
    features : object
    wants_features : bool
        Whether the evaluator takes features, so that some are made where none are given.
    noise : float
    imbalance : float
    random_state : int
    folder : Path or None
        Where features are kept that are made here.
    """

    dataset: Any
    held_out: Any
    features: Any
    wants_features: bool
    noise: float
    imbalance: float
    random_state: int
    folder: Path | None = None

    def check(self) -> None:
        """Raise `InputError` for what cannot be, before anything is read."""
        if not is_number(self.noise) or not 0 <= self.noise < 1:
            raise InputError(
                "noise must be the part of the labels to flip, from 0 to below 1, not "
                f"{shown(self.noise)}"
            )
        if not is_number(self.imbalance) or self.imbalance < 1:
            raise InputError(
                "imbalance must be how many times as large the largest class is to be as the "
                f"smallest, at least 1, not {shown(self.imbalance)}"
            )
        held_out = self.held_out
        if isinstance(held_out, int | float) and not 0 < held_out < 1:
            raise InputError(
                "held_out must be the part of the training data to hold out, strictly between 0 "
                f"and 1, or a dataset, not {shown(held_out)}"
            )

    @property
    def arms(self) -> list[str]:
        """Names of the arms."""
        asked = {NOISE: self.noise > 0, IMBALANCE: self.imbalance > 1}
        return [CLEAN, *(name for name, is_asked in asked.items() if is_asked)]


@dataclass(frozen=True)
class Arm:
    """What samplers pick from and models are trained on and held to, in one arm.

    Attributes
    ----------
    dataset : object
        The training part as samplers read it, with `train.y` as its labels.
    train, held_out : Part
    info : ArmInfo
    """

    dataset: Any
    train: Part
    held_out: Part
    info: ArmInfo

    @property
    def dataset_is_vectors(self) -> bool:
        """Whether samples are no images."""
        return are_vectors(Samples(self.dataset))


@dataclass(frozen=True)
class ComparisonData:
    """Everything that a comparison reads."""

    arms: Mapping[str, Arm]
    info: ComparisonInfo
    class_names: tuple[str, ...]


def load_comparison_data(
    source: DataSource, check: Callable[[int], None] = lambda _: None
) -> ComparisonData:
    """Read a comparison's data.

    Parameters
    ----------
    source : DataSource
    check : callable
        Called with the number of training samples, before features are made.

    Raises
    ------
    InputError
        If the dataset or the features cannot be used, it has no labels, or there is nothing to
        hold models to.
    """
    source.check()
    train, test, name = _parts(source)
    train, readable = _readable(train)
    test, readable_test = (None, None) if test is None else _readable(test)
    samples = Samples(train)
    classes, codes = encode_labels(samples.training_labels)
    n = len(samples)
    rows, others = np.arange(n), np.arange(0)
    if test is None:
        rows, others = _hold_out(codes, float(source.held_out), source.random_state)
    check(len(rows))
    features = _features(source, readable, readable_test, [train, test])
    whole = _Whole(train, codes, features.train)
    if test is None:
        held_out = Part(train, codes, len(classes), features.train).take(others)
        told = (
            f"{100 * source.held_out:g} % of the training part of {name}, {len(others):,} samples, "
            "which no sampler sees"
        )
        pixels = [dataset_identity(samples)]
    else:
        # A small one may well have a sample of each class alone.
        test_samples = Samples(test, distinct_labels=True)
        test_codes = codes_like(test_samples.training_labels, classes, name)
        held_out = Part(test, test_codes, len(classes), features.test)
        told = f"the test part of {name}, {len(test_codes):,} samples"
        pixels = [dataset_identity(samples), dataset_identity(test_samples)]
    arms = {
        arm: _arm(arm, whole, rows, held_out, json.dumps(pixels), source) for arm in source.arms
    }
    info = ComparisonInfo(
        {arm: one.info for arm, one in arms.items()},
        told,
        features.words,
        features.key,
        features.seconds,
    )
    names = getattr(train, "classes", None)
    return ComparisonData(arms, info, _names(classes, names))


def _readable(dataset: Any) -> tuple[Any, Samples]:
    """Leave out what cannot be read, where that is to be skipped; and give it as `Samples`."""
    whole = find_whole(Samples(dataset), pixels=True)
    return (take_samples(dataset, whole.indices) if whole.broken else dataset), whole.samples


def _parts(source: DataSource) -> tuple[Any, Any, str]:
    """Give the training part, what models are held to if that is another, and a name."""
    dataset = source.dataset
    splits = load_dataset(dataset) if isinstance(dataset, str) else dataset
    if not isinstance(splits, Splits):
        splits = Splits(type(dataset).__name__, dataset)
    if isinstance(source.held_out, int | float):
        return splits.train, None, splits.name
    if source.held_out is not None:
        return splits.train, source.held_out, splits.name
    if splits.test is None:
        raise InputError(
            f"{splits.name} has no test part to hold models to: give held_out=0.2 (--held-out 0.2) "
            "to take a part of the training data, which no sampler then sees, or a dataset of your "
            "own as held_out="
        )
    return splits.train, splits.test, splits.name


def _names(classes: Array, names: Any) -> tuple[str, ...]:
    numbered = classes.dtype.kind == "i" and classes.min() >= 0
    if isinstance(names, list | tuple) and numbered and classes.max() < len(names):
        return tuple(str(names[one]) for one in classes.tolist())
    return tuple(str(one) for one in classes.tolist())


def _hold_out(codes: IntArray, share: float, random_state: int) -> tuple[IntArray, IntArray]:
    """Draw a part of the samples, class shares kept; what is left stands first."""
    shuffled = _generator(random_state, SPLIT_DRAW).permutation(len(codes))
    order = interleave_classes(shuffled, codes)
    n_held_out = round(share * len(codes))
    held_out, kept = np.sort(order[:n_held_out]), np.sort(order[n_held_out:])
    n_lost = len(np.unique(codes)) - len(np.unique(codes[kept]))
    if not n_held_out or n_lost:
        lost = f"{pluralize(n_lost, 'class')} without a sample" if n_lost else "none to hold out"
        raise InputError(f"held_out={share:g} of {len(codes):,} samples leaves {lost}")
    return kept, held_out


def _generator(random_state: int, draw: int) -> np.random.Generator:
    return np.random.default_rng([random_state, draw])


@dataclass(frozen=True)
class _Whole:
    dataset: Any
    codes: IntArray
    features: Any


def _arm(
    name: str, whole: _Whole, rows: IntArray, held_out: Part, pixels: str, source: DataSource
) -> Arm:
    codes, words = whole.codes, ""
    n_classes = held_out.n_classes
    if name == NOISE:
        codes = flip_labels(codes, n_classes, source.noise, source.random_state, rows)
        words = f"{100 * source.noise:g} % of the training labels are flipped"
    if name == IMBALANCE:
        rows = rows[unequal_classes(codes[rows], source.imbalance, source.random_state)]
        words = (
            f"classes of sizes that fall exponentially, the largest {source.imbalance:g} times the "
            "smallest"
        )
    is_all = len(rows) == len(codes)
    dataset = whole.dataset if is_all else take_samples(whole.dataset, rows)
    features = whole.features if is_all or whole.features is None else whole.features[rows]
    train = Part(dataset, codes if is_all else codes[rows], n_classes, features)
    chosen = [] if held_out.indices is None else [held_out.indices]
    named = digest_of([train.y, rows, held_out.y, *chosen], pixels)
    info = ArmInfo(named, len(train), len(held_out), n_classes, words)
    return Arm(dataset, train, held_out, info)


def flip_labels(
    codes: IntArray,
    n_classes: int,
    share: float,
    random_state: int,
    rows: IntArray | None = None,
) -> IntArray:
    """Give a part of the samples, drawn by a seed, another class each, drawn among the others.

    Examples
    --------
    >>> flipped = flip_labels(np.zeros(10, dtype=np.int64), 3, 0.3, random_state=0)
    >>> int((flipped != 0).sum()), int(flipped.max()) <= 2
    (3, True)
    """
    if n_classes < 2:
        raise InputError("labels of a single class cannot be flipped: leave noise out")
    generator = _generator(random_state, NOISE_DRAW)
    rows = np.arange(len(codes)) if rows is None else rows
    chosen = generator.permutation(rows)[: round(share * len(rows))]
    flipped = codes.copy()
    flipped[chosen] = (codes[chosen] + generator.integers(1, n_classes, len(chosen))) % n_classes
    return flipped


def unequal_classes(codes: IntArray, ratio: float, random_state: int) -> IntArray:
    """Draw samples such that class sizes fall exponentially, from the largest to the smallest.

    The largest is `ratio` times the smallest. Which class is which is drawn, too; each keeps at
    least one sample.

    Returns
    -------
    ndarray of int64
        Indices, ascending.

    Examples
    --------
    >>> codes = np.repeat(np.arange(3), 100)
    >>> rows = unequal_classes(codes, 100, random_state=0)
    >>> sorted(np.bincount(codes[rows]).tolist())
    [1, 10, 100]
    """
    generator = _generator(random_state, IMBALANCE_DRAW)
    classes = np.unique(codes)
    ranks = generator.permutation(len(classes))
    kept = []
    for rank, name in zip(ranks, classes, strict=True):
        members = generator.permutation(np.flatnonzero(codes == name))
        part = ratio ** (-rank / max(1, len(classes) - 1))
        kept.append(members[: max(1, round(part * len(members)))])
    return np.sort(np.concatenate(kept))


@dataclass(frozen=True)
class _Features:
    """Features of the training and the test part, and how they are told of."""

    train: Any = None
    test: Any = None
    words: str = ""
    key: str = ""
    seconds: float = 0.0


def _features(
    source: DataSource, samples: Samples, tests: Samples | None, datasets: list[Any]
) -> _Features:
    """Find, read or make the features that were asked for."""
    given = source.features
    if given is None:
        if not source.wants_features or are_vectors(samples):
            return _Features()
        from proxysample.features.backbones import PACKAGED_BACKBONE

        given = PACKAGED_BACKBONE
    if isinstance(given, str) and given == PIXELS:
        return _Features()
    if isinstance(given, str | Path) and Path(given).suffix == ".npy":
        return _given(map_npy(given), samples, tests, Path(given).name)
    if is_kept(given):
        kept = [find_features(given, one.every) for one in (samples, tests) if one is not None]
        return _made(kept, samples, tests)
    if is_network(given):
        return _made(_embedded(source, given, datasets), samples, tests)
    if isinstance(given, tuple | list) and len(given) == 2:
        return _pair(given, samples, tests)
    return _given(given, samples, tests, "features given as an array")


def are_vectors(samples: Samples) -> bool:
    """Whether samples are vectors and no images."""
    return bool(samples.rows(np.array([0]))[0].ndim == 1)


def _embedded(source: DataSource, backbone: Any, datasets: list[Any]) -> list[Any]:
    from proxysample.features.embedding import embed

    if source.folder is None:
        raise ValueError("features that are made need a folder")
    if not source.folder.is_dir():
        raise InputError(f"{source.folder} is gone: it was removed or moved while it was in use")
    folder = source.folder / "features"
    return [embed(part, backbone=backbone, folder=folder) for part in datasets if part is not None]


def _made(kept: list[Any], samples: Samples, tests: Samples | None) -> _Features:
    parts = [one for one in (samples, tests) if one is not None]
    train, *others = (
        np.asarray(given_features(one, features)) for features, one in zip(kept, parts, strict=True)
    )
    seconds = sum(float(one.provenance.get("seconds", 0.0)) for one in kept)
    words = f"features of {kept[0].made_of.get('backbone', 'a backbone')}"
    key = "+".join(one.key for one in kept)
    return _Features(train, others[0] if others else None, words, key, seconds)


def _pair(given: Any, samples: Samples, tests: Samples | None) -> _Features:
    if tests is None:
        raise InputError(
            "features of a training and a test part are given, and models are held to a part of "
            "the training data: give features of the training part alone"
        )
    train, test = given_features(samples, given[0]), given_features(tests, given[1])
    if train.shape[1] != test.shape[1]:
        raise InputError(
            f"the training part has {train.shape[1]} features a sample, and what is held out "
            f"{test.shape[1]}"
        )
    train, test = np.asarray(train), np.asarray(test)
    key = f"{_digest(train)}+{_digest(test)}"
    return _Features(train, test, "features given as arrays", key)


def _given(given: Any, samples: Samples, tests: Samples | None, words: str) -> _Features:
    """Take rows of the training part, and behind them those of the test part if there is one."""
    array = as_array(words, given)
    n_train, n_test = len(samples.every), 0 if tests is None else len(tests.every)
    if array.ndim != 2 or len(array) != n_train + n_test:
        behind = f" and then of the {n_test:,} held out" if n_test else ""
        raise InputError(
            f"{words} have shape {array.shape}; needed: a row for each of the {n_train:,} training "
            f"samples{behind}"
        )
    train = np.asarray(given_features(samples, array[:n_train]))
    if tests is None:
        return _Features(train, None, words, _digest(train))
    test = np.asarray(given_features(tests, array[n_train:]))
    return _Features(train, test, words, f"{_digest(train)}+{_digest(test)}")


def _digest(array: Array) -> str:
    """Name a large array by its content, without a copy of it."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    for start in range(0, len(array), 4096):
        digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return digest.hexdigest()[:16]
