"""Scores of untrained networks, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from proxysample import InputError
from proxysample_nas.searchers import ZeroCostSearch, create_searcher
from proxysample_nas.space.cell import Cell
from proxysample_nas.space.zero_cost import SCORES, jacov, naswot, synflow, zero_cost_score
from proxysample_nas.testing import searcher_checks, small_digits

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
