"""Foretell how long a study's experiments take, by timing a little of each kind."""

from __future__ import annotations

import torch

from proxysample.errors import InputError
from proxysample_nas.study.experiments.context import StudyContext
from proxysample_nas.study.experiments.data import StudyData
from proxysample_nas.study.forecast.calibration.rates import Rates
from proxysample_nas.study.forecast.calibration.searches import (
    search_counts,
    search_sizes,
    time_search,
)
from proxysample_nas.study.forecast.calibration.selections import selection_counts, time_selection
from proxysample_nas.study.forecast.calibration.trainings import (
    calibration_cells,
    time_training,
    training_counts,
)
from proxysample_nas.study.forecast.durations import NO_TIME, Seconds
from proxysample_nas.study.forecast.experiments import Experiment
from proxysample_nas.study.grid.component import Component
from proxysample_nas.training.trainer import CellTrainer


class Calibration:
    """Times each sampler, searcher and trainer of a study when it is first asked for.

    Parameters
    ----------
    context : StudyContext
    seconds_each : float
        How long each is timed, where its shortest run leaves a choice.

    Attributes
    ----------
    cells : list of Cell
        Drawn at random; trainers are timed on them, since no cell is found yet. None where no
        searcher tells the size of its cells.
    """

    def __init__(self, context: StudyContext, seconds_each: float) -> None:
        self.context = context
        self.seconds_each = seconds_each
        configuration = context.configuration
        searchers = [configuration.create_searcher(one, 0) for one in configuration.searchers]
        parameters = [one.get_params() for one in searchers]
        n_nodes = [one["n_nodes"] for one in parameters if "n_nodes" in one]
        self.cells = calibration_cells(max(n_nodes)) if n_nodes else []
        self._timed: dict[tuple[str, str], list[Rates]] = {}
        _import_what_optimizers_import()

    def seconds_of(self, experiment: Experiment) -> Seconds:
        """Foretell one experiment.

        Parameters
        ----------
        experiment : Experiment

        Returns
        -------
        Seconds
            The range of a training spans the cells that were timed.

        Raises
        ------
        ProxysampleError
            If it fails, or cannot be timed.
        """
        subject = experiment.subject
        if subject is None:
            return NO_TIME
        if isinstance(subject, CellTrainer):
            return self._training(experiment, subject)
        if experiment.cost.kind == "selection":
            return self._selection(experiment, subject)
        return self._search(experiment, subject)

    def _selection(self, experiment: Experiment, component: Component) -> Seconds:
        sampler = self.context.configuration.create_sampler(component)
        key = experiment.cost.compared
        if key not in self._timed:
            rates = time_selection(sampler, self.context.data.train, self.seconds_each)
            self._timed[key] = [rates]
        return self._foretell(key, selection_counts(sampler, experiment.cost.n_samples))

    def _search(self, experiment: Experiment, component: Component) -> Seconds:
        searcher = self.context.configuration.create_searcher(component, 0)
        data = self.context.data
        sizes = search_sizes(searcher, data, experiment.cost.n_samples)
        key = experiment.cost.compared
        if key not in self._timed:
            self._timed[key] = [time_search(searcher, data, self.seconds_each)]
        return self._foretell(key, search_counts(searcher, sizes))

    def _training(self, experiment: Experiment, trainer: CellTrainer) -> Seconds:
        if not self.cells:
            raise InputError(
                "no searcher has a parameter n_nodes, and so it is not known how large a cell is"
            )
        data = self._data_of(experiment)
        key = experiment.cost.compared
        if key not in self._timed:
            self._timed[key] = time_training(trainer, self.cells, data, self.seconds_each)
        counts = training_counts(trainer, data.facts.n_train, data.facts.n_test)
        return self._foretell(key, counts)

    def _data_of(self, experiment: Experiment) -> StudyData:
        for transfer in self.context.configuration.transfers:
            if experiment.stage == "transfer" and transfer.dataset == experiment.dataset:
                return self.context.transfer_data(transfer)
        return self.context.data

    def _foretell(self, key: tuple[str, str], counts: dict[str, float]) -> Seconds:
        found = [rates.foretell(counts) for rates in self._timed[key]]
        return Seconds(min(found), sum(found) / len(found), max(found))


def _import_what_optimizers_import() -> None:
    """Take a step of nothing: a process's first imports much of PyTorch, which is no one's cost."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    torch.optim.SGD([parameter]).step()
