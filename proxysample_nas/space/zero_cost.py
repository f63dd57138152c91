"""What is told of a cell's network before it is trained: its size, and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from proxysample.checks import POSITIVE_INTEGER, is_integer
from proxysample.errors import InputError, check_name
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import MOST_SIZES, CellNetwork

# What files and frames of numbers hold.
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class NetworkSize:
    """Size of a cell's network.

    Attributes
    ----------
    n_parameters : int
        Learnable ones. As in published counts, operations that lead nowhere have theirs too.
    n_flops : int
        Floating-point operations of the convolutions and matrix products that one image runs
        through, forwards; a multiplication and its addition are two. Published counts of
        NAS-Bench-201 take them for one.
    """

    n_parameters: int
    n_flops: int


def network_size(
    cell: Cell,
    n_classes: int,
    image_shape: tuple[int, int, int] = (3, 32, 32),
    *,
    channels: int = 16,
    cells_per_stage: int = 5,
) -> NetworkSize:
    """Measure the network that has a cell everywhere, without memory for its weights.

    It takes no longer for many cells a stage than for one.

    Parameters
    ----------
    cell : Cell
    n_classes : int
        Number of logits.
    image_shape : tuple of int
        Channels, height and width.
    channels, cells_per_stage : int
        See `proxysample_nas.space.network.CellNetwork`.

    Returns
    -------
    NetworkSize

    Raises
    ------
    InputError
        If a size is not a positive integer, or the network is larger than any can be.

    Examples
    --------
    >>> network_size(Cell.filled("skip_connect", n_nodes=4), n_classes=10)
    NetworkSize(n_parameters=73306, n_flops=15566080)
    """
    for name, value in (
        ("channels", channels),
        ("cells_per_stage", cells_per_stage),
        ("n_classes", n_classes),
    ):
        # What is too large is told below, whatever it is too large for.
        if not is_integer(value) or value < 1:
            POSITIVE_INTEGER.check(name, value)
    is_beyond = channels > MOST_SIZES["channels"] or n_classes > MOST_SIZES["n_classes"]
    if is_beyond or max(image_shape) > LARGEST // 4:
        raise _too_large(channels, cells_per_stage, n_classes, image_shape)
    try:
        whole, of_cells = _measure(cell, channels, n_classes, image_shape)
    except (RuntimeError, OverflowError) as error:
        raise _too_large(channels, cells_per_stage, n_classes, image_shape) from error
    # The cells of a stage are all alike.
    size = NetworkSize(
        *(
            all_once + (cells_per_stage - 1) * each
            for all_once, each in zip(whole, of_cells, strict=True)
        )
    )
    if max(size.n_parameters, size.n_flops) > LARGEST:
        raise _too_large(channels, cells_per_stage, n_classes, image_shape)
    return size


def _measure(
    cell: Cell, channels: int, n_classes: int, image_shape: tuple[int, int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Count parameters and operations of one cell a stage: of all, and of the cells among it."""
    # Nothing is drawn where nothing has memory.
    with torch.device("meta"):
        network = CellNetwork(cell, channels, 1, n_classes, image_shape[0]).eval()
        images = torch.zeros(1, *image_shape)
    of_cells = 0

    def run_cell(module: nn.Module, features: Tensor) -> Tensor:
        nonlocal of_cells
        before = counter.n_flops
        result: Tensor = module(features)
        of_cells += counter.n_flops - before
        return result

    with torch.no_grad(), _Counter() as counter:
        network.propagate(images, run_cell)
    parts = (network, network.stages)
    n_all, n_cells = (sum(weight.numel() for weight in part.parameters()) for part in parts)
    return (n_all, counter.n_flops), (n_cells, of_cells)


def _too_large(
    channels: int, cells_per_stage: int, n_classes: int, image_shape: tuple[int, int, int]
) -> InputError:
    return InputError(
        f"no network can be as large as one of channels={channels} and "
        f"cells_per_stage={cells_per_stage} for {n_classes} classes and images of "
        f"{'x'.join(map(str, image_shape))}; lower them"
    )


# Without memory, PyTorch takes it and rectifiers apart, in Python, to find that the shape stays.
_NORMALIZATION = torch.ops.aten.native_batch_norm


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch has no types here
    """Counts as `torch.utils.flop_counter.FlopCounterMode`, which takes other calls apart first."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n_flops = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.overloadpacket is _NORMALIZATION:
            return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
        if func.overloadpacket in _RECTIFIERS:
            return args[0]
        result = func(*args, **(kwargs or {}))
        count: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.n_flops += count(*args, **(kwargs or {}), out_val=result)
        return result


ZeroCost = Literal["synflow", "jacov", "naswot", "parameters", "flops"]

SCORES: tuple[ZeroCost, ...] = get_args(ZeroCost)
"""Of each a higher score speaks for the cell."""

# Keeps logarithms and quotients of eigenvalues that are 0 finite.
_FLOOR = 1e-5
_RECTIFIERS = (torch.ops.aten.relu, torch.ops.aten.relu_)


def synflow(network: nn.Module, image_shape: Sequence[int]) -> float:
    """Sum what flows through each weight, of an image of ones and with weights made positive.

    With R the sum of the outputs, the score is the sum of w dR/dw over the weights of
    convolutions and linear layers (Tanaka et al. 2020, equation 2; as a score of architectures,
    Abdelfattah et al. 2021, section 3.2). Batch normalisation runs with its fresh statistics,
    which leave what they normalise as it is to 1 in 100,000. In double precision, since it grows
    exponentially with depth.

    Parameters
    ----------
    network : Module
        Newly initialised; it is changed, so give a network that serves nothing else.
    image_shape : sequence of int
        Channels, height and width.

    Returns
    -------
    float

    Examples
    --------
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[1.0, -2.0]]))
    >>> synflow(layer, [2])
    3.0
    """
    network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    weights = [one for one in network.parameters() if one.ndim > 1]
    device = weights[0].device if weights else None
    with torch.enable_grad():
        total = network(torch.ones(1, *image_shape, dtype=torch.float64, device=device)).sum()
        gradients = torch.autograd.grad(total, weights, allow_unused=True)
    return sum(
        float((weight.detach() * gradient).sum())
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is not None
    )


def jacov(network: nn.Module, images: Tensor) -> float:
    """Say how differently an untrained network answers to changes of different images.

    Row i of J is the gradient of the sum of image i's outputs with respect to its pixels; s are
    the eigenvalues of the rows' correlations, and the score is - sum(log(s + k) + 1 / (s + k))
    with k = 1e-5 (Mellor et al. 2020, first version of "Neural architecture search without
    training"; Abdelfattah et al. 2021, section 3.2).

    Parameters
    ----------
    network : Module
        Batch normalisation takes the statistics of the images.
    images : Tensor of shape (n, ...)
        Normalised.

    Returns
    -------
    float

    Examples
    --------
    >>> images = torch.eye(2, 4).repeat_interleave(2, dim=1)[:, :4] - 0.5
    >>> int(round(jacov(nn.Linear(4, 1), images), -3))  # the same gradient for both
    -100000
    """
    network.train()
    inputs = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(network(inputs).sum(), inputs)
    rows = gradients.flatten(1).double()
    rows = rows - rows.mean(dim=1, keepdim=True)
    lengths = rows.norm(dim=1, keepdim=True)
    # The gradient of an image that nothing follows from is like no other.
    rows = rows / torch.where(lengths > 0, lengths, torch.ones_like(lengths))
    correlations = rows @ rows.T
    correlations.fill_diagonal_(1)
    shifted = torch.linalg.eigvalsh(correlations).clamp_min(0) + _FLOOR
    return -float((shifted.log() + 1 / shifted).sum())


def naswot(network: nn.Module, images: Tensor) -> float:
    """Say how differently the rectifiers of an untrained network divide images.

    The code of an image says of each unit of each ReLU whether it is active; K counts the units
    in which two images agree, and the score is the logarithm of its determinant's absolute value
    (Mellor et al. 2021, section 3). It is minus infinity where two images have the same code.

    Parameters
    ----------
    network : Module
        Batch normalisation takes the statistics of the images.
    images : Tensor of shape (n, ...)
        Normalised.

    Returns
    -------
    float

    Examples
    --------
    >>> import math
    >>> score = naswot(nn.ReLU(), torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
    >>> math.isclose(score, math.log(2 * 2 - 1 * 1))
    True
    """
    network.train()
    with torch.no_grad(), _Codes(len(images)) as codes:
        network(images)
    return float(torch.linalg.slogdet(codes.agreements)[1])


class _Codes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch has no types here
    """Counts in how many units of all ReLUs that run two images agree."""

    def __init__(self, n_images: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.agreements = torch.zeros(n_images, n_images, dtype=torch.float64)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in _RECTIFIERS:
            active = (result > 0).flatten(1).double()
            idle = 1 - active
            self.agreements += (active @ active.T + idle @ idle.T).cpu()
        return result


def zero_cost_score(
    cell: Cell,
    score: ZeroCost,
    images: Tensor,
    n_classes: int,
    *,
    channels: int = 16,
    cells_per_stage: int = 5,
    seed: int = 0,
) -> float:
    """Score a cell by its untrained network.

    Parameters
    ----------
    cell : Cell
    score : {"synflow", "jacov", "naswot", "parameters", "flops"}
        The last two are the network's learnable parameters, and the floating-point operations of
        one image.
    images : Tensor of shape (n, c, h, w), float32
        Normalised, on the device to compute on. Only ``"jacov"`` and ``"naswot"`` look at them;
        the others take their shape.
    n_classes : int
    channels, cells_per_stage : int
        See `proxysample_nas.space.network.CellNetwork`.
    seed : int
        Of the weights.

    Returns
    -------
    float
        A higher one speaks for the cell.

    Raises
    ------
    InputError
        If there is no such score, or a size is not a positive integer.

    Examples
    --------
    >>> cell = Cell.filled("skip_connect", n_nodes=4)
    >>> zero_cost_score(cell, "parameters", torch.zeros(1, 3, 32, 32), n_classes=10)
    73306.0
    """
    check_name("zero-cost score", score, SCORES)
    _, in_channels, height, width = images.shape
    shape = in_channels, height, width
    sizes = {"channels": channels, "cells_per_stage": cells_per_stage}
    if score in ("parameters", "flops"):
        size = network_size(cell, n_classes, shape, **sizes)
        return float(size.n_parameters if score == "parameters" else size.n_flops)
    generator = torch.Generator().manual_seed(seed)
    network = CellNetwork(
        cell, channels, cells_per_stage, n_classes, in_channels, generator=generator
    ).to(images.device)
    if score == "synflow":
        return synflow(network, shape)
    by_images: dict[str, Callable[[nn.Module, Tensor], float]] = {"jacov": jacov, "naswot": naswot}
    return by_images[score](network, images)
