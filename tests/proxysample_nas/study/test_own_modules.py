"""Samplers and searchers of one's own, in a module that a command names."""

from __future__ import annotations

import sys

import pytest

from proxysample.errors import InputError
from proxysample_nas import cli
from proxysample_nas.searchers.registry import SEARCHERS
from proxysample_nas.space.operations import OPERATIONS


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in the folder where a command is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "of_my_own.py").write_text(
        "from proxysample_nas.searchers import RandomSearch\n"
        "class Own(RandomSearch):\n"
        "    id = 'own'\n"
    )
    (tmp_path / "of_nothing.py").write_text("from of_my_own import Own\n")
    (tmp_path / "of_an_operation.py").write_text(
        "from proxysample_nas import Operation\n"
        "OWN = Operation('own_5x5', 'convolution', '#000000', kernel_size=5)\n"
    )
    yield "of_my_own"
    for name in ("of_my_own", "of_nothing", "of_an_operation"):
        sys.modules.pop(name, None)


def test_a_module_that_is_named_gives_its_searchers_their_ids(module):
    assert "own" not in SEARCHERS
    cli._register_own([module])
    cli._register_own([module])
    assert SEARCHERS.get("own").id == "own"
    cli._register_own(["of_an_operation"])
    cli._register_own(["of_an_operation"])
    assert OPERATIONS.get("own_5x5").kernel_size == 5
    OPERATIONS.unregister("own_5x5")
    SEARCHERS.unregister("own")
    with pytest.raises(InputError, match="'of_nothing': it defines no sampler and no searcher"):
        cli._register_own(["of_nothing"])
    with pytest.raises(InputError, match="--import 'not_there': No module named"):
        cli._register_own(["not_there"])
