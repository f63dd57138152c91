"""The controller of ENAS, and REINFORCE: what its samples and their rewards come to as a loss.

Source: Williams, "Simple statistical gradient-following algorithms" (1992); Pham et al.,
"Efficient Neural Architecture Search via Parameter Sharing" (2018), section 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from proxysample_nas.space.modules import fresh_generator, uniform_fan_in
from proxysample_nas.space.operations import NAS_BENCH_201

Choose = Callable[[int, Tensor], Tensor]
"""From an edge and the logits of its operations, (n, n_operations), to one operation each, (n,)."""


@dataclass(frozen=True)
class Walk:
    """Cells that a controller wrote.

    Attributes
    ----------
    operations : Tensor of shape (n, n_edges), int64
        Index in the search space of each edge's operation.
    log_probabilities : Tensor of shape (n,)
        Natural logarithm of the probability of each cell.
    entropies : Tensor of shape (n,)
        Sum over the edges of the entropy, in nats, of the distribution that the edge's operation
        was chosen from. Over sampled cells its mean estimates the entropy of the controller.
    probabilities : Tensor of shape (n, n_edges, n_operations)
        Those distributions.
    """

    operations: Tensor
    log_probabilities: Tensor
    entropies: Tensor
    probabilities: Tensor


class Controller(nn.Module):
    """A distribution over cells, one operation conditioned on those before it.

    An LSTM takes one step per edge, in the order of `proxysample_nas.space.cell.edges_of`; the
    first input is learned, every other one is the embedding of the operation just chosen. The
    logits of an edge are ``tanh_constant * tanh(output / temperature)``, which keeps them within
    `tanh_constant` (Pham et al. 2018, section 2.2; Bello et al. 2017, section A.1).

    Parameters
    ----------
    n_edges : int
        Edges of a cell.
    hidden_size : int
        Of the LSTM and of the embedding.
    n_layers : int
        Of the LSTM.
    temperature, tanh_constant : float
        Above 0.
    generator : torch.Generator, optional
        Source of the initial weights, on the CPU. Without it they differ from one to the next.
        The global random state is left alone either way.
    n_operations : int
        Operations of an edge.

    Notes
    -----
    As in NAS-Bench-201's code the first input, the weights of the LSTM's first layer, the
    embedding and the output's weights begin uniformly within 0.1; all other parameters as
    PyTorch has them, uniformly within 1 / sqrt(hidden_size).

    Examples
    --------
    >>> controller = Controller(n_edges=10, generator=torch.Generator().manual_seed(0))
    >>> walk = controller.sample(20, torch.Generator().manual_seed(1))
    >>> walk.operations.shape, walk.log_probabilities.shape
    (torch.Size([20, 10]), torch.Size([20]))
    >>> sum(parameter.numel() for parameter in controller.parameters())
    17253
    """

    def __init__(
        self,
        n_edges: int,
        hidden_size: int = 32,
        n_layers: int = 2,
        temperature: float = 5.0,
        tanh_constant: float = 2.5,
        generator: torch.Generator | None = None,
        n_operations: int = len(NAS_BENCH_201),
    ) -> None:
        super().__init__()
        self.n_edges = n_edges
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        with torch.device("meta"):
            self.first_input = nn.Parameter(torch.empty(hidden_size))
            self.lstm = nn.LSTM(hidden_size, hidden_size, n_layers)
            self.embedding = nn.Embedding(n_operations, hidden_size)
            self.output = nn.Linear(hidden_size, n_operations)
        self.to_empty(device="cpu")
        self._initialize(hidden_size, generator if generator is not None else fresh_generator())

    def sample(self, n: int, generator: torch.Generator) -> Walk:
        """Draw cells independently.

        Parameters
        ----------
        n : int
            Number of cells.
        generator : torch.Generator
            A generator on the controller's device.
        """

        def draw(_: int, logits: Tensor) -> Tensor:
            probabilities = torch.softmax(logits.detach(), dim=1)
            return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)

        return self._walk(n, draw)

    def evaluate(self, operations: Tensor) -> Walk:
        """Give the probabilities of given cells.

        Parameters
        ----------
        operations : Tensor of shape (n, n_edges), int64
        """
        return self._walk(len(operations), lambda edge, _: operations[:, edge])

    def greedy(self) -> Walk:
        """Write the one cell that takes the likeliest operation of each edge in turn.

        Returns
        -------
        Walk
            Of one cell.
        """
        return self._walk(1, lambda _, logits: logits.argmax(dim=1))

    def _walk(self, n: int, choose: Choose) -> Walk:
        inputs, state = self.first_input.expand(1, n, -1), None
        chosen, log_probabilities, all_probabilities = [], [], []
        for edge in range(self.n_edges):
            hidden, state = self.lstm(inputs, state)
            logits = self.tanh_constant * torch.tanh(self.output(hidden[0]) / self.temperature)
            operations = choose(edge, logits)
            normalized = torch.log_softmax(logits, dim=1)
            chosen.append(operations)
            log_probabilities.append(normalized.gather(1, operations[:, None]).squeeze(1))
            all_probabilities.append(normalized)
            inputs = self.embedding(operations)[None]
        logarithms = torch.stack(all_probabilities, dim=1)
        return Walk(
            torch.stack(chosen, dim=1),
            torch.stack(log_probabilities).sum(dim=0),
            -(logarithms.exp() * logarithms).sum(dim=(1, 2)),
            logarithms.exp(),
        )

    @torch.no_grad()
    def _initialize(self, hidden_size: int, generator: torch.Generator) -> None:
        narrow = {
            "first_input",
            "lstm.weight_ih_l0",
            "lstm.weight_hh_l0",
            "embedding.weight",
            "output.weight",
        }
        for name, parameter in self.named_parameters():
            if name in narrow:
                nn.init.uniform_(parameter, -0.1, 0.1, generator=generator)
            else:
                uniform_fan_in(parameter, hidden_size, generator)


@dataclass(frozen=True)
class PolicyLoss:
    """The loss of a batch of sampled cells.

    Attributes
    ----------
    loss : Tensor of shape ()
        To be descended; only its gradient has a meaning.
    rewards : Tensor of shape (n,)
        Accuracy, from 0 to 1, plus the weighted entropy, without a gradient.
    entropies : Tensor of shape (n,)
        Along each cell, in nats, without a gradient.
    baseline : float
        What the next batch is compared to.
    """

    loss: Tensor
    rewards: Tensor
    entropies: Tensor
    baseline: float


def policy_loss(
    walk: Walk, accuracies: Tensor, baseline: float | None, *, entropy_weight: float, decay: float
) -> PolicyLoss:
    """Ascend the expected accuracy plus the weighted entropy of the controller.

    The gradient of -loss is an unbiased estimate of that of E[accuracy] + entropy_weight * H, up
    to the baseline of the very first batch, which is its own mean: with the reward
    R = accuracy + entropy_weight * h held fixed, h the entropy along the sampled cell, it is the
    mean of (R - baseline) * grad log p + entropy_weight * grad h. The baseline is the moving
    average of the rewards of the batches before.

    Parameters
    ----------
    walk : Walk
        Sampled cells, with their graph.
    accuracies : Tensor of shape (n,)
        From 0 to 1.
    baseline : float or None
        From the batch before; None in the first.
    entropy_weight : float
    decay : float
        Share of the baseline that one reward leaves.
    """
    entropies = walk.entropies.detach()
    rewards = accuracies + entropy_weight * entropies
    if baseline is None:
        baseline = float(rewards.mean())
    advantages = rewards - baseline
    loss = -(walk.log_probabilities * advantages + entropy_weight * walk.entropies).mean()
    following = moving_average(baseline, rewards.tolist(), decay)
    return PolicyLoss(loss, rewards, entropies, following)


def policy_loss_of_the_authors(
    walk: Walk, accuracies: Tensor, carried: float | None, *, entropy_weight: float, decay: float
) -> PolicyLoss:
    """Follow the authors' code, in which two things differ from REINFORCE.

    The baseline of a sample is ``decay * carried + (1 - decay) * reward``, where ``carried``
    stays what the epoch before left, so that it hardly ever moves; before there is one, each
    sample's own accuracy is its baseline. And the entropy in the reward keeps its gradient,
    which -log p multiplies: it lowers the entropy.

    Parameters
    ----------
    walk : Walk
        Sampled cells, with their graph.
    accuracies : Tensor of shape (n,)
        From 0 to 1.
    carried : float or None
        The last sample's baseline in the epoch before; None in the first epoch.
    entropy_weight : float
    decay : float

    Returns
    -------
    PolicyLoss
        Its baseline is that of the last sample.
    """
    rewards = accuracies + entropy_weight * walk.entropies
    baselines = accuracies if carried is None else carried - (1 - decay) * (carried - rewards)
    loss = -(walk.log_probabilities * (rewards - baselines)).mean()
    last = float(baselines[-1].detach())
    return PolicyLoss(loss, rewards.detach(), walk.entropies.detach(), last)


def moving_average(start: float, values: list[float], decay: float) -> float:
    """Average exponentially, the latest value the heaviest.

    Parameters
    ----------
    start : float
    values : list of float
        In order.
    decay : float
        Share that one value leaves of what was before.

    Examples
    --------
    >>> moving_average(1.0, [0.0, 1.0], decay=0.5)
    0.75
    """
    for value in values:
        start = decay * start + (1 - decay) * value
    return start
