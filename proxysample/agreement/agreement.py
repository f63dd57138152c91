"""What a user holds of a rank agreement: run, opened, shown."""

from __future__ import annotations

import html
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from proxysample.agreement.design import Budget, Design
from proxysample.agreement.experiments import AgreementStore, DataInfo, Plan, RankContext
from proxysample.agreement.reports import (
    COLUMNS,
    agreement_table,
    draw_ranks,
    draw_tau,
    figure_bytes,
    scores_frame,
    to_frame,
    to_html,
    verdict,
)
from proxysample.agreement.results import AgreementResults, Row
from proxysample.components import warn_of_fewer
from proxysample.errors import InputError, unknown_name
from proxysample.experiments.runner import RunOptions, run_experiments, takes_run_options
from proxysample.experiments.store import Store
from proxysample.files import as_path, check_output, make_folder, replace_file
from proxysample.isolation import isolated
from proxysample.keeping import list_sizes
from proxysample.printing import cleaned
from proxysample.rendering import markdown_document, to_csv, to_html_table, to_latex
from proxysample.wording import pluralize

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@isolated()
@takes_run_options()
def rank_agreement(
    evaluate: Any,
    configurations: Mapping[str, Any] | Iterable[Any],
    dataset: Any,
    samplers: Iterable[Any],
    ratios: Iterable[float] = (),
    *,
    n: Iterable[int] = (),
    folder: str | Path | None = None,
    proxy_seeds: Iterable[int] = (0, 1),
    seeds: Iterable[int] = (0, 1),
    budgets: Iterable[Budget] = ("epochs",),
    known: Mapping[str, Sequence[float]] | None = None,
    estimates: Mapping[str, Sequence[float]] | None = None,
    held_out: float = 0.2,
    random_state: int = 0,
    n_train: int | None = None,
    **options: Unpack[RunOptions],
) -> RankAgreement:
    """Tell whether a proxy dataset ranks configurations as the full data do.

    Every configuration is trained on the full data and on every proxy, and all are scored on the
    same samples, held out of the training part, which no sampler sees. The full data at another
    seed are the ceiling: no proxy can be expected to agree more than they do with themselves.

    Parameters
    ----------
    evaluate : callable or Evaluator
        ``evaluate(configuration, train, held_out, seed=...)`` trains on ``train`` and returns a
        score on ``held_out``, higher being better. Where `budgets` holds ``"steps"`` it also
        takes ``passes=``: how many times its usual number of passes to make.
    configurations : sequence or mapping
        What is ranked: hyper-parameters, models, anything that can be named by plain values; or
        a mapping of names to anything.
    dataset : str or object
        A name (see `proxysample.load_dataset`), of which the training part is taken, a pair of
        arrays, or any dataset that samplers read. `evaluate` gets arrays as `ArrayDataset` and
        others cut down as their own kind.
    samplers : iterable
        Ids such as ``"herding"`` or ``"cc-or:keep=hard"``, samplers, indices or rankings.
        Class-random sampling is always among them.
    ratios : iterable of float
        Fractions to keep, each below 1. Without samplers and ratios the full data alone are
        ranked on: how far they agree with themselves, and with what is known.
    n : iterable of int
        Numbers of samples to keep, beside `ratios` or in place of them.
    folder : str or Path, optional
        Keeps what is finished: what was killed goes on where it stopped, and more samplers,
        ratios or seeds add to it. By default a temporary one, gone with the result.
    proxy_seeds : iterable of int
        Of the samplers that draw: one proxy each, averaged in a row.
    seeds : iterable of int
        Of the trainings on the full data: the first is the reference, the others the ceiling.
        Proxies are trained at the others.
    budgets : iterable of {"epochs", "steps"}
        Equal passes, so that a proxy costs its share, or as many updates as on the full data.
    known : mapping of str to sequence of float, optional
        Scores from elsewhere, in the order of `configurations`. The first are a second reference,
        with which the others are compared as the proxies are.
    estimates : mapping of str to sequence of float, optional
        What was said of the configurations without training them: a row each, against every
        reference.
    held_out : float
        Share of the training part that is held out.
    random_state : int
        Of the draw of the held-out part.
    n_train : int, optional
        Use only so many samples of the training part, class shares kept.

    Returns
    -------
    RankAgreement

    Raises
    ------
    InputError
        If a setting cannot be used; nothing has been run by then.
    RunInterrupted
        On Ctrl-C or SIGTERM; what had finished is kept.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> def accuracy(n_neighbours, train, held_out, seed):
    ...     model = KNeighborsClassifier(n_neighbours)
    ...     model.fit(train.images.reshape(len(train), -1), train.targets)
    ...     return model.score(held_out.images.reshape(len(held_out), -1), held_out.targets)
    >>> from proxysample.agreement import FunctionEvaluator
    >>> found = rank_agreement(
    ...     FunctionEvaluator(accuracy, name="neighbours"), [1, 8, 32], "digits", ["cc-or"], [0.5],
    ...     n_train=200, proxy_seeds=[0], progress=False,
    ... )
    >>> [(row.method, round(row.tau, 2)) for row in found.rows]
    [('Full DS, another seed', 1.0), ('CC-RS', 1.0), ('CC-OR', 0.82)]
    """
    design = Design.build(
        dataset=dataset,
        samplers=samplers,
        ratios=ratios,
        n=n,
        evaluate=evaluate,
        configurations=configurations,
        proxy_seeds=proxy_seeds,
        seeds=seeds,
        budgets=budgets,
        known=known,
        estimates=estimates,
        held_out=held_out,
        random_state=random_state,
        n_train=n_train,
    )
    found = RankAgreement(design, folder, dataset)
    found.run(**options)
    return found


def store_path(folder: Path) -> Path:
    """Say where a folder keeps its store."""
    return folder / "rank-agreement.sqlite"


class RankAgreement:
    """How well proxies rank configurations; made by `rank_agreement` or `open`.

    Parameters
    ----------
    design : Design
    folder : str or Path, optional
        By default a temporary one, which is gone with this object.
    dataset : str or object
        What the design is of; None where only results are read.
    """

    def __init__(self, design: Design, folder: str | Path | None, dataset: Any = None) -> None:
        if folder is None:
            folder = tempfile.mkdtemp(prefix="rank-agreement-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = as_path(folder)
        self.design = design
        self._dataset = dataset

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open what was run before, to be read; nothing is computed or imported.

        Raises
        ------
        InputError
            If there is none, or it is damaged.
        """
        store = AgreementStore(store_path(as_path(folder)), must_exist=True)
        written = store.info("configuration")
        if written is None:
            raise InputError(f"no rank agreement was run in {store.path}")
        return cls(Design.from_json(written), folder)

    @property
    def store(self) -> AgreementStore:
        """The finished experiments."""
        return AgreementStore(store_path(self.folder), must_exist=True)

    @isolated()
    @takes_run_options()
    def run(self, **options: Unpack[RunOptions]) -> int:
        """Run what the store lacks, beside others that may be running the same.

        Returns
        -------
        int
            How many experiments have failed; their errors are in ``store.failures()``.
        """
        self.__dict__.pop("results", None)
        context = RankContext(self.design, self._dataset, progress=options.get("progress", True))
        return run_experiments(
            context,
            self.folder,
            partial(self._open_store, context),
            partial(self._begin, context),
            **options,
        )

    def outline(self) -> str:
        """Say what `run` would do, after reading the data; nothing is written.

        Returns
        -------
        str
            How many passes over how many samples; the full data first. Equal kept sets, which a
            sampler that does not draw gives twice, are trained on once, so it may be less.
        """
        info = RankContext(self.design, self._dataset).info()
        design = self.design
        lines = [f"{design.dataset}: {info.n_train:,} samples train, {info.n_held_out:,} score"]
        in_all = 0.0
        groups = Counter(
            (one.sampler and one.sampler.label, one.r, one.size, one.budget)
            for one in design.proxies(info.n_train)
        )
        for (label, r, size, budget), n in groups.items():
            n_trainings = n * len(design.together)
            share = 1.0 if budget == "steps" else r
            in_all += share * n_trainings
            data = "full data" if label is None else f"{label}, {size}, equal {budget}"
            lines.append(f"{data}: {pluralize(n_trainings, 'training')}")
        n_full = pluralize(len(design.together), "training")
        return "\n".join(
            [
                *lines,
                f"in all as much as {in_all:,.1f} trainings on the full data, whose reference is "
                f"{n_full}",
            ]
        )

    def _open_store(self, context: RankContext) -> Store:
        make_folder(self.folder)
        store = AgreementStore(store_path(self.folder))
        _refuse_changed_data(store, self.design, context.info())
        return store

    def _begin(self, context: RankContext, store: Store) -> Plan:
        store.describe(self.design.to_json(), context.info().to_json())
        return Plan(self.design, context.info(), store)

    @cached_property
    def results(self) -> AgreementResults:
        """All that the store holds by now, read when it is first asked for."""
        store = self.store
        known = store.info("facts")
        if known is None:
            raise InputError(f"nothing is known of the data of {store.path}; run it")
        return AgreementResults(self.design, DataInfo.from_json(known), store)

    @property
    def rows(self) -> list[Row]:
        """A row for each reference and proxy."""
        return self.results.rows

    @property
    def verdict(self) -> str:
        """One sentence: rank on so much by this sampler, or take random."""
        return verdict(self.results)

    def table(self) -> str:
        """Give the table with its notes, in Markdown."""
        return markdown_document(agreement_table(self.results))

    def to_frame(self) -> DataFrame:
        """Give the rows as a pandas frame, numbers unrounded."""
        return to_frame(self.results)

    def scores(self) -> DataFrame:
        """Give all scores as a pandas frame: a row a configuration, a column a proxy."""
        return scores_frame(self.results)

    def figure(self, name: Literal["tau", "ranks"] = "tau", r: float | None = None) -> Figure:
        """Draw a figure.

        Parameters
        ----------
        name : {"tau", "ranks"}
            Tau over r with the ceiling as a band, or ranks by proxies over those by the full data.
        r : float, optional
            Of the ranks; by default the smallest.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InputError
            If the name is unknown, or nothing is done yet.
        MissingDependencyError
            If matplotlib is not installed (extra ``plots``).
        """
        if not isinstance(name, str) or name not in ("tau", "ranks"):
            raise unknown_name("figure", name, ["tau", "ranks"])
        return draw_tau(self.results) if name == "tau" else draw_ranks(self.results, r)

    def report(self, path: str | Path | None = None) -> list[Path]:
        """Write one HTML page that needs no other file.

        Parameters
        ----------
        path : str or Path, optional
            Ends in ``.html``; ``rank-agreement.html`` in the run's folder by default.

        Returns
        -------
        list of Path
            The page; `save` writes it, too, with the table and the figures as files.
        """
        page = self.folder / "rank-agreement.html" if path is None else as_path(path)
        check_output(page, ".html", "a report is saved")
        with replace_file(page) as stream:
            stream.write(to_html(self.results).encode())
        return [page]

    def save(self, folder: str | Path | None = None) -> list[Path]:
        """Write table, scores, figures and page into a folder, by default the run's own.

        Returns
        -------
        list of Path
            The files.
        """
        target = self.folder if folder is None else as_path(folder)
        make_folder(target)
        table = agreement_table(self.results)
        files: dict[str, bytes] = {
            "rank-agreement.md": markdown_document(table).encode(),
            "rank-agreement.csv": to_csv(COLUMNS, self.rows).encode(),
            "rank-agreement.tex": (to_latex(table, "tab:rank-agreement") + "\n").encode(),
            "scores.csv": self.scores().to_csv().encode(),
            "rank-agreement.html": to_html(self.results).encode(),
        }
        for name in ("tau", "ranks"):
            try:
                files[f"{name}.svg"] = figure_bytes(self.figure(name))
            except InputError:
                continue  # nothing to draw yet, which the page says
        for name, content in files.items():
            with replace_file(target / name) as stream:
                stream.write(content)
        return [target / name for name in files]

    def __repr__(self) -> str:
        try:
            n_done, n_all = self.results.n_done
            found = f"{n_done} of {n_all} proxies done: {self.verdict}"
        except InputError:
            design = self.design
            samplers = ", ".join(one.label for one in design.samplers)
            sizes = list_sizes(design.ratios, design.n)
            found = f"{samplers} on {design.dataset} at {sizes}, not run yet"
        return cleaned(f"RankAgreement({found})")

    def _repr_html_(self) -> str:
        try:
            results = self.results
        except InputError as error:
            return f"<pre>{html.escape(f'{self!r}: {error}')}</pre>"
        return to_html_table(agreement_table(results))


def _refuse_changed_data(store: Store, design: Design, info: DataInfo) -> None:
    """Refuse other data under the same name: what had finished would be left out silently."""
    described = store.description()
    if described is None:
        return
    before, of_before = Design.from_json(described[0]), DataInfo.from_json(described[1])
    alike = ("dataset", "held_out", "random_state", "n_train")
    if any(getattr(before, name) != getattr(design, name) for name in alike):
        return
    if of_before.digest != info.digest:
        raise InputError(
            f"the data of {design.dataset!r} have changed since the last run in this folder; "
            "bring the old data back, or use another folder"
        )
    warn_of_fewer(before.compared, design.compared, store.path.parent)
