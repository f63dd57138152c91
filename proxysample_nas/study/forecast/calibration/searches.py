"""Time a few steps of a searcher."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.base import clone

from proxysample.errors import InputError
from proxysample_nas.data.images import LabelledImages
from proxysample_nas.searchers import Searcher
from proxysample_nas.searchers.collapse import SearchCollapseWarning
from proxysample_nas.space.cell import n_edges
from proxysample_nas.space.operations import SearchSpace
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
    for name in ("epochs", "batch_size"):
        _require(searcher, name, "a search cannot be made short enough to be timed")
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

    shortest, parts = _parts(searcher)
    return time_parts(shortest, parts, run, seconds)


def search_counts(searcher: Searcher, sizes: Sizes) -> Counts:
    """Count what a search does: images that go through the network, updates of a controller.

    A search that may stop early is counted as if it did not. Of a searcher that is not one of
    this project's, the images that go through in its epochs are counted.

    Parameters
    ----------
    searcher : Searcher
    sizes : Sizes

    Returns
    -------
    Counts
    """
    p = searcher.get_params()
    if searcher.id == "random":
        n_samples = 0 if p["n_samples"] == 1 else p["n_samples"]
        return {
            "train": float(n_samples * p["epochs"] * sizes.n_weights),
            "judge": float(n_samples * sizes.n_architecture),
        }
    steps = p.get("steps_per_epoch")
    per_epoch = sizes.n_weights if steps is None else steps * p["batch_size"]
    counts = {"step": float(p["epochs"] * per_epoch)}
    if searcher.id == "enas":
        one_batch = min(p["batch_size"], sizes.n_architecture)
        judged = one_batch if p["protocol"] == "paper" else sizes.n_architecture
        n_updates = p["epochs"] * p["controller_updates"]
        counts |= {
            "update": float(n_updates),
            "reward": float(n_updates * p["controller_samples"] * one_batch),
            "candidate": float(p["n_candidates"] * judged),
        }
    elif p.get("selection") == "perturbation":
        edges = n_edges(p["n_nodes"])
        counts |= {
            "recover": float((edges - 1) * p["perturbation_epochs"] * per_epoch),
            "remove": float(edges * len(SearchSpace.of(p["space"])) * sizes.n_architecture),
        }
    return counts


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


def _with(searcher: Searcher, **parameters: Any) -> Searcher:
    changed: Searcher = clone(searcher).set_params(**parameters)
    return changed


def _part(searcher: Searcher, name: str, **also: Any) -> Part[Searcher]:
    """Do more of what a parameter counts."""
    return Part(
        lambda shortest, factor: _with(
            shortest, **({name: factor * shortest.get_params()[name]} | also)
        ),
        most=_most(searcher, name),
    )


def _most(searcher: Searcher, name: str) -> int:
    # A number of steps that follows from the data is large enough for any calibration.
    given = searcher.get_params()[name]
    return 1_000_000 if given is None else max(2, int(given))


def _parts(searcher: Searcher) -> tuple[Searcher, list[Part[Searcher]]]:
    """Make the shortest search of its kind, and say what can be made longer."""
    p = searcher.get_params()
    if searcher.id == "random":
        shortest = _with(searcher, n_samples=2, epochs=1)
        return shortest, [_part(searcher, "epochs"), _part(searcher, "n_samples")]
    if "steps_per_epoch" not in p:
        return _with(searcher, epochs=1), [_part(searcher, "epochs")]
    shortest = _with(searcher, epochs=1, steps_per_epoch=1)
    parts = [_part(searcher, "steps_per_epoch")]
    if searcher.id == "enas":
        shortest = _with(shortest, controller_updates=1, controller_samples=1, n_candidates=1)
        parts += [
            _part(searcher, name)
            for name in ("controller_updates", "controller_samples", "n_candidates")
        ]
    elif p.get("selection") == "perturbation":
        shortest = _with(shortest, selection="argmax", perturbation_epochs=1)
        choosing = {"selection": "perturbation"}
        parts += [
            Part(lambda short, _: _with(short, **choosing), most=2),
            _part(searcher, "perturbation_epochs", **choosing),
        ]
    return shortest, parts
