"""The two halves of an ENAS epoch: shared weights on a cell a batch, the controller on rewards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from proxysample.sampler import Protocol
from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.bilevel import outcome
from proxysample_nas.searchers.controller import (
    Controller,
    PolicyLoss,
    policy_loss,
    policy_loss_of_the_authors,
)
from proxysample_nas.searchers.data import SeparateBatches
from proxysample_nas.searchers.state import Parts, RunOperations, kept_statistics, passed_by
from proxysample_nas.space.supernet import Supernet
from proxysample_nas.training.optimization import counted


@dataclass
class ControllerState:
    """A supernet, the controller that samples its cells, and what trains the two.

    Attributes
    ----------
    supernet : Supernet
        In training mode outside `measuring`.
    controller : Controller
        On the CPU, so that its cells need not be fetched from a device.
    weight_optimizer : torch.optim.SGD
        Of the supernet's parameters.
    controller_optimizer : torch.optim.Adam
        Of the controller's.
    generators : dict of torch.Generator
        The streams that the epochs draw from, by name.
    baseline : float or None
        What rewards are compared to; None before the first.
    run : RunOperations or None
        Where what has not run yet is passed by.
    """

    supernet: Supernet
    controller: Controller
    weight_optimizer: torch.optim.SGD
    controller_optimizer: torch.optim.Adam
    generators: dict[str, torch.Generator] = field(default_factory=dict)
    baseline: float | None = None
    run: RunOperations | None = None

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the whole state under distinct names.

        Returns
        -------
        dict of Tensor
            Not copied.
        """
        tensors = self._parts().to_tensors()
        if self.run is not None:
            tensors["has_run"] = self.run.to_tensor()
        if self.baseline is not None:
            tensors["baseline"] = torch.tensor(self.baseline, dtype=torch.float64)
        return tensors

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Set the whole state to what `to_tensors` collected.

        Parameters
        ----------
        tensors : dict of Tensor
            From a state with the same shapes.
        """
        self._parts().load_tensors(tensors)
        if self.run is not None:
            self.run.load_tensor(tensors["has_run"])
        self.baseline = float(tensors["baseline"]) if "baseline" in tensors else None

    def _parts(self) -> Parts:
        return Parts(
            {"supernet": self.supernet, "controller": self.controller},
            {
                "weight_optimizer": self.weight_optimizer,
                "controller_optimizer": self.controller_optimizer,
            },
            self.generators,
        )


def update_shared_weights(
    state: ControllerState,
    batch: Batch,
    operations: Sequence[int],
    *,
    gradient_clip: float | None,
) -> Tensor:
    """Take one SGD step on the weights of one cell.

    Parameters
    ----------
    state : ControllerState
        Changed in place.
    batch : Batch
    operations : sequence of int, length n_edges
        The cell. The weights of other operations have a gradient of 0, so that momentum and
        weight decay act on them all the same; where the state keeps what has run, only on those
        that have, as in the authors' code.
    gradient_clip : float or None
        Largest L2 norm of the gradient.

    Returns
    -------
    Tensor of shape (2,)
        See `proxysample_nas.searchers.bilevel.outcome`.
    """
    images, labels = batch
    logits = state.supernet.forward_sampled(images, operations)
    loss = F.cross_entropy(logits, labels)
    weights = list(state.supernet.parameters())
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient
    if gradient_clip is not None:
        torch.nn.utils.clip_grad_norm_(weights, gradient_clip)
    if state.run is not None:
        state.run.add(operations)
    with passed_by(state.run, state.weight_optimizer):
        state.weight_optimizer.step()
    return outcome(loss, logits, labels)


def update_controller(
    state: ControllerState,
    batches: Sequence[Batch],
    carried: float | None,
    *,
    protocol: Protocol,
    entropy_weight: float,
    decay: float,
    gradient_clip: float | None,
) -> tuple[PolicyLoss, Tensor]:
    """Take one Adam step on the controller, by one sampled cell per batch.

    It waits for the device once, to read the rewards of all its cells: the controller runs on the
    host, since the host must know a cell to run it, and what it samples next depends on them.

    Parameters
    ----------
    state : ControllerState
        The controller is changed in place; the supernet must be inside `measuring`.
    batches : sequence of Batch
        Of architecture data; each evaluates one cell.
    carried : float or None
        The baseline: in the default protocol the state's, in the authors' what the epoch before
        left.
    protocol : {"default", "paper"}
        See `proxysample_nas.searchers.controller` for the two losses.
    entropy_weight, decay : float
    gradient_clip : float or None
        Largest L2 norm of the controller's gradient.

    Returns
    -------
    loss : PolicyLoss
    outcomes : Tensor of shape (n, 2)
        One per batch; see `proxysample_nas.searchers.bilevel.outcome`.
    """
    walk = state.controller.sample(len(batches), state.generators["operations"])
    cells = walk.operations.tolist()
    outcomes = torch.stack(
        [evaluate(state.supernet, batch, cell) for batch, cell in zip(batches, cells, strict=True)]
    ).cpu()
    sizes = torch.tensor([len(labels) for _, labels in batches])
    accuracies = (outcomes[:, 1] / sizes).to(walk.log_probabilities.dtype)
    make_loss = policy_loss_of_the_authors if protocol == "paper" else policy_loss
    result = make_loss(walk, accuracies, carried, entropy_weight=entropy_weight, decay=decay)
    state.controller_optimizer.zero_grad()
    torch.autograd.backward(result.loss)
    if gradient_clip is not None:
        torch.nn.utils.clip_grad_norm_(state.controller.parameters(), gradient_clip)
    state.controller_optimizer.step()
    return result, outcomes


@torch.no_grad()
def evaluate(supernet: Supernet, batch: Batch, operations: Sequence[int]) -> Tensor:
    """Run one cell with the shared weights.

    Returns
    -------
    Tensor of shape (2,)
        See `proxysample_nas.searchers.bilevel.outcome`.
    """
    images, labels = batch
    logits = supernet.forward_sampled(images, operations)
    return outcome(F.cross_entropy(logits, labels), logits, labels)


@contextmanager
def measuring(supernet: Supernet, protocol: Protocol) -> Iterator[None]:
    """Have BatchNorm normalise as the protocol evaluates cells.

    Parameters
    ----------
    supernet : Supernet
        In training mode after leaving.
    protocol : {"default", "paper"}
        ``"default"`` normalises every batch by its own statistics and keeps the running ones as
        they are. Those are averages over cells that differ in scale by orders of magnitude, by
        which the authors' code, and ``"paper"``, normalise every cell.
    """
    if protocol == "paper":
        supernet.eval()
        yield
        supernet.train()
    else:
        supernet.train()
        with kept_statistics(supernet):
            yield


def train_shared_weights(
    state: ControllerState,
    batches: SeparateBatches,
    bar: tqdm[Any],
    *,
    gradient_clip: float | None,
) -> tuple[float, float]:
    """Go through the weight batches of an epoch, with a cell of its own for every batch.

    Parameters
    ----------
    state : ControllerState
        Changed in place.
    batches : SeparateBatches
    bar : tqdm
        Advanced once per batch.
    gradient_clip : float or None

    Returns
    -------
    loss : float
        Mean cross-entropy, in nats, before each step.
    accuracy : float
        Percent.
    """
    with torch.no_grad():
        # The controller stays as it is meanwhile, so that all cells can be drawn at once.
        walk = state.controller.sample(batches.steps_per_epoch, state.generators["operations"])
    totals = torch.zeros(2, dtype=torch.float64, device=batches.data.weights.images.device)
    weight_batches = counted(batches.weight_epoch(state.generators["weight batches"]), bar)
    for batch, operations in zip(weight_batches, walk.operations.tolist(), strict=True):
        totals += update_shared_weights(state, batch, operations, gradient_clip=gradient_clip)
    loss, right = (totals / batches.samples_per_epoch).tolist()
    return loss, 100 * right


@dataclass(frozen=True)
class ControllerEpoch:
    """What is known of the cells that a controller sampled in an epoch.

    Attributes
    ----------
    loss : float
        Mean cross-entropy of their samples, in nats.
    accuracy : float
        Percent of these.
    reward, entropy : float
        Means over the cells.
    baseline : float
        What the next epoch begins with.
    """

    loss: float
    accuracy: float
    reward: float
    entropy: float
    baseline: float


def train_controller(
    state: ControllerState,
    batches: SeparateBatches,
    bar: tqdm[Any],
    *,
    n_updates: int,
    n_samples: int,
    protocol: Protocol,
    entropy_weight: float,
    decay: float,
    gradient_clip: float | None,
) -> ControllerEpoch:
    """Update the controller `n_updates` times, by `n_samples` cells each.

    Parameters
    ----------
    state : ControllerState
        Changed in place.
    batches : SeparateBatches
    bar : tqdm
        Advanced once per cell.
    n_updates, n_samples : int
    protocol : {"default", "paper"}
        In the default the baseline moves with every update; in the authors' code every update
        reads the one that the epoch before left.
    entropy_weight, decay : float
    gradient_clip : float or None
    """
    generator = state.generators["architecture batches"]
    stock = counted(batches.architecture_batches(n_updates * n_samples, generator), bar)
    baseline = carried = state.baseline
    outcomes, rewards, entropies, n_evaluated = [], [], [], 0
    with measuring(state.supernet, protocol):
        for _ in range(n_updates):
            own = list(itertools.islice(stock, n_samples))
            result, outcome = update_controller(
                state,
                own,
                carried if protocol == "paper" else baseline,
                protocol=protocol,
                entropy_weight=entropy_weight,
                decay=decay,
                gradient_clip=gradient_clip,
            )
            baseline = result.baseline
            outcomes.append(outcome)
            rewards.append(result.rewards)
            entropies.append(result.entropies)
            n_evaluated += sum(len(labels) for _, labels in own)
    state.baseline = result.baseline
    loss, right = (torch.cat(outcomes).sum(dim=0) / n_evaluated).tolist()
    return ControllerEpoch(
        loss=loss,
        accuracy=100 * right,
        reward=float(torch.cat(rewards).mean()),
        entropy=float(torch.cat(entropies).mean()),
        baseline=result.baseline,
    )
