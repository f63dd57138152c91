from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

PLUGIN = str(Path(__file__).with_name("plugin"))
# Where a plug-in's package would be installed.
sys.path.insert(0, PLUGIN)


@pytest.fixture(autouse=True)
def plugin_is_found(monkeypatch):
    """Have processes that start from here find the plug-in, too."""
    paths = [PLUGIN, *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def folder(tmp_path):
    """A folder with three numbers in it."""
    (tmp_path / "numbers.json").write_text(json.dumps([3, 5, 7]))
    return tmp_path
