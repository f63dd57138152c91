"""What is left of a stage, shared with the other runners of the study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxysample_nas.study.experiments.tasks import Task
from proxysample_nas.study.running.live_runner import LiveRunner
from proxysample_nas.study.store.store import Store, experiment_key


class StageQueue:
    """Hands out the experiments of a stage that no runner is at.

    Parameters
    ----------
    tasks : iterable of Task
        Of the stage.
    store : Store
    runner : LiveRunner
        This process; it claims what is handed out.
    retried : mapping of str to float
        Keys of experiments that count as not run, and when they failed.

    Attributes
    ----------
    is_empty : bool
        Whether every experiment has ended, wherever it ran.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        store: Store,
        runner: LiveRunner,
        retried: Mapping[str, float],
    ) -> None:
        self.store = store
        self.runner = runner
        self.retried = retried
        self._left = {experiment_key(task.kind, task.specification): task for task in tasks}

    @property
    def is_empty(self) -> bool:
        """Whether every experiment has ended, wherever it ran."""
        return not self._left

    def drop_ended(self) -> int:
        """Forget the experiments that have ended, here or elsewhere.

        Returns
        -------
        int
            How many.
        """
        ended = [
            key
            for key, (status, finished) in self.store.states().items()
            if key in self._left and not (status == "failed" and self.retried.get(key) == finished)
        ]
        for key in ended:
            del self._left[key]
        return len(ended)

    def take(self) -> Task | None:
        """Claim the first experiment that is free.

        Returns
        -------
        Task or None
            None where runners are at all that is left.
        """
        held = {claim.key for claim in self.runner.claims.held()}
        for key, task in self._left.items():
            if key not in held and self.runner.claim(key, self.retried.get(key)):
                return task
        return None
