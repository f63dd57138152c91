"""Parameters of samplers are declared once, documented once, and seen in every class."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from proxysample import Sampler, list_samplers
from proxysample.parameters import documented_parameters
from proxysample.registry import sampler_class
from proxysample.samplers.coverage import FeatureSampler


@pytest.mark.parametrize("name", list_samplers())
def test_every_parameter_is_documented_once(name):
    kind = sampler_class(name)
    entries = documented_parameters(inspect.cleandoc(kind.__doc__))[1]
    documented = [parameter for group in entries for parameter in group]
    assert sorted(documented) == sorted(inspect.signature(kind).parameters)
    assert all(said.startswith(" : ") and "\n    " in said for said in entries.values())


class Norm(FeatureSampler):
    """Keep short rows.

    Parameters
    ----------
    power : float
        Of the sum.
    """

    id = "norm"
    power: float = 2.0

    def _score(self, samples: Any, codes: Any) -> Any:
        return np.concatenate(
            [(np.abs(f) ** self.power).sum(1) for _, f in samples.feature_chunks()]
        )


def test_a_sampler_of_ones_own_has_fields_and_what_it_inherits():
    sampler = Norm(power=1.0, features=np.eye(3))
    assert clone(sampler).features is sampler.features
    assert list(inspect.signature(Norm).parameters)[:3] == ["power", "per_class", "features"]
    assert sampler.get_params().keys() == Norm().get_params().keys()
    assert "Of the sum." in Norm.__doc__
    assert "How a map-style dataset is decoded." in Norm.__doc__
    assert sampler.select(np.array([[3.0], [1.0], [2.0]]), n=2).tolist() == [1, 2]


def test_a_constructor_of_ones_own_stays():
    class ByHand(Sampler):
        """Keep the first."""

        id = "by-hand"
        hint: str

        def __init__(self, *, keep: str = "easy") -> None:
            self.keep = keep

        def _score(self, samples: Any, codes: Any) -> Any:
            return np.arange(float(len(samples)))

    assert list(ByHand().get_params()) == ["keep"]
    assert ByHand.__doc__ == "Keep the first."
