"""Class shares: in which order classes take places, and by which weights."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from proxysample.checks import as_array, first_repeated, is_number
from proxysample.errors import InputError, unknown_name
from proxysample.keeping import IntArray
from proxysample.printing import shown

# Bounds the memory that dealing out classes takes: about 100 bytes a place.
PLACES_PER_BLOCK = 1 << 17


def class_sequence(
    class_sizes: IntArray, weights: IntArray | None = None, at_least: IntArray | None = None
) -> IntArray:
    """Deal out classes so that every prefix is as balanced as the whole.

    After any k places, a class of size n_c among n samples holds less than one place more or
    less than its share ``k * n_c / n``, and exactly its share where all shares are whole.
    Largest-remainder rounding gives the same bound for one k, but its counts can fall when k
    grows (the Alabama paradox), so kept sets would not nest.

    With `weights`, a class's share is in proportion to its weight until the class is used up, and
    the others go on among themselves. With `at_least`, the first places are those; after them, a
    class gets nothing until its share has grown to what it holds. In all, the share of class c
    is ``min(max(level * weights[c], at_least[c]), n_c)``, with the level at which the shares
    come to k.

    Parameters
    ----------
    class_sizes : ndarray of shape (n_classes,), int64
        Number of samples of each class, all at least 1.
    weights : ndarray of shape (n_classes,), int64, optional
        All at least 1; by default the sizes. Equal weights give every class as many.
    at_least : ndarray of shape (n_classes,), int64, optional
        Places that each class has from the beginning, at most its size.

    Returns
    -------
    ndarray of shape (n,), int64
        The class that holds each place.

    Notes
    -----
    The j-th sample of a class may come no earlier than the first place at which the class's
    share exceeds j - 1, and no later than the last place before it reaches j. Earliest deadline
    first always meets both, for shares that never fall (R. Tijdeman, "The chairman assignment
    problem", Discrete Mathematics 32, 1980; G. Steiner and S. Yeomans, "Level schedules for
    mixed-model, just-in-time processes", Management Science 39, 1993).

    Examples
    --------
    >>> class_sequence(np.array([4, 2])).tolist()
    [0, 0, 1, 0, 0, 1]
    >>> class_sequence(np.array([4, 2]), weights=np.array([1, 1])).tolist()
    [0, 1, 0, 1, 0, 0]
    >>> class_sequence(np.array([4, 2]), at_least=np.array([0, 2])).tolist()
    [1, 1, 0, 0, 0, 0]
    """
    sizes = np.asarray(class_sizes, dtype=np.int64)
    if weights is not None or at_least is not None:
        return _deal_by_weights(
            sizes,
            sizes if weights is None else np.asarray(weights, dtype=np.int64),
            np.zeros_like(sizes) if at_least is None else np.asarray(at_least, dtype=np.int64),
        )
    # Where all shares are whole the sequence starts anew: one period is enough.
    divisor = int(np.gcd.reduce(sizes))
    return np.tile(_deal_one_period(sizes // divisor), divisor)


def _deal_one_period(sizes: IntArray) -> IntArray:
    return _deal(int(sizes.sum()), len(sizes), lambda places: _released_in(places, sizes))


def _deal(
    total: int, n_classes: int, released_in: Callable[[IntArray], tuple[IntArray, IntArray]]
) -> IntArray:
    """Give each place to the sample of the earliest deadline among those released by then."""
    sequence = np.empty(total, dtype=np.int64)
    ready: list[int] = []
    for start in range(0, total, PLACES_PER_BLOCK):
        places = np.arange(start + 1, min(start + PLACES_PER_BLOCK, total) + 1)
        priorities, n_ready = released_in(places)
        queue = priorities.tolist()
        dealt = []
        first = 0
        for last in n_ready.tolist():
            for priority in queue[first:last]:
                heapq.heappush(ready, priority)
            first = last
            dealt.append(heapq.heappop(ready))
        sequence[start : start + len(dealt)] = dealt
    return sequence % n_classes


def _released_in(places: IntArray, sizes: IntArray) -> tuple[IntArray, IntArray]:
    """List the samples that may come no earlier than one of some consecutive places.

    Returns their priorities, deadline first and then class, in order of release, and how many of
    them are released by each place.
    """
    total, n_classes = int(sizes.sum()), len(sizes)
    first = -(-(places[0] - 1) * sizes // total)
    counts = -(-places[-1] * sizes // total) - first
    labels = np.repeat(np.arange(n_classes), counts)
    ordinals = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    releases = ordinals * total // sizes[labels] + 1
    deadlines = -(-(ordinals + 1) * total // sizes[labels])
    order = np.argsort(releases, kind="stable")
    priorities = (deadlines * n_classes + labels)[order]
    return priorities, np.searchsorted(releases[order], places, side="right")


def _deal_by_weights(sizes: IntArray, weights: IntArray, at_least: IntArray) -> IntArray:
    n_classes = len(sizes)
    given = np.repeat(np.arange(n_classes), at_least)
    left = sizes - at_least
    labels = np.repeat(np.arange(n_classes), left)
    ordinals = np.arange(len(labels)) + np.repeat(at_least - (np.cumsum(left) - left), left)
    levels = _Levels(sizes, weights, at_least)
    releases = levels.places(ordinals, labels) + 1 - len(given)
    deadlines = -levels.places(ordinals + 1, labels, sign=-1)
    order = np.argsort(releases, kind="stable")
    releases, priorities = releases[order], (deadlines * n_classes + labels)[order]

    def released_in(places: IntArray) -> tuple[IntArray, IntArray]:
        first = int(np.searchsorted(releases, places[0], side="left")) if places[0] > 1 else 0
        n_ready = np.searchsorted(releases, places, side="right")
        return priorities[first : n_ready[-1]], n_ready - first

    return np.concatenate([given, _deal(len(labels), n_classes, released_in)])


class _Levels:
    """At how many places in all the shares' level reaches a class's j-th sample."""

    def __init__(self, sizes: IntArray, weights: IntArray, at_least: IntArray) -> None:
        self.weights = weights
        starts, stops = at_least / weights, sizes / weights
        by_start, by_stop = np.argsort(starts), np.argsort(stops)
        self.starts, self.stops = starts[by_start], stops[by_stop]
        self.waiting = at_least.sum() - _sums(at_least[by_start])
        self.stopped = _sums(sizes[by_stop])
        self.started_weight = _sums(weights[by_start])
        self.stopped_weight = _sums(weights[by_stop])

    def places(self, ordinals: IntArray, labels: IntArray, sign: int = 1) -> IntArray:
        """Round the places down; with sign -1, give the negative of the places rounded up."""
        own = self.weights[labels]
        levels = ordinals / own
        started = np.searchsorted(self.starts, levels, side="right")
        stopped = np.searchsorted(self.stops, levels, side="right")
        moving = self.started_weight[started] - self.stopped_weight[stopped]
        # In integers: the windows of earliest deadlines have no room for a rounding error.
        whole = sign * (self.waiting[started] + self.stopped[stopped])
        found: IntArray = whole + sign * ordinals * moving // own
        return found


def _sums(values: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(values)])


def interleave_classes(
    order: IntArray,
    labels: IntArray,
    weights: IntArray | None = None,
    at_least: IntArray | None = None,
) -> IntArray:
    """Reorder so that every prefix keeps the class shares, best of each class first.

    Parameters
    ----------
    order : ndarray of shape (n_ordered,), int64
        Samples, the first to be kept first.
    labels : ndarray of shape (n,), int64
        Class codes 0 to n_classes - 1, by sample; each class has a sample in `order`.
    weights, at_least : ndarray of shape (n_classes,), int64, optional
        See `class_sequence`.

    Returns
    -------
    ndarray of shape (n_ordered,), int64
        The same samples.

    Examples
    --------
    >>> labels = np.array([0, 0, 1, 1])
    >>> interleave_classes(np.array([3, 2, 1, 0]), labels).tolist()
    [1, 3, 0, 2]
    """
    sequence = class_sequence(np.bincount(labels[order]), weights, at_least)
    by_class = order[np.argsort(labels[order], kind="stable")]
    interleaved = np.empty_like(order)
    interleaved[np.argsort(sequence, kind="stable")] = by_class
    return interleaved


def floor_per_class(order: IntArray, labels: IntArray, r: float) -> IntArray:
    """Keep the first ``int(n_c * r)`` samples of each class, as the paper's code does.

    Parameters
    ----------
    order : ndarray of shape (n,), int64
        All samples, the first to be kept first.
    labels : ndarray of shape (n,), int64
        Class codes by sample.
    r : float
        Fraction to keep, in (0, 1].

    Returns
    -------
    ndarray of int64
        Kept indices, ascending.

    Raises
    ------
    InputError
        If nothing would be kept.

    Examples
    --------
    >>> floor_per_class(np.array([4, 3, 2, 1, 0]), np.array([0, 0, 0, 1, 1]), 0.5).tolist()
    [2, 4]
    """
    sizes = np.bincount(labels)
    limits = np.array([int(int(size) * r) for size in sizes])
    if limits.sum() < 1:
        raise InputError(f"r={r:g} keeps none of the {len(sizes)} classes' samples; raise r")
    by_class = order[np.argsort(labels[order], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    place_in_class = np.arange(len(order)) - np.repeat(starts, sizes)
    kept: IntArray = np.sort(by_class[place_in_class < np.repeat(limits, sizes)])
    return kept


# A class of no weight comes after all others; shares are allocated in integers.
SCALE = 1_000_000


def _plain(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if labels.dtype.kind == "O" and all(isinstance(one, str) for one in labels.flat):
        labels = labels.astype(str)
    if labels.dtype.kind not in "biufU":
        raise InputError(f"labels are of type {labels.dtype}; needed: all numbers or all texts")
    return labels


@dataclass(frozen=True, eq=False)
class ClassWeights:
    """Shares of classes in proportion to weights: a value of ``balance=``.

    Each class is kept in proportion to its weight, to within one sample, until it is used up; the
    others go on among themselves. Kept sets nest.

    Parameters
    ----------
    weights : mapping of class to float
        Of every class of the dataset, at least 0 and one of them more; 0 keeps samples of a class
        when all others are used up.

    Examples
    --------
    >>> from proxysample import Ranking
    >>> from proxysample.data.classes import Classes
    >>> classes = Classes(("cat", "dog"), np.array([0, 0, 0, 0, 1, 1]))
    >>> ranking = Ranking(np.arange(6.0), classes=classes)
    >>> ranking.select(n=4, balance=ClassWeights({"cat": 3, "dog": 1})).tolist()
    [0, 1, 2, 4]
    """

    weights: Mapping[Any, float]

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping) or not self.weights:
            raise InputError(
                f"weights are by class, such as {{'cat': 2}}, not {shown(self.weights)}"
            )
        for name, weight in self.weights.items():
            if not is_number(weight) or weight < 0:
                raise InputError(
                    f"the weight of class {shown(name)} must be a finite number of at least 0, not "
                    f"{shown(weight)}"
                )
        if not any(self.weights.values()):
            raise InputError("all classes have the weight 0; give at least one more")

    @classmethod
    def from_recall(cls, recall: Mapping[Any, float]) -> ClassWeights:
        """Weigh classes by need: by the share of their samples that a model gets wrong.

        That are the quotas of A. Vysogorets, K. Ahuja and J. Kempe, DRoP: distributionally robust
        data pruning, ICLR 2025, who draw at random within a class; any order may stand within it
        here.

        Parameters
        ----------
        recall : mapping of class to float
            Of samples that the model was not trained on, in [0, 1], for every class.

        Returns
        -------
        ClassWeights
            ``1 - recall``; as much of each class where all are recalled wholly.

        Examples
        --------
        >>> ClassWeights.from_recall({"cat": 0.75, "dog": 0.5}).weights
        {'cat': 0.25, 'dog': 0.5}
        """
        if not isinstance(recall, Mapping) or not recall:
            raise InputError(f"recall is by class, such as {{'cat': 0.9}}, not {shown(recall)}")
        for name, value in recall.items():
            if not is_number(value) or not 0 <= value <= 1:
                raise InputError(
                    f"the recall of class {shown(name)} must be in [0, 1], not {shown(value)}"
                )
        needs = {name: 1 - float(value) for name, value in recall.items()}
        return cls(needs if any(needs.values()) else dict.fromkeys(recall, 1.0))

    @classmethod
    def from_predictions(cls, labels: Any, predictions: Any) -> ClassWeights:
        """Weigh classes by need, as `from_recall`, from what a model says of held-out samples.

        Parameters
        ----------
        labels, predictions : array-like of shape (n,)
            Classes of samples that the model was not trained on, and what it takes them for.

        Returns
        -------
        ClassWeights

        Examples
        --------
        >>> ClassWeights.from_predictions(["a", "a", "b"], ["a", "b", "b"]).weights
        {'a': 0.5, 'b': 0.0}
        """
        true, found = (
            _plain(as_array(what, given))
            for what, given in (("labels", labels), ("predictions", predictions))
        )
        if true.ndim != 1 or true.shape != found.shape or not len(true):
            raise InputError(
                f"labels of shape {true.shape} and predictions of shape {found.shape}; needed: one "
                "of each a sample"
            )
        right: npt.NDArray[np.bool_] = true == found
        return cls.from_recall(
            {name.item(): float(right[true == name].mean()) for name in np.unique(true)}
        )

    def of_classes(self, names: Sequence[str]) -> IntArray:
        """Give the weights by class code, as integers of at least 1."""
        given = {name: float(weight) for name, weight in one_name_each(self.weights).items()}
        for name in given:
            if name not in names:
                raise unknown_name("class in balance", name, names)
        missing = [name for name in names if name not in given]
        if missing:
            more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
            raise InputError(f"balance has no weight for class {missing[0]!r}{more}; give all")
        weights = np.array([given[name] for name in names])
        scaled: IntArray = np.round(weights / weights.max() * SCALE).astype(np.int64)
        return scaled.clip(1)

    def to_json(self) -> dict[str, dict[str, float]]:
        """Write as plain JSON values."""
        return {"weights": {str(name): float(weight) for name, weight in self.weights.items()}}

    def __str__(self) -> str:
        return ", ".join(f"{name}={weight:g}" for name, weight in self.weights.items())


def one_name_each(balance: Mapping[Any, Any]) -> dict[str, Any]:
    """Give what is said of each class by its name; `InputError` where two keys name one class.

    Examples
    --------
    >>> one_name_each({0: 5, "0": 7})
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: balance names the class 0 twice
    """
    twice = first_repeated(map(str, balance))
    if twice is not None:
        raise InputError(f"balance names the class {twice} twice")
    return {str(name): given for name, given in balance.items()}
