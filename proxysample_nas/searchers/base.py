"""The base of every searcher: a scikit-learn estimator that finds a cell from a seed."""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

import numpy as np
from sklearn.base import clone

from proxysample.checks import SEED, Constraints, check_values, constraints_of, plain_number
from proxysample.digests import as_plain, has_arrays
from proxysample.errors import InputError
from proxysample.parameters import declare_fields
from proxysample_nas.searchers.result import SearchResult
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace

if TYPE_CHECKING:
    import torch

    # scikit-learn ships no types, and a class of unknown base takes any argument.
    class BaseEstimator:  # noqa: D101
        @classmethod
        def _get_param_names(cls) -> list[str]: ...
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...  # noqa: D102
        def set_params(self, **parameters: Any) -> Self: ...  # noqa: D102

else:
    from sklearn.base import BaseEstimator

SearcherT = TypeVar("SearcherT", bound="Searcher")


@dataclass(frozen=True)
class Lengthening:
    """How a short search is made longer in one kind of its work.

    Attributes
    ----------
    parameter : str or None
        What is multiplied.
    most : int
        The largest factor that is worth it: what the search itself does.
    also : mapping of str to object
        Parameters that are set beside it, whatever the factor.
    """

    parameter: str | None
    most: int
    also: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, shortened: SearcherT, factor: int) -> SearcherT:
        """Make a copy of a short search that does so many times as much.

        Examples
        --------
        >>> from proxysample_nas.searchers import DARTS
        >>> Lengthening("steps_per_epoch", most=50).apply(DARTS(steps_per_epoch=1), 4)
        DARTS(steps_per_epoch=4)
        """
        changes = dict(self.also)
        if self.parameter is not None:
            changes[self.parameter] = factor * getattr(shortened, self.parameter)
        return shortened._with(**changes)


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

    @property
    def algorithm_version(self) -> int:
        """Raised when a search with these parameters comes to another result than before.

        Keys of experiments and checkpoints name it where it is not 1, so that a result of an
        older version is not taken for one of this. A parameter that is not touched keeps its 1.
        """
        return 1

    _constraints: ClassVar[Constraints] = {}
    """What each parameter must be; a class lists its own, those of its bases count too."""

    def check_parameters(self) -> None:
        """Raise `InputError` for a parameter that cannot work, as `search` would.

        A study asks before it begins; a subclass that checks nothing fails only when it searches.
        """
        check_values(self.get_params(deep=False), constraints_of(type(self)))
        self._check_parameters()

    def _check_parameters(self) -> None:
        """Raise `InputError` for parameters that cannot work together."""

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

    def work(self, n_weight_samples: int, n_architecture_samples: int) -> dict[str, float]:  # noqa: ARG002
        """Count what a search does, so that its time can be estimated from a short one.

        By default the samples that go through its epochs, of whatever they train. A subclass that
        does other work counts each kind by a name of its own; one of a kind should always take
        the same time. A search that may stop early is counted as if it did not.

        Parameters
        ----------
        n_weight_samples, n_architecture_samples : int
            What the weights are trained on, and what the architecture is chosen by.

        Returns
        -------
        dict of str to float
            How often each kind is done.

        Raises
        ------
        InputError
            If nothing here counts epochs.

        Examples
        --------
        >>> from proxysample_nas.searchers import RandomSearch
        >>> RandomSearch(n_samples=3, epochs=2).work(100, 50)
        {'train': 600.0, 'evaluate': 150.0}
        """
        parameters = self._parameters_with("epochs")
        steps = parameters.get("steps_per_epoch")
        per_epoch = n_weight_samples if steps is None else steps * parameters["batch_size"]
        return {"step": float(parameters["epochs"] * per_epoch)}

    def shortened(self) -> Self:
        """Make a copy whose search is as short as can be, to be timed."""
        steps = (
            {"steps_per_epoch": 1} if "steps_per_epoch" in self._parameters_with("epochs") else {}
        )
        return self._with(epochs=1, **steps)

    def lengthenings(self) -> list[Lengthening]:
        """List how the search of `shortened` is made longer, so that each kind of work shows."""
        has_steps = "steps_per_epoch" in self._parameters_with("epochs")
        return [self._lengthening("steps_per_epoch" if has_steps else "epochs")]

    def _lengthening(self, name: str) -> Lengthening:
        """Do more of what a parameter counts, though no more than this search does."""
        given = getattr(self, name)
        # A number that follows from the data is large enough for any short search.
        return Lengthening(name, most=1_000_000 if given is None else max(2, int(given)))

    def _with(self, **parameters: Any) -> Self:
        """Make a copy of which some parameters are others."""
        copied: Self = clone(self)
        return copied.set_params(**parameters)

    def _parameters_with(self, name: str) -> dict[str, Any]:
        parameters = self.get_params(deep=False)
        if name not in parameters:
            raise InputError(
                f"{self.id} has no parameter {name}, and so a search cannot be made short enough "
                "to be timed; give it one, or its own methods work, shortened and lengthenings"
            )
        return parameters

    def parameters_as_json(self) -> dict[str, Any]:
        """Give the parameters that the result depends on as plain JSON values.

        Returns
        -------
        dict
            Without `NOT_PART_OF_THE_RESULT`; with `algorithm_version` where it is not 1. A
            parameter `space` is a search space: the names of
            its operations, and left out where it is that of NAS-Bench-201.
        """
        parameters = {
            name: _as_json(value)
            for name, value in self.get_params(deep=False).items()
            if name not in NOT_PART_OF_THE_RESULT
        }
        if self.algorithm_version != 1:
            parameters["algorithm_version"] = self.algorithm_version
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
    if has_arrays(value):
        return as_plain(value, "a parameter")
    return plain_number(value)


STREAMS = (
    "initialization",
    "holdout",
    "weight batches",
    "architecture batches",
    "operations",
    "perturbation",
)
"""What our searches draw, each from its own stream, so that none depends on another's length.

The order fixes the numbers: new streams go at the end.
"""


def resolve_seed(random_state: int | None) -> int:
    """Turn `random_state` into the integer that repeats the search.

    Parameters
    ----------
    random_state : int or None
        None takes a fresh seed from the operating system.

    Raises
    ------
    InputError
        If it is neither None nor an integer from 0 to below 2**63.

    Examples
    --------
    >>> resolve_seed(7)
    7
    """
    SEED.or_none().check("random_state", random_state)
    return secrets.randbits(32) if random_state is None else int(random_state)


def stream(seed: int, name: str) -> torch.Generator:
    """Create the generator of one of a search's streams.

    Parameters
    ----------
    seed : int
        Seed of the search.
    name : str
        One of `STREAMS`, or any other: a searcher of one's own may name as many as it needs.

    Returns
    -------
    torch.Generator
        On the CPU, so that a seed means the same on every device.

    Examples
    --------
    >>> stream(0, "holdout").initial_seed() == stream(0, "mutations").initial_seed()
    False
    """
    import torch

    sequence = np.random.SeedSequence(seed, spawn_key=_key(name))
    # PyTorch takes signed 64-bit seeds.
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def _key(name: str) -> tuple[int, ...]:
    if name in STREAMS:
        return (STREAMS.index(name),)
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return tuple(np.frombuffer(digest, "<u4").tolist())
