"""GDAS: search by a differentiable sampler of architectures.

The sampler draws one operation per edge so that the architecture parameters still get a gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from proxysample.checks import COUNT, POSITIVE, Constraints
from proxysample.device import copy_to_device
from proxysample.sampler import Protocol
from proxysample_nas.data.loader import Batch
from proxysample_nas.searchers.bilevel import update_architecture, update_weights
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.searchers.weight_sharing import GradientSearcher
from proxysample_nas.training.optimization import DivergenceError


@dataclass(frozen=True)
class GumbelSample:
    """One operation for each edge, drawn by the Gumbel-max trick.

    Attributes
    ----------
    operations : list of int, length n_edges
        Index of each edge's operation in the search space, on the host.
    gates : Tensor of shape (n_edges, n_operations)
        One for the drawn operations and zero for the others, up to rounding; the gradient is
        that of the relaxed sample, the softmax at the temperature.
    """

    operations: list[int]
    gates: Tensor


def sample_operations(
    alphas: Tensor,
    temperature: float,
    generator: torch.Generator,
    on_host: Tensor | None = None,
) -> GumbelSample:
    """Draw an operation for each edge with the probabilities ``softmax(alphas)``.

    With Gumbel noise G and p = softmax((log_softmax(alphas) + G) / temperature), the operation
    of an edge is the largest of its p, and the gates are ``one_hot(argmax p) + p - detach(p)``
    (Dong & Yang 2019, section 3.2; Jang, Gu & Poole 2017, section 2.2).

    Parameters
    ----------
    alphas : Tensor of shape (n_edges, n_operations), floating point
        Logits of the operations of each edge.
    temperature : float
        Above 0; the lower, the nearer p comes to the drawn operation.
    generator : torch.Generator
        A CPU generator, so that a seed means the same noise on every device.
    on_host : Tensor of shape (n_edges, n_operations), optional
        A copy of `alphas` on the host, which must know what to run. Without it they are copied,
        which waits for their device; nothing else does.

    Returns
    -------
    GumbelSample
        With gates on the device of `alphas`.

    Raises
    ------
    DivergenceError
        If an architecture parameter is NaN or infinite, for which no noise helps.

    Examples
    --------
    >>> alphas = torch.tensor([[0.0, 0.0, 50.0, 0.0, 0.0], [0.0, 50.0, 0.0, 0.0, 0.0]])
    >>> sample = sample_operations(alphas, 1.0, torch.Generator().manual_seed(0))
    >>> sample.operations, sample.gates.argmax(dim=1).tolist()
    ([2, 1], [2, 1])
    """
    on_host = alphas.detach().cpu() if on_host is None else on_host
    if not bool(on_host.isfinite().all()):
        raise DivergenceError(
            "an architecture parameter became NaN or infinite; lower learning_rate or "
            "architecture_learning_rate"
        )
    noise, drawn = _draw(on_host, temperature, generator)
    soft = _relax(alphas, copy_to_device(noise, alphas.device), temperature)
    one_hot = copy_to_device(F.one_hot(drawn, alphas.shape[1]).to(soft.dtype), alphas.device)
    return GumbelSample(drawn.tolist(), one_hot - soft.detach() + soft)


def _draw(alphas: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw noise until noise and relaxed sample are numbers; return it with the argmax."""
    while True:
        noise = -torch.empty_like(alphas).exponential_(generator=generator).log()
        soft = _relax(alphas, noise, temperature)
        # An exponential draw of 0 has an infinite logarithm.
        if bool(noise.isfinite().all()) and bool(soft.isfinite().all()):
            return noise, soft.argmax(dim=1)


def _relax(alphas: Tensor, noise: Tensor, temperature: float) -> Tensor:
    return torch.softmax((torch.log_softmax(alphas, dim=1) + noise) / temperature, dim=1)


class GDAS(GradientSearcher):
    """Gradient-based search using a differentiable architecture sampler (Dong & Yang 2019).

    Every pass draws one operation per edge with the probabilities that the architecture
    parameters give, and runs only that; a step costs about as much as training two cells. The
    cell takes the likeliest operation of each edge after the last epoch, ``none`` included.

    The defaults are what the authors of "Less is More" ran: the settings of NAS-Bench-201's
    code. `architecture_fraction` alone is GDAS's own.

    Parameters
    ----------
    initial_temperature, final_temperature : float
        Of the Gumbel softmax, in the first and in the last of all `epochs`, whether the search
        stops before or not; linear in between, constant within an epoch.
    momentum, weight_decay : float
        Of the weights' SGD. Both act on the weights that a step has not run as well; under
        ``protocol="paper"`` not on those of operations that have never run.
    architecture_fraction : float
        Share of the training data held out for the architecture, where no validation data is
        given. One half, as in GDAS, section 4.1.
    track_running_stats : bool or None
        Whether BatchNorm inside the supernet's cells keeps running statistics. None keeps them
        under ``protocol="paper"`` alone. Doing without is NATS-Bench's recipe against collapse;
        a GDAS search never reads them and finds the same cell either way. See `DARTS`.
    protocol : {"default", "paper"}
        Each step updates the weights and then the architecture, on samples of their own, in
        both. See the notes for the gradient. ``"default"`` takes a gradient only in what is
        updated, architecture samples come in shuffled passes, and BatchNorm's running
        statistics see the weight batches alone. ``"paper"`` follows the authors' code, quirks
        included: the scalar trick; gradient clipping counts the gradient of the architecture
        parameters, with what the architecture's last update left there; architecture samples
        are drawn with replacement from validation data that the user must give; every pass
        moves the running statistics; and images like CIFAR-100's are normalised by the authors'
        constants. Its convolution biases before BatchNorm are left out,
        since BatchNorm cancels them.

    Notes
    -----
    With Gumbel noise G, temperature t and p = softmax((log_softmax(alpha) + G) / t), an edge
    runs the operation k of the largest p, and its output is h = (1 - detach(p_k) + p_k) o_k(x).
    Its value is o_k(x) and, in the default protocol, its gradient in alpha is that of p_k at
    fixed noise times the inner product of o_k(x) with the gradient in h: a straight-through
    estimate which takes the outputs of the operations that were not drawn for zero. The scalar
    trick of the authors' code takes them for ones instead: it adds the zeros
    (0 - detach(p_j) + p_j), j other than k, to every value of h.

    The `details` of an epoch hold its ``"temperature"``.

    Examples
    --------
    >>> from proxysample.data.datasets import load_dataset
    >>> digits = load_dataset("digits").train
    >>> searcher = GDAS(
    ...     n_nodes=3, channels=4, cells_per_stage=1, epochs=1, random_state=0, progress=False
    ... )
    >>> result = searcher.search(digits)
    >>> result.cell.n_nodes, result.history[0].details
    (3, {'temperature': 10.0})
    """

    epochs: int = 250
    initial_temperature: float = 10.0
    final_temperature: float = 0.1

    _constraints: ClassVar[Constraints] = {
        "initial_temperature": POSITIVE.with_hint("the authors went from 10 to 0.1"),
        "final_temperature": POSITIVE.with_hint("the authors went from 10 to 0.1"),
    }

    @property
    def id(self) -> str:
        """``"gdas"``."""
        return "gdas"

    @property
    def _passes_by(self) -> bool:
        return self.protocol == "paper"

    def temperature(self, epoch: int) -> float:
        """Give the temperature of an epoch.

        Parameters
        ----------
        epoch : int
            From 0 to ``epochs - 1``.

        Returns
        -------
        float

        Examples
        --------
        >>> searcher = GDAS(epochs=4)
        >>> [round(searcher.temperature(epoch), 6) for epoch in range(4)]
        [10.0, 6.7, 3.4, 0.1]
        """
        COUNT.check("epoch", epoch)
        progressed = epoch / max(self.epochs - 1, 1)
        return (
            self.initial_temperature
            + (self.final_temperature - self.initial_temperature) * progressed
        )

    def _step(
        self, state: SearchState, weight_batch: Batch, architecture_batch: Batch, epoch: int
    ) -> tuple[Tensor, Tensor]:
        return gdas_step(
            state,
            weight_batch,
            architecture_batch,
            temperature=self.temperature(epoch),
            protocol=self.protocol,
            gradient_clip=self.gradient_clip,
            beta_strength=self._beta_strength(epoch),
        )

    def _details(self, epoch: int) -> dict[str, float]:
        return super()._details(epoch) | {"temperature": self.temperature(epoch)}


def gdas_step(
    state: SearchState,
    weight_batch: Batch,
    architecture_batch: Batch,
    *,
    temperature: float,
    protocol: Protocol,
    gradient_clip: float | None,
    beta_strength: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Update the weights and then the architecture, each on operations drawn for it.

    A step waits for the device once, to read the architecture parameters: the host must know the
    operations to run these alone, and the step before has changed their probabilities.

    Parameters
    ----------
    state : SearchState
        Changed in place.
    weight_batch, architecture_batch : Batch
    temperature : float
        Of the Gumbel softmax.
    protocol : {"default", "paper"}
        See `GDAS`.
    gradient_clip : float or None
    beta_strength : float
        See `proxysample_nas.searchers.bilevel.update_architecture`.

    Returns
    -------
    weight_outcome, architecture_outcome : Tensor of shape (2,)
        See `proxysample_nas.searchers.bilevel.outcome`.
    """
    paper = protocol == "paper"
    forward = partial(
        sampled_forward,
        temperature=temperature,
        scalar_trick=paper,
        # The weights' update leaves them as they are, so that both draws can use one copy.
        on_host=state.alphas.detach().cpu(),
    )
    weight_outcome = update_weights(
        state,
        weight_batch,
        gradient_clip=gradient_clip,
        clip_with_architecture=paper,
        forward=forward,
    )
    architecture_outcome = update_architecture(
        state,
        architecture_batch,
        keep_statistics=not paper,
        forward=forward,
        beta_strength=beta_strength,
    )
    return weight_outcome, architecture_outcome


def sampled_forward(
    state: SearchState,
    batch: Batch,
    alphas: Tensor,
    *,
    temperature: float,
    scalar_trick: bool,
    on_host: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw one operation per edge and run only these.

    Parameters
    ----------
    state : SearchState
        Its generator ``"operations"`` is drawn from.
    batch : Batch
    alphas : Tensor of shape (n_edges, n_operations)
        The state's, or the same without a gradient.
    temperature : float
        Of the Gumbel softmax.
    scalar_trick : bool
        See `proxysample_nas.space.supernet.Supernet.forward_sampled`.
    on_host : Tensor of shape (n_edges, n_operations), optional
        See `proxysample_nas.searchers.gdas.sample_operations`.

    Returns
    -------
    loss : Tensor of shape ()
        Mean cross-entropy of the batch, in nats.
    logits : Tensor of shape (b, n_classes)
    """
    images, labels = batch
    sample = sample_operations(alphas, temperature, state.generators["operations"], on_host)
    if state.run is not None:
        # The architecture's passes leave a gradient in the weights, too, in the authors' code.
        state.run.add(sample.operations)
    logits = state.supernet.forward_sampled(images, sample.operations, sample.gates, scalar_trick)
    return F.cross_entropy(logits, labels), logits
