"""What a study needs, stage by stage, as far as its store can tell by now."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import product

from proxysample.errors import InputError
from proxysample.experiments.experiment import Stage
from proxysample.experiments.store import Store
from proxysample.keeping import IntArray
from proxysample.ranking import Ranking
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.experiments.facts import StudyFacts
from proxysample_nas.study.experiments.tasks import (
    LookupTask,
    SearchTask,
    SelectionTask,
    Task,
    TrainingTask,
)
from proxysample_nas.study.grid.component import Component
from proxysample_nas.study.grid.configuration import StudyConfiguration
from proxysample_nas.study.grid.judging import Transfer
from proxysample_nas.study.grid.settings import Setting, Specifications, settings_of
from proxysample_nas.study.results.best import best_cells
from proxysample_nas.study.results.rows import read_rows


class Plan:
    """Lists a study's experiments.

    Parameters
    ----------
    configuration : StudyConfiguration
    facts : StudyFacts
        Of the data.
    store : Store
        What has ended decides what comes next.
    """

    def __init__(self, configuration: StudyConfiguration, facts: StudyFacts, store: Store) -> None:
        self.configuration = configuration
        self.facts = facts
        self.specifications = Specifications(configuration, facts)
        self.store = store
        self.settings = settings_of(configuration)

    @property
    def steps(self) -> list[Callable[[], Stage[Task]]]:
        """The stages in their order, each listed as of when it is called."""
        steps = [self.selection, self.search, self.judging]
        return [*steps, self.transfer] if self.configuration.transfers else steps

    def selection(self) -> Stage[Task]:
        """Score by each sampler, once for all ratios."""
        tasks = [
            SelectionTask(self.specifications.selection(sampler), sampler)
            for sampler in self.configuration.samplers
        ]
        return Stage("selection", tasks, len(tasks))

    def search(self) -> Stage[Task]:
        """Search each setting from each search seed."""
        tasks = list(self._search_tasks())
        return Stage("search", tasks, self._n_searches)

    def judging(self) -> Stage[Task]:
        """Judge each distinct cell on the study's dataset."""
        cells, n_unknown = self._found_cells()
        tasks: list[Task]
        if self.configuration.lookup is not None:
            tasks = [LookupTask(self.specifications.lookup(cell), cell) for cell in cells]
            return Stage("judging", tasks, len(tasks) + n_unknown)
        widths_and_seeds = list(product(self.configuration.channels, self.configuration.seeds))
        tasks = [
            TrainingTask(self.specifications.training(cell, channels, seed), cell, channels, seed)
            for cell in cells
            for channels, seed in widths_and_seeds
        ]
        return Stage("judging", tasks, len(tasks) + n_unknown * len(widths_and_seeds))

    def transfer(self) -> Stage[Task]:
        """Judge the best cells on the other datasets, once all cells have been judged."""
        if not self._is_judged():
            n_at_most = sum(map(self.n_transfers_at_most, self.configuration.transfers))
            return Stage("transfer", [], n_at_most)
        rows = read_rows(self.store)
        widest = max(self.configuration.channels)
        tasks = []
        for transfer in self.configuration.transfers:
            chosen = best_cells(rows, widest, transfer.n_best)
            for cell, seed in product(
                dict.fromkeys(one.found.cell for one in chosen), self.configuration.seeds
            ):
                specification = self.specifications.transfer(transfer, cell, seed)
                tasks.append(TrainingTask(specification, cell, transfer.channels, seed, transfer))
        return Stage("transfer", tasks, len(tasks))

    @property
    def _n_searches(self) -> int:
        return len(self.settings) * len(self.configuration.search_seeds)

    def _search_tasks(self) -> Iterator[Task]:
        rankings = {
            repr(sampler): self._ranking(sampler) for sampler in self.configuration.samplers
        }
        for setting in self.settings:
            indices: IntArray | None = None
            if setting.sampler is not None:
                ranking = rankings[repr(setting.sampler)]
                if ranking is None:
                    continue
                indices = ranking.select(setting.r)
            for seed in self.configuration.search_seeds:
                yield SearchTask(self.specifications.search(setting, seed), setting, seed, indices)

    def _ranking(self, sampler: Component) -> Ranking | None:
        record = self.store.get(SelectionTask.kind, self.specifications.selection(sampler))
        if record is None or record.payload is None:
            return None
        ranking = Ranking.read(io.BytesIO(record.payload), "the store's ranking")
        n_train = self.facts.datasets[self.configuration.dataset].n_train
        if len(ranking) != n_train:
            raise InputError(
                f"{self.store.path} is damaged: a ranking of {len(ranking):,} samples stands for "
                f"one of {n_train:,}"
            )
        return ranking

    def _found_cells(self) -> tuple[list[Cell], int]:
        """Distinct cells, in the order of the searches, and how many searches are still to end."""
        cells: dict[Cell, None] = {}
        n_to_end = 0
        for setting, seed in product(self.settings, self.configuration.search_seeds):
            record = self.store.get(SearchTask.kind, self.specifications.search(setting, seed))
            if record is not None and record.result is not None:
                cells[Cell.from_string(record.result["cell"])] = None
            elif record is None and not self.has_no_proxy(setting):
                n_to_end += 1
        return list(cells), n_to_end

    def has_no_proxy(self, setting: Setting) -> bool:
        """Whether a setting cannot be searched since its selection has failed."""
        if setting.sampler is None:
            return False
        selection = self.specifications.selection(setting.sampler)
        record = self.store.get(SelectionTask.kind, selection)
        return record is not None and record.status == "failed"

    def _is_judged(self) -> bool:
        """Whether every search has ended, and every judging of what they found."""
        stage = self.judging()
        return len(stage.experiments) == stage.n_at_most and all(
            self.store.get(task.kind, task.specification) is not None for task in stage.experiments
        )

    def n_transfers_at_most(self, transfer: Transfer) -> int:
        """Count the trainings on another dataset, were all the cells distinct."""
        n_baselines = len(self.configuration.searchers) * len(self.configuration.search_seeds)
        n_sampled = self._n_searches - n_baselines
        n_cells = n_baselines + min(2 * transfer.n_best, n_sampled)
        return n_cells * len(self.configuration.seeds)
