"""The controller is a distribution over cells; its losses have the gradients they claim."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from proxysample_nas.searchers.controller import (
    Controller,
    Walk,
    moving_average,
    policy_loss,
    policy_loss_of_the_authors,
)

from .reference_enas import ControllerTraining, walk

ALL_CELLS = torch.tensor(list(itertools.product(range(5), repeat=3)))


def controller_of(n_edges: int = 3, spread: float = 1.0) -> Controller:
    """A controller in float64; a wider spread makes it less uniform."""
    controller = Controller(n_edges, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.mul_(spread)
    return controller


@pytest.mark.parametrize("n_edges", [6, 10])
def test_a_walk_equals_the_plain_one(n_edges: int) -> None:
    controller = controller_of(n_edges, spread=3.0)
    sampled = controller.sample(8, torch.Generator().manual_seed(1))
    for one, log_probability, entropy in zip(
        sampled.operations.tolist(), sampled.log_probabilities, sampled.entropies, strict=True
    ):
        expected = walk(controller, one)
        torch.testing.assert_close(log_probability, expected[0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(entropy, expected[1], rtol=1e-9, atol=1e-12)


def test_cells_are_drawn_with_their_probabilities() -> None:
    controller = controller_of(2, spread=20.0)
    cells = torch.tensor(list(itertools.product(range(5), repeat=2)))
    with torch.no_grad():
        probabilities = controller.evaluate(cells).log_probabilities.exp()
        drawn = controller.sample(20_000, torch.Generator().manual_seed(1)).operations
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-9)
    shares = np.bincount((drawn[:, 0] * 5 + drawn[:, 1]).numpy(), minlength=25) / 20_000
    np.testing.assert_array_less(
        np.abs(shares - probabilities.numpy()), 4 * np.sqrt(probabilities.numpy() / 20_000)
    )
    # Far from uniform, so that the comparison means something.
    assert probabilities.max() > 3 * probabilities.min()


def test_the_greedy_cell_takes_the_likeliest_operation_of_each_edge() -> None:
    controller = controller_of(6, spread=4.0)
    with torch.no_grad():
        greedy = controller.greedy()
    assert torch.equal(greedy.probabilities.argmax(dim=2), greedy.operations)
    torch.testing.assert_close(greedy.probabilities.sum(dim=2), torch.ones(1, 6).double())
    product = greedy.probabilities.max(dim=2).values.log().sum()
    torch.testing.assert_close(product, greedy.log_probabilities[0])


def test_logits_stay_within_the_tanh_constant() -> None:
    probabilities = controller_of(4, spread=1000.0).greedy().probabilities
    ratios = probabilities.max(dim=2).values / probabilities.min(dim=2).values
    assert ratios.max() <= math.exp(5.0) * (1 + 1e-9)
    assert ratios.max() > math.exp(4.9)


def test_initial_weights_are_the_published_ones() -> None:
    before = torch.get_rng_state()
    controller = Controller(10, generator=torch.Generator().manual_seed(0))
    again = Controller(10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    bounds = {name: float(p.detach().abs().max()) for name, p in controller.named_parameters()}
    narrow = {name for name, bound in bounds.items() if bound <= 0.1}
    assert narrow == {
        "first_input",
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "embedding.weight",
        "output.weight",
    }
    assert max(bounds.values()) <= 1 / math.sqrt(32)
    for mine, other in zip(controller.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, other)
    fresh = Controller(10), Controller(10)
    assert not torch.equal(fresh[0].first_input, fresh[1].first_input)


def gradient_of(controller: Controller, value: Tensor) -> Tensor:
    gradients = torch.autograd.grad(value, list(controller.parameters()), retain_graph=True)
    return torch.cat([gradient.flatten() for gradient in gradients])


def one_of(everything: Walk, cell: int) -> Walk:
    return Walk(
        everything.operations[cell : cell + 1],
        everything.log_probabilities[cell : cell + 1],
        everything.entropies[cell : cell + 1],
        everything.probabilities[cell : cell + 1],
    )


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_default_loss_ascends_accuracy_and_entropy_without_bias(weight: float) -> None:
    """Over all 125 cells, weighted by their probability, the gradient is the exact one."""
    controller = controller_of(3, spread=3.0)
    accuracies = torch.rand(125, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    everything = controller.evaluate(ALL_CELLS)
    probabilities = everything.log_probabilities.exp()
    entropy = -(probabilities * everything.log_probabilities).sum()
    exact = gradient_of(controller, (probabilities * accuracies).sum() + weight * entropy)

    losses = torch.stack(
        [
            policy_loss(
                one_of(everything, cell),
                accuracies[cell : cell + 1],
                0.37,
                entropy_weight=weight,
                decay=0.99,
            ).loss
            for cell in range(125)
        ]
    )
    expected = -gradient_of(controller, (probabilities.detach() * losses).sum())
    torch.testing.assert_close(expected, exact, rtol=1e-7, atol=1e-10)
    assert exact.abs().max() > 1e-4


def test_the_first_baseline_is_the_mean_of_the_first_rewards() -> None:
    sampled = controller_of().sample(4, torch.Generator().manual_seed(0))
    accuracies = torch.tensor([0.1, 0.2, 0.3, 0.8], dtype=torch.float64)
    result = policy_loss(sampled, accuracies, None, entropy_weight=0.0, decay=0.5)
    advantages = accuracies - 0.35
    torch.testing.assert_close(result.loss, -(sampled.log_probabilities * advantages).mean())
    # 0.35 -> 0.225 -> 0.2125 -> 0.25625 -> 0.528125
    assert result.baseline == pytest.approx(0.528125)


def test_a_moving_average_by_hand() -> None:
    assert moving_average(0.4, [], 0.99) == 0.4
    assert moving_average(0.4, [1.0, 0.0], 0.9) == pytest.approx((0.36 + 0.1) * 0.9)


@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_updates_equal_the_plain_ones(protocol: str) -> None:
    """Three epochs of two updates of five samples: parameters, baselines, Adam's state."""
    mine, plain = controller_of(6, 3.0), controller_of(6, 3.0)
    optimizers = [
        torch.optim.Adam(one.parameters(), 1e-2, betas=(0.0, 0.999), eps=1e-3)
        for one in (mine, plain)
    ]
    reference = ControllerTraining(plain, optimizers[1], 0.05, 5.0)
    rewards = torch.Generator().manual_seed(3)
    carried, expected = None, None
    options = {"entropy_weight": 0.05, "decay": 0.99}
    for epoch in range(3):
        cells, values, latest = [], [], carried
        for update in range(2):
            sampled = mine.sample(5, torch.Generator().manual_seed(10 * epoch + update))
            accuracies = torch.rand(5, generator=rewards, dtype=torch.float64)
            cells += sampled.operations.tolist()
            values += accuracies.tolist()
            if protocol == "paper":
                result = policy_loss_of_the_authors(sampled, accuracies, carried, **options)
            else:
                result = policy_loss(sampled, accuracies, latest, **options)
                entropies = sampled.entropies.tolist()
                first = [a + 0.05 * h for a, h in zip(values[-5:], entropies, strict=True)]
                start = sum(first) / 5 if expected is None else expected
                expected = reference.default_update(cells[-5:], values[-5:], start)
            latest = result.baseline
            optimizers[0].zero_grad()
            result.loss.backward()
            torch.nn.utils.clip_grad_norm_(mine.parameters(), 5.0)
            optimizers[0].step()
        carried = latest
        if protocol == "paper":
            expected = reference.paper_epoch(cells, values, 5, expected)[-1]
        assert carried == pytest.approx(expected, rel=1e-9)
    for one, other in zip(mine.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_the_authors_baseline_moves_by_a_hundredth_of_one_reward_an_epoch() -> None:
    sampled = controller_of().sample(3, torch.Generator().manual_seed(0))
    accuracies = torch.tensor([0.9, 0.1, 0.6], dtype=torch.float64)

    def baseline(carried: float | None) -> float:
        result = policy_loss_of_the_authors(
            sampled, accuracies, carried, entropy_weight=0.0, decay=0.99
        )
        return result.baseline

    # The last sample's own accuracy, then 0.99 of what was carried and 0.01 of its reward.
    assert baseline(None) == pytest.approx(0.6)
    assert baseline(0.2) == pytest.approx(0.99 * 0.2 + 0.01 * 0.6)


@pytest.mark.parametrize(
    ("make_loss", "sign"), [(policy_loss, 1), (policy_loss_of_the_authors, -1)]
)
def test_the_entropy_bonus_has_the_sign_that_is_told(make_loss: Any, sign: int) -> None:
    """With equal accuracies only the entropy speaks: what a small step does to it, expected."""
    controller = controller_of(3, spread=3.0)
    everything = controller.evaluate(ALL_CELLS)
    probabilities = everything.log_probabilities.exp()
    entropy = -(probabilities * everything.log_probabilities).sum()
    half = torch.full((1,), 0.5, dtype=torch.float64)
    losses = torch.stack(
        [
            make_loss(one_of(everything, cell), half, 0.5, entropy_weight=1.0, decay=0.99).loss
            for cell in range(125)
        ]
    )
    step = -gradient_of(controller, (probabilities.detach() * losses).sum())
    assert sign * float(step @ gradient_of(controller, entropy)) > 0
