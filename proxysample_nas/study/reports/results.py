"""All that a report shows, read from a study's store once, and as a frame."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from proxysample.components import Component
from proxysample.errors import MissingDependencyError
from proxysample.experiments.store import Store
from proxysample_nas.paper import (
    Comparison,
    SamplerSetup,
    Setup,
    compare_with_paper,
)
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import get_operation
from proxysample_nas.space.zero_cost import NetworkSize, network_size
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.experiments.base import Progress, read_configuration
from proxysample_nas.study.experiments.data import StudyInfo
from proxysample_nas.study.experiments.evaluation import read_transfer
from proxysample_nas.study.experiments.plan import progress_of
from proxysample_nas.study.experiments.published import RANDOM_CELL, RandomCell
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.given import Transfer
from proxysample_nas.study.results import CellAccuracy, FoundCell, Row

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class StudyResults:
    """What a study compared and found.

    Attributes
    ----------
    configuration : StudyConfiguration
    progress : Progress
        What was read of the store, with one query a kind of experiment.
    rows : tuple of Row
        Of all searchers, one after another, each in the order of the paper's tables.
    paper_column : bool
        Whether the paper's numbers stand beside ours where they may.
    """

    configuration: StudyConfiguration
    progress: Progress
    rows: tuple[Row, ...]
    paper_column: bool = True
    _sizes: dict[tuple[Cell, int], NetworkSize] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def read(
        cls, store: Store, searcher: Component | None = None, *, paper_column: bool = True
    ) -> Self:
        """Read a store.

        Parameters
        ----------
        store : Store
        searcher : Component, optional
            Whose results are read, of those that the study compares; all by default.
        paper_column : bool
            See the class.

        Returns
        -------
        StudyResults

        Raises
        ------
        InputError
            If no study was run in it.
        """
        configuration, info = read_configuration(store)
        progress = progress_of(configuration, info, store, searcher)
        return cls(configuration, progress, tuple(progress.rows), paper_column)

    def __repr__(self) -> str:
        n_found = sum(len(row.found) for row in self.rows)
        return f"StudyResults({len(self.rows)} rows, {n_found} searches, {self.store.path})"

    @property
    def store(self) -> Store:
        """Where it was read."""
        return self.progress.store

    @property
    def info(self) -> StudyInfo:
        """What is known of its data."""
        return self.progress.study.info

    @property
    def widest(self) -> int:
        """The largest number of channels at which cells were evaluated."""
        return max(self.configuration.channels)

    @property
    def named_searchers(self) -> list[tuple[str, Component]]:
        """Each searcher by a short name; the same one with other parameters is numbered."""
        searchers = self.configuration.searchers
        return list(zip(short_names(searchers), searchers, strict=True))

    def name_of(self, searcher: Component) -> str:
        """Give the short name of one searcher."""
        return next(name for name, one in self.named_searchers if one == searcher)

    def rows_of(self, searcher: Component) -> list[Row]:
        """Give the lines of one searcher's table."""
        return [row for row in self.rows if row.setting.searcher == searcher]

    def compare_with_paper(self, searcher: Component) -> Comparison | None:
        """Tell how one searcher's table differs from the paper's; None where none is shown."""
        if not self.paper_column:
            return None
        return compare_with_paper(setup_of(self.configuration, self.info, searcher))

    def size_of(self, cell: Cell, channels: int) -> NetworkSize | None:
        """Measure the network that evaluates a cell; None where an operation is not here."""
        if not all(get_operation(name).is_runnable for name in cell.operations):
            return None
        if (cell, channels) not in self._sizes:
            data = self.info.datasets[self.configuration.dataset]
            height, width, n_colours = data.image_shape
            self._sizes[cell, channels] = network_size(
                cell,
                data.n_classes,
                (n_colours, height, width),
                channels=channels,
                cells_per_stage=self.configuration.create_trainer(channels).cells_per_stage,
            )
        return self._sizes[cell, channels]

    def transferred(self, transfer: Transfer, cells: Sequence[Cell]) -> dict[Cell, CellAccuracy]:
        """Tell how cells do on another dataset; one that was not trained there is left out."""
        return read_transfer(self.progress, transfer, cells)

    @cached_property
    def random_cell(self) -> RandomCell | None:
        """What a cell drawn by chance comes to; None where no table of all cells was looked up."""
        written = self.store.info(RANDOM_CELL)
        if written is None or self.configuration.lookup is None:
            return None
        return RandomCell.from_json(written)

    @property
    def machines(self) -> list[dict[str, Any]]:
        """What each experiment that has ended ran on, where it is known."""
        results = (self.progress.results(kind) for kind in self.progress.kinds)
        return [one["machine"] for found in results for one in found.values() if "machine" in one]

    def missing_searches(self) -> list[str]:
        """Name every search that has not ended well."""
        done = self.progress.results(Search)
        return [one.label for one in self.progress.experiments(Search) if one.key not in done]


def setup_of(configuration: StudyConfiguration, info: StudyInfo, searcher: Component) -> Setup:
    """Gather what a searcher's table depends on, to compare it with another's.

    Parameters
    ----------
    configuration : StudyConfiguration
    info : StudyInfo
    searcher : Component
        One of the study's.

    Returns
    -------
    Setup
    """
    training = None
    if configuration.lookup is None:
        trainer = configuration.create_trainer(configuration.channels[0])
        # The width is a column of the table.
        training = {k: v for k, v in trainer.parameters().items() if k != "channels"}
    samplers = {
        one.label: SamplerSetup(
            one.name,
            configuration.sampler_parameters(one),
            is_built_in=one.resolved is None,
        )
        for one in configuration.samplers
    }
    return Setup(
        data=info.datasets[configuration.dataset],
        architecture_data=configuration.architecture_data,
        searcher=searcher.name,
        search=configuration.searcher_parameters(searcher),
        training=training,
        seeds=configuration.seeds,
        samplers=samplers,
    )


def short_names(searchers: tuple[Component, ...]) -> list[str]:
    """Name searchers by their ids; the same id again gets a number.

    Parameters
    ----------
    searchers : tuple of Component

    Returns
    -------
    list of str

    Examples
    --------
    >>> short_names((Component("gdas"), Component("gdas", {"epochs": 9}), Component("enas")))
    ['gdas', 'gdas-2', 'enas']
    """
    seen: Counter[str] = Counter()
    names = []
    for searcher in searchers:
        seen[searcher.name] += 1
        again = seen[searcher.name]
        names.append(searcher.name + (f"-{again}" if again > 1 else ""))
    return names


COLUMNS = {
    "searcher": "string",
    "searcher_parameters": "object",
    "group": "string",
    "method": "string",
    "sampler": "string",
    "sampler_parameters": "object",
    "r": "float64",
    "n_kept": "Int64",
    "search_seed": "Int64",
    "proxy_seed": "Int64",
    "cell": "string",
    "is_parameter_free": "boolean",
    "is_collapsed": "boolean",
    "is_connected": "boolean",
    "search_seconds": "float64",
    "scoring_seconds": "float64",
    "channels": "Int64",
    "evaluation_seed": "Int64",
    "accuracy": "float64",
    "n_parameters": "Int64",
    "n_flops": "Int64",
    "evaluation_seconds": "float64",
}
"""Types by column; whole numbers stay whole where some are missing."""


def results_frame(results: StudyResults) -> DataFrame:
    """Give one line for each evaluation, and for each search whose cell has none yet."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            "pandas is not installed, and a frame needs it: pip install 'proxysample[pandas]'"
        ) from error
    return pd.DataFrame(list(_lines(results)), columns=list(COLUMNS)).astype(COLUMNS)


def results_to_csv(results: StudyResults) -> str:
    """Write the same lines as comma-separated values; parameters as JSON, numbers unrounded."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in _lines(results):
        writer.writerow(
            {
                name: json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
                for name, value in line.items()
            }
        )
    return stream.getvalue()


def _lines(results: StudyResults) -> Iterator[dict[str, Any]]:
    for row in results.rows:
        for found in row.found:
            line = _search(row, found)
            for evaluation in _evaluations(results, found):
                yield line | evaluation


def _search(row: Row, found: FoundCell) -> dict[str, Any]:
    searcher, sampler = row.setting.searcher, row.setting.sampler
    return {
        "searcher": searcher.name,
        "searcher_parameters": dict(searcher.parameters),
        "group": row.group,
        "method": "Full DS" if sampler is None else sampler.label,
        "sampler": None if sampler is None else sampler.name,
        "sampler_parameters": {} if sampler is None else dict(sampler.parameters),
        "r": row.setting.r,
        "n_kept": found.n_kept,
        "search_seed": found.seed,
        "proxy_seed": found.proxy_seed,
        "cell": str(found.cell),
        "is_parameter_free": found.cell.is_parameter_free,
        "is_collapsed": found.cell.is_collapsed,
        "is_connected": found.cell.is_connected,
        "search_seconds": found.seconds,
        "scoring_seconds": row.scoring_seconds,
    }


def _evaluations(results: StudyResults, found: FoundCell) -> Iterator[dict[str, Any]]:
    if not found.evaluations:
        yield {}
    for channels, accuracy in sorted(found.evaluations.items()):
        measured = results.size_of(found.cell, channels)
        size = {"channels": channels} | ({} if measured is None else asdict(measured))
        for evaluation in _runs(accuracy):
            yield size | evaluation


def _runs(accuracy: CellAccuracy) -> Iterator[dict[str, Any]]:
    if accuracy.is_looked_up:
        yield {"accuracy": accuracy.mean}
    for run in accuracy.runs:
        yield {
            "evaluation_seed": run.seed,
            "accuracy": run.accuracy,
            "n_parameters": run.n_parameters,
            "evaluation_seconds": run.seconds,
        }
