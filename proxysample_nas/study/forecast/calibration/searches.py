"""Time a few steps of a searcher."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import torch

from proxysample.errors import InputError
from proxysample_nas.data.images import LabelledImages
from proxysample_nas.searchers import Searcher
from proxysample_nas.searchers.remedies import SearchCollapseWarning
from proxysample_nas.study.experiments.data import StudyData, draw_rows
from proxysample_nas.study.forecast.calibration.rates import Counts, Part, Rates, time_parts


@dataclass(frozen=True)
class Sizes:
    """How many images a search trains its weights and its architecture on.

    Attributes
    ----------
    n_weights, n_architecture : int
    """

    n_weights: int
    n_architecture: int


def time_search(searcher: Searcher, data: StudyData, seconds: float) -> Rates:
    """Time a searcher on a few batches of a study's data.

    Parameters
    ----------
    searcher : Searcher
        As the study has it.
    data : StudyData
    seconds : float
        See `time_parts`.

    Returns
    -------
    Rates
        For the parts that `search_counts` counts.

    Raises
    ------
    InputError
        If the searcher has no parameter that makes a search short, or refuses a short one.
    """
    shortest, parts = _parts(searcher)
    _require(searcher, "batch_size", "it is not known how many images make it short")
    batch_size = searcher.get_params()["batch_size"]
    # Both parts get a whole batch, and of each class what holding out asks for.
    n_images = min(len(data.train), max(2 * batch_size, 4 * data.train_images.n_classes))
    rows = torch.from_numpy(draw_rows(data.train, n_images, random_state=0))
    train = data.train_images.take(rows)
    validation = data.architecture_images
    if validation is not None:
        validation = validation.take(torch.arange(min(len(validation), batch_size)))

    def run(small: Searcher) -> tuple[Counts, float]:
        return _run(small, train, validation)

    return time_parts(shortest, parts, run, seconds)


def search_counts(searcher: Searcher, sizes: Sizes) -> Counts:
    """Count what a search does: images that go through the network, updates of a controller.

    Parameters
    ----------
    searcher : Searcher
    sizes : Sizes

    Returns
    -------
    Counts
    """
    return searcher.work(sizes.n_weights, sizes.n_architecture)


def search_sizes(searcher: Searcher, data: StudyData, n_samples: int) -> Sizes:
    """Say how many images of a proxy train the weights, and how many the architecture.

    Parameters
    ----------
    searcher : Searcher
    data : StudyData
    n_samples : int
        Of the proxy.

    Returns
    -------
    Sizes

    Raises
    ------
    InputError
        If the searcher has to hold images out, and does not say what share of them.
    """
    if data.architecture_images is not None:
        return Sizes(n_samples, len(data.architecture_images))
    _require(searcher, "architecture_fraction", "it is not known how many images it trains on")
    n_architecture = round(searcher.get_params()["architecture_fraction"] * n_samples)
    return Sizes(n_samples - n_architecture, n_architecture)


def _require(searcher: Searcher, name: str, else_: str) -> None:
    if name not in searcher.get_params():
        raise InputError(f"{searcher.id} has no parameter {name}, and so {else_}")


def _run(
    searcher: Searcher, train: LabelledImages, validation: LabelledImages | None
) -> tuple[Counts, float]:
    start = time.perf_counter()
    with warnings.catch_warnings():
        # Whatever a few steps find says nothing.
        warnings.simplefilter("ignore", SearchCollapseWarning)
        result = searcher.search(train, validation)
    seconds = time.perf_counter() - start
    facts = result.facts
    sizes = Sizes(facts.n_weight_samples, facts.n_architecture_samples)
    return search_counts(searcher, sizes), seconds


def _parts(searcher: Searcher) -> tuple[Searcher, list[Part[Searcher]]]:
    """Make the shortest search of its kind, and say what can be made longer."""
    parts: list[Part[Searcher]] = [Part(one.apply, one.most) for one in searcher.lengthenings()]
    return searcher.shortened(), parts
