"""The paper's own numbers, Tables 1 to 5, and when they may stand beside ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

from proxysample.registry import create_sampler
from proxysample.sampler import plain_parameters
from proxysample_nas.searchers import create_searcher
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.training.trainer import CellTrainer

FULL_DATA = "Full DS"
CHANNELS = (16, 32, 64)
"""Widths at which the paper evaluates each cell."""


@dataclass(frozen=True)
class PapersAccuracy:
    """A top-1 accuracy as the paper prints it.

    Attributes
    ----------
    printed : str
        To the paper's digits, such as ``"75.7 ± 0.1"``.

    Examples
    --------
    >>> PapersAccuracy("75.7 ± 0.1").mean
    75.7
    """

    printed: str

    @property
    def mean(self) -> float:
        """Percent."""
        return float(self.printed.partition(" ± ")[0])

    @property
    def std(self) -> float | None:
        """Percentage points over three trainings of one cell; None where none is printed."""
        spread = self.printed.partition(" ± ")[2]
        return float(spread) if spread else None


@dataclass(frozen=True)
class PapersRow:
    """One line of Tables 1 to 4, on CIFAR-100.

    Attributes
    ----------
    table : int
    searcher : str
        Our id.
    method : str
        As the paper has it, such as ``"CC-OR"``; `FULL_DATA` for the baseline.
    r : float
    is_marked : bool
        Whether a * marks the cell as the local optimum, of skip connections alone.
    accuracies : dict of int to PapersAccuracy
        By number of channels.
    """

    table: int
    searcher: str
    method: str
    r: float
    is_marked: bool
    accuracies: dict[int, PapersAccuracy]

    @property
    def sampler(self) -> str | None:
        """Our id of the sampler; None for the baseline."""
        return None if self.method == FULL_DATA else self.method.lower()


@dataclass(frozen=True)
class PapersTransferRow:
    """One line of Table 5: cells found on CIFAR-100, evaluated on ImageNet16-120 too.

    Attributes
    ----------
    group : str
        ``"nas-bench-201"`` (numbers of Dong & Yang 2020), ``"baseline"`` (the paper's own),
        ``"ae"`` or ``"tl"``.
    r : float
    model : str
        A searcher, or ``"ResNet"``.
    accuracies : dict of str to PapersAccuracy
        By dataset, ``"cifar100"`` and ``"imagenet16-120"``.
    """

    group: str
    r: float
    model: str
    accuracies: dict[str, PapersAccuracy]


@cache
def papers_rows() -> tuple[PapersRow, ...]:
    """List every line of Tables 1 to 4.

    Returns
    -------
    tuple of PapersRow
        In the paper's order.

    Examples
    --------
    >>> first = papers_rows()[0]
    >>> first.searcher, first.method, first.accuracies[64].printed
    ('darts-v1', 'Full DS', '47.3 ± 0.3')
    """
    return tuple(
        PapersRow(
            table=table["table"],
            searcher=table["searcher"],
            method=row["method"],
            r=row["r"],
            is_marked=row["is_marked"],
            accuracies={int(c): PapersAccuracy(text) for c, text in row["accuracies"].items()},
        )
        for table in _read()["cell_tables"]
        for row in table["rows"]
    )


@cache
def papers_transfer_rows() -> tuple[PapersTransferRow, ...]:
    """List every line of Table 5.

    Returns
    -------
    tuple of PapersTransferRow
        In the paper's order.
    """
    return tuple(
        PapersTransferRow(
            group=row["group"],
            r=row["r"],
            model=row["model"],
            accuracies={name: PapersAccuracy(text) for name, text in row["accuracies"].items()},
        )
        for row in _read()["transfer_table"]["rows"]
    )


def papers_row(searcher: str, sampler: str | None, r: float) -> PapersRow | None:
    """Look a line of Tables 1 to 4 up.

    Parameters
    ----------
    searcher : str
        Its id.
    sampler : str or None
        Its id; None for the baseline.
    r : float

    Returns
    -------
    PapersRow or None
        None where the paper has none.

    Examples
    --------
    >>> papers_row("darts-v2", "tl", 0.5).accuracies[64].mean
    75.7
    """
    wanted = (searcher, sampler, r)
    found = [row for row in papers_rows() if (row.searcher, row.sampler, row.r) == wanted]
    return found[0] if found else None


def table_number(searcher: str) -> int | None:
    """Give the number of a searcher's table in the paper; None where it has none."""
    return next((row.table for row in papers_rows() if row.searcher == searcher), None)


def _read() -> dict[str, Any]:
    text = files(__package__).joinpath("papers_numbers.json").read_text(encoding="utf-8")
    numbers: dict[str, Any] = json.loads(text)
    return numbers


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
