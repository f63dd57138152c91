"""The update rules of ENAS: the shared weights on one cell a batch, the controller on rewards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample.sampler import Protocol
from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.bilevel import outcome
from proxysample_nas.searchers.controller import Controller
from proxysample_nas.searchers.reinforcement import (
    PolicyLoss,
    policy_loss,
    policy_loss_of_the_authors,
)
from proxysample_nas.searchers.snapshot import Parts, kept_statistics
from proxysample_nas.space.supernet import Supernet


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
    """

    supernet: Supernet
    controller: Controller
    weight_optimizer: torch.optim.SGD
    controller_optimizer: torch.optim.Adam
    generators: dict[str, torch.Generator] = field(default_factory=dict)
    baseline: float | None = None

    def to_tensors(self) -> dict[str, Tensor]:
        """Collect the whole state under distinct names.

        Returns
        -------
        dict of Tensor
            Not copied.
        """
        tensors = self._parts().to_tensors()
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
        weight decay act on them all the same, as in the authors' code.
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
        Of architecture data; each judges one cell.
    carried : float or None
        The baseline: in the default protocol the state's, in the authors' what the epoch before
        left.
    protocol : {"default", "paper"}
        See `proxysample_nas.searchers.reinforcement` for the two losses.
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
        [judge(state.supernet, batch, cell) for batch, cell in zip(batches, cells, strict=True)]
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
def judge(supernet: Supernet, batch: Batch, operations: Sequence[int]) -> Tensor:
    """Run one cell with the shared weights.

    Parameters
    ----------
    supernet : Supernet
    batch : Batch
    operations : sequence of int, length n_edges

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
    """Have BatchNorm normalise as the protocol judges cells.

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
