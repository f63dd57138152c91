"""A frozen network that turns images into features."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample.device import deterministic_kernels
from proxysample.errors import InputError
from proxysample.networks.device_data import gather_on_host
from proxysample.networks.image_tensors import ImageTensors

BATCH_NORMALISATION = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Backbone(nn.Module):
    """A frozen network in evaluation mode, with what it expects of its images.

    Parameters
    ----------
    network : nn.Module
        Maps (n, channels, height, width), float32, to features (n, d). It is copied, so that
        nothing done here changes the original.
    mean, std : sequence of float, optional
        Of each channel, for pixels in [0, 1]; without them pixels go in as they are.
    n_channels : int, optional
        Number of channels that the network takes; a grey image is repeated to fill it. Without
        it images go in with the channels they have.
    input_size : int, optional
        Resize images to so many pixels a side; by default they keep their size.
    interpolation : {"bicubic", "bilinear"}
        How to resize.
    weights : str
        Where the weights came from.

    Attributes
    ----------
    network : nn.Module
        The copy.
    normalises : bool
        Whether `mean` and `std` are used; may be set.
    weights : str
        As given.

    Examples
    --------
    >>> backbone = Backbone(nn.Flatten(), n_channels=3)
    >>> backbone(torch.zeros(2, 1, 4, 4)).shape
    torch.Size([2, 48])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        n_channels: int | None = None,
        input_size: int | None = None,
        interpolation: str = "bicubic",
        weights: str = "given",
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.normalises = mean is not None and std is not None
        self.register_buffer("mean", torch.tensor(mean or [0.0]).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std or [1.0]).view(1, -1, 1, 1))
        self.n_channels = n_channels
        self.input_size = input_size
        self.interpolation = "bilinear" if interpolation == "bilinear" else "bicubic"
        self.weights = weights
        self.requires_grad_(False)
        self.eval()

    def drift(self, drifting: bool) -> None:
        """Let training batches move the statistics of batch normalisation, or stop that.

        Parameters
        ----------
        drifting : bool
            Whether batch normalisation is in training mode. Everything else, such as dropout,
            stays in evaluation mode.
        """
        for module in self.network.modules():
            if isinstance(module, BATCH_NORMALISATION):
                module.train(drifting)

    def forward(self, images: Tensor) -> Tensor:
        """Turn images into features.

        Parameters
        ----------
        images : Tensor of shape (n, channels, height, width), float32
            In [0, 1].

        Returns
        -------
        Tensor of shape (n, d)

        Raises
        ------
        InputError
            If the network cannot take images of this shape, or gives no (n, d).
        """
        inputs = self._normalised(self._resized(self._with_channels(images)))
        try:
            features: Tensor = self.network(inputs)
        except torch.cuda.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            size = self.input_size or 224
            raise InputError(
                f"the backbone cannot take images of shape {tuple(inputs.shape[1:])}: {error}; "
                f"resize them in the dataset's transform, or by input_size={size} where there is "
                "such a parameter"
            ) from error
        if not isinstance(features, Tensor) or features.shape[:1] != images.shape[:1]:
            raise InputError(f"the backbone gives {type(features).__name__}; needed: (n, d)")
        if features.ndim != 2:
            raise InputError(
                f"the backbone gives features of shape {tuple(features.shape)}; needed: (n, d): "
                "pool or flatten them, such as nn.Sequential(backbone, nn.Flatten())"
            )
        return features

    def _with_channels(self, images: Tensor) -> Tensor:
        n_channels = images.shape[1]
        if self.n_channels is None or n_channels == self.n_channels:
            return images
        if n_channels != 1:
            raise InputError(
                f"images have {n_channels} channels, the backbone takes {self.n_channels} or 1: "
                "pick channels in the dataset's transform, or pass an nn.Module or features"
            )
        return images.expand(-1, self.n_channels, -1, -1)

    def _resized(self, images: Tensor) -> Tensor:
        if self.input_size is None or images.shape[2:] == (self.input_size, self.input_size):
            return images
        size = (self.input_size, self.input_size)
        resized = F.interpolate(images, size, mode=self.interpolation, antialias=True)
        return resized.clamp(0, 1)  # bicubic resizing overshoots at edges

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std if self.normalises else images


def extract_features(backbone: Backbone, images: ImageTensors, progress: bool = False) -> Tensor:
    """Compute the features of all images once.

    Parameters
    ----------
    backbone : Backbone
        On the device of the images, in evaluation mode.
    images : ImageTensors
    progress : bool
        Show a progress bar.

    Returns
    -------
    Tensor of shape (n, d), float32
        On the CPU.

    Raises
    ------
    InputError
        If the backbone cannot take the images.

    Examples
    --------
    >>> import numpy as np
    >>> from proxysample.data.reading import Samples
    >>> pixels = np.full((3, 2, 2), 255, dtype=np.uint8)
    >>> images = ImageTensors(Samples(pixels), torch.device("cpu"))
    >>> extract_features(Backbone(nn.Flatten()), images).shape
    torch.Size([3, 4])
    """
    # Not inference_mode: a head that is trained on the features saves them for its backward.
    with torch.no_grad(), deterministic_kernels():
        batches = images.in_order(progress, "computing features")
        return gather_on_host((backbone(batch).float() for batch in batches), len(images))
