"""What a Ray actor does: take the shipped data, then run tasks."""

from __future__ import annotations

from importlib.metadata import version

from proxysample_nas.study.executors.base import Unfit
from proxysample_nas.study.executors.threads import fixed_threads
from proxysample_nas.study.experiments.shipping import Shipment
from proxysample_nas.study.experiments.tasks import Outcome, Task, attempt
from proxysample_nas.study.experiments.workbench import Workbench


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
    expected : dict
        `versions` of the process that asks.
    """

    def __init__(
        self, workbench: Workbench, shipment: Shipment, n_threads: int, expected: dict[str, str]
    ) -> None:
        self.workbench = workbench
        self.shipment = shipment
        self.n_threads = n_threads
        self.expected = expected

    def begin(self) -> Unfit | None:
        """Unpack the data; called once, before any task.

        Returns
        -------
        Unfit or None
            None where all is well.
        """
        different = [
            f"{name} {here} there and {self.expected[name]} here"
            for name, here in versions().items()
            if here != self.expected[name]
        ]
        if different:
            return Unfit(
                "results would not be the same on every machine of the Ray cluster: "
                f"{', '.join(different)}; install the same versions"
            )
        if self.workbench.unfinished is not None and not self.workbench.unfinished.is_reachable:
            self.workbench.unfinished = None
        self.shipment.unpack_into(self.workbench)
        return None

    def run(self, task: Task) -> Outcome:
        """Run a task; an error becomes its outcome."""
        with fixed_threads(self.n_threads):
            return attempt(task, self.workbench)


def versions() -> dict[str, str]:
    """List the versions of the packages that results depend on.

    Examples
    --------
    >>> sorted(versions())
    ['numpy', 'proxysample', 'scikit-learn', 'torch']
    """
    return {name: version(name) for name in ("proxysample", "torch", "numpy", "scikit-learn")}
