from __future__ import annotations

import hashlib

import numpy as np
import pytest

from proxysample import InputError, MissingDependencyError, embed
from proxysample.experiments.executors import fixed_threads
from proxysample.features import ray_embedding
from proxysample.features.embedding import ROWS_PER_BLOCK
from proxysample.features.store import FEATURES

from .test_embedding import Photos, network


def bytes_of(features) -> str:
    return hashlib.sha256((features.folder / FEATURES).read_bytes()).hexdigest()


@pytest.fixture
def photos():
    n = 9 * ROWS_PER_BLOCK + 5
    return Photos(np.random.default_rng(0).integers(0, 256, (n, 6, 6, 3), dtype=np.uint8))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_two_workers_of_ray_make_the_bytes_of_one_process(photos, tmp_path):
    pytest.importorskip("ray.data", reason="Ray Data is not installed: proxysample[ray]")
    with fixed_threads(1):
        here = embed(photos, folder=tmp_path / "here", backbone=network())
    photos.read.clear()
    options = {"executor": "ray", "n_workers": 2, "n_threads": 1}
    # A worker that meets a broken sample names it, and what others have made stays.
    photos.broken = 2000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "proxysample.features.embedding.dataset_identity",
            lambda _: here.made_of["dataset"],
        )
        with pytest.raises(InputError, match="sample 2000 cannot be read: OSError: cut off"):
            embed(photos, folder=tmp_path / "there", backbone=network(), **options)
    photos.broken = None
    there = embed(photos, folder=tmp_path / "there", backbone=network(), **options)
    assert there.key == here.key
    assert bytes_of(there) == bytes_of(here)
    assert 0 <= there.provenance["samples_taken_over"] < len(photos)


def test_ray_data_that_is_not_installed_is_named(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(
        ray_embedding, "find_spec", lambda name: None if name == "pyarrow" else object()
    )
    with pytest.raises(MissingDependencyError, match=r"needs pyarrow: pip install 'proxysample\[r"):
        embed(photos, folder=tmp_path, backbone=network(), executor="ray")


def test_a_worker_with_other_versions_is_refused(photos):
    from proxysample.data.reading import Samples
    from proxysample.device import resolve_device
    from proxysample.features.backbones import as_backbone
    from proxysample.features.embedding import Embedder
    from proxysample.machine import package_versions

    embedder = Embedder(Samples(photos), as_backbone(network()), resolve_device("cpu"))
    worker = object.__new__(ray_embedding.RayEmbedder)
    worker.begin(embedder, 1, False, package_versions() | {"torch": "1.0"})
    answer = worker({"block": np.array([0]), "start": np.array([0]), "stop": np.array([2])})
    assert "torch" in answer["error"][0]
