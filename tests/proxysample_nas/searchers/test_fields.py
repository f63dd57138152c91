"""Parameters of searchers are declared once, documented once, and seen in every class."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any

import pytest
from sklearn.base import clone

from proxysample.parameters import documented_parameters
from proxysample_nas.searchers import Searcher, SearchResult, create_searcher, list_searchers


class Base(Searcher):
    """Base of two.

    Parameters
    ----------
    width, depth : int
        Of the base.
    """

    width: int = 3
    depth: int = 4

    @property
    def id(self) -> str:
        return "base"

    def search(self, *_: Any, **__: Any) -> SearchResult:
        raise NotImplementedError


class Derived(Base):
    """Says more.

    Longer.

    Parameters
    ----------
    width : int
        Of its own.
    size : int
        Added.

    Notes
    -----
    None.
    """

    size: int = 5
    depth: int = 6


class ByHand(Searcher):
    """Writes its constructor, as scikit-learn's estimators do."""

    id = "by-hand"
    hint: str

    def __init__(self, *, width: int = 1) -> None:
        self.width = width

    def search(self, *_: Any, **__: Any) -> SearchResult:
        raise NotImplementedError


class ByHandToo(ByHand):
    """Adds nothing."""


def test_a_class_takes_its_own_fields_and_those_of_its_base_by_keyword():
    searcher = Derived(width=7)
    assert searcher.get_params() == {"width": 7, "depth": 6, "size": 5}
    assert Base().get_params() == {"width": 3, "depth": 4}
    assert repr(searcher) == "Derived(width=7)"
    assert clone(searcher).set_params(size=1).get_params() == {"width": 7, "depth": 6, "size": 1}
    with pytest.raises(TypeError):
        Derived(7)
    # As every estimator: not by its parameters.
    assert Derived() != Derived()
    assert len({Derived(), Derived()}) == 2


def test_what_the_base_says_of_a_parameter_is_said_again_unless_the_class_says_more():
    expected = """\
Says more.

Longer.

Parameters
----------
width : int
    Of its own.
depth : int
    Of the base.
size : int
    Added.

Notes
-----
None."""
    assert Derived.__doc__ == expected
    assert "Of the base." in pydoc.render_doc(Derived)


def test_a_constructor_of_ones_own_stays():
    for kind in (ByHand, ByHandToo):
        assert kind(width=2).get_params() == {"width": 2}
        assert "Parameters" not in kind.__doc__


@pytest.mark.parametrize("name", list_searchers())
def test_every_parameter_is_documented_once(name):
    kind = type(create_searcher(name))
    entries = documented_parameters(kind.__doc__)[1]
    documented = [parameter for group in entries for parameter in group]
    assert documented.count("stop_at_skips") == (name in ("darts-v1", "darts-v2", "gdas"))
    assert sorted(documented) == sorted(inspect.signature(kind).parameters)
    assert all(said.startswith(" : ") and "\n    " in said for said in entries.values())
