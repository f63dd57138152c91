"""A store as a study leaves it, of results that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from proxysample.components import Component
from proxysample_nas.space.cell import Cell
from proxysample_nas.study.configuration import Setting, StudyConfiguration
from proxysample_nas.study.experiments.base import KnownStudy, StudyExperiment
from proxysample_nas.study.experiments.data import DatasetInfo, StudyInfo
from proxysample_nas.study.experiments.evaluation import Training, TransferTraining
from proxysample_nas.study.experiments.scoring import Scoring
from proxysample_nas.study.experiments.search import Search
from proxysample_nas.study.reports.results import StudyResults
from proxysample_nas.study.run import StudyStore

CIFAR100 = DatasetInfo("c1" * 16, 50_000, 10_000, 100, (32, 32, 3), "test")
HALF_OF_CIFAR100 = DatasetInfo("c1" * 16, 50_000, 5_000, 100, (32, 32, 3), "test half")
IMAGENET16 = DatasetInfo("e1" * 16, 151_700, 6_000, 120, (16, 16, 3), "test")
DIGITS = DatasetInfo("d1" * 16, 1_437, 360, 10, (8, 8, 1), "test")
LOOKED_UP = "f1" * 16
MACHINE = {
    "processor": "a processor",
    "n_cores": 2,
    "n_threads": 1,
    "n_side_by_side": 1,
    "device": "cpu",
    "torch": "2.13",
    "numpy": "2",
}

Found = tuple[Cell, float]


def write_results(
    folder: Path,
    found: Callable[..., Found | None],
    accuracies: Callable[[Cell, int], list[float]],
    *,
    info: DatasetInfo = DIGITS,
    transfer_info: Mapping[str, DatasetInfo] | None = None,
    transferred: Callable[[Cell], list[float]] = lambda cell: [],
    scoring_seconds: float | Callable[[Component], float] = 2.0,
    **settings: Any,
) -> StudyResults:
    """Write what each search found, and how each cell did at each width, seed by seed."""
    configuration = StudyConfiguration.build(
        **({"dataset": "data", "samplers": ["rs"], "ratios": [0.5]} | settings)
    )
    datasets = {configuration.dataset: info, **(transfer_info or {})}
    table = None if configuration.lookup is None else LOOKED_UP
    study = KnownStudy(configuration, StudyInfo(datasets, table))
    store = StudyStore(folder / "study.sqlite")
    store.set_info("configuration", configuration.to_json())
    store.set_info("facts", study.info.to_json())

    def put(experiment: StudyExperiment, result: dict[str, Any]) -> None:
        store.put(experiment.kind, experiment.specification, result)

    for sampler in configuration.samplers:
        scored = scoring_seconds(sampler) if callable(scoring_seconds) else scoring_seconds
        for proxy_seed in study.proxy_seeds_of(sampler):
            put(Scoring.of(study, sampler, proxy_seed), {"seconds": scored})
    cells = {}
    for setting, seed, *draw in _searches(study):
        one = found(setting, seed, *draw)
        if one is not None:
            cells[one[0]] = None
            search = Search.of(study, setting, seed, *draw)
            put(search, _search(setting, search.specification, info, *one))
    for cell, channels in product(cells, configuration.channels):
        values = accuracies(cell, channels)
        for seed, value in zip(configuration.seeds, values, strict=False):
            put(Training.of(study, cell, channels, seed), _training(cell, seed, value, info))
    for transfer, cell in product(configuration.transfers, cells):
        elsewhere = datasets[transfer.dataset]
        for seed, value in zip(configuration.seeds, transferred(cell), strict=False):
            put(
                TransferTraining.on(study, transfer, cell, seed),
                _training(cell, seed, value, elsewhere),
            )
    return StudyResults.read(store)


def _searches(study: KnownStudy) -> Iterator[tuple[Any, ...]]:
    """Each setting with each seed; where there are several draws, with each of them too."""
    for setting, seed in product(study.settings, study.configuration.search_seeds):
        for proxy_seed in study.proxy_seeds_of(setting.sampler):
            yield (setting, seed) if proxy_seed is None else (setting, seed, proxy_seed)


def _search(
    setting: Setting,
    specification: dict[str, Any],
    info: DatasetInfo,
    cell: Cell,
    seconds: float,
) -> dict[str, Any]:
    n_kept = round(setting.r * info.n_train)
    return {
        "cell": str(cell),
        "seconds": seconds,
        "n_kept": n_kept,
        "machine": MACHINE,
        "facts": {
            "searcher": setting.searcher.name,
            "parameters": specification["parameters"],
            "n_weight_samples": n_kept // 2,
            "n_architecture_samples": n_kept - n_kept // 2,
        },
    }


def _training(cell: Cell, seed: int, accuracy: float, info: DatasetInfo) -> dict[str, Any]:
    return {
        "cell": str(cell),
        "seed": seed,
        "accuracy": accuracy,
        "split": info.split,
        "train_losses": [1.0],
        "train_accuracy": 50.0,
        "n_parameters": 1_000,
        "n_train": info.n_train,
        "n_test": info.n_test,
        "seconds": 3.0,
        "device": "cpu",
        "machine": MACHINE,
    }
