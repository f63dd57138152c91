"""The choice of operations by what their removal costs, instead of by their probability.

Source: Wang, Cheng, Chen, Tang & Hsieh, "Rethinking Architecture FinalChoice in Differentiable NAS"
(ICLR 2021), algorithm 1, and its authors' code for NAS-Bench-201, which takes the edges in a random
order, removes an operation without raising the weights of the others, measures in training mode,
and fine-tunes weights and architecture parameters at a tenth of the first learning rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from proxysample.device import deterministic_kernels
from proxysample.printing import hides_progress
from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.bilevel import outcome
from proxysample_nas.searchers.data import PairedBatches
from proxysample_nas.searchers.result import EdgeDecision, FinalChoice
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.operations import NAS_BENCH_201, SearchSpace
from proxysample_nas.training.optimization import check_loss, counted, set_learning_rate


def select_by_perturbation(
    state: SearchState,
    batches: PairedBatches,
    *,
    step: Callable[[Batch, Batch], tuple[Tensor, Tensor]],
    n_epochs: int,
    epoch: int,
    learning_rate: float,
    keep: Callable[[], None],
    description: str,
    progress: bool,
) -> FinalChoice:
    """Decide every edge that is open, and train the supernet between two of them.

    Parameters
    ----------
    state : SearchState
        Changed in place. Where it has decisions, the choice goes on from them.
    batches : PairedBatches
    step : callable
        Updates weights and architecture, by a weight batch and an architecture batch, and
        returns the outcome of each.
    n_epochs : int
        Epochs of training between two edges.
    epoch : int
        The last of the search, which a message of divergence names.
    learning_rate : float
        Of the weights in this training.
    keep : callable
        Called after every edge, when the choice could go on from the state.
    description : str
        Of the progress bar.
    progress : bool
        Whether to show it.

    Returns
    -------
    FinalChoice
        With a decision for each edge, and no candidates.

    Raises
    ------
    DivergenceError
        If the loss becomes NaN or infinite.
    """
    if not state.decisions:
        state.weight_optimizer.state.clear()
    set_learning_rate(state.weight_optimizer, learning_rate)
    n_edges = len(state.alphas)
    per_edge = len(state.supernet.space) * batches.n_architecture_batches
    per_training = n_epochs * batches.steps_per_epoch
    n_done = len(state.decisions)
    with (
        tqdm(
            total=n_edges * per_edge + (n_edges - 1) * per_training,
            initial=n_done * per_edge + min(n_done, n_edges - 1) * per_training,
            desc=description,
            unit="batch",
            disable=hides_progress(progress),
        ) as bar,
        deterministic_kernels(),
    ):
        train = partial(_train, state, batches, bar, step, n_epochs, epoch, learning_rate)
        for _ in decide_edges(state, batches, bar, train):
            keep()
    operations = {decision.edge: decision.operation for decision in state.decisions}
    return FinalChoice(
        cell=Cell(tuple(operations[edge] for edge in range(n_edges))),
        candidates=(),
        seconds=sum(decision.seconds for decision in state.decisions),
        decisions=tuple(state.decisions),
        n_steps=(n_edges - 1) * per_training,
    )


def decide_edges(
    state: SearchState, batches: PairedBatches, bar: tqdm[Any], train: Callable[[], None]
) -> Iterator[EdgeDecision]:
    """Decide every edge that is open, in a random order.

    Parameters
    ----------
    state : SearchState
        Its `decisions` are added to, and its generator ``"perturbation"`` orders the edges.
    batches : PairedBatches
        All their architecture data is measured, without augmentation.
    bar : tqdm
        Advanced once per batch that is measured.
    train : callable
        Trains the supernet before the next edge is decided.

    Yields
    ------
    EdgeDecision
        After the training that follows it; the state is then ready to be kept.
    """
    n_edges = len(state.alphas)
    space = state.supernet.space
    while len(state.decisions) < n_edges:
        start = time.perf_counter()
        decided = {decision.edge for decision in state.decisions}
        remaining = [edge for edge in range(n_edges) if edge not in decided]
        drawn = torch.randint(len(remaining), (), generator=state.generators["perturbation"])
        edge = remaining[int(drawn)]
        outcomes = [
            outcome_without(state, batches, edge, operation, bar) for operation in range(len(space))
        ]
        decision = decide(edge, torch.stack(outcomes) / len(batches.data.architecture), space)
        state.decisions.append(decision)
        if len(remaining) > 1:
            train()
        state.decisions[-1] = replace(decision, seconds=time.perf_counter() - start)
        yield state.decisions[-1]


@torch.no_grad()
def outcome_without(
    state: SearchState, batches: PairedBatches, edge: int, operation: int, bar: tqdm[Any]
) -> Tensor:
    """Measure the supernet without one operation on one edge.

    Parameters
    ----------
    state : SearchState
        Left as it was, BatchNorm's statistics included.
    batches : PairedBatches
    edge : int
    operation : int
        Index in the search space.
    bar : tqdm
        Advanced once per batch.

    Returns
    -------
    Tensor of shape (2,), float64
        Sums over all architecture data; see `proxysample_nas.searchers.bilevel.outcome`.
    """
    mixing = state.mixing(state.alphas)
    # Assigning a number would copy it from the host, and wait.
    mixing[edge, operation].zero_()
    state.supernet.train()
    total = torch.zeros(2, dtype=torch.float64, device=mixing.device)
    with state.kept_statistics():
        for images, labels in counted(batches.all_architecture(), bar):
            logits = state.supernet(images, mixing)
            total += outcome(F.cross_entropy(logits, labels), logits, labels)
    return total


def decide(edge: int, outcomes: Tensor, space: SearchSpace = NAS_BENCH_201) -> EdgeDecision:
    """Keep the operation that the supernet is worst without.

    Parameters
    ----------
    edge : int
    outcomes : Tensor of shape (n_operations, 2)
        Mean loss, in nats, and share of samples classified correctly without each operation.
    space : SearchSpace

    Returns
    -------
    EdgeDecision
        The operation of the lowest accuracy; of equals that of the highest loss, and of equals
        in that the first.

    Examples
    --------
    >>> without = torch.tensor([[2.0, 0.5], [1.0, 0.4], [3.0, 0.4], [3.0, 0.4], [9.0, 0.9]])
    >>> decide(7, without.double()).operation
    'nor_conv_1x1'
    """
    rows = outcomes.tolist()
    worst = min(range(len(rows)), key=lambda index: (rows[index][1], -rows[index][0]))
    return EdgeDecision(
        edge=edge,
        operation=space.operations[worst],
        losses=tuple(loss for loss, _ in rows),
        accuracies=tuple(100 * right for _, right in rows),
    )


def _train(
    state: SearchState,
    batches: PairedBatches,
    bar: tqdm[Any],
    step: Callable[[Batch, Batch], tuple[Tensor, Tensor]],
    n_epochs: int,
    epoch: int,
    learning_rate: float,
) -> None:
    for _ in range(n_epochs):
        pairs = batches.epoch(
            state.generators["weight batches"], state.generators["architecture batches"]
        )
        outcomes = [torch.stack(step(*pair)) for pair in counted(pairs, bar)]
        losses = torch.stack(outcomes)[:, :, 0].sum(dim=0) / batches.samples_per_epoch
        for loss in losses.tolist():
            check_loss(loss, epoch, learning_rate)
