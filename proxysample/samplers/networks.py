"""Networks that samplers train on the samples that they score, and how they are trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from proxysample.device import copy_to_device
from proxysample.errors import InputError
from proxysample.keeping import FloatArray, IntArray
from proxysample.printing import hides_progress

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def initialized(factory: Callable[[], ModuleT], seed: int) -> ModuleT:
    """Construct a network with PyTorch's default initial weights, drawn from one seed.

    The weights have the bits that the constructors would give them after
    ``torch.manual_seed(seed)``, and the global generators are neither seeded nor drawn from.

    Parameters
    ----------
    factory : callable
        Called without arguments, returns the network. Its parameters must belong to linear,
        convolution, transposed convolution or batch normalisation layers.
    seed : int

    Returns
    -------
    nn.Module
        On the CPU.

    Raises
    ------
    TypeError
        If a layer owns parameters or buffers that this function has no rule for.

    Examples
    --------
    >>> first, second = (initialized(lambda: nn.Linear(3, 2), seed=0) for _ in range(2))
    >>> torch.equal(first.weight, second.weight)
    True
    """
    # Constructors draw from the global generator and take no other: on the meta device there is
    # nothing to draw.
    with torch.device("meta"):
        network = factory()
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        _initialize(layer, generator)
    return network


def _initialize(layer: nn.Module, generator: torch.Generator) -> None:
    if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        if layer.bias is not None:
            # As PyTorch counts them: of a transposed convolution, the inputs of its transpose.
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        layer.reset_parameters()
    elif (
        next(layer.parameters(recurse=False), next(layer.buffers(recurse=False), None)) is not None
    ):
        raise TypeError(f"no rule to initialise {type(layer).__name__}")


def minibatches(n_samples: int, batch_size: int, generator: torch.Generator) -> Iterator[IntArray]:
    """Deal all samples, shuffled, into batches.

    A single sample left over joins the batch before it: batch normalisation cannot be trained
    on one.

    Parameters
    ----------
    n_samples, batch_size : int
    generator : torch.Generator
        On the CPU.

    Yields
    ------
    ndarray of int64
        Indices.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> [len(batch) for batch in minibatches(9, 4, generator)]
    [4, 5]
    """
    order = torch.randperm(n_samples, generator=generator).numpy()
    starts = list(range(0, n_samples, batch_size))
    if len(starts) > 1 and n_samples - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n_samples], strict=True):
        yield order[start:stop]


def train(
    loss_of: Callable[[IntArray], Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    n_samples: int,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    progress: bool = False,
    after_batch: Callable[[int], None] | None = None,
) -> FloatArray:
    """Take one optimiser step on each batch of each epoch.

    Parameters
    ----------
    loss_of : callable
        Maps the indices of a batch, (rows,), to its mean loss, a scalar tensor with a gradient.
    optimizer : torch.optim.Optimizer
        Of the trained parameters.
    n_samples, epochs, batch_size : int
    generator : torch.Generator
        On the CPU; orders the samples of each epoch.
    progress : bool
        Show a progress bar.
    after_batch : callable, optional
        Called after each step with the number of its samples.

    Returns
    -------
    ndarray of shape (epochs,), float64
        Mean loss of the samples in each epoch, as they were trained on.

    Raises
    ------
    InputError
        If the loss of an epoch is not finite; whether it was so before any step is told.
    """
    curve = np.empty(epochs)
    first_loss: Tensor | None = None
    with tqdm(
        total=epochs * n_samples, desc="training", unit="sample", disable=hides_progress(progress)
    ) as bar:
        for epoch in range(epochs):
            # Stays on the device, so that no step waits for the one before it.
            loss_sum: Tensor | float = 0.0
            for rows in minibatches(n_samples, batch_size, generator):
                loss = loss_of(rows)
                first_loss = loss.detach() if first_loss is None else first_loss
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                loss_sum = loss_sum + loss.detach().double() * len(rows)
                if after_batch is not None:
                    after_batch(len(rows))
                bar.update(len(rows))
            curve[epoch] = float(loss_sum) / n_samples
            bar.set_postfix(loss=f"{curve[epoch]:.4g}")
            if not math.isfinite(curve[epoch]):
                raise _divergence(curve[epoch], epoch, optimizer, first_loss)
    return curve


def _divergence(
    loss: float, epoch: int, optimizer: torch.optim.Optimizer, first_loss: Tensor | None
) -> InputError:
    told = f"the training loss of epoch {epoch + 1} is {loss}"
    if first_loss is not None and not math.isfinite(float(first_loss)):
        return InputError(
            f"{told}, and was not finite before the first step: what is trained on is too large, "
            "or the network that gives it does not give finite numbers; scale the features, or "
            "take another network"
        )
    return InputError(
        f"{told}: training diverged; lower learning_rate, which is "
        f"{optimizer.param_groups[0]['lr']:g}"
    )


STAGE_CHANNELS = (16, 32, 64, 64)
SMALLEST_SIDE = 8

PixelLoss = Callable[[Tensor, Tensor], Tensor]


def squared_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Square the error of each pixel."""
    return F.mse_loss(reconstruction, images, reduction="none")


def binary_cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Read pixels as probabilities; in nats, logarithms limited to -100 as PyTorch does."""
    # PyTorch refuses NaN by an error that no CUDA context survives, so it is shown none; the
    # second term is zero, and carries NaN on to whoever watches the loss.
    shown = reconstruction.nan_to_num(nan=0.5)
    return F.binary_cross_entropy(shown, images, reduction="none") + 0 * reconstruction


def swapped_binary_cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Take the image for the prediction and the reconstruction for the truth.

    A pixel that is exactly 0 or 1 then costs 100 nats times its error, where PyTorch's limit on
    the logarithm stands for infinity.
    """
    return F.binary_cross_entropy(images, reconstruction, reduction="none")


def stage_sides(side: int, shorter_side: int) -> list[int]:
    """Halve a side, rounding down, while the shorter side of the image stays 2 or more.

    Parameters
    ----------
    side : int
        Height or width, in pixels.
    shorter_side : int
        The smaller of the two, which decides the number of stages.

    Returns
    -------
    list of int
        The side before the first stage and after each.

    Examples
    --------
    >>> stage_sides(32, 32), stage_sides(40, 28)
    ([32, 16, 8, 4, 2], [40, 20, 10, 5])
    """
    n_stages = shorter_side.bit_length() - 2
    return [side >> stage for stage in range(n_stages + 1)]


class ConvolutionalAutoencoder(nn.Module):
    """The autoencoder of the paper's code, for any size and number of channels.

    Each stage of the encoder halves the sides with a 4x4 convolution of stride 2 and padding 1;
    batch normalisation and ReLU stand between stages. The decoder mirrors it with transposed
    convolutions and ends in a sigmoid. There are as many stages as bring the shorter side to 2
    or 3: four for 32x32 as in the paper (latents 64 x 2 x 2), two for 8x8 (32 x 2 x 2), six for
    224x224 (64 x 3 x 3). Stages have 16, 32, 64, 64, 64, ... channels.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width) of an image.
    latent_channels : int, optional
        Channels of the last stage, instead of the above. Small grey images need fewer: an 8x8
        one has 64 values, and two stages would give it 128 latents.

    Attributes
    ----------
    shape : tuple of int
        As given.
    encoder, decoder : nn.Sequential

    Raises
    ------
    InputError
        If a side is shorter than 8 pixels.

    Examples
    --------
    >>> import torch
    >>> network = ConvolutionalAutoencoder((3, 32, 32))
    >>> images = torch.zeros(5, 3, 32, 32)
    >>> network.encoder(images).shape, network(images).shape
    (torch.Size([5, 64, 2, 2]), torch.Size([5, 3, 32, 32]))
    """

    def __init__(self, shape: tuple[int, int, int], latent_channels: int | None = None) -> None:
        super().__init__()
        self.shape = shape
        image_channels, height, width = shape
        if min(height, width) < SMALLEST_SIDE:
            raise InputError(
                f"images are {height}x{width}; the autoencoder needs sides of {SMALLEST_SIDE} "
                "pixels or more: resize or pad them in the dataset's transform"
            )
        heights = stage_sides(height, min(height, width))
        widths = stage_sides(width, min(height, width))
        n_stages = len(heights) - 1
        repeated = [STAGE_CHANNELS[-1]] * max(0, n_stages - len(STAGE_CHANNELS))
        channels = [image_channels, *STAGE_CHANNELS[:n_stages], *repeated]
        channels[-1] = latent_channels or channels[-1]
        self.encoder = nn.Sequential(
            *_joined(
                [nn.Conv2d(before, after, 4, 2, 1) for before, after in pairwise(channels)],
                channels[1:],
            )
        )
        # Halving an odd side drops a row, which output_padding gives back.
        odd = [(h % 2, w % 2) for h, w in zip(heights, widths, strict=True)]
        steps = [
            nn.ConvTranspose2d(channels[i + 1], channels[i], 4, 2, 1, output_padding=odd[i])
            for i in reversed(range(n_stages))
        ]
        self.decoder = nn.Sequential(*_joined(steps, channels[-2::-1]), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images.

        Parameters
        ----------
        images : Tensor of shape (n, channels, height, width)
            In [0, 1].

        Returns
        -------
        Tensor of the same shape
            In (0, 1).
        """
        reconstruction: Tensor = self.decoder(self.encoder(images))
        return reconstruction


def _joined(convolutions: Sequence[nn.Module], channels: Sequence[int]) -> Iterator[nn.Module]:
    for index, convolution in enumerate(convolutions):
        if index:
            yield nn.BatchNorm2d(channels[index - 1])
            yield nn.ReLU()
        yield convolution


HIDDEN_UNITS = 256
DROPOUT = 0.5


class ClassificationHead(nn.Module):
    """Linear, batch normalisation, ReLU, dropout of a half, linear: the head of the paper's code.

    Parameters
    ----------
    n_features, n_classes : int

    Examples
    --------
    >>> ClassificationHead(8, 3)(torch.zeros(5, 8)).shape
    torch.Size([5, 3])
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(n_features, HIDDEN_UNITS), nn.BatchNorm1d(HIDDEN_UNITS), nn.ReLU()
        )
        self.output = nn.Linear(HIDDEN_UNITS, n_classes)

    def forward(self, features: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Classify features.

        Parameters
        ----------
        features : Tensor of shape (n, n_features)
        dropout : torch.Generator, optional
            On the CPU; drops units, as in training. Without it none are.

        Returns
        -------
        Tensor of shape (n, n_classes)
            Logits.
        """
        hidden = self.hidden(features)
        if dropout is not None:
            hidden = drop(hidden, DROPOUT, dropout)
        logits: Tensor = self.output(hidden)
        return logits


def drop(values: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Set values to zero at random and scale the others up, so that the mean stays.

    `nn.Dropout` does the same with the global generator of the device. Here a seed drops the same
    values on every device.

    Parameters
    ----------
    values : Tensor
    probability : float
        Of a value to be dropped, in [0, 1).
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    Tensor of the same shape

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> sorted(set(drop(torch.ones(100), 0.5, generator).tolist()))
    [0.0, 2.0]
    """
    kept = torch.rand(values.shape, generator=generator) >= probability
    return values * copy_to_device(kept, values.device) / (1 - probability)
