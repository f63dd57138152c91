"""One full DARTS step in float64 against a plain derivation, and against exact derivatives."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from proxysample_nas.searchers.bilevel import (
    update_architecture,
    update_architecture_unrolled,
    update_weights,
)
from proxysample_nas.searchers.darts import darts_step
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.space.supernet import Supernet

from .reference_darts import Reference

Batch = tuple[Tensor, Tensor]
LEARNING_RATE = 0.025


def state_of(supernet: nn.Module, alphas: Tensor) -> SearchState:
    alphas = alphas.clone().requires_grad_()
    return SearchState(
        supernet,
        alphas,
        torch.optim.SGD(
            supernet.parameters(), LEARNING_RATE, 0.9, weight_decay=5e-4, nesterov=True
        ),
        torch.optim.Adam([alphas], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3),
    )


def small_search(n_nodes: int) -> SearchState:
    generator = torch.Generator().manual_seed(0)
    supernet = Supernet(n_nodes, 2, 1, 3, 1, track_running_stats=True, generator=generator)
    n_edges = n_nodes * (n_nodes - 1) // 2
    return state_of(supernet.double(), torch.randn(n_edges, 5, generator=generator).double())


def batches(n: int) -> list[tuple[Batch, Batch]]:
    generator = torch.Generator().manual_seed(1)

    def batch() -> Batch:
        images = torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64)
        return images, torch.randint(3, (6,), generator=generator)

    return [(batch(), batch()) for _ in range(n)]


def assert_same(state: SearchState, reference: Reference) -> None:
    expected = reference.network.supernet.state_dict()
    for name, value in state.supernet.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(state.alphas.detach(), reference.network.alphas.detach())
    for mine, plain in zip(state.weights, reference.network.weights(), strict=True):
        torch.testing.assert_close(
            state.weight_optimizer.state[mine]["momentum_buffer"],
            reference.weight_optimizer.state[plain]["momentum_buffer"],
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize("clip", [5.0, 0.3])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_steps_equal_the_plain_derivation(protocol: str, order: int, clip: float) -> None:
    state = small_search(n_nodes=4)
    reference = Reference(state.supernet, state.alphas, LEARNING_RATE)
    for pair in batches(3):
        darts_step(
            state,
            *pair,
            order=order,
            protocol=protocol,
            gradient_clip=clip,
            finite_difference=0.01,
        )
        if protocol == "default":
            reference.default_step(*pair, clip, order)
        elif order == 1:
            reference.paper_v1(*pair, clip)
        else:
            reference.paper_v2(*pair, clip)
    assert_same(state, reference)


@pytest.mark.parametrize(
    ("order", "protocol", "passes"),
    [(1, "default", 1), (2, "default", 1), (1, "paper", 2), (2, "paper", 4)],
)
def test_running_statistics_move_as_often_as_the_protocol_says(
    order: int, protocol: str, passes: int
) -> None:
    state = small_search(n_nodes=3)
    [pair] = batches(1)
    darts_step(
        state, *pair, order=order, protocol=protocol, gradient_clip=5.0, finite_difference=0.01
    )
    assert int(state.supernet.stem[1].num_batches_tracked) == passes


class SmoothSupernet(nn.Module):
    """A twice differentiable stand-in: mixes five features on one edge."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.first = nn.Parameter(torch.randn(6, 5, generator=generator, dtype=torch.float64))
        self.second = nn.Parameter(torch.randn(5, 3, generator=generator, dtype=torch.float64))

    def forward(self, images: Tensor, mixing: Tensor) -> Tensor:
        return (torch.tanh(images.flatten(1) @ self.first) * mixing.sum(dim=0)) @ self.second


def smooth_batches() -> tuple[Batch, Batch]:
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(2, 7, 1, 2, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (2, 7), generator=generator)
    return (images[0], labels[0]), (images[1], labels[1])


def exact_gradient(state: SearchState, weight_batch: Batch, architecture_batch: Batch) -> Tensor:
    """Differentiate the architecture loss through the virtual step, with no approximation."""
    named = dict(state.supernet.named_parameters())
    alphas = state.alphas

    def loss(weights: dict[str, Tensor], batch: Batch) -> Tensor:
        images, labels = batch
        mixing = alphas.softmax(dim=1)
        return F.cross_entropy(functional_call(state.supernet, weights, (images, mixing)), labels)

    gradients = torch.autograd.grad(
        loss(named, weight_batch), list(named.values()), create_graph=True
    )
    moved = {}
    for (name, weight), gradient in zip(named.items(), gradients, strict=True):
        buffer = state.weight_optimizer.state[weight]["momentum_buffer"]
        moved[name] = weight - LEARNING_RATE * (0.9 * buffer + gradient + 5e-4 * weight)
    (result,) = torch.autograd.grad(loss(moved, architecture_batch), [alphas])
    return result


def test_the_second_order_correction_is_the_exact_one() -> None:
    state = state_of(
        SmoothSupernet(),
        torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).double(),
    )
    weight_batch, architecture_batch = smooth_batches()
    update_weights(state, weight_batch, gradient_clip=None)
    for group in state.weight_optimizer.param_groups:
        assert group["lr"] == LEARNING_RATE
    exact = exact_gradient(state, weight_batch, architecture_batch)
    first_order = deepcopy(state)
    update_architecture(first_order, architecture_batch)
    update_architecture_unrolled(state, weight_batch, architecture_batch, finite_difference=1e-4)
    gradient = state.alphas.grad
    assert gradient is not None
    torch.testing.assert_close(gradient, exact, rtol=1e-6, atol=1e-10)
    # The correction is there to be found: without it the gradient is another.
    assert (first_order.alphas.grad - exact).norm() > 1e-3 * exact.norm()


def test_the_weights_end_an_architecture_update_bit_for_bit_as_they_were() -> None:
    state = small_search(n_nodes=3)
    [(weight_batch, architecture_batch)] = batches(1)
    before = deepcopy(state.supernet.state_dict())
    update_architecture(state, architecture_batch)
    update_architecture_unrolled(state, weight_batch, architecture_batch, finite_difference=0.01)
    for name, value in state.supernet.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_an_architecture_update_takes_no_gradient_in_the_weights() -> None:
    state = small_search(n_nodes=3)
    [(_, architecture_batch)] = batches(1)
    update_architecture(state, architecture_batch)
    assert all(weight.grad is None for weight in state.weights)


def test_a_weight_update_leaves_the_architecture_alone() -> None:
    state = small_search(n_nodes=3)
    before = state.alphas.detach().clone()
    [(weight_batch, _)] = batches(1)
    update_weights(state, weight_batch, gradient_clip=5.0)
    assert state.alphas.grad is None
    assert torch.equal(state.alphas.detach(), before)


def test_a_vanished_gradient_is_no_direction() -> None:
    state = state_of(SmoothSupernet(), torch.zeros(1, 5).double())
    with torch.no_grad():
        for weight in state.weights:
            weight.zero_()
    weight_batch, architecture_batch = smooth_batches()
    update_architecture_unrolled(state, weight_batch, architecture_batch, finite_difference=0.01)
    assert torch.isfinite(state.alphas.grad).all()
