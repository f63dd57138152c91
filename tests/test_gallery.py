"""The pictures of what samplers keep are those that the script draws."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxysample import create_sampler, load_dataset

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script():
    path = ROOT / "examples" / "what_is_kept.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cc-or", "herding"])
def test_a_picture_in_the_docs_is_what_the_sampler_keeps(script, name):
    train = load_dataset("digits").train
    sheet, told = script.contact_sheet(create_sampler(name).rank(train), train)
    with Image.open(ROOT / "docs" / "gallery" / f"{name}.png") as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(sheet))
    page = (ROOT / "docs" / "gallery.md").read_text()
    assert f"It keeps {told}." in page.partition(f"## {name}\n")[2]
    assert page.startswith(script.PAGE)
