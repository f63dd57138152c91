"""What a study is given, and as what it is kept: data, searchers, and how cells are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from proxysample.components import Component
from proxysample.data.datasets import Splits, as_splits
from proxysample.data.names import split_name
from proxysample.described import Family, parameter_names
from proxysample.digests import as_plain
from proxysample.errors import InputError, check_names
from proxysample.printing import shown
from proxysample.wording import parse_words
from proxysample_nas.data.loader import Augmentation, from_written, to_written
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.searchers import Searcher, create_searcher
from proxysample_nas.searchers.registry import SEARCHERS, implied_parameters
from proxysample_nas.space.operations import SearchSpace
from proxysample_nas.training.trainer import DEFAULT_RECIPE, CellTrainer

DatasetLike = str | Splits | tuple[Any, Any] | Mapping[str, Any]


def name_and_parts(dataset: DatasetLike) -> tuple[str, Splits | None]:
    """Tell what a study's dataset is called, and give it where it is no mere name.

    Raises
    ------
    InputError
        If it is neither a name nor two parts.

    Examples
    --------
    >>> name_and_parts("digits")
    ('digits', None)
    >>> name_and_parts(([0, 1], [2]))
    ('given data', Splits('given data', [0, 1]))
    """
    if isinstance(dataset, str):
        return dataset, None
    splits = as_splits(dataset)
    if splits is not None:
        return splits.name, splits
    raise InputError(
        "dataset must be a name such as 'digits', a pair (train, test) of datasets, or "
        f"proxysample.data.Splits, not {shown(dataset)}"
    )


def _searcher_key(searcher: Searcher) -> dict[str, Any]:
    return {
        name: as_plain(value, f"{name} of {searcher.id}")
        for name, value in searcher.parameters_as_json().items()
        if name != "random_state"
    }


_SEARCHERS: Family[Searcher] = Family(
    SEARCHERS,
    create_searcher,
    implied_parameters,
    _searcher_key,
    lambda _: False,
    (SearchSpace, Augmentation, Normalization),
)


def describe_searcher(given: object, common: Mapping[str, Any]) -> Component:
    """Describe a searcher that a user gives, as `describe_sampler` does.

    Parameters
    ----------
    given : str, Component, mapping, Searcher or type
    common : mapping
        What the study gives to searchers that do not say otherwise, a seed among it.
    """
    component, made = _SEARCHERS.describe(given, common)
    if made is not None and "random_state" not in parameter_names(made):
        raise InputError(
            f"{type(made).__name__} has no parameter random_state, by which a study seeds searches"
        )
    return component


def make_searcher(component: Component, common: Mapping[str, Any]) -> Searcher:
    """Create a component's searcher, with what the study gives to all."""
    return _SEARCHERS.make(component, common)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A second dataset, on which the best found cells are evaluated too (paper, Table 5).

    Attributes
    ----------
    dataset : str
        See `proxysample.data.datasets.load_dataset`; it needs a test part.
    n_best : int
        So many cells of each group of samplers (unsupervised, supervised), those that evaluated
        best on the study's own dataset at its widest network; the baselines' cells always.
    channels : int
        Width of the networks.
    recipe : str
        See `proxysample_nas.training.trainer.RECIPES`.
    training, augmentation : mapping
        Parameters of `CellTrainer` and `Augmentation`.

    Examples
    --------
    >>> Transfer.parse("imagenet16-120:data/ImageNet16,n_best=1").n_best
    1
    """

    dataset: str
    n_best: int = 3
    channels: int = 64
    recipe: str = DEFAULT_RECIPE
    training: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: str | Mapping[str, Any] | Transfer) -> Self:
        """Read ``"dataset,name=value,..."``, a mapping, or what `dataclasses.asdict` wrote.

        Parameters
        ----------
        given : str, mapping or Transfer
            In words, names other than the attributes are parameters of `Augmentation` or
            `CellTrainer`.

        Returns
        -------
        Transfer

        Raises
        ------
        InputError
            If a word is not ``name=value``, or a name is unknown.
        """
        if isinstance(given, cls):
            return replace(
                given,
                training=to_written(given.training),
                augmentation=written_augmentation(given.augmentation),
            )
        if isinstance(given, str):
            dataset, words = split_name(given)
            values = parse_words(words)
            check_names("name in transfer", values, _ALL_WORDS)
            own = {name: values.pop(name) for name in _WORDS & values.keys()}
            augmentation = {name: values.pop(name) for name in _AUGMENTATIONS & values.keys()}
            given = own | {
                "dataset": dataset,
                "augmentation": augmentation,
                "training": values,
            }
        if not isinstance(given, Mapping):
            raise InputError(
                f"transfer must be a text, a mapping or a Transfer, not {shown(given)}"
            )
        try:
            # Not of this class here, which mypy cannot tell of a class given as `cls`.
            names: Any = given
            check_names("name in transfer", names, cls.__annotations__)
            made = cls(**names)
        except TypeError as error:
            raise InputError(f"transfer: {error}") from error
        return cls.parse(made)

    def check(self) -> None:
        """Raise `InputError` for anything that would fail later."""
        if not isinstance(self.n_best, int) or self.n_best < 1:
            raise InputError(f"transfer: n_best must be at least 1, not {shown(self.n_best)}")
        self.create_trainer((0,))

    def create_trainer(self, seeds: tuple[int, ...], progress: bool = False) -> CellTrainer:
        """Create the trainer that evaluates cells on this dataset."""
        return create_trainer(
            self.recipe, self.channels, seeds, self.training, self.augmentation, progress
        )


_WORDS = frozenset({"n_best", "channels", "recipe"})
_AUGMENTATIONS = frozenset(field.name for field in fields(Augmentation))
# Parameters of a trainer that a study and a transfer name outside of `training`.
_NAMED_BESIDE_TRAINING = frozenset({"channels", "seeds", "augmentation"})
_TRAININGS = [
    field.name
    for field in fields(CellTrainer)
    if field.name not in _NAMED_BESIDE_TRAINING | {"progress"}
]
# What a transfer in words may say.
_ALL_WORDS = (*sorted(_WORDS), *sorted(_AUGMENTATIONS), *_TRAININGS)


def create_trainer(
    recipe: str,
    channels: int,
    seeds: tuple[int, ...],
    training: Mapping[str, Any],
    augmentation: Mapping[str, Any],
    progress: bool,
) -> CellTrainer:
    """Create a trainer from plain values.

    Parameters
    ----------
    recipe, channels, seeds, training, augmentation
        See `Transfer` and `proxysample_nas.study.StudyConfiguration`.
    progress : bool
        Whether it shows a progress bar.

    Returns
    -------
    CellTrainer

    Raises
    ------
    InputError
        If a name or a value cannot be used.
    """
    try:
        beside = _NAMED_BESIDE_TRAINING & set(training)
        if beside:
            name = min(beside)
            raise InputError(f"{name} has a setting of its own: give {name} beside training")
        check_names("parameter of training", training, _TRAININGS)
        return CellTrainer.from_recipe(
            recipe,
            channels=channels,
            seeds=seeds,
            augmentation=create_augmentation(augmentation),
            progress=progress,
            **from_written(training),
        )
    except TypeError as error:
        raise InputError(f"training: {error}") from error


def create_augmentation(parameters: Mapping[str, Any] | Augmentation) -> Augmentation:
    """Create an augmentation from plain values; `InputError` for an unknown name."""
    if isinstance(parameters, Augmentation):
        return parameters
    try:
        check_names("parameter of augmentation", parameters, sorted(_AUGMENTATIONS))
        return Augmentation(**parameters)
    except TypeError as error:
        raise InputError(f"augmentation: {error}") from error


def written_augmentation(given: Mapping[str, Any] | Augmentation) -> Mapping[str, Any]:
    """Give the plain values of an augmentation, which JSON takes."""
    return asdict(given) if isinstance(given, Augmentation) else given


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Published accuracies that stand in for training, for cells of 4 nodes.

    Attributes
    ----------
    path : str
        See `proxysample_nas.study.experiments.published.PublishedAccuracies`.
    dataset : str
        Whose column, such as ``"cifar100"``.
    epochs : int
        Of the published trainings.
    """

    path: str
    dataset: str
    epochs: int = 200

    @classmethod
    def parse(cls, given: Mapping[str, Any] | Lookup) -> Self:
        """Read a mapping, or what `dataclasses.asdict` wrote.

        Parameters
        ----------
        given : mapping or Lookup

        Returns
        -------
        Lookup

        Raises
        ------
        InputError
            If a name is unknown or missing.
        """
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping):
            path = shown(given) if isinstance(given, str) else "'FILE.csv'"
            raise InputError(
                f"lookup must be a mapping such as {{'path': {path}, "
                f"'dataset': 'cifar100'}}, not {shown(given)}"
            )
        check_names("name in lookup", given, cls.__annotations__)
        try:
            return cls(**given)
        except TypeError as error:
            raise InputError(f"lookup: {error}") from error
