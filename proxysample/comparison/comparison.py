"""What a user holds of a comparison: run, read, shown, and how much of it is left."""

from __future__ import annotations

import html
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from proxysample.comparison.configuration import (
    BudgetChoice,
    Configuration,
    SamplerLike,
)
from proxysample.comparison.data import CLEAN, ArmInfo, ComparisonInfo
from proxysample.comparison.experiments import (
    ComparisonContext,
    ComparisonStore,
    Listing,
    begin,
    open_store,
    read_comparison,
    store_path,
)
from proxysample.comparison.figure import draw_comparison
from proxysample.comparison.report import table_documents, write_report
from proxysample.comparison.results import ComparisonResults
from proxysample.comparison.table import comparison_table
from proxysample.errors import InputError
from proxysample.experiments.runner import RunOptions, run_experiments, takes_run_options
from proxysample.files import as_path, save_documents
from proxysample.isolation import isolated
from proxysample.keeping import list_sizes
from proxysample.printing import cleaned
from proxysample.rendering import markdown_document, to_html_table
from proxysample.wording import aligned, pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


class Comparison:
    """Samplers compared by what a model learns from what each keeps; see `compare`.

    Parameters
    ----------
    configuration : Configuration
    folder : Path
        Holds the store; made where it does not exist.

    Attributes
    ----------
    folder : Path
    configuration : Configuration
    """

    def __init__(self, configuration: Configuration, folder: Path) -> None:
        self.configuration = configuration
        self.folder = folder
        self._read: tuple[tuple[Any, ...], ComparisonResults] | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a comparison that was run before, for its results.

        Parameters
        ----------
        folder : str or Path

        Returns
        -------
        Comparison

        Raises
        ------
        InputError
            If there is none, or its store is damaged.
        """
        store = ComparisonStore(store_path(as_path(folder)), must_exist=True)
        return cls(read_comparison(store)[0], as_path(folder))

    @cached_property
    def _context(self) -> ComparisonContext:
        """What is read here once, for runs and for pictures."""
        return ComparisonContext(self.configuration.with_folder(self.folder))

    @property
    def store(self) -> ComparisonStore:
        """The finished experiments."""
        return ComparisonStore(store_path(self.folder), must_exist=True)

    @takes_run_options()
    def run(
        self,
        **options: Unpack[RunOptions],
    ) -> int:
        """Run what the store lacks, beside others that may be running the same comparison.

        Returns
        -------
        int
            How many experiments have failed; their errors are in ``store.failures()``.

        Raises
        ------
        InputError
            If the data cannot be read, or an option cannot be used.
        RunInterrupted
            On Ctrl-C or SIGTERM; what had finished is kept.
        """
        if self.configuration.source is None:
            raise InputError(
                "only the results of this comparison are known: call compare with what it was "
                "called with at first, and the same folder"
            )
        context = self._context
        context.progress = options.get("progress", True)
        return run_experiments(
            context,
            self.folder,
            partial(open_store, self.folder, context),
            partial(begin, context),
            **options,
        )

    def remaining(self) -> str:
        """Say what is to be run and how much of it is done, without reading any data."""
        return remaining_work(self.configuration, store_path(self.folder))

    def results(self) -> ComparisonResults:
        """Read everything that is shown from the store, once for each state that it has."""
        store = self.store
        state = (len(store.states()), store.info("configuration"), store.info("facts"))
        if self._read is None or self._read[0] != state:
            self._read = (state, ComparisonResults.read(store))
        return self._read[1]

    @property
    def verdict(self) -> str:
        """One sentence: how much to keep and by which method, or to take random."""
        return self.results().verdict

    def table(self) -> str:
        """Write the table, and how it came about, as Markdown."""
        return markdown_document(comparison_table(self.results()))

    def figure(self) -> Figure:
        """Draw accuracy over r, what is random as a band.

        Returns
        -------
        matplotlib.figure.Figure
            Not known to pyplot, so nothing has to be closed.

        Raises
        ------
        InputError
            If there is nothing to draw yet.
        MissingDependencyError
            If matplotlib is not installed (extra ``plots``).
        """
        return draw_comparison(self.results())

    def to_frame(self) -> DataFrame:
        """Give every training as a line of a pandas frame.

        Returns
        -------
        pandas.DataFrame
            Columns ``arm``, ``method``, ``r``, ``budget``, ``seed``, ``n_kept``, ``accuracy`` and
            ``worst_class`` (in percent), ``seconds``, ``cpu_seconds`` and ``scoring_seconds``.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed (extra ``pandas``).
        """
        return self.results().to_frame()

    def report(self, path: str | Path | None = None) -> list[Path]:
        """Write the table in every form, the figure, and one page with all of it.

        Parameters
        ----------
        path : str or Path, optional
            Of the page; ``report/comparison.html`` in the comparison's folder by default.

        Returns
        -------
        list of Path
            The files, the page first; all others are in ``report/`` in the comparison's folder.

        Raises
        ------
        InputError
            If nothing was compared yet, or a file cannot be written.
        MissingDependencyError
            If matplotlib is not installed (extra ``plots``).
        """
        folder = self.folder / "report"
        page = folder / "comparison.html" if path is None else as_path(path)
        data = None if self.configuration.source is None else self._context.data
        return write_report(self.results(), self.store, folder, page, data)

    def save(self) -> list[Path]:
        """Write the table, as CSV and Markdown, into the comparison's folder."""
        return save_documents(table_documents(self.results()), self.folder)

    def _repr_html_(self) -> str:
        """Show the verdict and the table in a notebook."""
        try:
            results = self.results()
        except InputError as error:
            return f"<pre>{html.escape(f'{self!r}: {error}')}</pre>"
        sentence = f"<p><strong>{html.escape(results.verdict)}</strong></p>"
        return sentence + to_html_table(comparison_table(results))

    def __repr__(self) -> str:
        configuration = self.configuration
        samplers = ", ".join(one.component.label for one in configuration.others)
        sizes = list_sizes(configuration.ratios, configuration.n)
        words = f"{samplers} on {configuration.dataset} at {sizes}, in {self.folder}"
        return cleaned(f"Comparison of {words}")


@isolated()
@takes_run_options(progress=False)
def compare(
    dataset: Any,
    samplers: Iterable[SamplerLike],
    ratios: Iterable[float] = (),
    evaluator: Any = "head",
    seeds: int | Iterable[int] = 3,
    folder: str | Path | None = None,
    *,
    n: Iterable[int] = (),
    draws: int | None = None,
    budget: BudgetChoice = "epochs",
    features: Any = None,
    held_out: Any = None,
    noise: float = 0.0,
    imbalance: float = 1.0,
    random_state: int = 0,
    **options: Unpack[RunOptions],
) -> Comparison:
    """Tell which sampler pays on a dataset: train the same model on what each keeps.

    Class-random (``cc-rs``) and random (``rs``) draws are always in it, and, where the model can
    follow one, RS2: another random part each epoch. Differences are to class-random, paired by
    seed.

    Parameters
    ----------
    dataset : str, Splits, pair (train, test), mapping or dataset
        See `proxysample.load_dataset`; two parts, each a dataset or a pair of images and labels; or
        one dataset, or pair of images and labels, with `held_out`.
    samplers : iterable
        Each is an id such as ``"herding"`` or ``"km-or:n_clusters=50"``, a `Sampler` or a class of
        them, or what was picked elsewhere: an array of indices, or a `Ranking`. One with a
        parameter ``random_state`` that is not given draws anew for each seed. One with a
        parameter ``features`` that is not given gets the comparison's; with
        ``features="pixels"`` each reads the pixels itself.
    ratios : iterable of float
        Fractions to keep, each below 1.
    n : iterable of int
        Numbers of samples to keep, beside `ratios` or in place of them.
    evaluator : str, Evaluator or callable
        What is trained. ``"head"``: a linear classifier on features, in minutes. ``"network"``: a
        small convolutional network on the pixels, from scratch. Or a function ``(train, held_out,
        seed, budget)`` that gives predicted class codes, or an accuracy from 0 to 1; `train` and
        `held_out` are datasets with ``X``, ``y``, ``images`` and ``n_classes``.
    seeds : int or iterable of int
        How many trainings of each, or their seeds. A single one gives no interval.
    folder : str or Path, optional
        Keeps what has finished: the same call goes on where it was killed. By default a folder
        that goes with the object.
    draws : int, optional
        Of the random samplers; at least the seeds, and 10 where a training takes seconds.
    budget : {"epochs", "steps", "both"}
        Equal epochs, so that less data take less time, or equal steps.
    features : optional
        ``"pixels"``; an array (n, d) of the training samples, with those of the test part behind
        them where there is one, or a pair of arrays, or an ``.npy`` file; ``"embed:FOLDER"``; or a
        backbone. By default the head makes those of the packaged backbone and keeps them in the
        folder, and takes a dataset of vectors as it is. Of arrays and files no more than the length
        tells whether they are of these samples.
    held_out : float or dataset, optional
        What models are held to, where not the dataset's test part: a part of the training data,
        which no sampler sees, or a dataset.
    noise : float
        Compare once more with so many of the training labels flipped, such as 0.2.
    imbalance : float
        Compare once more with class sizes that fall exponentially, the largest so many times the
        smallest.
    random_state : int
        Seed of what is drawn of the data: a part held out, flipped labels, unequal classes.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If anything that was given cannot be used; before any work.
    RunInterrupted
        On Ctrl-C or SIGTERM; what had finished is kept in the folder.

    Examples
    --------
    >>> found = compare(
    ...     "digits", ["herding"], [0.1], "head:epochs=2", seeds=2, draws=2, features="pixels"
    ... )
    >>> found.to_frame().groupby("method").size().to_dict()
    {'CC-RS': 2, 'HERDING': 2, 'RS': 2, 'RS2': 2, 'all data': 2}
    """
    comparison = set_up(
        dataset,
        samplers,
        ratios,
        folder,
        n=n,
        evaluator=evaluator,
        seeds=seeds,
        draws=draws,
        budget=budget,
        features=features,
        held_out=held_out,
        noise=noise,
        imbalance=imbalance,
        random_state=random_state,
    )
    options.setdefault("progress", False)
    comparison.run(**options)
    return comparison


def set_up(
    dataset: Any,
    samplers: Iterable[SamplerLike],
    ratios: Iterable[float] = (),
    folder: str | Path | None = None,
    **settings: Any,
) -> Comparison:
    """Set a comparison up and check all of it, without running anything; see `compare`."""
    configuration = Configuration.build(dataset, samplers, ratios, **settings)
    if folder is not None:
        return Comparison(configuration, as_path(folder))
    temporary = tempfile.mkdtemp(prefix="proxysample-")
    comparison = Comparison(configuration, Path(temporary))
    weakref.finalize(comparison, shutil.rmtree, temporary, ignore_errors=True)
    return comparison


def remaining_work(configuration: Configuration, path: Path) -> str:
    """Count what is to be run, a line for each sampler, without reading any data.

    Parameters
    ----------
    configuration : Configuration
    path : Path
        Of the store, which need not be there.
    """
    states: dict[str, tuple[str, float]] = {}
    info = _unread(configuration)
    if path.is_file():
        store = ComparisonStore(path)
        states = store.states()
        if store.info("facts") is not None:
            known = read_comparison(store)[1]
            # Arms that were not asked for before are not known yet.
            info = ComparisonInfo(
                {arm: known.arms.get(arm, one) for arm, one in info.arms.items()},
                known.held_out,
                known.features,
                known.features_key,
            )
    listing = Listing(configuration, info)
    found: dict[str, list[tuple[str, str]]] = {"scored": [], "trained": []}
    for scoring in listing.scorings():
        found["scored"].append((_name(scoring.method.component.label, scoring.arm), scoring.key))
    for place in listing.places():
        found["trained"].append((_name(place.method, place.arm), place.training.key))
    done = {key for key, (status, _) in states.items() if status == "done"}
    counts = {what: sum(key in done for _, key in keys) for what, keys in found.items()}
    words = " and ".join(
        f"{pluralize(len(found[what]), noun)}, {counts[what]:,} of them done"
        for what, noun in (("scored", "scoring"), ("trained", "training"))
    )
    lines = [["", "scored", "trained", "left"]]
    for name in dict.fromkeys(name for keys in found.values() for name, _ in keys):
        own = {what: [key for one, key in keys if one == name] for what, keys in found.items()}
        n_left = sum(key not in done for keys in own.values() for key in keys)
        lines.append([name, *(f"{len(keys):,}" for keys in own.values()), f"{n_left:,}"])
    return f"{words}\n{aligned(lines)}"


def _name(label: str, arm: str) -> str:
    return label if arm == CLEAN else f"{label}, {arm}"


def _unread(configuration: Configuration) -> ComparisonInfo:
    arms = [CLEAN] if configuration.source is None else configuration.source.arms
    return ComparisonInfo({arm: ArmInfo(arm, 1, 1, 1, "") for arm in arms}, "")
