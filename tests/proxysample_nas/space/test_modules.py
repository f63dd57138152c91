"""Initial weights: PyTorch's default distributions from a generator of one's own."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import nn

from proxysample_nas.space.layers import ScaledBatchNorm
from proxysample_nas.space.modules import build, fresh_generator, materialize, uniform_fan_in

LAYERS = {
    "3x3 convolution": lambda: nn.Conv2d(16, 64, 3),
    "1x1 convolution": lambda: nn.Conv2d(64, 128, 1),
    "grouped convolution": lambda: nn.Conv2d(32, 64, 3, groups=4),
    "linear": lambda: nn.Linear(64, 100),
}


@pytest.mark.parametrize("name", LAYERS)
def test_weights_and_biases_are_distributed_as_by_default(name: str) -> None:
    ours = build(LAYERS[name], torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        default = LAYERS[name]()
    for one, other in ((ours.weight, default.weight), (ours.bias, default.bias)):
        test = stats.ks_2samp(one.detach().flatten(), other.detach().flatten())
        assert test.pvalue > 0.01
    bound = 1 / math.sqrt(default.weight[0].numel())
    assert 0.99 * bound < ours.weight.abs().max() <= bound
    assert 0.9 * bound < ours.bias.abs().max() <= bound


@pytest.mark.parametrize("factory", [lambda: nn.BatchNorm2d(3), lambda: batch_norm()])
def test_batch_norm_starts_at_the_identity(factory: object) -> None:
    norm = build(factory)
    assert norm.weight.tolist() == norm.running_var.tolist() == [1.0] * 3
    assert norm.bias.tolist() == norm.running_mean.tolist() == [0.0] * 3


def batch_norm() -> ScaledBatchNorm:
    return ScaledBatchNorm(3, 1, affine=True, track_running_stats=True)


def test_global_random_state_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first = build(LAYERS["linear"], torch.Generator().manual_seed(5))
    build(LAYERS["linear"])
    fresh_generator()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(1)
    second = build(LAYERS["linear"], torch.Generator().manual_seed(5))
    assert torch.equal(first.weight, second.weight)


def test_without_a_generator_every_build_differs() -> None:
    assert not torch.equal(build(LAYERS["linear"]).weight, build(LAYERS["linear"]).weight)


def test_dtype_changes_the_precision_and_not_the_draw() -> None:
    single = build(LAYERS["linear"], torch.Generator().manual_seed(0))
    double = build(LAYERS["linear"], torch.Generator().manual_seed(0), dtype=torch.float64)
    assert double.weight.dtype == torch.float64
    assert torch.equal(single.weight, double.weight.float())


def test_parameters_without_a_rule_are_refused() -> None:
    with pytest.raises(TypeError, match="no rule to initialise PReLU"):
        build(lambda: nn.Sequential(nn.Linear(2, 2), nn.PReLU()))


def test_parameters_stay_trainable() -> None:
    layer = nn.Linear(2, 2, device="meta")
    materialize(layer)
    assert all(parameter.requires_grad for parameter in layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad is not None


def test_filling_does_not_record_a_gradient() -> None:
    tensor = uniform_fan_in(torch.empty(4), 1, torch.Generator().manual_seed(0))
    assert not tensor.requires_grad
