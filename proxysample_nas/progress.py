"""Progress bars that count the steps of a training loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def counted(items: Iterable[T], bar: tqdm[Any]) -> Iterator[T]:
    """Pass items on and advance a bar that spans several loops.

    Parameters
    ----------
    items : iterable
    bar : tqdm

    Yields
    ------
    object
        The same items.

    Examples
    --------
    >>> bar = tqdm(total=4, disable=True)
    >>> [list(counted("ab", bar)), list(counted("cd", bar))]
    [['a', 'b'], ['c', 'd']]
    """
    for item in items:
        yield item
        bar.update()
