"""What is told of untrained networks, against values worked out by hand, published and counted."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from proxysample import InputError
from proxysample_nas.searchers import ZeroCostSearch, create_searcher
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.zero_cost import (
    SCORES,
    jacov,
    naswot,
    network_size,
    synflow,
    zero_cost_score,
)
from proxysample_nas.testing import searcher_checks, small_digits

from .own_operations import CONVOLUTION, SEPARABLE, registered

K = 1e-5


def linear(*rows: list[float]) -> nn.Linear:
    weight = torch.tensor(rows)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    return layer


def test_every_layer_carries_the_whole_flow():
    # R = 1 (|1| + |-2|) + 3 (|-4| + |0|) = 15, and every layer's weights come to R.
    network = nn.Sequential(linear([1.0, -2.0], [-4.0, 0.0]), nn.ReLU(), linear([-1.0, 3.0]))
    assert synflow(network, [2]) == 2 * 15


def test_what_leads_nowhere_carries_nothing():
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = linear([2.0]), linear([5.0])

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.used(images)

    assert synflow(Idle(), [1]) == 2


class Squares(nn.Module):
    """Its gradient is the image itself."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.square().sum(1) / 2


@pytest.mark.parametrize(
    ("images", "eigenvalues"),
    [
        ([[1, -1, 0, 0], [0, 0, 1, -1]], [1, 1]),
        ([[1, -1, 0, 0], [2, -2, 0, 0]], [2, 0]),
        ([[1, -1, 0, 0], [-3, 3, 0, 0]], [2, 0]),
        # Their correlation is a half.
        ([[1, -1, 0], [1, 0, -1]], [1.5, 0.5]),
    ],
)
def test_gradients_score_by_the_eigenvalues_of_their_correlations(images, eigenvalues):
    expected = -sum(math.log(one + K) + 1 / (one + K) for one in eigenvalues)
    found = jacov(Squares(), torch.tensor(images, dtype=torch.float32))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("images", "determinant"),
    [
        # Codes 10 and 11 agree in one of two units.
        ([[1, -1], [1, 1]], 2 * 2 - 1),
        # 100, 011, 111 agree in 0, 1 and 2 of three.
        ([[1, -1, -1], [-1, 1, 1], [1, 1, 1]], 3 * (9 - 4) - 0 + 1 * (0 - 3)),
        ([[1, -1], [2, -3]], 0),
    ],
)
def test_codes_score_by_the_determinant_of_their_agreements(images, determinant):
    found = naswot(nn.ReLU(), torch.tensor(images, dtype=torch.float32))
    assert found == pytest.approx(math.log(determinant) if determinant else -math.inf)


def test_rectifiers_written_as_functions_count_as_modules_do():
    class Function(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.relu(images)

    images = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    assert naswot(Function(), images) == naswot(nn.ReLU(), images)


@pytest.mark.parametrize("score", SCORES)
def test_a_search_keeps_the_highest_score(score, proxy):
    given = {"n_nodes": 2, "channels": 2, "cells_per_stage": 1, "progress": False}
    searcher = create_searcher("zero-cost", score=score, n_samples=4, random_state=3, **given)
    result = searcher.search(proxy)
    assert result.history == ()
    assert result.cell == searcher.search(proxy).cell
    if score in ("synflow", "parameters", "flops"):
        assert str(result.cell) == "|nor_conv_3x3~0|"


@pytest.mark.parametrize("check", searcher_checks(), ids=lambda check: check.__name__)
def test_it_passes_the_checks_that_are_published(check):
    sizes = {"n_nodes": 3, "channels": 2, "cells_per_stage": 1}
    check(ZeroCostSearch(n_samples=2, batch_size=8, random_state=0, **sizes), small_digits(120))


def test_nothing_is_trained_and_no_other_score_known():
    with pytest.raises(InputError, match="epochs must be 0, since nothing is trained"):
        ZeroCostSearch(epochs=3).check_parameters()
    with pytest.raises(InputError, match="did you mean 'synflow'"):
        ZeroCostSearch(score="sinflow").check_parameters()
    with pytest.raises(InputError, match="unknown zero-cost score"):
        zero_cost_score(Cell.filled("none", n_nodes=2), "grasp", torch.zeros(1, 3, 8, 8), 10)


CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|",
    "|none~0|+|skip_connect~0|nor_conv_3x3~1|",
    "|none~0|+|none~0|none~1|",
)


@pytest.mark.parametrize("text", CELLS)
@pytest.mark.parametrize(
    ("channels", "cells_per_stage", "shape"),
    [(4, 1, (1, 8, 7)), (8, 2, (3, 9, 9)), (4, 4, (1, 8, 8))],
)
def test_a_size_is_what_a_network_has_and_runs(text, channels, cells_per_stage, shape):
    cell = Cell.from_string(text)
    size = network_size(cell, 7, shape, channels=channels, cells_per_stage=cells_per_stage)
    network = cell.network(
        7, channels=channels, cells_per_stage=cells_per_stage, in_channels=shape[0]
    )
    assert size.n_parameters == sum(weight.numel() for weight in network.parameters())
    # In training mode nothing is taken apart before it is counted, but a pool is a convolution.
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, *shape))
    counts = counter.get_flop_counts()
    pools = sum(sum(counts[name].values()) for name in counts if name.endswith("avg_pool_3x3"))
    assert 2 * size.n_flops == counter.get_total_flops() - pools


def test_sizes_are_the_published_ones():
    # NAS-Bench-201's API says 7.783 MFLOPs, of which a multiplication and addition are one, and
    # 0.073 M parameters of the cell of skip connections on CIFAR-10.
    size = network_size(Cell.filled("skip_connect", n_nodes=4), 10)
    assert round(size.n_flops / 2e6, 3) == 7.783
    assert round(size.n_parameters / 1e6, 3) == 0.073


def test_many_cells_a_stage_are_counted_at_once():
    cell = Cell.filled("nor_conv_3x3", n_nodes=2)
    few, more, many = (
        network_size(cell, 10, channels=4, cells_per_stage=n) for n in (3, 4, 10**9 + 3)
    )
    assert many.n_flops == few.n_flops + 10**9 * (more.n_flops - few.n_flops)
    assert many.n_parameters == few.n_parameters + 10**9 * (more.n_parameters - few.n_parameters)


@pytest.mark.parametrize(
    "changed",
    [
        {"channels": 2**40},
        {"channels": 2**80},
        {"cells_per_stage": 2**80},
        {"n_classes": 2**61},
        {"n_classes": 2**80},
        {"image_shape": (3, 2**40, 2**40)},
        {"image_shape": (2**80, 8, 8)},
    ],
)
def test_what_no_network_can_be_is_refused(changed):
    arguments = {"n_classes": 10, "channels": 4, "cells_per_stage": 1} | changed
    with pytest.raises(InputError, match="no network can be as large as one of channels="):
        network_size(Cell.filled("nor_conv_3x3", n_nodes=2), **arguments)


@pytest.mark.parametrize("name", ["channels", "cells_per_stage", "n_classes"])
def test_a_size_that_is_no_positive_integer_is_refused(name):
    arguments = {"n_classes": 10, "channels": 4, "cells_per_stage": 1} | {name: 0}
    with pytest.raises(InputError, match=name):
        network_size(Cell.filled("nor_conv_3x3", n_nodes=2), **arguments)


def test_operations_of_ones_own_are_counted():
    with registered(CONVOLUTION, SEPARABLE):
        plain = network_size(Cell.filled("none", n_nodes=2), 5, (3, 8, 8), channels=4)
        for operation in (CONVOLUTION, SEPARABLE):
            cell = Cell.filled(operation.name, n_nodes=2)
            size = network_size(cell, 5, (3, 8, 8), channels=4)
            assert size.n_flops > plain.n_flops
            assert size.n_parameters > plain.n_parameters


def test_measuring_draws_nothing():
    before = torch.get_rng_state()
    network_size(Cell.filled("nor_conv_3x3", n_nodes=3), 10)
    assert torch.equal(torch.get_rng_state(), before)
