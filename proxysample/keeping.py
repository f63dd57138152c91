"""Keeping rules: how many samples a ratio keeps, and in which order.

A rule never looks at pixels. It turns scores (and labels) into an order, of which a ratio keeps
a prefix; where one order serves every ratio, the kept sets of a ranking nest.
"""

from __future__ import annotations

import abc
import json
import numbers
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from proxysample.checks import LARGEST_INTEGER, Constraints, as_tuple, is_integer, plain_number
from proxysample.errors import InputError, check_names, unknown_name
from proxysample.printing import shown
from proxysample.registry import RULES
from proxysample.wording import parse_words

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Columns = Mapping[str, FloatArray]
Rounding = Literal["exact", "floor"]
Natural = Literal["low", "high"]
NATURALS: tuple[Natural, ...] = ("low", "high")


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
    # A length of time counts as a number to NumPy.
    if isinstance(r, bool | np.timedelta64) or not isinstance(r, numbers.Real):
        raise InputError(f"r must be a number in (0, 1], such as 0.25, not {shown(r)}")
    try:
        ratio = float(r)
    except OverflowError:
        raise InputError(
            f"r is the fraction to keep and must be in (0, 1], not {shown(r)}"
        ) from None
    if not 0 < ratio <= 1:
        hint = f"; did you mean {ratio / 100:g}?" if 2 <= ratio <= 100 else ""
        raise InputError(f"r is the fraction to keep and must be in (0, 1], not {ratio:g}{hint}")
    return ratio


def check_count(n: Any) -> int:
    """Check that `n` is a number of samples to keep, and give it as an int.

    Examples
    --------
    >>> check_count(0.25)
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: n is the number of samples to keep, an integer of at least 1, not
    0.25; a fraction is given as r=0.25
    """
    if not is_integer(n) or n < 1:
        is_ratio = isinstance(n, float) and 0 < n < 1
        hint = f"; a fraction is given as r={n!r}" if is_ratio else ""
        raise InputError(
            f"n is the number of samples to keep, an integer of at least 1, not {shown(n)}{hint}"
        )
    if int(n) > LARGEST_INTEGER:
        raise InputError(f"n={shown(n)} is more samples than any dataset has")
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


def check_counts(counts: Iterable[object]) -> tuple[int, ...]:
    """Check the numbers of samples that are kept in turn, each once.

    Examples
    --------
    >>> check_counts([500, 50])
    (500, 50)
    """
    found = tuple(check_count(one) for one in as_tuple("n", counts))
    if len(set(found)) != len(found):
        raise InputError(f"n names a number of samples twice: {', '.join(map(str, found))}")
    return found


def kept_sizes(
    n_samples: int, ratios: Iterable[float], counts: Iterable[int]
) -> dict[float, int | None]:
    """Give each part that is kept of so many samples, those that were given as numbers with these.

    Examples
    --------
    >>> kept_sizes(1000, (0.5, 0.25), (100,))
    {0.5: None, 0.25: None, 0.1: 100}
    """
    return dict.fromkeys(ratios) | {count / n_samples: count for count in counts}


def check_kept_sizes(n_samples: int, ratios: Iterable[float], counts: Iterable[int]) -> None:
    """Refuse numbers of samples that are no part of a dataset, or that a ratio gives, too.

    Examples
    --------
    >>> check_kept_sizes(100, (0.5,), (50,))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: n=50 is r=0.5 of 100 training samples; leave one of them out
    """
    given = set(ratios)
    for count in counts:
        if count >= n_samples:
            raise InputError(
                f"n={count:,} is not less than the {n_samples:,} training samples, and all of them "
                "are always compared with; give a smaller n"
            )
        if count / n_samples in given:
            raise InputError(
                f"n={count:,} is r={count / n_samples:g} of {n_samples:,} training samples; leave "
                "one of them out"
            )


def name_size(r: float, n: int | None) -> str:
    """Name what is kept as it was given.

    Examples
    --------
    >>> name_size(0.25, None), name_size(0.25, 500)
    ('r=0.25', 'n=500')
    """
    return f"r={r:g}" if n is None else f"n={n}"


def list_sizes(ratios: Iterable[float], counts: Iterable[int]) -> str:
    """List what is kept in turn, for a sentence.

    Examples
    --------
    >>> list_sizes((0.5, 0.25), ()), list_sizes((0.5,), (100, 200))
    ('r = 0.5, 0.25', 'r = 0.5 and n = 100, 200')
    """
    numbers = [f"{count:,}" for count in counts]
    fractions = [f"{r:g}" for r in ratios]
    named = (("r", fractions), ("n", numbers))
    return " and ".join(f"{name} = {', '.join(words)}" for name, words in named if words)


@dataclass(frozen=True)
class KeepingRule(abc.ABC):
    """Puts samples in the order in which they are kept; register one by `proxysample.register`.

    A rule is a frozen dataclass: its fields are its parameters, plain JSON values, and are saved
    with every ranking that it orders. A rule that draws takes a seed as one of them and makes a
    generator of it in `order`, so that a saved ranking is cut the same way again.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class KeepBand(KeepingRule):
    ...     id = "band"
    ...     quantile: float = 0.5
    ...     def order(self, scores, codes=None, n_kept=None):
    ...         distances = np.abs(scores - np.quantile(scores, self.quantile))
    ...         return np.argsort(distances, kind="stable")
    >>> KeepBand(0.25).order(np.array([0.0, 1.0, 2.0, 3.0, 4.0])).tolist()
    [1, 0, 2, 3, 4]
    >>> KeepBand().to_json(), KeepBand(0.25).to_json()
    ('band', {'name': 'band', 'parameters': {'quantile': 0.25}})
    """

    id: ClassVar[str]
    """What ``keep=`` and rankings call it."""
    nested: ClassVar[bool] = True
    """Whether one order serves every ratio; otherwise `order` is asked anew for each. A property
    where that depends on parameters."""
    needs: ClassVar[Sequence[str]] = ()
    """Names of columns that it reads beside the scores; see `Ranking.columns`."""

    @abc.abstractmethod
    def order(
        self,
        scores: FloatArray,
        codes: IntArray | None = None,
        n_kept: int | None = None,
        columns: Columns | None = None,
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
        columns : mapping of str to ndarray of shape (n,), float64
            Those that it `needs`. A rule that needs none is not given this argument, and may do
            without it.

        Returns
        -------
        ndarray of shape (n,), int64
            Indices, the first to be kept first.
        """

    def n_cut(self, sizes: Sequence[int], n_kept: int | None = None) -> int:  # noqa: ARG002
        """Count the samples, last in the order, that are never kept.

        `sizes` are those of the classes where class shares are kept, else the one of all samples.
        """
        return 0

    def check_size(self, n_samples: int, n_kept: int) -> None:
        """Refuse, before any scoring, to keep more samples than the rule leaves."""
        n_cut = self.n_cut([n_samples], n_kept)
        if n_kept > n_samples - n_cut:
            raise InputError(
                f"the keeping rule {self} cuts {n_cut:,} of {n_samples:,} samples, and {n_kept:,} "
                f"are to be kept: cut less, or keep at most {n_samples - n_cut:,}"
            )

    def towards(self, natural: Natural) -> KeepingRule:  # noqa: ARG002
        """Give the rule for scores that are kept from their low end, or from their high one."""
        return self

    def to_json(self) -> str | dict[str, Any]:
        """Write the rule as its id, and its parameters where they are not the defaults."""
        parameters = {
            one.name: value
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default
        }
        return {"name": self.id, "parameters": parameters} if parameters else self.id

    def __str__(self) -> str:
        given = self.to_json()
        if isinstance(given, str):
            return given
        words = ", ".join(f"{name}={value}" for name, value in given["parameters"].items())
        return f"{self.id} ({words})"


Keep = str | KeepingRule
"""What a sampler's `keep` can be: the id of a rule, with parameters or without, or a rule."""

_WORDS = re.compile(r"([^:(]+)(?::(.*)|\((.*)\))", re.DOTALL)


def as_rule(keep: object) -> KeepingRule:
    """Give the rule that `keep` stands for.

    Parameters
    ----------
    keep : str, KeepingRule or mapping
        An id; an id and parameters as ``"ccs:beta=0.3,n_bins=20"`` or ``"ccs(beta=0.3)"``; a
        rule; or what `KeepingRule.to_json` wrote.

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
    >>> as_rule("middle:per_class=false")
    KeepMiddle(per_class=False)
    >>> as_rule("eazy")
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: unknown rule for keep 'eazy'; did you mean 'easy'? Known: easy,
    hard, ...
    """
    if isinstance(keep, KeepingRule):
        return _checked_rule(keep)
    name, parameters = _parts(keep)
    if not isinstance(name, str) or name not in RULES:
        raise unknown_name("rule for keep", name, RULES)
    rule = RULES.get(name)
    if not isinstance(parameters, Mapping):
        raise InputError(
            f"the parameters of the keeping rule {shown(name)} are {shown(parameters)}"
        )
    check_names(f"parameter of the keeping rule {name!r}", parameters, _names(rule))
    try:
        return rule(**parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"the keeping rule {shown(name)}: {error}") from error


def _parts(keep: object) -> tuple[Any, Any]:
    """Tell an id from its parameters."""
    if isinstance(keep, Mapping) and keep.keys() == {"name", "parameters"}:
        return keep["name"], keep["parameters"]
    words = _WORDS.fullmatch(keep) if isinstance(keep, str) else None
    if words is None or keep in RULES:
        return keep, {}
    return words[1].strip(), parse_words(words[2] or words[3] or "")


def rule_id(keep: object) -> Any:
    """Give the id in what `as_rule` takes, whether there is such a rule or not."""
    return keep.id if isinstance(keep, KeepingRule) else _parts(keep)[0]


def _names(rule: type[KeepingRule]) -> list[str]:
    return [one.name for one in fields(rule)]


def _checked_rule(rule: KeepingRule) -> KeepingRule:
    """Refuse a rule that a saved ranking could not name."""
    kind = type(rule)
    name = getattr(rule, "id", "")
    if name not in RULES or RULES.get(name) is not kind:
        raise InputError(
            f"no keeping rule {kind.__name__} is known by the id {shown(name)}, by which "
            "rankings are "
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
    rule: KeepingRule,
    scores: FloatArray,
    codes: IntArray | None,
    n_kept: int | None,
    columns: Columns | None = None,
) -> IntArray:
    """Order samples by a rule, and check that it is an order of all samples."""
    needed = {name: _column(rule, name, columns or {}) for name in rule.needs}
    given = {"columns": needed} if needed else {}
    order = np.asarray(rule.order(scores, codes, None if rule.nested else n_kept, **given))
    n_samples = len(scores)
    is_order = order.shape == (n_samples,) and order.dtype.kind in "iu"
    if not is_order or not np.array_equal(np.sort(order), np.arange(n_samples)):
        raise InputError(
            f"the keeping rule {rule} gives no order of the {n_samples} samples: each index from 0 "
            f"to {n_samples - 1} has to be there once"
        )
    return order.astype(np.int64, copy=False)


def check_needs(rule: KeepingRule, known: Iterable[str], scorer: str) -> None:
    """Refuse a rule that needs a column which is not there."""
    known = list(known)
    for name in rule.needs:
        if name not in known:
            there = f"its columns: {', '.join(known)}" if known else "it has no columns"
            raise InputError(
                f"the keeping rule {rule} needs the column {shown(name)} beside the scores, which "
                f"{scorer} does not give ({there}); in Python, "
                f"Ranking(scores, keep=..., columns={{{shown(name)}: ...}}) takes it from elsewhere"
            )


def _column(rule: KeepingRule, name: str, columns: Columns) -> FloatArray:
    check_needs(rule, columns, "the ranking")
    return columns[name]


def group_rows(codes: IntArray | None, n_samples: int) -> Iterator[IntArray]:
    """Give the ascending indices of each class, or of all samples."""
    if codes is None:
        yield np.arange(n_samples)
        return
    by_class = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    yield from (rows for rows in np.split(by_class, np.cumsum(sizes)[:-1]) if len(rows))


def ranks_of(values: FloatArray) -> IntArray:
    """Give each value its place in ascending order, ties by index."""
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks


def check_parameters(rule: KeepingRule, constraints: Constraints) -> None:
    """Refuse the first parameter that is not what it must be; make NumPy's numbers Python's."""
    for name, constraint in constraints.items():
        value = plain_number(getattr(rule, name))
        constraint.check(f"{name} of the keeping rule {rule.id!r}", value)
        # A rule is frozen once it is made.
        object.__setattr__(rule, name, value)
