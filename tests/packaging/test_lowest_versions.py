from __future__ import annotations

import tomllib

import pytest

from .lowest_versions import OTHER_EXTRAS, PROJECT, extras_of_users, lowest_versions

WRITTEN = tomllib.loads(PROJECT.read_text())["project"]


def test_every_extra_of_a_user_is_tried_with_its_lowest_versions():
    assert set(OTHER_EXTRAS) < WRITTEN["optional-dependencies"].keys()
    found = lowest_versions(WRITTEN)
    assert {"h5py", "zarr", "webdataset", "pyarrow", "pandas", "datasets"} <= found.keys()
    assert "faiss-gpu" not in found
    assert "h5py>=" + found["h5py"] in WRITTEN["optional-dependencies"]["hdf5"]
    # What needs other extras brings no bound of its own.
    assert not any(name.startswith("proxysample") for name in found)


def test_a_package_has_one_lower_bound():
    extras = {"a": ["pandas>=2"], "b": ["pandas>=3"]}
    with pytest.raises(AssertionError, match="pandas has two lower bounds"):
        lowest_versions({"dependencies": [], "optional-dependencies": extras})
    assert extras_of_users({"optional-dependencies": {"a": [], "dev": []}}) == ["a"]
