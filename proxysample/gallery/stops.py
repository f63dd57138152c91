"""Where a page's slider stops: kept sets as prefixes of the very order that they are cut from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from proxysample.errors import InputError
from proxysample.keeping import IntArray
from proxysample.ranking import Ranking
from proxysample.selection import Cut, FittedCut

N_STOPS = 1000
"""Ratios that a slider offers: 0.001, 0.002 and so on."""

N_FLOORED = 200
"""Of a ranking that rounds class by class, where each ratio is cut by itself."""


@dataclass(frozen=True)
class Stop:
    """One kept set.

    Attributes
    ----------
    words : str
        What was asked for, such as ``r = 0.25``.
    ratio : float
        Fraction that is asked for, or kept where a number is.
    n_kept : int
        Length of the prefix.
    order : int
        Which order it is a prefix of.
    """

    words: str
    ratio: float
    n_kept: int
    order: int = 0


@dataclass(frozen=True, eq=False)
class Stops:
    """All kept sets that a slider offers, the smallest first.

    Attributes
    ----------
    orders : list of ndarray of int64
        One where sets nest, else one a stop. Samples that were skipped are in none; those that
        are excluded come last.
    stops : list of Stop
    start : int
        Where the slider stands at first: the set that was asked for.
    why_few : str
        Why there are no others than those that were given; empty where there are.

    Examples
    --------
    >>> stops = find_stops(Ranking(np.array([0.3, 0.1, 0.2, 0.4])), Cut(r=0.5))
    >>> [(stop.words, stop.n_kept) for stop in stops.stops], stops.orders[0].tolist()
    ([('r = 0.2', 1), ('r = 0.5', 2), ('r = 0.7', 3), ('r = 1', 4)], [1, 2, 0, 3])
    """

    orders: list[IntArray]
    stops: list[Stop]
    start: int
    why_few: str = ""


def find_stops(ranking: Ranking, cut: Cut, ratios: Iterable[float] = ()) -> Stops:
    """Cut a ranking at every ratio that a slider may offer.

    Parameters
    ----------
    ranking : Ranking
    cut : Cut
        The set that was asked for; the others are cut by the same rules.
    ratios : iterable of float
        More ratios to offer, which matters where sets do not nest.

    Returns
    -------
    Stops
        What `Ranking.select` keeps, at every one of them.

    Raises
    ------
    InputError
        If a given ratio cannot be cut, or cannot stand beside the set that was asked for.
    """
    given = [cut, *(replace(cut, r=ratio, n=None) for ratio in ratios)]
    if isinstance(cut.balance, Mapping):
        if len(given) > 1:
            raise InputError("counts by class are one set of one size; leave ratios= out")
        return _given_alone(ranking, [cut], "counts by class are one set of one size")
    if not ranking.nested:
        return _given_alone(
            ranking,
            given,
            f"the keeping rule {ranking.rule} has another order for each ratio, so that sets do "
            "not lie within one another",
        )
    if cut.n is not None and len(given) > 1:
        raise InputError("ratios= goes with r=, and n= was given: every number is offered as it is")
    if cut.is_plain and ranking.codes is not None and ranking.rounding == "floor":
        return _rounded_by_class(ranking, given)
    return _of_one_order(ranking, given)


def _given_alone(ranking: Ranking, cuts: list[Cut], why: str) -> Stops:
    """Cut each set by itself, what is kept first."""
    asked, cuts = cuts[0], sorted(cuts, key=lambda cut: ranking.fitted(cut).n_kept)
    orders, stops = [], []
    for place, one in enumerate(cuts):
        fitted = ranking.fitted(one)
        kept = ranking.kept_by(one, fitted)
        order = ranking.order_by(fitted)
        is_kept = np.isin(order, kept)
        orders.append(np.concatenate([order[is_kept], order[~is_kept]]))
        stops.append(_stop(ranking, one, len(kept), place))
    return Stops(orders, stops, next(i for i, one in enumerate(cuts) if one is asked), why)


def _of_one_order(ranking: Ranking, given: list[Cut]) -> Stops:
    found = _fitting(ranking, given, N_STOPS)
    fitted = ranking.fitted(given[0])
    has_rules = given[0].has_rules
    order = ranking.order_by(fitted) if has_rules else ranking.order
    stops = [_stop(ranking, one, of.n_kept) for one, of in found]
    return _first_of_each_size([order], stops, _stop(ranking, given[0], fitted.n_kept))


def _rounded_by_class(ranking: Ranking, given: list[Cut]) -> Stops:
    """Order samples by the first set that keeps them: the sets nest, in steps of all classes."""
    order = ranking.order_of_rule()
    entry = np.full(len(ranking), N_FLOORED + len(given) + 1)
    found = sorted(_fitting(ranking, given, N_FLOORED), key=lambda pair: float(pair[0].r or 0))
    stops = []
    for place, (one, fitted) in enumerate(found):
        try:
            kept = ranking.kept_by(one, fitted)
        except InputError:  # It keeps nothing of any class.
            continue
        entry[kept] = np.minimum(entry[kept], place)
        stops.append(_stop(ranking, one, len(kept)))
    ordered = order[np.argsort(entry[order], kind="stable")]
    n_kept = len(ranking.kept_by(given[0], ranking.fitted(given[0])))
    return _first_of_each_size([ordered], stops, _stop(ranking, given[0], n_kept))


def _fitting(ranking: Ranking, given: list[Cut], count: int) -> list[tuple[Cut, FittedCut]]:
    """Give the cuts that the ranking and the rules leave, of a number of ratios and of those given.

    Where a number was asked for, they are numbers: with rounding by floor, sets of the two kinds
    do not nest.
    """
    found = [(one, ranking.fitted(one)) for one in given]
    n_whole = len(ranking.whole_indices)
    for step in range(count, 0, -1):
        ratio = step / count
        by_number = given[0].n is not None
        size = {"n": max(1, round(ratio * n_whole))} if by_number else {"r": ratio}
        one = replace(given[0], **({"r": None, "n": None} | size))
        try:
            fitted = ranking.fitted(one)
            if len(found) == len(given):
                # A rule may keep some from ever being kept; what it leaves, smaller sets have.
                ranking.kept_by(one, fitted)
        except InputError:
            continue
        found.append((one, fitted))
    return found


def _stop(ranking: Ranking, cut: Cut, n_kept: int, order: int = 0) -> Stop:
    n_whole = len(ranking.whole_indices)
    if cut.r is not None:
        return Stop(f"r = {cut.r:g}", float(cut.r), n_kept, order)
    return Stop(f"n = {n_kept:,}", n_kept / n_whole, n_kept, order)


def _first_of_each_size(orders: list[IntArray], stops: list[Stop], start: Stop) -> Stops:
    """Leave one stop for each kept set: what was asked for, or the ratio in the fewest digits."""
    by_size: dict[int, Stop] = {}
    for stop in sorted(stops, key=lambda stop: (len(stop.words), stop.words)):
        by_size.setdefault(stop.n_kept, stop)
    by_size[start.n_kept] = start
    sizes = sorted(by_size)
    return Stops(orders, [by_size[size] for size in sizes], sizes.index(start.n_kept))
