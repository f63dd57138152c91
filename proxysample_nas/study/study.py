"""What a user holds of a study: set up, run, estimated, reported."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from proxysample.checks import BOOLEAN
from proxysample.components import Component
from proxysample.errors import InputError, unknown_name
from proxysample.experiments.runner import RunOptions, takes_run_options
from proxysample.files import as_path, save_documents
from proxysample.keeping import list_sizes
from proxysample.printing import cleaned, shown
from proxysample.rendering import Column, markdown_document, to_csv, to_html_table
from proxysample_nas.data.loader import Augmentation
from proxysample_nas.study.configuration import (
    ArchitectureData,
    SamplerLike,
    SearcherLike,
    StudyConfiguration,
    given_again,
)
from proxysample_nas.study.estimate import StudyEstimate, estimate_study
from proxysample_nas.study.experiments.base import read_configuration
from proxysample_nas.study.experiments.data import StudyCallback
from proxysample_nas.study.experiments.plan import read_rows
from proxysample_nas.study.given import DatasetLike, Lookup, Transfer, name_and_parts
from proxysample_nas.study.presets import extended
from proxysample_nas.study.reports.accuracy_table import Line, accuracy_table
from proxysample_nas.study.reports.figures import draw_figure
from proxysample_nas.study.reports.report import (
    SEARCHES,
    accuracy_documents,
    write_report,
)
from proxysample_nas.study.reports.results import StudyResults, results_frame, results_to_csv
from proxysample_nas.study.reports.verdicts import verdict_table
from proxysample_nas.study.results import Row
from proxysample_nas.study.run import StudyStore, run_study, store_path
from proxysample_nas.study.status import RunningSearch, StudyStatus, running_searches
from proxysample_nas.training.trainer import DEFAULT_RECIPE

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


class Study:
    """Compare proxy datasets by the cells that are found on them (paper, section 4.2).

    Each sampler scores the training part once, each searcher searches on each cut and on the
    full data, and each distinct cell is trained from scratch on the full data and evaluated on the
    test part. Finished experiments are kept in ``folder/study.sqlite``: a study that was killed
    goes on where it stopped, and ends in the same table.

    Parameters
    ----------
    dataset : str, Splits or (train, test)
        A name, see `proxysample.load_dataset`, or the data themselves: two datasets that
        samplers read, such as torchvision's or pairs of images and labels, also as a mapping
        with ``"train"`` and ``"test"``. A test part is needed.
    samplers : iterable
        Each is an id such as ``"cc-or"`` or ``"km-or:n_clusters=50"``, a `Sampler` or a class of
        them, or what was picked elsewhere: an array of indices or ``"indices:path=FILE.npy"``,
        which are searched as they are, or a `Ranking` or ``"ranking:path=FILE.npz"``, which is
        cut at every ratio.
    searchers : iterable
        Each is an id such as ``"darts-v1:epochs=10"``, a `Searcher` or a class of them.
    ratios : iterable of float
        Fractions to keep, each below 1. The full data are always searched as the baseline.
    n : iterable of int
        Numbers of samples to keep, beside `ratios` or in place of them.
    folder : str or Path
        Made where it does not exist. Holds the store and the tables.
    channels : iterable of int
        Widths at which each found cell is evaluated.
    seeds : iterable of int
        Of the trainings that evaluate a cell.
    search_seeds : iterable of int
        Each setting is searched once for each; several show how much a search varies.
    proxy_seeds : iterable of int
        A sampler that draws picks once for each, and every pick is searched from every search
        seed; a row holds them all. By default it picks once, by `random_state`.
    architecture_data : {"held-out", "test-half"}
        What trains the architecture: samples held out of the training data given to the search,
        or, as in the paper's code, half of the test part. Cells are evaluated on what is left of
        the test part.
    recipe : str
        See `proxysample_nas.training.trainer.RECIPES`; by default that of NAS-Bench-201, as
        `CellTrainer` has it.
    training : mapping, optional
        Parameters of `CellTrainer` that win over the recipe.
    augmentation : mapping or Augmentation, optional
        For searching and evaluating.
    n_train : int, optional
        Use only so many training images, class shares kept, drawn by `random_state`. Indices and
        rankings are of these.
    random_state : int
        Seed of what is drawn of the data, and of the samplers that draw and have none of their
        own.
    transfers : iterable of str, mapping or Transfer
        Other datasets on which the best cells are evaluated, such as
        ``"cifar10:data,channels=16"``.
    lookup : mapping or Lookup, optional
        Published accuracies in place of training on the study's own dataset.

    Raises
    ------
    InputError
        If a setting cannot be used; nothing has been run by then.

    Examples
    --------
    >>> import tempfile
    >>> study = Study(
    ...     dataset="digits", n_train=100, samplers=["rs"], ratios=[0.5],
    ...     searchers=["darts-v1:n_nodes=2,channels=4,cells_per_stage=1,epochs=1"], channels=[4],
    ...     seeds=[777], training={"epochs": 1, "cells_per_stage": 1}, folder=tempfile.mkdtemp(),
    ... )
    >>> study.run(progress=False)
    0
    >>> [(row.method.rstrip("*"), row.n_kept) for row in study.rows("darts-v1")]
    [('Full DS', 100), ('RS', 50)]
    """

    def __init__(
        self,
        *,
        dataset: DatasetLike,
        samplers: Iterable[SamplerLike],
        searchers: Iterable[SearcherLike],
        ratios: Iterable[float] = (),
        n: Iterable[int] = (),
        folder: str | Path = "results/study",
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
    ) -> None:
        self.folder = as_path(folder)
        self.configuration = StudyConfiguration.build(
            dataset=dataset,
            samplers=samplers,
            searchers=searchers,
            ratios=ratios,
            n=n,
            channels=channels,
            seeds=seeds,
            search_seeds=search_seeds,
            proxy_seeds=proxy_seeds,
            architecture_data=architecture_data,
            recipe=recipe,
            training=training,
            augmentation=augmentation,
            n_train=n_train,
            random_state=random_state,
            transfers=transfers,
            lookup=lookup,
        )

    @classmethod
    def from_configuration(cls, folder: str | Path, configuration: StudyConfiguration) -> Self:
        """Create a study from a configuration, such as a preset's."""
        study = cls.__new__(cls)
        study.folder, study.configuration = as_path(folder), configuration
        return study

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        dataset: DatasetLike | None = None,
        samplers: Iterable[SamplerLike] = (),
        searchers: Iterable[SearcherLike] = (),
    ) -> Self:
        """Open a study that was run before, for its tables or to go on with it.

        Parameters
        ----------
        folder : str or Path
        dataset : Splits or (train, test), optional
            The data again, where they were given as objects and the study is to go on.
        samplers, searchers : iterable
            Those again that were given as objects of which the store knows no more than the
            results, such as indices in memory; all others are known.

        Returns
        -------
        Study

        Raises
        ------
        InputError
            If there is none, or what is given again is not what it has.
        """
        store = StudyStore(store_path(as_path(folder)), must_exist=True)
        configuration = read_configuration(store)[0]
        if dataset is not None:
            name, splits = name_and_parts(dataset)
            if name != configuration.dataset:
                raise InputError(
                    f"the study in {folder} is of {shown(configuration.dataset)}, not of "
                    f"{shown(name)}"
                )
            configuration = replace(configuration, splits=splits)
        configuration = replace(
            configuration,
            samplers=given_again(configuration, "samplers", samplers),
            searchers=given_again(configuration, "searchers", searchers),
        )
        return cls.from_configuration(folder, configuration)

    def add(
        self,
        *,
        samplers: Iterable[SamplerLike] = (),
        ratios: Iterable[float] = (),
        n: Iterable[int] = (),
        searchers: Iterable[SearcherLike] = (),
        channels: Iterable[int] = (),
        seeds: Iterable[int] = (),
        search_seeds: Iterable[int] = (),
        proxy_seeds: Iterable[int] = (),
    ) -> Self:
        """Give the same study with more to compare; what has finished stays in its tables.

        Parameters
        ----------
        samplers, ratios, n, searchers, channels, seeds, search_seeds, proxy_seeds : iterable
            What is added to each; see `Study`. The first proxy seeds stand beside the
            `random_state` that samplers drew from before.

        Returns
        -------
        Study
            In the same folder. Its `run` runs what is new.

        Raises
        ------
        InputError
            If nothing is added, an addition is there already, or it cannot be used.

        Examples
        --------
        >>> study = Study(dataset="digits", samplers=["rs"], ratios=[0.5], searchers=["random"])
        >>> study.add(samplers=["cc-or"], ratios=[0.25]).configuration.ratios
        (0.5, 0.25)
        """
        additions = {
            "samplers": samplers,
            "ratios": ratios,
            "n": n,
            "searchers": searchers,
            "channels": channels,
            "seeds": seeds,
            "search_seeds": search_seeds,
            "proxy_seeds": proxy_seeds,
        }
        return self.from_configuration(self.folder, extended(self.configuration, additions))

    @property
    def store(self) -> StudyStore:
        """The finished experiments."""
        return StudyStore(store_path(self.folder))

    @takes_run_options()
    def run(
        self,
        *,
        drop: bool = False,
        callback: StudyCallback | None = None,
        **options: Unpack[RunOptions],
    ) -> int:
        """Run what the store lacks, beside others that may be running the same study.

        Parameters
        ----------
        drop : bool
            Allow to compare less than the folder's study does, which is an error otherwise: the
            store keeps the results, and the tables no longer show them.
        callback : callable, optional
            Called after every epoch of a search or a training with its name and a mapping of
            numbers, such as ``train_loss``. What has finished calls nothing. Several workers
            call it each in its own process, so that it has to be a function of a module.

        Returns
        -------
        int
            How many experiments have failed; their errors are in ``store.failures()``.

        Raises
        ------
        InputError
            If the data cannot be read, an option cannot be used, or the folder's study compares
            what this one leaves out.
        RunInterrupted
            On Ctrl-C or SIGTERM; it is a `KeyboardInterrupt`. What had finished is kept, and
            the next run goes on from there.
        """
        return run_study(
            self.configuration,
            self.folder,
            drop=drop,
            callback=callback,
            **options,
        )

    def estimate(
        self,
        *,
        n_workers: int | None = 1,
        n_threads: int = 1,
        seconds_each: float = 4.0,
        progress: bool = True,
    ) -> StudyEstimate:
        """Foretell how long the rest takes on this machine, by timing a little; write nothing.

        Parameters
        ----------
        n_workers, n_threads : int
            See `run`.
        seconds_each : float
            How long each sampler, searcher and width is timed, where its shortest run leaves a
            choice.
        progress : bool
            Whether a bar shows at a terminal.

        Returns
        -------
        StudyEstimate

        Raises
        ------
        InputError
            If the data cannot be read.
        """
        return estimate_study(
            self.configuration,
            self.folder,
            n_workers=n_workers,
            n_threads=n_threads,
            seconds_each=seconds_each,
            progress=progress,
        )

    def status(self) -> StudyStatus:
        """Read from the store alone how far the study has come.

        Returns
        -------
        StudyStatus

        Raises
        ------
        InputError
            If the study has not been run yet.
        """
        return StudyStatus.read(StudyStore(store_path(self.folder), must_exist=True))

    def running_searches(self) -> list[RunningSearch]:
        """Read how far the searches are that run now, in whatever process.

        Returns
        -------
        list of RunningSearch
            Those that have finished an epoch, with the records of all their epochs.

        Raises
        ------
        InputError
            If the study has not been run yet.
        """
        return list(running_searches(self.folder, self.status()))

    def rows(self, searcher: str) -> list[Row]:
        """Read the lines of one searcher's table; see `proxysample_nas.study.results.Row`."""
        return read_rows(self.store, self._searcher(searcher))

    def _searcher(self, name: str) -> Component:
        is_text = isinstance(name, str)
        found = [c for c in self.configuration.searchers if is_text and name in (c.name, c.label)]
        if not found:
            raise unknown_name(
                "searcher of this study", name, [c.name for c in self.configuration.searchers]
            )
        return found[0]

    def table(
        self,
        searcher: str | None = None,
        columns: Sequence[Column[Line]] = (),
        *,
        paper_column: bool = True,
    ) -> str:
        """Write one searcher's table, and how it came about, as Markdown.

        Parameters
        ----------
        searcher : str, optional
            Its id; the study's first by default.
        columns : sequence of Column
            More columns, behind the table's own; see `proxysample.rendering.Column`. They take
            their values from a `proxysample_nas.study.reports.accuracy_table.Line`.
        paper_column : bool
            Whether the paper's numbers stand beside ours where they may.

        Returns
        -------
        str
        """
        BOOLEAN.check("paper_column", paper_column)
        first = self.configuration.searchers[0].name
        component = self._searcher(first if searcher is None else searcher)
        store = StudyStore(store_path(self.folder), must_exist=True)
        results = StudyResults.read(store, component, paper_column=paper_column)
        return markdown_document(accuracy_table(results, component, columns))

    def verdicts(self) -> str:
        """Write which rows can be told from the full data and from class-random, as Markdown.

        Returns
        -------
        str
            The table, what it would take to see a difference, and what chance alone does; empty
            where no cell found on a proxy has been evaluated.
        """
        table = verdict_table(self.results())
        return "" if table is None else markdown_document(table)

    def save_tables(self, *, paper_column: bool = True) -> list[Path]:
        """Write the tables as CSV and Markdown into the study's folder.

        Parameters
        ----------
        paper_column : bool
            See `table`.

        Returns
        -------
        list of Path
            The files. ``searches.csv`` has all searches and evaluations, as `to_frame` does;
            ``verdicts.md`` and ``.csv`` tell which rows differ, see `verdicts`.
        """
        results = self.results(paper_column=paper_column)
        documents: dict[str, str] = {}
        for component in results.configuration.searchers:
            documents |= accuracy_documents(results, component)
        documents[SEARCHES] = results_to_csv(results)
        verdicts = verdict_table(results)
        if verdicts is not None:
            documents["verdicts.md"] = markdown_document(verdicts)
            documents["verdicts.csv"] = to_csv(verdicts.columns, verdicts.rows)
        return save_documents(documents, self.folder)

    def results(self, *, paper_column: bool = True) -> StudyResults:
        """Read all that a report shows from the store; for `paper_column` see `table`."""
        BOOLEAN.check("paper_column", paper_column)
        store = StudyStore(store_path(self.folder), must_exist=True)
        return StudyResults.read(store, paper_column=paper_column)

    def to_frame(self) -> DataFrame:
        """Give everything that was found as a pandas frame.

        Returns
        -------
        pandas.DataFrame
            One line for each evaluation, and for each search whose cell has none yet. Columns:
            ``searcher``, ``searcher_parameters``, ``group``, ``method``, ``sampler``,
            ``sampler_parameters``, ``r``, ``n_kept``, ``search_seed``, ``proxy_seed``, ``cell``,
            ``is_parameter_free``, ``is_collapsed``, ``is_connected``, ``search_seconds``,
            ``scoring_seconds``, ``channels``, ``evaluation_seed``, ``accuracy`` (in percent),
            ``n_parameters``, ``n_flops`` and ``evaluation_seconds``; missing where a result has
            no such value.

        Raises
        ------
        InputError
            If the study has not been run yet.
        MissingDependencyError
            If pandas is not installed (extra ``pandas``).
        """
        return results_frame(self.results())

    def _repr_html_(self) -> str:
        """Show the tables in a notebook, or what is compared where there are none yet."""
        try:
            results = self.results()
        except InputError as error:
            return f"<pre>{html.escape(f'{self!r}: {error}')}</pre>"
        tables = [accuracy_table(results, one) for one in results.configuration.searchers]
        return "\n".join(map(to_html_table, tables))

    def __repr__(self) -> str:
        configuration = self.configuration
        samplers, searchers = (
            ", ".join(one.label for one in given)
            for given in (configuration.samplers, configuration.searchers)
        )
        return cleaned(
            f"Study of {configuration.dataset} in {self.folder}: {samplers} at "
            f"{list_sizes(configuration.ratios, configuration.n)}; {searchers}"
        )

    def figure(self, name: str) -> Figure:
        """Draw one of the paper's figures.

        Parameters
        ----------
        name : {"time-and-accuracy", "best-cells", "parameter-free-cells", "edge-distribution"}
            See `proxysample_nas.study.reports.figures.FIGURES`.

        Returns
        -------
        matplotlib.figure.Figure
            Not known to pyplot, so nothing has to be closed.

        Raises
        ------
        InputError
            If there is no such figure, or nothing to draw yet.
        MissingDependencyError
            If matplotlib is not installed (extra ``plots``).
        """
        return draw_figure(self.results(), name)

    def report(self, page: str | Path | None = None, *, paper_column: bool = True) -> list[Path]:
        """Write every table and figure, and one page with all of them, from the store alone.

        Parameters
        ----------
        page : str or Path, optional
            Of the page; ``report/report.html`` in the study's folder by default.
        paper_column : bool
            See `table`.

        Returns
        -------
        list of Path
            The files, the page first; all others are in ``report/`` in the study's folder.

        Raises
        ------
        InputError
            If no study was run in the folder, or a file cannot be written.
        MissingDependencyError
            If matplotlib is not installed (extra ``plots``).
        """
        results = self.results(paper_column=paper_column)
        return write_report(
            results, self.folder / "report", None if page is None else as_path(page)
        )
