"""A rule within each class, and the checks of rules' parameters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from proxysample.checks import Constraints, plain_number
from proxysample.keeping import FloatArray, IntArray, KeepingRule


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
