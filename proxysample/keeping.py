"""Keeping rules: how many samples a ratio keeps, of which class, and in which order.

A rule never looks at pixels. It turns scores (and labels) into an order, of which a ratio keeps
a prefix; where one order serves every ratio, the kept sets of a ranking nest.
"""

from __future__ import annotations

import abc
import heapq
import json
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, check_names, unknown_name
from proxysample.registry import RULES

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Rounding = Literal["exact", "floor"]

# Bounds the memory that dealing out classes takes: about 100 bytes a place.
PLACES_PER_BLOCK = 1 << 17


def check_ratio(r: object) -> float:
    """Check that `r` is a kept fraction in (0, 1].

    Parameters
    ----------
    r : float
        Fraction of the samples to keep.

    Returns
    -------
    float
        The ratio.

    Raises
    ------
    InputError
        If `r` is not a number in (0, 1].

    Examples
    --------
    >>> check_ratio(0.25)
    0.25
    """
    if isinstance(r, bool) or not isinstance(r, numbers.Real):
        raise InputError(f"r must be a number in (0, 1], such as 0.25, not {r!r}")
    ratio = float(r)
    if not 0 < ratio <= 1:
        hint = f"; did you mean {ratio / 100:g}?" if 2 <= ratio <= 100 else ""
        raise InputError(f"r is the fraction to keep and must be in (0, 1], not {ratio:g}{hint}")
    return ratio


def n_kept(n_samples: int, r: float, rounding: Rounding = "exact") -> int:
    """Count the samples that ratio `r` keeps.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    r : float
        Fraction to keep, in (0, 1].
    rounding : {"exact", "floor"}
        ``round(r * n)``, or ``int(n * r)`` as the paper's code has it.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    InputError
        If nothing would be kept.

    Examples
    --------
    >>> n_kept(1437, 0.25), n_kept(1437, 0.25, "floor")
    (359, 359)
    >>> n_kept(7, 0.25), n_kept(7, 0.25, "floor")
    (2, 1)
    """
    count = round(r * n_samples) if rounding == "exact" else int(n_samples * r)
    if count < 1:
        raise InputError(
            f"r={r:g} keeps none of {n_samples} samples; the smallest useful r is {1 / n_samples:g}"
        )
    return count


@dataclass(frozen=True)
class KeepingRule(abc.ABC):
    """Puts samples in the order in which they are kept; register one by `proxysample.register`.

    A rule is a frozen dataclass: its fields are its parameters, plain JSON values, and are saved
    with every ranking that it orders. A rule that draws takes a seed as one of them and makes a
    generator of it in `order`, so that a saved ranking is cut the same way again.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class KeepMiddle(KeepingRule):
    ...     id = "middle"
    ...     quantile: float = 0.5
    ...     def order(self, scores, codes=None, n_kept=None):
    ...         distances = np.abs(scores - np.quantile(scores, self.quantile))
    ...         return np.argsort(distances, kind="stable")
    >>> KeepMiddle(0.25).order(np.array([0.0, 1.0, 2.0, 3.0, 4.0])).tolist()
    [1, 0, 2, 3, 4]
    >>> KeepMiddle().to_json(), KeepMiddle(0.25).to_json()
    ('middle', {'name': 'middle', 'parameters': {'quantile': 0.25}})
    """

    id: ClassVar[str]
    """What ``keep=`` and rankings call it."""
    nested: ClassVar[bool] = True
    """Whether one order serves every ratio; otherwise `order` is asked anew for each."""

    @abc.abstractmethod
    def order(
        self, scores: FloatArray, codes: IntArray | None = None, n_kept: int | None = None
    ) -> IntArray:
        """Order all samples.

        Parameters
        ----------
        scores : ndarray of shape (n,), float64
            Low is typical, easy.
        codes : ndarray of shape (n,), int64, or None
            Class of each sample, where class shares are kept. They are kept whatever the order:
            each class's places go to its samples in the order given here.
        n_kept : int or None
            How many will be kept; None for a rule that is `nested`.

        Returns
        -------
        ndarray of shape (n,), int64
            Indices, the first to be kept first.
        """

    def to_json(self) -> str | dict[str, Any]:
        """Write the rule as its id, and its parameters where they are not the defaults."""
        parameters = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) != one.default
        }
        return {"name": self.id, "parameters": parameters} if parameters else self.id

    def __str__(self) -> str:
        given = self.to_json()
        if isinstance(given, str):
            return given
        words = ", ".join(f"{name}={value}" for name, value in given["parameters"].items())
        return f"{self.id} ({words})"


@dataclass(frozen=True)
class KeepEasy(KeepingRule):
    """Keep low scores first, ties by index."""

    id = "easy"

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by ascending score.

        Examples
        --------
        >>> KeepEasy().order(np.array([2.0, 1.0, 2.0, 0.5])).tolist()
        [3, 1, 0, 2]
        """
        return np.argsort(scores, kind="stable")


@dataclass(frozen=True)
class KeepHard(KeepingRule):
    """Keep high scores first, ties by index."""

    id = "hard"

    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,  # noqa: ARG002
        n_kept: int | None = None,  # noqa: ARG002
    ) -> IntArray:
        """Order samples by descending score.

        Examples
        --------
        >>> KeepHard().order(np.array([2.0, 1.0, 2.0, 0.5])).tolist()
        [0, 2, 1, 3]
        """
        return np.argsort(-scores, kind="stable")


Keep = str | KeepingRule
"""What a sampler's `keep` can be: the id of a rule, or a rule with parameters."""


def as_rule(keep: object) -> KeepingRule:
    """Give the rule that `keep` stands for.

    Parameters
    ----------
    keep : str, KeepingRule or mapping
        An id, a rule, or what `KeepingRule.to_json` wrote.

    Returns
    -------
    KeepingRule

    Raises
    ------
    InputError
        If no rule has this id, it has no such parameters, or the rule could not be saved.

    Examples
    --------
    >>> as_rule("hard")
    KeepHard()
    >>> as_rule("eazy")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown rule for keep 'eazy'; did you mean 'easy'? Known: easy,
    hard, given
    """
    if isinstance(keep, KeepingRule):
        return _checked_rule(keep)
    name, parameters = keep, {}
    if isinstance(keep, Mapping) and keep.keys() == {"name", "parameters"}:
        name, parameters = keep["name"], keep["parameters"]
    if not isinstance(name, str) or name not in RULES:
        raise unknown_name("rule for keep", name, RULES)
    rule = RULES.get(name)
    if not isinstance(parameters, Mapping):
        raise InputError(f"the parameters of the keeping rule {name!r} are {parameters!r:.80}")
    check_names(f"parameter of the keeping rule {name!r}", parameters, _names(rule))
    try:
        return rule(**parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"the keeping rule {name!r}: {error}") from error


def _names(rule: type[KeepingRule]) -> list[str]:
    return [one.name for one in fields(rule)]


def _checked_rule(rule: KeepingRule) -> KeepingRule:
    """Refuse a rule that a saved ranking could not name."""
    kind = type(rule)
    name = getattr(rule, "id", "")
    if name not in RULES or RULES.get(name) is not kind:
        raise InputError(
            f"no keeping rule {kind.__name__} is known by the id {name!r}, by which rankings are "
            f"saved: proxysample.register({kind.__name__}) makes it known"
        )
    try:
        written = rule.to_json()
        is_plain = json.loads(json.dumps(written, allow_nan=False)) == written
    except (TypeError, ValueError):
        is_plain = False
    if not is_plain:
        raise InputError(f"{rule!r:.200} cannot be saved: its parameters must be plain JSON values")
    return rule


def checked_order(
    rule: KeepingRule, scores: FloatArray, codes: IntArray | None, n_kept: int | None
) -> IntArray:
    """Order samples by a rule, and check that it is an order of all samples."""
    order = np.asarray(rule.order(scores, codes, None if rule.nested else n_kept))
    n_samples = len(scores)
    is_order = order.shape == (n_samples,) and order.dtype.kind in "iu"
    if not is_order or not np.array_equal(np.sort(order), np.arange(n_samples)):
        raise InputError(
            f"the keeping rule {rule} gives no order of the {n_samples} samples: each index from 0 "
            f"to {n_samples - 1} has to be there once"
        )
    return order.astype(np.int64, copy=False)


def class_sequence(class_sizes: IntArray) -> IntArray:
    """Deal out classes so that every prefix is as balanced as the whole.

    After any k places, a class of size n_c among n samples holds less than one place more or
    less than its share ``k * n_c / n``, and exactly its share where all shares are whole.
    Largest-remainder rounding gives the same bound for one k, but its counts can fall when k
    grows (the Alabama paradox), so kept sets would not nest.

    Parameters
    ----------
    class_sizes : ndarray of shape (n_classes,), int64
        Number of samples of each class, all at least 1.

    Returns
    -------
    ndarray of shape (n,), int64
        The class that holds each place.

    Notes
    -----
    The j-th sample of a class may come no earlier than the first place at which the class's
    share exceeds j - 1, and no later than the last place before it reaches j. Earliest deadline
    first always meets both (R. Tijdeman, "The chairman assignment problem", Discrete
    Mathematics 32, 1980; G. Steiner and S. Yeomans, "Level schedules for mixed-model,
    just-in-time processes", Management Science 39, 1993).

    Examples
    --------
    >>> class_sequence(np.array([4, 2])).tolist()
    [0, 0, 1, 0, 0, 1]
    """
    sizes = np.asarray(class_sizes, dtype=np.int64)
    # Where all shares are whole the sequence starts anew: one period is enough.
    divisor = int(np.gcd.reduce(sizes))
    return np.tile(_deal_one_period(sizes // divisor), divisor)


def _deal_one_period(sizes: IntArray) -> IntArray:
    total = int(sizes.sum())
    sequence = np.empty(total, dtype=np.int64)
    ready: list[int] = []
    for start in range(0, total, PLACES_PER_BLOCK):
        places = np.arange(start + 1, min(start + PLACES_PER_BLOCK, total) + 1)
        priorities, n_ready = _released_in(places, sizes)
        queue = priorities.tolist()
        dealt = []
        first = 0
        for last in n_ready.tolist():
            for priority in queue[first:last]:
                heapq.heappush(ready, priority)
            first = last
            dealt.append(heapq.heappop(ready))
        sequence[start : start + len(dealt)] = dealt
    return sequence % len(sizes)


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


def interleave_classes(order: IntArray, labels: IntArray) -> IntArray:
    """Reorder so that every prefix keeps the class shares, best of each class first.

    Parameters
    ----------
    order : ndarray of shape (n,), int64
        All samples, the first to be kept first.
    labels : ndarray of shape (n,), int64
        Class codes 0 to n_classes - 1, by sample; each class has a sample.

    Returns
    -------
    ndarray of shape (n,), int64
        The same samples.

    Examples
    --------
    >>> labels = np.array([0, 0, 1, 1])
    >>> interleave_classes(np.array([3, 2, 1, 0]), labels).tolist()
    [1, 3, 0, 2]
    """
    sequence = class_sequence(np.bincount(labels))
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
