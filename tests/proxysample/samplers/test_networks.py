from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proxysample import InputError
from proxysample.samplers.networks import minibatches, train


@given(st.integers(2, 200), st.integers(2, 50), st.integers(0, 99))
def test_every_sample_comes_once_and_never_alone(n_samples, batch_size, seed):
    batches = list(minibatches(n_samples, batch_size, torch.Generator().manual_seed(seed)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n_samples))
    sizes = [len(batch) for batch in batches]
    assert min(sizes) >= 2
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] <= batch_size + 1


def test_epochs_have_other_orders_that_the_generator_decides():
    generator = torch.Generator().manual_seed(0)
    first, second = (np.concatenate(list(minibatches(50, 8, generator))) for _ in range(2))
    again = np.concatenate(list(minibatches(50, 8, torch.Generator().manual_seed(0))))
    assert first.tolist() != second.tolist()
    assert first.tolist() == again.tolist()


def test_steps_and_curve_by_hand():
    # One weight w, loss mean (w - x)^2 over a batch of both samples x = 0, 2, rate 0.25:
    # w: 0 -> 0.5 -> 0.75; losses (0 + 4) / 2 = 2, then (0.25 + 2.25) / 2 = 1.25.
    weight = torch.zeros((), requires_grad=True)
    samples = torch.tensor([0.0, 2.0])
    curve = train(
        lambda rows: (weight - samples[rows]).square().mean(),
        torch.optim.SGD([weight], 0.25),
        n_samples=2,
        epochs=2,
        batch_size=2,
        generator=torch.Generator(),
    )
    assert curve.tolist() == [2.0, 1.25]
    assert weight.item() == 0.75


def test_the_curve_weighs_batches_by_their_size():
    # No step moves a weight that the loss does not depend on; the mean of 0..4 is 2.
    weight = torch.zeros((), requires_grad=True)
    curve = train(
        lambda rows: torch.from_numpy(rows).double().mean() + 0 * weight,
        torch.optim.SGD([weight], 1.0),
        n_samples=5,
        epochs=1,
        batch_size=3,
        generator=torch.Generator(),
    )
    assert curve.tolist() == pytest.approx([2.0], abs=1e-12)


def test_a_loss_that_is_not_finite_names_the_epoch_and_the_fix():
    weight = torch.ones((), requires_grad=True)
    with pytest.raises(InputError, match=r"epoch 2 is inf.*lower learning_rate, which is 1e\+30"):
        train(
            lambda rows: weight.square(),
            torch.optim.SGD([weight], 1e30),
            n_samples=2,
            epochs=9,
            batch_size=2,
            generator=torch.Generator(),
        )


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_from_the_start_blames_no_learning_rate(bad):
    weight = torch.ones((), requires_grad=True)
    with pytest.raises(InputError, match=r"epoch 1 is nan, .*before the first step.*scale"):
        train(
            lambda rows: weight * bad,
            torch.optim.SGD([weight], 0.1),
            n_samples=4,
            epochs=9,
            batch_size=2,
            generator=torch.Generator(),
        )


def test_a_loss_that_becomes_nan_within_an_epoch_is_seen():
    """The batches before it are finite, and so are those after it."""
    weight = torch.ones((), requires_grad=True)
    factors = iter([1.0, float("nan"), 1.0, 1.0])
    with pytest.raises(InputError, match=r"epoch 1 is nan: training diverged; lower learning_rate"):
        train(
            lambda rows: weight.detach() * 0 + torch.ones((), requires_grad=True) * next(factors),
            torch.optim.SGD([weight], 0.1),
            n_samples=8,
            epochs=2,
            batch_size=2,
            generator=torch.Generator(),
        )
