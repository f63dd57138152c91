"""A new part of the samples in each epoch."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from proxysample import InputError, RandomSchedule


@settings(max_examples=80)
@given(st.integers(1, 30), st.data(), st.integers(0, 100))
def test_no_sample_comes_again_before_all_have_come(n_samples, data, seed):
    n = data.draw(st.integers(1, n_samples))
    schedule = RandomSchedule(n_samples, n=n, seed=seed)
    stream = []
    for epoch in range(3 * n_samples // n + 2):
        indices = list(schedule)
        assert len(indices) == len(set(indices)) == n == len(schedule)
        assert schedule.epoch == epoch + 1
        stream += indices
    for start in range(0, len(stream) - n_samples + 1, n_samples):
        assert sorted(stream[start : start + n_samples]) == list(range(n_samples))
    counts = Counter(stream)
    assert max(counts.values()) - min(counts[index] for index in range(n_samples)) <= 1


def test_epochs_can_be_asked_for_in_any_order():
    schedule, other = RandomSchedule(10, r=0.3, seed=4), RandomSchedule(10, n=3, seed=4)
    forward = [schedule.indices(epoch).tolist() for epoch in range(12)]
    for epoch in np.random.default_rng(0).permutation(12).tolist():
        assert other.indices(epoch).tolist() == forward[epoch]
    other.set_epoch(7)
    assert list(other) == forward[7]
    assert RandomSchedule(10, n=3, seed=5).indices(0).tolist() != forward[0]
    assert len({tuple(sorted(one)) for one in forward}) > 6


def test_it_says_what_it_is():
    shown = "RandomSchedule(4 of 6 samples an epoch, seed 0, next epoch 0)"
    assert repr(RandomSchedule(6, n=4)) == shown


def test_what_is_given_out_is_a_copy():
    schedule = RandomSchedule(10, n=3)
    before = schedule.indices(0)
    schedule.indices(0)[:] = 0
    assert np.array_equal(schedule.indices(0), before)


def test_an_epoch_that_was_broken_off_comes_again():
    schedule = RandomSchedule(8, n=4)
    first = next(iter(schedule))
    assert schedule.epoch == 0
    assert next(iter(schedule)) == first


def test_a_checkpoint_goes_on_where_it_was():
    schedule = RandomSchedule(12, n=5, seed=2)
    for _ in range(4):
        list(schedule)
    state = json.loads(json.dumps(schedule.state_dict()))
    expected = [list(schedule) for _ in range(5)]
    other = RandomSchedule(range(12), n=5, seed=2)
    other.load_state_dict(state)
    assert [list(other) for _ in range(5)] == expected
    with pytest.raises(InputError, match="a schedule with seed=2, and this one has 3"):
        RandomSchedule(12, n=5, seed=3).load_state_dict(state)
    with pytest.raises(InputError, match="n_samples is missing"):
        other.load_state_dict({"epoch": 1, "seed": 2, "n": 5})


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_dataloader_takes_it(num_workers):
    dataset = TensorDataset(torch.arange(20))
    schedule = RandomSchedule(dataset, r=0.5)
    loader = DataLoader(dataset, batch_size=4, sampler=schedule, num_workers=num_workers)
    assert len(loader) == 3
    epochs = [torch.cat([batch for (batch,) in loader]).tolist() for _ in range(2)]
    assert sorted(epochs[0] + epochs[1]) == list(range(20))
    assert epochs[1] == RandomSchedule(dataset, r=0.5).indices(1).tolist()


def test_global_generators_are_left_alone():
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    list(RandomSchedule(9, n=2))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": 5}, "give r, the fraction of samples in an epoch, or n"),
        ({"data": 5, "r": 0.5, "n": 2}, "give r"),
        ({"data": 5, "r": 2}, "in (0, 1]"),
        ({"data": 5, "r": 0.01}, "keeps none of 5"),
        ({"data": 5, "n": 0}, "at least 1"),
        ({"data": 5, "n": 6}, "n=6 is more than the 5 samples"),
        ({"data": 0, "n": 1}, "the number of samples must be a positive integer, not 0"),
        ({"data": object(), "n": 1}, "the number of samples"),
        ({"data": 5, "n": 2, "seed": -1}, "seed must be"),
    ],
)
def test_what_cannot_work_is_refused(given, message):
    with pytest.raises(InputError) as refused:
        RandomSchedule(**given)
    assert message in str(refused.value)
    with pytest.raises(InputError, match="epoch must be"):
        RandomSchedule(5, n=2).set_epoch(-1)
