"""Time a sampler on a part of the data."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import clone

from proxysample.data.datasets import ArrayDataset
from proxysample.sampler import Sampler
from proxysample_nas.study.experiments.data import draw_rows
from proxysample_nas.study.forecast.calibration.rates import Counts, Part, Rates, time_parts

SMALLEST_PART = 128


@dataclass(frozen=True)
class _Run:
    sampler: Sampler
    n_samples: int


def time_selection(sampler: Sampler, train: ArrayDataset, seconds: float) -> Rates:
    """Time a sampler on parts of the training data.

    Parameters
    ----------
    sampler : Sampler
        As the study has it.
    train : ArrayDataset
    seconds : float
        See `time_parts`.

    Returns
    -------
    Rates
        For the parts that `selection_counts` counts.
    """
    parameters = sampler.get_params(deep=False)
    # K-Means needs more samples than clusters, and others two of each class.
    n_classes = len(np.unique(np.asarray(train.targets)))
    smallest = max(SMALLEST_PART, 2 * parameters.get("n_clusters", 0), 4 * n_classes)
    smallest = min(len(train), smallest)
    small = clone(sampler).set_params(epochs=1) if "epochs" in parameters else clone(sampler)
    parts = [
        Part[_Run](
            lambda run, factor: replace(run, n_samples=factor * run.n_samples),
            most=len(train) // smallest,
        )
    ]
    if "epochs" in parameters:
        parts.append(
            Part[_Run](
                lambda run, factor: replace(
                    run, sampler=clone(run.sampler).set_params(epochs=factor)
                ),
                most=parameters["epochs"],
            )
        )

    def run(one: _Run) -> tuple[Counts, float]:
        return _time(one, train)

    return time_parts(_Run(small, smallest), parts, run, seconds)


def selection_counts(sampler: Sampler, n_samples: int) -> Counts:
    """Count the images that are scored, and those that train the scorer.

    Parameters
    ----------
    sampler : Sampler
    n_samples : int

    Returns
    -------
    Counts
    """
    epochs = sampler.get_params(deep=False).get("epochs", 0)
    counts = {"score": float(n_samples)}
    return counts | ({"train": float(epochs * n_samples)} if epochs else {})


def _time(run: _Run, train: ArrayDataset) -> tuple[Counts, float]:
    rows = draw_rows(train, run.n_samples, 0)
    part = ArrayDataset(train.images[rows], np.asarray(train.targets)[rows], train.classes)
    start = time.perf_counter()
    run.sampler.rank(part)
    return selection_counts(run.sampler, run.n_samples), time.perf_counter() - start
