"""Run what a study's store lacks, stage by stage, beside other runners."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from proxysample_nas.study.executors import Executor
from proxysample_nas.study.experiments.tasks import Outcome, SearchTask, Task
from proxysample_nas.study.grid.plan import Plan
from proxysample_nas.study.running.live_runner import LiveRunner
from proxysample_nas.study.running.stage_queue import StageQueue
from proxysample_nas.study.running.unfinished import UnfinishedSearches
from proxysample_nas.study.store.store import Store, experiment_key

SECONDS_BETWEEN_LOOKS = 1.0
"""How long to wait before looking again at what other runners have done."""


class Runner:
    """Runs a study: all selections, then all searches, then all judging, then the transfers.

    Several runners may share a store, on one machine or on several that share a folder: each
    claims an experiment before it runs it, and waits for what the others are at where its next
    stage needs that.

    Parameters
    ----------
    plan : Plan
    store : Store
        Experiments found in it are not run again.
    executor : Executor
        Runs the others.
    live : LiveRunner
        This process among those that share the store.
    unfinished : UnfinishedSearches
        Where searches are kept between their epochs.
    progress : bool
        Show a bar that counts experiments.
    retry_failed : bool
        Run experiments again that failed before.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        live: LiveRunner,
        unfinished: UnfinishedSearches,
        *,
        progress: bool = True,
        retry_failed: bool = False,
    ) -> None:
        self.plan = plan
        self.store = store
        self.executor = executor
        self.live = live
        self.unfinished = unfinished
        self.progress = progress
        states = store.states()
        failed = {key: finished for key, (status, finished) in states.items() if status == "failed"}
        self._retried = failed if retry_failed else {}
        # A failed one may be running again.
        unfinished.remove_done(states.keys() - failed.keys())

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
            steps = self.plan.steps
            for index, list_stage in enumerate(steps):
                stage = list_stage()
                # Every setting could find a cell of its own: the total falls as cells turn out
                # equal.
                n_later = sum(later().n_at_most for later in steps[index + 1 :])
                bar.total = n_before + stage.n_at_most + n_later
                self._finish(stage.tasks, bar)
                n_before += len(stage.tasks)
                n_failed += self._n_failed(stage.tasks)
                # What could not be named after its stage's turn needs something that failed.
                n_failed += stage.n_at_most - len(stage.tasks)
            bar.total = n_before
        return n_failed

    def _n_failed(self, tasks: Sequence[Task]) -> int:
        states = self.store.states()
        keys = [experiment_key(task.kind, task.specification) for task in tasks]
        return sum(states[key][0] == "failed" for key in keys)

    def _finish(self, tasks: Sequence[Task], bar: tqdm[Any]) -> None:
        """Return once every task has ended, here or elsewhere."""
        queue = StageQueue(tasks, self.store, self.live, self._retried)
        bar.update(queue.drop_ended())
        while not queue.is_empty or self.executor.n_running:
            self.live.remove_gone()
            self._fill(queue)
            if not self.executor.n_running:
                bar.set_postfix_str("waiting for another runner")
                time.sleep(SECONDS_BETWEEN_LOOKS)
            for task, outcome in self.executor.collect(SECONDS_BETWEEN_LOOKS):
                self._keep(task, outcome)
                bar.set_postfix_str(task.label)
            bar.update(queue.drop_ended())

    def _fill(self, queue: StageQueue) -> None:
        """Give the executor as much as it has room for."""
        while self.executor.has_room and (task := queue.take()) is not None:
            if isinstance(task, SearchTask):
                self.unfinished.take_over(experiment_key(task.kind, task.specification))
            self.executor.submit(task)

    def _keep(self, task: Task, outcome: Outcome) -> None:
        if outcome.result is None:
            error = outcome.error or "no result"
            self.store.put_failure(task.kind, task.specification, error, outcome.traceback)
        else:
            self.store.put(task.kind, task.specification, outcome.result, outcome.payload)
        if isinstance(task, SearchTask):
            # Only now: a search killed before its result was kept goes on from this file.
            self.unfinished.remove(experiment_key(task.kind, task.specification))
