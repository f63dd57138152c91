"""What samplers share that decode images, and those that see features: parameters, and checks."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from proxysample.checks import DEVICE, Constraints
from proxysample.data.pixel_cache import Cache
from proxysample.features.sources import check_features, reads_for
from proxysample.sampler import Reads, Sampler, clone_keeping


class DecodingSampler(Sampler):
    """Base of samplers that may decode images.

    Parameters
    ----------
    batch_size, num_workers : int
        How a map-style dataset is decoded. They do not change the result.
    progress : bool
        Show progress bars while decoding, and while a network is trained or runs.
    cache : bool or path
        Where decoded images are kept that several passes read, if they take more than 64 MB:
        True in the folder for temporary files, a path in another folder, in a file that goes away
        with the process; False in memory, up to 4 GB.
    """

    batch_size: int = 256
    num_workers: int = 0
    progress: bool = False
    cache: Cache = True


class ImageSampler(DecodingSampler):
    """Base of samplers that take images of any size.

    Parameters
    ----------
    image_size : int, optional
        Resize the shorter side of each image to so many pixels and crop the centre, so many a
        side. By default images stay as they are where all are of one size; where they are of
        several, a warning tells so and they come to 64.
    """

    image_size: int | None = None


class FeatureReader(ImageSampler):
    """Base of samplers that see features of a sample, or its pixels.

    Parameters
    ----------
    features : "pixels", str, ndarray, nn.Module, callable or object with ``transform``
        What is compared; see `KMeansOutlierRemoval`.
    n_components : int, optional
        Project the features, about their mean, on so many principal components first.
    device : str or torch.device
        Where a network runs: "auto" takes the first CUDA device where there is one.
    image_size : int, optional
        Resize the shorter side of each image to so many pixels and crop the centre, so many a
        side; a named network gets them at that size, and by default at its own. By default images
        stay as they are where all are of one size; where they are of several, a warning tells so
        and they come to 64.
    """

    features: Any = "pixels"
    n_components: int | None = None
    device: Any = "auto"

    _constraints: ClassVar[Constraints] = {"device": DEVICE}

    @property
    def reads(self) -> Reads:  # type: ignore[override]  # follows a parameter
        """What `features` needs of a dataset: nothing where they are an array or on disk."""
        return reads_for(self.features)

    def __sklearn_clone__(self) -> Self:
        return clone_keeping(self, "features")

    def _check_parameters(self) -> None:
        check_features(self.features, self.n_components)
