"""Loss of an autoencoder: samples that are hard to reconstruct go first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from proxysample.checks import DEVICE, POSITIVE, POSITIVE_INTEGER, Constraints, one_of
from proxysample.data.reading import Samples
from proxysample.device import deterministic_kernels, draw_seeds, resolve_device
from proxysample.errors import InputError
from proxysample.isolation import isolated
from proxysample.keeping import FloatArray, IntArray, Keep
from proxysample.sampler import Protocol, Reads
from proxysample.samplers.base import ImageSampler
from proxysample.samplers.random import RandomState

if TYPE_CHECKING:
    from torch import nn

    from proxysample.features.batches import ImageTensors
    from proxysample.samplers.networks import ConvolutionalAutoencoder, PixelLoss

Loss = Literal["mse", "bce"]
LOSSES: tuple[Loss, ...] = ("mse", "bce")


class AutoencoderLoss(ImageSampler):
    """Keep the samples that an autoencoder reconstructs best (ae; section 3.2.3, equation 4).

    A convolutional autoencoder is trained on all samples and scores each of them by its
    reconstruction loss, averaged over the pixels. Labels are not used.

    Parameters
    ----------
    loss : {"mse", "bce"}
        Mean squared error or binary cross-entropy (in nats), for training and scoring. The
        paper's text names the first. `protocol` "paper" has its own and ignores this.
    keep : str or KeepingRule
        ``"easy"`` keeps low scores (the paper's choice), ``"hard"`` high ones; or another rule, by
        its id or with parameters.
    epochs : int
        Passes over the dataset.
    learning_rate : float
        Of Adam.
    training_batch_size : int
        Images of one step of training.
    latent_channels : int, optional
        Channels of the latents, a grid of 2 or 3 on the shorter side; by default 64, and 32 for
        images smaller than 16x16. Lower it where images hold hardly more values than latents.
    protocol : {"default", "paper"}
        "paper" does what the authors' code does: it trains with binary cross-entropy, scores
        with its two arguments swapped, where a pixel that is exactly black or white costs 100
        nats times its error, and keeps ``int(n * r)`` samples.
    random_state : int, Generator or None
        Seed of the initial weights and of the order of training; None draws a new one.
    device : str or torch.device
        "auto" takes the first CUDA device where there is one. Scores differ a little between
        kinds of device and numbers of threads, whose sums round otherwise.

    Attributes
    ----------
    network_ : ConvolutionalAutoencoder
        Trained, in evaluation mode.
    loss_curve_ : ndarray of shape (epochs,), float64
        Mean training loss of each epoch.

    Notes
    -----
    Images are uint8, uint16, or floating point in [0, 1], 8x8 or larger, of any number of channels.
    `proxysample.samplers.networks.ConvolutionalAutoencoder` says how it follows their size.

    The binary cross-entropy of a perfect reconstruction is not zero but the entropy of the
    image's values, which is largest for mid-grey: with "bce", images of high contrast score low
    however well they are reconstructed.

    Examples
    --------
    >>> from proxysample import AutoencoderLoss
    >>> images = np.zeros((8, 8, 8), dtype=np.uint8)
    >>> images[3] = np.random.default_rng(0).integers(0, 256, (8, 8))
    >>> sampler = AutoencoderLoss(learning_rate=0.01, random_state=0)
    >>> sampler.select(images, r=7 / 8).tolist()
    [0, 1, 2, 4, 5, 6, 7]
    >>> sampler.transform(images).shape
    (8, 128)
    """

    id: ClassVar[str] = "ae"
    reads: ClassVar[Reads] = "pixels"
    _constraints: ClassVar[Constraints] = {
        "loss": one_of("loss", LOSSES),
        "epochs": POSITIVE_INTEGER,
        "training_batch_size": POSITIVE_INTEGER,
        "latent_channels": POSITIVE_INTEGER.or_none(),
        "learning_rate": POSITIVE,
        "device": DEVICE,
    }

    loss: Loss = "mse"
    keep: Keep = "easy"
    epochs: int = 50
    learning_rate: float = 1e-3
    training_batch_size: int = 64
    latent_channels: int | None = None
    protocol: Protocol = "default"
    random_state: RandomState = None
    device: Any = "auto"

    def _check_availability(self) -> None:
        resolve_device(self.device)

    def _score(self, samples: Samples, codes: IntArray | None) -> FloatArray:  # noqa: ARG002
        from proxysample.features.batches import ImageTensors

        images = ImageTensors(samples, resolve_device(self.device), read_often=True)
        trained_loss, scored_loss = self._losses()
        with deterministic_kernels():
            self.network_ = self._train(images, trained_loss)
            return reconstruction_losses(self.network_, images, scored_loss, self.progress)

    def _losses(self) -> tuple[PixelLoss, PixelLoss]:
        from proxysample.samplers import networks

        if self.protocol == "paper":
            return networks.binary_cross_entropy, networks.swapped_binary_cross_entropy
        loss = {"mse": networks.squared_error, "bce": networks.binary_cross_entropy}[self.loss]
        return loss, loss

    def _train(self, images: ImageTensors, pixel_loss: PixelLoss) -> ConvolutionalAutoencoder:
        import torch

        from proxysample.samplers.networks import ConvolutionalAutoencoder, initialized, train

        weights_seed, order_seed = draw_seeds(self.random_state, 2)
        network = initialized(
            lambda: ConvolutionalAutoencoder(images.shape, self.latent_channels), weights_seed
        )
        # Batches arrive channels last; weights of the same layout spare copies.
        network.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

        def loss_of(rows: IntArray) -> torch.Tensor:
            batch = images[rows]
            return pixel_loss(network(batch), batch).mean()

        self.loss_curve_ = train(
            loss_of,
            torch.optim.Adam(network.parameters(), self.learning_rate),
            n_samples=len(images),
            epochs=self.epochs,
            batch_size=self.training_batch_size,
            generator=torch.Generator().manual_seed(order_seed),
            progress=self.progress,
        )
        return network.eval()

    @isolated()
    def transform(self, dataset: Any) -> npt.NDArray[np.float32]:
        """Encode images.

        Parameters
        ----------
        dataset : Samples, array, tensor or map-style dataset
            Images of the fitted shape.

        Returns
        -------
        ndarray of shape (n, n_latents), float32
            Latents: 256 for 32x32 images.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` was not called.
        InputError
            If the images have another shape.
        """
        import torch
        from sklearn.utils.validation import check_is_fitted

        from proxysample.features.batches import ImageTensors

        check_is_fitted(self, "network_")
        samples = dataset if isinstance(dataset, Samples) else self._read(dataset, None)
        images = ImageTensors(samples, next(self.network_.parameters()).device)
        if images.shape != self.network_.shape:
            raise InputError(
                f"images have (channels, height, width) {images.shape}; the autoencoder was "
                f"fitted on {self.network_.shape}; give both the same image_size="
            )

        def encode(batch: torch.Tensor, is_fitted: bool) -> torch.Tensor:  # noqa: ARG001
            latents: torch.Tensor = self.network_.encoder(batch).flatten(1)
            return latents

        # Not inference_mode: a dataset that keeps what it decodes would keep tensors of that kind.
        with torch.no_grad(), deterministic_kernels():
            return images.apply(encode, self.progress, "encoding").numpy()


def reconstruction_losses(
    network: nn.Module,
    images: ImageTensors,
    pixel_loss: PixelLoss,
    progress: bool = False,
) -> FloatArray:
    """Average the loss of each image over its pixels.

    Parameters
    ----------
    network : nn.Module
        Maps images to reconstructions; in evaluation mode.
    images : ImageTensors
    pixel_loss : callable
        Maps reconstructions and images to the loss of each pixel.
    progress : bool
        Show a progress bar.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    import torch

    from proxysample.features.batches import gather_on_host

    with torch.inference_mode():
        losses = (
            pixel_loss(network(batch), batch).flatten(1).double().mean(dim=1)
            for batch in images.in_order(progress)
        )
        return gather_on_host(losses, len(images)).numpy()
