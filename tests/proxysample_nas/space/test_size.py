from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from proxysample import InputError
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.size import network_size

from .own_operations import CONVOLUTION, SEPARABLE, registered

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
