"""When the paper's numbers may stand beside ours: every difference of the settings, by name."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any

from proxysample.registry import create_sampler
from proxysample.sampler import plain_parameters
from proxysample_nas.searchers import create_searcher
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.study.experiments.facts import DatasetFacts, StudyFacts
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.settings import SAMPLER_EXECUTION, TRAINER_EXECUTION
from proxysample_nas.study.reports.papers_numbers import table_number
from proxysample_nas.training.trainer import CellTrainer

CIFAR100_TRAIN = 50_000
CIFAR100_TEST = {"test": 10_000, "test half": 5_000}

PAPERS_SAMPLERS: dict[str, dict[str, Any]] = {
    "rs": {},
    "km-or": {},
    "ae": {},
    "cc-rs": {},
    "cc-or": {},
    "tl": {"backbone": "resnet18.tv_in1k"},
}
"""What the authors ran, beyond ``protocol="paper"``; the weights are torchvision's."""

ROUNDED_BY_PROTOCOL = frozenset({"rs", "cc-rs", "cc-or"})
"""Samplers whose `protocol` decides nothing but how counts are rounded. The paper's ratios of
CIFAR-100's 50,000 images, 500 a class, are whole numbers, and nothing is rounded."""

NEVER_THE_SAME = {
    "km-or": "the paper does not say which number of clusters (50, 100, 150 or 200) its tables show"
}
"""Samplers whose setting in the paper is not known."""

# Seeds, and what does not change a result.
_NOT_COMPARED = frozenset({"random_state", "progress", "device"}) | SAMPLER_EXECUTION


@dataclass(frozen=True)
class Comparison:
    """How a searcher's table differs from the paper's.

    Attributes
    ----------
    table : int
        The paper's.
    common : tuple of str
        Differences that concern every row.
    of_samplers : mapping of str to tuple of str
        Further differences, by the sampler's label.
    other_methods : frozenset of str
        Labels of samplers that the paper's tables do not have, such as one that keeps hard
        samples.
    """

    table: int
    common: tuple[str, ...]
    of_samplers: Mapping[str, tuple[str, ...]]
    other_methods: frozenset[str] = frozenset()

    @property
    def is_same_protocol(self) -> bool:
        """Whether rows of equal samplers show the same experiment."""
        return not self.common

    def of_sampler(self, sampler: Component | None) -> tuple[str, ...]:
        """List what sets one row's sampler apart from the paper's."""
        return () if sampler is None else self.of_samplers.get(sampler.label, ())

    def has_paper(self, sampler: Component | None) -> bool:
        """Whether the paper's tables have the method of one row."""
        return sampler is None or sampler.label not in self.other_methods


def compare_with_paper(
    configuration: StudyConfiguration, facts: StudyFacts, searcher: Component
) -> Comparison | None:
    """Tell how a searcher's table differs from the one in the paper.

    Parameters
    ----------
    configuration : StudyConfiguration
    facts : StudyFacts
    searcher : Component
        One of the study's.

    Returns
    -------
    Comparison or None
        None where the paper has no such table: its searchers are four, and its data CIFAR-100.
    """
    number = table_number(searcher.name)
    data = facts.datasets[configuration.dataset]
    if number is None or not is_cifar100(data):
        return None
    other_methods = [one for one in configuration.samplers if not _is_papers(configuration, one)]
    return Comparison(
        number,
        (
            *_data_differences(configuration, data),
            *_search_differences(configuration, searcher),
            *_judging_differences(configuration),
        ),
        {
            sampler.label: tuple(_sampler_differences(configuration, sampler))
            for sampler in configuration.samplers
            if sampler not in other_methods
        },
        frozenset(sampler.label for sampler in other_methods),
    )


def is_cifar100(data: DatasetFacts) -> bool:
    """Tell CIFAR-100, or a part of it, by what a store knows of the data.

    Parameters
    ----------
    data : DatasetFacts

    Returns
    -------
    bool
        Whether images are 32x32x3 in 100 classes, as many as CIFAR-100 has to judge by, and no
        more of them to train on.

    Examples
    --------
    >>> is_cifar100(DatasetFacts("ab", 2000, 10_000, 100, (32, 32, 3), "test"))
    True
    >>> is_cifar100(DatasetFacts("ab", 1437, 360, 10, (8, 8, 1), "test"))
    False
    """
    return (
        data.image_shape == (32, 32, 3)
        and data.n_classes == 100
        and data.n_train <= CIFAR100_TRAIN
        and data.n_test == CIFAR100_TEST[data.split]
    )


def _data_differences(configuration: StudyConfiguration, data: DatasetFacts) -> list[str]:
    found = []
    if data.n_train != CIFAR100_TRAIN:
        found.append(f"{data.n_train:,} training images instead of {CIFAR100_TRAIN:,}")
    if configuration.architecture_data != "test-half":
        found.append(
            "architecture data held out of the training images instead of half of the test part"
        )
    return found


def _search_differences(configuration: StudyConfiguration, searcher: Component) -> list[str]:
    ours = configuration.create_searcher(searcher).parameters_as_json()
    papers = create_searcher(searcher.name, protocol="paper").parameters_as_json()
    if "space" in ours:
        # The paper's own is not written.
        ours |= {"space": str(SearchSpace.of(ours["space"]))}
        papers |= {"space": str(NAS_BENCH_201)}
    return _changed("search", ours, papers)


def _judging_differences(configuration: StudyConfiguration) -> list[str]:
    if configuration.lookup is not None:
        return ["published accuracies looked up instead of trainings"]
    ours, papers = (
        # The width is a column of the table.
        {k: v for k, v in asdict(trainer).items() if k not in TRAINER_EXECUTION | {"channels"}}
        for trainer in (
            configuration.create_trainer(configuration.channels[0]),
            CellTrainer.from_recipe("paper"),
        )
    )
    found = _changed("judging", ours, papers)
    if configuration.seeds != CellTrainer().seeds:
        seeds = ", ".join(map(str, configuration.seeds))
        found.append(f"judging seeds {seeds} instead of 777, 888, 999")
    return found


def _is_papers(configuration: StudyConfiguration, sampler: Component) -> bool:
    keep = getattr(configuration.create_sampler(sampler), "keep", "easy")
    return sampler.name in PAPERS_SAMPLERS and keep == "easy"


def _sampler_differences(configuration: StudyConfiguration, sampler: Component) -> list[str]:
    ours = plain_parameters(configuration.create_sampler(sampler))
    papers = plain_parameters(
        create_sampler(sampler.name, protocol="paper", **PAPERS_SAMPLERS[sampler.name])
    )
    unknown = NEVER_THE_SAME.get(sampler.name)
    left_out = {"n_clusters"} if unknown else set()
    if sampler.name in ROUNDED_BY_PROTOCOL:
        left_out = {"protocol"}
    found = _changed("", ours, papers, left_out)
    return [*found, unknown] if unknown else found


def _changed(
    what: str, ours: dict[str, Any], papers: dict[str, Any], left_out: Set[str] = frozenset()
) -> list[str]:
    return [
        f"{what} {name} {ours[name]} instead of {papers[name]}".strip()
        for name in ours
        if name not in _NOT_COMPARED | left_out and ours[name] != papers[name]
    ]
