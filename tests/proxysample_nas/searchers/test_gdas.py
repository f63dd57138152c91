"""The Gumbel sampler, one full GDAS step against a plain derivation, and whole searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Subset

from proxysample.errors import InputError
from proxysample_nas.searchers import GDAS
from proxysample_nas.searchers import gdas as gdas_module
from proxysample_nas.searchers.gdas import gdas_step, sample_operations, sampled_forward
from proxysample_nas.searchers.state import RunOperations, SearchState
from proxysample_nas.space.cell import n_edges
from proxysample_nas.space.operations import NAS_BENCH_201
from proxysample_nas.space.supernet import Supernet
from proxysample_nas.training.optimization import DivergenceError

from ..space.reference_supernet import (
    ReferenceSupernet,
    copy_weights,
    paired_parameters,
    paired_statistics,
)
from .prepared import SMALL_SEARCH, generator_of
from .reference_gdas import Reference

Batch = tuple[Tensor, Tensor]
LEARNING_RATE = 0.025


def small_state(n_nodes: int = 4, protocol: str = "default") -> tuple[SearchState, Reference]:
    """Give the same search twice, in float64: as the library has it and written out plainly."""
    generator = generator_of(0)
    sizes = {"channels": 2, "cells_per_stage": 1, "n_classes": 3, "in_channels": 1}
    supernet = Supernet(n_nodes, **sizes, generator=generator).double()
    alphas = torch.randn(n_edges(n_nodes), 5, generator=generator).double()
    plain = ReferenceSupernet(n_nodes, **sizes, conv_bias=False).double()
    copy_weights(supernet, plain)
    alphas.requires_grad_()
    state = SearchState(
        supernet,
        alphas,
        torch.optim.SGD(
            supernet.parameters(), LEARNING_RATE, 0.9, weight_decay=5e-4, nesterov=True
        ),
        torch.optim.Adam([alphas], 3e-4, betas=(0.5, 0.999), weight_decay=1e-3),
        {"operations": generator_of(5)},
        run=RunOperations(supernet) if protocol == "paper" else None,
    )
    begins = protocol != "paper"
    return state, Reference(plain, alphas, LEARNING_RATE, begins_with_gradients=begins)


def batches(n: int) -> list[tuple[Batch, Batch]]:
    generator = generator_of(1)

    def batch() -> Batch:
        images = torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64)
        return images, torch.randint(3, (6,), generator=generator)

    return [(batch(), batch()) for _ in range(n)]


@pytest.mark.parametrize("clip", [5.0, 0.3])
@pytest.mark.parametrize("n_nodes", [4, 5])
@pytest.mark.parametrize("protocol", ["default", "paper"])
def test_steps_equal_the_plain_derivation(protocol: str, n_nodes: int, clip: float) -> None:
    state, reference = small_state(n_nodes, protocol)
    noise = generator_of(5)
    for pair, temperature in zip(batches(4), (10.0, 6.7, 3.4, 0.1), strict=True):
        gdas_step(state, *pair, temperature=temperature, protocol=protocol, gradient_clip=clip)
        plain_step = reference.paper_step if protocol == "paper" else reference.default_step
        plain_step(*pair, temperature, noise, clip)
    pairs = paired_parameters(state.supernet, reference.supernet)
    pairs |= {f"{k} (statistic)": v for k, v in paired_statistics(*nets(state, reference)).items()}
    pairs["alphas"] = state.alphas.detach(), reference.alphas.detach()
    pairs["gradient of alphas"] = state.alphas.grad, reference.alphas.grad
    for name, (mine, plain) in pairs.items():
        torch.testing.assert_close(
            mine, plain, rtol=1e-9, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_in_the_papers_protocol_what_never_ran_is_passed_by() -> None:
    state, _ = small_state(protocol="paper")
    with torch.no_grad():
        state.alphas[:, NAS_BENCH_201.index("skip_connect")] += 100
    before = [weight.detach().clone() for weight in state.supernet.stages.parameters()]
    pairs = batches(2)
    gdas_step(state, *pairs[0], temperature=1.0, protocol="paper", gradient_clip=None)
    for weight, value in zip(state.supernet.stages.parameters(), before, strict=True):
        assert torch.equal(weight.detach(), value)
        assert not state.weight_optimizer.state[weight]["momentum_buffer"].any()
    convolution = NAS_BENCH_201.index("nor_conv_3x3")
    with torch.no_grad():
        state.alphas[0, convolution] += 1_000
    gdas_step(state, *pairs[1], temperature=1.0, protocol="paper", gradient_clip=None)
    assert state.run.has_run[0].tolist() == [
        index in (convolution, NAS_BENCH_201.index("skip_connect")) for index in range(5)
    ]
    # The first of three edges that share a convolution has run, and alone has changed.
    (wide, *_) = (cell.convolution("nor_conv_3x3", 0) for cell in state.supernet.stages[0])
    new = wide.convolution.weight.detach()
    changed = (new != _copy_of(before, state, wide.convolution.weight)).flatten(1).any(dim=1)
    assert changed.tolist() == [True] * 2 + [False] * 4


def _copy_of(before: list[Tensor], state: SearchState, wanted: Tensor) -> Tensor:
    weights = list(state.supernet.stages.parameters())
    return next(old for old, weight in zip(before, weights, strict=True) if weight is wanted)


def test_what_has_run_is_kept_with_the_state() -> None:
    state, _ = small_state(protocol="paper")
    [pair] = batches(1)
    gdas_step(state, *pair, temperature=1.0, protocol="paper", gradient_clip=None)
    tensors = {name: tensor.clone() for name, tensor in state.to_tensors().items()}
    again, _ = small_state(protocol="paper")
    again.load_tensors(tensors)
    assert again.run.has_run.any()
    assert torch.equal(again.run.has_run, state.run.has_run)
    tensors["has_run"] = tensors["has_run"][:1]
    with pytest.raises(ValueError, match="another shape"):
        again.load_tensors(tensors)


def nets(state: SearchState, reference: Reference) -> tuple[Supernet, ReferenceSupernet]:
    return state.supernet, reference.supernet


def test_the_gradient_is_the_documented_one() -> None:
    """For one edge: d p_k / d alpha at fixed noise, times <o_k(x), gradient in h>."""
    generator = generator_of(0)
    supernet = Supernet(2, 2, 1, 3, 1, generator=generator).double()
    alphas = torch.randn(1, 5, generator=generator).double().requires_grad_()
    state = SearchState(supernet, alphas, None, None, {"operations": generator_of(3)})
    [(batch, _)] = batches(1)
    loss, _ = sampled_forward(state, batch, alphas, temperature=2.0, scalar_trick=False)
    (gradient,) = torch.autograd.grad(loss, [alphas])

    noise = -torch.empty(1, 5).double().exponential_(generator=generator_of(3)).log()
    soft = ((alphas.log_softmax(dim=1) + noise) / 2.0).softmax(dim=1)[0]
    chosen = int(soft.argmax())
    factor = torch.ones(1, 5, dtype=torch.float64, requires_grad=True)
    logits = supernet.forward_sampled(batch[0], [chosen], factor)
    (inner,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, batch[1]), [factor])
    (relaxed,) = torch.autograd.grad(soft[chosen], [alphas])
    assert inner[0, chosen] != 0
    torch.testing.assert_close(gradient, relaxed * inner[0, chosen], rtol=1e-9, atol=1e-12)


def test_weights_that_were_not_run_decay_and_have_momentum() -> None:
    state, _ = small_state()
    with torch.no_grad():
        state.alphas[:, NAS_BENCH_201.index("skip_connect")] += 100
    before = [weight.detach().clone() for weight in state.supernet.stages[0].parameters()]
    [pair] = batches(1)
    gdas_step(state, *pair, temperature=1.0, protocol="default", gradient_clip=None)
    for weight, value in zip(state.supernet.stages[0].parameters(), before, strict=True):
        # One Nesterov step on the gradient 5e-4 * w alone: (1 + momentum) times it.
        torch.testing.assert_close(weight.detach(), value * (1 - LEARNING_RATE * 1.9 * 5e-4))
        assert "momentum_buffer" in state.weight_optimizer.state[weight]


def test_operations_are_drawn_with_the_probabilities_of_the_architecture() -> None:
    probabilities = torch.tensor([0.05, 0.1, 0.15, 0.3, 0.4])
    alphas = (probabilities.log() + 7.0).expand(20_000, 5)
    for temperature in (10.0, 0.1):
        drawn = sample_operations(alphas, temperature, generator_of(0)).operations
        shares = np.bincount(drawn, minlength=5) / 20_000
        np.testing.assert_allclose(shares, probabilities, atol=4 * 0.5 / np.sqrt(20_000))


def test_gates_are_hard_in_value_and_soft_in_gradient() -> None:
    alphas = torch.randn(6, 5, generator=generator_of(0)).requires_grad_()
    sample = sample_operations(alphas, 0.5, generator_of(1))
    one_hot = torch.zeros(6, 5)
    one_hot[range(6), sample.operations] = 1
    torch.testing.assert_close(sample.gates.detach(), one_hot, rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(sample.gates[:, 0].sum(), [alphas])
    # A softmax's gradient sums to zero over its inputs, and is none of zeros.
    torch.testing.assert_close(gradient.sum(dim=1), torch.zeros(6), rtol=0, atol=1e-6)
    assert gradient.abs().max() > 1e-3


def test_a_low_temperature_sharpens_the_gradient() -> None:
    alphas = torch.zeros(1, 2).requires_grad_()

    def slope(temperature: float) -> float:
        gates = sample_operations(alphas, temperature, generator_of(4)).gates
        (gradient,) = torch.autograd.grad(gates[0, 0], [alphas])
        return float(gradient[0, 0])

    noise = -torch.empty(1, 2).exponential_(generator=generator_of(4)).log()
    for temperature in (10.0, 1.0):
        p = float(torch.sigmoid((noise[0, 0] - noise[0, 1]) / temperature))
        # d p_0 / d alpha_0, the log-softmax's own gradient cancelling in the difference.
        assert slope(temperature) == pytest.approx(p * (1 - p) / temperature, rel=1e-5)


def test_noise_that_is_no_number_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    draws: list[Tensor] = []
    original = Tensor.exponential_

    def first_has_a_zero(self: Tensor, **options: Any) -> Tensor:
        drawn = original(self, **options)
        if not draws:
            drawn[0, 0] = 0.0
        draws.append(drawn)
        return drawn

    monkeypatch.setattr(Tensor, "exponential_", first_has_a_zero)
    sample = sample_operations(torch.zeros(3, 5), 1.0, generator_of(0))
    assert len(draws) == 2
    assert sample.gates.isfinite().all()


def test_an_architecture_that_is_no_number_is_not_drawn_for_ever() -> None:
    with pytest.raises(DivergenceError, match="lower learning_rate or"):
        sample_operations(torch.tensor([[0.0, float("nan")]]), 1.0, generator_of(0))


def test_one_forward_reads_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a meta device every other read would fail, and so would a second copy."""
    copies = []
    original = Tensor.cpu

    def counted(self: Tensor) -> Tensor:
        copies.append(self)
        return original(self)

    state, _ = small_state()
    monkeypatch.setattr(Tensor, "cpu", counted)
    [(batch, _)] = batches(1)
    sampled_forward(state, batch, state.alphas, temperature=1.0, scalar_trick=True)
    assert len(copies) == 1


def small_search(**changes: Any) -> GDAS:
    return GDAS(**(SMALL_SEARCH | changes))


@pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")
def test_a_search_learns_and_cools(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    temperatures: list[float] = []
    original = gdas_module.sample_operations

    def record(alphas: Tensor, temperature: float, *others: Any) -> Any:
        temperatures.append(temperature)
        return original(alphas, temperature, *others)

    monkeypatch.setattr(gdas_module, "sample_operations", record)
    searcher = small_search(
        epochs=4, channels=4, learning_rate=0.1, augmentation=None, architecture_learning_rate=0.02
    )
    result = searcher.search(Subset(digits.train, range(1_200)), digits.test)
    expected = [10.0, 6.7, 3.4, 0.1]
    assert [r.details["temperature"] for r in result.history] == pytest.approx(expected)
    # Two samples a step, 38 steps an epoch.
    assert temperatures == pytest.approx([t for t in expected for _ in range(76)])
    assert result.history[-1].train_loss < 0.6 * result.history[0].train_loss
    assert result.history[-1].architecture_accuracy > 40
    for record_ in result.history:
        likeliest = np.array(record_.architecture_weights).argmax(axis=1)
        assert record_.cell.indices == tuple(likeliest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"initial_temperature": 0},
            "initial_temperature must be a positive number, .*; the authors",
        ),
        ({"final_temperature": -0.1}, "final_temperature must be a positive number"),
        (
            {"final_temperature": 0.0},
            "final_temperature must be a positive number, .*; the authors",
        ),
    ],
)
def test_bad_temperatures_say_what_to_do(
    digits: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        small_search(**changes).search(digits.train)
