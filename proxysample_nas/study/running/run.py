"""Run a study: everything that a run needs, opened in order and closed whatever happens."""

from __future__ import annotations

import secrets
from pathlib import Path

from proxysample.files import make_folder
from proxysample_nas.study.executors import ExecutorName, create_executor
from proxysample_nas.study.experiments.workbench import Workbench
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.plan import Plan
from proxysample_nas.study.running.interruption import interruptible
from proxysample_nas.study.running.live_runner import LiveRunner
from proxysample_nas.study.running.runner import Runner
from proxysample_nas.study.running.same_data import refuse_changed_data
from proxysample_nas.study.running.unfinished import UnfinishedSearches
from proxysample_nas.study.store.claims import Claims
from proxysample_nas.study.store.store import Store, store_path


def run_study(
    configuration: StudyConfiguration,
    folder: Path,
    *,
    executor: ExecutorName | None = None,
    n_workers: int | None = 1,
    n_threads: int = 1,
    n_gpus: float | None = None,
    address: str | None = None,
    progress: bool = True,
    retry_failed: bool = False,
) -> int:
    """Run what a study's folder lacks; see `proxysample_nas.study.Study.run`.

    Parameters
    ----------
    configuration : StudyConfiguration
    folder : Path
        Made where it does not exist.
    executor, n_workers, n_threads, n_gpus, address
        See `create_executor`.
    progress, retry_failed : bool
        See `Runner`.

    Returns
    -------
    int
        How many experiments have failed.

    Raises
    ------
    InputError
        If the data cannot be read or have changed since the study began, the folder cannot be
        written to, or an option cannot be used.
    StudyInterrupted
        On Ctrl-C or SIGTERM, once everything has ended in order.
    WorkerDiedError
        If worker processes cannot begin.
    """
    make_folder(folder)
    runner_id = secrets.token_hex(8)
    # Workers may have another working directory.
    unfinished = UnfinishedSearches(folder.absolute(), runner_id)
    workbench = Workbench(configuration, unfinished, progress=progress)
    with interruptible():
        # Before there is a store: data that cannot be read leave none behind.
        facts = workbench.facts()
        store = Store(store_path(folder))
        refuse_changed_data(store, configuration, facts)
        with (
            create_executor(
                workbench,
                executor,
                n_workers=n_workers,
                n_threads=n_threads,
                n_gpus=n_gpus,
                address=address,
            ) as chosen,
            LiveRunner(Claims(store.database), runner_id, chosen.n_workers) as live,
        ):
            store.set_fact("configuration", configuration.to_json())
            store.set_fact("facts", facts.to_json())
            plan = Plan(configuration, facts, store)
            return Runner(
                plan,
                store,
                chosen,
                live,
                unfinished,
                progress=progress,
                retry_failed=retry_failed,
            ).run()
