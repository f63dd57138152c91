"""The base of every searcher: a scikit-learn estimator that finds a cell."""

from __future__ import annotations

import abc
import dataclasses
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self, dataclass_transform

from proxysample_nas.searchers.fields import declare_fields
from proxysample_nas.searchers.result import SearchResult
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace

if TYPE_CHECKING:
    # scikit-learn ships no types, and a class of unknown base takes any argument.
    class BaseEstimator:  # noqa: D101
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...  # noqa: D102
        def set_params(self, **parameters: Any) -> Self: ...  # noqa: D102
        @classmethod
        def _get_param_names(cls) -> list[str]: ...

else:
    from sklearn.base import BaseEstimator

NOT_PART_OF_THE_RESULT = ("device", "progress")
"""Parameters that change how long a search takes, but not what it computes."""


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
class Searcher(BaseEstimator, abc.ABC):
    """Finds a cell for a dataset.

    A subclass declares its parameters as the fields of a dataclass, such as ``epochs: int = 50``:
    it gets an ``__init__`` that takes them, and those of its base, by keyword and stores them
    unchanged, and a docstring that says of inherited parameters what the base says.
    ``get_params``, ``set_params``, ``sklearn.base.clone`` and ``repr`` follow from that, as they
    do where a subclass writes its own ``__init__``. Values are checked when the search begins.
    """

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        declare_fields(cls)

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
            Without `NOT_PART_OF_THE_RESULT`. A parameter `space` is a search space: the names of
            its operations, and left out where it is that of NAS-Bench-201.
        """
        parameters = {
            name: _as_json(value)
            for name, value in self.get_params(deep=False).items()
            if name not in NOT_PART_OF_THE_RESULT
        }
        if "space" in parameters:
            space = SearchSpace.of(self.get_params(deep=False)["space"])
            parameters["space"] = list(space.operations)
            if space == NAS_BENCH_201:
                del parameters["space"]
        return parameters


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _as_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple | list):
        return [_as_json(item) for item in value]
    return value.item() if hasattr(value, "item") else value
