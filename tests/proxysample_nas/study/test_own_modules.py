"""Samplers and searchers of one's own, in a module that a command names."""

from __future__ import annotations

import sys

import pytest

from proxysample.errors import InputError
from proxysample_nas import cli
from proxysample_nas.searchers.registry import SEARCHERS


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
    (tmp_path / "of_nothing.py").write_text("")
    yield "of_my_own"
    for name in ("of_my_own", "of_nothing"):
        sys.modules.pop(name, None)


def test_a_module_that_is_named_gives_its_searchers_their_ids(module):
    assert "own" not in SEARCHERS
    cli._register_own([module])
    cli._register_own([module])
    assert SEARCHERS.get("own").id == "own"
    with pytest.raises(InputError, match="'of_nothing': it defines no sampler and no searcher"):
        cli._register_own(["of_nothing"])
    with pytest.raises(InputError, match="--import 'not_there': No module named"):
        cli._register_own(["not_there"])
