"""The skeleton and the network of one cell."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from proxysample.errors import InputError
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.network import CellModule, CellNetwork, ResidualReduction, Skeleton
from proxysample_nas.space.operations import SearchSpace
from proxysample_nas.space.supernet import Supernet
from tests.proxysample_nas.space.reference_supernet import ReferenceReduction

from .own_operations import CONVOLUTION, MAX_POOL, SEPARABLE, registered

CELL = Cell.from_string("|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_count_of_the_all_skip_cell() -> None:
    assert n_parameters(CellNetwork(Cell.filled("skip_connect", 5))) == 79_156


@pytest.mark.parametrize("cell", [CELL, Cell.filled("nor_conv_3x3", 5), Cell.filled("none", 4)])
def test_count_adds_what_each_convolution_has(cell: Cell) -> None:
    """A convolution has k * k * C * C weights, and BatchNorm 2 C, at C = 16, 32 and 64."""
    sides = [{"nor_conv_1x1": 1, "nor_conv_3x3": 3}.get(name) for name in cell.operations]
    inside = sum(
        5 * (side * side * width * width + 2 * width)
        for width in (16, 32, 64)
        for side in sides
        if side is not None
    )
    assert n_parameters(CellNetwork(cell)) == 79_156 + inside


@pytest.fixture(autouse=True)
def own() -> Iterator[None]:
    with registered(MAX_POOL, CONVOLUTION, SEPARABLE):
        yield


@settings(max_examples=60)
@given(
    indices=st.lists(st.integers(0, 7), min_size=6, max_size=6),
    training=st.booleans(),
)
def test_cell_equals_its_definition(indices: list[int], training: bool) -> None:
    """Apply the operations edge by edge, with the weights read out of the wide convolutions."""
    space = SearchSpace.of("nas-bench-201+max_pool_3x3+nor_conv_5x5+sep_conv_3x3")
    cell = Cell.from_indices(indices, space)
    module = CellModule(cell, 3).double().train(training)
    images = torch.randn(4, 3, 5, 5, generator=seeded(), dtype=torch.float64)
    for tensor in module.state_dict().values():
        if tensor.ndim == 1:
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=seeded(1)))
    taken: dict[str, int] = {}
    nodes = [images] + [torch.zeros_like(images)] * 3
    for source, target, operation in cell.edges:
        node = nodes[source]
        if operation == "skip_connect":
            nodes[target] = nodes[target] + node
        elif operation == "avg_pool_3x3":
            pooled = F.avg_pool2d(node, 3, 1, 1, count_include_pad=False)
            nodes[target] = nodes[target] + pooled
        elif operation == "max_pool_3x3":
            nodes[target] = nodes[target] + F.max_pool2d(node, 3, 1, 1)
        elif operation == "sep_conv_3x3":
            own = module.edge_modules[f"{operation}~{source}~{target}"]
            nodes[target] = nodes[target] + deepcopy(own)(node)
        elif operation != "none":
            key = f"{operation}~{source}"
            tensors = module.convolutions[key].group_tensors(taken.get(key, 0))
            taken[key] = taken.get(key, 0) + 1
            weight = tensors["convolution.weight"]
            convolved = F.conv2d(node.relu(), weight, padding=weight.shape[-1] // 2)
            nodes[target] = nodes[target] + F.batch_norm(
                convolved,
                *(tensors[f"norm.{name}"].clone() for name in ("running_mean", "running_var")),
                *(tensors[f"norm.{name}"] for name in ("weight", "bias")),
                training,
            )
    torch.testing.assert_close(module(images), nodes[-1])


def test_training_moves_the_running_statistics_as_batch_norm_does() -> None:
    module = CellModule(Cell.from_string("|nor_conv_1x1~0|"), 2).double()
    images = torch.randn(4, 2, 3, 3, generator=seeded(), dtype=torch.float64)
    wide = module.convolutions["nor_conv_1x1~0"]
    norm = nn.BatchNorm2d(2).double()
    norm(wide.convolution(images.relu()))
    module(images)
    torch.testing.assert_close(wide.norm.running_mean, norm.running_mean)
    torch.testing.assert_close(wide.norm.running_var, norm.running_var)


@pytest.mark.parametrize("side", [8, 64])
@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("n_classes", [2, 120])
def test_a_cell_makes_its_network_in_one_line(side: int, in_channels: int, n_classes: int) -> None:
    for cell in (CELL, Cell.from_string("|max_pool_3x3~0|+|nor_conv_5x5~0|sep_conv_3x3~1|")):
        network = cell.network(n_classes, channels=4, cells_per_stage=1, in_channels=in_channels)
        logits = network(torch.zeros(2, in_channels, side, side))
        assert logits.shape == (2, n_classes)
        logits.sum().backward()
        assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_network_of_a_cell_is_that_of_its_class() -> None:
    sizes = {"channels": 4, "cells_per_stage": 2, "in_channels": 1}
    ours = CELL.network(n_classes=3, **sizes, generator=seeded())
    theirs = CellNetwork(CELL, n_classes=3, **sizes, generator=seeded())
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(InputError, match="n_classes must be a positive integer, not 0"):
        CELL.network(0)


def test_a_module_that_leads_nowhere_keeps_its_parameters_and_is_not_run() -> None:
    cell = Cell.from_string("|sep_conv_3x3~0|+|sep_conv_3x3~0|none~1|")
    module = CellModule(cell, 3)
    module.edge_modules["sep_conv_3x3~0~1"].forward = None
    output = module(torch.ones(2, 3, 4, 4))
    output.sum().backward()
    assert sum(parameter.numel() for parameter in module.parameters()) == 2 * (27 + 9 + 6)


def test_a_network_names_an_operation_that_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    module = CellModule(CELL, 3)
    monkeypatch.setitem(module._kinds, "skip_connect", "spiking")
    with pytest.raises(InputError, match="cannot run the operation 'skip_connect' of kind 'spik"):
        module(torch.zeros(2, 3, 4, 4))


def test_a_disconnected_cell_answers_the_same_for_every_image() -> None:
    network = CellNetwork(Cell.filled("none", 4), 4, 1, 3, generator=seeded()).eval()
    images = torch.randn(2, 3, 8, 8, generator=seeded())
    logits = network(images)
    assert logits.isfinite().all()
    network.train()(images).sum().backward()
    # Only the reductions and the head are reached.
    assert torch.equal(logits[0], logits[1])


def test_skeleton_is_the_supernet_s() -> None:
    """With every cell the identity, network and supernet compute the same."""
    network = CellNetwork(Cell.filled("skip_connect", 2), 4, 2, 3, generator=seeded())
    supernet = Supernet(2, 4, 2, 3)
    own = network.state_dict()
    loaded = supernet.load_state_dict(own, strict=False)
    assert not loaded.unexpected_keys
    assert all(key.startswith("stages.") for key in loaded.missing_keys)
    images = torch.randn(2, 3, 9, 8, generator=seeded())
    identity = torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(network(images), supernet(images, identity))


def test_reduction_equals_the_plain_one() -> None:
    ours, plain = ResidualReduction(2, 4).double(), ReferenceReduction(2, 4).double()
    for name, index in (("first", 1), ("first_norm", 2), ("second", 4), ("second_norm", 5)):
        getattr(plain, name).load_state_dict(ours.main[index].state_dict())
    plain.shortcut.load_state_dict(ours.shortcut[1].state_dict())
    images = torch.randn(3, 2, 6, 4, generator=seeded(), dtype=torch.float64)
    torch.testing.assert_close(ours(images), plain(images))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 5), (7, 10), (28, 28)])
def test_any_image_size_passes(height: int, width: int) -> None:
    network = CellNetwork(CELL, 4, 1, 3, in_channels=1, generator=seeded())
    assert network(torch.randn(3, 1, height, width, generator=seeded())).shape == (3, 3)


def test_weights_come_from_the_generator_alone() -> None:
    state = torch.random.get_rng_state()
    first, again, other, fresh, fresher = (
        CellNetwork(CELL, 4, 1, 3, generator=generator).head[-1].weight
        for generator in (seeded(), seeded(), seeded(1), None, None)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(fresh, fresher)


def test_every_parameter_that_is_run_gets_a_gradient() -> None:
    network = CellNetwork(CELL, 4, 2, 3, generator=seeded())
    network(torch.randn(4, 3, 8, 8, generator=seeded())).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 8, 8), r"shape \(batch, 3, height, width\), not \(2, 1, 8, 8\)"),
        (torch.zeros(3, 8, 8), r"not \(3, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"floating point, not torch\.uint8"),
    ],
)
def test_wrong_images_are_refused(images: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        CellNetwork(CELL, 4, 1, 3)(images)


@pytest.mark.parametrize("name", ["channels", "cells_per_stage", "n_classes", "in_channels"])
@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_wrong_sizes_are_refused(name: str, size: object) -> None:
    with pytest.raises(InputError, match=f"{name} must be a positive integer"):
        CellNetwork(CELL, **{name: size})


def test_a_string_is_not_a_cell() -> None:
    with pytest.raises(InputError, match=r"parse it by Cell\.from_string"):
        CellNetwork(str(CELL))


def test_skeleton_runs_its_cells_in_order_and_channels_last() -> None:
    skeleton = Skeleton(lambda width: nn.Identity(), 4, 2, 3, 1, seeded())
    widths = []

    def run(cell: nn.Module, features: torch.Tensor) -> torch.Tensor:
        widths.append(tuple(features.shape[1:]))
        assert features.is_contiguous(memory_format=torch.channels_last)
        return cell(features)

    skeleton.propagate(torch.zeros(2, 1, 8, 8), run)
    assert widths == [(4, 8, 8)] * 2 + [(8, 4, 4)] * 2 + [(16, 2, 2)] * 2
