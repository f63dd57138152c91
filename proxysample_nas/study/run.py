"""A study's store, and its run: everything that a run needs, opened in order and closed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Unpack

from proxysample.checks import BOOLEAN
from proxysample.errors import InputError
from proxysample.experiments.runner import RunOptions, run_experiments
from proxysample.experiments.store import Store
from proxysample.isolation import isolated
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.experiments import plan
from proxysample_nas.study.experiments.base import read_configuration
from proxysample_nas.study.experiments.data import StudyCallback, StudyContext, StudyInfo
from proxysample_nas.study.experiments.plan import Plan
from proxysample_nas.study.experiments.published import RANDOM_CELL
from proxysample_nas.study.presets import left_out


class StudyStore(Store):
    """Finished experiments of a study; see `proxysample.experiments.store.Store`.

    Parameters
    ----------
    path : str or Path
        Made where it does not exist, unless `must_exist`.
    must_exist : bool
        For reading: a missing file is an error.

    Raises
    ------
    InputError
        If the file is missing, damaged or something else, or its folder is missing.
    """

    def __init__(self, path: str | Path, *, must_exist: bool = False) -> None:
        kinds = {kind.kind: kind.contents for kind in plan.KINDS}
        super().__init__(path, kinds, noun="study", must_exist=must_exist)


def store_path(folder: Path) -> Path:
    """Say where a study's folder keeps its store."""
    return folder / "study.sqlite"


@isolated()
def run_study(
    configuration: StudyConfiguration,
    folder: Path,
    *,
    drop: bool = False,
    callback: StudyCallback | None = None,
    **options: Unpack[RunOptions],
) -> int:
    """Run what a study's folder lacks; see `proxysample_nas.study.Study.run`.

    Data that have changed since the study began are an `InputError`.
    """
    BOOLEAN.check("drop", drop)
    configuration.check_runnable()
    context = StudyContext(configuration, progress=options.get("progress", True), callback=callback)
    return run_experiments(
        context,
        folder,
        partial(_open_store, folder, context, drop),
        partial(_begin, context),
        **options,
    )


def _open_store(folder: Path, context: StudyContext, drop: bool) -> Store:
    context.configuration.check_data(context.data.train)
    store = StudyStore(store_path(folder))
    refuse_changed_data(store, context.configuration, context.info())
    if not drop:
        refuse_fewer(store, context.configuration, context.info())
    return store


def _begin(context: StudyContext, store: Store) -> Plan:
    info = context.info()
    store.describe(context.configuration.to_json(), info.to_json())
    lookup = context.configuration.lookup
    if lookup is not None:
        known = context.published.random_cell(lookup.dataset, lookup.epochs)
        store.set_info(RANDOM_CELL, known.to_json())
    return Plan(context.configuration, info, store)


def refuse_fewer(store: Store, configuration: StudyConfiguration, info: StudyInfo) -> None:
    """Refuse to run less than a store's study compares: its tables would shrink unsaid."""
    began = store.description() is not None
    if not began or not any(status == "done" for status, _ in store.states().values()):
        return
    earlier, known = read_configuration(store)
    lost = left_out(earlier, configuration)
    before, now = known.datasets[earlier.dataset], info.datasets[configuration.dataset]
    # The same data may lie elsewhere by now.
    if before.fingerprint != now.fingerprint and earlier.dataset != configuration.dataset:
        lost.insert(0, f"dataset={earlier.dataset!r} (now {configuration.dataset!r})")
    if lost:
        raise InputError(
            f"the study in {store.path.parent} also has {', '.join(lost)}, which this run leaves "
            "out, and which its tables would no longer show; Study.open(folder).run() (study run "
            "with --output alone) goes on with all of it, Study.add (study add) adds to it, "
            "another folder begins another study, and drop=True (--drop) drops it"
        )


def refuse_changed_data(store: Store, configuration: StudyConfiguration, info: StudyInfo) -> None:
    """Refuse data that have changed under the same name since a study's last run.

    What had finished on the old data would be left out of every table from then on, since
    experiments are named by what is in the data: hours of work, lost without a word.
    """
    if store.description() is None:
        return
    earlier, known = read_configuration(store)
    for name, now in info.datasets.items():
        before = known.datasets.get(name)
        if before is None or not _is_cut_alike(name, earlier, configuration):
            continue
        if before.fingerprint != now.fingerprint:
            raise InputError(
                f"the data of {name!r} have changed since this study's last run (fingerprint "
                f"{before.fingerprint[:12]} before, {now.fingerprint[:12]} now), and results on "
                "the two cannot stand in one table: bring the old data back, or run the study in "
                "another folder"
            )


def _is_cut_alike(name: str, earlier: StudyConfiguration, now: StudyConfiguration) -> bool:
    if earlier.dataset != name or now.dataset != name:
        # Other datasets are read whole, where neither study cuts them.
        return name not in (earlier.dataset, now.dataset)
    return (earlier.n_train, earlier.random_state) == (now.n_train, now.random_state)
