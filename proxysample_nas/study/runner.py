"""Run what a study's store lacks, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from proxysample_nas.study.configuration import StudyConfiguration
from proxysample_nas.study.executors import Executor
from proxysample_nas.study.facts import StudyFacts
from proxysample_nas.study.plan import Plan
from proxysample_nas.study.store import Record, Store
from proxysample_nas.study.tasks import Outcome, SearchTask, Task, unfinished_search


class Runner:
    """Runs a study: all selections, then all searches, then all judging, then the transfers.

    Parameters
    ----------
    configuration : StudyConfiguration
    facts : StudyFacts
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
        facts: StudyFacts,
        store: Store,
        executor: Executor,
        *,
        progress: bool = True,
        retry_failed: bool = False,
    ) -> None:
        self.plan = Plan(configuration, facts, store)
        self.store = store
        self.executor = executor
        self.progress = progress
        self.retry_failed = retry_failed
        store.set_fact("configuration", configuration.to_json())
        store.set_fact("facts", facts.to_json())

    def run(self) -> int:
        """Run every experiment that the store lacks.

        Returns
        -------
        int
            How many of the study's experiments have failed, or could not be tried because one
            they need has failed.
        """
        n_failed = 0
        with tqdm(desc="study", unit="experiment", disable=not self.progress) as bar:
            n_before = 0
            for stage in self.plan.stages():
                # Every setting could find a cell of its own: the total falls as cells turn out
                # equal.
                bar.total = n_before + self._n_left_at_most(stage.name)
                records = self._finish(stage.tasks, bar)
                n_before += len(stage.tasks)
                n_failed += sum(record.status == "failed" for record in records)
                # What could not be named after its stage's turn needs something that failed.
                n_failed += stage.n_at_most - len(stage.tasks)
            bar.total = n_before
        return n_failed

    def _n_left_at_most(self, stage: str) -> int:
        counts = {one.name: one.n_at_most for one in self.plan.stages()}
        names = list(counts)
        return sum(counts[name] for name in names[names.index(stage) :])

    def _finish(self, tasks: Sequence[Task], bar: tqdm[Any]) -> list[Record]:
        """Give every task's record, running those that are missing."""
        missing = [task for task in tasks if self._is_missing(task)]
        bar.update(len(tasks) - len(missing))
        for task, outcome in self.executor.execute(missing):
            self._keep(task, outcome)
            bar.set_postfix_str(task.label)
            bar.update()
        records = [self.store.get(task.kind, task.specification) for task in tasks]
        return [record for record in records if record is not None]

    def _is_missing(self, task: Task) -> bool:
        record = self.store.get(task.kind, task.specification)
        return record is None or (self.retry_failed and record.status == "failed")

    def _keep(self, task: Task, outcome: Outcome) -> None:
        if outcome.result is None:
            error = outcome.error or "no result"
            self.store.put_failure(task.kind, task.specification, error)
        else:
            self.store.put(task.kind, task.specification, outcome.result, outcome.payload)
        if isinstance(task, SearchTask):
            # Only now: a search killed before its result was kept goes on from this file.
            folder = self.store.path.parent
            unfinished_search(folder, task.specification).unlink(missing_ok=True)
