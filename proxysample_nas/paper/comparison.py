"""When the paper's numbers may stand beside ours: every difference of the settings, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from proxysample.registry import create_sampler
from proxysample.sampler import plain_parameters
from proxysample_nas.paper.numbers import table_number
from proxysample_nas.searchers import create_searcher
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
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
_NOT_COMPARED = frozenset({"algorithm_version", "random_state", "progress", "device"})


class ImageData(Protocol):
    """What has to be known of images to tell which ones they are."""

    @property
    def n_train(self) -> int:
        """Images that train."""

    @property
    def n_test(self) -> int:
        """Images that evaluate."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""

    @property
    def split(self) -> str:
        """Either "test" or "test half"."""


@dataclass(frozen=True)
class SamplerSetup:
    """A sampler of a table.

    Attributes
    ----------
    name : str
        Its id.
    parameters : mapping of str to object
        Those that decide what it keeps.
    is_built_in : bool
        Whether it is one of this library, and no other that took its id.
    """

    name: str
    parameters: Mapping[str, Any]
    is_built_in: bool = True


@dataclass(frozen=True)
class Setup:
    """How the numbers of one table came about.

    Attributes
    ----------
    data : ImageData
    architecture_data : {"held-out", "test-half"}
    searcher : str
        Its id.
    search : mapping of str to object
        The searcher's parameters.
    training : mapping of str to object or None
        Parameters of `CellTrainer` that decide an accuracy, other than the width; None where
        published accuracies were looked up.
    seeds : sequence of int
        Of the trainings.
    samplers : mapping of str to SamplerSetup
        By the names that a table has for them.
    """

    data: ImageData
    architecture_data: str
    searcher: str
    search: Mapping[str, Any]
    training: Mapping[str, Any] | None
    seeds: Sequence[int]
    samplers: Mapping[str, SamplerSetup]


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

    def of_sampler(self, label: str | None) -> tuple[str, ...]:
        """List what sets one row's sampler apart from the paper's; None is the full data."""
        return () if label is None else self.of_samplers.get(label, ())

    def has_paper(self, label: str | None) -> bool:
        """Whether the paper's tables have the method of one row; None is the full data."""
        return label not in self.other_methods


def compare_with_paper(setup: Setup) -> Comparison | None:
    """Tell how a searcher's table differs from the one in the paper.

    Parameters
    ----------
    setup : Setup

    Returns
    -------
    Comparison or None
        None where the paper has no such table: its searchers are four, and its data CIFAR-100.
    """
    number = table_number(setup.searcher)
    if number is None or not is_cifar100(setup.data):
        return None
    other_methods = {label for label, one in setup.samplers.items() if not _is_papers(one)}
    return Comparison(
        number,
        (
            *_data_differences(setup),
            *_search_differences(setup),
            *_training_differences(setup),
        ),
        {
            label: tuple(_sampler_differences(sampler))
            for label, sampler in setup.samplers.items()
            if label not in other_methods
        },
        frozenset(other_methods),
    )


def is_cifar100(data: ImageData) -> bool:
    """Tell CIFAR-100, or a part of it, by what is known of the data.

    Parameters
    ----------
    data : ImageData

    Returns
    -------
    bool
        Whether images are 32x32x3 in 100 classes, as many as CIFAR-100 has to evaluate by, and no
        more of them to train on.
    """
    return (
        data.image_shape == (32, 32, 3)
        and data.n_classes == 100
        and data.n_train <= CIFAR100_TRAIN
        and data.n_test == CIFAR100_TEST[data.split]
    )


def is_imagenet16_120(data: ImageData) -> bool:
    """Tell ImageNet16-120 by what is known of the data: 120 classes of 16x16 images."""
    return data.image_shape == (16, 16, 3) and data.n_classes == 120 and data.n_test == 6_000


def _data_differences(setup: Setup) -> list[str]:
    found = []
    if setup.data.n_train != CIFAR100_TRAIN:
        found.append(f"{setup.data.n_train:,} training images instead of {CIFAR100_TRAIN:,}")
    if setup.architecture_data != "test-half":
        found.append(
            "architecture data held out of the training images instead of half of the test part"
        )
    return found


def _search_differences(setup: Setup) -> list[str]:
    ours = dict(setup.search)
    papers = create_searcher(setup.searcher, protocol="paper").parameters_as_json()
    if "space" in ours:
        # The paper's own is not written.
        ours["space"] = str(SearchSpace.of(ours["space"]))
        papers["space"] = str(NAS_BENCH_201)
    return _changed("search", ours, papers)


def _training_differences(setup: Setup) -> list[str]:
    if setup.training is None:
        return ["published accuracies looked up instead of trainings"]
    found = _changed("evaluation", setup.training, CellTrainer.from_recipe("paper").parameters())
    if tuple(setup.seeds) != CellTrainer().seeds:
        seeds = ", ".join(map(str, setup.seeds))
        found.append(f"evaluation seeds {seeds} instead of 777, 888, 999")
    return found


def _is_papers(sampler: SamplerSetup) -> bool:
    if sampler.name not in PAPERS_SAMPLERS or not sampler.is_built_in:
        return False
    return bool(sampler.parameters.get("keep", "easy") == "easy")


def _sampler_differences(sampler: SamplerSetup) -> list[str]:
    papers = plain_parameters(
        create_sampler(sampler.name, protocol="paper", **PAPERS_SAMPLERS[sampler.name])
    )
    unknown = NEVER_THE_SAME.get(sampler.name)
    left_out = {"n_clusters"} if unknown else set()
    if sampler.name in ROUNDED_BY_PROTOCOL:
        left_out = {"protocol"}
    found = _changed("", sampler.parameters, papers, left_out)
    return [*found, unknown] if unknown else found


def _changed(
    what: str,
    ours: Mapping[str, Any],
    papers: Mapping[str, Any],
    left_out: Set[str] = frozenset(),
) -> list[str]:
    return [
        f"{what} {name} {ours[name]} instead of {papers.get(name)}".strip()
        for name in ours
        if name not in _NOT_COMPARED | left_out and ours[name] != papers.get(name)
    ]
