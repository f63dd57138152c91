"""The small network from scratch, as an evaluator."""

from __future__ import annotations

import numpy as np
import pytest

from proxysample import ArrayDataset, InputError, RandomSchedule, Splits
from proxysample.comparison.comparison import set_up
from proxysample.comparison.network import NetworkFromScratch
from proxysample.comparison.parts import Budget, KeptSet, Part
from proxysample.testing import small_digits


@pytest.fixture(scope="module")
def prepared():
    digits = small_digits(200)
    codes = np.asarray(digits.targets, dtype=np.int64)
    part = Part(digits, codes, 10)
    evaluator = NetworkFromScratch(epochs=6, batch_size=16, device="cpu")
    return evaluator, part, evaluator.prepare(part, part.take(np.arange(0, 200, 2)))


def test_it_learns_the_same_each_time_from_a_set_and_from_a_schedule(prepared):
    evaluator, part, data = prepared
    budget = Budget("epochs", 100, len(part))
    chosen = KeptSet(np.arange(0, 200, 2))
    first, second, other = (evaluator.evaluate(data, chosen, seed, budget) for seed in (0, 0, 1))
    assert first.predicted.tolist() == second.predicted.tolist()
    assert first.predicted.tolist() != other.predicted.tolist()
    schedule = RandomSchedule(len(part), n=100, seed=0)
    found = evaluator.evaluate(data, schedule, 0, budget)
    # By far above chance, on samples that it saw.
    assert min(first.accuracy, found.accuracy) > 0.4


def test_images_of_another_size_are_refused(prepared):
    evaluator, part, _ = prepared
    smaller = Part(np.zeros((4, 6, 6), dtype=np.uint8), np.zeros(4, dtype=np.int64), 10)
    with pytest.raises(InputError, match="bring them to one size"):
        evaluator.prepare(part, smaller)


def test_a_comparison_trains_it_from_scratch(tmp_path):
    digits = small_digits(120)
    splits = Splits("small", digits, ArrayDataset(digits.images, digits.targets))
    comparison = set_up(
        splits, ["cc-or"], [0.5], tmp_path, evaluator="network:epochs=1,device=cpu", seeds=1
    )
    assert comparison.run(progress=False) == 0, comparison.store.failures()
    methods = comparison.to_frame().method.tolist()
    assert methods == ["all data", "CC-RS", "RS", "CC-OR", "RS2"]
    # Where it runs is no part of what results are named by.
    assert "device" not in comparison.configuration.evaluator_parameters
