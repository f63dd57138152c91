"""What a Ray actor does: take the shipped data, then run tasks."""

from __future__ import annotations

from proxysample_nas.study.executors.threads import fixed_threads
from proxysample_nas.study.shipping import Shipment
from proxysample_nas.study.tasks import Outcome, Task, attempt
from proxysample_nas.study.workbench import Workbench


class RayWorker:
    """Runs tasks in a process of its own; `RayCluster` makes it an actor.

    Parameters
    ----------
    workbench : Workbench
        Of this process, without data.
    shipment : Shipment
        The data.
    n_threads : int
        See `InProcess`.
    """

    def __init__(self, workbench: Workbench, shipment: Shipment, n_threads: int) -> None:
        self.workbench = workbench
        self.n_threads = n_threads
        shipment.unpack_into(workbench)

    def run(self, task: Task) -> Outcome:
        """Run a task; an error becomes its outcome."""
        with fixed_threads(self.n_threads):
            return attempt(task, self.workbench)
