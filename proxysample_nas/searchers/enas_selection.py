"""The final choice of ENAS: the most accurate of the cells that the controller samples."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from proxysample_nas.progress import counted
from proxysample_nas.searchers.enas_updates import ControllerState, judge
from proxysample_nas.searchers.result import Candidate, FinalChoice, best_of
from proxysample_nas.searchers.separate_batches import SeparateBatches
from proxysample_nas.space.cell import Cell


def select_by_all(
    state: ControllerState, batches: SeparateBatches, n_candidates: int, bar: tqdm[Any]
) -> FinalChoice:
    """Judge every candidate on all architecture data, without augmentation.

    Parameters
    ----------
    state : ControllerState
        The supernet must be inside `proxysample_nas.searchers.enas_updates.measuring`.
    batches : SeparateBatches
    n_candidates : int
        Number of samples; a cell that is sampled again is judged once.
    bar : tqdm
        Advanced once per sample.

    Returns
    -------
    FinalChoice
    """
    start = time.perf_counter()
    n_samples = len(batches.data.architecture)
    space = state.supernet.space
    judged: dict[Cell, Tensor] = {}
    for cell in counted(_sample(state, n_candidates), bar):
        if cell not in judged:
            outcomes = [
                judge(state.supernet, batch, space.indices_of(cell))
                for batch in batches.all_architecture()
            ]
            judged[cell] = torch.stack(outcomes).sum(dim=0)
    candidates = [
        Candidate(cell, 100 * right / n_samples, n_samples)
        for cell, (_, right) in zip(judged, _read(judged.values()), strict=True)
    ]
    return best_of(candidates, time.perf_counter() - start)


def select_by_one_batch_each(
    state: ControllerState, batches: SeparateBatches, n_candidates: int, bar: tqdm[Any]
) -> FinalChoice:
    """Judge every candidate on one batch, each on another, as the authors' code does.

    With 128 images a batch the standard error of an accuracy is three to four percentage points.

    Parameters
    ----------
    state : ControllerState
        The supernet must be inside `proxysample_nas.searchers.enas_updates.measuring`.
    batches : SeparateBatches
        Their augmented architecture batches are drawn.
    n_candidates : int
        Number of samples.
    bar : tqdm
        Advanced once per sample.

    Returns
    -------
    FinalChoice
    """
    start = time.perf_counter()
    generator = state.generators["architecture batches"]
    own = batches.architecture_batches(n_candidates, generator)
    cells = _sample(state, n_candidates)
    outcomes, sizes = [], []
    for cell, batch in zip(counted(cells, bar), own, strict=True):
        outcomes.append(judge(state.supernet, batch, state.supernet.space.indices_of(cell)))
        sizes.append(len(batch[1]))
    candidates = [
        Candidate(cell, 100 * right / n_samples, n_samples)
        for cell, n_samples, (_, right) in zip(cells, sizes, _read(outcomes), strict=True)
    ]
    return best_of(candidates, time.perf_counter() - start)


def _read(outcomes: Iterable[Tensor]) -> list[list[float]]:
    """Copy all outcomes to the host at once, so that no candidate waits for the one before it."""
    rows: list[list[float]] = torch.stack(list(outcomes)).tolist()
    return rows


@torch.no_grad()
def _sample(state: ControllerState, n: int) -> list[Cell]:
    walk = state.controller.sample(n, state.generators["operations"])
    space = state.supernet.space
    return [Cell.from_indices(operations, space) for operations in walk.operations.tolist()]
