"""Run experiments one after another, in this process."""

from __future__ import annotations

from proxysample_nas.study.executors.base import Executor
from proxysample_nas.study.executors.threads import fixed_threads
from proxysample_nas.study.experiments.tasks import Outcome, Task, attempt
from proxysample_nas.study.experiments.workbench import Workbench


class InProcess(Executor):
    """Runs tasks one after another, here, each when it is collected.

    Parameters
    ----------
    workbench : Workbench
        Of this process; it says whether tasks show progress bars.
    n_threads : int
        Threads of each task on a CPU. Sums of floats depend on it in their last bits, so it is
        the same wherever a task runs.
    """

    def __init__(self, workbench: Workbench, *, n_threads: int = 1) -> None:
        super().__init__(n_workers=1)
        self.workbench = workbench
        self.n_threads = n_threads
        self._waiting: list[Task] = []

    @property
    def n_running(self) -> int:
        """How many tasks were submitted and have not been collected."""
        return len(self._waiting)

    def submit(self, task: Task) -> None:
        """Take a task; it runs in `collect`."""
        self._waiting.append(task)

    def collect(self, timeout: float) -> list[tuple[Task, Outcome]]:  # noqa: ARG002
        """Run the task; there is nothing to wait for, and so no `timeout`."""
        if not self._waiting:
            return []
        with fixed_threads(self.n_threads):
            outcome = attempt(self._waiting[0], self.workbench)
        return [(self._waiting.pop(0), outcome)]

    def stop(self) -> None:
        """Drop what was submitted."""
        self._waiting.clear()
