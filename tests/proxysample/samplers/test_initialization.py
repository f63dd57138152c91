"""Initial weights: PyTorch's own to the bit, without its global generator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from proxysample.samplers.networks import ClassificationHead, ConvolutionalAutoencoder, initialized

FACTORIES: list[Callable[[], nn.Module]] = [
    lambda: ConvolutionalAutoencoder((3, 32, 32)),
    lambda: ConvolutionalAutoencoder((1, 9, 21), latent_channels=5),
    lambda: ClassificationHead(20, 7),
    lambda: nn.Sequential(nn.Conv2d(6, 4, 3, groups=2, bias=False), nn.BatchNorm2d(4)),
    lambda: nn.ConvTranspose2d(6, 4, 3, groups=2),
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_weights_are_those_of_the_constructors_after_seeding(
    factory: Callable[[], nn.Module],
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(2**62 + 7)
        expected = factory().state_dict()
    found = initialized(factory, 2**62 + 7).state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name
        assert tensor.stride() == expected[name].stride()


def test_the_global_generator_is_not_even_seeded_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("the global generator was touched")

    for name in ("get_rng_state", "set_rng_state", "manual_seed", "fork_rng"):
        monkeypatch.setattr(torch.random, name, refuse)
    before = torch.default_generator.get_state()
    first, second = (initialized(FACTORIES[0], seed=0) for _ in range(2))
    assert torch.equal(torch.default_generator.get_state(), before)
    for left, right in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(left, right)
        assert left.requires_grad


def test_a_layer_without_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match="no rule to initialise Embedding"):
        initialized(lambda: nn.Sequential(nn.ReLU(), nn.Embedding(3, 2)), seed=0)
