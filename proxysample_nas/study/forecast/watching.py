"""How far the searches are that run now, read from what they keep after every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxysample.errors import InputError
from proxysample.experiments.experiment import Checkpoints
from proxysample.printing import cleaned
from proxysample_nas.searchers.checkpoint import read_progress
from proxysample_nas.searchers.result import EpochRecord
from proxysample_nas.study.forecast.status import StudyStatus


@dataclass(frozen=True)
class RunningSearch:
    """A search that is under way.

    Attributes
    ----------
    label : str
        The searcher, what it searches on, and its seeds.
    n_epochs : int or None
        Epochs in all, where the searcher counts them.
    history : tuple of EpochRecord
        Those that are done.
    """

    label: str
    n_epochs: int | None
    history: tuple[EpochRecord, ...]

    def __str__(self) -> str:
        last = self.history[-1]
        in_all = "" if self.n_epochs is None else f" of {self.n_epochs}"
        return cleaned(
            f"{self.label}: {len(self.history)}{in_all} epochs, {last.train_accuracy:.1f} % of "
            f"the weight samples and {last.architecture_accuracy:.1f} % of the architecture's "
            f"right, {last.seconds:.1f} s the last; {last.cell}"
        )


def running_searches(folder: Path, status: StudyStatus) -> Iterator[RunningSearch]:
    """List the searches of a study that run and have finished an epoch.

    Parameters
    ----------
    folder : Path
        Of the study, with the checkpoints of runners on this machine, or on others that share it.
    status : StudyStatus
    """
    for stage in status.stages:
        for one in stage.running:
            if not one.experiment.keeps_checkpoint:
                continue
            path = Checkpoints(folder, one.runner.id).path(one.experiment.key)
            try:
                parameters, history = read_progress(path)
            except InputError:
                # Not there yet, or gone since it has ended.
                continue
            if history:
                # Searches that train cell by cell have a record for each cell.
                named = parameters.get("n_samples", parameters.get("epochs"))
                n_epochs = named if isinstance(named, int) else None
                yield RunningSearch(one.experiment.label, n_epochs, history)
