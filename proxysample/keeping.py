"""Keeping rules: how many samples a ratio keeps, and in which order.

A rule never looks at pixels. It turns scores (and labels) into an order, of which a ratio keeps
a prefix; where one order serves every ratio, the kept sets of a ranking nest.
"""

from __future__ import annotations

import abc
import json
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from proxysample.errors import InputError, check_names, unknown_name
from proxysample.printing import shown
from proxysample.registry import RULES

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Rounding = Literal["exact", "floor"]


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


def check_count(n: object) -> int:
    """Check that `n` is a number of samples to keep, and give it as an int.

    Examples
    --------
    >>> check_count(0.25)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: n is the number of samples to keep, an integer of at least 1, not
    0.25; a fraction is given as r=0.25
    """
    if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1:
        is_ratio = isinstance(n, float) and 0 < n < 1
        hint = f"; a fraction is given as r={n!r}" if is_ratio else ""
        raise InputError(
            f"n is the number of samples to keep, an integer of at least 1, not {n!r}{hint}"
        )
    return int(n)


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
        raise InputError(f"the parameters of the keeping rule {name!r} are {shown(parameters)}")
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
