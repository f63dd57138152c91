"""What a study compares: datasets, samplers, ratios, searchers and how cells are evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, get_args

import numpy.typing as npt

from proxysample.checks import as_seeds, as_tuple, first_repeated
from proxysample.components import Component, check_distinct, check_labels
from proxysample.data.datasets import ArrayDataset, Splits
from proxysample.described import GivenAgainError, describe_sampler, make_sampler, sampler_key
from proxysample.errors import InputError, check_names, unknown_name
from proxysample.keeping import (
    check_counts,
    check_kept_sizes,
    check_ratio,
    kept_sizes,
    name_size,
)
from proxysample.ranking import Ranking
from proxysample.records import (
    COUNT,
    MAPPING,
    NUMBER,
    POSITIVE,
    TEXT,
    Kind,
    check_finite,
    check_kinds,
    check_values,
    list_of,
    optional,
    read_json,
    require_values,
)
from proxysample.registry import READY_MADE, Shipped
from proxysample.sampler import Sampler
from proxysample.samplers.given import check_same_samples
from proxysample_nas.data.loader import Augmentation, to_written
from proxysample_nas.searchers import Searcher
from proxysample_nas.space.operations import (
    NAS_BENCH_201,
    SearchSpace,
    described_operations,
    read_described_operations,
    refuse_described,
)
from proxysample_nas.study.given import (
    DatasetLike,
    Lookup,
    Transfer,
    create_augmentation,
    create_trainer,
    describe_searcher,
    make_searcher,
    name_and_parts,
    written_augmentation,
)
from proxysample_nas.training.trainer import DEFAULT_RECIPE, CellTrainer

ArchitectureData = Literal["held-out", "test-half"]
SamplerLike = (
    str | Component | Mapping[str, Any] | Sampler | type[Sampler] | Ranking | npt.ArrayLike
)
SearcherLike = str | Component | Mapping[str, Any] | Searcher | type[Searcher]

# What the published accuracies of NAS-Bench-201 are of.
LOOKED_UP_CHANNELS = (16,)
LOOKED_UP_NODES = 4


# What a store's configuration has to hold, and of what kind the rest is.
WHERE = "the store's configuration"


def _is_component(value: Any) -> bool:
    return (
        MAPPING.accepts(value)
        and TEXT.accepts(value.get("name"))
        and MAPPING.accepts(value.get("parameters"))
        and optional(MAPPING).accepts(value.get("resolved"))
        and value.get("uses_labels") in (None, True, False)
        and (value["name"] not in READY_MADE or _is_ready_made(value))
    )


def _is_ready_made(value: Any) -> bool:
    # Its content is known, or a file would be read to open a store.
    resolved = value.get("resolved")
    needed = {"indices": TEXT, "n_kept": POSITIVE} if value["name"] == "indices" else {}
    return resolved is not None and all(
        kind.accepts(resolved.get(name)) for name, kind in needed.items()
    )


_COMPONENT = Kind("a name with parameters", _is_component)
NEEDED = {
    "dataset": TEXT,
    "samplers": list_of(_COMPONENT),
    "searchers": list_of(_COMPONENT),
    "ratios": list_of(NUMBER),
}
WRITTEN = {
    "channels": list_of(POSITIVE),
    "seeds": list_of(COUNT),
    "search_seeds": list_of(COUNT),
    "proxy_seeds": list_of(COUNT),
    "architecture_data": TEXT,
    "recipe": TEXT,
    "training": MAPPING,
    "augmentation": MAPPING,
    "n_train": optional(POSITIVE),
    "random_state": COUNT,
    "transfers": list_of(MAPPING),
    "lookup": optional(MAPPING),
    "n": list_of(POSITIVE),
}
# Of what a user gives as it is; the rest is created from names.
GIVEN = {"dataset": TEXT} | {
    name: WRITTEN[name]
    for name in ("recipe", "random_state", "n_train", "training", "augmentation")
}


def _written_training(training: Mapping[str, Any] | None) -> Mapping[str, Any]:
    # What is no mapping is refused with all other settings.
    if isinstance(training, Mapping):
        return to_written(training)
    return {} if training is None else training


def _optional_seeds(name: str, seeds: Iterable[int]) -> tuple[int, ...]:
    given = as_tuple(name, seeds)
    return as_seeds(name, given) if given else ()


@dataclass(frozen=True, kw_only=True)
class StudyConfiguration(Shipped):
    """Everything that decides a study's results.

    Attributes
    ----------
    dataset : str
        See `proxysample.data.datasets.load_dataset`; it needs a test part.
    samplers, searchers : tuple of Component
        Each sampler at each ratio is searched by each searcher.
    ratios : tuple of float
        Fractions to keep, each below 1. The full data are always searched as the baseline.
    n : tuple of int
        Numbers of samples to keep, beside the ratios.
    channels : tuple of int
        Widths at which each found cell is evaluated.
    seeds : tuple of int
        Of the trainings that evaluate a cell.
    search_seeds : tuple of int
        Each setting is searched once for each; several show how much a search varies.
    proxy_seeds : tuple of int
        A sampler that draws picks once for each, and every pick is searched from every search
        seed: a row holds them all. Empty for one pick, by `random_state`.
    architecture_data : {"held-out", "test-half"}
        What trains the architecture: samples held out of the training data given to the search,
        or, as in the paper's code, half of the test part. Cells are evaluated on what is left of
        the test part.
    recipe : str
        See `proxysample_nas.training.trainer.RECIPES`.
    training : mapping
        Parameters of `CellTrainer` that win over the recipe.
    augmentation : mapping
        Parameters of `Augmentation`, for searching and evaluating.
    n_train : int or None
        Use only so many training images, class shares kept, drawn by `random_state`.
    random_state : int
        Seed of the samplers, and of what is drawn of the data.
    transfers : tuple of Transfer
        Other datasets on which the best cells are evaluated.
    lookup : Lookup or None
        Published accuracies in place of training on the study's own dataset.
    splits : Splits or None
        The dataset itself, where it was given as objects. It travels to workers, never to the
        store.

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
    n: tuple[int, ...] = ()
    channels: tuple[int, ...] = (16,)
    seeds: tuple[int, ...] = (777, 888, 999)
    search_seeds: tuple[int, ...] = (0,)
    proxy_seeds: tuple[int, ...] = ()
    architecture_data: ArchitectureData = "held-out"
    recipe: str = DEFAULT_RECIPE
    training: Mapping[str, Any] = field(default_factory=dict)
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    n_train: int | None = None
    random_state: int = 0
    transfers: tuple[Transfer, ...] = ()
    lookup: Lookup | None = None
    splits: Splits | None = field(default=None, compare=False, repr=False)

    @classmethod
    def build(
        cls,
        *,
        dataset: DatasetLike,
        samplers: Iterable[SamplerLike],
        searchers: Iterable[SearcherLike],
        ratios: Iterable[float] = (),
        n: Iterable[int] = (),
        channels: Iterable[int] = (16,),
        seeds: Iterable[int] = (777, 888, 999),
        search_seeds: Iterable[int] = (0,),
        proxy_seeds: Iterable[int] = (),
        architecture_data: ArchitectureData = "held-out",
        recipe: str = DEFAULT_RECIPE,
        training: Mapping[str, Any] | None = None,
        augmentation: Mapping[str, Any] | Augmentation | None = None,
        n_train: int | None = None,
        random_state: int = 0,
        transfers: Iterable[str | Mapping[str, Any] | Transfer] = (),
        lookup: Mapping[str, Any] | Lookup | None = None,
    ) -> Self:
        """Create a configuration from what a user gives, and check all of it.

        Parameters
        ----------
        dataset, samplers, searchers, ratios, n, channels, seeds, search_seeds, proxy_seeds,
        architecture_data, recipe, training, augmentation, n_train, random_state, transfers, lookup
            See `proxysample_nas.study.Study`.

        Returns
        -------
        StudyConfiguration

        Raises
        ------
        InputError
            If a name, a parameter or a value cannot be used.
        """
        name, splits = name_and_parts(dataset)
        configuration = cls(
            dataset=name,
            splits=splits,
            samplers=(),
            searchers=(),
            ratios=as_tuple("ratios", ratios),
            n=check_counts(n),
            channels=as_tuple("channels", channels),
            seeds=as_seeds("seeds", seeds),
            search_seeds=as_seeds("search_seeds", search_seeds),
            proxy_seeds=_optional_seeds("proxy_seeds", proxy_seeds),
            architecture_data=architecture_data,
            recipe=recipe,
            training=_written_training(training),
            augmentation=written_augmentation({} if augmentation is None else augmentation),
            n_train=n_train,
            random_state=random_state,
            transfers=tuple(Transfer.parse(one) for one in as_tuple("transfers", transfers)),
            lookup=None if lookup is None else Lookup.parse(lookup),
        )
        # What samplers and searchers are given by the study, they are created with.
        check_kinds(vars(configuration), GIVEN)
        common = configuration._common(configuration.search_seeds[0])
        configuration = replace(
            configuration,
            samplers=tuple(
                describe_sampler(one, {"random_state": random_state})
                for one in as_tuple("samplers", samplers)
            ),
            searchers=tuple(
                describe_searcher(one, common) for one in as_tuple("searchers", searchers)
            ),
        )
        configuration.check()
        return configuration

    def check(self) -> None:
        """Raise `InputError` for anything that would fail later."""
        self._check_axes()
        for component in self.samplers:
            if component.resolved is None:
                self.create_sampler(component).check_parameters()
        for component in self.searchers:
            self._check_searcher(component)
        for channels in self.channels:
            self.create_trainer(channels)
        for transfer in self.transfers:
            transfer.check()
        if self.architecture_data not in get_args(ArchitectureData):
            raise unknown_name(
                "kind of architecture data", self.architecture_data, get_args(ArchitectureData)
            )
        if self.lookup is not None and self.channels != LOOKED_UP_CHANNELS:
            raise InputError(
                "published accuracies are of networks with 16 channels: give channels=[16], "
                "--channels 16"
            )

    def _check_axes(self) -> None:
        for r in self.ratios:
            if check_ratio(r) == 1:
                raise InputError("r=1 is the baseline, which is always searched; leave it out")
        needs_ratio = any(one.size is None for one in self.samplers)
        for given, what, is_needed in (
            (self.samplers, "sampler", True),
            (self.searchers, "searcher", True),
            (self.ratios, "ratio", needs_ratio and not self.n),
            (self.channels, "number of channels", True),
        ):
            if is_needed and not given:
                raise InputError(f"a study needs at least one {what}")
        for numbers, what in ((self.ratios, "ratio"), (self.channels, "number of channels")):
            if first_repeated(map(repr, numbers)) is not None:
                raise InputError(f"a study names a {what} twice")
        check_distinct(self.samplers, "a study")
        check_distinct(self.searchers, "a study", "searcher")
        check_labels(self.samplers)
        datasets = [self.dataset, *(transfer.dataset for transfer in self.transfers)]
        if len(set(datasets)) != len(datasets):
            raise InputError("a study's dataset and the datasets of its transfers must differ")

    def _check_searcher(self, component: Component) -> None:
        if "random_state" in component.parameters:
            raise InputError(
                f"{component.name}: the seeds of a study's searches are given as search_seeds"
            )
        parameters: Mapping[str, Any]
        if component.resolved is None:
            searcher = self.create_searcher(component, self.search_seeds[0])
            searcher.check_parameters()
            parameters = searcher.get_params(deep=False)
        else:
            parameters = component.resolved
        if parameters.get("protocol") == "paper" and self.architecture_data == "held-out":
            raise InputError(
                f"{component.label} needs architecture data of its own, as the paper's code took "
                "from the test part: set architecture_data='test-half'"
            )
        if self.lookup is not None and parameters["n_nodes"] != LOOKED_UP_NODES:
            raise InputError(
                f"{component.label} searches cells of {parameters['n_nodes']} nodes, but published "
                f"accuracies are of cells of {LOOKED_UP_NODES}: add n_nodes={LOOKED_UP_NODES}"
            )
        space = self._space_of(component)
        unpublished = [name for name in space.operations if name not in NAS_BENCH_201]
        if self.lookup is not None and unpublished:
            raise InputError(
                f"{component.label}: {unpublished[0]} is no operation of NAS-Bench-201, of which "
                "the published accuracies are; leave it out of space, or leave lookup out"
            )

    def _space_of(self, component: Component) -> SearchSpace:
        """Give what a searcher chooses from."""
        if component.resolved is None:
            searcher = self.create_searcher(component, self.search_seeds[0])
            return SearchSpace.of(searcher.get_params(deep=False).get("space", NAS_BENCH_201))
        return SearchSpace.of(component.resolved.get("space", NAS_BENCH_201))

    def check_data(self, train: ArrayDataset) -> None:
        """Raise `InputError` where ready indices, a ranking or `n` do not fit the training part."""
        check_kept_sizes(len(train), self.ratios, self.n)
        for component in self.samplers:
            sampler = self.create_sampler(component)
            if component.name in READY_MADE:
                sampler.fit(train)
            else:
                check_same_samples(sampler, component.label, len(train), "")
            if component.size == len(train):
                raise InputError(
                    f"{component.label} keeps all of the {len(train):,} training samples, which "
                    "are the baseline: it is always searched; leave them out"
                )

    def check_runnable(self) -> None:
        """Raise `InputError` for a sampler or searcher of which only the results are known."""
        for component in self.searchers:
            refuse_described(self._space_of(component).operations)
        for axis, components, create in (
            ("samplers", self.samplers, self.create_sampler),
            ("searchers", self.searchers, self.create_searcher),
        ):
            for component in components:
                try:
                    made: Sampler | Searcher = create(component)
                except GivenAgainError as error:
                    raise InputError(f"{error}, as in Study.open(folder, {axis}=[...])") from error
                made.check_parameters()

    def create_sampler(self, component: Component, seed: int | None = None) -> Sampler:
        """Create a sampler, seeded by one of `proxy_seeds`, or by `random_state` where it draws."""
        sampler = make_sampler(component, {"random_state": self.random_state})
        if seed is not None:
            sampler.set_params(random_state=seed)
        return sampler

    def create_searcher(
        self, component: Component, seed: int = 0, progress: bool = False
    ) -> Searcher:
        """Create a searcher, seeded by one of `search_seeds`."""
        return make_searcher(component, self._common(seed, progress))

    def _common(self, seed: int, progress: bool = False) -> dict[str, Any]:
        return {
            "random_state": seed,
            "augmentation": create_augmentation(self.augmentation),
            "progress": progress,
        }

    def proxy_seeds_of(self, component: Component | None) -> tuple[int | None, ...]:
        """Give the seeds that a sampler picks from, one after another.

        Parameters
        ----------
        component : Component or None
            None for the full data.

        Returns
        -------
        tuple of int or None
            `proxy_seeds` where it draws and has no seed of its own; else one None.
        """
        if component is None or not self.proxy_seeds or not self._draws(component):
            return (None,)
        return self.proxy_seeds

    def _draws(self, component: Component) -> bool:
        if component.name in READY_MADE or "random_state" in component.parameters:
            return False
        return "random_state" in self.sampler_parameters(component)

    def n_searches_of(self, component: Component | None) -> int:
        """Count the searches of a sampler's row, or of the full data's."""
        return len(self.search_seeds) * len(self.proxy_seeds_of(component))

    @property
    def searches_several(self) -> bool:
        """Whether a row holds several searches."""
        return len(self.search_seeds) > 1 or len(self.proxy_seeds) > 1

    def sampler_parameters(self, component: Component, seed: int | None = None) -> dict[str, Any]:
        """Give what decides a sampler's scores, as plain JSON values."""
        if component.resolved is not None:
            drawn = {} if seed is None else {"random_state": seed}
            return dict(component.resolved) | drawn
        return sampler_key(self.create_sampler(component, seed))

    def searcher_parameters(self, component: Component, seed: int = 0) -> dict[str, Any]:
        """Give what decides the cell that a searcher finds, as plain JSON values."""
        if component.resolved is not None:
            return dict(component.resolved) | {"random_state": seed}
        return self.create_searcher(component, seed).parameters_as_json()

    def create_trainer(self, channels: int, progress: bool = False) -> CellTrainer:
        """Create the trainer that evaluates cells at one width."""
        return create_trainer(
            self.recipe, channels, self.seeds, self.training, self.augmentation, progress
        )

    def to_json(self) -> str:
        """Write the configuration as JSON; of classes of others, what reading results needs."""
        written = {
            name: [one.to_json() for one in value] if name in ("samplers", "searchers") else value
            for name, value in vars(self).items()
            # Studies of ratios alone are written as they always were.
            if name != "splits" and (name != "n" or value)
        }
        names = {name for one in self.searchers for name in self._space_of(one).operations}
        own = described_operations(sorted(names))
        if own:
            written["operations"] = own
        written["transfers"] = [asdict(one) for one in self.transfers]
        written["lookup"] = None if self.lookup is None else asdict(self.lookup)
        return json.dumps(written, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; `InputError` where it is damaged."""
        values = read_json(text, WHERE)
        require_values(values, NEEDED, WHERE)
        check_values(values, WRITTEN, WHERE)
        check_names("setting of a study", values, (*NEEDED, *WRITTEN, "operations"))
        check_finite(values, WHERE)
        try:
            read_described_operations(values.pop("operations", ()))
            return cls.build(**values)
        # A parameter of another type, in whatever is created to check it.
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            raise InputError(f"{WHERE} cannot be used: {error}") from error


def given_again(
    configuration: StudyConfiguration, axis: str, given: Iterable[Any]
) -> tuple[Component, ...]:
    """Give the components of an axis, those that are given again as what can be run."""
    describe: Callable[[object, Mapping[str, Any]], Component] = describe_searcher
    named: Callable[[Component], dict[str, Any]] = configuration.searcher_parameters
    augmentation = create_augmentation(configuration.augmentation)
    common: dict[str, Any] = {"random_state": 0, "augmentation": augmentation}
    if axis == "samplers":
        describe, named = describe_sampler, configuration.sampler_parameters
        common = {"random_state": configuration.random_state}
    components: tuple[Component, ...] = getattr(configuration, axis)
    for again in (describe(one, common) for one in as_tuple(axis, given)):
        known = [(one.name, named(one)) for one in components]
        if (again.name, named(again)) not in known:
            raise InputError(
                f"{again.label} is none of the {axis} that the study has: "
                f"{', '.join(one.label for one in components)}; Study.add adds to them"
            )
        place = known.index((again.name, named(again)))
        components = (*components[:place], again, *components[place + 1 :])
    return components


@dataclass(frozen=True)
class Setting:
    """One row of a study: what a searcher searched on.

    Attributes
    ----------
    searcher : Component
    sampler : Component or None
        None for the baseline, the full data.
    r : float
        1 for the baseline.
    n : int or None
        How many samples are kept, where that was given in place of `r`.
    """

    searcher: Component
    sampler: Component | None
    r: float
    n: int | None = field(default=None, repr=False)

    @property
    def size(self) -> str:
        """How much is kept, as it was asked for."""
        return name_size(self.r, self.n)

    @property
    def label(self) -> str:
        """Words for a progress bar."""
        data = "full data" if self.sampler is None else f"{self.sampler.label} {self.size}"
        return f"{self.searcher.name} on {data}"


def settings_of(configuration: StudyConfiguration, n_train: int) -> list[Setting]:
    """List what is searched, baselines first; ready indices have the one ratio that they are."""
    settings = [Setting(searcher, None, 1.0) for searcher in configuration.searchers]
    sizes = kept_sizes(n_train, configuration.ratios, configuration.n)
    descending = sorted(sizes.items(), reverse=True)
    settings += [
        Setting(searcher, sampler, r, n)
        for searcher in configuration.searchers
        for sampler in configuration.samplers
        for r, n in (descending if sampler.size is None else [(sampler.size / n_train, None)])
    ]
    return settings
