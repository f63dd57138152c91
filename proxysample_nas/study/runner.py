"""Run what a study's store lacks: select, search, judge."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from tqdm import tqdm

from proxysample.keeping import IntArray
from proxysample.ranking import Ranking
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.executors import Executor
from proxysample_nas.study.settings import Setting, Specifications, settings_of
from proxysample_nas.study.store import Record, Store
from proxysample_nas.study.tasks import (
    Outcome,
    SearchTask,
    SelectionTask,
    Task,
    TrainingTask,
    unfinished_search,
)


class Runner:
    """Runs a study: all selections, then all searches, then all trainings.

    Parameters
    ----------
    configuration : StudyConfiguration
    fingerprint : str
        Of the data.
    store : Store
        Experiments found in it are not run again.
    executor : Executor
        Runs the others.
    progress : bool
        Show a bar that counts experiments.
    retry_failed : bool
        Run experiments again that failed before.
    """

    def __init__(
        self,
        configuration: StudyConfiguration,
        fingerprint: str,
        store: Store,
        executor: Executor,
        *,
        progress: bool = True,
        retry_failed: bool = False,
    ) -> None:
        self.configuration = configuration
        self.store = store
        self.executor = executor
        self.progress = progress
        self.retry_failed = retry_failed
        self.specifications = Specifications(configuration, fingerprint)
        store.set_fact("configuration", configuration.to_json())
        store.set_fact("fingerprint", fingerprint)

    def run(self) -> int:
        """Run every experiment that the store lacks.

        Returns
        -------
        int
            How many of the study's experiments have failed, or could not be tried because one
            they need has failed.
        """
        settings = settings_of(self.configuration)
        n_selections = len(self.configuration.samplers)
        n_trainings = len(self.configuration.channels) * len(self.configuration.seeds)
        # Every setting could find a cell of its own: the total falls as cells turn out equal.
        most = n_selections + len(settings) * (1 + n_trainings)
        with tqdm(total=most, desc="study", unit="experiment", disable=not self.progress) as bar:
            selections = self._finish(self._selection_tasks(), bar)
            rankings = {repr(task.specification): record for task, record in selections}
            searches = self._finish(list(self._search_tasks(settings, rankings)), bar)
            cells = {
                Cell.from_string(record.result["cell"]): None
                for _, record in searches
                if record.result is not None
            }
            bar.total = n_selections + len(settings) + len(cells) * n_trainings
            trainings = self._finish(self._training_tasks(list(cells)), bar)
        finished = [*selections, *searches, *trainings]
        untried = len(settings) - len(searches)
        return untried + sum(record.status == "failed" for _, record in finished)

    def _finish(self, tasks: Sequence[Task], bar: tqdm[Any]) -> list[tuple[Task, Record]]:
        """Give every task's record, in the order of the tasks, running those that are missing."""
        missing = [task for task in tasks if self._is_missing(task)]
        bar.update(len(tasks) - len(missing))
        for task, outcome in self.executor.execute(missing):
            self._keep(task, outcome)
            bar.set_postfix_str(task.label)
            bar.update()
        records = [(task, self.store.get(task.kind, task.specification)) for task in tasks]
        return [(task, record) for task, record in records if record is not None]

    def _is_missing(self, task: Task) -> bool:
        record = self.store.get(task.kind, task.specification)
        return record is None or (self.retry_failed and record.status == "failed")

    def _keep(self, task: Task, outcome: Outcome) -> None:
        if outcome.result is None:
            error = outcome.error or "no result"
            self.store.put_failure(task.kind, task.specification, error)
        else:
            self.store.put(task.kind, task.specification, outcome.result, outcome.payload)
        # Only now: a search killed before its result was kept goes on from this file.
        folder = self.store.path.parent
        unfinished_search(folder, task.specification).unlink(missing_ok=True)

    def _selection_tasks(self) -> list[Task]:
        return [
            SelectionTask(self.specifications.selection(sampler), sampler)
            for sampler in self.configuration.samplers
        ]

    def _search_tasks(
        self, settings: list[Setting], selections: dict[str, Record]
    ) -> Iterator[Task]:
        for setting in settings:
            indices: IntArray | None = None
            if setting.sampler is not None:
                record = selections[repr(self.specifications.selection(setting.sampler))]
                if record.payload is None:
                    continue  # its selection has failed
                ranking = Ranking.read(io.BytesIO(record.payload), "the store's ranking")
                indices = ranking.select(setting.r)
            yield SearchTask(self.specifications.search(setting), setting, indices)

    def _training_tasks(self, cells: list[Cell]) -> list[Task]:
        return [
            TrainingTask(self.specifications.training(cell, channels, seed), cell, channels, seed)
            for cell, channels, seed in product(
                cells, self.configuration.channels, self.configuration.seeds
            )
        ]
