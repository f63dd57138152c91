"""The base of every searcher: a scikit-learn estimator that finds a cell."""

from __future__ import annotations

import abc
import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from sklearn.base import BaseEstimator

from proxysample.digests import as_plain, has_arrays
from proxysample_nas.searchers.result import SearchResult

NOT_PART_OF_THE_RESULT = ("device", "progress")
"""Parameters that change how long a search takes, but not what it computes."""


class Searcher(BaseEstimator, abc.ABC):  # type: ignore[misc]  # scikit-learn ships no types
    """Finds a cell for a dataset.

    A subclass stores its parameters, unchanged and by keyword, in ``__init__``; ``get_params``,
    ``set_params``, ``sklearn.base.clone`` and ``repr`` follow from that. Values are checked when
    the search begins.
    """

    @property
    @abc.abstractmethod
    def id(self) -> str:
        """The id of `proxysample_nas.searchers.list_searchers` that these parameters have."""

    def check_parameters(self) -> None:
        """Raise `InputError` for a parameter that cannot work, as `search` would.

        A study asks before it begins; a subclass that checks nothing fails only when it searches.
        """

    @abc.abstractmethod
    def search(
        self,
        train: Any,
        validation: Any = None,
        y: Any = None,
        *,
        classes: Iterable[int | str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> SearchResult:
        """Find a cell.

        Parameters
        ----------
        train : object
            A labelled dataset that `proxysample_nas.data.images.load_images` reads, usually a
            proxy.
        validation : object, optional
            Labelled samples to choose the architecture by; by default a part of `train`.
        y : array-like of shape (n,), optional
            Labels of `train`, where it has none of its own.
        classes : iterable of int or str, optional
            Every class there is; by default those that occur. A proxy may lack one.
        checkpoint : path, optional
            File that keeps the state after every epoch. Where it exists, the search goes on
            from it, and ends as if it had never been interrupted.

        Returns
        -------
        SearchResult
        """

    def parameters_as_json(self) -> dict[str, Any]:
        """Give the parameters that the result depends on as plain JSON values.

        Returns
        -------
        dict
            Without `NOT_PART_OF_THE_RESULT`.
        """
        return {
            name: _as_json(value)
            for name, value in self.get_params(deep=False).items()
            if name not in NOT_PART_OF_THE_RESULT
        }


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _as_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple | list):
        return [_as_json(item) for item in value]
    if has_arrays(value):
        return as_plain(value, "a parameter")
    return value.item() if hasattr(value, "item") else value
