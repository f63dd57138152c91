"""GDAS: search by a differentiable sampler of architectures."""

from __future__ import annotations

from functools import partial

from torch import Tensor
from torch.nn import functional as F

from proxysample.errors import InputError
from proxysample.sampler import Protocol
from proxysample_nas.data.augmentation import STANDARD_AUGMENTATION, Augmentation
from proxysample_nas.data.loader import Batch
from proxysample_nas.data.normalization import Normalization
from proxysample_nas.hyperparameters import check_not_negative
from proxysample_nas.searchers.bilevel import update_architecture, update_weights
from proxysample_nas.searchers.gradient import GradientSearcher
from proxysample_nas.searchers.gumbel import sample_operations
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.space.precision import Precision


class GDAS(GradientSearcher):
    """Gradient-based search using a differentiable architecture sampler (Dong & Yang 2019).

    Every pass draws one operation per edge with the probabilities that the architecture
    parameters give, and runs only that; a step costs about as much as training two cells. The
    cell takes the likeliest operation of each edge after the last epoch, ``none`` included.

    The defaults are what the authors of "Less is More" ran: the settings of NAS-Bench-201's
    code. `architecture_fraction` alone is GDAS's own.

    Parameters
    ----------
    n_nodes : int
        Nodes of the cell, its input included: 5 in the paper, 4 in NAS-Bench-201.
    channels, cells_per_stage : int
        Size of the supernet: channels of its first stage, cells in each of three stages.
    epochs : int
        Passes over the weight data, where `steps_per_epoch` does not say otherwise.
    batch_size : int
        Samples of each half of a step.
    steps_per_epoch : int or None
        Updates in an epoch; None makes one pass over the weight data. See `DARTS`.
    initial_temperature, final_temperature : float
        Of the Gumbel softmax, in the first and in the last epoch; linear in between, constant
        within an epoch.
    learning_rate, minimum_learning_rate : float
        Of the weights: it falls from the one to the other along a cosine, constant within an
        epoch.
    momentum, weight_decay, nesterov : float, float, bool
        Of the weights' SGD. Both act on the weights that a step has not run as well.
    gradient_clip : float or None
        Largest L2 norm of the weights' gradient.
    architecture_learning_rate, architecture_weight_decay : float
        Of Adam on the architecture parameters, constant; the decay is added to the gradient.
    architecture_betas : tuple of float
        Adam's decay rates.
    architecture_initial_deviation : float
        Architecture parameters begin as normal numbers with this standard deviation.
    architecture_fraction : float
        Share of the training data held out for the architecture, where no validation data is
        given. One half, as in GDAS, section 4.1.
    beta_regularization : float
        Of the architecture parameters against collapse; see `DARTS`. Its authors tried it on
        DARTS alone.
    stop_at_skips, stop_when_stable : int or None
        End the search early, against collapse; see `DARTS`. The temperature is on its way to
        the last of all `epochs` then.
    track_running_stats : bool or None
        Whether BatchNorm inside the supernet's cells keeps running statistics. None keeps them
        under ``protocol="paper"`` alone. Doing without is NATS-Bench's recipe against collapse;
        a GDAS search never reads them and finds the same cell either way. See `DARTS`.
    augmentation : Augmentation or None
        Of both halves of a step.
    normalization : Normalization or None
        None measures the training data.
    protocol : {"default", "paper"}
        Each step updates the weights and then the architecture, on samples of their own, in
        both. See the notes for the gradient. ``"default"`` takes a gradient only in what is
        updated, architecture samples come in shuffled passes, and BatchNorm's running
        statistics see the weight batches alone. ``"paper"`` follows the authors' code, quirks
        included: the scalar trick; gradient clipping counts the gradient of the architecture
        parameters, with what the architecture's last update left there; architecture samples
        are drawn with replacement from validation data that the user must give; and every pass
        moves the running statistics. Its convolution biases before BatchNorm are left out,
        since BatchNorm cancels them.
    random_state : int or None
        Seeds everything that is drawn; the result's `facts` tell which seed None came to.
    precision : {"float32", "bfloat16"}
        What the supernet's features and products are cast to; parameters, statistics and the
        architecture stay in float32. bfloat16 is faster on GPUs that have it.
    device : str
        See `proxysample.device.resolve_device`.
    progress : bool
        Whether to show a progress bar.

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

    def __init__(
        self,
        *,
        n_nodes: int = 5,
        channels: int = 16,
        cells_per_stage: int = 5,
        epochs: int = 250,
        batch_size: int = 64,
        steps_per_epoch: int | None = None,
        initial_temperature: float = 10.0,
        final_temperature: float = 0.1,
        learning_rate: float = 0.025,
        minimum_learning_rate: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        nesterov: bool = True,
        gradient_clip: float | None = 5.0,
        architecture_learning_rate: float = 3e-4,
        architecture_weight_decay: float = 1e-3,
        architecture_betas: tuple[float, float] = (0.5, 0.999),
        architecture_initial_deviation: float = 1e-3,
        architecture_fraction: float = 0.5,
        beta_regularization: float = 0.0,
        stop_at_skips: int | None = None,
        stop_when_stable: int | None = None,
        track_running_stats: bool | None = None,
        augmentation: Augmentation | None = STANDARD_AUGMENTATION,
        normalization: Normalization | None = None,
        protocol: Protocol = "default",
        random_state: int | None = None,
        precision: Precision = "float32",
        device: str = "auto",
        progress: bool = True,
    ) -> None:
        self.n_nodes = n_nodes
        self.channels = channels
        self.cells_per_stage = cells_per_stage
        self.epochs = epochs
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.initial_temperature = initial_temperature
        self.final_temperature = final_temperature
        self.learning_rate = learning_rate
        self.minimum_learning_rate = minimum_learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.gradient_clip = gradient_clip
        self.architecture_learning_rate = architecture_learning_rate
        self.architecture_weight_decay = architecture_weight_decay
        self.architecture_betas = architecture_betas
        self.architecture_initial_deviation = architecture_initial_deviation
        self.architecture_fraction = architecture_fraction
        self.beta_regularization = beta_regularization
        self.stop_at_skips = stop_at_skips
        self.stop_when_stable = stop_when_stable
        self.track_running_stats = track_running_stats
        self.augmentation = augmentation
        self.normalization = normalization
        self.protocol = protocol
        self.random_state = random_state
        self.precision = precision
        self.device = device
        self.progress = progress

    @property
    def id(self) -> str:
        """``"gdas"``."""
        return "gdas"

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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        temperatures = {
            "initial_temperature": self.initial_temperature,
            "final_temperature": self.final_temperature,
        }
        check_not_negative(**temperatures)
        for name, value in temperatures.items():
            if value == 0:
                raise InputError(f"{name} must be positive; the authors went from 10 to 0.1")


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
        See `proxysample_nas.searchers.gumbel.sample_operations`.

    Returns
    -------
    loss : Tensor of shape ()
        Mean cross-entropy of the batch, in nats.
    logits : Tensor of shape (b, n_classes)
    """
    images, labels = batch
    sample = sample_operations(alphas, temperature, state.generators["operations"], on_host)
    logits = state.supernet.forward_sampled(images, sample.operations, sample.gates, scalar_trick)
    return F.cross_entropy(logits, labels), logits
