"""What a study compares: datasets, samplers, ratios, searchers and how cells are judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from proxysample.cli_support import parse_parameters
from proxysample.errors import InputError
from proxysample.keeping import check_ratio
from proxysample.registry import create_sampler, takes_parameter
from proxysample.sampler import Sampler
from proxysample_nas.data.augmentation import Augmentation
from proxysample_nas.searchers import Searcher, create_searcher
from proxysample_nas.training.trainer import CellTrainer


@dataclass(frozen=True)
class Component:
    """A sampler or searcher by its id, with the parameters that differ from its defaults.

    Attributes
    ----------
    name : str
        Such as ``"km-or"``.
    parameters : mapping
        Plain JSON values.

    Examples
    --------
    >>> Component.parse("km-or:n_clusters=50")
    Component(name='km-or', parameters={'n_clusters': 50})
    >>> Component.parse("km-or:n_clusters=50").label
    'KM-OR (n_clusters=50)'
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: str | Mapping[str, Any] | Component) -> Component:
        """Read ``"name"``, ``"name:parameter=value,parameter=value"`` or what `asdict` wrote.

        Parameters
        ----------
        given : str, mapping or Component

        Returns
        -------
        Component

        Raises
        ------
        InputError
            If a word is not ``parameter=value``.
        """
        if isinstance(given, Component):
            return given
        if not isinstance(given, str):
            return cls(given["name"], dict(given["parameters"]))
        name, _, words = given.partition(":")
        return cls(name, parse_parameters(words.split(",") if words else ()))

    @property
    def label(self) -> str:
        """Name as in the paper's tables, with parameters in brackets."""
        words = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return self.name.upper() + (f" ({words})" if words else "")


@dataclass(frozen=True, kw_only=True)
class StudyConfiguration:
    """Everything that decides a study's results.

    Attributes
    ----------
    dataset : str
        See `proxysample.data.datasets.load_dataset`; it needs a test part.
    samplers, searchers : tuple of Component
        Each sampler at each ratio is searched by each searcher.
    ratios : tuple of float
        Fractions to keep, each below 1. The full data are always searched as the baseline.
    channels : tuple of int
        Widths at which each found cell is judged.
    seeds : tuple of int
        Of the trainings that judge a cell.
    recipe : str
        See `proxysample_nas.training.trainer.RECIPES`.
    training : mapping
        Parameters of `CellTrainer` that win over the recipe.
    augmentation : mapping
        Parameters of `Augmentation`, for searching and judging.
    n_train : int or None
        Use only so many training images, class shares kept, drawn by `random_state`.
    random_state : int
        Seed of the samplers and searchers.

    Examples
    --------
    >>> StudyConfiguration.build(
    ...     dataset="digits", samplers=["rs"], searchers=["darts-v1"], ratios=[0.5]
    ... ).channels
    (16,)
    """

    dataset: str
    samplers: tuple[Component, ...]
    searchers: tuple[Component, ...]
    ratios: tuple[float, ...]
    channels: tuple[int, ...] = (16,)
    seeds: tuple[int, ...] = (777, 888, 999)
    recipe: str = "paper"
    training: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    n_train: int | None = None
    random_state: int = 0

    @classmethod
    def build(
        cls,
        *,
        samplers: Iterable[str | Mapping[str, Any] | Component],
        searchers: Iterable[str | Mapping[str, Any] | Component],
        ratios: Iterable[float],
        channels: Iterable[int] = (16,),
        seeds: Iterable[int] = (777, 888, 999),
        **settings: Any,
    ) -> Self:
        """Create a configuration from ids, and check all of it.

        Parameters
        ----------
        samplers, searchers : iterable of str
            Ids such as ``"cc-or"`` or ``"km-or:n_clusters=50"``.
        ratios, channels, seeds : iterable
            See the attributes.
        **settings
            The other attributes.

        Returns
        -------
        StudyConfiguration

        Raises
        ------
        InputError
            If a name, a parameter or a value cannot be used.
        """
        configuration = cls(
            samplers=tuple(Component.parse(one) for one in samplers),
            searchers=tuple(Component.parse(one) for one in searchers),
            ratios=tuple(ratios),
            channels=tuple(channels),
            seeds=tuple(seeds),
            **settings,
        )
        configuration.check()
        return configuration

    def check(self) -> None:
        """Raise `InputError` for anything that would fail later."""
        for r in self.ratios:
            if check_ratio(r) == 1:
                raise InputError("r=1 is the baseline, which is always searched; leave it out")
        for given, what in (
            (self.samplers, "sampler"),
            (self.searchers, "searcher"),
            (self.ratios, "ratio"),
            (self.channels, "number of channels"),
        ):
            if not given:
                raise InputError(f"a study needs at least one {what}")
            if len(set(map(repr, given))) != len(given):
                raise InputError(f"a study names a {what} twice")
        for component in self.samplers:
            self.create_sampler(component)
        for component in self.searchers:
            self.create_searcher(component)
        for channels in self.channels:
            self.create_trainer(channels)
        if self.n_train is not None and self.n_train < 1:
            raise InputError(f"n_train must be at least 1, not {self.n_train}")

    def create_sampler(self, component: Component) -> Sampler:
        """Create a sampler, seeded by `random_state` where it draws."""
        seed = (
            {"random_state": self.random_state}
            if takes_parameter(component.name, "random_state")
            else {}
        )
        return create_sampler(component.name, **(seed | dict(component.parameters)))

    def create_searcher(self, component: Component, progress: bool = False) -> Searcher:
        """Create a searcher, seeded by `random_state`."""
        common = {
            "random_state": self.random_state,
            "augmentation": self.create_augmentation(),
            "progress": progress,
        }
        return create_searcher(component.name, **(common | dict(component.parameters)))

    def create_trainer(self, channels: int, progress: bool = False) -> CellTrainer:
        """Create the trainer that judges cells at one width."""
        try:
            return CellTrainer.from_recipe(
                self.recipe,
                channels=channels,
                seeds=self.seeds,
                augmentation=self.create_augmentation(),
                progress=progress,
                **self.training,
            )
        except TypeError as error:
            raise InputError(f"training: {error}") from error

    def create_augmentation(self) -> Augmentation:
        """Create the augmentation of searching and judging."""
        try:
            return Augmentation(**self.augmentation)
        except TypeError as error:
            raise InputError(f"augmentation: {error}") from error

    def to_json(self) -> str:
        """Write the configuration as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls.build(**json.loads(text))
