"""The regularization of beta-DARTS: its gradient, its schedule, and where it acts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Subset

from proxysample.errors import InputError
from proxysample_nas.searchers import Searcher
from proxysample_nas.searchers.darts import darts_step
from proxysample_nas.searchers.gdas import gdas_step
from proxysample_nas.searchers.remedies import beta_gradient, beta_strength
from proxysample_nas.searchers.state import SearchState
from proxysample_nas.space.supernet import Supernet

from .prepared import small_search

# So small a search may well end with a useless cell; that is not the subject here.
pytestmark = pytest.mark.filterwarnings("ignore::proxysample_nas.searchers.SearchCollapseWarning")


def test_the_gradient_by_hand() -> None:
    alphas = torch.tensor([[1.0, 1.0, 2.0, 4.0, 8.0], [1.0, 1.0, 1.0, 1.0, 1.0]]).log()
    expected = torch.tensor([[1, 1, 2, 4, 8], [3.2] * 5]) / 32
    torch.testing.assert_close(beta_gradient(alphas), expected)


@given(st.integers(1, 10), st.integers(0, 2**32))
def test_the_gradient_is_that_of_the_published_term(n_edges: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    alphas = 3 * torch.randn(n_edges, 5, dtype=torch.float64, generator=generator)
    alphas.requires_grad_()
    (expected,) = torch.autograd.grad(alphas.logsumexp(dim=1).mean(), [alphas])
    torch.testing.assert_close(beta_gradient(alphas), expected, rtol=1e-12, atol=1e-15)


def test_the_strength_rises_from_nothing_in_equal_steps() -> None:
    strengths = [beta_strength(epoch, 100, 50.0) for epoch in range(100)]
    assert strengths == pytest.approx([epoch / 2 for epoch in range(100)])


def alphas_after_a_step(kind: str, protocol: Any, strength: float) -> tuple[Tensor, Tensor]:
    """Take one step with plain gradient descent of rate 1 on the architecture."""
    generator = torch.Generator().manual_seed(0)
    supernet = Supernet(3, 2, 1, 3, 1, generator=generator).double()
    alphas = torch.randn(3, 5, generator=generator).double().requires_grad_()
    before = alphas.detach().clone()
    state: Any = SearchState(
        supernet,
        alphas,
        torch.optim.SGD(supernet.parameters(), 0.1, 0.9),
        torch.optim.SGD([alphas], 1.0),
        {"operations": torch.Generator().manual_seed(2)},
    )
    images = torch.randn(2, 6, 1, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (2, 6), generator=generator)
    pair = ((images[0], labels[0]), (images[1], labels[1]))
    common: dict[str, Any] = {
        "protocol": protocol,
        "gradient_clip": None,
        "beta_strength": strength,
    }
    if kind == "gdas":
        gdas_step(state, *pair, temperature=1.0, **common)
    else:
        darts_step(state, *pair, order=int(kind[-1]), finite_difference=0.01, **common)
    return before, state.alphas.detach()


@pytest.mark.parametrize("protocol", ["default", "paper"])
@pytest.mark.parametrize("kind", ["darts-v1", "darts-v2", "gdas"])
def test_a_step_adds_the_term_to_the_gradient_of_the_architecture(kind: str, protocol: str) -> None:
    before, plain = alphas_after_a_step(kind, protocol, 0.0)
    _, regularized = alphas_after_a_step(kind, protocol, 7.0)
    assert not torch.equal(plain, before)
    torch.testing.assert_close(regularized, plain - 7 * before.softmax(dim=1) / 3)


def small(name: str, **changes: Any) -> Searcher:
    return small_search(name, **({"epochs": 6, "architecture_learning_rate": 0.05} | changes))


@pytest.fixture(scope="module")
def proxy(digits: Any) -> Any:
    return Subset(digits.train, range(100))


@pytest.mark.parametrize("name", ["darts-v1", "gdas"])
def test_a_search_regularizes_as_it_proceeds(name: str, proxy: Any) -> None:
    plain = small(name).search(proxy)
    regularized = small(name, beta_regularization=3000.0).search(proxy)
    assert "beta_strength" not in plain.history[0].details
    strengths = [record.details["beta_strength"] for record in regularized.history]
    assert strengths == pytest.approx([0, 500, 1000, 1500, 2000, 2500])
    # The first epoch is the same bit for bit, and no later one.
    same = [
        one.architecture_weights == other.architecture_weights
        for one, other in zip(plain.history, regularized.history, strict=True)
    ]
    assert same == [True] + [False] * 5


@pytest.mark.parametrize("value", [-1.0, float("nan"), "50"])
def test_a_bad_strength_is_refused_before_the_data_is_read(value: Any) -> None:
    with pytest.raises(InputError, match="beta_regularization must be a finite number"):
        small("darts-v1", beta_regularization=value).search("no dataset")
